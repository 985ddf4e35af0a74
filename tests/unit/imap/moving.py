"""Two sessions that live through the same: one stays where it is, the other is moved by its token."""

import random
from dataclasses import dataclass

from services.imap.session.folders import Folders
from services.imap.session.state import Extension, Selected, SessionState
from services.imap.session.token import Token, resume
from services.imap.session.updates import Updates
from services.imap.session.view import View
from services.mail.store import Store
from services.mail.store.accounts import Account
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import FlagChange
from services.mail.store.uids import each

LETTER = b"Subject: x\r\n\r\nx\r\n"
STEPS = ("deliver", "deliver", "flag", "expunge", "own", "silent", "save", "told", "told", "held", "keyword")


@dataclass
class Life:
    """One session and what it was told."""

    store: Store
    state: SessionState
    updates: Updates
    heard: list[bytes]

    @classmethod
    async def begin(cls, store: Store, account: Account, extension: Extension) -> "Life":
        """A session of this account with INBOX selected."""
        state = SessionState(account, enabled=extension)
        opened = await store.mailboxes.open(account.account_id, "INBOX", True)
        state.selected = Selected(opened.mailbox, True, View.of(opened))
        return cls(store, state, Updates(store, state), [])

    @property
    def selected(self) -> Selected:
        """The mailbox."""
        assert self.state.selected is not None
        return self.state.selected

    @property
    def key(self) -> MailboxKey:
        """Its key."""
        return self.selected.mailbox.key

    async def move(self) -> None:
        """Another process takes it up: nothing is left but the octets of its token."""
        token = Token.of(self.state).encode()
        self.state = await resume(self.store, Token.decode(token), Folders())
        self.updates = Updates(self.store, self.state)

    async def live(self, step: str, draw: random.Random) -> None:
        """One step; what is drawn depends on nothing but the seed and the mailbox."""
        messages, view = self.store.messages, self.selected.view
        status = await self.store.mailboxes.sync(self.key, 2**40, 1)
        uids = list(each(status.added)) or [1]
        uid = draw.choice(uids)
        if step == "deliver":
            await messages.append(self.key, LETTER, len(LETTER))
        elif step == "flag":
            await messages.store(
                self.key, ((uid, uid),), FlagChange.ADD, [draw.choice(["\\Seen", "\\Draft"])]
            )
        elif step == "keyword":
            await messages.store(self.key, ((uid, uid),), FlagChange.ADD, [f"k{draw.randrange(4)}"])
        elif step == "expunge":
            await messages.expunge(self.key, ((uid, uid),), even_undeleted=True)
        elif step in ("own", "silent") and view.number(uid):
            change = draw.choice([FlagChange.ADD, FlagChange.REMOVE])
            stored = await messages.store(self.key, ((uid, uid),), change, ["\\Flagged"])
            await self.updates.wrote(self.selected, stored, is_told=step == "own")
        elif step == "save":
            view.saved = view.runs[: draw.randrange(3)]
        elif step in ("told", "held"):
            told = await self.updates.catch_up(self.selected, tells_expunges=step == "told")
            self.heard += [each.render() for each in told]
        marks = (view.uid_next_told, view.expunged_to, view.flags_to, view.runs, view.recent, view.saved)
        self.heard.append(repr(marks).encode())


async def compare(store: Store, accounts: tuple[Account, Account], seed: int, steps: int) -> None:
    """The one that is moved at random points hears what the other one hears."""
    draw = random.Random(seed)
    extension = draw.choice([Extension.NOTHING, Extension.CONDSTORE, Extension.CONDSTORE | Extension.QRESYNC])
    lives = [await Life.begin(store, account, extension) for account in accounts]
    for _ in range(steps):
        step, seed = draw.choice(STEPS), draw.getrandbits(32)
        for life in lives:
            await life.live(step, random.Random(seed))
        if draw.random() < 0.5:
            await lives[1].move()
        assert lives[0].heard == lives[1].heard, f"after {step}"
    assert lives[0].selected.view.runs == lives[1].selected.view.runs
