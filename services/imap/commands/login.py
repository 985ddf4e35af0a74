"""STARTTLS, LOGIN, AUTHENTICATE: how a client becomes somebody. RFC 9051 §6.2.

The rule: a password is looked at only where it may travel, and is never logged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from services.imap.registry import WithoutArguments, command
from services.imap.session.state import State
from services.mail.errors import BadCredentials, PrivacyRequired, ProtocolError
from services.mail.imap.arguments import Arguments
from services.mail.imap.responses import Continuation, Response
from services.mail.sasl.plain import Plain

if TYPE_CHECKING:
    from services.imap.conversation import Session

LONGEST_ANSWER = 12_288


@command("STARTTLS", State.NOT_AUTHENTICATED, capabilities=("STARTTLS",))
@dataclass(frozen=True, slots=True)
class StartTls(WithoutArguments):
    """STARTTLS: RFC 9051 §6.2.1. What came in plain text behind it is thrown away (CVE-2011-0411)."""

    async def run(self, session: Session) -> AsyncIterator[Response]:
        if not session.connection.has_tls:
            raise ProtocolError("TLS is active already, or there is no certificate")
        await session.start_tls(session.ok("Begin TLS now"))
        nothing: tuple[Response, ...] = ()  # its one answer was sent in plain text already
        for response in nothing:
            yield response


@command("LOGIN", State.NOT_AUTHENTICATED)
@dataclass(frozen=True, slots=True)
class Login:
    """LOGIN: RFC 9051 §6.2.3."""

    login: bytes
    password: bytes

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        return cls(args.astring("login"), args.astring("password"))

    async def run(self, session: Session) -> AsyncIterator[Response]:
        try:
            login = self.login.decode()
        except UnicodeDecodeError:
            raise BadCredentials from None
        yield await _log_in(session, login, self.password, "LOGIN")


@command("AUTHENTICATE", State.NOT_AUTHENTICATED, capabilities=("SASL-IR", "AUTH=PLAIN"))
@dataclass(frozen=True, slots=True)
class Authenticate:
    """AUTHENTICATE: RFC 9051 §6.2.2, RFC 4959, RFC 4616."""

    mechanism: str
    initial: bytes | None

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        mechanism = args.atom("mechanism")
        return cls(mechanism, None if args.is_at_end else args.base64())

    async def run(self, session: Session) -> AsyncIterator[Response]:
        if self.mechanism != "PLAIN":
            yield session.no("No such mechanism", "CANNOT")
            return
        if not session.takes_passwords:
            raise PrivacyRequired
        answer = self.initial
        if answer is None:
            yield Continuation("")
            answer = await session.incoming.line(LONGEST_ANSWER)
        if answer == b"*":
            raise ProtocolError("AUTHENTICATE cancelled")
        plain = Plain.decode(b"" if answer == b"=" else answer)
        if plain.authorize not in ("", plain.login):
            raise BadCredentials
        yield await _log_in(session, plain.login, plain.password, "AUTHENTICATE")


async def _log_in(session: Session, login: str, password: bytes, name: str) -> Response:
    if not session.takes_passwords:
        raise PrivacyRequired
    account = await session.store.accounts.authenticate(login, password, session.connection.peer[0])
    if not session.log_in(account):
        return session.no("Too many sessions of this account", "LIMIT")
    return session.ok(f"{name} completed", session.capabilities())
