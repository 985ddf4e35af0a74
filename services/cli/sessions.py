"""`restante sessions`: who is connected, on whichever copies of the doors.

The rule: a session goes by its id or the beginning of it, as it is listed.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from services.cli.output import AsJson, local_time, moment, refusals, refuse, show
from services.cli.tables import Column, show_table
from services.mail.store import Store
from services.mail.store.sessions import Session
from services.plumbing.failures import SettingsWrong

app = typer.Typer(help="Who is connected: by IMAP and POP3, on all copies.", no_args_is_help=True)

# As many hexadecimal digits as are listed.
_SHORT: Final = 12
COLUMNS: Final = (
    Column("session_id", "SESSION", lambda session_id: session_id.replace("-", "")[:_SHORT], is_whole=True),
    Column("address", "ACCOUNT", lambda address: address or "(removed)"),
    Column("door", "PROTOCOL"),
    Column("peer", "FROM"),
    Column("since", "SINCE", local_time, is_whole=True),
)


@app.command("list", epilog="Example: restante sessions list alice@example.org")
def list_all(
    address: Annotated[str, typer.Argument(metavar="NAME@DOMAIN", help="Only this account's.")] = "",
    as_json: AsJson = False,
) -> None:
    """Print who is connected, the longest first; at most 10,000. A new session is seen after a second."""
    from services.cli.store import ask_store

    with refusals():
        found = ask_store(lambda store: _find(store, address))
    nothing = f"{address} is not connected" if address else "nobody is connected"
    show_table(COLUMNS, map(_json, found), nothing, as_json=as_json)


@app.command("end", epilog="Example: restante sessions end 0c5be0b3d1aa")
def end(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="SESSION", help="Ids as listed; the beginning is enough if no other has it."),
    ] = None,
    address: Annotated[
        str, typer.Option("--account", metavar="NAME@DOMAIN", help="All sessions of this account.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """End sessions: within a few seconds a client reads BYE or -ERR, and may connect again (see account disable)."""
    from services.cli.store import ask_store

    async def ask_to_end(store: Store) -> list[Session]:
        found = await _find(store, address)
        wanted = [_one(found, each) for each in ids] if ids else found
        return [each for each in wanted if await store.sessions.end(each.session_id)]

    with refusals():
        if not ids and not address:
            raise SettingsWrong(
                "say which: ids as restante sessions list prints them, or --account NAME@DOMAIN"
            )
        ended = ask_store(ask_to_end)
    lines = [f"{_json(each)['session_id']} of {each.address or 'a removed account'} ends" for each in ended]
    show([_json(each) for each in ended], lines, as_json=as_json)
    if not ended:
        raise refuse("no such session is open any more", 1)


async def _find(store: Store, address: str) -> Sequence[Session]:
    account_id = (await store.accounts.find_account(address)).account_id if address else None
    return await store.sessions.list(account_id)


def _one(sessions: Sequence[Session], beginning: str) -> Session:
    """The session whose id begins so. Raises SettingsWrong."""
    digits = beginning.replace("-", "").lower()
    found = [each for each in sessions if each.session_id.hex.startswith(digits)]
    if len(found) == 1 and digits:
        return found[0]
    how_many = "more than one session begins" if found else "no session begins"
    raise SettingsWrong(f"{how_many} with {beginning!r}: restante sessions list prints them")


def _json(session: Session) -> dict[str, Any]:
    return {
        "session_id": str(session.session_id),
        "address": session.address,
        "door": session.door,
        "peer": session.peer,
        "since": moment(session.opened_at),
    }
