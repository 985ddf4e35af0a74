"""`restante export`: an account's mail into files.

The rule: a folder says by itself whether it is whole. While something is missing in it, the file MISSING is there; what
has its final name is complete.
"""
