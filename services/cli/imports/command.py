"""`restante import`: its arguments, and what it says at the end.

The rule: whatever stops it, the same command goes on where it was.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from services.cli.imports.importer import Importer, Summary
from services.cli.output import AsJson, refusals, refuse, show
from services.cli.passwords import ask_password
from services.cli.sources import Source, SourceFailed, as_it_is, as_on_the_wire
from services.cli.sources.imap import Security
from services.cli.sources.mbox import Quoting
from services.cli.sources.uidlist import UIDL_FORMAT, formatted
from services.mail.store.mailboxes import INBOX
from services.plumbing.failures import CannotStart, SettingsWrong

app = typer.Typer(
    help="Bring mail from elsewhere into an account: mbox, Maildir, .eml files, or another server by IMAP.",
    epilog=(
        "Each message comes once: after Ctrl-C, a crash, or a month, run the same command again and it brings what is "
        "missing. What cannot be taken is named, and the exit code is then 1; 130 after Ctrl-C."
    ),
    no_args_is_help=True,
)

Address = Annotated[str, typer.Argument(metavar="NAME@DOMAIN", help="The account that gets the mail.")]
AsTheyAre = Annotated[
    bool,
    typer.Option(
        "--keep-line-ends", help="Take octets as they are; else what has the line ends of Unix gets CRLF."
    ),
]
KeepUids = Annotated[
    bool,
    typer.Option(
        "--keep-uids", help="Keep UIDVALIDITY, UIDs and POP3's UIDL, so that no client downloads again."
    ),
]
Into = Annotated[str, typer.Option("--into", help="The mailbox for what has no folder of its own.")]
FROM_STDIN: Final = "Read the other server's password from stdin, less one line end at its end."


@app.command(
    "maildir",
    epilog="Example: restante import maildir someone@example.org /var/mail/someone/Maildir --keep-uids",
)
def maildir(
    address: Address,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="The Maildir: the folder that has cur and new in it.")
    ],
    keep_uids: KeepUids = False,
    uidl_format: Annotated[
        str,
        typer.Option(
            help="The pop3_uidl_format of the server that kept it, of %u and %v; empty for our own."
        ),
    ] = UIDL_FORMAT,
    keep_line_ends: AsTheyAre = False,
    as_json: AsJson = False,
) -> None:
    """Import a Maildir with its Maildir++ folders, flags, keywords and dates; UIDs from its dovecot-uidlist."""
    from services.cli.sources.maildir import Maildir

    check_format(uidl_format)
    run(
        address,
        lambda: Maildir(path, intake(keep_line_ends), uidl_format),
        keep_uids=keep_uids,
        as_json=as_json,
    )


@app.command("mbox", epilog="Example: restante import mbox someone@example.org ~/mail")
def mbox(
    address: Address,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="An mbox file, or a folder of them: a mailbox for each.")
    ],
    into: Into = INBOX,
    quoting: Annotated[
        Quoting,
        typer.Option(
            help="How lines that begin with From are kept: rd and o quote them, cl and cl2 count octets.",
            case_sensitive=False,
        ),
    ] = Quoting.RD,
    keep_line_ends: AsTheyAre = False,
    as_json: AsJson = False,
) -> None:
    """Import mbox files; dates are those of the From lines, flags those of Status, X-Status and X-Keywords."""
    from services.cli.sources.mbox import Mbox

    run(address, lambda: Mbox(path, intake(keep_line_ends), quoting, into), keep_uids=False, as_json=as_json)


@app.command("eml", epilog="Example: restante import eml someone@example.org ~/letters")
def eml(
    address: Address,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A folder of .eml files; folders in it become mailboxes.")
    ],
    into: Into = INBOX,
    keep_line_ends: AsTheyAre = False,
    as_json: AsJson = False,
) -> None:
    """Import .eml files, a message in each; dates are those of their Date fields."""
    from services.cli.sources.eml import Eml

    run(address, lambda: Eml(path, intake(keep_line_ends), into), keep_uids=False, as_json=as_json)


@app.command(
    "imap",
    epilog="Example: restante import imap someone@example.org mail.example.com --login someone --keep-uids",
)
def imap(
    address: Address,
    host: Annotated[str, typer.Argument(metavar="HOST", help="The other server.")],
    login: Annotated[str, typer.Option(help="The login there.")],
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help=FROM_STDIN)] = False,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="993 with TLS, else 143.")] = None,
    security: Annotated[
        Security, typer.Option(help="How the connection is kept private.", case_sensitive=False)
    ] = Security.TLS,
    certificate: Annotated[
        Path | None, typer.Option(help="PEM file to trust, for a certificate that no authority signed.")
    ] = None,
    keep_uids: KeepUids = False,
    uidl_format: Annotated[
        str,
        typer.Option(
            help=f"How its POP3 makes UIDL, of %u and %v: {UIDL_FORMAT} is Dovecot's. Empty: our own."
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Import all mailboxes of an account of another server, which stays as it is."""
    from services.cli.sources.imap import Imap

    check_format(uidl_format)
    with refusals():
        password = ask_password(f"Password of {login} at {host}: ", from_stdin=password_stdin)
        if certificate is not None and not certificate.is_file():
            raise SettingsWrong(f"{certificate} is not there")
    run(
        address,
        lambda: Imap(host, port, security, certificate, (login, password), uidl_format),
        keep_uids=keep_uids,
        as_json=as_json,
    )


def intake(keep_line_ends: bool) -> Callable[[bytes], bytes]:
    """What is done to the octets of a file."""
    return as_it_is if keep_line_ends else as_on_the_wire


def check_format(uidl_format: str) -> None:
    """Refuses a format that we cannot follow."""
    try:
        if uidl_format and formatted(uidl_format, 1, 1) == formatted(uidl_format, 2, 1):
            raise ValueError(f"{uidl_format!r} needs %u, or all messages would have the same")
    except ValueError as error:
        raise refuse(f"--uidl-format: {error}", 2) from None


def run(address: str, open_source: Callable[[], Source], *, keep_uids: bool, as_json: bool) -> None:
    """An import from beginning to end."""
    from services.cli.store import ask_store
    from services.mail.store import Store

    importers: list[Importer] = []

    async def bring(store: Store) -> None:
        account = await store.accounts.find_account(address)
        source = open_source()
        try:
            importers.append(Importer(store, account.account_id, source, keeps_uids=keep_uids))
            await importers[0].run()
        finally:
            source.close()

    with refusals():
        try:
            ask_store(bring)
        except (SourceFailed, OSError) as failure:
            raise CannotStart(str(failure)) from None
        except KeyboardInterrupt:
            summary = importers[0].summary if importers else Summary()
            sys.stderr.write(
                f"stopped after {summary.imported:,} messages; the same command goes on from there\n"
            )
            raise typer.Exit(130) from None
    summary = importers[0].summary
    answer = {
        "imported": summary.imported,
        "already": summary.already,
        "left_out": [{"name": each.name, "reason": each.reason} for each in summary.left_out],
        "notes": summary.notes,
    }
    show(answer, [describe(summary)], as_json=as_json)
    if summary.left_out:
        raise typer.Exit(1)


def describe(summary: Summary) -> str:
    """One line."""
    parts = [f"{summary.imported:,} imported"]
    if summary.already:
        parts.append(f"{summary.already:,} were here already")
    if summary.left_out:
        parts.append(f"{len(summary.left_out):,} left out")
    return ", ".join(parts)
