"""All of the gRPC: the store's port as restante.v1, served by `server` and used through `client`.

The rule: the network is an adapter. What a caller can tell of the store that `client.connect` gives it could tell of
the store behind it, except that `StoreUnavailable` may come from either.
"""
