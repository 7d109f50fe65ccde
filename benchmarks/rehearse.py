"""
A rehearsal of 20,000 contacts, of which LeadGenius refuses 2 %, and the real push afterwards.

    python -m benchmarks.rehearse
    python -m benchmarks.rehearse --contacts 2000

It says whether both name exactly those, how long the rehearsal's push takes beside the real one at
full speed, and how much memory and disk it takes beyond a rehearsal of 100 contacts, each as a
share of the ledger. 1 = a name is wrong, or memory or disk is more than twice the ledger.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.workspace import Stand, Workplace

_FEW = 100
_LOOK_EVERY_SECONDS = 0.1
# Of the real push the same as of the rehearsed one, but for the time-outs.
_PUSH = "push -q --rate max --max-in-doubt 1000 --settle 3"
_REFUSED = (
    "import json, sqlite3, sys; ledger = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True);"
    "print(json.dumps([one for one, in ledger.execute("
    "\"SELECT hubspot_id FROM contact WHERE held = 'refused'\")]))"
)


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """
    What a rehearsal took, and what it said.

    Args:
        seconds: Of the whole command.
        memory: The most that each process held, added up, in bytes.
        disk: The most that was in the state folder, in bytes.
    """

    result: dict[str, Any]
    seconds: float
    memory: int
    disk: int


def main() -> int:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rehearse")
    parser.add_argument("--contacts", type=int, default=20_000)
    contacts = parser.parse_args().contacts
    with tempfile.TemporaryDirectory(prefix="migrator-rehearse-") as name:
        with Stand(_FEW) as stand:
            stand.ask("lengthen 1")  # so that HubSpot has the property
            few = _rehearsed(_staged(Path(name) / "few", stand))
        with Stand(contacts) as stand:
            bad = sorted(stand.ask(f"lengthen {contacts // 50}")["contacts"])
            place = _staged(Path(name) / "many", stand)
            size = place.ledger.stat().st_size
            many = _rehearsed(place)
            pushed = place.migrator(_PUSH, allowed=(1,))
            words = [sys.executable, "-c", _REFUSED, str(place.ledger)]
            really = sorted(json.loads(subprocess.check_output(words)))  # noqa: S603
    named = sorted(one["contact"] for one in many.result["refused"])
    memory, disk = many.memory - few.memory, many.disk
    figures = {
        "contacts": contacts,
        "refused": len(bad),
        "named exactly those": named == bad,
        "the real push refuses the same": really == bad,
        "rehearsal's push, seconds": many.result["seconds"],
        "real push, seconds": round(pushed.seconds, 1),
        "whole rehearsal, seconds": round(many.seconds, 1),
        "ledger, MB": round(size / 1e6, 1),
        "memory, MB": round(memory / 1e6, 1),
        "memory / ledger": round(memory / size, 2),
        "disk, MB": round(disk / 1e6, 1),
        "disk / ledger": round(disk / size, 2),
    }
    print(json.dumps(figures, indent=1))
    is_good = named == bad == really and max(memory, disk) <= 2 * size
    return 0 if is_good else 1


def _staged(folder: Path, stand: Stand) -> Workplace:
    place = Workplace(folder, stand)
    mapping = place.migrator("mapping --builtin").out
    mine = mapping.replace("\ntitle", '\nlinkedinUrl = "website"\ntitle')
    (folder / "mine.toml").write_text(mine, encoding="utf-8")
    place.migrator("stage -q --mapping mine.toml")
    return place


def _rehearsed(place: Workplace) -> Rehearsed:
    began, peaks, disk = time.monotonic(), dict[int, int](), 0
    running = place.start("rehearse -q --json")
    while running.wait_for(_LOOK_EVERY_SECONDS):
        for pid in processes_in(place.folder):
            peaks[pid] = max(peaks.get(pid, 0), _peak(pid))
        disk = max(disk, _bytes_in(place.folder / "state"))
    cost = running.ended((0, 1))
    seconds = time.monotonic() - began
    result = json.loads(cost.out.splitlines()[-1])
    return Rehearsed(result, seconds, sum(peaks.values()), disk)


def processes_in(folder: Path) -> list[int]:
    """The processes that work in a folder, which may be gone."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (one / "cwd").readlink().is_relative_to(folder):
                found.append(int(one.name))
    return found


def _peak(pid: int) -> int:
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    return 0


def _bytes_in(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(parent) / name).stat().st_size
    return total


if __name__ == "__main__":
    sys.exit(main())
