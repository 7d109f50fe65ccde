"""
Many migrations at once, run by an engine whose parts are killed and frozen.

    python -m benchmarks.fleet --engine fleet
    python -m benchmarks.fleet --engine airflow --python AIRFLOW_PYTHON

First six journeys of 250 contacts, of two logins: once one has sent enough, a part of its engine is
killed with SIGKILL. Then two more journeys, of which every process is stopped for 40 s. The sandbox
of each journey is the judge: no contact lost, none twice, and the audit of its ledger holds. What
was measured is printed as a table, and as one line of JSON at the end. Needs Linux.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from benchmarks import process_tree
from benchmarks.judge import Broken, judge, posts
from benchmarks.process_tree import RunningProcess, send, working_in
from benchmarks.workspace import ROOT
from migrator.sandbox import Sandbox

JOURNEYS, FROZEN = 6, 2
CONTACTS = 250
LOGINS = ("first", "second")
SETTLE = 5.0
FEWEST_POSTS = 20
FROZEN_SECONDS = 40.0
LONGEST_SECONDS = 180.0
# Beyond any aim: what takes longer is not measured any more.
PATIENCE_SECONDS = 600.0
LOOK_EVERY_SECONDS = 0.1
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_PROGRAM = """#!{python}
import sys
sys.path.insert(0, {root!r})
from migrator.cli import main
sys.exit(main())
"""


@dataclass(frozen=True)
class LiveJourney:
    """A journey with a sandbox and a folder of its own."""

    name: str
    folder: Path
    sandbox: Sandbox

    def process(self) -> RunningProcess:
        """Its `migrator` process; raises Broken if there is not exactly one."""
        found = self.processes()
        if len(found) != 1:
            raise Broken(f"{self.name} has {len(found)} processes, not 1: it was over too early")
        return found[0]

    def processes(self) -> list[RunningProcess]:
        """Its `migrator` processes; a second try can run beside the first one."""
        return working_in(self.folder, "--die-with-parent")

    def sent(self) -> int:
        """POSTs of leads that its sandbox received."""
        return len(posts(self.sandbox))

    def await_posts(self, number: int) -> None:
        """Wait for so many POSTs; raises Broken if they do not come."""
        wait_until(lambda: self.sent() >= number, f"{number} POSTs of {self.name}")

    def judged(self) -> dict[str, Any]:
        """The sandbox's verdict and the audit, and in `fault` what does not hold; "" = all does."""
        fault = ""
        try:
            judge(self.sandbox, self.folder / "migrator.db", SETTLE)
        except Broken as error:
            fault = str(error)[:600]
        verdict = self.sandbox.verdict()
        counts = {"lost": len(verdict.lost), "doubled": len(verdict.duplicated)}
        return {"name": self.name, "sendable": verdict.sendable, **counts, "fault": fault}


class Loss:
    """
    A part of an engine that is killed.

    Args:
        aim: Within how many seconds the next try of the journey is to start.
    """

    def __init__(self, part: str, journey: LiveJourney, aim: float, pids: Sequence[int]) -> None:
        self.part, self.journey, self.aim = part, journey, aim
        self.posts = journey.sent()
        self._killed = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.seconds: float | None = None
        send(signal.SIGKILL, *pids)

    def look(self) -> bool:
        """Whether the next try of its journey has started."""
        if self.seconds is None:
            begun = [one.began for one in self.journey.processes() if one.began > self._killed]
            self.seconds = min(begun) - self._killed if begun else None
        return self.seconds is not None

    def as_json(self) -> dict[str, Any]:
        """What was killed, after how many POSTs, and the seconds to the next try and their aim."""
        return {
            "killed": self.part,
            "journey": self.journey.name,
            "after_posts": self.posts,
            "next_try_after_s": round(self.seconds or -1.0, 1),
            "aim_s": self.aim,
            "is_met": self.seconds is not None and self.seconds <= self.aim,
        }


class Engine(Protocol):
    """What runs the journeys of a `fleet.toml`."""

    # Of one journey, or of all with one login together: LeadGenius requests a minute.
    rate: int

    def begin(self, folder: Path, program: Path) -> None:
        """Start to run the journeys of the file in that folder."""

    def kill(self, journeys: Sequence[LiveJourney], chance: random.Random) -> list[Loss]:
        """Kill parts while the journeys run; all next tries have started when this returns."""

    def chain(self, journey: LiveJourney) -> list[int]:
        """The process ids from the journey's own up to what watches it."""

    def await_end(self) -> dict[str, Any]:
        """Wait for the end of all journeys; what the engine tells of it, `faults` among it."""

    def last_words(self) -> str:
        """The end of what it printed, for a failure."""


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """
    Wait.

    Raises:
        Broken: it is not so after that time.
    """
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            raise Broken(f"{what}: not within {seconds:.0f} s")
        time.sleep(LOOK_EVERY_SECONDS)


def await_next_tries(losses: Sequence[Loss]) -> None:
    """Watch all of them at once: the next try may end within seconds (exit code 6)."""
    wait_until(lambda: sum(one.look() for one in losses) == len(losses), "the next try")


def enough(chance: random.Random) -> int:
    """A number of POSTs after which something is killed."""
    return FEWEST_POSTS + chance.randrange(15)


