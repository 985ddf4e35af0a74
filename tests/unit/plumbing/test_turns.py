"""Long computations stand beside the event loop."""

import threading

from services.plumbing.turns import FEW, beside


async def test_what_is_long_runs_in_a_thread_and_what_is_short_runs_at_once() -> None:
    """A few numbers are not worth a thread."""
    here = threading.get_ident()
    assert await beside(FEW, threading.get_ident) == here
    assert await beside(FEW + 1, threading.get_ident) != here
