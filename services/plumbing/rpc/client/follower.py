"""One follower of accounts, whichever copies its changes come from.

The rule: a position moves only with a change that was accepted, and accepted once: after an interruption the last
modseq is asked for again, since part of it may have been missed, and what was seen of it is left out.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from restante.v1 import changes_pb2 as pb

from services.mail.errors import StoreUnavailable
from services.mail.store.changes import Change, Fallen
from services.plumbing.rpc.convert.changes import change_from_wire
from services.plumbing.rpc.errors import from_refusal

# Changes that wait for a slow reader; then the copy is told to stop, and asked again once they were read.
MAX_WAITING: Final = 10_000


class Wire(Protocol):
    """The stream that the followers of a process share."""

    def send(self, request: pb.WatchRequest) -> None:
        """Sends if there is a stream now; what is lost is asked for again when there is one."""
        ...

    def forget(self, number: int) -> None:
        """The follower has ended."""
        ...


@dataclass(slots=True)
class Position:
    """How far an account was followed. seen: what was accepted of the modseq `at`."""

    begun: asyncio.Future[int]
    at: int | None
    seen: list[Change] = field(default_factory=list)

    def since(self) -> int | None:
        """What to ask for now."""
        return self.at - 1 if self.at is not None and self.seen else self.at

    def accepts(self, change: Change) -> bool:
        """Whether it is new; if so, it is the last one seen."""
        if self.at is None or change.modseq < self.at or change in self.seen:
            return False
        if change.modseq > self.at:
            self.at = change.modseq
            self.seen.clear()
        self.seen.append(change)
        return True


class RemoteWatch:
    """The port's Watch."""

    def __init__(self, wire: Wire, number: int, seconds: float) -> None:
        self._wire = wire
        self._number = number
        self._seconds = seconds
        self._positions: dict[int, Position] = {}
        # Adds of an account that were sent and not answered: until then what comes belongs to an older one.
        self._unanswered: dict[int, int] = {}
        self._waiting: deque[Change | Fallen] = deque()
        self._wake = asyncio.Event()
        self._is_paused = False
        self._is_closed = False

    async def add(self, account_id: int, since: int | None = None) -> int:
        self._drop(account_id)
        position = Position(asyncio.get_running_loop().create_future(), since)
        self._positions[account_id] = position
        self._send_add(account_id, position)
        try:
            async with asyncio.timeout(self._seconds):
                return await position.begun
        except BaseException as error:
            if self._positions.get(account_id) is position:
                await self.remove(account_id)
            if isinstance(error, TimeoutError):
                raise StoreUnavailable("storage did not answer in time") from None
            raise

    async def remove(self, account_id: int) -> None:
        self._drop(account_id)
        self._wire.send(
            pb.WatchRequest(follower=self._number, remove=pb.WatchRequest.Remove(account_id=account_id))
        )

    def _drop(self, account_id: int) -> None:
        old = self._positions.pop(account_id, None)
        if old is not None and not old.begun.done():
            old.begun.set_exception(StoreUnavailable("the account was added again, or removed"))
        if self._waiting:
            self._waiting = deque(each for each in self._waiting if each.account_id != account_id)

    async def close(self) -> None:
        self._is_closed = True
        self._wake.set()
        self._wire.send(pb.WatchRequest(follower=self._number, close=pb.WatchRequest.Close()))
        self._wire.forget(self._number)

    def __aiter__(self) -> AsyncIterator[Change | Fallen]:
        return self._follow()

    async def _follow(self) -> AsyncIterator[Change | Fallen]:
        while not self._is_closed:
            while self._waiting and not self._is_closed:
                yield self._waiting.popleft()
            if self._is_paused:
                self._is_paused = False
                self.resume(is_new_stream=False)
            self._wake.clear()
            if not self._waiting and not self._is_closed:
                await self._wake.wait()

    def resume(self, is_new_stream: bool) -> None:
        """Asks again for every account, from where it is."""
        if is_new_stream:
            self._unanswered.clear()
        if not self._is_paused:
            for account_id, position in self._positions.items():
                self._send_add(account_id, position)

    def _send_add(self, account_id: int, position: Position) -> None:
        self._unanswered[account_id] = self._unanswered.get(account_id, 0) + 1
        add = pb.WatchRequest.Add(account_id=account_id, since_modseq=position.since())
        self._wire.send(pb.WatchRequest(follower=self._number, add=add))

    def take(self, event: pb.WatchResponse) -> None:
        """What the stream brought for this follower."""
        match event.WhichOneof("event"):
            case "added":
                self._answered(event.added.account_id)
                self._begin(event.added)
            case "refused":
                self._answered(event.refused.account_id)
                self._refuse(event.refused)
            case "changes":
                for change in event.changes.changes:
                    self._take_change(change_from_wire(change))
            case "behind_floor":
                self._take_fallen(Fallen(event.behind_floor.account_id, event.behind_floor.modseq))
        self._wake.set()
        if len(self._waiting) >= MAX_WAITING and not self._is_paused:
            self._is_paused = True
            self._wire.send(pb.WatchRequest(follower=self._number, close=pb.WatchRequest.Close()))

    def _answered(self, account_id: int) -> None:
        left = self._unanswered.get(account_id, 0) - 1
        if left > 0:
            self._unanswered[account_id] = left
        else:
            self._unanswered.pop(account_id, None)

    def _followed(self, account_id: int) -> Position | None:
        if self._is_paused or account_id in self._unanswered:
            return None
        return self._positions.get(account_id)

    def _begin(self, added: pb.WatchResponse.Added) -> None:
        position = self._followed(added.account_id)
        if position is not None and not position.begun.done():
            position.at = added.since_modseq
            position.begun.set_result(added.since_modseq)

    def _refuse(self, refused: pb.WatchResponse.Refused) -> None:
        position = self._followed(refused.account_id)
        if position is not None:
            del self._positions[refused.account_id]
            if not position.begun.done():
                position.begun.set_exception(from_refusal(refused.refusal))

    def _take_change(self, change: Change) -> None:
        position = self._followed(change.account_id)
        if position is not None and position.accepts(change):
            self._waiting.append(change)

    def _take_fallen(self, fallen: Fallen) -> None:
        position = self._followed(fallen.account_id)
        if position is not None:
            position.at = fallen.modseq
            position.seen.clear()
            self._waiting.append(fallen)
