"""A limit that rolls is used up, and never run into."""

import heapq
import random
from collections import deque

import pytest

from migrator.connections import open_hubspot
from migrator.errors import Interrupted
from migrator.rate_limit import RequestWindow
from migrator.stage import stage
from tests.integration.test_stage import assert_complete
from tests.support.journeys import Journey

INTERVAL = 10.0


class Service:
    """It counts as HubSpot does."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken: deque[float] = deque()

    def take(self, now: float) -> int | None:
        """How many requests remain; `None` = this one was refused."""
        while self.taken and self.taken[0] <= now - INTERVAL:
            self.taken.popleft()
        if len(self.taken) == self.limit:
            return None
        self.taken.append(now)
        return self.limit - len(self.taken)


class World:
    """Threads that ask as fast as the window lets them, and somebody else, on one clock."""

    def __init__(self, limit: int, latency: float, threads: int, others_every: float = 0) -> None:
        self.window, self.service = RequestWindow(), Service(limit)
        self.latency = latency
        self.others_every = others_every
        self.taken = self.refused = self.taken_by_others = self.steps = 0
        self.dice = random.Random(limit)
        self.agenda: list[tuple[float, int, str, int | None]] = []
        for _ in range(threads):
            self.at(0.0, "ask")
        if others_every:  # he was there before us
            self.at(-INTERVAL, "other")

    def at(self, moment: float, what: str, remaining: int | None = None) -> None:
        self.steps += 1
        heapq.heappush(self.agenda, (moment, self.steps, what, remaining))

    def run(self, seconds: float) -> None:
        while self.agenda[0][0] < seconds:
            now, _, what, remaining = heapq.heappop(self.agenda)
            getattr(self, what)(now, remaining)

    def ask(self, now: float, _: None) -> None:
        if wait := self.window.claim(now):
            self.at(now + wait, "ask")
        else:
            self.at(now + self.some_latency(), "arrive")

    def arrive(self, now: float, _: None) -> None:
        remaining = self.service.take(now)
        self.taken += remaining is not None
        self.refused += remaining is None
        self.at(now + self.some_latency(), "answer", remaining)

    def answer(self, now: float, remaining: int | None) -> None:
        self.window.end(now, self.service.limit, remaining, INTERVAL)
        self.at(now if remaining is not None else now + INTERVAL, "ask")

    def other(self, now: float, _: None) -> None:
        self.taken_by_others += self.service.take(now) is not None
        self.at(now + self.others_every, "other")

    def some_latency(self) -> float:
        return self.latency * self.dice.uniform(0.2, 1.0)


@pytest.mark.parametrize("limit", [100, 190, 250])
@pytest.mark.parametrize("latency", [0.001, 0.05, 0.15])
def test_the_whole_limit_is_used_and_nothing_refused(limit, latency):
    world = World(limit, latency, threads=8)
    world.run(30 * INTERVAL)
    assert world.refused == 0
    assert world.taken >= 0.95 * 30 * limit


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("latency", [0.001, 0.05])
def test_what_somebody_else_takes_is_left_to_him(share, latency):
    world = World(190, latency, threads=4, others_every=INTERVAL / 190 / share)
    world.run(30 * INTERVAL)
    assert world.refused == 0
    assert world.taken_by_others >= 0.99 * 31 * 190 * share
    assert world.taken >= 0.9 * 30 * 190 * (1 - share)


def test_until_the_limit_is_known_one_request_leaves_after_the_other():
    window = RequestWindow()
    assert window.claim(0.0) == 0
    assert window.claim(0.0) > 0
    window.end(1.0, 2, 1, INTERVAL)
    assert [window.claim(1.0) > 0 for _ in range(2)] == [False, True]


def test_without_a_word_of_a_limit_there_is_none():
    window = RequestWindow()
    window.claim(0.0)
    window.end(0.0, None, None, None)
    assert [window.claim(0.0) for _ in range(999)] == [0.0] * 999


def test_a_request_that_was_not_answered_counts_like_any_other():
    window = RequestWindow()
    window.claim(0.0)
    window.end(0.0, 2, 1, INTERVAL)
    window.claim(5.0)
    window.end(6.0, None, None, None)
    assert window.claim(7.0) == pytest.approx(3.0, abs=0.2)


def test_an_account_that_others_keep_full_is_looked_at_now_and_then():
    window = RequestWindow()
    window.claim(0.0)
    window.end(0.0, 100, 0, INTERVAL)
    assert window.claim(1.0) > 0
    assert window.claim(INTERVAL * 1.02) == 0


def test_who_wants_to_stop_does_not_wait_for_room(sandbox, ledger):
    journey = Journey(sandbox(contacts=300, hubspot_rate_limit=2), ledger)
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        raise Interrupted("stopped", "go on", 2)

    hubspot = open_hubspot(journey.settings(), pause)
    with pytest.raises(Interrupted):
        stage(ledger, hubspot, portal_id="42")
    assert 5.0 < waits[0] <= 10.2


def test_a_stage_uses_the_limit_up_and_runs_into_none(sandbox, ledger):
    box = sandbox(contacts=900, hubspot_rate_limit=5, hubspot_window_seconds=0.3)
    journey = Journey(box, ledger)
    journey.stage()
    assert_complete(journey, 900)
    assert 429 not in [one.status for one in box.received]
    at = [one.at for one in box.received]
    waits = [later - first for first, later in zip(at, at[5:], strict=False)]
    assert len(waits) > 5
    assert all(wait >= 0.3 for wait in waits)


@pytest.mark.parametrize("told", [(100, -5_000, 10.0), (100, 0, 86_400.0), (100, 0, -1.0)])
def test_numbers_that_cannot_be_keep_nobody_waiting_for_long(told):
    window = RequestWindow()
    assert window.claim(0) == 0
    window.end(0, *told)
    assert 0 <= window.claim(1) <= INTERVAL
    for now in (12, 13, 24, 25):
        window.end(now, 100, 90, INTERVAL)
    assert [window.claim(26) for _ in range(50)] == [0] * 50
