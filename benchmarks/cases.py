"""
The cases of `python -m benchmarks`: each measures the product beside its barest form, in turns.

Owns what is measured, how much of it, and by which target it is judged. Every round begins with a
stand-in of its own, so none finds what another left.
"""

import json
import sqlite3
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import measuring
from benchmarks.measuring import Cost, Failed
from benchmarks.slow_fsync import slow_fsync
from benchmarks.table import Row
from benchmarks.workspace import Stand, Workplace, own_environment
from tests.support.postgres import server

# A push begins with a login, a listing and a few leads that are read back; what is a rate is taken
# of the rest. The bare pool is measured by the same share of its sends.
WARM_UP = 0.05
# Of the pushes in which every microsecond shows.
WORKERS = 16
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    rounds: int = 5
    stage: int = 100_000
    push: int = 15_000
    slow_disk: int = 3_000
    far: int = 3_000
    small: int = 10_000
    large: int = 100_000
    million: int = 1_000_000
    starts: int = 20
    minutes: int = 3
    peers: int = 20_000
    peers_killed: int = 1_200


QUICK = Size(
    rounds=1,
    stage=3_000,
    push=2_000,
    slow_disk=600,
    far=600,
    small=1_000,
    large=5_000,
    million=20_000,
    starts=3,
    minutes=1,
    peers=1_000,
    peers_killed=300,
)


