"""What UIDL told of imported messages where they were before. RFC 1939 §7.

The rule: asked for once in a session, and only by a client that asks for UIDL.
"""

from services.mail.pop3.maildrop import Maildrop
from services.mail.store.imports import MAX_UNIQUE_IDS, Imports
from services.mail.store.mailboxes import MailboxKey


async def read_unique_ids(imports: Imports, mailbox: MailboxKey, maildrop: Maildrop) -> None:
    """Gives the maildrop those that were kept."""
    last_uid = 0
    while not maildrop.knows_unique_ids:
        kept = await imports.unique_ids(mailbox, last_uid)
        for each in kept:
            last_uid = each.uid
            maildrop.keep_unique_id(each.uid, each.unique_id.encode())
        maildrop.knows_unique_ids = len(kept) < MAX_UNIQUE_IDS
