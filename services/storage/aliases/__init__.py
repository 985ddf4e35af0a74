"""Aliases in SQL."""
