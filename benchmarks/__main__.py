"""
Figures of the migrator, each beside a reference that is measured in the same run.

    python -m benchmarks
    python -m benchmarks --case push --rounds 3
    python -m benchmarks --peers

Nothing else may be at work on the machine. The table goes to stdout, as Markdown.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import cases, machine, scale
from benchmarks.cases import QUICK, Bench, Size
from benchmarks.measuring import Failed
from benchmarks.peers.comparison import compared
from benchmarks.table import Row, notes, table, write_between
from benchmarks.workspace import ROOT

PAGE = ROOT / "docs" / "performance.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write what was asked for; 1 = a target was missed."""
    args = _parser().parse_args(argv)
    size = QUICK if args.quick else Size()
    if args.rounds:
        size = replace(size, rounds=args.rounds)
    with tempfile.TemporaryDirectory(prefix="migrator-benchmarks-") as folder:
        bench = Bench(Path(folder), size, _tell)
        figures, told, is_good = _of_peers(bench) if args.peers else _of_cases(bench, args)
    text = f"{figures}\n{machine.as_markdown()}"
    print(text)
    if args.json:
        told = {"machine": machine.described(), **told}
        args.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if args.write:
        write_between(PAGE, "peers" if args.peers else "figures", text)
    return 0 if is_good else 1


def _of_peers(bench: Bench) -> tuple[str, dict[str, Any], bool]:
    return *compared(bench), True


def _of_cases(bench: Bench, args: argparse.Namespace) -> tuple[str, dict[str, Any], bool]:
    cases = _cases(args.million)
    rows: list[Row] = []
    failed: dict[str, str] = {}
    for name in args.case or cases:
        try:
            rows += cases[name](bench)
        except Failed as error:  # the others are still worth their time
            failed[name] = str(error)
            _tell(f"{name}: left out: {error}")
    is_good = not failed and not any(row.verdict == "MISSED" for row in rows)
    told = {"rows": [row.as_json() for row in rows], "failed": failed}
    left_out = "".join(f"- {name}: left out, it could not be measured\n" for name in failed)
    return f"{table(rows)}\n{notes(rows)}{left_out}", told, is_good


def _cases(million: Path | None) -> Mapping[str, Callable[[Bench], list[Row]]]:
    return {
        "help": cases.start_up,
        "stage": cases.stage,
        "push": cases.push,
        "far": cases.far,
        "slow-disk": cases.slow_disk,
        "growth": partial(scale.growth, million=million),
        "large-ledger": scale.large_ledger,
        "limits": cases.limits,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--case", action="append", choices=list(_cases(None)), help="only this one")
    parser.add_argument("--rounds", type=int, metavar="N", help="of each case (default 5)")
    parser.add_argument("--quick", action="store_true", help="little of everything, one round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument(
        "--million",
        type=Path,
        metavar="FILE",
        help="what `python -m benchmarks.million --json` wrote, for the growth of memory",
    )
    parser.add_argument("--peers", action="store_true", help="measure what others would pick")
    parser.add_argument("--write", action="store_true", help="put the table into docs/")
    return parser


def _tell(line: str) -> None:
    print(f"benchmarks: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
