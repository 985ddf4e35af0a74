"""The embedded PostgreSQL: made once, found again, and never left behind."""

import os
import pwd
import signal
import stat
import tempfile
from pathlib import Path

import psycopg
import pytest

from services.plumbing.failures import CannotStart
from services.storage.embedded.binaries import Binaries, find_binaries
from services.storage.embedded.cluster import Cluster
from services.storage.embedded.identity import Identity, choose_identity
from services.storage.embedded.server import EmbeddedPostgres

OPTIONS = {"shared_buffers": "32MB", "fsync": "off"}


async def test_what_was_written_is_there_at_the_next_start(tmp_path: Path) -> None:
    """The folder is made once; the port may be another one."""
    server = EmbeddedPostgres(tmp_path, OPTIONS)
    url = await server.start()
    try:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE letters AS SELECT 7 AS uid")
    finally:
        await server.stop()
    again = EmbeddedPostgres(tmp_path, OPTIONS)
    url = await again.start()
    try:
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT uid FROM letters").fetchone() == (7,)
    finally:
        await again.stop()


async def test_the_database_is_utf8_with_checksums_and_asks_for_the_password(tmp_path: Path) -> None:
    """A C locale alone would mean SQL_ASCII."""
    server = EmbeddedPostgres(tmp_path, OPTIONS)
    url = await server.start()
    try:
        with psycopg.connect(url) as connection:
            asked = connection.execute(
                "SELECT current_setting('server_encoding'), current_setting('data_checksums'), "
                "current_setting('listen_addresses'), current_setting('password_encryption'), datcollate, datctype "
                "FROM pg_database WHERE datname = current_database()"
            )
            assert asked.fetchone() == ("UTF8", "on", "127.0.0.1", "scram-sha-256", "C", "C.UTF-8")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url.replace(":", ":wrong", 2).replace(":wrong", ":", 1))
    finally:
        await server.stop()
    for path in (tmp_path / "keys" / "postgres", tmp_path / "keys" / "database-url"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.stat().st_uid == os.getuid()


async def test_a_server_that_was_killed_starts_again_on_its_port(tmp_path: Path) -> None:
    """Its orphans hold the shared memory for a moment."""
    server = EmbeddedPostgres(tmp_path, OPTIONS)
    url = await server.start()
    try:
        os.kill(server.pid, signal.SIGKILL)
        assert await server.ended() == -signal.SIGKILL
        assert await server.start() == url
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        await server.stop()


async def test_a_port_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    """PostgreSQL's own last words, and where there are more."""
    first = EmbeddedPostgres(tmp_path / "first", OPTIONS)
    await first.start()
    try:
        second = EmbeddedPostgres(tmp_path / "second", OPTIONS, first.port)
        with pytest.raises(CannotStart, match=f"port {first.port} on 127.0.0.1 is in use") as caught:
            await second.start()
        assert "\n" not in str(caught.value)
    finally:
        await first.stop()


def test_an_interrupted_first_start_leaves_nothing_that_looks_like_data(tmp_path: Path) -> None:
    """initdb fails half way: the next start begins anew."""
    cluster = Cluster(tmp_path)
    with pytest.raises(CannotStart):
        cluster.prepare(Binaries(tmp_path / "nowhere", 18), Identity(("false",)))
    assert not cluster.data.exists()
    found = find_binaries()
    cluster.prepare(found, choose_identity(tmp_path, found.folder))
    assert (cluster.data / "PG_VERSION").read_text().strip() == str(found.version)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start in the folder of somebody else")
async def test_root_runs_it_as_the_owner_of_the_folder() -> None:
    """And the owner goes on with the data."""
    nobody = pwd.getpwnam("nobody")
    somebody = (nobody.pw_uid, nobody.pw_gid)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chown(folder, *somebody)
        server = EmbeddedPostgres(Path(folder), OPTIONS)
        await server.start()
        try:
            for path in (f"/proc/{server.pid}", f"{folder}/postgres"):
                owner = os.stat(path)  # noqa: PTH116
                assert (owner.st_uid, owner.st_gid) == somebody
        finally:
            await server.stop()


def test_data_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    """Nothing is upgraded behind anybody's back."""
    cluster = Cluster(tmp_path)
    cluster.data.mkdir()
    (cluster.data / "PG_VERSION").write_text("12\n")
    with pytest.raises(CannotStart, match="made by PostgreSQL 12"):
        cluster.prepare(find_binaries(), Identity(()))
