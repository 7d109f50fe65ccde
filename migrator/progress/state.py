"""
The progress of a command, and what follows from it: the rate, the time left, the JSON.

Pure: callers pass the time, and the layout is in `render`.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from migrator.counters import Counters, counters_of
from migrator.text import utc_time

# A rate measured over less time does not predict the time left.
SHORTEST_SAMPLE_SECONDS = 5.0
# About a minute: the rate of now, not of an hour ago.
SAMPLES = 61


@dataclass(frozen=True)
class Snapshot:
    """
    The progress of a command at one moment.

    Args:
        counters: The counters of the command (see `counters`).
        total: How much there is to do; `None` = not known.
        states: All contacts of the ledger by their state; empty = not known.
        held: Contacts that need attention.
        allowed_per_minute: Requests that may leave; `None` = no rate limit.
        waiting_for: Completes the words "waiting for"; `None` = the command is not waiting.
        waiting_seconds: How much longer; `None` = not known.
        notes: Lines below the display.
    """

    command: str
    counters: Mapping[str, int] = field(default_factory=dict)
    total: int | None = None
    states: Mapping[str, int] = field(default_factory=dict)
    held: int = 0
    allowed_per_minute: float | None = None
    waiting_for: str | None = None
    waiting_seconds: float | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, command: str, told: Mapping[str, Any], **more: Any) -> Self:
        """
        From the values of a command: integers are its counters, except for the fields above.

        The numbers are copied, because the command continues to count.
        """
        facts: dict[str, Any] = {name: told.get(name) for name in _FACTS}
        counters = {
            name: value for name, value in told.items() if type(value) is int and name not in _FACTS
        }
        return cls(command, counters, **facts, **more)

    @property
    def typed(self) -> Counters:
        """The counters as the class of the command."""
        return counters_of(self.command, self.counters)

    @property
    def done(self) -> int:
        """How much of the total is done."""
        return self.typed.reach(self.total)[0]


_FACTS = ("total", "allowed_per_minute", "waiting_for", "waiting_seconds")


@dataclass(frozen=True)
class Wait:
    """
    A wait of a command.

    Args:
        what: Completes the words "waiting for".
        until: Its end, on the monotonic clock; `None` = not known.
        until_wall: The same time in seconds since the epoch.
    """

    what: str
    until: float | None = None
    until_wall: float | None = None

    def seconds_left(self, now: float) -> float | None:
        """How much longer it takes; `None` = not known."""
        return None if self.until is None else max(0.0, self.until - now)

    def is_about(self, other: "Wait | None") -> bool:
        """Whether it is the same wait, read at another time."""
        if other is None or self.what != other.what:
            return False
        if self.until is None or other.until is None:
            return self.until is other.until
        return abs(self.until - other.until) < 1.0


class ProgressTracker:
    """The newest snapshot of a command, and its rate according to earlier ones."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.now = snapshot
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES)

    def take(self, snapshot: Snapshot, moment: float) -> None:
        """Store the newest snapshot; about one a second is a sample of the rate."""
        before, self.now = self.now, snapshot
        # Another phase began, such as the mapping of a stage.
        if (before.total is None) != (snapshot.total is None) or snapshot.done < before.done:
            self._samples.clear()
        if not self._samples or moment - self._samples[-1][0] >= 1.0:
            self._samples.append((moment, snapshot.done))

    @property
    def per_minute(self) -> float | None:
        """Its rate; `None` = too early to say."""
        if not self._samples:
            return None
        (began, before), (now, done) = self._samples[0], self._samples[-1]
        if now - began < SHORTEST_SAMPLE_SECONDS:
            return None
        return (done - before) * 60 / (now - began)

    def seconds_left(self, wait: Wait | None, moment: float) -> float | None:
        """Time left at this rate, but at least the wait; `None` = not known."""
        if self.now.total is None or not self.per_minute:
            return None
        waits = 0.0 if wait is None else wait.seconds_left(moment) or 0.0
        return max(waits, 60 * max(0, self.now.total - self.now.done) / self.per_minute)


def as_json(
    tracker: ProgressTracker, wait: Wait | None, moment: float, wall: float
) -> dict[str, Any]:
    """
    The progress of a command as JSON values.

        event                "progress"
        command              stage, push or verify
        at                   the time of it; all times are ISO 8601, UTC
        states               {extracted, mapped, posted, verified}: contacts, held ones included
        held                 contacts that need attention
        in_doubt             contacts of which no answer says whether LeadGenius did what it was
                             sent
        done                 stage: contacts read, then contacts mapped; push: contacts posted;
                             verify: leads compared
        total                how much there is to do; null = not known
        per_minute           the rate of the last minute; null = too early to say
        allowed_per_minute   requests that may leave; null = no rate limit
        waiting_for          the reason for a wait, in words; null = no wait
        waiting_until        its end; null = not known
        seconds_left         time left at this rate; null = not known

    and the counters of the command, named as in its result.
    """
    now = tracker.now
    return {
        "event": "progress",
        "command": now.command,
        "at": _time(wall),
        "states": dict(now.states),
        "held": now.held,
        "in_doubt": 0,
        "done": now.done,
        "total": now.total,
        "per_minute": _rounded(tracker.per_minute),
        "allowed_per_minute": _rounded(now.allowed_per_minute),
        "waiting_for": None if wait is None else wait.what,
        "waiting_until": None if wait is None else _time(wait.until_wall),
        "seconds_left": _rounded(tracker.seconds_left(wait, moment)),
        **now.counters,
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 1)


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else utc_time(seconds)
