"""Mailboxes in SQL."""
