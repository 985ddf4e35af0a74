"""Accounts, addresses, secrets and quotas in SQL."""