@dataclass(frozen=True)
class Bench:
    """Where it is measured, and how much of it."""

    folder: Path
    size: Size
    tell: Callable[[str], None]

    def place(self, name: str, stand: Stand) -> Workplace:
        """A folder that nobody has used."""
        path = self.folder / f"{name}-{time.monotonic_ns()}"
        return Workplace(path, stand)

    def staged(self, contacts: int) -> Path:
        """A ledger that was staged and never pushed; staged once for all that ask."""
        path = self.folder / f"staged-{contacts}" / "migrator.db"
        if not path.exists():
            self.tell(f"staging {contacts:,} contacts to be pushed later")
            with Stand(contacts) as stand:
                Workplace(path.parent, stand).migrator("stage -q")
        return path

    def bodies(self, contacts: int) -> tuple[Path, int]:
        """The leads of that ledger as they are posted, one a line, and how many."""
        path = self.folder / f"bodies-{contacts}"
        ledger = sqlite3.connect(self.staged(contacts))
        rows = ledger.execute(
            "SELECT lead FROM contact WHERE state = 'mapped' AND held IS NULL ORDER BY key"
        ).fetchall()
        ledger.close()
        with Stand(1) as stand:
            client = {"client_id": stand.environment["LEADGENIUS_CLIENT_ID"]}
        lines = [
            json.dumps({**client, **json.loads(lead)}, separators=(",", ":")) for (lead,) in rows
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path, len(lines)


def stage(bench: Bench) -> list[Row]:
    """Extraction and mapping, against extraction alone."""
    count = bench.size.stage
    ours, bare, disk = [], [], 0
    for number in range(bench.size.rounds):
        bench.tell(f"stage: round {number + 1}")
        with Stand(count) as stand:
            place = bench.place("stage", stand)
            ours.append(place.migrator("stage -q"))
            disk = place.bytes_on_disk()
        with Stand(count) as stand:
            bare.append(bench.place("bare-stage", stand).reference("stage", "bare.db"))
        _require_count(bare[-1], count)
    return [
        Row(
            f"stage {count:,}, wall",
            *(_wall(ours), "s", _wall(bare)),
            target=2.0,
            aim=1.5,
            cpu=(_cpu(ours, count), _cpu(bare, count)),
            peak_mb=_peak(ours),
            disk_bytes=disk,
            note="extraction and mapping against extraction alone",
        )
    ]


def push(bench: Bench) -> list[Row]:
    """As fast as it goes: every microsecond shows."""
    ours, bare, sent = _pushes(bench, "push", bench.size.push, WORKERS, (0.0, 0.0))
    name = f"push {sent:,}, zero latency, {WORKERS} workers"
    cpu = (_cpu(ours.costs, sent), _cpu(bare.costs, sent))
    return [
        Row(f"{name}: CPU per 1,000", cpu[0], "s", cpu[1], target=1.35, aim=1.1, cpu=cpu),
        Row(
            f"{name}: wall",
            *(_wall(ours.costs), "s", _wall(bare.costs)),
            target=1.35,
            aim=1.1,
            peak_mb=_peak(ours.costs),
            disk_bytes=ours.disk,
            note="whole processes, with login, first look and canary",
        ),
        _fenced(bench, sent, name),
    ]


def _fenced(bench: Bench, sent: int, name: str) -> Row:
    """What it costs to ask a PostgreSQL on this machine before each send."""
    fenced: list[Cost] = []
    bare: list[Cost] = []
    with server() as url:
        for number in range(bench.size.rounds):
            bench.tell(f"push with a fence: round {number + 1}")
            for costs, more in ((fenced, {"MIGRATOR_FENCE": url}), (bare, None)):
                with Stand(bench.size.push) as stand:
                    place = bench.place("fence", stand)
                    place.take_ledger(bench.staged(bench.size.push))
                    costs.append(place.migrator(_at_full_speed(WORKERS), more))
                    _rate_of(stand, sent)
    return Row(
        f"{name}, with a fence: wall",
        *(_wall(fenced), "s", _wall(bare)),
        cpu=(_cpu(fenced, sent), _cpu(bare, sent)),
        note="against the same push without one; the PostgreSQL is on the same machine",
    )


def far(bench: Bench) -> list[Row]:
    """What the service's own slowness leaves to be lost."""
    pushes = _pushes(bench, "far", bench.size.far, 32, (0.1, 0.3))
    return [_rate("push, 100-300 ms, 32 workers", pushes, 0.95, 0.99)]


def slow_disk(bench: Bench) -> list[Row]:
    """Every fsync of the product 5 ms slower; the bare pool has no disk to wait for."""
    with slow_fsync(bench.folder) as environment:
        if environment is None:
            bench.tell("slow-disk: left out, there is no C compiler to make fsync slow with")
            return []
        pushes = _pushes(bench, "slow-disk", bench.size.slow_disk, 32, (0.1, 0.1), environment)
    return [_rate("push, fsync 5 ms slower, 100 ms, 32 workers", pushes, 0.95, 0.98)]


@dataclass
class _Pushes:
    costs: list[Cost]
    rates: list[float]
    disk: int = 0


def _pushes(
    bench: Bench,
    name: str,
    contacts: int,
    workers: int,
    latency: tuple[float, float],
    more: dict[str, str] | None = None,
) -> tuple[_Pushes, _Pushes, int]:
    """The product and the bare pool, in turns, with the same bodies; how many they were."""
    bodies, sent = bench.bodies(contacts)
    ours, bare = _Pushes([], []), _Pushes([], [])
    for number in range(bench.size.rounds):
        bench.tell(f"{name}: round {number + 1}")
        with Stand(contacts, latency) as stand:
            place = bench.place(name, stand)
            place.take_ledger(bench.staged(contacts))
            ours.costs.append(place.migrator(_at_full_speed(workers), more))
            ours.rates.append(_rate_of(stand, sent))
            ours.disk = place.bytes_on_disk()
        with Stand(contacts, latency) as stand:
            place = bench.place(f"bare-{name}", stand)
            bare.costs.append(place.reference("push", bodies, workers))
            bare.rates.append(_rate_of(stand, sent))
    return ours, bare, sent


def _at_full_speed(workers: int) -> str:
    return f"push -q --rate max --workers {workers}"


def _rate_of(stand: Stand, sent: int) -> float:
    told = stand.ask(f"sends {WARM_UP}")
    if told["sends"] != sent:
        raise Failed(f"{told['sends']:,} sends came, not {sent:,}")
    return float(told["per_second"])


def _rate(name: str, pushes: tuple[_Pushes, _Pushes, int], target: float, aim: float) -> Row:
    ours, bare, sent = pushes
    walls = f"{_wall(ours.costs):.1f} s against {_wall(bare.costs):.1f} s"
    return Row(
        name,
        *(median(ours.rates), "/s", median(bare.rates)),
        target=target,
        aim=aim,
        at_least=True,
        cpu=(_cpu(ours.costs, sent), _cpu(bare.costs, sent)),
        peak_mb=_peak(ours.costs),
        note=(
            f"{sent:,} leads; as they came to the stand-in, without the first {WARM_UP:.0%}; "
            f"the whole processes took {walls}"
        ),
    )


def start_up(bench: Bench) -> list[Row]:
    """What a user waits for before anything happens."""
    ours: list[Cost] = []
    bare: list[Cost] = []
    environment = own_environment()
    for _ in range(bench.size.starts):
        for costs, words in ((ours, ("-m", "migrator", "--help")), (bare, ("-c", "pass"))):
            costs.append(measuring.run([sys.executable, *words], bench.folder, environment))
    return [
        Row(
            "migrator --help, whole process, against python -c pass",
            *(1000 * _wall(ours), "ms", 1000 * _wall(bare), "difference"),
            target=120,
            aim=50,
            peak_mb=_peak(ours),
            note=f"medians of {bench.size.starts}",
        )
    ]


def limits(bench: Bench) -> list[Row]:
    """The pace that nobody told it, as `benchmarks.limits` measures it: all rounds side by side."""
    bench.tell(f"limits: some {bench.size.minutes + 5} minutes")
    code = (
        "import dataclasses, json, sys\nfrom benchmarks.limits import measure\n"
        "found = measure(int(sys.argv[1]), int(sys.argv[2]))\n"
        "print(json.dumps([dataclasses.asdict(one) for one in found]))"
    )
    words = ["-c", code, str(bench.size.rounds), str(bench.size.minutes)]
    found = measuring.run([sys.executable, *words], bench.folder, own_environment())
    by_case: dict[tuple[int, bool], list[dict[str, Any]]] = {}
    for one in json.loads(found.out):
        by_case.setdefault((one["limit"], one["is_remembered"]), []).append(one)
    return [row for case, ones in by_case.items() for row in _of_limit(*case, ones)]


def _of_limit(limit: int, is_remembered: bool, ones: list[dict[str, Any]]) -> list[Row]:
    when = "resumed" if is_remembered else "after the first minute"
    name = f"push under {limit:,} a minute, not told, {when}"
    share = 100 * median(one["share"] for one in ones)
    refused = 100 * median(one["throttled"] for one in ones)
    return [
        Row(f"{name}: share of the limit", share, "%", target=97, aim=99, at_least=True),
        Row(f"{name}: answers 429", refused, "%", target=1, aim=0.1),
    ]


def _require_count(cost: Cost, count: int) -> None:
    if int(cost.out) != count:
        raise Failed(f"the bare form did {cost.out.strip()} of {count:,}")


def _wall(costs: list[Cost]) -> float:
    return median(cost.seconds for cost in costs)


def _cpu(costs: list[Cost], count: int) -> float:
    return 1000 * median(cost.cpu_seconds for cost in costs) / count


def _peak(costs: list[Cost]) -> float:
    return max(cost.peak_mb for cost in costs)
