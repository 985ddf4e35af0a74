"""`restante export`: its arguments, and what it says at the end."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from services.cli.exports.exporter import Summary, Writer, export
from services.cli.exports.folder import MISSING, Target
from services.cli.output import AsJson, printable, refusals, show

app = typer.Typer(
    help="Write an account's mail into files, octet for octet: a Maildir or mbox files.",
    epilog=(
        f"The folder is new, or an export that was stopped: the same command goes on with it. While something is "
        f"missing, the file {MISSING} is in it and says what; the exit code is then 1, and 130 after Ctrl-C."
    ),
    no_args_is_help=True,
)

Address = Annotated[str, typer.Argument(metavar="NAME@DOMAIN", help="The account whose mail it is.")]
Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Where it goes: a folder that is new or empty.")
]


@app.command("maildir", epilog="Example: restante export maildir someone@example.org /tmp/someone")
def maildir(address: Address, folder: Folder, as_json: AsJson = False) -> None:
    """Write a Maildir++ with flags, keywords, dates, and dovecot-uidlist, so that Dovecot keeps UIDs and UIDL."""
    from services.cli.exports.maildir import MaildirWriter

    run(address, Target(folder, "maildir", address), MaildirWriter(folder), as_json=as_json)


@app.command("mbox", epilog="Example: restante export mbox someone@example.org /tmp/someone")
def mbox(address: Address, folder: Folder, as_json: AsJson = False) -> None:
    """Write an mbox file (mboxrd) for each mailbox: octets and dates; an mbox keeps no flags and no UIDs."""
    from services.cli.exports.mbox import MboxWriter

    run(address, Target(folder, "mbox", address), MboxWriter(folder), as_json=as_json)


def run(address: str, target: Target, writer: Writer, *, as_json: bool) -> None:
    """An export from beginning to end."""
    from services.cli.store import ask_store
    from services.mail.store import Store

    summary = Summary()

    async def write(store: Store) -> None:
        account = await store.accounts.find_account(address)
        await export(store, account.account_id, target, writer, summary)

    with refusals():
        try:
            ask_store(write)
        except KeyboardInterrupt:
            sys.stderr.write(
                f"stopped after {summary.messages:,} messages; the same command goes on from there\n"
            )
            raise typer.Exit(130) from None
    for note in summary.notes:
        sys.stderr.write(f"not kept: {printable(note)}\n")
    line = f"{summary.messages:,} messages in {summary.mailboxes:,} mailboxes"
    if summary.missing:
        line += f"; {len(summary.missing):,} mailboxes are missing, {target.path / MISSING} says why"
    show(asdict(summary), [line], as_json=as_json)
    if summary.missing:
        raise typer.Exit(1)
