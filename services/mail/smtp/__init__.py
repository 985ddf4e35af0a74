"""SMTP without sockets: framing, commands, replies and the server's state machine. RFC 5321.

The rule: octets go in and events come out; nothing here reads, writes, waits or asks the time.
"""
