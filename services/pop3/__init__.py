"""The POP3 door: maildrops for clients that fetch and leave. RFC 1939."""
