"""A private Dovecot under the same driver: whoever trusts Dovecot sees by it whether the rules are right.

The rule: what Dovecot may do and we never would is written here, each with its reason.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from bench import peers
from tests.faults.stress.delivery import by_smtp
from tests.faults.stress.ledger import Ledger
from tests.faults.stress.world import User, World

# It takes ten connections of one account from one address.
CLIENTS = 12


@contextmanager
def world() -> Iterator[World]:
    """Two accounts of a Dovecot that serves one port."""
    if lacking := peers.missing():
        raise SystemExit(lacking)
    with peers.dovecot() as peer:
        users = [
            User(
                peers.reader(number),
                peers.PASSWORD,
                Ledger(makes_up=True),
                ways=(by_smtp(lambda: peer.delivery, peer.greeting, peers.reader(number)),),
            )
            for number in (1, 2)
        ]
        yield World(lambda: [peer.imap], users, is_ours=False)
