"""Notices that the terminal is gone in which the system was started.

The kernel tells the terminal's first process alone. Where that is make (a window opened with `make run`), it waits for
us, and we for a signal that it never sends. The rule: who was started in the background, or with nohup, is left alone.
"""

import asyncio
import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def on_hangup(call: Callable[[], None]) -> Iterator[None]:
    """Inside it, `call` is called once if the terminal goes away."""
    terminal = open_terminal()
    if terminal is None:
        yield
        return
    loop = asyncio.get_running_loop()
    # A terminal that only hung up, not one that somebody types in: a hangup is reported without being asked for.
    hangups = select.epoll()
    hangups.register(terminal, 0)

    def take() -> None:
        loop.remove_reader(hangups)
        call()

    loop.add_reader(hangups, take)
    try:
        yield
    finally:
        loop.remove_reader(hangups)
        hangups.close()
        os.close(terminal)


def open_terminal() -> int | None:
    """The terminal in whose foreground we run, if there is one and its end is to end us."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return None
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if os.tcgetpgrp(terminal) == os.getpgrp():
        return terminal
    os.close(terminal)
    return None
