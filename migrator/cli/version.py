"""The versions of migrator, its ledger schema, Python and SQLite."""

import platform
import re
import sqlite3
from importlib.resources import files

from migrator import __version__


def versions() -> str:
    """All versions in a line, for bug reports; it imports no library."""
    return (
        f"migrator {__version__} (ledger schema {_schema()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version})"
    )


def _schema() -> str:
    """The schema's version, read from `schema.sql`: importing the ledger would load SQLAlchemy."""
    text = files("migrator").joinpath("schema.sql").read_text(encoding="utf-8")
    found = re.search(r"^PRAGMA user_version = (\d+);", text, re.MULTILINE)
    return found[1] if found else "?"
