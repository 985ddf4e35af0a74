"""One POP3 conversation: commands in, answers out, up to its end. RFC 1939 §3.

The rule: only QUIT removes messages; a session that ends in any other way changes nothing.
"""

from services.mail.errors import MailError, ProtocolError
from services.mail.pop3 import replies
from services.mail.pop3.commands import Command
from services.plumbing import logs, metrics
from services.pop3.commands import ANSWERS
from services.pop3.session import Session

log = logs.get(__name__)

COUNTED = {name: metrics.commands.labels(protocol="pop3", command=name) for name in ANSWERS}


async def converse(session: Session) -> None:
    """The whole session; raises ConnectionError when the peer goes away."""
    try:
        async with session.until_login:
            await _converse(session)
    except TimeoutError:
        session.give_up()
    finally:
        if session.presence_id is not None:
            session.presence.closed(session.presence_id)
        try:
            await session.bodies.forget()
        finally:
            await session.give_back_lock()


async def _converse(session: Session) -> None:
    await session.send(replies.greeting(session.settings.hostname, session.timestamp))
    while not session.is_over:
        if session.stopping.is_set():
            await session.end(replies.error("The service is restarting, try again", "SYS/TEMP"))
        elif session.farewell:
            await session.end(replies.error(session.farewell, "SYS/TEMP"))
        else:
            await _step(session)
    await session.flush()


async def _step(session: Session) -> None:
    """Answers the next command, or waits for it."""
    try:
        command = session.machine.next()
    except ProtocolError as error:
        await _deny(session, error)
        return
    if command is not None:
        await _answer(session, command)
        return
    await session.bodies.forget()
    await session.receive()


async def _deny(session: Session, error: ProtocolError) -> None:
    await session.send(replies.refusal(error))
    if session.machine.is_exhausted:
        await session.end(replies.error("Too many bad commands"))


async def _answer(session: Session, command: Command) -> None:
    COUNTED[command.name].inc()
    log.debug("command", command=command.name, number=command.number)
    try:
        await ANSWERS[command.name](session, command)
    except ProtocolError as error:
        session.machine.count_bad()
        await _deny(session, error)
    except MailError as error:
        await session.send(replies.refusal(error))
    except ConnectionError:
        raise
    except Exception as error:
        log.exception("command failed", command=command.name)
        metrics.bugs.inc()
        await session.end(replies.refusal(error))
