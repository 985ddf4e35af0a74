"""Messages in SQL."""
