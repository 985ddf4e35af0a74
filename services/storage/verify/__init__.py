"""Recounts everything that is kept as a counter, and compares stored octets with their hashes."""
