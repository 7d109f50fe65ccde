"""
Does the intent reach the disk before its POST leaves? `python -m benchmarks.power_cut` watches.

It asks the kernel, through `strace`, which must be installed: no POST may leave while a write to
the ledger's log has not been followed by a sync of it. One worker, and a pace that lets no intent
wait for it, so that nothing else is written meanwhile. `tests/crash/test_power_cut.py` shows what
that is worth after a cut.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from migrator.sandbox import Sandbox
from tests.support.processes import Operator

CONTACTS = 40
TRACE = ["strace", "-f", "-y", "-s", "40", "-e", "trace=fsync,fdatasync,pwrite64,sendto", "-o"]
PUSH = "push --rate 600 --workers 1 --settle 1 --canary 0"


def main() -> int:
    """Print how many POSTs left, and how many of them too early; that many is the exit code."""
    with tempfile.TemporaryDirectory() as name, Sandbox(contacts=CONTACTS) as sandbox:
        folder = Path(name)
        operator = Operator(folder, sandbox)
        operator.run("stage")
        trace = folder / "trace"
        subprocess.run(  # noqa: S603 - our own command
            [*TRACE, str(trace), *operator.command, *PUSH.split()],
            cwd=folder,
            env=operator.environment(),
            check=True,
        )
        sent, early, syncs = watched(trace.read_text(errors="replace").splitlines())
    print(f"{sent} POSTs left, after {syncs} syncs of the log; {early} of them too early")
    return early if sent >= CONTACTS - 2 else 1


def watched(lines: Iterable[str]) -> tuple[int, int, int]:
    """
    How many POSTs left, how many of them before what was written was synced, and the syncs.

    A line begins with the thread's number. A call during which another thread made one has two
    lines, `fdatasync(3</ledger-wal> <unfinished ...>` and `<... fdatasync resumed>) = 0`.
    """
    written, synced, sent, early, syncs = 0, 0, 0, 0, 0
    begun: dict[str, int] = {}  # what was written when a thread's sync began
    for line in lines:
        thread = line.split(maxsplit=1)[0]
        if re.search(r"pwrite64\(\d+<[^>]*-wal>", line):
            written += 1
        elif "POST /api/leads" in line and "sendto(" in line:
            sent += 1
            early += synced < written
        if re.search(r"f(data)?sync\(\d+<[^>]*-wal>", line):
            begun[thread] = written
        if thread in begun and re.search(r"sync(\(.*>| resumed>)\)\s+= 0", line):
            synced, syncs = max(synced, begun.pop(thread)), syncs + 1
    return sent, early, syncs


if __name__ == "__main__":
    sys.exit(main())
