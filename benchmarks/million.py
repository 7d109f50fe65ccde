"""
The whole journey with a million contacts, its push killed three times; then the judge speaks.

    python -m benchmarks.million
    python -m benchmarks.million --contacts 20000 --json million.json

Every verb is a real process at its defaults, the push with `--rate max --workers 16`. The stand-in
has no limits and a process of its own. After each kill `push --resume` goes on; it waits for
`settle`, 60 s, before it believes that a lead is absent, and sends others meanwhile. The table goes
to stdout, as Markdown. It ends with 0 only if nothing is lost, nothing there twice, nothing wrong.
"""

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.end_to_end import KILLS, Phase, Whole, random_kills
from benchmarks.scale import journey_as_json
from benchmarks.table import markdown, number, write_between
from benchmarks.workspace import ROOT, Stand, Workplace

PAGE = ROOT / "docs" / "performance.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Travel, print, and say whether the promise held."""
    args = _parser().parse_args(argv)
    seed = random.SystemRandom().randrange(1_000_000) if args.seed is None else args.seed
    told = _travel(args.contacts, args.kills, seed, args.folder)
    text = as_markdown(told)
    print(text)
    if args.json:
        args.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if args.write:
        write_between(PAGE, "million", text)
    return int(not told["verdict"]["ok"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--contacts", metavar="N", type=int, default=1_000_000)
    parser.add_argument("--kills", metavar="N", type=int, default=KILLS, help=f"default {KILLS}")
    parser.add_argument("--seed", metavar="N", type=int, help="of the kills; it is printed")
    parser.add_argument("--folder", metavar="DIR", type=Path, help="where the ledger is made")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures there")
    parser.add_argument("--write", action="store_true", help="put the table into docs/")
    return parser


def _travel(contacts: int, kills: int, seed: int, folder: Path | None) -> dict[str, Any]:
    temporary = tempfile.TemporaryDirectory(prefix="migrator-million-", dir=folder)
    with temporary as name, Stand(contacts) as stand:
        place = Workplace(Path(name), stand)
        points = random_kills(contacts, kills, seed)
        phases: list[Phase] = []
        for phase in Whole(place, stand, _tell).travel(points):
            _tell(" · ".join(_cells(phase.as_json())))
            phases.append(phase)
        _tell("the judge compares every contact with every lead")
        verdict = stand.ask("verdict")
        told = journey_as_json(place, contacts, stand.ask("sends")["sends"], phases)
        return {**told, "seed": seed, "verdict": verdict, "stand": stand.ask("cost")}


_HEADS = "process|wall|CPU s|peak MB|requests|ledger MB after|at most"


def as_markdown(told: dict[str, Any]) -> str:
    """What is printed: the verdict, and a line for each process."""
    verdict, phases = told["verdict"], told["phases"]
    whole = sum(one["seconds"] for one in phases)
    cpu = 1000 * sum(one["cpu_seconds"] for one in phases) / told["contacts"]
    words = (
        f"{told['contacts']:,} contacts, {verdict['sendable']:,} to send, {told['sends']:,} sends, "
        f"{verdict['held_leads']:,} leads held: **{verdict['lost']:,} lost, "
        f"{verdict['duplicated']:,} there twice, {verdict['wrong']:,} wrong, "
        f"{verdict['strange']:,} strange**. All of it took {_duration(whole)} "
        f"and {number(cpu)} CPU seconds per 1,000 contacts (kills by seed {told['seed']})."
    )
    lines = [_HEADS.split("|"), *map(_cells, phases)]
    return f"{words}\n\n{markdown(lines)}\n{machine.as_markdown()}"


def _cells(phase: dict[str, Any]) -> list[str]:
    killed = " (killed)" if phase["is_killed"] else ""
    return [
        f"`{phase['words']}`{killed}",
        _duration(phase["seconds"]),
        f"{phase['cpu_seconds']:,.1f}",
        number(phase["peak_mb"]),
        f"{phase['requests']:,}",
        f"{phase['bytes_after'] / 1e6:,.1f}",
        f"{phase['largest_bytes'] / 1e6:,.1f}",
    ]


def _duration(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes} min {seconds - 60 * minutes:.0f} s" if minutes else f"{seconds:.1f} s"


def _tell(line: str) -> None:
    print(f"million: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
