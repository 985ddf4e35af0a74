"""The commands before a login, and those that log in by a secret on their own line: RFC 1939 §7.

The rule: whether a login exists is never told.
"""

from services.mail.errors import AuthenticationRequired, BadCredentials, PrivacyRequired, ProtocolError
from services.mail.pop3 import replies
from services.mail.pop3.commands import Command, State
from services.mail.sasl.mechanisms import offered
from services.mail.store.accounts import Account, Scope
from services.pop3.login import log_in
from services.pop3.session import Session


async def capa(session: Session, _command: Command) -> None:
    """CAPA: RFC 2449 §5."""
    before = session.machine.state is State.AUTHORIZATION
    known = offered(session.wire.end_point, session.settings.oauth_issuer)
    mechanisms = known if not before or session.takes_password else ()
    await session.send(
        replies.capabilities(can_start_tls=before and session.wire.has_tls, mechanisms=mechanisms)
    )


async def stls(session: Session, _command: Command) -> None:
    """STLS: RFC 2595 §4. What came behind it in plain text is dropped."""
    if not session.wire.has_tls:
        running = session.wire.is_tls
        await session.send(replies.error("TLS runs already" if running else "No certificate here"))
        return
    if session.machine.is_utf8:
        raise ProtocolError("STLS comes before UTF8")  # RFC 6856 §2.1
    await session.flush()
    session.machine.reset()
    await session.wire.start_tls(replies.ok("Begin TLS"))


async def user(session: Session, command: Command) -> None:
    """USER: RFC 1939 §7."""
    if not session.takes_password:
        raise PrivacyRequired
    session.machine.user = command.text.strip()
    await session.send(replies.ok("Now the password"))


async def pass_(session: Session, command: Command) -> None:
    """PASS: RFC 1939 §7; the rest of the line is the password, spaces included."""
    login, session.machine.user = session.machine.user, b""
    if not session.takes_password:
        raise PrivacyRequired
    if not login:
        raise AuthenticationRequired("USER comes first")
    await log_in(session, _by_password(session, login, command.text))


async def apop(session: Session, command: Command) -> None:
    """APOP: RFC 1939 §7; the secret itself does not travel, so plain text is allowed."""
    if not session.timestamp:
        raise ProtocolError("APOP is not offered here")
    await log_in(session, _by_digest(session, command.text, command.digest))


async def _by_digest(session: Session, login: bytes, digest: bytes) -> Account:
    timestamp = session.timestamp.encode()
    return await session.store.accounts.authenticate_apop(
        _name(login), timestamp, digest, session.wire.peer[0]
    )


async def _by_password(session: Session, login: bytes, password: bytes) -> Account:
    return await session.store.accounts.authenticate(_name(login), password, session.wire.peer[0], Scope.POP3)


def _name(login: bytes) -> str:
    try:
        return login.decode("utf-8")
    except UnicodeDecodeError:
        raise BadCredentials from None
