"""What every test may ask for: a database, and the real messages.

The rule: nothing here listens on a fixed port or writes outside temporary folders, and all of it ends with the run.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres

NO_CORPUS = "RESTANTE_CORPUS"


def pytest_addoption(parser: pytest.Parser) -> None:
    """--no-skip, for a machine that has everything."""
    parser.addoption(
        "--no-skip", action="store_true", help="fail if a test was skipped for want of a program"
    )


def skipped_for_want(config: pytest.Config) -> list[str]:
    """The reasons of skipped tests; without a corpus its tests do not count."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter is not None else []
    reasons = [
        str(each.longrepr[2]) if isinstance(each.longrepr, tuple) else str(each.longrepr) for each in reports
    ]
    return [each for each in reasons if os.environ.get(NO_CORPUS) or NO_CORPUS not in each]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With --no-skip, a skipped test fails the run."""
    if session.config.getoption("--no-skip") and skipped_for_want(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says why a run fails in which no test did."""
    reasons = skipped_for_want(config) if config.getoption("--no-skip") else []
    if reasons:
        terminalreporter.write_line(f"--no-skip: {len(reasons)} skipped tests fail this run", red=True)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Server]:
    """One PostgreSQL for the whole run."""
    with postgres.running(tmp_path_factory.mktemp("postgres")) as server:
        server.prepare()
        yield server


@pytest.fixture
def database_url(postgres_server: postgres.Server) -> Iterator[str]:
    """The URL of a fresh, migrated database."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(postgres_server: postgres.Server) -> Iterator[str]:
    """The same, shared by the tests of a file."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture(scope="session")
def corpus() -> list[Path]:
    """The real messages; skips where there are none."""
    folder = os.environ.get(NO_CORPUS)
    if not folder:
        pytest.skip("RESTANTE_CORPUS names no folder of real messages")
    return sorted(Path(folder).resolve(strict=True).glob("**/*.eml"))
