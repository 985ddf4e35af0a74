"""The change log in SQL."""
