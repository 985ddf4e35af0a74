"""App passwords as a person makes them and as programs use them."""

import json
import poplib
from datetime import datetime, timedelta
from imaplib import IMAP4

import pytest

from tests.e2e.system import System

LOGIN = "apps@apps.example.org"


def over_imap(system: System, password: str) -> None:
    """Raises IMAP4.error where it does not let in."""
    with IMAP4("127.0.0.1", system.imap_port) as client:
        client.login(LOGIN, password)


def over_pop3(system: System, password: str) -> None:
    """Raises poplib.error_proto where it does not let in."""
    client = poplib.POP3("127.0.0.1", system.pop3_port, timeout=30)
    try:
        client.user(LOGIN)
        client.pass_(password)
    finally:
        client.close()


def test_app_passwords_from_the_command_line(system: System) -> None:
    """Shown once, listed with their use, good at the doors of their scopes alone, and worth nothing once removed."""
    system.add_account(LOGIN, "secret")
    words = ("account", "app-password")
    added = system.run(*words, "add", LOGIN, "--label", "phone", "--scope", "imap", "--days", "30", "--json")
    assert added.returncode == 0, added
    made = json.loads(added.stdout)
    assert (made["number"], made["label"], made["scopes"]) == (1, "phone", ["imap"])
    ends = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert abs(ends - timedelta(days=30)) < timedelta(minutes=1)
    everywhere = system.run(*words, "add", LOGIN).stdout.decode().strip()
    over_imap(system, made["password"])
    with pytest.raises(poplib.error_proto, match="AUTH"):
        over_pop3(system, made["password"])
    over_pop3(system, everywhere)
    listed = system.run(*words, "list", LOGIN).stdout.decode()
    assert made["password"] not in listed
    assert everywhere not in listed
    title, first, second = listed.splitlines()
    assert title.split() == ["NUMBER", "LABEL", "SCOPES", "MADE", "ENDS", "USED"]
    assert first.split()[:3] == ["1", "phone", "imap"]
    assert "never" not in first
    assert second.split()[:3] == ["2", "app", "imap,pop3,smtp"]
    assert second.count("never") == 1
    assert system.run(*words, "remove", LOGIN, "1").returncode == 0
    with pytest.raises(IMAP4.error, match="AUTHENTICATIONFAILED"):
        over_imap(system, made["password"])
    again = system.run(*words, "remove", LOGIN, "1")
    assert again.returncode == 1
    assert b"has no app password 1" in again.stderr
    over_imap(system, everywhere)
