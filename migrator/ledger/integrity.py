"""
Checks a ledger's file: its schema, its fixed rows, and every value in it.

SQLite checks its pages only on request. Another program may have edited the file, a copy may be
torn, a disk may rot. A row that `schema.sql` does not allow means that the file is damaged; that is
found here instead of by the command that reads the value. The rules are the CHECKs of `schema.sql`.
"""

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection

from migrator.ledger_errors import LedgerProblem, ledger_error, unique_indexes

Ask = Callable[[str], Iterable[Any]]

# Rows that the schema inserts and that never change.
_GIVEN_ROWS = (
    "SELECT name FROM state",
    "SELECT source, target FROM move",
    "SELECT name FROM outcome",
    "SELECT name FROM hold",
    "SELECT id FROM ledger",
    "SELECT name FROM checkpoint",
)
# Triggers keep the sums of contacts; this recounts them.
_WRONG_SUMS = """
    WITH counted AS MATERIALIZED (
        SELECT state, ifnull(held, '') AS held, count(*) AS contacts FROM contact GROUP BY 1, 2
    ), kept AS (SELECT state, held, contacts FROM state_count WHERE contacts > 0)
    SELECT * FROM (SELECT * FROM counted EXCEPT SELECT * FROM kept)
    UNION ALL SELECT * FROM (SELECT * FROM kept EXCEPT SELECT * FROM counted)
"""


def schema() -> str:
    """The text of `schema.sql`, the one definition of the ledger."""
    return files("migrator").joinpath("schema.sql").read_text(encoding="utf-8")


def statements(script: str) -> Iterator[str]:
    """The statements of a script; the body of a trigger has semicolons of its own."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def refuse_another_schema(connection: Connection, path: Path) -> None:
    """
    Compare the tables and views, with their indexes and triggers, with those of `schema.sql`.

    Tables, views and indexes that a person has added are ignored, except for UNIQUE indexes on our
    tables: they could refuse what is written.

    Raises:
        LedgerError: an object is missing, different, or added to one of ours.
    """
    with connection.begin():
        ask = _driver(connection).execute
        objects, rows = _blank()
        found = _objects(ask)
        added = found - objects
        if objects - found or _given_rows(ask) != rows:
            raise ledger_error(LedgerProblem.DAMAGED, path)
        if any(type_ != "index" for type_, _, _ in added):
            raise ledger_error(LedgerProblem.DAMAGED, path)
    # SQLite normalises these words.
    if refusing := sorted(name for _, name, sql in added if sql.startswith("CREATE UNIQUE ")):
        raise unique_indexes(path, refusing)


def refuse_damaged_values(connection: Connection, path: Path) -> None:
    """
    Check every page and every value of a file whose schema is right.

    That takes some seconds for a million contacts, plus the time to read them from disk.

    Raises:
        LedgerError: one of them is damaged.
    """
    with connection.begin():
        ask = _driver(connection).execute
        if ask("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise ledger_error(LedgerProblem.DAMAGED, path)
        if any(
            ask(sql).fetchone() for sql in ("PRAGMA foreign_key_check", _WRONG_SUMS, *_violations())
        ):
            raise ledger_error(LedgerProblem.DAMAGED, path)


def _driver(connection: Connection) -> sqlite3.Connection:
    """What these many small queries are asked of: each opening of a ledger waits for them."""
    return cast("sqlite3.Connection", connection.connection.driver_connection)


@cache
def _violations() -> tuple[str, ...]:
    """
    A query for each table that finds a row that breaks one of its CHECKs.

    SQLite's own check includes them, but not in a file that is opened read-only.
    """
    with closing(sqlite3.connect(":memory:")) as blank:
        blank.executescript(schema())
        tables = blank.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'table'"
        ).fetchall()
    checks = [(name, " AND ".join(_checks(_bare(sql)))) for name, sql in tables]
    return tuple(f"SELECT 1 FROM {name} WHERE NOT ({all_})" for name, all_ in checks if all_)


def _checks(sql: str) -> Iterator[str]:
    """The conditions of a table, each in its parentheses."""
    for found in re.finditer(r"CHECK (?=\()", sql):
        depth = 0
        for at in range(found.end(), len(sql)):
            depth += {"(": 1, ")": -1}.get(sql[at], 0)
            if depth == 0:
                yield sql[found.end() : at + 1]
                break


@cache
def _blank() -> tuple[frozenset[Any], list[list[Any]]]:
    """The objects and fixed rows of a new ledger."""
    with closing(sqlite3.connect(":memory:")) as blank:
        blank.executescript(schema())
        return _objects(blank.execute), _given_rows(blank.execute)


def _objects(ask: Ask) -> frozenset[Any]:
    """Our tables and views with their indexes and triggers, as SQL without comments."""
    found = ask("SELECT type, name, tbl_name, sql FROM sqlite_schema")
    names = _names()
    return frozenset(
        (type_, name, _bare(sql)) for type_, name, table, sql in found if table in names
    )


def _given_rows(ask: Ask) -> list[list[Any]]:
    return [sorted(ask(sql)) for sql in _GIVEN_ROWS]


@cache
def _names() -> frozenset[str]:
    return frozenset(re.findall(r"^CREATE (?:TABLE|VIEW) (\w+)", schema(), re.MULTILINE))


@lru_cache
def _bare(sql: str | None) -> str:
    """SQL without comments, which may change without a new schema version."""
    return " ".join(re.sub(r"--.*", "", sql or "").split())
