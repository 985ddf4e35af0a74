"""SEARCH: its keys, and what each asks of a message."""
