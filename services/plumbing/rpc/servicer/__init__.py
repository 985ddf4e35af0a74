"""restante.v1 served from a store, a file for each noun.

The rule: a servicer converts and calls the port, and nothing else; deadlines, errors and streams are `methods` and
`exchange`.
"""
