"""The maildrop lock among two copies of the POP3 door and two of storage: one session has it, and only it deletes.

The rule: time passes for the lease alone, by moving it in the database; nothing is waited for.
"""

import os
import poplib
import signal
import smtplib
from collections.abc import Iterator

import psycopg
import pytest

from services.mail.store.sessions import LEASE_SECONDS
from tests.e2e.system import PATIENCE, System
from tests.faults.cluster import PASSWORD, door, verify

LETTERS = 3


@pytest.fixture
def other_port(cluster: System) -> Iterator[int]:
    """The port of a second copy of the door, which knows the second copy of storage alone."""
    with door(cluster, "pop3", cluster.grpc_target.split(",")[1]) as ports:
        yield ports["port"]


@pytest.fixture
def maildrop(cluster: System, account: str) -> str:
    """An account with LETTERS letters."""
    with smtplib.SMTP("127.0.0.1", cluster.smtp_port, timeout=PATIENCE) as smtp:
        for number in range(LETTERS):
            smtp.sendmail("a@faults.test", [account], f"Subject: {number}\r\n\r\n")
    return account


def log_in(port: int, account: str) -> poplib.POP3:
    """A session. Raises error_proto where it is refused."""
    client = poplib.POP3("127.0.0.1", port, timeout=PATIENCE)
    client.user(account)
    try:
        client.pass_(PASSWORD)
    except poplib.error_proto:
        client.close()
        raise
    return client


def assert_in_use(port: int, account: str) -> None:
    """RFC 2449 §8.1.1."""
    with pytest.raises(poplib.error_proto, match=r"-ERR \[IN-USE\] "):
        log_in(port, account)


def assert_holds(port: int, account: str, letters: int) -> None:
    """The maildrop is free, and has so many letters."""
    client = log_in(port, account)
    assert client.stat()[0] == letters
    client.quit()


def ending(client: poplib.POP3) -> bytes:
    """The first two words of the last reply; b"" where the connection was broken off."""
    try:
        words = client.file.read().split(b" ")
    except ConnectionResetError:
        words = []
    client.close()
    return b" ".join(words[:2])


def lease(cluster: System, account: str) -> tuple[float, int]:
    """Seconds that are left of it, and its epoch."""
    with psycopg.connect(cluster.database_url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT extract(epoch FROM lease_until - clock_timestamp())::float8, epoch FROM pop3_locks"
            " WHERE account_id = (SELECT account_id FROM accounts WHERE address = %s)",
            (account,),
        ).fetchone()
    assert found is not None
    left, epoch = found
    return left, epoch


def pass_time(cluster: System, account: str, seconds: float) -> None:
    """As if so much of the lease had gone by."""
    with psycopg.connect(cluster.database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE pop3_locks SET lease_until = lease_until - make_interval(secs => %s)"
            " WHERE account_id = (SELECT account_id FROM accounts WHERE address = %s)",
            (seconds, account),
        )


def test_a_second_session_is_refused_at_every_copy(cluster: System, other_port: int, maildrop: str) -> None:
    """RFC 1939 §4; and QUIT frees it for the other copy at once."""
    for holder, other in ((cluster.pop3_port, other_port), (other_port, cluster.pop3_port)):
        client = log_in(holder, maildrop)
        assert_in_use(holder, maildrop)
        assert_in_use(other, maildrop)
        client.quit()
        assert_holds(other, maildrop, LETTERS)


def test_storage_dies_and_the_lock_stays_with_its_session(
    cluster: System, other_port: int, maildrop: str
) -> None:
    """It lies in the database: whichever copy answers knows it, and QUIT deletes through another one."""
    client = log_in(cluster.pop3_port, maildrop)
    client.dele(1)
    for copy in ("storage", "storage-2"):
        cluster.restart(copy, signal.SIGKILL)
        assert_in_use(cluster.pop3_port, maildrop)
    client.quit()
    assert_holds(cluster.pop3_port, maildrop, LETTERS - 1)
    assert verify(cluster) == ""


def test_a_killed_holder_deletes_nothing_and_its_lock_ends_with_the_lease(
    cluster: System, other_port: int, maildrop: str
) -> None:
    """kill -9 of the door: nobody renews the lease any more, and that is at most LEASE_SECONDS long."""
    client = log_in(cluster.pop3_port, maildrop)
    client.dele(1)
    cluster.restart("pop3", signal.SIGKILL)
    client.close()
    left, epoch = lease(cluster, maildrop)
    assert 0 < left <= LEASE_SECONDS
    for port in (cluster.pop3_port, other_port):
        assert_in_use(port, maildrop)
    pass_time(cluster, maildrop, LEASE_SECONDS)
    assert_holds(other_port, maildrop, LETTERS)
    assert lease(cluster, maildrop)[1] == epoch + 1
    assert_holds(cluster.pop3_port, maildrop, LETTERS)


def test_a_holder_that_lost_its_lock_meanwhile_cannot_delete(
    cluster: System, other_port: int, maildrop: str
) -> None:
    """The door stands still beyond its lease and goes on: QUIT names an epoch that is over, and nothing is removed."""
    client = log_in(cluster.pop3_port, maildrop)
    for number in range(1, LETTERS + 1):
        client.dele(number)
    stopped = cluster.pid("pop3")
    os.kill(stopped, signal.SIGSTOP)
    try:
        pass_time(cluster, maildrop, LEASE_SECONDS)
        other = log_in(other_port, maildrop)
        # It lies in the socket when the door wakes up, so that it does not come after the renewal that finds out.
        client.sock.sendall(b"QUIT\r\n")
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert ending(client) in {b"", b"-ERR [SYS/TEMP]"}
    assert other.stat()[0] == LETTERS
    other.retr(LETTERS)
    other.dele(1)
    other.quit()
    assert_holds(cluster.pop3_port, maildrop, LETTERS - 1)
    assert verify(cluster) == ""
