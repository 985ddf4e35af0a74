"""A client with a cache comes and goes; what it knows afterwards is what there is. RFC 7162 §6. In memory."""

import asyncio
import random
import re
from collections.abc import Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.mail.imap.numbers import render
from services.mail.imap.resync import Known, Vanished
from services.mail.store.flags import flag_names
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import FlagChange
from services.mail.store.uids import count, each, runs_of
from tests.fakes.memory import MemoryStore
from tests.transcripts.imap import dialogues
from tests.transcripts.imap.dialogues import Client, hear

FETCHED = re.compile(r"\* (\d+) FETCH \((.*)\)")
LETTER = b"a: b\r\n\r\n"


class Cache:
    """What a disconnected client keeps, and how it keeps it. RFC 7162 §6."""

    def __init__(self) -> None:
        self.flags: dict[int, frozenset[str]] = {}
        self.uid_validity = self.modseq = 0
        self.numbers: list[int] = []
        self.complete = 0  # the uid up to which every message was fetched
        self.tagged = 0

    async def ask(self, client: Client, command: str) -> None:
        """One command; its answers are taken in, and the modseq with the tagged one."""
        client.send(b"x%d %b\r\n" % (self.tagged, command.encode()))
        told: list[int] = []
        highest: int | None = None
        while not (line := await hear(client)).startswith("x"):
            if found := re.match(r"\* OK \[HIGHESTMODSEQ (\d+)\]", line):
                highest = int(found[1])
            elif found := re.match(r"\* OK \[UIDVALIDITY (\d+)\]", line):
                self.uid_validity = int(found[1])
            elif found := re.fullmatch(r"\* VANISHED( \(EARLIER\))? (.*)", line):
                self.vanished(found[2], is_earlier=found[1] is not None)
            elif found := FETCHED.fullmatch(line):
                told += self.fetched(int(found[1]), found[2])
            elif found := re.fullmatch(r"\* (\d+) EXISTS", line):
                self.numbers += [0] * (int(found[1]) - len(self.numbers))
        assert re.match(rf"x{self.tagged} (OK|NO \[EXPUNGEISSUED\])", line), line
        self.tagged += 1
        if found := re.search(r"\[HIGHESTMODSEQ (\d+)\]", line):
            highest = int(found[1])
        if 0 not in self.numbers:
            self.complete = max([self.complete, *self.numbers])
        self.modseq = highest if highest is not None else max([self.modseq, *told])

    def vanished(self, uids: str, is_earlier: bool) -> None:
        """VANISHED names only what was announced; EARLIER changes no numbers. RFC 7162 §3.2.10."""
        pairs = [piece.split(":") for piece in uids.split(",")]
        for uid in [uid for pair in pairs for uid in range(int(pair[0]), int(pair[-1]) + 1)]:
            self.flags.pop(uid, None)
            if not is_earlier and uid in self.numbers:
                self.numbers.remove(uid)
            elif (
                not is_earlier
            ):  # announced by EXISTS, and not fetched yet: it stands behind all that are lower
                lower = [place for place, known in enumerate(self.numbers) if 0 < known < uid]
                assert self.numbers.pop(max(lower, default=-1) + 1) == 0

    def fetched(self, number: int, items: str) -> Iterable[int]:
        """The modseqs that were told; numbers and uids go together."""
        uid = int(re.search(r"UID (\d+)", items)[1])  # type: ignore[index]
        assert self.numbers[number - 1] in (0, uid)
        self.numbers[number - 1] = uid
        if found := re.search(r"FLAGS \(([^)]*)\)", items):
            self.flags[uid] = frozenset(found[1].split()) - {"\\Recent"}
        elif "MODSEQ" in items:  # its own silent STORE
            self.flags[uid] = self.flags.get(uid, frozenset()) | {"\\Draft"}
        return [int(found[1])] if (found := re.search(r"MODSEQ \((\d+)\)", items)) else []

    async def come(self, client: Client, draw: random.Random) -> None:
        """Logs in, and is told what happened meanwhile; then asks for what is new."""
        self.numbers, known, complete = [], sorted(self.flags), self.complete
        await hear(client)
        await self.ask(client, f'LOGIN alice@example.org "{dialogues.PASSWORD.decode()}"')
        await self.ask(client, "ENABLE QRESYNC")
        if not self.modseq:
            await self.ask(client, "SELECT INBOX")
        else:
            words = [str(self.uid_validity), str(self.modseq)]
            if draw.random() < 0.5:
                words.append(render(runs_of(known)).decode() if known else "1")
            # Only of these does it know the numbers: above may be what was announced and not fetched.
            certain = [uid for uid in known if uid <= complete]
            if certain and draw.random() < 0.5:
                places = sorted(draw.sample(range(len(certain)), draw.randint(1, min(4, len(certain)))))
                numbers = ",".join(str(place + 1) for place in places)
                words.append(f"({numbers} {','.join(str(certain[place]) for place in places)})")
            await self.ask(client, f"SELECT INBOX (QRESYNC ({' '.join(words)}))")
        there = sorted(uid for uid in self.flags if uid <= complete)
        self.numbers[: len(there)] = there
        await self.ask(client, f"UID FETCH {complete + 1}:* (FLAGS)")


