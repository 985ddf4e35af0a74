"""`restante account`: accounts, their passwords and quotas.

The rule: a password is never an argument, since arguments are seen by everybody on the machine.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any, Final

import typer

from services.cli import app_passwords
from services.cli.output import (
    AsJson,
    IsSure,
    bound_of,
    confirm,
    read_size,
    refusals,
    show,
    size_of,
)
from services.cli.passwords import read_password
from services.cli.tables import Column, show_pages
from services.mail.store import Store
from services.mail.store.accounts import Account, Accounts, Quota, Usage

app = typer.Typer(help="Accounts, their passwords and quotas.", no_args_is_help=True)
app.add_typer(app_passwords.app, name="app-password")

Address = Annotated[str, typer.Argument(metavar="NAME@DOMAIN", help="Its address, and the login.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from stdin, less one line end at its end.")
]
Octets = Annotated[
    int | None,
    typer.Option(
        "--bytes", parser=read_size, metavar="SIZE", help="How much it may hold: 5GB; 0 is without bound."
    ),
]
Messages = Annotated[
    int | None, typer.Option("--messages", min=0, help="Messages that it may hold; 0 is without bound.")
]

PAGE: Final = 1000
COLUMNS: Final = (
    Column("address", "ACCOUNT"),
    Column("is_enabled", "STATE", lambda is_enabled: "enabled" if is_enabled else "disabled"),
    Column("messages", "MESSAGES", "{:,}".format, is_number=True),
    Column("bytes", "SIZE", size_of, is_number=True),
    Column("quota_bytes", "QUOTA", bound_of, is_number=True),
    Column("full", "FULL", lambda full: f"{full:.0%}" if full is not None else "", is_number=True),
)


@app.command("add", epilog="Example: restante account add alice@example.org --bytes 5GB")
def add(
    address: Address,
    password_stdin: FromStdin = False,
    max_bytes: Octets = None,
    max_messages: Messages = None,
    as_json: AsJson = False,
) -> None:
    """Make an account with an INBOX, Drafts, Sent, Junk, Trash and Archive. Asks for its password."""
    from services.cli.store import ask

    with refusals():
        password = read_password(from_stdin=password_stdin)
        quota = Quota(max_bytes or 0, max_messages or 0)
        made = ask(lambda accounts: accounts.add_account(address, password, quota))
    show(json_of(made), [f"{made.address} added"], as_json=as_json)


@app.command("list", epilog="Example: restante account list @example.org --full 90")
def list_all(
    part: Annotated[
        str, typer.Argument(metavar="PART", help="Only addresses that contain this, such as @example.org.")
    ] = "",
    percent: Annotated[
        int,
        typer.Option("--full", min=0, metavar="PERCENT", help="Only those whose quota is so full at least."),
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Print every account with what it holds and may hold."""
    from services.cli.store import ask_store

    async def pages(store: Store) -> AsyncIterator[list[dict[str, Any]]]:
        token = ""
        while True:
            page = await store.accounts.list_accounts(PAGE, token)
            rows = map(row_of, page.accounts, page.usages)
            yield [
                row
                for row in rows
                if part.lower() in row["address"] and (not percent or (row["full"] or 0) * 100 >= percent)
            ]
            token = page.next_page_token
            if not token:
                return

    nothing = "no such account" if part or percent else "no accounts yet: restante account add makes one"
    with refusals():
        ask_store(lambda store: show_pages(COLUMNS, pages(store), nothing, as_json=as_json))


@app.command("show", epilog="Example: restante account show alice@example.org")
def show_one(address: Address, as_json: AsJson = False) -> None:
    """Print all about one account: what it holds and may hold, its aliases, and who is connected."""
    from services.cli.store import ask_store

    async def look(store: Store) -> dict[str, Any]:
        account = await store.accounts.find_account(address)
        usage = await store.accounts.usage(account.account_id)
        aliases = await store.aliases.list(PAGE, "", account.address)
        return {
            **row_of(account, usage),
            "aliases": [each.address for each in aliases.aliases],
            "sessions": len(await store.sessions.list(account.account_id)),
        }

    with refusals():
        found = ask_store(look)
    lines = [
        f"account   {found['address']}",
        f"state     {'enabled' if found['is_enabled'] else 'disabled'}",
        *quota_lines(found),
        f"aliases   {', '.join(found['aliases']) or 'none'}",
        f"sessions  {found['sessions'] or 'none'}",
    ]
    show(found, lines, as_json=as_json)


@app.command("password", epilog="Example: restante account password alice@example.org")
def password(address: Address, password_stdin: FromStdin = False, as_json: AsJson = False) -> None:
    """Replace an account's password. Asks for it."""
    from services.cli.store import ask

    async def change(accounts: Accounts) -> Account:
        account = await accounts.find_account(address)
        await accounts.set_password(account.account_id, new)
        return account

    with refusals():
        new = read_password(from_stdin=password_stdin)
        account = ask(change)
    show(json_of(account), [f"{account.address} has a new password"], as_json=as_json)


