"""Where letters went, kept behind deliveries."""
