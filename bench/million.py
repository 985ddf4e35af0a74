"""A folder of 1,000,000 messages beside one of 10,000, over a socket: what each step takes, in time and memory.

The rule: a step whose work is the same in both folders should cost the same in both; what grows with the folder shows.
"""

import re
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bench import letters, memory, wire
from bench.peers import Peer, quiet, reader

MARKS = "<!-- million -->", "<!-- /million -->"
MESSAGES = 1_000_000
SEED = 10_000
SEED_OCTETS = 1_500
# Every so many messages one went, so that the uids of the large folder lie in as many runs as went.
GONE = 101
CHANGES = 100
SESSIONS = 50
WRITER = reader(0)

Action = Callable[[], Awaitable[object]]


@dataclass(slots=True)
class Folder:
    """One of the two. steps: ms, and octets by which imap and storage grew. session_octets: of each further session."""

    name: str
    messages: int
    session_octets: int = 0
    steps: dict[str, tuple[float, int, int]] = field(default_factory=dict)


async def fill(peer: Peer, messages: int) -> None:
    """Letters come by SMTP, the rest of the folders by COPY; nothing is done where it was done before."""
    imap = await wire.Imap.login(peer.imap, WRITER)
    if b"Large" not in await imap.ask('LIST "" Large'):
        everything = [letters.letter(number, SEED_OCTETS) for number in range(SEED)]
        for start in range(0, SEED, 1000):
            await wire.deliver(peer.delivery, peer.greeting, WRITER, everything[start : start + 1000])
            _say(f"letters: {start + 1000:,}")
        await imap.ask("SELECT INBOX")
        await imap.ask("STORE 1:* +FLAGS.SILENT (\\Seen)")
        await imap.ask(f"STORE {_each(SEED, 10, 3)} -FLAGS.SILENT (\\Seen)")
        await imap.ask(f"STORE {_each(SEED, 100, 7)} +FLAGS.SILENT (\\Flagged)")
        await imap.ask("CREATE Small")
        await imap.ask("COPY 1:* Small")
        await imap.ask("CREATE Filling")
        copies = messages + messages // (GONE - 1)
        for start in range(0, copies, SEED):
            await imap.ask(f"COPY 1:{min(SEED, copies - start)} Filling")
            _say(f"copies: {min(start + SEED, copies):,}")
        await imap.ask("SELECT Filling")
        await imap.ask(f"STORE {_each(copies, GONE, GONE // 2)} +FLAGS.SILENT (\\Deleted)")
        await imap.ask("EXPUNGE")
        await imap.ask("UNSELECT")
        await imap.ask("RENAME Filling Large")
        _say("")
    await imap.close()


def _each(last: int, step: int, first: int) -> str:
    return ",".join(map(str, range(first, last + 1, step)))


def _say(text: str) -> None:
    print(f"\r\033[K{text}", end="" if text else "\r", flush=True, file=sys.stderr)


