"""What sessions share of a folder, for how long, and how much of it."""

import asyncio
import gc

import pytest

from services.imap.session import folders
from services.imap.session.folders import Folders
from services.imap.session.view import View
from services.mail.store.mailboxes import MailboxKey

KEY, OTHER = MailboxKey(1, 1), MailboxKey(1, 2)


def view(shared: Folders, key: MailboxKey = KEY, modseq: int = 5, last: int = 3) -> View:
    """A session's view of the messages 1 to `last`."""
    return View(((1, last),), last + 1, modseq, share=shared.sharing(key))


async def test_equal_pictures_are_one_as_long_as_somebody_looks() -> None:
    shared = Folders()
    one, two = view(shared), view(shared)
    assert one.picture is two.picture
    assert view(shared, OTHER).picture is not one.picture
    two.remove(((2, 2),))
    assert two.picture is not one.picture
    one.remove(((2, 2),))
    assert two.picture is one.picture
    del one, two
    gc.collect()
    assert not shared._pictures


async def test_flags_are_for_those_who_were_told_the_same() -> None:
    """The modseq and the messages must be those of the view."""
    shared = Folders()
    known = shared.learn(KEY, view(shared), [1, 2, 3])
    assert shared.known(KEY, view(shared)) is known
    assert shared.known(KEY, view(shared, modseq=6)) is None
    assert shared.known(KEY, view(shared, last=4)) is None
    assert shared.known(OTHER, view(shared, OTHER)) is None


async def test_what_nobody_uses_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "KEPT_SECONDS", 1.0)
    shared = Folders()
    shared.learn(KEY, view(shared), [1, 2, 3])
    shared.learn(OTHER, view(shared, OTHER), [1, 2, 3])
    for _ in range(5):
        await asyncio.sleep(0.3)
        assert shared.known(KEY, view(shared)) is not None
    assert shared.known(OTHER, view(shared, OTHER)) is None
    await asyncio.sleep(2.0)
    assert not shared._known


async def test_the_oldest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MOST_FLAGS", 7)
    shared = Folders()
    for number in range(1, 5):
        key = MailboxKey(1, number)
        shared.learn(key, view(shared, key), [1, 2, 3])
    assert list(shared._known) == [MailboxKey(1, 3), MailboxKey(1, 4)]


async def test_answers_are_bounded_by_their_octets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MOST_OCTETS", 80)
    shared = Folders()
    known = shared.learn(KEY, view(shared), [1, 2, 3])
    shared.keep(known, ("FLAGS",), b"x" * 11)
    assert known.answers == {}
    shared.keep(known, ("FLAGS",), b"x" * 6)
    shared.keep(known, ("UID", "FLAGS"), b"x" * 6)
    assert list(known.answers) == [("FLAGS",)]
