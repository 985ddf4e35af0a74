"""Long computations, beside the event loop.

The rule: what may take longer than some milliseconds goes to a thread, where it shares the interpreter with the loop's
other sessions; it touches nothing that another task could change meanwhile.
"""

import asyncio
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Numbers, or runs, of which Python makes something in a millisecond or two.
FEW: Final = 4_000


async def beside(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` answers. size: how many numbers or runs it goes through; a few are not worth a thread."""
    if size <= FEW:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
