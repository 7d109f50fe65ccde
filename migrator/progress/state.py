"""
How far a command is, and what follows from it: its pace, the time left, the object for a program.

Numbers and words only; nothing here looks at a clock, and nothing of it is laid out.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from migrator.counters import Counters, counters_of
from migrator.text import utc_time

# A pace that is judged by less says nothing of the time that is left.
SHORTEST_SAMPLE_SECONDS = 5.0
# The pace of now, not of an hour ago.
SAMPLES = 61


@dataclass(frozen=True)
class Snapshot:
    """
    How far a command is at one moment, as it was told.

    Args:
        counters: What it did, in numbers.
        total: So many there are for it to do; `None` = nobody knows.
        states: All contacts of the ledger by their state; empty = not told.
        held: Contacts that wait for a person.
        allowed_per_minute: So many requests may leave; `None` = as many as are answered.
        waiting_for: What keeps it, to be read after "waiting for"; `None` = nothing.
        waiting_seconds: For how long yet; `None` = nobody knows.
        notes: Lines to stand below all of it.
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
        Sort what a command tells: whole numbers are counters, some names are facts of their own.

        The numbers are copied: the command goes on counting in its own.
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
        """How much of the total it has done."""
        return self.typed.reach(self.total)[0]


_FACTS = ("total", "allowed_per_minute", "waiting_for", "waiting_seconds")


@dataclass(frozen=True)
class Wait:
    """
    What keeps a command.

    Args:
        what: To be read after "waiting for".
        until: On the monotonic clock; `None` = nobody knows.
        until_wall: The same moment for people, in seconds since the epoch.
    """

    what: str
    until: float | None = None
    until_wall: float | None = None

    def seconds_left(self, now: float) -> float | None:
        """For how long yet."""
        return None if self.until is None else max(0.0, self.until - now)

    def is_about(self, other: "Wait | None") -> bool:
        """Whether it is the same wait, but for the moment in which somebody looked."""
        if other is None or self.what != other.what:
            return False
        if self.until is None or other.until is None:
            return self.until is other.until
        return abs(self.until - other.until) < 1.0


class ProgressTracker:
    """One command's way so far: the newest snapshot, and the pace that older ones show."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.now = snapshot
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES)

    def take(self, snapshot: Snapshot, moment: float) -> None:
        """Remember the newest snapshot; about one a second counts for the pace."""
        before, self.now = self.now, snapshot
        # It began something else, such as to map what it read.
        if (before.total is None) != (snapshot.total is None) or snapshot.done < before.done:
            self._samples.clear()
        if not self._samples or moment - self._samples[-1][0] >= 1.0:
            self._samples.append((moment, snapshot.done))

    @property
    def per_minute(self) -> float | None:
        """Its pace; `None` = it is too early to say."""
        if not self._samples:
            return None
        (began, before), (now, done) = self._samples[0], self._samples[-1]
        if now - began < SHORTEST_SAMPLE_SECONDS:
            return None
        return (done - before) * 60 / (now - began)

    def seconds_left(self, wait: Wait | None, moment: float) -> float | None:
        """How long it will take yet at this pace, and by what it waits for; `None` = who knows."""
        if self.now.total is None or not self.per_minute:
            return None
        waits = 0.0 if wait is None else wait.seconds_left(moment) or 0.0
        return max(waits, 60 * max(0, self.now.total - self.now.done) / self.per_minute)


def as_json(
    tracker: ProgressTracker, wait: Wait | None, moment: float, wall: float
) -> dict[str, Any]:
    """
    How far a command is at a moment, as values that JSON can hold.

        event                "progress"
        command              stage, push or verify
        at                   when this was so; all times are ISO 8601, UTC
        states               {extracted, mapped, posted, verified}: contacts, held ones included
        held                 contacts that wait for a person
        in_doubt             contacts that were sent, and no answer says whether they arrived
        done                 of a stage, contacts read, then contacts mapped; of a push, contacts
                             posted; of a verify, leads looked at
        total                of which so many are to be done; null = HubSpot does not tell
        per_minute           the pace of the last minute; null = it is too early to say
        allowed_per_minute   requests that may leave; null = as many as are answered
        waiting_for          what keeps it, in words; null = nothing
        waiting_until        until when; null = nobody knows
        seconds_left         until all is done, at this pace; null = nobody can say

    and the counters of the command, under the names that they have in its result.
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
