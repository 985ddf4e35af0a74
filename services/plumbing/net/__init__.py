"""Sockets: listeners, connections, TLS and the limits on them; no protocol is known here."""
