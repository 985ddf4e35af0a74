"""Where a new password comes from: a pipe, or somebody at a terminal who types it twice.

The rule: any octets are a password; exactly one line end is taken off what comes by a pipe; nothing is printed.
"""

import getpass
import sys

from services.plumbing.failures import CannotStart, SettingsWrong


def ask_password(prompt: str, *, from_stdin: bool) -> bytes:
    """A password that somebody has already, asked for once. Raises SettingsWrong without a terminal."""
    if from_stdin:
        return sys.stdin.buffer.read().removesuffix(b"\n")
    if not sys.stdin.isatty():
        raise SettingsWrong("no terminal to ask for the password: give it on stdin with --password-stdin")
    return getpass.getpass(prompt).encode("utf-8", "surrogateescape")


def read_password(*, from_stdin: bool, prompt: str = "Password") -> bytes:
    """The password as octets. Raises SettingsWrong without a terminal, CannotStart if it was typed differently."""
    password = ask_password(f"{prompt}: ", from_stdin=from_stdin)
    if not from_stdin and password != ask_password("Once more: ", from_stdin=False):
        raise CannotStart("the two passwords differ; nothing was changed")
    return password
