"""The schema's revision: brought up to date, and checked before anything else is asked of the database.

The rule: several may start at once, so whoever migrates holds an advisory lock on a direct connection; and a process
never works on a schema that it does not know.
"""

from functools import lru_cache
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from services.plumbing import logs
from services.plumbing.failures import CannotStart

log = logs.get(__name__)

# What the data path needs of its role in this database; never by SET, since a pooler would carry it to others.
ROLE_SETTINGS: Final = {
    "max_parallel_workers_per_gather": "0",
    "random_page_cost": "1.1",
    "work_mem": "16MB",
    "jit": "off",
    # Every statement of the data path has its index, and a generic plan outlives the size that a table had when it was
    # made: without this a table that was empty then is read from end to end for ever.
    "enable_seqscan": "off",
    "enable_memoize": "off",
    "plan_cache_mode": "force_generic_plan",
    "lock_timeout": "15s",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
}

_MIGRATING: Final = 7_236_178_801
_MIGRATIONS: Final = Path(__file__).parent / "migrations"


class SchemaUnknown(CannotStart):
    """The database's schema is not the one that this program was written for."""


@lru_cache(maxsize=1)
def known() -> tuple[str, ...]:
    """Every revision, the oldest first, by the names of their files: asking Alembic would slow down every start."""
    return tuple(
        sorted(file.name.partition("_")[0] for file in (_MIGRATIONS / "versions").glob("[0-9]*_*.py"))
    )


def newest() -> str:
    """The revision that this program works on."""
    return known()[-1]


def migrate(database_url: str) -> str:
    """Brings the schema up to date and answers its revision; waits for others who do the same.

    database_url: direct, not through a pooler. Raises SchemaUnknown for a newer schema or an encoding that is not UTF8.
    """
    with _connect(database_url) as guard:
        _check_encoding(guard)
        guard.execute("SET statement_timeout = 0")
        guard.execute("SET lock_timeout = 0")
        guard.execute("SELECT pg_advisory_lock(%s)", (_MIGRATING,))
        found = _revision_of(guard)
        if found is not None and found not in known():
            raise SchemaUnknown(_newer(found))
        _set_role(guard)
        if found == newest():
            return found
        _upgrade(database_url)
        guard.execute("ANALYZE")
        log.info("schema migrated", found=found or "none", revision=newest())
        return newest()


def _upgrade(database_url: str) -> None:
    # Imported only here, since most starts find nothing to do.
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: _connect(database_url, autocommit=False),
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        connection.exec_driver_sql("SET lock_timeout = '5s'")
        connection.exec_driver_sql("SET statement_timeout = '10min'")
        connection.commit()
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def refuse_pooler(database_url: str) -> None:
    """Raises CannotStart where something stands between us and the server: the number that greeted us is not its own.

    For whoever was given one address for everything. Through a pooler that lends connections for a transaction at a
    time signals get lost, locks of a session stay behind, and so does what SET says.
    """
    with _connect(database_url) as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        if row is None or row[0] != connection.info.backend_pid:
            raise CannotStart(
                "RESTANTE_DATABASE_URL leads to a pooler: set RESTANTE_DATABASE_DIRECT_URL to the server behind it, "
                "for change signals and migrations"
            )


def check(database_url: str) -> None:
    """Raises SchemaUnknown unless the schema is the one that this program was written for."""
    with _connect(database_url) as connection:
        _check_encoding(connection)
        found = _revision_of(connection)
    if found is None or (found != newest() and found in known()):
        raise SchemaUnknown(
            f"the database's schema is {found or 'missing'}, this program needs {newest()}: run restante migrate"
        )
    if found != newest():
        raise SchemaUnknown(_newer(found))


def _newer(found: str) -> str:
    return f"the database's schema is {found}, newer than this program, which knows {newest()}: run a newer program"


def _connect(database_url: str, autocommit: bool = True) -> psycopg.Connection:
    try:
        return psycopg.connect(database_url, autocommit=autocommit, connect_timeout=10)
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0].removeprefix("connection failed: ")
        raise CannotStart(f"no database, is RESTANTE_DATABASE_URL right? {reason}") from error


def _check_encoding(connection: psycopg.Connection) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise SchemaUnknown(
            f"the database's encoding is {encoding}; make one with ENCODING 'UTF8' LC_CTYPE 'C.UTF-8'"
        )


def _revision_of(connection: psycopg.Connection) -> str | None:
    there = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
    if there is None or not there[0]:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _set_role(connection: psycopg.Connection) -> None:
    # In this database alone: the role may be somebody's in others.
    row = connection.execute("SELECT current_database()").fetchone()
    assert row is not None
    for name, value in ROLE_SETTINGS.items():
        wish = sql.SQL("ALTER ROLE CURRENT_USER IN DATABASE {} SET {} = {}").format(
            sql.Identifier(row[0]), sql.Identifier(name), sql.Literal(value)
        )
        try:
            connection.execute(wish)
        except psycopg.Error as error:
            reason = str(error).strip().splitlines()[0]
            log.warning("the role keeps its own settings", setting=name, reason=reason)
