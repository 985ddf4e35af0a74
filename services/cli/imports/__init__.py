"""`restante import`: mail from elsewhere into an account."""
