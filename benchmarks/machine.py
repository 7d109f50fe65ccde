"""
What was measured on: the machine, and the versions of everything that matters.

It reads what the system tells of itself, and no name of a host, a user or a path.
"""

import os
import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("SQLAlchemy", "requests", "urllib3", "rich")


def described() -> dict[str, str]:
    """In a few lines, by their names."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "CPU": f"{_cpu_model()}, {os.cpu_count()} cores",
        "memory": f"{pages * size / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "libraries": ", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
    }


def as_markdown() -> str:
    """The same as a list."""
    return "".join(f"- {name}: {value}\n" for name, value in described().items())


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