@contextmanager
def _journeys(folder: Path, number: int, rate: int, seed: int) -> Iterator[list[LiveJourney]]:
    """So many journeys with running sandboxes, and their `fleet.toml`."""
    with ExitStack() as stack:
        found, tables = [], []
        for index in range(number):
            name = f"journey{index}"
            home = folder / name
            home.mkdir()
            box = Sandbox(contacts=CONTACTS, seed=seed + index, latency_seconds=(0.02, 0.1))
            stack.enter_context(box)
            env = home / ".env"
            env.touch(mode=0o600)
            env.write_text("".join(f"{key}={word}\n" for key, word in box.environment().items()))
            told = {
                "name": name,
                "folder": name,
                "login": LOGINS[index % len(LOGINS)],
                "options": ["--rate", str(rate), "--settle", f"{SETTLE:g}", "--timeout", "10"],
            }
            lines = [f"{key} = {json.dumps(value)}" for key, value in told.items()]
            tables.append("\n".join(["[[journey]]", *lines, ""]))
            found.append(LiveJourney(name, home.resolve(), box))
        (folder / "fleet.toml").write_text("\n".join(tables), encoding="utf-8")
        yield found


def play(engine: Engine, number: int, seed: int, harm: str) -> dict[str, Any]:
    """
    Run so many journeys to their end.

    Args:
        harm: "kill" parts of the engine, or "freeze" all processes of all journeys.

    Raises:
        Broken: it could not be played to the end.
    """
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="fleet-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        program = folder / "migrator"
        program.write_text(_PROGRAM.format(python=sys.executable, root=str(ROOT)))
        program.chmod(0o755)
        with _journeys(folder, number, engine.rate, seed) as journeys:
            try:
                engine.begin(folder, program)
                losses = _harmed(engine, journeys, chance, harm)
                told = engine.await_end()
            except Broken as error:
                raise Broken(f"{harm}: {error}\n{engine.last_words()}") from None
            finally:
                process_tree.kill_all()
            judged = [one.judged() for one in journeys]
    faults = [*told.pop("faults"), *(f"{one['name']}: {one['fault']}" for one in judged)]
    return {
        "harm": harm,
        "losses": [one.as_json() for one in losses],
        **told,
        "journeys": judged,
        "faults": [one for one in faults if not one.endswith(": ")],
    }


def _harmed(
    engine: Engine, journeys: Sequence[LiveJourney], chance: random.Random, harm: str
) -> list[Loss]:
    if harm == "kill":
        return engine.kill(journeys, chance)
    for one in journeys:
        one.await_posts(enough(chance))
    pids = {pid for one in journeys for pid in engine.chain(one)}
    send(signal.SIGSTOP, *pids)
    tell(f"{len(pids)} processes are frozen for {FROZEN_SECONDS:.0f} s")
    time.sleep(FROZEN_SECONDS)
    send(signal.SIGCONT, *pids)
    return []


def tell(line: str) -> None:
    """Say how far it is."""
    print(f"fleet: {line}", file=sys.stderr, flush=True)


def table(told: Mapping[str, Any]) -> str:
    """What was measured, as Markdown."""
    lines = ["| killed | after POSTs | next try after | aim |", "| --- | ---: | ---: | --- |"]
    for one in told["losses"]:
        aim = f"{one['aim_s']:.0f} s: {'met' if one['is_met'] else 'MISSED'}"
        name = f"{one['killed']} of {one['journey']}"
        lines.append(f"| {name} | {one['after_posts']} | {one['next_try_after_s']} s | {aim} |")
    sums = {key: sum(one[key] for one in told["journeys"]) for key in ("lost", "doubled")}
    held = sum(not one["fault"] for one in told["journeys"])
    rest = {
        key: value
        for key, value in told.items()
        if key not in ("harm", "losses", "journeys", "faults")
    }
    return "\n".join(
        [
            *(lines if told["losses"] else []),
            f"{told['harm']}: {json.dumps(rest)}",
            f"{len(told['journeys'])} journeys: {sums['lost']} lost, {sums['doubled']} doubled, "
            f"the audit holds for {held}",
            *(f"FAULT: {one}" for one in told["faults"]),
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Play both; 1 = something did not hold, or an aim was missed."""
    args = _parser().parse_args(argv)
    if args.engine == "airflow" and args.python is None:
        _parser().error("--engine airflow needs --python, an interpreter with Airflow 3.3.1+")
    # Imported here: they import this module.
    from benchmarks.engines import AirflowEngine, FleetEngine

    process_tree.adopt_orphans()
    for number in _ENDING:
        signal.signal(number, _stop)
    found = []
    try:
        for journeys, harm in ((JOURNEYS, "kill"), (FROZEN, "freeze")):
            engine = AirflowEngine(args.python) if args.engine == "airflow" else FleetEngine()
            found.append(play(engine, journeys, args.seed, harm))
            print(table(found[-1]), flush=True)
    except Broken as error:
        print(f"seed {args.seed}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        process_tree.kill_all()  # a signal may have interrupted the other one
    is_good = all(not one["faults"] and all(x["is_met"] for x in one["losses"]) for one in found)
    told = {"engine": args.engine, "seed": args.seed, "is_good": is_good, "parts": found}
    print(json.dumps(told))
    return 0 if is_good else 1


def _stop(number: int, frame: FrameType | None) -> None:
    # A second one would interrupt the killing of what was started.
    for one in _ENDING:
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--engine", choices=("fleet", "airflow"), required=True)
    parser.add_argument("--python", type=Path, help="an interpreter with Airflow")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    return parser


if __name__ == "__main__":
    sys.exit(main())
