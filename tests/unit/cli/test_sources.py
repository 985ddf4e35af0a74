"""Readers of mbox, Maildir and .eml: octets exact, numbers and flags kept, and what is broken named."""

import io
import os
from pathlib import Path

import pytest
import typer

from services.cli.imports.command import check_format
from services.cli.sources import (
    Broken,
    Folder,
    Letter,
    Source,
    SourceFailed,
    as_it_is,
    as_on_the_wire,
    known_flags,
)
from services.cli.sources.eml import Eml
from services.cli.sources.maildir import Maildir
from services.cli.sources.mbox import Mbox, Quoting, from_line_date, messages
from services.cli.sources.uidlist import UIDL_FORMAT, escaped, formatted, read_uidlist, unescaped

FROM = b"From someone@example.org Mon Nov  2 10:00:01 2026\n"


def folders(source: Source) -> list[Folder]:
    """All, none of them broken."""
    found = list(source.folders())
    return [each for each in found if isinstance(each, Folder)]


def letters(source: Source, name: str = "INBOX") -> list[Letter]:
    """All of a folder, none of them broken."""
    folder = next(each for each in folders(source) if each.name == name)
    found = list(source.letters(folder))
    assert sum(each.steps for each in found) == folder.steps
    return [each for each in found if isinstance(each, Letter)]


def octets(file: bytes, quoting: Quoting = Quoting.RD) -> list[bytes]:
    """The messages of an mbox."""
    return [found for _, found, _ in messages(io.BytesIO(file), quoting)]


def test_an_mbox_is_cut_at_its_from_lines_alone() -> None:
    """RFC 4155: behind an empty line, and with a date."""
    text = b"A: b\n\nFrom the start it was so.\nFrom x Mon Nov  2 10:00:01 2026\n\nFrom here on, too\n"
    assert octets(FROM + text + b"\n" + FROM + b"A: c\n\nd\n\n") == [text, b"A: c\n\nd\n"]


def test_octets_of_a_file_are_counted_once() -> None:
    """Progress ends where the file does."""
    file = b"\n" + FROM + b"A: b\n\nx\n\n" + FROM + b"A: c\n\n>From y\n\n\n" + FROM
    assert sum(steps for _, _, steps in messages(io.BytesIO(file), Quoting.RD)) == len(file) - 1


@pytest.mark.parametrize(
    ("quoting", "expected"),
    [(Quoting.RD, b"A: b\n\nFrom x\n>From y\n"), (Quoting.O, b"A: b\n\nFrom x\n>>From y\n")],
)
def test_quoted_lines_lose_what_the_format_says(quoting: Quoting, expected: bytes) -> None:
    """mboxrd has one ">" more on each; mboxo on From alone."""
    assert octets(FROM + b"A: b\n\n>From x\n>>From y\n\n", quoting) == [expected]


def test_a_length_tells_where_a_message_ends_if_a_message_begins_there() -> None:
    """mboxcl2 quotes nothing; a length that leads elsewhere is not believed."""
    body = b"\nFrom x Mon Nov  2 10:00:01 2026\n\n"
    head = b"Content-Length: %d\n\n"
    first, second = head % len(body) + body, head % 999 + b"short\n"
    assert octets(FROM + first + b"\n" + FROM + second + b"\n", Quoting.CL2) == [first, second]
    assert octets(FROM + first + b"\n" + FROM + second + b"\n", Quoting.RD) != [first, second]


def test_dates_of_from_lines() -> None:
    """RFC 4155: asctime, in UTC."""
    assert from_line_date(FROM) == 1793613601
    assert from_line_date(b"From x Mon Nov  2 10:00 2026") == 1793613600
    assert from_line_date(b"From x Mon Nov 32 10:00:01 2026") is None
    assert from_line_date(b"From x sometime") is None


def test_an_mbox_has_flags_dates_and_the_same_message_twice(tmp_path: Path) -> None:
    """The second of two that are alike is the second each time it is read."""
    message = b"Status: RO\nX-Status: AF\nX-Keywords: $Work\n\nx\n"
    path = tmp_path / "mail"
    path.write_bytes((FROM + message + b"\n") * 2)
    found = letters(Mbox(path, as_it_is, Quoting.RD, "INBOX"))
    assert [each.octets for each in found] == [message, message]
    assert found[0].flags == ("\\Seen", "\\Answered", "\\Flagged", "$Work")
    assert found[0].internal_at == 1793613601
    assert len({each.identity for each in found}) == 2
    assert found == letters(Mbox(path, as_it_is, Quoting.RD, "INBOX"))


