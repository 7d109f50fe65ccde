"""
Journeys that run while parts of what runs them are killed, and how long until each is tried again.

Owns what the engines of `benchmarks.fleet` share.
"""

import json
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.judge import Broken, judge, posts
from benchmarks.process_tree import RunningProcess, send, working_in
from migrator.sandbox import Sandbox

CONTACTS = 250
LOGINS = ("first", "second")
SETTLE = 5.0
FEWEST_POSTS = 20
# Beyond any aim: what takes longer is not measured any more.
PATIENCE_SECONDS = 600.0
LOOK_EVERY_SECONDS = 0.1


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
def live_journeys(folder: Path, number: int, rate: int, seed: int) -> Iterator[list[LiveJourney]]:
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


def tell(line: str) -> None:
    """Say how far it is."""
    print(f"fleet: {line}", file=sys.stderr, flush=True)