class Steps:
    """The steps in one folder. Another session writes, where something is to have changed."""

    def __init__(self, peer: Peer, folder: Folder, rounds: int) -> None:
        self._peer = peer
        self._folder = folder
        self._rounds = rounds
        self._pids = memory.named(peer.pid, "services.imap"), memory.named(peer.pid, "services.storage")
        self._imap: wire.Imap
        self._other: wire.Imap
        self._mark = ""

    async def run(self) -> None:
        """All of them, in order."""
        count, name = self._folder.messages, self._folder.name
        self._other = await wire.Imap.login(self._peer.imap, WRITER)
        imap = self._imap = await wire.Imap.login(self._peer.imap, WRITER)
        ask = self._asking
        await self._step("SELECT, the first time", ask(f"SELECT {name}"), rounds=1)
        await self._step("SELECT", ask(f"SELECT {name}"))
        await self._other.ask(f"SELECT {name}")
        await self._step("SELECT, where another session has it open", ask(f"SELECT {name}"))
        last, middle = f"{count - 49}:{count}", f"{count // 2}:{count // 2 + 49}"
        await self._step("FETCH (ENVELOPE FLAGS) of the last 50", ask(f"FETCH {last} (ENVELOPE FLAGS)"))
        await self._step("the same of 50 in the middle", ask(f"FETCH {middle} (ENVELOPE FLAGS)"))
        await self._step("NOOP, nothing new", ask("NOOP"))
        await self._step("NOOP after a change of one's flags", ask("NOOP"), self._flag)
        await self._step("NOOP after one new message", ask("NOOP"), self._append)
        await self._step("NOOP after one has gone", ask("NOOP"), self._expunge)
        await self._step("STORE of one", ask(f"STORE {count // 3} +FLAGS (\\Answered)"), self._unanswer)
        await self._sessions()
        await imap.idle()
        await self._step("IDLE: a new message, from APPEND to EXISTS", self._notice)
        await imap.done()
        await imap.ask("ENABLE QRESYNC")
        await self._step(f"SELECT (QRESYNC …) after {CHANGES} changes", self._resync, self._change)
        await self._step("UID FETCH 1:* (FLAGS) (CHANGEDSINCE …) after as many", self._changed, self._change)
        await self._step("SEARCH RETURN (COUNT) FLAGGED", ask("SEARCH RETURN (COUNT) FLAGGED"))
        await self._step("SEARCH RETURN (COUNT) UNSEEN", ask("SEARCH RETURN (COUNT) UNSEEN"))
        await self._step("SEARCH FLAGGED, 1 in 100", ask("SEARCH FLAGGED"))
        await self._step("SEARCH UNSEEN, 1 in 10", ask("SEARCH UNSEEN"))
        await self._step("UID FETCH 1:* (UID)", ask("UID FETCH 1:* (UID)"))
        await self._step("UID FETCH 1:* (FLAGS)", ask("UID FETCH 1:* (FLAGS)"), self._reselect)
        await imap.close()
        await self._other.close()

    async def _sessions(self) -> None:
        """What each further session of this folder adds, once it was opened."""
        before = memory.share(self._pids)
        opened = [await wire.Imap.login(self._peer.imap, WRITER) for _ in range(SESSIONS)]
        for each in opened:
            await each.ask(f"SELECT {self._folder.name}")
        self._folder.session_octets = (memory.share(self._pids) - before) // SESSIONS
        for each in opened:
            await each.close()

    async def _step(self, name: str, action: Action, before: Action | None = None, rounds: int = 0) -> None:
        times = []
        grown = [0, 0]
        for turn in range(rounds or self._rounds):
            if before is not None:
                await before()
            _say(f"{self._folder.messages:,}: {name}: {turn + 1}")
            await quiet(1.0)
            resident = [memory.begin_peak(pid) for pid in self._pids]
            began = time.perf_counter()
            await action()
            times.append(time.perf_counter() - began)
            grown = [
                max(most, memory.peak(pid) - at)
                for most, pid, at in zip(grown, self._pids, resident, strict=True)
            ]
        self._folder.steps[name] = (statistics.median(times) * 1000, grown[0], grown[1])

    def _asking(self, command: str) -> Action:
        return lambda: self._imap.ask(command)

    async def _flag(self) -> None:
        await self._other.ask(f"STORE {self._folder.messages // 2} FLAGS (\\Seen)")
        await self._other.ask(f"STORE {self._folder.messages // 2} FLAGS ()")

    async def _append(self) -> None:
        await self._other.append(self._folder.name, letters.letter(1, SEED_OCTETS))

    async def _expunge(self) -> None:
        await self._other.ask("NOOP")
        await self._imap.ask("NOOP")
        await self._other.ask(f"STORE {self._folder.messages} +FLAGS (\\Deleted)")
        await self._imap.ask("NOOP")
        await self._other.ask("EXPUNGE")

    async def _unanswer(self) -> None:
        await self._imap.ask(f"STORE {self._folder.messages // 3} -FLAGS (\\Answered)")

    async def _notice(self) -> None:
        await self._append()
        await self._imap.notice(b"EXISTS")

    async def _reselect(self) -> None:
        """Nothing is at hand then."""
        await self._imap.ask("UNSELECT")
        await self._imap.ask(f"SELECT {self._folder.name}")

    async def _change(self) -> None:
        """Leaves a mark, then scattered flags change and a few messages go."""
        status = await self._other.ask(f"STATUS {self._folder.name} (UIDVALIDITY HIGHESTMODSEQ)")
        numbers = dict(re.findall(rb"(UIDVALIDITY|HIGHESTMODSEQ) (\d+)", status))
        self._mark = f"{numbers[b'UIDVALIDITY'].decode()} {numbers[b'HIGHESTMODSEQ'].decode()}"
        await self._imap.ask(f"SELECT {self._folder.name}")
        step = self._folder.messages // CHANGES
        for number in range(step, self._folder.messages, step):
            await self._other.ask(f"STORE {number} FLAGS (\\Seen \\Draft)")
            await self._other.ask(f"STORE {number} FLAGS (\\Seen)")
        await self._append()
        await self._expunge()

    async def _resync(self) -> None:
        await self._imap.ask(f"SELECT {self._folder.name} (QRESYNC ({self._mark}))")

    async def _changed(self) -> None:
        modseq = self._mark.split()[1]
        await self._imap.ask(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq} VANISHED)")


async def measure(peer: Peer, rounds: int, messages: int = MESSAGES) -> list[str]:
    """The table."""
    await fill(peer, messages)
    folders = Folder("Small", SEED), Folder("Large", messages)
    for folder in folders:
        await quiet()
        await Steps(peer, folder, rounds).run()
    _say("")
    small, large = folders
    head = f"step (medians of {rounds}, ms; in brackets what imap and storage grew by at most, MB)"
    table = [f"| {head} | of {small.messages:,} | of {large.messages:,} |", "|---|---|---|"]
    for name in small.steps:
        cells = " | ".join(
            f"{ms:,.1f} ({imap / 2**20:.0f}, {storage / 2**20:.0f})"
            for ms, imap, storage in (small.steps[name], large.steps[name])
        )
        table.append(f"| {name} | {cells} |")
    sessions = " | ".join(f"{folder.session_octets / 1024:.0f} kB" for folder in folders)
    return [*table, f"| memory of each further session that selects it | {sessions} |"]
