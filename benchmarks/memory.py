"""
What grows in memory with the number of contacts: what is in use, or what the allocator keeps free.

    python -m benchmarks.memory
    python -m benchmarks.memory --contacts 10000 1000000

A stage, and a push that is resumed with contacts in doubt and so lists all leads, with few contacts
and with many. Each process looks at itself twenty times a second. "Held" is the most that malloc
had from the system; the rest are medians of the second half of the process: "in use" is what of
that was allocated, SQLite's memory included, and Python counts its small objects. It needs Linux
with glibc 2.33 or newer.
"""

import argparse
import ctypes
import json
import re
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.table import markdown
from benchmarks.workspace import Stand, Workplace, build_ledger

_LOOK_EVERY_SECONDS = 0.05
_PUSH = "push --resume --take-over -q --rate max --workers 16 --settle 2"
_MOST = ("resident", "held")
_COLUMNS = {
    "resident": "peak MB",
    "held": "held by malloc, MB",
    "in_use": "in use of that, MB",
    "sqlite": "SQLite, MB",
    "objects": "Python objects",
}


def main(words: Sequence[str]) -> int:
    """Measure, and print the table."""
    if words[:1] == ["--watched"]:
        return _watched(words[1:])
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--contacts", nargs=2, type=int, default=[10_000, 100_000], metavar="N")
    sizes = parser.parse_args(words).contacts
    lines = [["process", "contacts", *_COLUMNS.values()]]
    for verb, measure in (("stage", _stage), ("push --resume", _push)):
        for contacts in sizes:
            print(f"memory: {verb} of {contacts:,}", file=sys.stderr, flush=True)
            temporary = tempfile.TemporaryDirectory(prefix="migrator-memory-")
            with temporary as folder, Stand(contacts) as stand:
                seen = measure(Workplace(Path(folder), stand), stand, contacts)
            lines.append([verb, f"{contacts:,}", *(_shown(seen[name]) for name in _COLUMNS)])
    print(markdown(lines), end="")
    return 0


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value > 1_000 else f"{value:.1f}"


def _stage(place: Workplace, stand: Stand, contacts: int) -> dict[str, float]:
    return _run_watched(place, "stage -q")


def _push(place: Workplace, stand: Stand, contacts: int) -> dict[str, float]:
    build_ledger(place.ledger, stand, "--contacts", contacts, "--left", 1_000)
    stand.ask(f"hold {place.ledger}")
    return _run_watched(place, _PUSH)


def _run_watched(place: Workplace, words: str) -> dict[str, float]:
    cost = place.script(sys.executable, Path(__file__), "--watched", *words.split())
    seen: dict[str, float] = json.loads(cost.out.splitlines()[-1])
    return seen


def _watched(words: Sequence[str]) -> int:
    """Run a command in this process, and print the sizes that the table shows, as JSON."""
    from migrator.cli import main as migrator

    seen = [_sizes()]
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(_LOOK_EVERY_SECONDS):
            seen.append(_sizes())

    threading.Thread(target=watch, daemon=True).start()
    code = migrator(words)
    is_over.set()
    later = seen[len(seen) // 2 :]
    middle = {name: median(one[name] for one in later) for name in seen[0]}
    print(json.dumps(middle | {name: max(one[name] for one in seen) for name in _MOST}))
    return code


class _Mallinfo2(ctypes.Structure):
    """Of `mallinfo2`: bytes, over all arenas."""

    _names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = tuple((name, ctypes.c_size_t) for name in _names.split())


def _sizes() -> dict[str, float]:
    import _sqlite3  # its library has the same SQLite

    mallinfo2: Any = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _Mallinfo2
    sqlite: Any = ctypes.CDLL(_sqlite3.__file__).sqlite3_memory_used
    sqlite.restype = ctypes.c_int64
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+)", status)
    info = mallinfo2()
    return {
        "resident": int(found[1]) / 1024 if found else 0.0,
        "held": (info.arena + info.hblkhd) / 2**20,
        "in_use": (info.uordblks + info.hblkhd) / 2**20,
        "sqlite": sqlite() / 2**20,
        "objects": sys.getallocatedblocks(),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