@app.command("apop", epilog="Example: restante account apop alice@example.org")
def apop(
    address: Address,
    password_stdin: FromStdin = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take the secret away; APOP is refused then.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Give an account a secret for POP3's APOP, not its password: it is kept readable. Needs RESTANTE_APOP=true."""
    from services.cli.store import ask

    async def change(accounts: Accounts) -> Account:
        account = await accounts.find_account(address)
        await accounts.set_apop_secret(account.account_id, secret)
        return account

    with refusals():
        secret = None if remove else read_password(from_stdin=password_stdin, prompt="APOP secret")
        account = ask(change)
    state = "no APOP secret any more" if remove else "a new APOP secret"
    show(json_of(account), [f"{account.address} has {state}"], as_json=as_json)


@app.command("quota", epilog="Example: restante account quota alice@example.org --bytes 5GB --messages 0")
def quota(
    address: Address, max_bytes: Octets = None, max_messages: Messages = None, as_json: AsJson = False
) -> None:
    """Print what an account holds and may hold; change the bounds that are given."""
    from services.cli.store import ask

    async def change(accounts: Accounts) -> dict[str, Any]:
        account = await accounts.find_account(address)
        kept = account.quota
        if max_bytes is not None or max_messages is not None:
            kept = Quota(
                kept.bytes if max_bytes is None else max_bytes,
                kept.messages if max_messages is None else max_messages,
            )
            await accounts.set_quota(account.account_id, kept)
        return row_of(replace(account, quota=kept), await accounts.usage(account.account_id))

    with refusals():
        found = ask(change)
    show(found, quota_lines(found), as_json=as_json)


@app.command("disable", epilog="Example: restante account disable alice@example.org")
def disable(address: Address, as_json: AsJson = False) -> None:
    """Let an account neither log in nor take mail; it keeps what it holds, and its sessions end."""
    from services.cli.store import ask_store

    async def close(store: Store) -> Account:
        account = await store.accounts.find_account(address)
        await store.accounts.set_enabled(account.account_id, False)
        for session in await store.sessions.list(account.account_id):
            await store.sessions.end(session.session_id)
        return replace(account, is_enabled=False)

    with refusals():
        account = ask_store(close)
    show(json_of(account), [f"{account.address} is disabled"], as_json=as_json)


@app.command("enable", epilog="Example: restante account enable alice@example.org")
def enable(address: Address, as_json: AsJson = False) -> None:
    """Let an account log in and take mail again."""
    from services.cli.store import ask

    async def reopen(accounts: Accounts) -> Account:
        account = await accounts.find_account(address)
        await accounts.set_enabled(account.account_id, True)
        return replace(account, is_enabled=True)

    with refusals():
        account = ask(reopen)
    show(json_of(account), [f"{account.address} is enabled"], as_json=as_json)


@app.command("remove", epilog="Example: restante account remove alice@example.org")
def remove(address: Address, yes: IsSure = False, as_json: AsJson = False) -> None:
    """Remove an account with all its mail, out of all aliases; its sessions end. This cannot be undone."""
    from services.cli.store import ask

    async def look(accounts: Accounts) -> tuple[Account, Usage]:
        account = await accounts.find_account(address)
        return account, await accounts.usage(account.account_id)

    with refusals():
        account, usage = ask(look)
        confirm(f"Remove {account.address} with {usage.messages:,} messages?", is_sure=yes)
        ask(lambda accounts: accounts.remove_account(account.account_id))
    show(row_of(account, usage), [f"{account.address} removed"], as_json=as_json)


def json_of(account: Account) -> dict[str, Any]:
    """An account as JSON tells it."""
    return {
        "account_id": account.account_id,
        "address": account.address,
        "is_enabled": account.is_enabled,
        "quota_bytes": account.quota.bytes,
        "quota_messages": account.quota.messages,
    }


def row_of(account: Account, usage: Usage) -> dict[str, Any]:
    """An account and what it holds, as JSON tells it. full: the fuller of its two bounds; None without any."""
    quota = usage.quota
    shares = [
        held / bound
        for held, bound in ((usage.bytes, quota.bytes), (usage.messages, quota.messages))
        if bound
    ]
    return {
        **json_of(account),
        "bytes": usage.bytes,
        "messages": usage.messages,
        "full": round(max(shares), 4) if shares else None,
    }


def quota_lines(row: dict[str, Any]) -> list[str]:
    """What a row says of an account's room, for people."""
    held, bound = size_of(row["bytes"]), row["quota_bytes"]
    messages, most = row["messages"], row["quota_messages"]
    return [
        f"size      {held} of {size_of(bound)}" if bound else f"size      {held}, without bound",
        f"messages  {messages:,} of {most:,}" if most else f"messages  {messages:,}, without bound",
    ]