def test_a_folder_of_mboxes_is_a_mailbox_for_each(tmp_path: Path) -> None:
    """What does not begin with a From line is named."""
    (tmp_path / "Work").mkdir()
    for name in ("inbox", "Sent.mbox", "Work/v1.2"):
        (tmp_path / name).write_bytes(FROM + b"A: b\n\n\n")
    (tmp_path / "notes.txt").write_bytes(b"hello")
    found = list(Mbox(tmp_path, as_it_is, Quoting.RD, "INBOX").folders())
    assert {each.name for each in found if isinstance(each, Folder)} == {"INBOX", "Sent", "Work/v1.2"}
    assert [each.name for each in found if isinstance(each, Broken)] == [str(tmp_path / "notes.txt")]


def octets_of_all(source: Source) -> list[bytes | None]:
    """Of every folder, in their order."""
    found = [each for folder in folders(source) for each in source.letters(folder)]
    return [each.octets for each in found if isinstance(each, Letter)]


def test_files_that_are_one_mailbox_here_are_all_read(tmp_path: Path) -> None:
    """Neither hides the other: two spellings of INBOX, a name with the suffix and without."""
    for place, name in enumerate(("INBOX.mbox", "Work", "Work.mbox", "inbox")):
        (tmp_path / name).write_bytes(FROM + b"A: %d\n\n\n" % place)
    assert octets_of_all(Mbox(tmp_path, as_it_is, Quoting.RD, "INBOX")) == [
        b"A: 0\n\n", b"A: 1\n\n", b"A: 2\n\n", b"A: 3\n\n",
    ]  # fmt: skip


