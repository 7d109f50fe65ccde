"""
Which run of a ledger is the newest, asked from any thread.

The ledger's own connection belongs to one thread, and is often inside a transaction. This one only
reads, and each question sees what was committed before it.
"""

import os
import sqlite3
import threading
from pathlib import Path
from urllib.parse import quote


class NewestRun:
    """
    A read-only connection that is opened by the first question.

    Args:
        path: The ledger's file, which is open for work.
        timeout_seconds: How long to wait for SQLite's locks.
    """

    def __init__(self, path: Path, timeout_seconds: float) -> None:
        self._path, self._timeout_seconds = path, timeout_seconds
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def id(self) -> int | None:
        """The number of the newest run; `None` = there is none."""
        with self._lock:
            if self._connection is None:
                self._connection = sqlite3.connect(
                    f"file:{quote(os.fsencode(self._path))}?mode=ro",
                    uri=True,
                    isolation_level=None,
                    timeout=self._timeout_seconds,
                    check_same_thread=False,
                )
            # All rows are fetched, so that no snapshot stays open.
            [(newest,)] = self._connection.execute("SELECT max(id) FROM run").fetchall()
            return None if newest is None else int(newest)

    def close(self) -> None:
        """Close it; no thread may ask any more."""
        if self._connection is not None:
            self._connection.close()
