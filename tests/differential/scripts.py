"""Dialogues as text: what a client says; what is answered is the other server's to know.

    # A title. RFC 3501 §6.4.5.
    given 3 messages            the mailbox `box` with that many letters, selected
    given alternative.eml       one of tests/samples in it
    given fresh                 not logged in
    given alone                 an account that no other dialogue has
    C: FETCH 1 FLAGS            a command without its tag
    B: ...                      the same on a second connection, logged in
    +: DONE                     the next line of a command that was answered with `+`
    wait C EXISTS               untagged replies to a connection up to one with that word
    raw: ...                    octets without a tag

The rule: a line is sent as it stands, but for ⏎ (CR LF), «0a» (octets in hex), «x*9» (x nine times), ‹x› (a literal
that is sent at once), ‹!x› (one that waits for `+`), and what a server has said before: $uidvalidity, $highest, $modseq
(of a FETCH), and $name after `keep name` (the highest modseq).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

DOMAIN: Final = "differ.example.org"
FOLDER: Final = Path(__file__).with_name("dialogues")
_LINE: Final = re.compile(r"([A-Z+]|raw|wait|keep|given):? ?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Step:
    """One line: its verb, and its text."""

    verb: str
    text: str


@dataclass(frozen=True, slots=True)
class Script:
    """One dialogue."""

    file: str
    title: str
    givens: tuple[str, ...]
    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        """How the list of differences names it."""
        return f"{self.file}: {self.title}"

    @property
    def is_alone(self) -> bool:
        """Whether its account is no other's: dialogues about INBOX and keywords leave something behind."""
        return "alone" in self.givens or any("inbox" in step.text.lower() for step in self.steps)

    @property
    def login(self) -> str:
        """Whose mail it is about."""
        local = f"{self.file}-{crc32(self.title.encode()):08x}" if self.is_alone else self.file
        return f"{local}@{DOMAIN}"

    @property
    def is_one_stream(self) -> bool:
        """Whether it may be played once more, all at once: one connection, and nothing that is waited for."""
        if self.is_alone or "fresh" in self.givens:
            return False
        return all(
            step.verb == "C"
            and not re.search(r"\{\d+\}⏎|‹!|^(IDLE|AUTHENTICATE|STARTTLS|LOGOUT)", step.text, re.IGNORECASE)
            for step in self.steps
        )


def read_all() -> list[Script]:
    """Every dialogue there is. Raises ValueError where two have one name."""
    found = [script for path in sorted(FOLDER.glob("*.txt")) for script in _read(path)]
    names = [script.name for script in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two dialogues have one title: {twice}")
    return found


def _read(path: Path) -> list[Script]:
    scripts = []
    for block in re.split(r"^# ", path.read_text(), flags=re.MULTILINE)[1:]:
        title, *lines = block.strip().split("\n")
        steps = [_step(path, line) for line in lines if line.strip()]
        givens = tuple(step.text for step in steps if step.verb == "given")
        title = re.split(r"\. RFC ", title)[0].rstrip(".")
        scripts.append(
            Script(path.stem, title, givens, tuple(step for step in steps if step.verb != "given"))
        )
    return scripts


def _step(path: Path, line: str) -> Step:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValueError(f"{path.name}: no such line: {line}")
    return Step(found[1], found[2])


def octets(text: str, said: dict[str, bytes]) -> bytes:
    """A line as it is sent."""
    for name in sorted(said, key=len, reverse=True):
        text = text.replace(f"${name}", said[name].decode())
    whole = b""
    for piece in re.split(r"(‹[^›]*›|«[^»]*»|⏎)", text):
        if piece == "⏎":
            whole += b"\r\n"
        elif piece.startswith("‹"):
            waits = piece.startswith("‹!")
            literal = octets(piece[1 + waits : -1], {})
            whole += b"{%d%b}\r\n%b" % (len(literal), b"" if waits else b"+", literal)
        elif piece.startswith("«") and "*" in piece:
            repeated, _, times = piece[1:-1].rpartition("*")
            whole += repeated.encode() * int(times)
        else:
            whole += bytes.fromhex(piece[1:-1]) if piece.startswith("«") else piece.encode()
    return whole
