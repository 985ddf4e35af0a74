"""`restante trace` and `restante verify`, as an operator uses them."""

import imaplib
import json
import os
import pty
import smtplib
import subprocess
from uuid import uuid4

import psycopg

from tests.e2e.system import RESTANTE, System, await_that


def said(system: System, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    done = system.run(*words)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_a_letter_is_traced_from_accept_to_delivery_and_beyond(system: System) -> None:
    """By each of its names, where it is, and that it went."""
    name = uuid4().hex
    address = f"traced-{name}@{system.account.partition('@')[2]}"
    system.add_account(address, "secret")
    letter = f"From: boss@example.com\r\nMessage-ID: <{name}@example.com>\r\nSubject: where\r\n\r\nhere\r\n"
    with smtplib.SMTP("127.0.0.1", system.smtp_port) as smtp:
        smtp.sendmail(f"boss-{name}@example.com", [address], letter)
    for words in (
        (f"<{name}@example.com>",),
        (f"BOSS-{name}@example.com",),
        (address,),
        ("--message-id", f"{name}@example.com"),
        ("--from", f"boss-{name}@example.com", "--to", address),
        (address, "--from", f"boss-{name}@example.com"),
    ):
        code, shown, _ = said(system, "trace", *words)
        assert code == 0, words
        assert f"from        <boss-{name}@example.com> at 127.0.0.1" in shown, shown
        assert f"to          <{address}>" in shown
        assert f"is          in INBOX of {address}, uid 1" in shown
    _, shown, _ = said(system, "trace", address, "--json")
    trace = json.loads(shown)
    assert (trace["kind"], trace["mailbox"], trace["uid"], trace["is_there"]) == (
        "delivered",
        "INBOX",
        1,
        True,
    )
    with imaplib.IMAP4("127.0.0.1", system.imap_port) as imap:
        imap.login(address, "secret")
        imap.select("INBOX")
        _, rows = imap.fetch("1", "(BODY.PEEK[HEADER])")
        assert f"id {trace['letter_id']}" in str(rows)
        assert said(system, "trace", address.replace("traced-", "TRACED-"), "--json")[1] == shown
        assert said(system, "trace", trace["letter_id"], "--json")[1] == shown
        imap.store("1", "+FLAGS", "\\Deleted")
        imap.expunge()
    assert f"no longer in INBOX of {address}, uid 1" in said(system, "trace", address)[1]


def test_a_refusal_is_traced_with_the_words_that_the_peer_heard(system: System) -> None:
    """Of a recipient, and of a whole letter."""
    name = uuid4().hex
    domain = system.account.partition("@")[2]
    with smtplib.SMTP("127.0.0.1", system.smtp_port) as smtp:
        smtp.ehlo()
        smtp.mail(f"lost-{name}@example.com")
        assert smtp.rcpt(f"nobody-{name}@{domain}")[0] == 550
        assert smtp.rcpt(system.account)[0] == 250
        hops = "Received: from a by b; Mon, 2 Nov 2026 10:00:00 +0000\r\n" * 101
        assert smtp.data(f"{hops}Subject: again and again\r\n\r\n")[0] == 554
    await_that(
        lambda: len(said(system, "trace", f"lost-{name}@example.com", "--json")[1].splitlines()) == 2,
        "the refusals are not kept",
    )
    code, shown, _ = said(system, "trace", "--from", f"lost-{name}@example.com")
    assert code == 0
    assert f"to          <nobody-{name}@{domain}>\n    was told    550 5.1.1" in shown
    assert f"to          <{system.account}>\n    was told    554 5.4.6" in shown


def test_nothing_known_is_an_error_that_says_what_to_do(system: System) -> None:
    """Exit code 1, and 2 for a question without a letter."""
    code, _, complaint = said(system, "trace", f"{uuid4().hex}@nowhere.test")
    assert code == 1
    assert "RESTANTE_STORAGE_TRACE_DAYS" in complaint
    code, _, complaint = said(system, "trace")
    assert code == 2
    assert "--help" in complaint


def test_verify_finds_no_drift_and_names_the_row_that_was_damaged(system: System) -> None:
    """The octets of one body: exit code 1, its account and its number."""
    address = f"damaged-{uuid4().hex}@{system.account.partition('@')[2]}"
    system.add_account(address, "secret")
    with smtplib.SMTP("127.0.0.1", system.smtp_port) as smtp:
        smtp.sendmail("a@example.com", [address], "Subject: whole\r\n\r\nwhole\r\n")
    code, shown, summary = said(system, "verify", address)
    assert (code, shown) == (0, "")
    assert summary.startswith("no drift: 1 accounts, 1 bodies")
    code, shown, _ = said(system, "verify", "--json")
    assert json.loads(shown)["drifts"] == []
    damage = """
        UPDATE bodies SET content = set_byte(content, 0, get_byte(content, 0) # 1)
        WHERE account_id = (SELECT account_id FROM accounts WHERE address = %s)
    """
    with psycopg.connect(system.database_url, autocommit=True) as connection:
        connection.execute(damage, (address,))
        try:
            code, shown, summary = said(system, "verify")
            assert code == 1
            assert shown == f"{address}: body 1: the octets are not those that came in\n"
            assert summary.startswith("1 drifts: ")
            code, shown, _ = said(system, "verify", address, "--json")
            assert code == 1
            assert [each["account"] for each in json.loads(shown)["drifts"]] == [address]
        finally:
            connection.execute(damage, (address,))
    code, _, complaint = said(system, "verify", f"nobody-{uuid4().hex}@{system.account.partition('@')[2]}")
    assert code == 1
    assert "No such account" in complaint


def test_verify_shows_on_a_terminal_how_far_it_is(system: System) -> None:
    """A line that is written over."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [RESTANTE, "verify"], env=system.environment, stdout=subprocess.DEVNULL, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while some := os.read(ours, 4096):
                shown += some
        except OSError:  # its end
            pass
        os.close(ours)
    assert process.returncode == 0
    assert b" accounts, " in shown.split(b"\r\x1b[K")[1]
    assert shown.splitlines()[-1].startswith(b"\r\x1b[Kno drift: ".lstrip(b"\r"))
