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
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks import process_tree
from benchmarks.engines import JOURNEYS, AirflowEngine, FleetEngine
from benchmarks.judge import Broken
from benchmarks.live_journeys import Engine, LiveJourney, Loss, enough, live_journeys, tell
from benchmarks.workspace import ROOT

FROZEN = 2
FROZEN_SECONDS = 40.0
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_PROGRAM = """#!{python}
import sys
sys.path.insert(0, {root!r})
from migrator.cli import main
sys.exit(main())
"""


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
        with live_journeys(folder, number, engine.rate, seed) as journeys:
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
    process_tree.send(signal.SIGSTOP, *pids)
    tell(f"{len(pids)} processes are frozen for {FROZEN_SECONDS:.0f} s")
    time.sleep(FROZEN_SECONDS)
    process_tree.send(signal.SIGCONT, *pids)
    return []


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
