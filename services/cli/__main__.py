"""The command `restante`.

The rule: a command answers in lines or JSON and exits with 0, 1 (refused) or 2 (a wrong setting or argument).
"""

import errno
import io
import os
import subprocess
import sys
from typing import Annotated

import typer

from services.cli import accounts, aliases, domains, folders, sessions, traces, upkeep
from services.cli.exports import command as exporting
from services.cli.imports import command as importing
from services.cli.output import refusals
from services.plumbing.failures import SettingsWrong

EPILOG = (
    "`up` comes first; the others speak with what runs. The environment sets everything (`settings` lists "
    "it): RESTANTE_HOME names the folder, RESTANTE_STORAGE and RESTANTE_TOKEN_FILE a storage elsewhere. Exit codes: 0, "
    "1 refused, 2 a wrong setting or argument."
)

app = typer.Typer(
    help="Restante, a mail store.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(domains.app, name="domain")
app.add_typer(accounts.app, name="account")
app.add_typer(aliases.app, name="alias")
app.add_typer(folders.app, name="folder")
app.add_typer(sessions.app, name="sessions")
app.command("trace", epilog="Example: restante trace alice@example.org --from bob@example.com")(traces.trace)
app.command("verify", epilog="Example: restante verify alice@example.org")(upkeep.verify)
app.add_typer(importing.app, name="import")
app.add_typer(exporting.app, name="export")


def show_version(is_asked: bool) -> None:
    """What --version prints."""
    if is_asked:
        from importlib.metadata import version

        sys.stdout.write(f"restante {version('restante')}\n")
        raise typer.Exit


@app.callback()
def options(
    is_version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and end."),
    ] = False,
) -> None:
    """Restante, a mail store."""


@app.command("up", epilog="Example: restante up")
def up() -> None:
    """Start PostgreSQL, storage and the doors on this machine, and stop them on Ctrl-C."""
    from services.cli.up import command

    with refusals():
        command.up(os.environ)


@app.command("settings", epilog="Example: restante settings imap")
def settings(
    process: Annotated[
        str | None, typer.Argument(metavar="PROCESS", help="up, postgres, storage, smtp, imap or pop3.")
    ] = None,
) -> None:
    """Print the settings of all processes or of one, with what each is for and what it is now."""
    from services.cli.processes import SETTINGS, manual

    with refusals():
        if process is not None and process not in SETTINGS:
            raise SettingsWrong(f"there is no {process}: there are {', '.join(SETTINGS)}")
        sys.stdout.write(manual(os.environ, [process] if process else SETTINGS) + "\n")


@app.command("migrate", epilog="Example: restante migrate")
def migrate() -> None:
    """Bring the schema of the database up to date; safe when several do at once."""
    from services.cli.store import CliSettings
    from services.cli.up.home import Home

    with refusals():
        settings = CliSettings.read()
        environment = dict(os.environ)
        if settings.database_url is None:
            environment["RESTANTE_DATABASE_URL"] = Home(settings.home).embedded_url()
    command = [sys.executable, "-P", "-m", "services.storage", "migrate"]
    raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)


def main() -> None:
    """The entry point. What a terminal's encoding cannot show is shown as ?, and ends nothing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        try:
            app(prog_name="restante")
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EPIPE}:
            raise
        if error.errno != errno.EPIPE:
            sys.stderr.write(f"restante: the answer cannot be written: {error.strerror}\n")
        # What waits to be written would be tried once more, and complained of, as the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
