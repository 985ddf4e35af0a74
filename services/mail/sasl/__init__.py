"""SASL mechanisms, octets in and out."""
