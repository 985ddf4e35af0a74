"""The two servers that are compared.

The rule: both are started once, beside each other; without Dovecot every test here is skipped by name.
"""

from collections.abc import Iterator

import pytest

from tests.differential import corpus
from tests.differential.peer import dovecot
from tests.differential.scripts import read_all
from tests.differential.sides import PASSWORD, Side, make_accounts
from tests.e2e.system import running

Sides = tuple[Side, Side]


@pytest.fixture(scope="session")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """Dovecot, and Restante."""
    folder = tmp_path_factory.mktemp("differential")
    with dovecot(PASSWORD) as port, running(folder / "restante") as system:
        make_accounts(system, {corpus.ACCOUNT, *(script.login for script in read_all())})
        yield Side("Dovecot", port), Side("Restante", system.imap_port)
