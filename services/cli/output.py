"""What the commands print: lines for people, JSON for programs, and one clear line where something is refused. Lists
are in `tables`.

The rule: answers go to stdout, refusals to stderr with exit code 1 (2 for a wrong setting or argument); never a
traceback for what is not a bug; and nothing that came from outside moves the cursor.
"""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from services.mail import errors
from services.mail.errors import MailError
from services.plumbing.failures import CannotStart, SettingsWrong

# What to do, where the refusal itself, which mail clients hear too, does not say it.
ADVICE: Final[dict[type[MailError], str]] = {
    errors.DomainUnknown: "restante domain add takes mail for it",
    errors.DomainInUse: "restante account list and restante alias list print them",
    errors.AccountUnknown: "restante account list prints those that there are",
    errors.AliasUnknown: "restante alias list prints those that there are, and where they lead",
    errors.AliasLoop: "restante alias list prints what leads where",
    errors.TargetUnknown: "restante account list and restante alias list print what there is",
    errors.AddressInUse: "restante account list and restante alias list print what there is",
    errors.InvalidAddress: "an address looks like someone@example.org, a domain like example.org",
    errors.MailboxNotFound: "restante folder list prints those that there are",
    errors.HasChildren: "remove those below it first",
}

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one value a line.")]

IsSure = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?) ?(?:([kmgtpe])(i)?)?b?", re.IGNORECASE)
_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


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
    lines = "\n".join(map(printable, line.split("\n")))
    sys.stderr.write(f"restante: {lines}\n")
    return typer.Exit(code)


def show(answer: dict[str, Any] | list[dict[str, Any]], lines: list[str], *, as_json: bool) -> None:
    """Prints an answer in one of its two forms."""
    if as_json:
        lines = [json.dumps(each) for each in (answer if isinstance(answer, list) else [answer])]
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))


def printable(text: str) -> str:
    """The text without what moves a cursor or hides: each such character becomes U+FFFD."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "\ufffd" for each in text)


def confirm(question: str, *, is_sure: bool) -> None:
    """Asks before what cannot be undone. Raises SettingsWrong without a terminal, CannotStart where it is refused."""
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise SettingsWrong("no terminal to ask whether you are sure: say so with --yes")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CannotStart("nothing was changed")


def size_of(octets: int) -> str:
    """Octets as a person reads them: three digits or more, in units of 1000."""
    size, unit = float(octets), 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.{0 if unit == 0 or size >= 99.95 else 1 if size >= 9.995 else 2}f} {_UNITS[unit]}"


def bound_of(bound: int) -> str:
    """A quota's octets as a person reads them; 0 is without bound."""
    return size_of(bound) if bound else "–"


def read_size(text: str) -> int:
    """Octets from what a person writes: 5GB, 1.5TB, 512MiB, 1000. Raises BadParameter."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no size: write 5GB, 512MiB or a number of octets")
    number, power, is_binary = found[1], "KMGTPE".find((found[2] or "").upper()) + 1, bool(found[3])
    return int(float(number) * (1024 if is_binary else 1000) ** power) if power else int(float(number))


def moment(seconds: int) -> str:
    """A time as programs read it. seconds: since 1970."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def local_time(iso: str) -> str:
    """What `moment` made, as a person reads it here."""
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M")
