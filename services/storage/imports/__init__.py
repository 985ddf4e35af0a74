"""Imports in SQL."""
