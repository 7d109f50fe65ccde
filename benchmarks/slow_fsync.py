"""
A slow disk for one process: fsync and fdatasync that take 5 ms longer, preloaded into it.

Owns the shim's compilation, and the proof that it works here: a preload that is not taken would
make every figure of it a lie.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import measuring

_SOURCE = Path(__file__).with_name("slow_fsync.c")
_DELAY_SECONDS = 0.005
_COMMITS = 20
# As the ledger commits: a log that is synchronised at each.
_COMMIT = f"""
import sqlite3, time
ledger = sqlite3.connect("slow.db", isolation_level=None)
ledger.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (x)")
began = time.monotonic()
for number in range({_COMMITS}):
    ledger.execute("INSERT INTO t VALUES (1)")
print(time.monotonic() - began)
"""


@contextmanager
def slow_fsync(folder: Path) -> Iterator[dict[str, str] | None]:
    """
    What to add to the environment of a process; None where there is no compiler.

    Raises:
        Failed: SQLite's commits do not become slower by it.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        yield None
        return
    library = folder / "slow_fsync.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"]
    measuring.run(command, folder, os.environ)
    environment = {"LD_PRELOAD": str(library)}
    proof = measuring.run([sys.executable, "-c", _COMMIT], folder, {**os.environ, **environment})
    if float(proof.out) < _COMMITS * _DELAY_SECONDS:
        raise measuring.Failed("commits are as fast as ever: the slow fsync is not used")
    yield environment