def test_a_folder_of_a_maildir_that_is_named_inbox_hides_nothing(tmp_path: Path) -> None:
    """Some servers make one."""
    for folder in ("cur", ".INBOX/cur"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.a").write_bytes(folder.encode())
    assert octets_of_all(Maildir(tmp_path, as_it_is, "")) == [b"cur", b".INBOX/cur"]


def maildir(path: Path) -> Maildir:
    """With an INBOX and two folders, as Dovecot keeps them."""
    for folder in ("", ".Sent.2024", ".Entw&APw-rfe"):
        for part in ("cur", "new", "tmp"):
            (path / folder / part).mkdir(parents=True)
    for name, text in {
        "cur/3.a:2,FSab": b"A: 3\n\n",
        "new/1.b": b"A: 1\n\n",
        "cur/2.c:2,PRTD": b"A: 2\r\n\r\nx\ny",
    }.items():
        (path / name).write_bytes(text)
        os.utime(path / name, (0, 1_000_000_000))
    (path / "dovecot-uidlist").write_text("3 V77 N9 Gabc\n4 :1.b\n5 Pold~1 W20 :2.c:2,S\n")
    (path / "dovecot-keywords").write_text("0 $Work\n1 $Label\n")
    return Maildir(path, as_on_the_wire, UIDL_FORMAT)


def test_a_maildir_keeps_uids_flags_keywords_and_dates(tmp_path: Path) -> None:
    """What has no uid yet comes last."""
    source = maildir(tmp_path)
    assert [each.name for each in folders(source)] == ["INBOX", "Entwürfe", "Sent/2024"]
    assert (folders(source)[0].uid_validity, folders(source)[0].uid_next) == (77, 9)
    found = letters(source)
    assert [(each.uid, each.unique_id) for each in found] == [(4, "000000040000004d"), (5, "old~1"), (0, "")]
    assert [each.flags for each in found] == [
        (),
        ("$Forwarded", "\\Answered", "\\Deleted", "\\Draft"),
        ("\\Flagged", "\\Seen", "$Work", "$Label"),
    ]
    assert [each.octets for each in found] == [b"A: 1\r\n\r\n", b"A: 2\r\n\r\nx\ny", b"A: 3\r\n\r\n"]
    assert {each.internal_at for each in found} == {1_000_000_000}


def test_a_letter_is_the_same_after_it_was_read_and_flagged(tmp_path: Path) -> None:
    """It moves from new to cur, and its name gets flags; another one under its name is another."""
    source = maildir(tmp_path)
    before = {each.identity for each in letters(source)}
    (tmp_path / "new" / "1.b").rename(tmp_path / "cur" / "1.b:2,S")
    assert {each.identity for each in letters(source)} == before
    (tmp_path / "cur" / "1.b:2,S").write_bytes(b"A: other\n\n")
    assert {each.identity for each in letters(source)} != before


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    """A folder where a file should be."""
    source = maildir(tmp_path)
    (tmp_path / "cur" / "4.d").mkdir()
    found = list(source.letters(folders(source)[0]))
    assert [each.name for each in found if isinstance(each, Broken)] == [str(tmp_path / "cur" / "4.d")]
    assert len(found) == 4
    with pytest.raises(SourceFailed, match="no Maildir"):
        list(Maildir(tmp_path / "nowhere", as_it_is, "").folders())


def test_lists_of_uids_in_both_versions_and_with_what_is_no_uid(tmp_path: Path) -> None:
    """https://doc.dovecot.org/2.3/admin_manual/mailbox_formats/maildir/"""
    path = tmp_path / "dovecot-uidlist"
    path.write_text("1 77 9\n4 1.b:2,S\nx 2.c\n99999999999 3.d\n\n7\n")
    found = read_uidlist(path)
    assert (found.uid_validity, found.uid_next) == (77, 9)
    assert {name: each.uid for name, each in found.messages.items()} == {"1.b": 4}
    path.write_text("")
    assert read_uidlist(path).uid_validity == 0


def test_unique_ids_are_made_as_the_other_server_makes_them() -> None:
    """pop3_uidl_format, of uid and UIDVALIDITY."""
    assert formatted("%08Xu%08Xv", 17, 1_700_000_000) == "000000116553f100"
    assert formatted("UID%u-%v", 17, 5) == "UID17-5"
    assert formatted("%v.%xu", 255, 5) == "5.ff"
    with pytest.raises(ValueError, match="%f"):
        formatted("%f", 1, 1)


def test_a_format_that_gives_all_messages_the_same_id_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A POP3 client would download the first of them, and no other."""
    for good in ("", "%08Xu%08Xv", "%u"):
        check_format(good)
    for bad in ("foo", "%v", "%f"):
        with pytest.raises(typer.Exit) as refusal:
            check_format(bad)
        assert refusal.value.exit_code == 2
        assert "%u" in capsys.readouterr().err


def test_levels_of_names_come_back_from_file_names() -> None:
    """As Dovecot's listescape writes them."""
    for level in ("v1.2", "a\\2eb", ".x", "plain"):
        assert "." not in escaped(level)
        assert unescaped(escaped(level)) == level


def test_eml_files_by_folder(tmp_path: Path) -> None:
    """The date is the Date field's, or the file's."""
    (tmp_path / "Work" / "Old").mkdir(parents=True)
    (tmp_path / "a.eml").write_bytes(b"Date: Mon, 2 Nov 2026 11:00:01 +0100\n\nx\n")
    (tmp_path / "Work" / "Old" / "b.EML").write_bytes(b"A: b\n\n")
    os.utime(tmp_path / "Work" / "Old" / "b.EML", (0, 1_000_000_000))
    (tmp_path / "c.txt").write_bytes(b"")
    source = Eml(tmp_path, as_on_the_wire, "INBOX")
    assert {each.name for each in folders(source)} == {"INBOX", "Work/Old"}
    assert [each.internal_at for each in letters(source)] == [1793613601]
    assert [each.internal_at for each in letters(source, "Work/Old")] == [1_000_000_000]


@pytest.mark.parametrize(
    ("kept", "sent"),
    [
        (b"A: b\n\nx\r\ny\n", b"A: b\r\n\r\nx\r\ny\r\n"),
        (b"A: b\r\n\r\nx\ny\n", b"A: b\r\n\r\nx\ny\n"),
        (b"\nx", b"\r\nx"),
        (b"no line end", b"no line end"),
        (b"", b""),
    ],
)
def test_the_first_line_tells_which_line_ends_a_message_has(kept: bytes, sent: bytes) -> None:
    """A file of Unix is no message on the wire; one that is stays as it is."""
    assert as_on_the_wire(kept) == sent
    assert as_it_is(kept) == kept


def test_flags_that_nobody_can_keep_are_left_out() -> None:
    """RFC 9051 §2.3.2."""
    assert known_flags(["\\Recent", "\\seen", "$Work", "\\X", "a b", "", "\\Seen"]) == ("\\Seen", "$Work")
