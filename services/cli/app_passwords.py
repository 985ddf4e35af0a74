"""`restante account app-password`: passwords for one program each.

The rule: a secret is printed once, when it is made, and is in no other answer.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

import typer

from services.cli.output import AsJson, local_time, moment, refusals, refuse, show
from services.cli.tables import Column, show_table
from services.mail.store import Store
from services.mail.store.accounts import NO_SCOPE, Scope
from services.mail.store.credentials import AppPassword

app = typer.Typer(help="Passwords for one program each, instead of the account's own.", no_args_is_help=True)

T = TypeVar("T")

_DAY: Final = 86400


def _time(iso: str | None) -> str:
    return local_time(iso) if iso else "never"


COLUMNS: Final = (
    Column("number", "NUMBER", is_number=True),
    Column("label", "LABEL"),
    Column("scopes", "SCOPES", ",".join),
    Column("created_at", "MADE", _time),
    Column("expires_at", "ENDS", _time),
    Column("used_at", "USED", _time),
)


class Where(StrEnum):
    """What the scopes are called."""

    IMAP = "imap"
    POP3 = "pop3"
    SMTP = "smtp"


Address = Annotated[str, typer.Argument(metavar="NAME@DOMAIN")]
Label = Annotated[str, typer.Option("--label", help="What it is for, as list prints it.")]
Scopes = Annotated[
    list[Where] | None,
    typer.Option("--scope", help="Where it lets in; may be given again. By default everywhere."),
]
Days = Annotated[int, typer.Option("--days", min=0, help="Days after which it ends; 0 is never.")]


@app.command(
    "add", epilog="Example: restante account app-password add alice@example.org --label phone --scope imap"
)
def add(
    address: Address, label: Label = "app", scope: Scopes = None, days: Days = 0, as_json: AsJson = False
) -> None:
    """Make an app password and print it, this once."""
    scopes = NO_SCOPE
    for each in scope or list(Where):
        scopes |= Scope[each.name]
    expires_at = int(time.time()) + days * _DAY if days else 0
    with refusals():
        made = _ask(
            address,
            lambda store, account_id: store.credentials.add_app_password(
                account_id, label, scopes, expires_at
            ),
        )
    show({**as_object(made.entry), "password": made.password}, [made.password], as_json=as_json)


@app.command("list", epilog="Example: restante account app-password list alice@example.org")
def list_all(address: Address, as_json: AsJson = False) -> None:
    """Print an account's app passwords: number, label, scopes, end and last use."""
    with refusals():
        found = _ask(address, lambda store, account_id: store.credentials.list_app_passwords(account_id))
    show_table(COLUMNS, map(as_object, found), f"{address} has no app passwords", as_json=as_json)


@app.command("remove", epilog="Example: restante account app-password remove alice@example.org 1")
def remove(
    address: Address,
    number: Annotated[int, typer.Argument(min=1, max=2**31 - 1, help="As list prints it.")],
    as_json: AsJson = False,
) -> None:
    """Take an app password away; logins by it fail from now on."""
    with refusals():
        was_there = _ask(
            address, lambda store, account_id: store.credentials.remove_app_password(account_id, number)
        )
    if not was_there:
        raise refuse(f"{address} has no app password {number}: list prints those that there are", 1)
    show({"number": number}, [f"app password {number} removed"], as_json=as_json)


def as_object(entry: AppPassword) -> dict[str, Any]:
    """As JSON has it; null is never."""
    times = ("created_at", "expires_at", "used_at")
    made = {**asdict(entry), "scopes": [str(each) for each in Where if Scope[each.name] in entry.scopes]}
    return made | {name: moment(made[name]) if made[name] else None for name in times}


def _ask(address: str, question: Callable[[Store, int], Awaitable[T]]) -> T:
    from services.cli.store import ask_store

    async def of_account(store: Store) -> T:
        return await question(store, (await store.accounts.find_account(address)).account_id)

    return ask_store(of_account)
