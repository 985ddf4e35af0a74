"""What of a message is searched, and how a search is decided. RFC 9051 §6.4.4.

The rule: whoever reads a message's text, to keep it or to search it now, reads it here, so that both find the same.
"""
