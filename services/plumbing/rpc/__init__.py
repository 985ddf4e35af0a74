"""All of the gRPC: the store's port as restante.v1, served by `server` and used through `client`.

The rule: the network is an adapter. What a caller can tell of the store that `client.connect` gives it could tell of
the store behind it, except that `StoreUnavailable` may come from either.
"""

import os

# gRPC's C core writes remarks of its own to stderr, where our lines of JSON go; read when grpc is first imported.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
