"""
A daily round on a ledger that was moved and verified: what it asks for, and how long it takes.

    python -m benchmarks.daily_round
    python -m benchmarks.daily_round --contacts 10000 --json daily.json

One contact of a hundred changes at HubSpot; then `stage`, `push`, `update`, `verify` run once, as
real processes at their defaults but for `--rate max`. Before that a first round with a few changes
reads the first updates of the ledger back. The stand-in has no limits and a process of its own. The
table goes to stdout, as Markdown. It ends with 0 only if every request is one that the round needs:
HubSpot read once, LeadGenius listed once by `update` and once by `verify`, one PUT a change, and
each page with changes read once more, by the look of the last minute.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.measuring import Failed
from benchmarks.table import markdown, number, write_between
from benchmarks.workspace import ROOT, Stand, Workplace

PAGE = ROOT / "docs" / "performance.md"
ROUND = ("stage -q", "push -q --rate max", "update -q --yes --rate max", "verify -q")
SHARE = 0.01
# Changes of the first round: what `update` reads back once in the life of a ledger.
FIRST = 5
CONTACTS_A_PAGE, LEADS_A_PAGE = 100, 1_000
# A look lasts for a minute: a page whose changes take longer to write is read again.
LOOK_SECONDS = 45.0
_KINDS = {
    "GET /crm/v3/objects/contacts": "contacts",
    "POST /crm/v3/objects/companies/batch/read": "companies",
    "GET /api/leads": "listing",
    "PUT /api/leads": "PUT",
    "POST /api/leads": "POST",
}


@dataclass(frozen=True)
class Phase:
    """One command of the round, and the requests that it made, by kind."""

    words: str
    seconds: float
    cpu_seconds: float
    peak_mb: float
    requests: dict[str, int]


def main(argv: Sequence[str] | None = None) -> int:
    """Play the rounds, print, and say whether more was asked than is needed."""
    args = _parser().parse_args(argv)
    told = _play(args.contacts, args.folder)
    text = as_markdown(told)
    print(text)
    if args.json:
        args.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if args.write:
        write_between(PAGE, "daily", text)
    for line in (found := list(surplus(told))):
        _tell(line)
    return int(bool(found) or not told["verdict"]["ok"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.daily_round", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--contacts", metavar="N", type=int, default=100_000)
    parser.add_argument("--folder", metavar="DIR", type=Path, help="where the ledger is made")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures there")
    parser.add_argument("--write", action="store_true", help="put the table into docs/")
    return parser


def _play(contacts: int, folder: Path | None) -> dict[str, Any]:
    temporary = tempfile.TemporaryDirectory(prefix="migrator-daily-", dir=folder)
    with temporary as name, Stand(contacts) as stand:
        place = Workplace(Path(name), stand)
        for words in ("stage -q", "push -q --rate max --workers 16", "verify -q"):
            _tell(f"to begin with: {words}")
            place.migrator(words)
        stand.ask(f"change {FIRST}")
        for words in ROUND:
            place.migrator(words)
        changed = stand.ask(f"change {math.ceil(contacts * SHARE)}")["sendable"]
        phases = [_phase(place, stand, words) for words in ROUND]
        leads = stand.ask("sends")["sends"]
        return {
            "contacts": contacts,
            "leads": leads,
            "changed": changed,
            "phases": [asdict(one) for one in phases],
            "verdict": stand.ask("verdict"),
        }


def _phase(place: Workplace, stand: Stand, words: str) -> Phase:
    before = stand.ask("requests")["requests"]
    cost = place.migrator(words)
    paths: dict[str, int] = stand.ask(f"traffic {before}")["paths"]
    requests = dict.fromkeys([*_KINDS.values(), "other"], 0)
    for path, count in paths.items():
        requests[_KINDS.get(path, "other")] += count
    _tell(f"{words}: {cost.seconds:.1f} s, {requests}")
    return Phase(words, cost.seconds, cost.cpu_seconds, cost.peak_mb, requests)


def surplus(told: dict[str, Any]) -> Iterator[str]:
    """What was asked for that the round does not need, a line each."""
    stage, push, update, verify = told["phases"]
    pages = math.ceil(told["leads"] / LEADS_A_PAGE)
    looks = pages * math.ceil(update["seconds"] / LOOK_SECONDS)
    allowed = {
        ("stage", "contacts"): math.ceil(told["contacts"] / CONTACTS_A_PAGE) + 1,
        ("update", "listing"): pages + looks,
        ("update", "PUT"): told["changed"],
        ("verify", "listing"): pages,
    }
    phases = {"stage": stage, "push": push, "update": update, "verify": verify}
    for verb, phase in phases.items():
        for kind in ("contacts", "listing", "PUT", "POST"):
            made, most = phase["requests"][kind], allowed.get((verb, kind), 0)
            if made > most:
                yield f"{verb}: {made:,} requests of the kind {kind}, not {most:,}"
    if update["requests"]["PUT"] != told["changed"]:
        yield f"{told['changed']:,} contacts changed, and {update['requests']['PUT']:,} were sent"


def as_markdown(told: dict[str, Any]) -> str:
    """What is printed: a line for each command."""
    heads = ["command", "wall s", "CPU s", "peak MB", *told["phases"][0]["requests"]]
    lines = [
        [
            f"`{one['words']}`",
            *(number(one[name]) for name in ("seconds", "cpu_seconds", "peak_mb")),
            *(f"{count:,}" for count in one["requests"].values()),
        ]
        for one in told["phases"]
    ]
    verdict = told["verdict"]
    words = (
        f"{told['contacts']:,} contacts with {told['leads']:,} leads, {told['changed']:,} of them "
        f"changed at HubSpot: {verdict['lost']:,} lost, {verdict['duplicated']:,} there twice, "
        f"{verdict['wrong']:,} wrong afterwards."
    )
    return f"{words}\n\n{markdown([heads, *lines])}\n{machine.as_markdown()}"


def _tell(line: str) -> None:
    print(f"daily_round: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as error:
        sys.exit(f"daily_round: {error}")
