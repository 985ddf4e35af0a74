"""An account as mbox files, a file for each mailbox, quoted as mboxrd is. RFC 4155.

The rule: a file has its name when it is whole; what stands between From_ line and empty line are the message's octets,
with one ">" more on each line that looks like a From_ line.
"""

import re
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from services.cli.exports.letters import Mail
from services.cli.progress import Meter
from services.cli.sources.mbox import SUFFIX
from services.cli.sources.uidlist import escaped
from services.mail.store.mailboxes import SEPARATOR

_FROM: Final = re.compile(rb"^(>*From )", re.MULTILINE)


class MboxWriter:
    """Writes mailboxes into files of a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def write(self, mail: Mail, meter: Meter) -> list[str]:
        """One mailbox; answers what is not kept of it. Raises OSError, MailError."""
        levels = [
            escaped(level) if level.startswith(".") else level
            for level in mail.opened.mailbox.name.split(SEPARATOR)
        ]
        path = self._path.joinpath(*levels[:-1], f"{levels[-1]}{SUFFIX}")
        listed = await mail.listed()
        if path.exists():
            meter.advance(len(listed), len(listed))
            return []
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.unfinished")
        with unfinished.open("wb") as file:
            async for kept, octets in mail.octets(listed):
                file.write(b"From MAILER-DAEMON %b\n" % time.asctime(time.gmtime(kept.internal_at)).encode())
                await write_quoted(file, octets)
                meter.advance(1, 1)
        unfinished.rename(path)
        return []

    def finish(self, subscribed: Sequence[str]) -> None:
        """Nothing else belongs to an mbox."""


async def write_quoted(file: BinaryIO, octets: AsyncIterator[bytes]) -> None:
    """A message and the empty line behind it, chunk by chunk; one that does not end its last line gets an end."""
    waiting = b""
    async for chunk in octets:
        waiting += chunk
        # What is written ends with a line, so that each line is looked at from its beginning.
        end = waiting.rfind(b"\n") + 1
        file.write(_FROM.sub(rb">\1", waiting[:end]))
        waiting = waiting[end:]
    file.write(_FROM.sub(rb">\1", waiting))
    file.write(b"\n\n" if waiting else b"\n")
