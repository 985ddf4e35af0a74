"""What came of the letters, read by IMAP, and what else looks at a whole system from outside.

The rule: what a test believes is the log of the answers that the generator itself received, never what the system says
of itself.
"""

import imaplib
import json
import logging
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tests.e2e.system import PATIENCE, System
from tests.faults.generator import Log

logger = logging.getLogger(__name__)

PASSWORD = "correct horse"
MESSAGE_ID = re.compile(rb"(?im)^message-id: <([^>]*)>")


def read_back(system: System, account: str) -> list[str]:
    """The Message-IDs of an account's INBOX, read by IMAP, in the order of their UIDs, which have no gaps."""
    imap = imaplib.IMAP4("127.0.0.1", system.imap_port, timeout=PATIENCE)
    imap.login(account, PASSWORD)
    imap.select("INBOX", readonly=True)
    _, found = imap.uid("FETCH", "1:*", "(UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
    imap.logout()
    rows = [row for row in found if isinstance(row, tuple)]
    uids = [int(re.findall(rb"UID (\d+)", row[0])[0]) for row in rows]
    assert uids == list(range(1, len(uids) + 1))
    return [MESSAGE_ID.findall(row[1])[0].decode() for row in rows]


def assert_exactly_once(log: Log, found: Iterable[str]) -> None:
    """Every acknowledged letter is there once; one whose answer was lost may have come once more each time.

    A client that has lost the answer sends again and makes a second copy: RFC 1047.
    """
    came = Counter(found)
    assert set(came) == set(log.acknowledged)
    assert len(log.acknowledged) == len(came)
    doubled = {name: times for name, times in came.items() if times > 1}
    unexplained = {name: times for name, times in doubled.items() if times > 1 + log.lost[name]}
    assert not unexplained, (
        unexplained,
        [each for each in log.troubles if each.split(":")[0] in unexplained],
    )
    again = sum(doubled.values()) - len(doubled)
    logger.info("%d answers lost, %d letters came again: %s", log.lost.total(), again, sorted(doubled))


def verify(system: System) -> str:
    """What `verify` prints; empty where it finds no drift."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "services.storage", "verify"],
        env={**os.environ, "RESTANTE_HOME": str(system.home), "RESTANTE_DATABASE_URL": system.database_url},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else done.stdout + done.stderr


class Idler:
    """An IMAP session that waits in IDLE. RFC 2177."""

    def __init__(self, port: int, account: str) -> None:
        self._imap = imaplib.IMAP4("127.0.0.1", port, timeout=PATIENCE)
        self._imap.login(account, PASSWORD)
        self._imap.select("INBOX", readonly=True)
        self._imap.send(b"idle IDLE\r\n")
        assert self._imap.readline().startswith(b"+")

    def await_exists(self, messages: int) -> None:
        """Reads until it was told of so many messages."""
        while True:
            line = self._imap.readline()
            assert line, "closed"
            if line == b"* %d EXISTS\r\n" % messages:
                return

    def close(self) -> None:
        """Ends IDLE and logs out."""
        self._imap.send(b"DONE\r\n")
        while not self._imap.readline().startswith(b"idle OK"):
            pass
        self._imap.logout()


@contextmanager
def door(system: System, name: str, storage: str, **settings: str) -> Iterator[dict[str, int]]:
    """One more door of a kind, which knows only these copies of storage; its ports by name.

    settings: its own by name, as in CONNECTIONS="3".
    """
    reading, writing = os.pipe()
    free = {f"RESTANTE_{each}": "0" for each in (f"{name.upper()}_PORT", f"{name.upper()}_TLS_PORT")}
    if name == "smtp":
        del free["RESTANTE_SMTP_TLS_PORT"]
        free["RESTANTE_SMTP_LMTP_PORT"] = "0"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RESTANTE_")}
    own = {f"RESTANTE_{name.upper()}_{each}": value for each, value in settings.items()}
    own |= {"RESTANTE_HOME": str(system.home), "RESTANTE_STORAGE": storage, "RESTANTE_READY_FD": str(writing)}
    with (system.home / "logs" / f"{name}-extra.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", f"services.{name}"],
            env={**kept, **free, **own},
            pass_fds=[writing],
            stdout=log,
            stderr=log,
        )
    os.close(writing)
    try:
        with os.fdopen(reading) as said:
            line = said.readline()
        assert line, (system.home / "logs" / f"{name}-extra.log").read_text()
        ports: dict[str, int] = json.loads(line)["ports"]
        yield ports
    finally:
        process.terminate()
        process.wait()
