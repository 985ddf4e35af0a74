"""The schema's revision, the settings of the role, and a pooler between us and the server."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from alembic.script import ScriptDirectory
from pydantic import SecretStr

from services.plumbing.failures import CannotStart
from services.storage import revision
from services.storage.settings import Settings
from services.storage.store import StoreSettings, open_store
from services.storage.transaction import PoolSettings
from tests.storage.conftest import inbox, letter
from tests.tools import need

MIGRATIONS = Path(revision.__file__).parent / "migrations"


def test_the_names_of_the_files_say_what_alembic_says() -> None:
    """Starts read the names alone: one line of revisions, each named by its file."""
    scripts = list(ScriptDirectory(str(MIGRATIONS)).walk_revisions())
    assert revision.known() == tuple(script.revision for script in reversed(scripts))
    assert [script.down_revision for script in scripts] == [*reversed(revision.known()[:-1]), None]


def test_a_start_that_finds_nothing_to_do_does_not_load_what_migrates() -> None:
    """Alembic and SQLAlchemy take a third of a second."""
    program = "import sys, services.storage.__main__; sys.exit(bool({'alembic', 'sqlalchemy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_the_role_keeps_its_own_settings_in_other_databases(database_url: str) -> None:
    """It may be somebody's who has more than mail in that server."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SHOW enable_seqscan").fetchone()
    assert row == ("off",)
    with psycopg.connect(f"{database_url.rpartition('/')[0]}/postgres") as connection:
        row = connection.execute("SHOW enable_seqscan").fetchone()
    assert row == ("on",)


@pytest.fixture
def pooled_url(database_url: str) -> Iterator[str]:
    """The same database behind a pooler in transaction mode."""
    program = need("pgbouncer", "pgbouncer")
    with tempfile.TemporaryDirectory() as folder, running(program, Path(folder), database_url) as url:
        yield url


@contextmanager
def running(program: str, folder: Path, database_url: str) -> Iterator[str]:
    """PgBouncer until the end of the context: the URL with its port."""
    server = urlsplit(database_url)
    name = server.path.removeprefix("/")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (folder / "users").write_text(f'"{server.username}" "{server.password}"\n')
    (folder / "ini").write_text(
        f"[databases]\n{name} = host=127.0.0.1 port={server.port} dbname={name}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = plain\nauth_file = {folder / 'users'}\npool_mode = transaction\ndefault_pool_size = 3\n"
    )
    words = [program, str(folder / "ini")]
    if os.geteuid() == 0:  # it refuses root
        for file in (folder, folder / "users", folder / "ini"):
            shutil.chown(file, "nobody")
        words[1:1] = ["--user", "nobody"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(words, stdout=log, stderr=log) as process,
    ):
        try:
            url = database_url.replace(f":{server.port}/", f":{port}/")
            deadline = time.monotonic() + 20
            while True:
                try:
                    psycopg.connect(url, connect_timeout=5).close()
                    break
                except psycopg.OperationalError:
                    assert time.monotonic() < deadline, (folder / "log").read_text()
                    time.sleep(0.05)
            yield url
        finally:
            process.terminate()


async def test_a_pooler_is_noticed_and_carries_the_data_path_alone(
    pooled_url: str, database_url: str
) -> None:
    """Refused as the only address; with a direct one beside it nothing is prepared, and many writers do no harm."""
    revision.refuse_pooler(database_url)
    with pytest.raises(CannotStart, match="RESTANTE_DATABASE_DIRECT_URL") as refused:
        revision.refuse_pooler(pooled_url)
    assert "\n" not in str(refused.value)
    settings = Settings(database_url=SecretStr(pooled_url), database_direct_url=SecretStr(database_url))
    assert not settings.prepares
    pool = PoolSettings(size=10, prepares=settings.prepares)
    async with open_store(*settings.urls(), settings=StoreSettings(pool=pool)) as store:
        await store.accounts.add_domain("storage.test")
        mailboxes = [await inbox(store) for _ in range(5)]
        letters = [letter(mailboxes[number % 5]) for number in range(100)]
        await asyncio.gather(*map(store.deliveries.deliver, letters))
        for mailbox in mailboxes:
            _, status = await store.mailboxes.status(mailbox.account_id, "INBOX")
            assert status.messages == 20
