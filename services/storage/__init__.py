"""The store: the port on PostgreSQL, and the process that serves it over gRPC.

The rule: SQL and database credentials live here and nowhere else; only `transaction` begins, locks, logs and commits.
"""
