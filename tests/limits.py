"""
A push against a rate limit that nobody tells, in time that costs none.

Owns three ways to count requests, written anew so that the sandbox's are no measure of themselves,
and a world of workers, latencies and one pacer. It must never look into the pacer.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from migrator.rate_limit import RateLimiter

MINUTE = 60.0
# As the scribe does: it looks away for no longer.
NAP_SECONDS = 0.5
BEGINNING = 1000.0

Limiter = Callable[[float], bool]


def fixed_window(per_minute: float, phase: float) -> Limiter:
    """Windows of a minute that follow each other; the first one ends at `phase`."""
    taken: dict[int, int] = {}

    def take(now: float) -> bool:
        window = int((now - BEGINNING - phase) // MINUTE)
        if taken.get(window, 0) >= per_minute:
            return False
        taken[window] = taken.get(window, 0) + 1
        return True

    return take


def rolling_window(per_minute: float, phase: float) -> Limiter:
    """Never more than so many in any minute."""
    taken: deque[float] = deque()

    def take(now: float) -> bool:
        while taken and taken[0] <= now - MINUTE:
            taken.popleft()
        if len(taken) >= per_minute:
            return False
        taken.append(now)
        return True

    return take


def token_bucket(per_minute: float, phase: float) -> Limiter:
    """It fills steadily and holds what a tenth to a whole minute brings."""
    size = per_minute * (0.1 + 0.9 * phase / MINUTE)
    tokens, at = size, BEGINNING

    def take(now: float) -> bool:
        nonlocal tokens, at
        tokens, at = min(size, tokens + (now - at) * per_minute / 60), now
        if tokens < 1:
            return False
        tokens -= 1
        return True

    return take


def switched(first: Limiter, second: Limiter, at_minute: float) -> Limiter:
    """One limit, and from a moment on another one."""
    return lambda now: (first if now < BEGINNING + at_minute * MINUTE else second)(now)


def by_chance(server_limit: Limiter, refused: float, seed: int) -> Limiter:
    """It refuses such a part besides, whatever the rate."""
    dice = random.Random(seed)
    return lambda now: dice.random() >= refused and server_limit(now)


@dataclass
class Shared:
    """
    A limit of which somebody else uses a part, evenly, and another part every four minutes.

    Args:
        shares: Their parts, in turn.
    """

    server_limit: Limiter
    per_minute: float
    shares: tuple[float, ...]
    theirs_at: float = BEGINNING

    def __call__(self, now: float) -> bool:
        while self.theirs_at < now:
            turn = int((self.theirs_at - BEGINNING) // (4 * MINUTE)) % len(self.shares)
            self.theirs_at += MINUTE / (self.per_minute * self.shares[turn])
            self.server_limit(self.theirs_at)
        return self.server_limit(now)


@dataclass
class World:
    """
    Workers that send what a pacer lets leave, and a service that counts.

    Args:
        limiter: Whether the service takes a request at a moment.
        latency: Of an answer, in seconds; drawn evenly.
    """

    limiter: RateLimiter
    server_limit: Limiter
    workers: int = 8
    latency: tuple[float, float] = (0.05, 0.3)
    seed: int = 1
    now: float = BEGINNING
    taken: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._flying: list[tuple[float, int, str]] = []
        self._count = 0

    def run(self, minutes: float) -> "World":
        """Let time pass."""
        until = self.now + minutes * MINUTE
        while self.now < until:
            self._let_leave()
            self._pass_time()
        return self

    def share(self, per_minute: float, after: float = 1, minutes: float = 3) -> float:
        """Of what the limit allowed in these minutes, what was used."""
        return within(self.taken, after, minutes) / (per_minute * minutes)

    def refusals(self, after: float = 1, minutes: float = 3) -> float:
        """Of all answers in these minutes, those that were 429."""
        refused = within(self.refused, after, minutes)
        return refused / max(1, refused + within(self.taken, after, minutes))

    def _let_leave(self) -> None:
        for _ in range(self.limiter.claim(self.now, self.workers - len(self._flying))):
            there = self._random.uniform(*self.latency) / 2
            self._count += 1
            heapq.heappush(self._flying, (self.now + there, self._count, "there"))

    def _pass_time(self) -> None:
        moment = self.now + NAP_SECONDS
        if len(self._flying) < self.workers:
            moment = min(moment, self.now + max(0.002, self.limiter.wait_seconds(self.now)))
        if self._flying and self._flying[0][0] <= moment:
            self.now, number, what = heapq.heappop(self._flying)
            self._happens(number, what)
        else:
            self.now = moment

    def _happens(self, number: int, what: str) -> None:
        if what == "there":
            is_taken = self.server_limit(self.now)
            (self.taken if is_taken else self.refused).append(self.now)
            back = self.now + self._random.uniform(*self.latency) / 2
            heapq.heappush(self._flying, (back, number, "taken" if is_taken else "refused"))
        elif what == "taken":
            self.limiter.answered(self.now, None, None, None)
        else:
            self.limiter.on_throttled(self.now, None)


def within(moments: list[float], after: float, minutes: float) -> int:
    """How many of them lie there."""
    begin = BEGINNING + after * MINUTE
    return sum(begin < moment <= begin + minutes * MINUTE for moment in moments)
