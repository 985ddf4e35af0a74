"""What mail is: grammar, message structure, protocol state machines, the store's port, and the refusals.

The rule: standard library only, and no I/O, no clock, no transport; octets in, octets and values out.
"""
