"""POP3 as text: lines in, commands out, replies as octets; no I/O. RFC 1939."""