STEPS = ("deliver", "deliver", "flag", "expunge", "NOOP", "FETCH 1 (UID FLAGS)", "STORE 1 +FLAGS.SILENT (\\Draft)",
         "UID STORE 1:* +FLAGS (\\Answered)", "forget", "leave", "EXPUNGE", "delete",
         "UID FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq} VANISHED)", "FETCH 1:* (UID FLAGS MODSEQ)")  # fmt: skip


async def lived(seed: int, steps: int) -> None:
    """The cache after some sessions, compared with the mailbox after each."""
    draw, store, cache = random.Random(seed), MemoryStore(), Cache()
    await dialogues.prepare(store, ["alice INBOX 5 messages"])
    account = await store.accounts.find_account("alice@example.org")
    inbox = (await store.mailboxes.status(account.account_id, "INBOX"))[0].key
    while steps > 0:
        async with dialogues.door(store) as door, dialogues.in_memory(door) as client:
            await cache.come(client, draw)
            assert cache.flags == await stored(store, inbox)
            while steps > 0:
                steps -= 1
                step = draw.choice(STEPS)
                if step == "leave":
                    break
                if step.isupper() or " " in step:
                    if cache.numbers or not step.startswith(("FETCH", "STORE")):
                        await cache.ask(client, step.format(modseq=max(cache.modseq - draw.randint(0, 9), 0)))
                else:
                    await other(store, inbox, step, draw)
        for _ in range(draw.randint(0, 4)):
            await other(store, inbox, draw.choice(STEPS[:4]), draw)


async def other(store: MemoryStore, inbox: MailboxKey, step: str, draw: random.Random) -> None:
    """Something that another client does."""
    uids = list(await stored(store, inbox))
    if step == "forget":
        store.state.trim(inbox.account_id)
    elif step == "deliver":
        await store.messages.append(inbox, LETTER, len(LETTER))
    elif uids and step in ("flag", "delete"):
        flag = "\\Deleted" if step == "delete" else draw.choice(["\\Seen", "\\Flagged"])
        await store.messages.store(inbox, ((uid := draw.choice(uids), uid),), FlagChange.ADD, [flag])
    elif uids:
        await store.messages.expunge(inbox, ((uid := draw.choice(uids), uid),), even_undeleted=True)


async def stored(store: MemoryStore, inbox: MailboxKey) -> dict[int, frozenset[str]]:
    """The flags of all messages that live."""
    folder = store.state.folder(inbox)
    names = store.state.ledger(inbox.account_id).keywords
    return {uid: frozenset(flag_names(message.flags, names)) for uid, message in sorted(folder.live.items())}


@given(st.integers(0, 2**32), st.integers(1, 60))
@example(12441, 41)
@settings(max_examples=150, deadline=None)
def test_a_cache_is_right_whenever_its_client_comes_back(seed: int, steps: int) -> None:
    """Wherever the connection breaks: what was held back then is told at the next SELECT. RFC 7162 §3.2, §6."""
    asyncio.run(lived(seed, steps))


async def test_known_uids_of_a_quarter_of_a_megabyte() -> None:
    """RFC 7162 §4 advises clients to stay below 8 KB; those that do not are answered."""
    store = MemoryStore()
    await dialogues.prepare(store, ["alice INBOX 4 messages"])
    known = ",".join(str(uid) for uid in range(1, 80_001, 2))
    assert len(known) > 220_000
    async with dialogues.door(store) as door, dialogues.over_socket(door) as client:
        cache = Cache()
        await cache.come(client, random.Random(1))
        await dialogues.meanwhile(store, "expunge INBOX 3")
        await dialogues.meanwhile(store, "expunge INBOX 4")
        await cache.ask(client, f"SELECT INBOX (QRESYNC ({cache.uid_validity} {cache.modseq} {known}))")
        assert sorted(cache.flags) == [1, 2, 4]
        store.state.trim(1)
        await cache.ask(client, f"SELECT INBOX (QRESYNC ({cache.uid_validity} 1 {known},4))")
        assert sorted(cache.flags) == [1, 2]


@given(st.sets(st.integers(1, 60)), st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), max_size=8))
def test_matches_are_those_that_a_loop_finds(uids: set[int], pairs: list[tuple[int, int]]) -> None:
    """RFC 7162 §3.2.5.2."""
    numbers, matches = sorted({number for number, _ in pairs}), sorted({uid for _, uid in pairs})
    both = list(zip(numbers, matches, strict=False))
    known = Known(1, 1, None, runs_of(number for number, _ in both), runs_of(uid for _, uid in both))
    live = sorted(uids)
    right = [uid for number, uid in both if number <= len(live) and live[number - 1] == uid]
    assert known.matched(runs_of(live)) == max(right, default=0)


@pytest.mark.parametrize("gaps", [1, 3000])
def test_vanished_is_cut_into_lines(gaps: int) -> None:
    """Lines stay short, however much went."""
    uids = runs_of(range(1, 2 * gaps, 2))
    lines = Vanished(uids, is_earlier=True).render().split(b"\r\n")[:-1]
    assert all(len(line) < 25_000 for line in lines)
    assert len(lines) == -(-gaps // 1000)
    told = [run for line in lines for run in line.rpartition(b" ")[2].split(b",")]
    assert len(told) == count(uids) == len(list(each(uids)))
