"""STORE with UNCHANGEDSINCE. RFC 7162 §3.1.3.

The rule: of all who name the same modseq of a message, one at most changes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.faults.stress.model import Message, Model
from tests.faults.stress.replies import Fetch, Reply, Tagged, ranges
from tests.faults.stress.violations import expect
from tests.faults.stress.writing import StoreFlags

if TYPE_CHECKING:
    from tests.faults.stress.client import Client


class StoreUnchanged(StoreFlags):
    """A conditional STORE, never silent: each message is changed and told, or named in MODIFIED."""

    def __init__(
        self,
        model: Model,
        targets: Sequence[Message],
        are_uids: bool,
        mode: str,
        flags: frozenset[str],
        since: int,
    ) -> None:
        super().__init__(model, targets, are_uids, mode, flags, is_silent=False)
        self.since = since
        self.modseqs: dict[Message, list[int]] = {}
        self.newer = {message for message in self.targets if message.modseq > since}
        self.refusals |= set() if are_uids else {"MODIFIED"}

    def octets(self) -> bytes:
        head, item = super().octets().split(f" {self.mode}FLAGS".encode())
        return head + f" (UNCHANGEDSINCE {self.since}) {self.mode}FLAGS".encode() + item

    def heard(self, client: Client, reply: Reply) -> None:
        super().heard(client, reply)
        if isinstance(reply, Fetch) and (modseq := reply.integer("MODSEQ")) is not None:
            self.modseqs.setdefault(self.model.messages[reply.number - 1], []).append(modseq)

    def done(self, client: Client, tagged: Tagged) -> None:
        if not self.model.is_writable:
            super().done(client, tagged)
            return
        self._judge(client, tagged)
        if client.world.is_ours:
            self.leave_out(self._missing(), is_told="MODIFIED" in tagged.code)

    def refused(self, client: Client, tagged: Tagged) -> None:
        if not self.model.is_writable:
            return
        self._judge(client, tagged)
        expect(self._missing(), "EXPUNGEISSUED", f"{self.name} {self.set} passed over nobody")
        self.leave_out(self._missing(), is_told=True)

    def _judge(self, client: Client, tagged: Tagged) -> None:
        named = set(ranges(tagged.code[1])) if tagged.code[:1] == ["MODIFIED"] else set()
        numbered = {message: n for n, message in enumerate(self.model.messages, 1)}
        asked = {
            message.uid if self.are_uids else numbered[message]: message
            for message in self.targets
            if message in numbered
        }
        # By uid, one may be named whose EXPUNGE was told in front of this answer.
        expect(self.are_uids or named <= asked.keys(), "MODIFIED", f"{self.name} {self.set}: {tagged.code}")
        for number, message in asked.items():
            told = self.modseqs.get(message, [])
            if number in named:
                expect(
                    not told or max(told) > self.since,
                    "MODIFIED",
                    f"uid {message.uid} has {told}, not above {self.since}",
                )
            elif told and (place := self.model.place(message)) is not None:
                expect(message not in self.newer, "MODIFIED", f"without uid {message.uid}: {tagged.code}")
                wrong = not any(map(self._is_it, self.told.get(message, [])))
                expect(not wrong, "STORE", f"{self.name} is not what was told of uid {message.uid}")
                # One that had these flags already is told as it was; what is told behind that was done by others.
                if min(told) > self.since:
                    client.ledger.won(place, self.since, min(told))
