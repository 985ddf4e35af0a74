"""What the commands print: lines for people, JSON for programs, and one clear line where something is refused.

The rule: answers go to stdout, refusals to stderr with exit code 1 (2 for a wrong setting or argument); never a
traceback for what is not a bug.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from services.mail.errors import AccountUnknown, DomainUnknown, MailError
from services.plumbing.failures import CannotStart, SettingsWrong

# What to do, where the refusal itself, which mail clients hear too, does not say it.
ADVICE = {
    DomainUnknown: "restante domain add takes mail for it",
    AccountUnknown: "restante account list prints those that there are",
}

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextmanager
def refusals() -> Iterator[None]:
    """Turns what was refused into one line and an exit code."""
    try:
        yield
    except SettingsWrong as reason:
        raise refuse(str(reason), 2) from None
    except CannotStart as reason:
        raise refuse(str(reason), 1) from None
    except MailError as refusal:
        advice = ADVICE.get(type(refusal))
        raise refuse(f"{refusal.text}: {advice}" if advice else refusal.text, 1) from None


def refuse(line: str, code: int) -> typer.Exit:
    """Prints the line and gives the exit to raise."""
    sys.stderr.write(f"restante: {line}\n")
    return typer.Exit(code)


def show(answer: dict[str, Any] | list[dict[str, Any]], lines: list[str], *, as_json: bool) -> None:
    """Prints an answer in one of its two forms."""
    sys.stdout.write(json.dumps(answer) + "\n" if as_json else "".join(f"{line}\n" for line in lines))


def size_of(octets: int) -> str:
    """Octets as a person reads them."""
    if octets < 1000:
        return f"{octets} B"
    return f"{octets / 1000:,.1f} kB" if octets < 1_000_000 else f"{octets / 1_000_000:,.1f} MB"
