"""One export: every mailbox of an account into files.

The rule: a mailbox that cannot be written is named, and the others go on; then the folder says that it is missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from services.cli.exports.folder import Target
from services.cli.exports.letters import Mail
from services.cli.progress import Meter
from services.mail.errors import MailboxNotFound, MailError, StoreUnavailable
from services.mail.store import Store


class Writer(Protocol):
    """Files of one kind."""

    async def write(self, mail: Mail, meter: Meter) -> list[str]:
        """One mailbox; answers what is not kept of it. Raises OSError, MailError."""
        ...

    def finish(self, subscribed: Sequence[str]) -> None:
        """Writes what belongs to all of them. Raises OSError."""
        ...


@dataclass(slots=True)
class Summary:
    """What an export came to. missing: mailboxes, each with the reason. notes: what the files cannot keep."""

    messages: int = 0
    mailboxes: int = 0
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def export(store: Store, account_id: int, target: Target, writer: Writer, summary: Summary) -> None:
    """All of it. Raises CannotStart, StoreUnavailable."""
    target.begin()
    listing = await store.mailboxes.list(account_id, with_statuses=True)
    with Meter(sum(status.messages for status in listing.statuses)) as meter:
        for mailbox in listing.mailboxes:
            meter.enter(mailbox.name)
            try:
                opened = await store.mailboxes.open(account_id, mailbox.name, claims_recent=False)
                summary.notes += [
                    f"mailbox {mailbox.name}: {each}"
                    for each in await writer.write(Mail(store, opened), meter)
                ]
            except MailboxNotFound:
                continue  # deleted since it was listed
            except StoreUnavailable:
                raise
            except (MailError, OSError) as failure:
                reason = failure.text if isinstance(failure, MailError) else str(failure)
                summary.missing.append(f"mailbox {mailbox.name}: {reason}")
                meter.complain(f"missing: {summary.missing[-1]}")
                continue
            finally:
                summary.messages = meter.messages
            summary.mailboxes += 1
        writer.finish(listing.subscribed)
    if summary.missing:
        target.say(summary.missing)
    else:
        target.end()
