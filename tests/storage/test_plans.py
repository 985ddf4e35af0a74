"""How PostgreSQL goes about each statement, on a database that was never analysed and holds nothing.

A plan that is made then is kept for as long as a connection lives. One that joins with a whole table is right while
that is empty, and costs more with every letter.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from services import storage
from services.storage.store import PostgresStore
from services.storage.transaction import Statement

# What looks at everything, and is asked by operators, now and then, or for a name that nobody made.
LOOKS_AT_ALL = frozenset(
    {
        "list domains",
        "list sessions",
        "end session",
        "sweep: find",
        "sweep: uploads",
        "sweep: processes",
        "traces: sweep",
        "sweep: removed accounts",
    }
)


def statements() -> dict[str, Statement]:
    """Every statement of storage by its name, those of tasks apart."""
    found: dict[str, Statement] = {}
    for module in pkgutil.walk_packages(storage.__path__, f"{storage.__name__}."):
        if not any(part in module.name for part in ("__main__", ".migrations", ".verify")):
            constants = vars(importlib.import_module(module.name))
            found |= {each.name: each for each in constants.values() if isinstance(each, Statement)}
    return found


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes that read a table without being told where."""
    kind = plan["Node Type"]
    is_told = "Index Cond" in plan or "TID Cond" in plan
    if "Relation Name" in plan and "Scan" in kind and kind != "Bitmap Heap Scan" and not is_told:
        yield plan
    for inner in plan.get("Plans", ()):
        yield from scans(inner)


async def test_no_statement_reads_a_whole_table(store: PostgresStore, database_url: str) -> None:
    """Whatever the planner knew when it was first asked: each table is reached by an index and values for it."""
    wrong: dict[str, list[str]] = {}
    seen = 0
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        if connection.info.server_version < 160_000:
            pytest.skip("EXPLAIN (GENERIC_PLAN) is PostgreSQL 16's")
        for each in statements().values():
            if each.text in {"BEGIN", "COMMIT"} or each.name in LOOKS_AT_ALL:
                continue
            cursor = await connection.execute(b"EXPLAIN (GENERIC_PLAN, FORMAT JSON) " + each.query)
            row = await cursor.fetchone()
            assert row is not None
            seen += 1
            if found := [
                f"{node['Node Type']} on {node['Relation Name']}" for node in scans(row[0][0]["Plan"])
            ]:
                wrong[each.name] = found
    assert wrong == {}
    assert seen > 50
