"""The command families. Importing this registers every command; the list is the table of contents."""

from services.imap.commands import (
    appending,
    copying,
    counting,
    enabling,
    expunging,
    fetching,
    general,
    idling,
    listing,
    login,
    mailboxes,
    searching,
    selection,
    storing,
)

FAMILIES = (
    general, login, enabling, selection, listing, counting, mailboxes,
    fetching, storing, searching, copying, appending, expunging, idling,
)  # fmt: skip
