"""One timer for many calls."""

import asyncio

from services.plumbing.rpc.deadlines import Deadlines


async def test_each_call_expires_at_its_own_time_and_only_once() -> None:
    expired: list[int] = []
    deadlines = Deadlines(expired.append)
    now = asyncio.get_running_loop().time()
    deadlines.add(1, now + 0.06)
    deadlines.add(2, now + 0.02)
    deadlines.add(3, now + 0.04)
    await asyncio.sleep(0.1)
    assert expired == [2, 3, 1]
    await asyncio.sleep(0.03)
    assert expired == [2, 3, 1]


async def test_a_call_that_ended_does_not_expire() -> None:
    expired: list[int] = []
    deadlines = Deadlines(expired.append)
    now = asyncio.get_running_loop().time()
    deadlines.add(1, now + 0.01)
    deadlines.add(2, now + 0.02)
    deadlines.remove(1)
    deadlines.remove(1)
    await asyncio.sleep(0.05)
    assert expired == [2]


async def test_nothing_expires_once_closed() -> None:
    expired: list[int] = []
    deadlines = Deadlines(expired.append)
    deadlines.add(1, asyncio.get_running_loop().time() + 0.01)
    deadlines.close()
    await asyncio.sleep(0.03)
    assert expired == []
