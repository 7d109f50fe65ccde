"""
The whole journey, verb by verb, each a real process whose cost is written down.

Owns the order of the verbs, where a push is killed, and what is noted of each. The judge's word is
the stand-in's.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.measuring import Cost, Failed, Running
from benchmarks.workspace import Stand, Workplace

# At the commands' own defaults, but as fast as it goes.
PUSH = "push -q --rate max --workers 16"
RESUME = PUSH.replace("push", "push --resume", 1)
KILLS = 3
_LOOK_EVERY_SECONDS = 0.5
# Of a thousand contacts as the sandbox makes them; some have no e-mail, or one that was there.
_SENDABLE = 0.96


@dataclass(frozen=True, slots=True)
class Phase:
    """
    What one process of the journey took.

    Args:
        requests: That it made, of both services.
        largest_bytes: The ledger's and its log's, at most, while it worked.
        bytes_after: When it had ended.
        is_killed: Ended by force, not by itself.
    """

    words: str
    seconds: float
    cpu_seconds: float
    peak_mb: float
    requests: int
    largest_bytes: int
    bytes_after: int
    is_killed: bool = False

    @property
    def verb(self) -> str:
        """Which command it is."""
        return self.words.split()[0]

    def as_json(self) -> dict[str, Any]:
        """Every field."""
        return asdict(self)


class Whole:
    """One journey through a stand-in; use `travel`."""

    def __init__(self, place: Workplace, stand: Stand, tell: Callable[[str], None]) -> None:
        self._place = place
        self._stand = stand
        self._tell = tell

    def travel(self, kills: Sequence[int] = ()) -> Iterator[Phase]:
        """
        Stage, push, verify, report and audit.

        Args:
            kills: After so many more requests the push is killed, and `push --resume` follows.
        """
        yield self._do("stage -q")
        words = PUSH
        for requests in kills:
            phase = self._do(words, kill_after=requests)
            yield phase
            words = RESUME
            if not phase.is_killed:
                break
        else:
            yield self._do(words)
        for words in ("verify -q", "report", "audit"):
            yield self._do(words)

    def _do(self, words: str, kill_after: int | None = None) -> Phase:
        self._tell(f"migrator {words}")
        before = self._requests()
        running = self._place.start(words)
        largest = 0
        is_killed = False
        while running.wait_for(_LOOK_EVERY_SECONDS):
            largest = max(largest, self._place.bytes_on_disk())
            if kill_after is not None and self._requests() - before >= kill_after:
                is_killed = running.kill().code < 0
        cost = running.wait() if is_killed else running.ended()
        return self._phase(words, cost, before, largest, is_killed)

    def _phase(self, words: str, cost: Cost, before: int, largest: int, is_killed: bool) -> Phase:
        after = self._place.bytes_on_disk()
        return Phase(
            words,
            cost.seconds,
            cost.cpu_seconds,
            cost.peak_mb,
            self._requests() - before,
            max(largest, after),
            after,
            is_killed,
        )

    def _requests(self) -> int:
        return int(self._stand.ask("requests")["requests"])


def random_kills(contacts: int, times: int, seed: int) -> list[int]:
    """After how many requests each push is killed: anywhere, and so that all of them have some."""
    sends = int(contacts * _SENDABLE)
    dice = random.Random(seed)
    points = sorted(dice.uniform(0.05, 0.95) for _ in range(times))
    before = [0.0, *points[:-1]]
    return [max(1, int(sends * (one - last))) for one, last in zip(points, before, strict=True)]


def first(
    method: str, stand: Stand, running: Running, since: int, patience_seconds: float
) -> float:
    """
    Wait until leads are listed (GET) or sent (POST) after so many requests; when, as `time.time`.

    Raises:
        Failed: it never came.
    """
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        is_alive = running.wait_for(0.05)
        at = stand.ask(f"first {method} {since}")["at"]
        if at is not None:
            return float(at)
        if not is_alive:
            break
    raise Failed(f"{method} /api/leads never came: {running.kill().err[-800:]}")
