"""Another server, by IMAP: every mailbox that the login may read, with flags, dates and uids. RFC 3501.

The rule: mailboxes are only examined, and bodies only peeked at: nothing changes there. What is here already is not
fetched again.
"""

import ast
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Any, Final

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from services.cli.sources import (
    Broken,
    Folder,
    Letter,
    SourceFailed,
    in_range,
    known_flags,
    with_octets,
)
from services.cli.sources.uidlist import formatted
from services.mail.store.mailboxes import INBOX, SEPARATOR

TIMEOUT_SECONDS: Final = 60.0
# Messages that are asked for at once, and about the octets of them.
_LISTED: Final = 2000
_FETCHED_OCTETS: Final = 4 * 1024 * 1024


class Security(StrEnum):
    """How the connection is kept private."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


class Imap:
    """One account of another server. uidl_format: how its POP3 makes unique ids; "" for none of them."""

    def __init__(
        self,
        host: str,
        port: int | None,
        security: Security,
        certificate: Path | None,
        login: tuple[str, bytes],
        uidl_format: str,
    ) -> None:
        self._uidl_format = uidl_format
        self._names: dict[str, Any] = {}
        self._selected = ""
        # The next letters are listed in one thread while octets are fetched in another.
        self._lock = Lock()
        context = ssl.create_default_context(cafile=str(certificate) if certificate else None)
        is_tls = security is Security.TLS
        port = port or (993 if is_tls else 143)
        self.identity = f"imap {login[0]}@{host}:{port}"
        with failing(f"{host}:{port}"):
            self._client = IMAPClient(
                host, port, ssl=is_tls, ssl_context=context if is_tls else None, timeout=TIMEOUT_SECONDS
            )
            if security is Security.STARTTLS:
                self._client.starttls(context)
            self._client.normalise_times = False
            self._client.login(login[0], login[1].decode("utf-8", "surrogateescape"))

    def folders(self) -> Iterator[Folder | Broken]:
        """All that can be selected."""
        with failing("the list of mailboxes"):
            listed = self._client.list_folders()
        for attributes, delimiter, told in listed:
            if b"\\Noselect" in attributes or b"\\NonExistent" in attributes:
                continue
            name = str(told)
            separator = delimiter.decode() if delimiter else ""
            if separator and separator != SEPARATOR:
                if SEPARATOR in name:
                    yield Broken(name, 'its name has a "/" in it, which would be a level here')
                    continue
                name = name.replace(separator, SEPARATOR)
            name = INBOX if name.upper() == INBOX else name
            try:
                with failing(f"mailbox {name}"):
                    counts = self._client.folder_status(told, ["MESSAGES", "UIDVALIDITY", "UIDNEXT"])
            except SourceFailed as failure:
                yield Broken(name, str(failure))
                continue
            self._names[name] = told
            yield Folder(name, counts[b"MESSAGES"], counts.get(b"UIDVALIDITY", 0), counts.get(b"UIDNEXT", 0))

    @contextmanager
    def _examined(self, folder: Folder) -> Iterator[IMAPClient]:
        """The connection for oneself, with this mailbox selected."""
        with self._lock, failing(f"mailbox {folder.name}"):
            if self._selected != folder.name:
                self._selected = ""  # also where it fails: RFC 9051 §6.3.2
                told = self._client.select_folder(self._names[folder.name], readonly=True)
                self._selected = folder.name
                if folder.uid_validity and told.get(b"UIDVALIDITY") != folder.uid_validity:
                    raise SourceFailed(f"mailbox {folder.name} was made anew meanwhile: import once more")
            yield self._client

    def letters(self, folder: Folder) -> Iterator[Letter | Broken]:
        """Its messages without their octets, by uid."""
        with self._examined(folder) as client:
            uids = sorted(client.search("ALL"))
        for start in range(0, len(uids), _LISTED):
            some = uids[start : start + _LISTED]
            with self._examined(folder) as client:
                found = client.fetch(some, ["FLAGS", "INTERNALDATE", "RFC822.SIZE"])
            for uid in some:
                row = found.get(uid)
                # What was expunged meanwhile is no loss.
                if row is not None:
                    yield self._letter(folder, uid, row)

    def _letter(self, folder: Folder, uid: int, row: dict[bytes, Any]) -> Letter:
        at = row.get(b"INTERNALDATE")
        unique_id = ""
        if folder.name == INBOX and self._uidl_format:
            unique_id = formatted(self._uidl_format, uid, folder.uid_validity)
        return Letter(
            name=f"{folder.name} uid {uid}",
            identity=f"{folder.uid_validity} {uid}",
            octets=None,
            size=row.get(b"RFC822.SIZE", 0),
            flags=known_flags(flag.decode("ascii", "replace") for flag in row.get(b"FLAGS", ())),
            internal_at=in_range(int(at.timestamp())) if isinstance(at, datetime) else None,
            uid=uid,
            unique_id=unique_id,
        )

    def read(self, folder: Folder, letters: Sequence[Letter]) -> Iterator[Letter | Broken]:
        """Some at a time."""
        waiting: list[Letter] = []
        for letter in letters:
            waiting.append(letter)
            if sum(each.size for each in waiting) >= _FETCHED_OCTETS:
                yield from self._fetch(folder, waiting)
                waiting = []
        yield from self._fetch(folder, waiting)

    def _fetch(self, folder: Folder, letters: Sequence[Letter]) -> Iterator[Letter | Broken]:
        if not letters:
            return
        with self._examined(folder) as client:
            found = client.fetch([letter.uid for letter in letters], ["BODY.PEEK[]"])
        for letter in letters:
            octets = found.get(letter.uid, {}).get(b"BODY[]")
            if isinstance(octets, bytes):
                yield with_octets(letter, octets)
            else:
                yield Broken(letter.name, "the server gives no octets for it")

    def close(self) -> None:
        """Says goodbye, behind what a thread may still be reading."""
        with self._lock, suppress(IMAPClientError, OSError):
            self._client.logout()


@contextmanager
def failing(what: str) -> Iterator[None]:
    """Raises SourceFailed with what it was, for whatever goes wrong between here and the server."""
    try:
        yield
    except (IMAPClientError, OSError, ssl.SSLError) as error:
        advice = (
            "; --certificate names one to trust" if isinstance(error, ssl.SSLCertVerificationError) else ""
        )
        raise SourceFailed(f"{what}: {_told(error)[:300] or type(error).__name__}{advice}") from None


def _told(error: Exception) -> str:
    """What an error says; imapclient writes what the server said as a literal of octets."""
    text = str(error)
    if text.startswith(("b'", 'b"')):
        with suppress(ValueError, SyntaxError):
            return bytes(ast.literal_eval(text)).decode("utf-8", "replace")
    return text
