"""A command as its client sends it, and what may come back. RFC 9051 §6.

The rule: what a command may change is noted by `sent`, what it promised by `done`; `lost` is for one that may or may
not have happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from tests.faults.stress.model import Message, Model
from tests.faults.stress.replies import Reply, Tagged
from tests.faults.stress.violations import Violation, expect

if TYPE_CHECKING:
    from tests.faults.stress.client import Client


class Request:
    """One command. refusals: response codes of an expected NO; "" for one without a code."""

    verb: ClassVar[str] = ""
    refusals: frozenset[str] = frozenset()
    # RFC 9051 §7.5.1: FETCH, STORE and SEARCH without UID.
    forbids_expunge = False
    # Whether its arguments hold sequence numbers, so that nothing that may bring EXPUNGE is pipelined before it (§5.5).
    uses_numbers = False
    # Whether the client waits for its end before it sends anything else.
    is_last = False

    def __init__(self) -> None:
        self.tag = ""
        self.floors: dict[tuple[str, str | int], int] = {}

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"{self.tag} {self.verb}"

    def octets(self) -> bytes:
        """The command behind its tag, without the line end."""
        return self.verb.encode()

    def sent(self, client: Client) -> None:
        """Called before it leaves."""
        self.floors = dict(client.ledger.highest)

    def floor(self, kind: str, of: str | int) -> int:
        """What was known when it was sent."""
        return self.floors.get((kind, of), 0)

    def before(self, client: Client, reply: Reply) -> None:
        """Called with each untagged reply while it runs, before the model takes it."""

    def heard(self, client: Client, reply: Reply) -> None:
        """The same, after the model took it."""

    async def go_on(self, client: Client) -> None:
        """The server said `+`. Raises Violation where nothing waits for it."""
        raise Violation("+", f"a continuation during {self.name}")

    def done(self, client: Client, tagged: Tagged) -> None:
        """The server said OK."""

    def refused(self, client: Client, tagged: Tagged) -> None:
        """The server said NO with an expected code."""

    def lost(self, client: Client) -> None:
        """It may or may not have happened."""


class OnMessages(Request):
    """A command on messages by number or uid."""

    def __init__(self, model: Model, targets: Sequence[Message], are_uids: bool) -> None:
        super().__init__()
        self.model = model
        self.targets = list(targets)
        self.are_uids = are_uids
        self.uses_numbers = not are_uids
        self.set = spell(model, targets, are_uids)

    @property
    def name(self) -> str:
        return f"{self.tag} {'UID ' if self.are_uids else ''}{self.verb}"

    def octets(self) -> bytes:
        return f"{'UID ' if self.are_uids else ''}{self.verb} {self.set}".encode()

    def leave_out(self, messages: Iterable[Message], is_told: bool) -> None:
        """An answer passed over these: they must be gone. is_told: the server said so by its NO."""
        for message in messages:
            expect(
                self.are_uids or is_told,
                "left out",
                f"{self.name} {self.set} is OK and passed over uid {message.uid}, which is not told to be gone",
            )
            message.is_left_out = True


def spell(model: Model, targets: Sequence[Message], are_uids: bool) -> str:
    """A set of these messages, in runs. Runs of uids span only neighbours, so they name nobody else."""
    numbers = {id(message): number for number, message in enumerate(model.messages, 1)}
    wanted = sorted(numbers[id(message)] for message in targets)
    runs: list[list[int]] = []
    for number in wanted:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])

    def one(number: int) -> str:
        return str(model.messages[number - 1].uid if are_uids else number)

    return ",".join(one(first) if first == last else f"{one(first)}:{one(last)}" for first, last in runs)
