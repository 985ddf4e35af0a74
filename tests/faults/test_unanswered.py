"""A large letter whose copy of storage is killed with all of it in hand: it is asked after, since it went only once."""

import asyncio
import imaplib
import signal
import smtplib
from collections.abc import Callable

import psycopg
import pytest

from tests.e2e.system import PATIENCE, System
from tests.faults.cluster import PASSWORD, door, read_back
from tests.faults.generator import letter
from tests.faults.stores import held, until

OCTETS = 600_000
NAME = "large@faults.test"


def by_smtp(port: int, account: str) -> bool:
    """Sends a large letter; whether it was taken, and not to be sent again later."""
    with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as smtp:
        smtp.ehlo()
        smtp.mail("a@faults.test")
        smtp.rcpt(account)
        code, _ = smtp.data(letter(NAME, OCTETS))
        assert code in (250, 451)
        return code == 250


def by_imap(port: int, account: str) -> bool:
    """The same by APPEND."""
    with imaplib.IMAP4("127.0.0.1", port, timeout=PATIENCE) as imap:
        imap.login(account, PASSWORD)
        answer, text = imap.append("INBOX", "", "", letter(NAME, OCTETS))
        assert (b"[UNAVAILABLE]" if answer == "NO" else b"[APPENDUID ") in text[0]
        return answer == "OK"


@pytest.mark.parametrize("is_stored", [True, False], ids=["stored", "lost"])
@pytest.mark.parametrize(("kind", "send"), [("smtp", by_smtp), ("imap", by_imap)], ids=["smtp", "imap"])
async def test_a_large_letter_is_answered_as_it_ended(
    cluster: System, account: str, kind: str, send: Callable[[int, str], bool], is_stored: bool
) -> None:
    """Its transaction waits for the account when the copy dies: PostgreSQL ends it later, one way or the other."""
    url = cluster.database_url
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as watcher:
        found = await (
            await watcher.execute("SELECT account_id FROM addresses WHERE address = %s", (account,))
        ).fetchone()
        assert found
        first = cluster.grpc_target.split(",")[0]
        with door(cluster, kind, first) as ports:
            async with held(url, found[0]) as are_waiting:
                sending = asyncio.create_task(asyncio.to_thread(send, ports["port"], account))
                await until(lambda: are_waiting(1))
                waits = "SELECT pid FROM pg_locks WHERE NOT granted"
                [orphan] = {row[0] for row in await (await watcher.execute(waits)).fetchall()}
                await asyncio.to_thread(cluster.restart, "storage", signal.SIGKILL)
                await until(lambda: are_waiting(2))
                if not is_stored:
                    await watcher.execute("SELECT pg_terminate_backend(%s)", (orphan,))
                assert not sending.done()
            assert await sending is is_stored
        assert await asyncio.to_thread(read_back, cluster, account) == [NAME] * is_stored
