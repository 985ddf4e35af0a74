"""Which mailboxes there are, and what may happen to each.

The rule: a keeper is never deleted nor renamed, so what was acknowledged in it must be there at the end, but for what a
RENAME of INBOX took to an attic, which stays as well, or to a rover; the wanderer is renamed and never deleted; churn
comes and goes, and rovers are renamed as well.
"""

from typing import Final

INBOX: Final = "INBOX"
# The last one is Küche/Brot in modified UTF-7.
KEEPERS: Final = (INBOX, "Work", "K&APw-che/Brot")
WANDERERS: Final = tuple(f"Wander-{each}" for each in "abc")
CHURN: Final = ("Churn-0", "Churn-1", "Churn-0/below")
ROVERS: Final = tuple(f"Rove-{each}" for each in "abc")
ATTICS: Final = tuple(f"Attic-{each}" for each in range(12))
PERISHABLE: Final = (*CHURN, *ROVERS)
ALL: Final = (*KEEPERS, *WANDERERS, *ATTICS[:3], *PERISHABLE)


def is_perishable(name: str) -> bool:
    """Whether somebody may delete it."""
    return name in PERISHABLE


def is_renamed(name: str) -> bool:
    """Whether another mailbox may get this name, and bring its UIDVALIDITY with it."""
    return name in WANDERERS or name in ROVERS
