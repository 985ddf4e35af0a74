"""`restante trace`: where a letter is.

The rule: a word is looked for as a Message-ID, a sender and a recipient alike, for whoever asks seldom knows more.
"""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

import typer

from services.cli.output import AsJson, refusals, refuse, show, size_of
from services.mail.errors import AccountUnknown, InvalidAddress
from services.mail.store import Store
from services.mail.store.traces import Trace, TraceKind

_MOST: Final = 1000
# What our 250 and Received call a letter.
_ID: Final = re.compile(r"[0-9a-fA-F]{32}")


def trace(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="WHAT",
            help="A Message-ID, an address, or the id that we gave it.",
        ),
    ] = None,
    message_id: Annotated[str, typer.Option("--message-id", metavar="ID", help="With or without < >.")] = "",
    sender: Annotated[str, typer.Option("--from", metavar="ADDRESS", help="The envelope's sender.")] = "",
    recipient: Annotated[str, typer.Option("--to", metavar="ADDRESS", help="The envelope's recipient.")] = "",
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=_MOST, help="At most so many, the newest.")
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """Tell where a letter is: delivered, when and to which folder, and whether it is still there; or refused, and why.

    Exit code 1 where nothing is known of it.
    """
    from services.cli.store import ask_store

    names = _Names(message_id, sender, recipient)
    with refusals():
        if not (what or message_id or sender or recipient):
            raise refuse(
                "say which letter: its Message-ID, its sender or its recipient (--help shows how)", 2
            )
        found = ask_store(lambda store: _find(store, what, names, limit))
    show([_json(each) for each in found], [line for each in found for line in _lines(each)], as_json=as_json)
    if not found:
        raise refuse(
            "nothing is known of such a letter: it never came here, came this moment, or is older than "
            "RESTANTE_STORAGE_TRACE_DAYS",
            1,
        )


@dataclass(frozen=True, slots=True)
class _Names:
    """What a letter goes by; "" is anything."""

    message_id: str
    sender: str
    recipient: str

    def with_word(self, word: str) -> "list[_Names]":
        """The word as each of the names that is not given."""
        return [
            replace(self, **{field.name: word}) for field in fields(self) if not getattr(self, field.name)
        ]


async def _find(store: Store, what: str | None, names: _Names, limit: int) -> Sequence[Trace]:
    async def find(asked: _Names, letter_id: UUID | None = None, account_id: int = 0) -> Sequence[Trace]:
        return await store.traces.find(
            message_id=asked.message_id,
            sender=asked.sender,
            recipient=asked.recipient,
            letter_id=letter_id,
            account_id=account_id,
            most=limit,
        )

    if what is None:
        return await find(names)
    if _ID.fullmatch(what):
        return await find(names, UUID(what))
    answers = await asyncio.gather(*map(find, names.with_word(what)))
    with suppress(AccountUnknown, InvalidAddress):
        # What came to it by an alias, a catch-all, or another spelling.
        account = await store.accounts.find_account(what)
        answers.append(await find(names, account_id=account.account_id))
    # One letter may go by a word in two ways.
    found = {(each.at, each.letter_id, each.recipient, each.uid): each for some in answers for each in some}
    return sorted(found.values(), key=lambda each: -each.at)[:limit]


def _lines(trace: Trace) -> list[str]:
    at = datetime.fromtimestamp(trace.at / 1_000_000, UTC)
    lines = [
        f"{at:%Y-%m-%d %H:%M:%S}Z  {trace.kind.name.lower()}"
        + (f"  {size_of(trace.size)}" if trace.size else "")
        + (f"  id {trace.letter_id.hex}" if trace.letter_id else ""),
        f"    from        <{trace.sender}>" + (f" at {trace.peer}" if trace.peer else ""),
        f"    to          {f'<{trace.recipient}>' if trace.recipient else 'nobody yet'}",
    ]
    if trace.message_id:
        lines.append(f"    Message-ID  <{trace.message_id}>")
    if trace.kind is TraceKind.DELIVERED:
        lines.append(f"    is          {_place(trace)}")
    if trace.dsn:
        lines.append(f"    asked for   {trace.dsn}")
    if trace.detail:
        lines.append(f"    was told    {trace.detail}")
    return lines


def _place(trace: Trace) -> str:
    if not trace.mailbox:
        return "gone with its folder"
    where = f"{trace.mailbox} of {trace.account}, uid {trace.uid}"
    return f"in {where}" if trace.is_there else f"no longer in {where}: moved or deleted since"


def _json(trace: Trace) -> dict[str, Any]:
    return {
        "at": datetime.fromtimestamp(trace.at / 1_000_000, UTC).isoformat(),
        "kind": trace.kind.name.lower(),
        "letter_id": trace.letter_id.hex if trace.letter_id else None,
        "from": trace.sender,
        "to": trace.recipient,
        "message_id": trace.message_id,
        "peer": trace.peer,
        "size": trace.size,
        "detail": trace.detail,
        "dsn": trace.dsn,
        "account_id": trace.account_id or None,
        "account": trace.account or None,
        "mailbox": trace.mailbox or None,
        "uid": trace.uid or None,
        "is_there": trace.is_there,
    }
