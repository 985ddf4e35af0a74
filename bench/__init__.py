"""Workloads, each run against Restante and against its peer, alternating in one run.

The rule: equal work only. Both sides get the same octets over plain loopback sockets, and what they answer is compared
before anything is timed. Only ratios of one run mean something: a machine is never as quiet as one thinks.
"""
