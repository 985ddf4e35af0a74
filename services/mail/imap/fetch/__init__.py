"""FETCH: what may be asked for, and how a page of messages becomes octets."""
