"""
A simulated push against a rate limit that the service does not state.

It has four ways to count requests, written independently of the sandbox's, and a world of workers,
latencies and one rate limiter, of which it uses only the public interface.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from migrator.rate_limit import RateLimiter, RateState

MINUTE = 60.0
# The longest time between two claims, as in the push loop.
NAP_SECONDS = 0.5
BEGINNING = 1000.0

Limiter = Callable[[float], bool]
Kind = Callable[[float, float], Limiter]


def fixed_window(per_minute: float, phase: float, seconds: float = MINUTE) -> Limiter:
    """Windows that follow each other; one ends at `phase`."""
    taken: dict[int, int] = {}

    def take(now: float) -> bool:
        window = int((now - BEGINNING - phase) // seconds)
        if taken.get(window, 0) >= round(per_minute * seconds / MINUTE):
            return False
        taken[window] = taken.get(window, 0) + 1
        return True

    return take


def second_window(per_minute: float, phase: float) -> Limiter:
    """Windows of a second, in each a sixtieth of the limit."""
    return fixed_window(per_minute, phase / MINUTE, seconds=1.0)


def rolling_window(per_minute: float, phase: float) -> Limiter:
    """At most so many in any minute."""
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
    """A bucket that fills steadily; it holds the tokens of a tenth to a whole minute."""
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
    """One limit, replaced by another one at a time."""
    return lambda now: (first if now < BEGINNING + at_minute * MINUTE else second)(now)


def by_chance(server_limit: Limiter, refused: float, seed: int) -> Limiter:
    """A limit that also throttles this share of requests at random."""
    dice = random.Random(seed)
    return lambda now: dice.random() >= refused and server_limit(now)


@dataclass
class Shared:
    """
    A limit that another user shares: evenly, with a share that changes every four minutes.

    Args:
        shares: The other user's shares, in turn.
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
    Workers that send when a rate limiter allows it, and a service that counts.

    Args:
        server_limit: Whether the service accepts a request at this time.
        latency: The range of a round trip in seconds, drawn evenly.
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
        """The share of the limit that was used in these minutes."""
        return within(self.taken, after, minutes) / (per_minute * minutes)

    def throttled_share(self, after: float = 1, minutes: float = 3) -> float:
        """The share of 429 among all answers in these minutes."""
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
            self.limiter.on_response(self.now, None, None, None)
        else:
            self.limiter.on_throttled(self.now, None)


# How the limit is used: alone, or by another client, too, whose share stays or changes.
SHARED = {"alone": (), "shared": (0.5,), "shared, changing": (0.5, 0.2)}


@dataclass(frozen=True)
class Played:
    """
    What a push made of a limit.

    Args:
        share: Of what others left of the limit, in all minutes after the fifth; where their share
            changes, from the beginning, in whole turns.
        throttled: Answers 429 in an hour, beyond those by chance.
    """

    share: float
    throttled: float


def play(kind: Kind, chance: float, seed: int, used: str = "alone", minutes: float = 40) -> Played:
    """
    Push under a limit of 400 a minute that the service does not state; 7 a second if so counted.

    Args:
        chance: The share of requests that is throttled without reason.
        used: One of `SHARED`.
    """
    per_minute = 420 if kind is second_window else 400
    server_limit, others = kind(per_minute, (7 + seed * 13) % 60), SHARED[used]
    if others:
        server_limit = Shared(server_limit, per_minute, others)
    limited = by_chance(server_limit, chance, seed)
    world = World(RateLimiter(RateState.automatic()), limited, seed=seed).run(minutes)
    after = 0 if len(others) > 1 else 5
    taken, refused = (within(some, after, minutes - after) for some in (world.taken, world.refused))
    left = per_minute * (1 - sum(others) / max(1, len(others)))
    beyond = refused - chance * (taken + refused)
    return Played(taken / (left * (minutes - after)), 60 * beyond / (minutes - after))


def within(moments: list[float], after: float, minutes: float) -> int:
    """How many of these times are in these minutes."""
    begin = BEGINNING + after * MINUTE
    return sum(begin < moment <= begin + minutes * MINUTE for moment in moments)
