"""`migrator fleet` and Airflow as engines of `benchmarks.fleet`: how each runs, dies and ends."""

import json
import os
import random
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.airflow_service import AirflowService
from benchmarks.judge import Broken
from benchmarks.live_journeys import (
    FEWEST_POSTS,
    LOGINS,
    PATIENCE_SECONDS,
    LiveJourney,
    Loss,
    await_next_tries,
    enough,
    tell,
    wait_until,
)
from benchmarks.process_tree import descendants, running

BUSY = 6
JOURNEYS = 6
LONGEST_SECONDS = 180.0


class AirflowEngine:
    """
    Airflow with the DAG of `deploy/airflow`.

    A task is a chain of three processes: the supervisor, which is a worker of the executor; the
    runner, which it forks; and `migrator`.
    """

    rate = 240  # of each journey

    def __init__(self, python: Path) -> None:
        self._python = python.absolute()
        self._service: AirflowService
        self._scheduler = 0
        self._began = 0.0

    def begin(self, folder: Path, program: Path) -> None:
        """Start Airflow and trigger the DAG."""
        self._service = AirflowService(self._python, folder, LOGINS, program)
        self._scheduler = self._service.start()
        self._began = self._service.trigger()
        tell("Airflow runs, and the DAG is triggered")

    def kill(self, journeys: Sequence[LiveJourney], chance: random.Random) -> list[Loss]:
        """A migrator, a runner, a supervisor, and at last the scheduler's tree."""
        *three, last = chance.sample(journeys, 4)
        parts = ("migrator", "runner", "supervisor")
        losses: list[Loss] = []
        for part, aim, one in zip(parts, (10.0, 10.0, 30.0), three, strict=True):
            one.await_posts(enough(chance))
            losses.append(Loss(part, one, aim, [self.chain(one)[len(losses)]]))
            tell(f"{part} of {one.name} is killed")
        await_next_tries(losses)
        for one in journeys:
            one.await_posts(enough(chance))
        last.process()
        tree = [self._scheduler, *(one.pid for one in descendants(self._scheduler))]
        losses.append(Loss("scheduler's tree", last, 20.0, tree))
        tell(f"the scheduler and {len(tree) - 1} processes below it are killed")
        self._scheduler = self._service.start_scheduler()
        await_next_tries(losses)
        return losses

    def chain(self, journey: LiveJourney) -> list[int]:
        """Migrator, runner, supervisor."""
        process = journey.process()
        return [process.pid, process.parent, running()[process.parent].parent]

    def await_end(self) -> dict[str, Any]:
        """Wait for the end of the DAG's run."""
        wait_until(lambda: self._service.state() not in ("queued", "running"), "the DAG's end")
        seconds, state = time.monotonic() - self._began, self._service.state()
        codes = self._service.exit_codes()
        faults = [] if state == "success" else [f"the run of the DAG: {state}"]
        if BUSY not in codes:
            faults.append("exit code 6 was never met")
        tries = self._service.tries()
        if len(tries) == JOURNEYS and seconds > LONGEST_SECONDS:
            faults.append(f"ended after {seconds:.0f} s, not {LONGEST_SECONDS:.0f} s")
        told = {"seconds": round(seconds), "tries": tries, "exit_codes": codes}
        return {**told, "faults": faults}

    def last_words(self) -> str:
        """Of each component."""
        return self._service.last_words()


class FleetEngine:
    """`migrator fleet`, started again once it was killed."""

    rate = 240  # of each login

    def __init__(self) -> None:
        self._folder = Path()
        self._command: list[str] = []
        self._process: subprocess.Popen[bytes]
        self._began = 0.0

    def begin(self, folder: Path, program: Path) -> None:
        """Type it."""
        self._folder = folder
        words = ["fleet", "fleet.toml", "run", "--at-once", str(JOURNEYS), "--retry-for", "10"]
        self._command = [str(program), *words, "--json"]
        self._began = time.monotonic()
        self._start()

    def _start(self) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "XDG_STATE_HOME": str(self._folder / "state"),
        }
        with (self._folder / "out").open("wb") as out, (self._folder / "err").open("wb") as err:
            self._process = subprocess.Popen(  # noqa: S603
                self._command,
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                process_group=0,  # Ctrl-C of the terminal is for this process
            )

    def kill(self, journeys: Sequence[LiveJourney], chance: random.Random) -> list[Loss]:
        """A child of each login; and, once they are tried again, the fleet itself."""
        # The fleet tries again after a minute.
        losses: list[Loss] = []
        for one in (journeys[0], journeys[1]):
            one.await_posts(enough(chance))
            losses.append(Loss("migrator", one, 70.0, [one.process().pid]))
            tell(f"the migrator of {one.name} is killed")
        await_next_tries(losses)
        for loss in losses:
            loss.journey.await_posts(loss.posts + FEWEST_POSTS)
        children = {one.pid for one in descendants(self._process.pid)}
        last = chance.choice([one for one in journeys if one.processes()])
        losses.append(Loss("fleet", last, 10.0, [self._process.pid]))
        tell(f"the fleet is killed above {len(children)} children")
        self._process.wait()
        wait_until(lambda: not children & running().keys(), "the end of the children", 30)
        self._start()
        await_next_tries(losses)
        return losses

    def chain(self, journey: LiveJourney) -> list[int]:
        """Its process, and the fleet's."""
        return [journey.process().pid, self._process.pid]

    def await_end(self) -> dict[str, Any]:
        """Wait for the end of the fleet, and read its result."""
        wait_until(lambda: self._process.poll() is not None, "the fleet's end", PATIENCE_SECONDS)
        seconds = time.monotonic() - self._began
        lines = (self._folder / "out").read_text(encoding="utf-8").splitlines()
        if len(lines) != 1:
            raise Broken(f"the fleet printed {len(lines)} lines, not one result")
        result = json.loads(lines[0])
        code = self._process.returncode
        faults = [] if code == result["exit_code"] == 0 else [f"the fleet ended with {code}"]
        tries = {one["name"]: one["tries"] for one in result["journeys"]}
        return {"seconds": round(seconds), "tries": tries, "faults": faults}

    def last_words(self) -> str:
        """Of the fleet's messages."""
        return (self._folder / "err").read_text("utf-8", "replace")[-3000:]
