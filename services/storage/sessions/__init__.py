"""Processes, sessions and maildrop locks in SQL."""
