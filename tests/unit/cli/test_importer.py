"""An import from a source that says little about itself."""

from collections.abc import Iterator

from services.cli.imports.importer import Importer
from services.cli.sources import Broken, Files, Folder, Letter
from services.mail.store.mailboxes import INBOX
from tests.fakes.memory import MemoryStore


class Elsewhere(Files):
    """A mailbox with one message, whose server tells no UIDNEXT."""

    identity = "elsewhere"

    def folders(self) -> Iterator[Folder | Broken]:
        yield Folder(INBOX, 1, uid_validity=77)

    def letters(self, _folder: Folder) -> Iterator[Letter | Broken]:
        yield Letter("uid 9", "77 9", b"A: b\r\n\r\n", 8, uid=9)


async def test_a_server_that_tells_no_uidnext_leaves_nothing_out() -> None:
    """RFC 9051 §2.3.1.1: then it is behind the last uid."""
    store = MemoryStore()
    await store.accounts.add_domain("example.org")
    account = await store.accounts.add_account("someone@example.org", b"secret")
    summary = await Importer(store, account.account_id, Elsewhere(), keeps_uids=True).run()
    assert (summary.imported, summary.left_out) == (1, [])
    mailbox, status = await store.mailboxes.status(account.account_id, INBOX)
    assert (mailbox.uid_validity, status.uid_next) == (77, 10)
