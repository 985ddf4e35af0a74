"""One client's session: what it is (state), sees (view), may be told (updates), and how that leaves (writer)."""
