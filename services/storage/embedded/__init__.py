"""The PostgreSQL that comes along: found, initialised, started, and ended with whoever started it.

The rule: nothing here is needed where RESTANTE_DATABASE_URL is set, and nothing of the data path knows that it exists.
"""
