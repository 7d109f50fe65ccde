"""
The cases of size: what grows with the ledger, and what must not.

Owns memory and requests of each verb, bytes on disk, and the start on a ledger of a million rows.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.cases import Bench
from benchmarks.end_to_end import KILLS, RESUME, Phase, Whole, first, random_kills
from benchmarks.table import Row
from benchmarks.workspace import Stand, Workplace, build_ledger

VERBS = ("stage", "push", "verify", "report", "audit")
# What is looked at, and what `reference/look.py` reads for it.
LOOKS = {
    "report": "contact",
    "show 51": "contact",
    "show nobody@nowhere.example": "contact",
    "plan --offline": "contact",
    "report --html page.html": "sums",
}
# Target and aim, in seconds, where a look has them; the others are compared with the reference.
BOUNDS = {"report": (1.0, 0.4)}
LEFT, IN_DOUBT = 100, 8
_SOME = 5  # requests that every verb may make besides: a login, the account, the count, the client
_PATIENCE_SECONDS = 600.0


def growth(bench: Bench, million: Path | None = None) -> list[Row]:
    """
    Requests of a whole journey, and the growth of memory and bytes from a small to a large one.

    A resumed push begins with a listing, so both of the journeys that are compared are killed.

    Args:
        million: What `python -m benchmarks.million --json` wrote, in the place of the large one.
    """
    small = _killed_journey(bench, bench.size.small)
    if million is not None:
        large: dict[str, Any] = json.loads(million.read_text(encoding="utf-8"))
    else:
        large = _killed_journey(bench, bench.size.large)
    undisturbed = _journey(bench, bench.size.small)
    return [*_requests(undisturbed), *_memory(small, large), _disk(large)]


def _killed_journey(bench: Bench, contacts: int) -> dict[str, Any]:
    return _journey(bench, contacts, random_kills(contacts, KILLS, seed=1))


def _journey(bench: Bench, contacts: int, kills: Sequence[int] = ()) -> dict[str, Any]:
    bench.tell(f"a whole journey with {contacts:,} contacts, its push killed {len(kills)} times")
    with Stand(contacts) as stand:
        place = bench.place("whole", stand)
        phases = list(Whole(place, stand, bench.tell).travel(kills))
        sends = stand.ask("sends")["sends"]
    return journey_as_json(place, contacts, sends, phases)


def journey_as_json(
    place: Workplace, contacts: int, sends: int, phases: Iterable[Phase]
) -> dict[str, Any]:
    """What the rows are made of; `benchmarks.million` writes the same."""
    ledger = sqlite3.connect(f"file:{place.ledger}?mode=ro", uri=True)
    (companies,) = ledger.execute("SELECT count(*) FROM company").fetchone()
    ledger.close()
    told = [phase.as_json() | {"verb": phase.verb} for phase in phases]
    return {"contacts": contacts, "companies": companies, "sends": sends, "phases": told}


def _requests(journey: dict[str, Any]) -> Iterable[Row]:
    contacts, companies, sends = (journey[name] for name in ("contacts", "companies", "sends"))
    allowed = {
        "stage": contacts / 100 + companies / 100 + _SOME,
        "push": 1.01 * sends + _SOME,
        "verify": sends / 1000 + _SOME,
    }
    for verb, most in allowed.items():
        made = sum(one["requests"] for one in journey["phases"] if one["verb"] == verb)
        note = f"{contacts:,} contacts, {companies:,} companies, {sends:,} sendable"
        yield Row(f"{verb}: requests", made, "", most, target=1.0, note=note)


def _memory(small: dict[str, Any], large: dict[str, Any]) -> Iterable[Row]:
    for verb in VERBS:
        ours, reference = _peak(large, verb), _peak(small, verb)
        yield Row(
            f"{verb}: peak memory, {large['contacts']:,} against {small['contacts']:,}",
            *(ours, "MB", reference),
            target=1.3,
            aim=1.1,
            peak_mb=ours,
        )
    most = max(_peak(large, verb) for verb in VERBS)
    yield Row(f"peak memory of any verb, {large['contacts']:,}", most, "MB", target=120)


def _peak(journey: dict[str, Any], verb: str) -> float:
    peaks: list[float] = [one["peak_mb"] for one in journey["phases"] if one["verb"] == verb]
    return max(peaks)


def _disk(journey: dict[str, Any]) -> Row:
    (after,) = (one["bytes_after"] for one in journey["phases"] if one["verb"] == "verify")
    return Row(
        f"ledger on disk a contact, verified, of {journey['contacts']:,}",
        *(after / journey["contacts"] / 1000, "KB"),
        target=3.0,
        aim=2.0,
        disk_bytes=after,
    )


def large_ledger(bench: Bench) -> list[Row]:
    """To go on with, and to look at, a ledger that is nearly all verified."""
    count = bench.size.million
    with Stand(count) as stand:
        built = _built(bench, count, stand)
        bench.tell("the stand-in takes what the ledger says was sent")
        stand.ask(f"hold {built}")
        looks = [_until_first("GET", bench, built, stand) for _ in range(bench.size.rounds)]
        send = _until_first("POST", bench, built, stand)
        place = bench.place("report", stand)
        place.take_ledger(built)
        looked = [_look(bench, place, count, *look) for look in LOOKS.items()]
    name = f"push --resume on {count:,}, {LEFT} left, {IN_DOUBT} in doubt"
    return [
        Row(f"{name}: start to first listing", median(looks), "s", target=1.5, aim=0.7),
        Row(
            f"{name}: start to first POST",
            *(send, "s"),
            note="it begins with a complete listing, a request for 1,000 leads; one round",
        ),
        *looked,
    ]


def _look(bench: Bench, place: Workplace, count: int, words: str, bare: str) -> Row:
    ours, references = [], []
    for _ in range(bench.size.rounds):
        # One of them finds nobody, and says so.
        ours.append(place.migrator(words, allowed=(0, 2)))
        references.append(place.reference("look", place.ledger, bare))
    target, aim = BOUNDS.get(words, (None, None))
    return Row(
        f"{words} on {count:,}, whole process",
        *(median(cost.seconds for cost in ours), "s"),
        median(cost.seconds for cost in references),
        kind="ratio" if target is None else "alone",
        target=target,
        aim=aim,
        peak_mb=max(cost.peak_mb for cost in ours),
    )


def _built(bench: Bench, count: int, stand: Stand) -> Path:
    bench.tell(f"building a ledger of {count:,} contacts")
    path = bench.folder / "built" / "migrator.db"
    path.parent.mkdir()
    build_ledger(path, stand, "--contacts", count, "--left", LEFT, "--in-doubt", IN_DOUBT)
    return path


def _until_first(method: str, bench: Bench, built: Path, stand: Stand) -> float:
    """Seconds from the start of a resumed push until it lists (GET) or sends (POST) leads."""
    place = bench.place("resume", stand)
    place.take_ledger(built)
    since = stand.ask("requests")["requests"]
    running = place.start(RESUME)
    at = first(method, stand, running, since, _PATIENCE_SECONDS)
    began = running.kill().began
    place.ledger.unlink()
    return at - began
