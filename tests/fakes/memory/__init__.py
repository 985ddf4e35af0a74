"""The store's port in memory: the oracle that the other implementations are compared with, and the doors' test store.

The rule: obviously right before quick; what a method writes, it writes without awaiting, so it is one transaction.
"""

from tests.fakes.memory.store import MemoryStore

__all__ = ["MemoryStore"]
