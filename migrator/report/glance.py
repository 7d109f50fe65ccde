"""
The rest of the report in a few short lines, to stand below a display of the command at work.

It shows nothing itself; whoever does has the states, the pace and what is waited for already.
"""

from collections.abc import Iterator
from datetime import datetime

from migrator.report.facts import Report
from migrator.report.labels import STICKY, duration, ending, numbers
from migrator.report.machine import status

EARLIER_RUNS = 3


def glance(report: Report) -> tuple[str, ...]:
    """Who is at work and for how long, why contacts wait for a person, and what ran before."""
    return tuple(line.replace(STICKY, " ") for line in _lines(report))


def _lines(report: Report) -> Iterator[str]:
    if (run := report.running) is not None:
        yield f"process {run.pid} on {run.host}, for {duration(_seconds(run.began_ms, report))}"
    if report.held:
        yield "held: " + ", ".join(f"{one.contacts:,} {one.held}" for one in report.held)
    earlier = [run for run in report.runs if run != report.running]
    for run in earlier[:EARLIER_RUNS]:
        began = datetime.fromtimestamp(run.began_ms / 1000)
        did = numbers(run)
        ended = ending(run, status(run, report)) + (f": {did}" if did else "")
        yield f"{began:%Y-%m-%d %H:%M} {run.command} {ended}"


def _seconds(since_ms: int, report: Report) -> float:
    return (report.now_ms - since_ms) / 1000
