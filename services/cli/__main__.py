"""The command `restante`.

The rule: a command answers in lines or JSON and exits with 0, 1 (refused) or 2 (a wrong setting or argument).
"""

import os
import subprocess
import sys

import typer

from services.cli import accounts, domains
from services.cli.output import refusals

app = typer.Typer(
    help="Restante, a mail store.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(domains.app, name="domain")
app.add_typer(accounts.app, name="account")


@app.command("up")
def up(
    settings: bool = typer.Option(False, "--settings", help="Print the supervisor's settings and end."),
) -> None:
    """Start PostgreSQL, storage and the doors on this machine, and stop them on Ctrl-C."""
    from services.cli.up import command
    from services.cli.up.settings import UpSettings

    with refusals():
        if settings:
            sys.stdout.write(UpSettings.read(os.environ).manual() + "\n")
            return
        command.up(os.environ)


@app.command("migrate")
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
    """The entry point."""
    app(prog_name="restante")


if __name__ == "__main__":
    main()
