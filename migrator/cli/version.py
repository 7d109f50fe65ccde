"""What is installed: migrator, the schema of its ledgers, and what it stands on."""

import platform
import re
import sqlite3
from importlib.resources import files

from migrator import __version__


def versions() -> str:
    """All of them in a line, for a report of a fault; no library is opened for it."""
    return (
        f"migrator {__version__} (ledger schema {_schema()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version})"
    )


def _schema() -> str:
    """The one place that says it is `schema.sql`; the ledger's own room opens SQLAlchemy."""
    text = files("migrator").joinpath("schema.sql").read_text(encoding="utf-8")
    found = re.search(r"^PRAGMA user_version = (\d+);", text, re.MULTILINE)
    return found[1] if found else "?"
