"""The store's port over the network: `async with connect(settings) as store`.

The rule: a call goes to one copy at a time, and is sent again to another only where that cannot make its effect twice.
"""

from services.plumbing.rpc.client.calls import Patience
from services.plumbing.rpc.client.connection import connect

__all__ = ["Patience", "connect"]
