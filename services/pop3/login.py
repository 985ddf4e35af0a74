"""How somebody comes in, whichever command it was that let them: the maildrop is locked, and its messages are numbered.

The rule: nobody is in the TRANSACTION state without the lock. RFC 1939 §4.
"""

from collections.abc import Awaitable

from services.mail.errors import MailError, ProtocolError
from services.mail.pop3 import replies
from services.mail.pop3.maildrop import Maildrop
from services.mail.store.accounts import Account
from services.mail.store.mailboxes import INBOX
from services.mail.store.messages import Items
from services.mail.store.uids import from_masks
from services.plumbing import logs, metrics
from services.pop3.bodies import Bodies
from services.pop3.session import Session

log = logs.get(__name__)


async def log_in(session: Session, login: Awaitable[Account]) -> None:
    """Opens the maildrop of whoever comes in; counts whoever does not."""
    try:
        await _enter(session, await login)
    except (MailError, ProtocolError) as error:
        metrics.logins.labels(protocol="pop3", outcome="refused").inc()
        log.info("login refused", peer=session.wire.peer[0], reason=type(error).__name__)
        session.machine.count_bad()
        await session.send(replies.refusal(error))
        if session.machine.is_exhausted:
            await session.end(replies.error("Too many failed logins"))


async def _enter(session: Session, account: Account) -> None:
    due = session.until_login.when()
    session.until_login.reschedule(None)
    try:
        session.lock = await session.locks.take(account.account_id, session.lose_lock)
        expunged_to = await _open(session, account.account_id)
    except BaseException:
        session.until_login.reschedule(due)
        await session.give_back_lock()
        raise
    session.machine.log_in()
    session.presence_id = session.presence.opened(
        account.account_id, session.wire.peer[0], session.ask_to_end
    )
    session.presence.moved(session.presence_id, session.mailbox.mailbox_id, expunged_to)
    metrics.logins.labels(protocol="pop3", outcome="accepted").inc()
    log.info("logged in", account_id=account.account_id, messages=len(session.maildrop))
    await session.send(replies.ok(f"{len(session.maildrop)} messages ({session.maildrop.octets} octets)"))


async def _open(session: Session, account_id: int) -> int:
    """Numbers the messages of INBOX as they are now; answers the modseq of that moment."""
    opened = await session.store.mailboxes.open(account_id, INBOX, claims_recent=False)
    maildrop = Maildrop(opened.mailbox.uid_validity)
    uids = from_masks(opened.blocks, opened.masks)
    if uids:
        async for page in session.store.messages.fetch(opened.mailbox.key, uids, Items.SIZE):
            maildrop.add(page.uids, page.sizes)
    session.maildrop = maildrop
    session.mailbox = opened.mailbox.key
    session.bodies = Bodies(session.store.messages, session.mailbox, maildrop)
    return opened.status.highest_modseq
