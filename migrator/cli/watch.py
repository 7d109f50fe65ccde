"""
`report --watch`: the progress of a command that runs in another terminal, read from the ledger.

The ledger is opened, read and closed each second. So no lock is held in between, a push can
checkpoint its write-ahead log, and a ledger that was moved is noticed.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from migrator.errors import LedgerError
from migrator.ledger import Ledger, Run
from migrator.progress import Display, Snapshot
from migrator.report import Report, summary
from migrator.report.labels import STICKY, ending, local, numbers
from migrator.text import duration

LOOK_EVERY_SECONDS = 1.0
# A command that ends may remove the write-ahead log just when it is opened.
LOOKS_THAT_MAY_FAIL = 3
# No command waits longer; a damaged ledger may claim more.
LONGEST_WAIT_SECONDS = 86_400.0
EARLIER_RUNS = 3


def watch(path: Path, display: Display, pause: Callable[[float], None] = time.sleep) -> Report:
    """
    Show the running command until it ends, and return the last report.

    It does not wait for a command to begin: a script that watches might never end.

    Raises:
        LedgerError: there is no ledger, or it cannot be read.
    """
    report = look(path)
    was_running = report.running is not None
    if not was_running:
        display.say("No command is running on this ledger.")
    with display:
        while (run := report.running) is not None:
            display.show(_snapshot(report, run))
            pause(LOOK_EVERY_SECONDS)
            report = _look_again(path, pause)
        if was_running:
            display.show(_snapshot(report, report.runs[0].current))
    return report


def look(path: Path) -> Report:
    """Read the ledger once."""
    with Ledger.open_read_only(path) as ledger:
        return summary.read(ledger)


def _look_again(path: Path, pause: Callable[[float], None]) -> Report:
    for _ in range(LOOKS_THAT_MAY_FAIL):
        try:
            return look(path)
        except LedgerError:
            pause(LOOK_EVERY_SECONDS)
    return look(path)


def _snapshot(report: Report, run: Run) -> Snapshot:
    # A push notes which open attempts are only in flight; with other commands all are in doubt.
    told = {"in_doubt": report.in_doubt, **run.counters, **_moment(report, run)}
    return Snapshot.of(
        run.command,
        told,
        states={str(state): standing.total for state, standing in report.states.items()},
        held=report.needing_attention,
        notes=tuple(line.replace(STICKY, " ") for line in _notes(report)),
    )


def _moment(report: Report, run: Run) -> dict[str, str | float | None]:
    """What the command waits for, as it noted in the ledger."""
    words, until_ms = run.now.get("waiting_for"), run.now.get("waiting_until_ms")
    allowed = run.now.get("allowed_per_minute")
    seconds = None
    if isinstance(until_ms, int):
        left = (until_ms - report.now_ms) / 1000
        seconds = min(max(0.0, left), LONGEST_WAIT_SECONDS)
    return {
        "allowed_per_minute": allowed if isinstance(allowed, int | float) else None,
        "waiting_for": words if isinstance(words, str) else None,
        "waiting_seconds": seconds,
    }


def _notes(report: Report) -> Iterator[str]:
    """Which process is running and for how long, why contacts are held, and the runs before."""
    if (run := report.running) is not None:
        yield f"process {run.pid} on {run.host}, for {duration(report.seconds(run))}"
    if report.held:
        yield "held: " + ", ".join(f"{one.contacts:,} {one.held}" for one in report.held)
    earlier = [run for run in report.runs if report.running is None or run.id != report.running.id]
    for run in earlier[:EARLIER_RUNS]:
        did = numbers(run)
        ended = ending(run, report.status(run)) + (f": {did}" if did else "")
        yield f"{local(run.began_ms)} {run.command} {ended}"
