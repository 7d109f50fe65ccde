"""
A long run in which everything goes wrong, ended a thousand times by force; then the judge speaks.

    python -m benchmarks.soak --kills 1000
    python -m benchmarks.soak --kills 500 --edits

Real commands as real processes move a portal to a sandbox where each fault strikes some sends
or pages of a hundred. They are killed at random moments of their lives, go two at a time, stand
still for seconds and lose the service under their hands; contacts come and change meanwhile. With
`--edits`, people edit leads, contacts that were sent change, merge and go, and `update` is among
the commands. One line of figures goes to stdout, with a table of the rare
situations that were met, and it ends with 0 only if every contact that can
be sent is at the destination exactly once, and no edit was overwritten that `update` could know of.
"""

import argparse
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from benchmarks.chaos import Chaos
from benchmarks.commands import Operator
from benchmarks.fault_schedule import SETTLE_SECONDS, started_sandbox
from benchmarks.judge import Broken, contact_of, judge
from benchmarks.situations import met, table
from migrator.sandbox import Sandbox, SandboxVerdict

TOLD_EVERY_SECONDS = 30.0
# The sandbox remembers the leads of its latest 50,000 requests, and the judge needs all of them.
MOST_REQUESTS = 45_000
VERBS = ("push", "stage", "update", "verify", "retry")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a soak; 0 = nothing lost, nothing twice, and everything closed."""
    args = _parser().parse_args(argv)
    seed = random.SystemRandom().randrange(1_000_000) if args.seed is None else args.seed
    folder = Path(tempfile.mkdtemp(prefix="migrator-soak-"))
    sandbox = started_sandbox(args.contacts, seed, is_edited=args.edits)
    operator = Operator(folder, sandbox, is_edited=args.edits)
    chaos = Chaos(operator, sandbox, seed, args.contacts, is_edited=args.edits)
    figures = _Figures(chaos, sandbox, seed)
    broken: Broken | None = None
    try:
        with operator.at_work():
            chaos.begin()
            while chaos.kills < args.kills and figures.may_go_on(args.hours):
                chaos.play()
                figures.tell()
            chaos.end()
            judge(sandbox, operator.ledger, SETTLE_SECONDS)
    except Broken as error:
        broken = error
    finally:
        sandbox.stop()
    print(figures.last_line(is_closed=broken is None))
    if operator.ledger.exists():
        print("\n".join(table(met(sandbox, operator.ledger))))
    if broken is not None:
        _explain(broken, sandbox, folder)
        return 1
    shutil.rmtree(folder)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--kills", metavar="N", type=int, default=200, help="default 200")
    parser.add_argument("--contacts", metavar="N", type=int, default=3000, help="default 3000")
    parser.add_argument("--seed", metavar="N", type=int, help="default: any; it is printed")
    parser.add_argument(
        "--hours", metavar="H", type=float, default=3.0, help="no kills after that (default 3)"
    )
    parser.add_argument("--edits", action="store_true", help="people edit, and HubSpot changes")
    return parser


class _Figures:
    """What happened so far, in a line, and whether it may go on."""

    def __init__(self, chaos: Chaos, sandbox: Sandbox, seed: int) -> None:
        self._chaos = chaos
        self._sandbox = sandbox
        self._seed = seed
        self._began = self._told_at = time.monotonic()

    def may_go_on(self, hours: float) -> bool:
        """Whether there is time left, and room in the sandbox's record."""
        is_in_time = time.monotonic() < self._began + hours * 3600
        return is_in_time and len(self._sandbox.received) < MOST_REQUESTS

    def tell(self) -> None:
        """A line of progress, now and then."""
        if time.monotonic() < self._told_at + TOLD_EVERY_SECONDS:
            return
        self._told_at = time.monotonic()
        parts = [self._kills(), f"{sum(map(len, saved(self._sandbox).values())):,} leads"]
        parts += [self._doubts(), f"duplicated {len(duplicated(self._sandbox)):,}", self._took()]
        print(" · ".join(parts), file=sys.stderr, flush=True)

    def last_line(self, *, is_closed: bool) -> str:
        """The one line of figures; what was lost is known only when everything was closed."""
        verdict = self._sandbox.verdict()
        twice = len(verdict.duplicated)
        parts = [
            self._kills(),
            f"{verdict.contacts:,} contacts · {verdict.sendable:,} sendable",
            f"{len(self._sandbox.received):,} requests",
            self._doubts(),
            f"lost {len(verdict.lost):,}" if is_closed else "stopped early",
            f"duplicated {twice:,}",
            *self._edits(verdict),
            self._took(),
        ]
        return " · ".join(parts)

    def _edits(self, verdict: SandboxVerdict) -> list[str]:
        """What people and updates did to each other; nothing where neither was there."""
        updates = sum(one.method == "PUT" for one in self._sandbox.received)
        if not updates:
            return []
        edits = verdict.edits
        return [
            f"{updates:,} updates, {len(verdict.edited):,} edits there",
            f"overwritten {len(edits.overwritten):,}, reverted {len(edits.reverted):,}",
            f"{len(edits.overwritten_unseen):,} between look and write",
        ]

    def _kills(self) -> str:
        ends, verbs = self._chaos.ends, self._chaos.verbs
        where = ", ".join(f"{verbs[verb]:,} of {verb}" for verb in VERBS if verbs[verb])
        return (
            f"soak: seed {self._seed} · {self._chaos.kills:,} kills ({ends['KILL']:,} KILL, "
            f"{ends['TERM']:,} TERM, {ends['second signal']:,} second signals; {where}) · "
            f"{ends['pause']:,} pauses, {ends['pair']:,} pairs, {ends['restart']:,} restarts"
        )

    def _doubts(self) -> str:
        outcomes: dict[str | None, int] = {}
        with suppress(sqlite3.OperationalError):  # there may be no ledger yet
            outcomes = dict(self._chaos.ask("SELECT outcome, count(*) FROM attempt GROUP BY 1"))
        found, absent = outcomes.get("found", 0), outcomes.get("absent", 0)
        left = outcomes.get(None, 0)
        settled = f"{found + absent + left:,} in doubt: {found:,} found, {absent:,} absent"
        return f"{settled}, {left:,} open" if left else settled

    def _took(self) -> str:
        return f"{(time.monotonic() - self._began) / 60:.0f} min"


def saved(sandbox: Sandbox) -> dict[str, list[str]]:
    """The leads that the sandbox saved for each contact, by its own record."""
    leads: defaultdict[str, list[str]] = defaultdict(list)
    for one in sandbox.received:
        if one.lead_id is not None and one.lead is not None:
            leads[contact_of(one.lead)].append(one.lead_id)
    return leads


def duplicated(sandbox: Sandbox) -> dict[str, list[str]]:
    """Those of them that have more than one lead."""
    return {contact: leads for contact, leads in saved(sandbox).items() if len(leads) > 1}


def _explain(broken: Broken, sandbox: Sandbox, folder: Path) -> None:
    """Say what is wrong, and keep the sandbox's record beside the ledger and all that was said."""
    record = {"received": [asdict(one) for one in sandbox.received], "held": sandbox.held}
    (folder / "record.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    print(f"soak: {broken}", file=sys.stderr)
    for contact, leads in duplicated(sandbox).items():
        print(f"soak: contact {contact} was sent twice: {', '.join(leads)}", file=sys.stderr)
    print(f"soak: everything is kept in {folder}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
