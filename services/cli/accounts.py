"""`restante account`: accounts, their passwords and quotas.

The rule: a password is never an argument, since arguments are seen by everybody on the machine.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from services.cli.output import AsJson, refusals, show
from services.cli.passwords import read_password
from services.mail.store.accounts import Account, Accounts, Quota

app = typer.Typer(help="Accounts, their passwords and quotas.", no_args_is_help=True)

Address = Annotated[str, typer.Argument(metavar="NAME@DOMAIN")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from stdin, less one line end at its end.")
]
Octets = Annotated[
    int, typer.Option("--bytes", min=0, help="Octets that the account may hold; 0 is without bound.")
]
Messages = Annotated[
    int, typer.Option("--messages", min=0, help="Messages that it may hold; 0 is without bound.")
]

PAGE = 500


@app.command("add")
def add(
    address: Address,
    password_stdin: FromStdin = False,
    max_bytes: Octets = 0,
    max_messages: Messages = 0,
    as_json: AsJson = False,
) -> None:
    """Make an account with an INBOX, Drafts, Sent, Junk, Trash and Archive."""
    from services.cli.store import ask

    with refusals():
        password = read_password(from_stdin=password_stdin)
        made = ask(lambda accounts: accounts.add_account(address, password, Quota(max_bytes, max_messages)))
    show(asdict(made), [f"{made.address} added"], as_json=as_json)


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """Print every account, one a line."""
    from services.cli.store import ask

    with refusals():
        found = ask(all_accounts)
    show([asdict(each) for each in found], [describe(each) for each in found], as_json=as_json)


@app.command("password")
def password(address: Address, password_stdin: FromStdin = False, as_json: AsJson = False) -> None:
    """Replace an account's password."""
    from services.cli.store import ask

    async def replace(accounts: Accounts) -> Account:
        account = await accounts.find_account(address)
        await accounts.set_password(account.account_id, new)
        return account

    with refusals():
        new = read_password(from_stdin=password_stdin)
        account = ask(replace)
    show(asdict(account), [f"{account.address} has a new password"], as_json=as_json)


@app.command("quota")
def quota(
    address: Address,
    max_bytes: Annotated[
        int | None, typer.Option("--bytes", min=0, help="Octets; 0 is without bound.")
    ] = None,
    max_messages: Annotated[
        int | None, typer.Option("--messages", min=0, help="Messages; 0 is without bound.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what an account holds and may hold; change the bounds that are given."""
    from services.cli.store import ask

    async def change(accounts: Accounts) -> dict[str, object]:
        account = await accounts.find_account(address)
        kept = account.quota
        if max_bytes is not None or max_messages is not None:
            kept = Quota(
                kept.bytes if max_bytes is None else max_bytes,
                kept.messages if max_messages is None else max_messages,
            )
            await accounts.set_quota(account.account_id, kept)
        return {"address": account.address, **asdict(await accounts.usage(account.account_id))}

    with refusals():
        used = ask(change)
    bounds = used["quota"]
    assert isinstance(bounds, dict)
    lines = [f"{used[each]} of {bounds[each] or 'any number of'} {each}" for each in ("bytes", "messages")]
    show(used, lines, as_json=as_json)


async def all_accounts(accounts: Accounts) -> Sequence[Account]:
    """Every account, page by page."""
    found: list[Account] = []
    token = ""
    while True:
        page = await accounts.list_accounts(PAGE, token)
        found += page.accounts
        token = page.next_page_token
        if not token:
            return found


def describe(account: Account) -> str:
    """One line about an account."""
    return account.address if account.is_enabled else f"{account.address}  disabled"
