"""ENABLE: RFC 5161, RFC 9051 §6.3.1."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from services.imap.registry import command
from services.imap.session.state import Extension, State
from services.mail.imap.arguments import Arguments
from services.mail.imap.responses import Response, Untagged

if TYPE_CHECKING:
    from services.imap.conversation import Session

# What can be enabled; QRESYNC brings CONDSTORE with it (RFC 7162 §3.2.3).
_EXTENSIONS: Final = {
    "CONDSTORE": ("CONDSTORE", Extension.CONDSTORE),
    "QRESYNC": ("QRESYNC", Extension.QRESYNC | Extension.CONDSTORE),
    "IMAP4REV2": ("IMAP4rev2", Extension.IMAP4REV2),
}


@command("ENABLE", State.LOGGED_IN, capabilities=("ENABLE",))
@dataclass(frozen=True, slots=True)
class Enable:
    """ENABLE: RFC 5161 §3.1. What is unknown is passed over; ENABLED lists what was not enabled before."""

    words: tuple[str, ...]

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        return cls(tuple(dict.fromkeys(args.rest_of(lambda: args.atom("extension")))))

    async def run(self, session: Session) -> AsyncIterator[Response]:
        known = [_EXTENSIONS[word] for word in self.words if word in _EXTENSIONS]
        fresh = [(name, extension) for name, extension in known if extension not in session.state.enabled]
        yield Untagged(" ".join(("ENABLED", *(name for name, _ in fresh))))
        for _, extension in fresh:
            for told in session.updates.enable(extension):
                yield told
        yield session.ok("ENABLE completed")
