"""AUTH: RFC 5034. The rule: an exchange that its client walks out of is answered by nothing more."""

from services.mail.errors import PrivacyRequired, ProtocolError
from services.mail.pop3 import replies
from services.mail.pop3.commands import Command
from services.mail.sasl.mechanisms import is_offered
from services.mail.store.accounts import Account, Scope
from services.plumbing import logins
from services.pop3.login import log_in
from services.pop3.session import Session


class _EndedInExchange(Exception):
    """No answer to a challenge comes any more; the session knows why."""


async def auth(session: Session, command: Command) -> None:
    """AUTH: RFC 5034 §4; the mechanism asks, and the client answers a line each."""
    mechanism = command.text.decode("ascii", "replace")
    if not is_offered(mechanism, session.wire.end_point, session.settings.oauth_issuer):
        raise ProtocolError("no such mechanism")
    if not session.takes_password:
        raise PrivacyRequired
    try:
        await log_in(session, _by_exchange(session, mechanism, command.initial))
    except _EndedInExchange:
        return


async def _by_exchange(session: Session, mechanism: str, initial: bytes | None) -> Account:
    async def ask(challenge: str) -> bytes:
        await session.send(replies.challenge(challenge))
        while (line := session.machine.answer()) is None:
            if not await session.receive():
                raise _EndedInExchange
        return line

    return await logins.authenticate(
        mechanism, initial, ask, session.store, session.wire, Scope.POP3, session.settings.oauth_issuer
    )
