"""The system that the end-to-end tests share.

The rule: it is started once for the whole run; a test that kills or reconfigures starts one of its own.
"""

from collections.abc import Iterator

import pytest

from tests.e2e.system import System, running


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Everything, running: ports, account and token are its attributes."""
    with running(tmp_path_factory.mktemp("system") / "home") as started:
        yield started
