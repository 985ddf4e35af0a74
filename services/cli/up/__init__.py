"""Everything on one machine under one supervisor: `restante up`.

The rule: the processes are started as anybody would start them, by `python -m` and the environment; the supervisor only
watches them, and none of them knows about it.
"""
