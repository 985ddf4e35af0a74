"""A PostgreSQL of the tests' own: one server for the whole run, a database for whoever asks.

The rule: databases are copied from a migrated template, so that a test may do to its own whatever it likes; the server
ends with the run, however it ends.
"""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from services.storage.revision import migrate

TEMPLATE = "migrated"
# The tests' data is thrown away: it need not survive a power cut.
OPTIONS = "fsync=off synchronous_commit=on full_page_writes=off shared_buffers=64MB max_connections=200"


class Server:
    """A PostgreSQL that runs. url: of its first database, as an owner of everything."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._numbers = itertools.count(1)

    def url_of(self, database: str) -> str:
        """The URL of another database."""
        return f"{self.url.rpartition('/')[0]}/{database}"

    def execute(self, statement: sql.Composed) -> None:
        """Runs one statement outside a transaction."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)

    def prepare(self) -> None:
        """Makes the template. Databases are copied from it quickly, by file."""
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        migrate(self.url_of(TEMPLATE))

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a fresh, migrated database, which is dropped at the end."""
        name = f"test_{next(self._numbers)}"
        copied = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        self.execute(copied.format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
        # The settings of the role belong to each database, and no copy takes them along.
        migrate(self.url_of(name))
        try:
            yield self.url_of(name)
        finally:
            self.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def running(home: Path) -> Iterator[Server]:
    """Starts the embedded PostgreSQL as its own process."""
    reading, writing = os.pipe()
    environment = {
        **os.environ,
        "RESTANTE_HOME": str(home),
        "RESTANTE_POSTGRES_OPTIONS": OPTIONS,
        "RESTANTE_READY_FD": str(writing),
    }
    words = [sys.executable, "-P", "-m", "services.storage.embedded"]
    log = home / "supervisor.log"
    with log.open("wb") as output:
        process = subprocess.Popen(words, env=environment, pass_fds=[writing], stdout=output, stderr=output)
    os.close(writing)
    try:
        with os.fdopen(reading) as said:
            line = said.readline()
        assert line, log.read_text()
        assert json.loads(line)["ready"] == "postgres"
        yield Server((home / "keys" / "database-url").read_text().strip())
    finally:
        process.terminate()
        process.wait()
