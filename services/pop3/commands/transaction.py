"""The commands of a maildrop that is open: RFC 1939 §5 to §7.

The rule: only QUIT removes messages, in one transaction that names the maildrop lock.
"""

from services.mail.pop3 import replies
from services.mail.pop3.commands import ALL, Command
from services.pop3.session import Session
from services.pop3.unique_ids import read_unique_ids


async def stat(session: Session, _command: Command) -> None:
    """STAT: RFC 1939 §5."""
    await session.send(replies.ok(f"{len(session.maildrop)} {session.maildrop.octets}"))


async def list_(session: Session, command: Command) -> None:
    """LIST: RFC 1939 §5."""
    if command.number != ALL:
        await session.send(replies.ok(f"{command.number} {session.maildrop.size(command.number)}"))
    else:
        await session.send_all(replies.scan_listing(session.maildrop))


async def uidl(session: Session, command: Command) -> None:
    """UIDL: RFC 1939 §7."""
    await read_unique_ids(session.store.imports, session.mailbox, session.maildrop)
    if command.number != ALL:
        await session.send(b"+OK %d %b\r\n" % (command.number, session.maildrop.unique_id(command.number)))
    else:
        await session.send_all(replies.unique_id_listing(session.maildrop))


async def retr(session: Session, command: Command) -> None:
    """RETR: RFC 1939 §5."""
    body = await session.bodies.whole(command.number, session.machine.upcoming)
    if body is None:
        await session.send_message(session.bodies.stream(command.number))
    else:
        await session.send(b"+OK %d octets\r\n%b" % (len(body), replies.stuffed(body)))


async def top(session: Session, command: Command) -> None:
    """TOP: RFC 1939 §7."""
    await session.send_message(session.bodies.top(command.number, command.lines))


async def dele(session: Session, command: Command) -> None:
    """DELE: RFC 1939 §5; marked now, removed at QUIT."""
    session.maildrop.mark(command.number)
    await session.send(replies.ok("Marked to be deleted"))


async def noop(session: Session, _command: Command) -> None:
    """NOOP: RFC 1939 §5."""
    await session.send(replies.ok())


async def rset(session: Session, _command: Command) -> None:
    """RSET: RFC 1939 §5."""
    session.maildrop.unmark_all()
    await session.send(replies.ok(f"{len(session.maildrop)} messages ({session.maildrop.octets} octets)"))


async def quit_(session: Session, _command: Command) -> None:
    """QUIT: RFC 1939 §6; what is marked goes in one transaction, or nothing does."""
    session.is_over = True
    uids = session.maildrop.marked()
    if session.lock is not None and uids:
        await session.store.messages.expunge(
            session.mailbox, uids, even_undeleted=True, maildrop=session.lock
        )
    # Before the reply, so that a client that logs in again at once finds the maildrop free.
    await session.give_back_lock()
    await session.end(replies.ok("Goodbye"))
