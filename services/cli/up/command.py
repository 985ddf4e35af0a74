"""`restante up`: prepares the home, starts everything, shows the card, waits for the signal, stops everything.

The rule: SIGINT, SIGTERM and SIGHUP are taken explicitly, since a shell that starts this in the background has SIGINT
ignored; a second signal ends at once what the first asked to end.
"""

import asyncio
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.markup import escape

from services.cli.processes import DOORS, POSTGRES, STORAGE, check_settings
from services.cli.store import open_accounts
from services.cli.up.card import add_command, address_lines, read_command, send_command
from services.cli.up.home import FirstAccount, Home
from services.cli.up.settings import UpSettings
from services.cli.up.supervisor import Supervisor
from services.cli.up.terminal import on_hangup
from services.mail.errors import AccountUnknown, AddressInUse

LEFTOVER_SECONDS = 15.0


def up(environment: Mapping[str, str]) -> None:
    """Runs the system until it is told to stop. Raises CannotStart."""
    settings = UpSettings.read(environment)
    own_server = () if settings.database_url is None else (POSTGRES,)
    check_settings(environment, [each for each in (POSTGRES, STORAGE, *DOORS) if each not in own_server])
    home = Home(settings.home.resolve())
    # A path of the environment means the folder that the command was given in.
    settings = settings.model_copy(update={"home": home.folder})
    home.prepare(settings)
    lock = home.hold()
    with lock:
        home.outlive_leftovers(LEFTOVER_SECONDS)
        asyncio.run(run(settings, home, environment))


async def run(settings: UpSettings, home: Home, environment: Mapping[str, str]) -> None:
    """Everything between the first process and the last."""
    console = Notices(highlight=False, soft_wrap=True)
    supervisor = Supervisor(settings, home, environment, lambda said: console.print(f"  {escape(said)}"))
    stopping = asyncio.Event()
    with on_hangup(stopping.set):
        listen_for_signals(stopping, supervisor)
        console.print(f"Restante starts in {escape(str(home.folder))}")
        start = asyncio.create_task(start_all(supervisor, settings, home))
        told = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({start, told}, return_when=asyncio.FIRST_COMPLETED)
            if start.done():
                show_card(console, supervisor, start.result(), settings)
                await told
        finally:
            start.cancel()
            told.cancel()
            with suppress(BaseException):
                await start
            if stopping.is_set():
                console.print("stopping")
            await supervisor.stop()
            if stopping.is_set():
                console.print("stopped; the mail is kept")


class Notices(Console):
    """What is said to whoever watches; a terminal or a pipe that is gone (make run | tee) stops nothing."""

    def print(self, *objects: Any, **form: Any) -> None:
        """Prints, or does nothing where nobody listens any more."""
        # rich ends the program when a pipe is gone, in the middle of stopping others.
        with suppress(OSError, SystemExit):
            super().print(*objects, **form)


def listen_for_signals(stopping: asyncio.Event, supervisor: Supervisor) -> None:
    """The first signal stops in order, the second at once."""

    def take() -> None:
        if stopping.is_set():
            supervisor.kill()
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, take)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup wants it ignored
        loop.add_signal_handler(signal.SIGHUP, take)


async def start_all(supervisor: Supervisor, settings: UpSettings, home: Home) -> FirstAccount:
    """Starts the processes, and makes the first account where it is missing."""
    await supervisor.start()
    account = home.first_account(settings.first_account)
    async with open_accounts(",".join(supervisor.targets), settings.token_file) as accounts:
        try:
            await accounts.find_account(account.address)
        except AccountUnknown:
            await accounts.add_domain(account.address.rpartition("@")[2])
            with suppress(AddressInUse):
                await accounts.add_account(account.address, account.password.encode())
    return account


def show_card(console: Console, supervisor: Supervisor, account: FirstAccount, settings: UpSettings) -> None:
    """Prints where everything is and how to try it."""
    services = dict(supervisor.services())
    console.print("\n[bold]Restante is ready[/bold]; Ctrl-C stops it\n")
    for label, text in address_lines(services, supervisor.home.folder):
        console.print(f"  {label:<11}{escape(text)}")
    console.print(f"  {'account':<11}{escape(account.address)}  password {escape(account.password)}")
    console.print("\n  Send a letter:")
    console.print(send_command(services["smtp"]["ports"]["port"], account), markup=False)
    console.print("  Read the newest:")
    certificate = settings.tls_certificate.absolute()
    console.print(read_command(services["imap"]["ports"]["tls_port"], account, certificate), markup=False)
    console.print("  Add an account:")
    console.print(add_command(account), markup=False)
    if shutil.which("curl") is None:
        console.print("  curl is missing: apt-get install curl")
    console.print()
