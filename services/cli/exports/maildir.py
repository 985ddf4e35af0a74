"""An account as a Maildir++ with Dovecot's lists, so that Dovecot tells its clients the same UIDs and UIDL.

The rule: a file is written in tmp and named in cur when it is whole; its name says which message it is, so whatever is
there already is not read again.
"""

import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from services.cli.exports.folder import replace_text
from services.cli.exports.letters import Kept, Mail
from services.cli.progress import Meter
from services.cli.sources.maildir import FLAGS
from services.cli.sources.uidlist import KEYWORDS, UIDLIST, Listed, base_name, escaped, write_uidlist
from services.mail.imap.names import encode
from services.mail.store.flags import SYSTEM
from services.mail.store.mailboxes import INBOX, SEPARATOR

_LETTERS: Final = {flag: letter for letter, flag in FLAGS.items()}
# Letters of keywords in file names.
_MOST_KEYWORDS: Final = 26


class MaildirWriter:
    """Writes mailboxes into a Maildir."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def write(self, mail: Mail, meter: Meter) -> list[str]:
        """One mailbox; answers what is not kept of it. Raises OSError, MailError."""
        name = mail.opened.mailbox.name
        folder = self._path if name == INBOX else self._path / f".{file_name(name)}"
        for part in ("cur", "new", "tmp"):
            (folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        if name != INBOX:
            (folder / "maildirfolder").touch()
        listed = await mail.listed()
        used = {flag for kept in listed for flag in kept.flags if flag not in _LETTERS and flag not in SYSTEM}
        letters = dict(zip(sorted(used), "abcdefghijklmnopqrstuvwxyz", strict=False)) | _LETTERS
        await self._write_files(folder, mail, listed, letters, meter)
        keywords = [keyword for keyword in letters if keyword not in _LETTERS]
        lines = [f"{place} {keyword}\n" for place, keyword in enumerate(keywords)]
        replace_text(folder / KEYWORDS, "".join(lines))
        await self._write_uidlist(folder, mail, listed)
        lost = sorted(used - set(letters))
        return [f"keyword {each}: a Maildir folder has {_MOST_KEYWORDS} at most" for each in lost]

    async def _write_files(
        self, folder: Path, mail: Mail, listed: Sequence[Kept], letters: dict[str, str], meter: Meter
    ) -> None:
        uid_validity = mail.opened.mailbox.uid_validity
        there = {base_name(each.name): each.name for each in (folder / "cur").iterdir()}
        wanted = {base(uid_validity, kept): kept for kept in listed}
        for each in there.keys() - wanted.keys():
            (folder / "cur" / there[each]).unlink()
        missing: list[Kept] = []
        for each, kept in wanted.items():
            if each not in there:
                missing.append(kept)
                continue
            meter.advance(1, 1)
            if there[each] != full(each, kept, letters):
                (folder / "cur" / there[each]).rename(folder / "cur" / full(each, kept, letters))
        async for kept, octets in mail.octets(missing):
            name = base(uid_validity, kept)
            unfinished = folder / "tmp" / name
            await write_octets(unfinished, octets)
            os.utime(unfinished, (kept.internal_at, kept.internal_at))
            unfinished.rename(folder / "cur" / full(name, kept, letters))
            meter.advance(1, 1)

    async def _write_uidlist(self, folder: Path, mail: Mail, listed: Sequence[Kept]) -> None:
        mailbox = mail.opened.mailbox
        unique_ids = await mail.unique_ids()
        # POP3 has INBOX alone.
        own = f"{mailbox.uid_validity}." if mailbox.name == INBOX else ""
        messages = [
            (
                base(mailbox.uid_validity, kept),
                Listed(kept.uid, unique_ids.get(kept.uid, own and f"{own}{kept.uid}")),
            )
            for kept in listed
        ]
        text = write_uidlist(mailbox.uid_validity, mail.opened.status.uid_next, messages)
        replace_text(folder / UIDLIST, text)

    def finish(self, subscribed: Sequence[str]) -> None:
        """Writes what belongs to all mailboxes: those that are subscribed, as Dovecot has them."""
        names = ["INBOX" if name == INBOX else file_name(name) for name in subscribed]
        replace_text(self._path / "subscriptions", "".join(f"{name}\n" for name in names))


def file_name(mailbox: str) -> str:
    """A mailbox's name with "." between its levels, in modified UTF-7."""
    return ".".join(encode(escaped(level)).decode("ascii") for level in mailbox.split(SEPARATOR))


def base(uid_validity: int, kept: Kept) -> str:
    """A file's name up to its flags; S= is the size, by Maildir++."""
    return f"{kept.internal_at}.V{uid_validity}U{kept.uid}.restante,S={kept.size}"


def full(name: str, kept: Kept, letters: dict[str, str]) -> str:
    """A file's name."""
    return f"{name}:2,{''.join(sorted(letters[flag] for flag in kept.flags if flag in letters))}"


async def write_octets(path: Path, octets: AsyncIterator[bytes]) -> None:
    """A file of these octets."""
    with path.open("wb") as file:
        async for chunk in octets:
            file.write(chunk)
