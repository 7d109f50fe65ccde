"""
A copy of a ledger that belongs to another journey, for a rehearsal.

The original is only read, as of one moment, by SQLite's backup: a command may work on it meanwhile.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from migrator.ledger.database import Database, translate_errors
from migrator.private_files import OWNER_ONLY

_PAGES_AT_ONCE = 1_000


def write_copy(database: Database, target: Path, pause: Callable[[], None]) -> None:
    """
    Write a copy of the contacts, moves and sends that is bound to no destination yet.

    Args:
        target: The file; there must be none.
        pause: Called between parts of the file; it may raise to stop.

    Raises:
        LedgerError: the ledger cannot be read, was written meanwhile, or the disk is full.
    """
    with translate_errors(target):
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, OWNER_ONLY))
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            database.back_up(copy, _PAGES_AT_ONCE, pause)
            _unbind(copy)


def _unbind(copy: sqlite3.Connection) -> None:
    """
    Free the copy of its destination, and of what was found out about that one.

    A ledger is bound once, says its schema. This file is not a ledger yet: the rule is lifted and
    put back in one transaction.
    """
    (rule,) = copy.execute("SELECT sql FROM sqlite_schema WHERE name = 'ledger_is_bound_once'")
    copy.execute("BEGIN IMMEDIATE")
    copy.execute("DROP TRIGGER ledger_is_bound_once")
    copy.execute(
        "UPDATE ledger SET leadgenius_url = NULL, client_id = NULL, chosen_client_id = NULL"
    )
    copy.execute(rule[0])
    copy.execute("COMMIT")
