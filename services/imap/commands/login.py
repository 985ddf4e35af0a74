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
from services.mail.sasl.exchange import LONGEST_LINE
from services.mail.sasl.mechanisms import is_offered
from services.mail.store.accounts import Account, Scope
from services.plumbing import logins

if TYPE_CHECKING:
    from services.imap.conversation import Session


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
        if not session.takes_passwords:
            raise PrivacyRequired
        try:
            login = self.login.decode()
        except UnicodeDecodeError:
            raise BadCredentials from None
        account = await session.store.accounts.authenticate(
            login, self.password, session.connection.peer[0], Scope.IMAP
        )
        yield _logged_in(session, account, "LOGIN")


@command("AUTHENTICATE", State.NOT_AUTHENTICATED, capabilities=("SASL-IR",))
@dataclass(frozen=True, slots=True)
class Authenticate:
    """AUTHENTICATE: RFC 9051 §6.2.2, RFC 4959."""

    mechanism: str
    initial: bytes | None

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        mechanism = args.atom("mechanism")
        return cls(mechanism, None if args.is_at_end else args.base64())

    async def run(self, session: Session) -> AsyncIterator[Response]:
        if not is_offered(self.mechanism, session.connection.end_point, session.door.settings.oauth_issuer):
            yield session.no("No such mechanism", "CANNOT")
            return
        if not session.takes_passwords:
            raise PrivacyRequired

        async def ask(challenge: str) -> bytes:
            await session.writer.write(Continuation(challenge))
            return await session.incoming.line(LONGEST_LINE)

        account = await logins.authenticate(
            self.mechanism,
            self.initial,
            ask,
            session.store,
            session.connection,
            Scope.IMAP,
            session.door.settings.oauth_issuer,
        )
        yield _logged_in(session, account, "AUTHENTICATE")


def _logged_in(session: Session, account: Account, name: str) -> Response:
    if not session.log_in(account):
        return session.no("Too many sessions of this account", "LIMIT")
    return session.ok(f"{name} completed", session.capabilities())
