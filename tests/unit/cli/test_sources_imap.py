"""Another server by IMAP: what is asked of it, and how. Real ones are in tests/e2e/test_moving.py."""

from datetime import UTC, datetime
from typing import Any

import pytest
from imapclient.exceptions import IMAPClientError

from services.cli.sources import Broken, Folder, SourceFailed
from services.cli.sources import imap as module
from services.cli.sources.imap import Imap, Security

NAMES = [((), b".", "INBOX"), ((), b".", "Work.Old"), ((b"\\Noselect",), b".", "None"), ((), b".", "a/b")]


class Client:
    """A server with three messages in each mailbox. uid 2 has no octets. source: who talks to it."""

    source: Imap
    uid_validity = 5
    broken = ""

    def __init__(self, *_: object, **__: object) -> None:
        self.asked: list[str] = []

    def login(self, *_: object) -> None:
        """Anybody."""

    def list_folders(self) -> list[Any]:
        return NAMES

    def folder_status(self, *_: object) -> dict[bytes, int]:
        return {b"MESSAGES": 3, b"UIDVALIDITY": 5, b"UIDNEXT": 9}

    def select_folder(self, name: str, readonly: bool) -> dict[bytes, int]:
        assert readonly
        assert self.source._lock.locked()
        self.asked.append(f"examine {name}")
        if name == self.broken:
            raise IMAPClientError("not now")
        return {b"UIDVALIDITY": self.uid_validity}

    def search(self, _: str) -> list[int]:
        assert self.source._lock.locked()
        return [3, 1, 2]

    def fetch(self, uids: list[int], items: list[str]) -> dict[int, dict[bytes, Any]]:
        assert self.source._lock.locked()
        self.asked.append(f"fetch {uids} {items[0]}")
        if items == ["BODY.PEEK[]"]:
            return {uid: {b"BODY[]": b"x" * uid if uid != 2 else None} for uid in uids}
        at = datetime(2026, 11, 2, 10, 0, 1, tzinfo=UTC)
        return {
            uid: {b"FLAGS": (b"\\Seen", b"\\Recent"), b"INTERNALDATE": at, b"RFC822.SIZE": uid}
            for uid in uids
        }

    def logout(self) -> None:
        assert self.source._lock.locked()
        raise IMAPClientError("gone")


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Imap:
    """One that talks to it."""
    monkeypatch.setattr(module, "IMAPClient", Client)
    found = Imap("there", None, Security.NONE, None, ("me", b"secret"), "%08Xu%08Xv")
    client: Any = found._client
    client.source = found
    return found


def test_mailboxes_letters_and_octets(source: Imap) -> None:
    """Only examined, only peeked at, and the connection is used by one thread at a time."""
    found = list(source.folders())
    inbox, work = [each for each in found if isinstance(each, Folder)]
    assert (inbox.name, work.name) == ("INBOX", "Work/Old")
    assert [each.name for each in found if isinstance(each, Broken)] == ["a/b"]
    letters: list[Any] = list(source.letters(inbox))
    assert [each.uid for each in letters] == [1, 2, 3]
    assert letters[0].flags == ("\\Seen",)
    assert letters[0].internal_at == 1793613601
    assert [each.unique_id for each in letters][:1] == ["0000000100000005"]
    assert [each.unique_id for each in source.letters(work) if not isinstance(each, Broken)] == ["", "", ""]
    read = list(source.read(inbox, letters))
    assert [getattr(each, "octets", None) for each in read] == [b"x", None, b"xxx"]
    assert isinstance(read[1], Broken)
    asked: list[str] = source._client.asked
    assert [each for each in asked if each.startswith("examine")] == [
        "examine INBOX",
        "examine Work.Old",
        "examine INBOX",
    ]
    source.close()


def test_after_a_mailbox_that_cannot_be_examined_none_is(source: Imap) -> None:
    """The one before is examined again. RFC 9051 §6.3.2."""
    client: Any = source._client
    inbox, work = [each for each in source.folders() if isinstance(each, Folder)]
    client.broken = "Work.Old"
    list(source.letters(inbox))
    with pytest.raises(SourceFailed, match="not now"):
        list(source.letters(work))
    client.asked.clear()
    list(source.letters(inbox))
    assert client.asked[0] == "examine INBOX"


def test_a_mailbox_that_was_made_anew_is_not_taken_for_the_old_one(source: Imap) -> None:
    """Its UIDVALIDITY is another. RFC 9051 §2.3.1.1."""
    client: Any = source._client
    inbox = next(each for each in source.folders() if isinstance(each, Folder))
    client.uid_validity = 6
    with pytest.raises(SourceFailed, match="made anew"):
        list(source.letters(inbox))
