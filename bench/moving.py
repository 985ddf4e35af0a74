"""A Maildir moved into an account: `restante import maildir` beside `doveadm import`, one after the other.

The rule: both read the same files, which lie in memory already, both keep flags and dates durably, and what arrived is
counted by IMAP. Messages are those of RESTANTE_CORPUS where it is set, each with a number of its own in front.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from bench import peers, wire
from bench.letters import letter
from bench.peers import reader

MARKS: Final = "<!-- moving -->", "<!-- /moving -->"
MESSAGES: Final = 100_000
# What is larger would make the run one of a disk.
LARGEST: Final = 200_000
NOBODY: Final = 65534


def make_maildir(path: Path, messages: int) -> int:
    """Octets of a Maildir of so many messages."""
    corpus = os.environ.get("RESTANTE_CORPUS")
    files = sorted(Path(corpus).rglob("*.eml")) if corpus else []
    bodies = [file.read_bytes() for file in files if file.stat().st_size <= LARGEST]
    bodies = bodies or [letter(number) for number in range(100)]
    for part in ("cur", "new", "tmp"):
        (path / part).mkdir(parents=True)
        os.chown(path / part, NOBODY, NOBODY)
    os.chown(path, NOBODY, NOBODY)
    octets = 0
    for number in range(messages):
        flags = "S" if number % 3 else "FS"
        file = path / "cur" / f"{1_600_000_000 + number}.M{number}.bench:2,{flags}"
        octets += file.write_bytes(b"X-Number: %d\n%b" % (number, bodies[number % len(bodies)]))
        os.utime(file, (0, 1_600_000_000 + number))
        os.chown(file, NOBODY, NOBODY)
    return octets


def import_ours(home: Path, maildir: Path, number: int, *words: str) -> float:
    """Seconds of `restante import`."""
    storage = json.loads((home / "running.json").read_text())["storage"]
    command = [
        str(Path(sys.executable).with_name("restante")),
        "import",
        "maildir",
        reader(number),
        str(maildir),
    ]
    environment = os.environ | {"RESTANTE_HOME": str(home), "RESTANTE_STORAGE": storage}
    began = time.monotonic()
    subprocess.run([*command, *words], env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def import_theirs(home: Path, maildir: Path, number: int) -> float:
    """Seconds of `doveadm import`."""
    command = [
        "doveadm",
        "-c",
        str(home / "dovecot.conf"),
        "import",
        "-u",
        reader(number),
        f"maildir:{maildir}",
        "",
        "ALL",
    ]
    began = time.monotonic()
    subprocess.run(command, check=True)
    return time.monotonic() - began


async def count(port: int, number: int) -> int:
    """Messages of INBOX, as IMAP counts them."""
    connection = await wire.Imap.login(port, reader(number))
    answer = await connection.ask("STATUS INBOX (MESSAGES)")
    connection.drop()
    return int(bytes(answer).partition(b"MESSAGES ")[2].split(b")")[0])


def measure(messages: int = MESSAGES) -> list[str]:
    """The table."""
    rates: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-moving-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        octets = make_maildir(home / "maildir", messages)
        with peers.restante(home / "ours") as ours:
            asyncio.run(peers.quiet())
            first = import_ours(home / "ours", home / "maildir", 0)
            again = import_ours(home / "ours", home / "maildir", 0)
            assert asyncio.run(count(ours.imap, 0)) == messages
        (home / "theirs").mkdir()
        with peers.dovecot(home / "theirs") as theirs:
            asyncio.run(peers.quiet())
            rates["Dovecot"] = messages / import_theirs(home / "theirs", home / "maildir", 0)
            assert asyncio.run(count(theirs.imap, 0)) == messages
        rates["Restante"] = messages / first
    return [
        f"| {messages:,} messages, {octets / messages / 1000:.1f} KB each | messages/s |",
        "|---|---|",
        f"| `restante import maildir` | {rates['Restante']:,.0f} |",
        f"| the same once more: all are here already | {messages / again:,.0f} |",
        f"| `doveadm import` into sdbox | {rates['Dovecot']:,.0f} |",
        f"| ours ÷ Dovecot | {rates['Restante'] / rates['Dovecot']:.2f} |",
    ]
