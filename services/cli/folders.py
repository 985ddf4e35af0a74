"""`restante folder`: an account's folders.

The rule: names are as people read them, with / between a folder and those below it.
"""

from typing import Annotated, Any, Final

import typer

from services.cli.output import AsJson, IsSure, confirm, refusals, show, size_of
from services.cli.tables import Column, show_table
from services.mail.store import Store
from services.mail.store.mailboxes import DEFAULT_FOLDERS, INBOX, SEPARATOR, canonical_name

app = typer.Typer(help="An account's folders.", no_args_is_help=True)

Address = Annotated[str, typer.Argument(metavar="NAME@DOMAIN", help="The account.")]
Folder = Annotated[str, typer.Argument(metavar="FOLDER", help="Such as Work/Invoices.")]

USES: Final = {use.removeprefix("\\").lower(): use for _, use in DEFAULT_FOLDERS}
COLUMNS: Final = (
    Column("name", "FOLDER"),
    Column("special_use", "USE", lambda use: use.removeprefix("\\").lower()),
    Column("messages", "MESSAGES", "{:,}".format, is_number=True),
    Column("unseen", "UNSEEN", "{:,}".format, is_number=True),
    Column("size", "SIZE", size_of, is_number=True),
    Column("is_subscribed", "SHOWN", lambda is_subscribed: "yes" if is_subscribed else "no"),
)


def read_use(text: str) -> str:
    """A special use by its own word. Raises BadParameter."""
    if text and text.lower() not in USES:
        raise typer.BadParameter(f"{text!r} is no use: there are {', '.join(USES)}")
    return USES[text.lower()] if text else ""


@app.command("list", epilog="Example: restante folder list alice@example.org")
def list_all(address: Address, as_json: AsJson = False) -> None:
    """Print an account's folders with what they hold. SHOWN: whether it is subscribed, so that clients show it."""
    from services.cli.store import ask_store

    async def look(store: Store) -> list[dict[str, Any]]:
        account = await store.accounts.find_account(address)
        found = await store.mailboxes.list(account.account_id, with_statuses=True)
        subscribed = set(found.subscribed)
        return [
            {
                "name": mailbox.name,
                "special_use": mailbox.special_use,
                "messages": status.messages,
                "unseen": status.unseen,
                "size": status.size,
                "is_subscribed": mailbox.name in subscribed,
            }
            for mailbox, status in zip(found.mailboxes, found.statuses, strict=True)
        ]

    with refusals():
        rows = ask_store(look)
    show_table(COLUMNS, rows, f"{address} has no folders", as_json=as_json)


@app.command("create", epilog="Example: restante folder create alice@example.org Work/Invoices")
def create(
    address: Address,
    name: Folder,
    use: Annotated[
        str, typer.Option("--use", parser=read_use, metavar="USE", help=f"What it is for: {', '.join(USES)}.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Make a folder, and those above it, and subscribe to it."""
    from services.cli.store import ask_store

    async def make(store: Store) -> dict[str, Any]:
        account = await store.accounts.find_account(address)
        mailbox = await store.mailboxes.create(account.account_id, name, use)
        await store.mailboxes.subscribe(account.account_id, mailbox.name, True)
        return {"address": account.address, "name": mailbox.name, "special_use": mailbox.special_use}

    with refusals():
        made = ask_store(make)
    show(made, [f"{made['name']} created"], as_json=as_json)


@app.command("rename", epilog="Example: restante folder rename alice@example.org Work Archive/Work")
def rename(
    address: Address,
    name: Folder,
    new_name: Annotated[str, typer.Argument(metavar="NEW", help="The name that it is to have.")],
    as_json: AsJson = False,
) -> None:
    """Rename a folder and those below it. Of INBOX the messages move, and INBOX stays."""
    from services.cli.store import ask_store

    async def move(store: Store) -> None:
        account = await store.accounts.find_account(address)
        await store.mailboxes.rename(account.account_id, name, new_name)
        old, new = canonical_name(name), canonical_name(new_name)
        if old == INBOX:
            # It stays, and so do those below it. RFC 9051 §6.3.6.
            await store.mailboxes.subscribe(account.account_id, new, True)
            return
        # A subscription is to a name (RFC 9051 §6.3.7); whoever renames for somebody else means the folder.
        for subscribed in (await store.mailboxes.list(account.account_id, old)).subscribed:
            if subscribed == old or subscribed.startswith(f"{old}{SEPARATOR}"):
                moved = new + subscribed.removeprefix(old)
                await store.mailboxes.subscribe(account.account_id, moved, True)
                await store.mailboxes.subscribe(account.account_id, subscribed, False)

    with refusals():
        ask_store(move)
    show({"name": name, "new_name": new_name}, [f"{name} is {new_name} now"], as_json=as_json)


@app.command("remove", epilog="Example: restante folder remove alice@example.org Work/Invoices")
def remove(address: Address, name: Folder, yes: IsSure = False, as_json: AsJson = False) -> None:
    """Remove a folder with its messages; there must be none below it."""
    from services.cli.store import ask_store

    async def look(store: Store) -> dict[str, Any]:
        account = await store.accounts.find_account(address)
        mailbox, status = await store.mailboxes.status(account.account_id, name)
        return {"name": mailbox.name, "messages": status.messages}

    async def delete(store: Store) -> None:
        account = await store.accounts.find_account(address)
        await store.mailboxes.delete(account.account_id, name)

    with refusals():
        found = ask_store(look)
        confirm(
            f"Remove {found['name']} with {found['messages']:,} messages?",
            is_sure=yes or not found["messages"],
        )
        ask_store(delete)
    show(found, [f"{found['name']} removed"], as_json=as_json)
