"""Two copies of storage: either will do, and one may go while letters come in."""

import asyncio

import pytest

from tests.e2e.system import System
from tests.faults.cluster import Idler, assert_exactly_once, door, read_back, verify
from tests.faults.generator import SESSIONS, Generator

COPIES = ("storage", "storage-2")


async def test_idle_hears_of_letters_through_either_copy(cluster: System, account: str) -> None:
    """A letter taken through one copy is told to a session that another copy serves. RFC 2177."""
    first, second = cluster.grpc_target.split(",")
    arrived = 0
    with door(cluster, "imap", first) as one, door(cluster, "imap", second) as other:
        idlers = [
            await asyncio.to_thread(Idler, port, account)
            for port in (cluster.imap_port, one["port"], other["port"])
        ]
        for target in (first, second):
            with door(cluster, "smtp", target) as ports:
                for port in (ports["port"], cluster.smtp_port):
                    await Generator(port, account, 1, 1).run()
                    arrived += 1
                    for idler in idlers:
                        await asyncio.to_thread(idler.await_exists, arrived)
        for idler in idlers:
            await asyncio.to_thread(idler.close)


@pytest.mark.parametrize(("letters", "octets"), [(2000, 70), (300, 600_000)], ids=["small", "large"])
async def test_a_copy_is_drained_while_sessions_deliver(
    cluster: System, account: str, letters: int, octets: int
) -> None:
    """architecture.md, "Streams and drain": no client sees it."""
    generator = Generator(cluster.smtp_port, account, letters, octets=octets)
    delivering = asyncio.create_task(generator.run())
    for share, copy in ((0.15, COPIES[0]), (0.4, COPIES[1]), (0.7, COPIES[0])):
        await generator.reached(int(letters * share))
        await asyncio.to_thread(cluster.restart, copy)
    log = await delivering
    assert log.troubles == []
    found = await asyncio.to_thread(read_back, cluster, account)
    assert sorted(found) == sorted(log.acknowledged)
    assert_exactly_once(log, found)
    assert await asyncio.to_thread(verify, cluster) == ""


async def test_idle_goes_on_while_its_copies_are_drained(cluster: System, account: str) -> None:
    """The door asks another copy to be told of changes; its session notices nothing."""
    idler = await asyncio.to_thread(Idler, cluster.imap_port, account)
    for arrived, copy in enumerate(COPIES, 1):
        await asyncio.to_thread(cluster.restart, copy)
        await Generator(cluster.smtp_port, account, 1, 1).run()
        await asyncio.to_thread(idler.await_exists, arrived)
    await asyncio.to_thread(idler.close)


async def test_a_drained_door_loses_nothing_and_doubles_nothing(cluster: System, account: str) -> None:
    """It says 421 between letters and never within one, so a client that comes back knows where it stands."""
    generator = Generator(cluster.smtp_port, account, 1000, SESSIONS)
    delivering = asyncio.create_task(generator.run())
    await generator.reached(300)
    await asyncio.to_thread(cluster.restart, "smtp")
    log = await delivering
    assert not log.lost
    found = await asyncio.to_thread(read_back, cluster, account)
    assert sorted(found) == sorted(log.acknowledged)
