"""Searching: texts that were prepared behind delivery, and those that are read now."""
