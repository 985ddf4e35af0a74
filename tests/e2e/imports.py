"""What tests of import and export share: mail to move, and what an account holds of it.

The rule: what is there is seen by IMAP, as a client would.
"""

import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from imapclient import IMAPClient

from tests.e2e.system import System

PASSWORD = "moved-password"
SAMPLES = Path(__file__).parents[1] / "samples"
CORPUS = os.environ.get("RESTANTE_CORPUS")


def messages(count: int) -> list[bytes]:
    """As many real messages, with CRLF, no two alike; some of them large."""
    files = sorted(SAMPLES.glob("*.eml")) + (sorted(Path(CORPUS).rglob("*.eml")) if CORPUS else [])
    real = [re.sub(rb"(?<!\r)\n", b"\r\n", file.read_bytes()) for file in files]
    found = [b"X-Number: %d\r\n%b" % (number, real[number % len(real)]) for number in range(count)]
    for number in range(0, count, 100):
        found[number] += b"\r\n" + b"large %d\r\n" % number * 40_000
    return found


def make_maildir(path: Path, bodies: list[bytes]) -> None:
    """One as Dovecot keeps it: uids with gaps, flags, keywords and dates."""
    for part in ("cur", "new", "tmp"):
        (path / part).mkdir(parents=True)
    lines = [f"3 V1234567 N{3 * len(bodies) + 50}"]
    (path / "dovecot-keywords").write_text("0 $Work\n")
    for number, octets in enumerate(bodies):
        name = f"{1_600_000_000 + number}.M{number}.host"
        flags = "".join(flag for flag, each in (("S", 2), ("F", 5), ("a", 7)) if number % each)
        file = path / "cur" / f"{name}:2,{flags}"
        file.write_bytes(octets)
        os.utime(file, (0, 1_600_000_000 + number))
        lines.append(f"{3 * number + 7} :{name}")
    (path / "dovecot-uidlist").write_text("".join(f"{line}\n" for line in lines))


@dataclass(frozen=True, slots=True)
class Held:
    """A message as a client sees it."""

    octets: bytes
    flags: frozenset[str]
    at: datetime


def held(port: int, login: str, mailbox: str = "INBOX", password: str = PASSWORD) -> dict[int, Held]:
    """All of a mailbox, by uid."""
    with IMAPClient("127.0.0.1", port, ssl=False) as client:
        client.normalise_times = False
        client.login(login, password)
        client.select_folder(mailbox, readonly=True)
        uids = client.search("ALL")
        rows = client.fetch(uids, ["FLAGS", "INTERNALDATE", "BODY.PEEK[]"]) if uids else {}
    return {
        uid: Held(
            row[b"BODY[]"],
            frozenset(flag.decode() for flag in row[b"FLAGS"] if flag != b"\\Recent"),
            row[b"INTERNALDATE"],
        )
        for uid, row in rows.items()
    }


def numbers(port: int, login: str, mailbox: str = "INBOX", password: str = PASSWORD) -> tuple[int, int]:
    """UIDVALIDITY and UIDNEXT."""
    with IMAPClient("127.0.0.1", port, ssl=False) as client:
        client.login(login, password)
        told = client.folder_status(mailbox, ["UIDVALIDITY", "UIDNEXT"])
    return told[b"UIDVALIDITY"], told[b"UIDNEXT"]


def account(system: System, name: str) -> str:
    """A fresh one."""
    address = f"{name}@moved.test"
    system.add_account(address, PASSWORD)
    return address
