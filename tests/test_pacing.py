"""Pacing is arithmetic: tables of (pace, moment) -> pace or number, and one lock around it."""

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from migrator.pacing import (
    CATCH_UP_SECONDS,
    PAUSE_WHEN_THROTTLED_SECONDS,
    ROUNDS_BEFORE_STOPPING,
    ROUNDS_OF_BAD_LUCK,
    SAFE_PER_MINUTE,
    SLOW_DOWN,
    SLOWEST_PER_MINUTE,
    SPEED_UP_PER_MINUTE,
    Pace,
    Pacer,
    backoff_seconds,
    heed,
    is_down,
    is_troubled,
    ready,
    take,
    throttle,
    trouble_pause_seconds,
)

# One a second, and the next one at 100.
STEADY = Pace(per_minute=60.0, next_at=100.0)
FAST = Pace(per_minute=1200.0, next_at=100.0)
UNLIMITED = replace(Pace.unlimited(), next_at=100.0)
NOW = 100.0


def departures(pacer: Pacer, polls: Iterable[float], at_most: int = 1_000) -> list[float]:
    """The moments at which requests left, for a scribe that looks at these moments."""
    return [now for now in polls for _ in range(pacer.claim(now, at_most))]


def polls(every_seconds: float, minutes: float) -> Iterable[float]:
    return (1_000 + n * every_seconds for n in range(int(minutes * 60 / every_seconds)))


def busiest(moments: list[float], seconds: float) -> int:
    """The most departures in any stretch of so many seconds, its end excluded."""
    first, most = 0, 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - seconds + 1e-6:
            first += 1
        most = max(most, last - first + 1)
    return most


# Arithmetic ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pace", "now", "at_most", "expected"),
    [
        (STEADY, 99.999, 8, 0),
        (STEADY, 100.0, 8, 1),
        (STEADY, 100.4, 8, 1),
        (STEADY, 5_000.0, 8, 1),
        (STEADY, 100.0, 0, 0),
        (FAST, 99.999, 8, 0),
        (FAST, 100.0, 8, 1),
        (FAST, 100.125, 8, 3),
        (FAST, 100.125, 2, 2),
        (FAST, 100.5, 99, 11),
        (FAST, 5_000.0, 99, 11),
        (UNLIMITED, 99.999, 8, 0),
        (UNLIMITED, 100.0, 8, 8),
        (Pace.automatic(), 5_000.0, 99, 4),
    ],
)
def test_so_many_may_leave(pace: Pace, now: float, at_most: int, expected: int) -> None:
    assert ready(pace, now, at_most) == expected


@pytest.mark.parametrize(
    ("pace", "now", "count", "next_at"),
    [
        (STEADY, 100.0, 1, 101.0),
        (STEADY, 100.0, 3, 103.0),
        (STEADY, 100.2, 1, 101.0),
        (STEADY, 100.9, 1, 101.4),
        (STEADY, 5_000.0, 1, 5_000.5),
        (STEADY, 99.0, 1, 101.0),
        (STEADY, 100.0, 0, 100.0),
        (FAST, 100.0, 2, 100.1),
        (UNLIMITED, 100.0, 8, 100.0),
    ],
)
def test_after_so_many_the_next_one_waits(
    pace: Pace, now: float, count: int, next_at: float
) -> None:
    taken = take(pace, now, count)
    assert taken.next_at == pytest.approx(next_at)
    assert replace(taken, next_at=pace.next_at) == pace


@pytest.mark.parametrize(
    ("pace", "asked", "next_at", "per_minute"),
    [
        (STEADY, None, NOW + PAUSE_WHEN_THROTTLED_SECONDS, 60 * SLOW_DOWN),
        (STEADY, 7.0, NOW + 7, 60 * SLOW_DOWN),
        (STEADY, 0.0, NOW, 60 * SLOW_DOWN),
        (replace(STEADY, next_at=NOW + 30), 7.0, NOW + 30, 60 * SLOW_DOWN),
        (replace(FAST, next_at=NOW + 0.05), None, NOW + 2, 1200 * SLOW_DOWN),
        (replace(STEADY, per_minute=SLOWEST_PER_MINUTE), None, NOW + 2, SLOWEST_PER_MINUTE),
        (replace(STEADY, per_minute=7.0), None, NOW + 2, SLOWEST_PER_MINUTE),
        (UNLIMITED, None, NOW + 2, None),
        (UNLIMITED, 30.0, NOW + 30, None),
    ],
)
def test_a_throttled_pace_rests_and_slows_down(
    pace: Pace, asked: float | None, next_at: float, per_minute: float | None
) -> None:
    throttled = throttle(pace, NOW, asked)
    assert (throttled.next_at, throttled.per_minute) == (next_at, per_minute)
    assert throttled.ceiling == pace.ceiling


@pytest.mark.parametrize(
    ("first", "later", "second", "next_at"),
    [
        (30.0, 0.0, 7.0, NOW + 30),
        (30.0, 0.0, 60.0, NOW + 60),
        (None, 0.1, None, NOW + 0.1 + PAUSE_WHEN_THROTTLED_SECONDS),
        (None, 0.9, 0.5, NOW + PAUSE_WHEN_THROTTLED_SECONDS),
    ],
)
def test_a_pace_that_rests_rests_longer_but_slows_down_no_further(
    first: float | None, later: float, second: float | None, next_at: float
) -> None:
    once = throttle(STEADY, NOW, first)
    twice = throttle(once, NOW + later, second)
    assert twice.next_at == pytest.approx(next_at)
    assert twice.per_minute == once.per_minute == 60 * SLOW_DOWN


@pytest.mark.parametrize(
    ("told", "per_minute"),
    [
        ((None, None, None), 60 + SPEED_UP_PER_MINUTE),
        ((400, None, 60.0), 60 + SPEED_UP_PER_MINUTE),
        ((None, 400, 60.0), 60 + SPEED_UP_PER_MINUTE),
        ((400, 400, None), 60 + SPEED_UP_PER_MINUTE),
        ((400, 400, 60.0), 400.0),
        ((400, 100, 60.0), 100.0),
        ((400, 100, 30.0), 200.0),
        ((400, 399, 1.0), 60 * 399.0),  # the service gives them away
        ((400, 2, 0.0), 120.0),
        ((400, 1, 60.0), SLOWEST_PER_MINUTE),
        ((1_000, 900, 60.0), 900.0),
    ],
)
def test_what_remains_is_spread_over_the_time_that_remains(
    told: tuple[Any, Any, Any], per_minute: float
) -> None:
    assert heed(STEADY, NOW, *told) == replace(STEADY, per_minute=per_minute)


@pytest.mark.parametrize("remaining", [0, -1])
def test_when_nothing_remains_the_pace_rests_until_the_next_window(remaining: int) -> None:
    assert heed(STEADY, NOW, 400, remaining, 30.0) == replace(STEADY, next_at=NOW + 30)
    rested = replace(STEADY, next_at=NOW + 99)
    assert heed(rested, NOW, 400, remaining, 30.0) == rested


@pytest.mark.parametrize("told", [(None, None, None), (9_000, 9_000, 60.0), (9_000, 1, 0.0)])
def test_a_fixed_pace_never_speeds_up(told: tuple[Any, Any, Any]) -> None:
    assert heed(Pace.fixed(60), NOW, *told).per_minute == 60


def test_a_fixed_pace_comes_back_to_its_ceiling_and_no_further() -> None:
    pace = throttle(replace(Pace.fixed(60), next_at=NOW), NOW, None)
    assert pace.per_minute == 60 * SLOW_DOWN
    for _ in range(1_000):
        pace = heed(pace, NOW, None, None, None)
    assert pace.per_minute == 60


@pytest.mark.parametrize("told", [(None, None, None), (400, 0, 30.0), (400, 1, 60.0)])
def test_an_unlimited_pace_only_minds_being_throttled(told: tuple[Any, Any, Any]) -> None:
    assert heed(UNLIMITED, NOW, *told) == UNLIMITED


def test_a_pace_recovers_step_by_step() -> None:
    slow = throttle(STEADY, NOW, None)
    quicker = heed(slow, NOW, None, None, None)
    assert slow.per_minute is not None
    assert quicker.per_minute == slow.per_minute + SPEED_UP_PER_MINUTE
    assert quicker.next_at == slow.next_at


def test_the_first_pace_is_the_safe_one() -> None:
    assert (Pace.automatic().per_minute, Pace.automatic().ceiling) == (SAFE_PER_MINUTE, None)
    assert (Pace.unlimited().per_minute, Pace.unlimited().ceiling) == (None, None)
    assert (Pace.fixed(30).per_minute, Pace.fixed(30).ceiling) == (30, 30)


# Over time -----------------------------------------------------------------------------------

EVERY = [0.004, 0.15, 0.3, 0.5]
RATES = [6, 60, 100, 400, 1_000]


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("rate", RATES)
def test_no_stretch_of_time_sees_more_than_the_rate_and_one_catching_up(
    rate: float, every: float
) -> None:
    moments = departures(Pacer(Pace.fixed(rate)), polls(every, minutes=2))
    for seconds in (1, 10, 60):
        most = 1 + math.floor(rate * (seconds + CATCH_UP_SECONDS) / 60 + 1e-6)
        assert busiest(moments, seconds) <= most


@pytest.mark.parametrize("rate", RATES)
def test_a_rate_set_by_hand_is_never_exceeded_in_any_minute(rate: float) -> None:
    moments = departures(Pacer(Pace.fixed(rate)), polls(0.004, minutes=1.5))
    assert busiest(moments, 60) <= rate


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("rate", RATES)
def test_late_wake_ups_cost_nothing(rate: float, every: float) -> None:
    moments = departures(Pacer(Pace(per_minute=rate)), polls(every, minutes=2))
    assert len(moments) >= 2 * rate - 1


def test_a_long_pause_is_not_caught_up_with() -> None:
    pacer = Pacer(Pace(per_minute=1_200))
    assert departures(pacer, [1_000.0, 1_001.0, 9_000.0, 9_000.0]) == [
        *[1_000.0] * 11,
        *[1_001.0] * 11,
        *[9_000.0] * 11,
    ]


def test_a_rest_is_a_rest_for_every_pace() -> None:
    for pace in (Pace.automatic(), Pace.unlimited(), Pace.fixed(60)):
        pacer = Pacer(pace)
        pacer.rest(1_000.0, 5.0)
        pacer.rest(1_000.0, 2.0)
        assert pacer.wait_seconds(1_001.0) == 4.0
        assert departures(pacer, [1_000.0, 1_004.999]) == []
        assert pacer.claim(1_005.0, 1) == 1


def test_a_rest_is_not_caught_up_with() -> None:
    pacer = Pacer(replace(FAST, next_at=0.0))
    pacer.rest(1_000.0, 5.0)
    assert pacer.claim(1_005.0, 99) == 1


def test_the_wait_is_exactly_as_long_as_needed() -> None:
    pacer = Pacer(Pace.fixed(400))
    now = 1_000.0
    departures(pacer, [now])
    for _ in range(100):
        now += pacer.wait_seconds(now)
        assert pacer.claim(now, 8) == 1
        assert pacer.wait_seconds(now) > 0
    assert pacer.wait_seconds(now + 99) == 0


def test_nothing_is_taken_by_a_claim_for_nothing() -> None:
    pacer = Pacer(STEADY)
    assert [pacer.claim(NOW, at_most) for at_most in (0, -1, -99)] == [0, 0, 0]
    assert pacer.pace == STEADY


@pytest.mark.parametrize(
    "asked",
    [
        None,
        1.0,
        60.0,
        0.0,
    ],
)
def test_a_burst_of_throttled_answers_counts_once(asked: float | None) -> None:
    pacer = Pacer(replace(Pace.automatic(), next_at=NOW))
    pacer.claim(NOW, 8)
    for late in range(8):
        pacer.throttled(NOW + late / 10, asked)
    assert pacer.pace.per_minute == SAFE_PER_MINUTE * SLOW_DOWN
    pause = PAUSE_WHEN_THROTTLED_SECONDS if asked is None else asked
    assert pacer.wait_seconds(NOW) == pytest.approx(0.7 + pause)


def throttled_each_time(rate: float, times: int) -> Pacer:
    pacer = Pacer(replace(Pace(per_minute=rate), next_at=NOW))
    now = NOW
    for _ in range(times):
        now += pacer.wait_seconds(now)
        pacer.claim(now, 1)
        pacer.throttled(now + 0.05, None)
    return pacer


def test_a_second_burst_counts_again() -> None:
    assert throttled_each_time(400, times=2).pace.per_minute == 400 * SLOW_DOWN * SLOW_DOWN


def test_a_service_that_throttles_every_send_slows_it_down_to_the_slowest() -> None:
    assert throttled_each_time(400, times=50).pace.per_minute == SLOWEST_PER_MINUTE


def test_a_service_that_tells_its_limit_is_neither_overrun_nor_left_idle() -> None:
    limit, window, left, moments = 100, 0, 100, []
    pacer = Pacer(Pace.automatic())
    for now in polls(0.05, minutes=5):
        if int(now // 60) != window:
            window, left = int(now // 60), limit
        for _ in range(pacer.claim(now, 8)):
            left -= 1
            assert left >= 0
            moments.append(now)
            pacer.answered(now, limit, left, 60 - now % 60)
    assert len(moments) >= 4 * limit


# Threads -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [60, 400, 6_000])
def test_threads_that_share_a_pacer_share_its_rate(rate: float, clock: Any) -> None:
    pacer = Pacer(Pace(per_minute=rate, next_at=clock.now()))

    def work(_: int) -> list[float]:
        moments = []
        while (now := clock.now()) < 1_060:
            moments += [now] * pacer.claim(now, 2)
            clock.sleep(0.011)
        return moments

    with ThreadPoolExecutor(8) as threads:
        moments = sorted(moment for some in threads.map(work, range(8)) for moment in some)
    assert 0.95 * rate <= len(moments) <= rate + 1 + rate * CATCH_UP_SECONDS / 60
    assert busiest(moments, 10) <= 1 + rate * (10 + CATCH_UP_SECONDS) / 60


def test_no_claim_is_counted_twice_or_lost_between_threads() -> None:
    pacer = Pacer(Pace(per_minute=60.0, next_at=0.0))
    # At one moment there is room for one; whoever comes second must see that it is taken.
    with ThreadPoolExecutor(8) as threads:
        claims = list(threads.map(lambda n: pacer.claim(1_000.0 + n // 80, 1), range(8 * 80)))
    assert sum(claims) == 8


@pytest.mark.parametrize(
    "tell",
    [
        lambda pacer: pacer.answered(NOW, None, None, None),
        lambda pacer: pacer.throttled(NOW, None),
        lambda pacer: pacer.rest(NOW, 1.0),
        lambda pacer: pacer.claim(NOW, 1),
    ],
)
def test_whatever_threads_tell_at_once_nothing_is_forgotten(tell: Callable[[Pacer], Any]) -> None:
    together, alone = Pacer(STEADY), Pacer(STEADY)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: tell(together), range(2_000)))
    for _ in range(2_000):
        tell(alone)
    assert together.pace == alone.pace


# Bad luck and trouble ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tries", "seconds"),
    [(-1, 0.5), (0, 0.5), (1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (1_000, 30.0)],
)
def test_a_back_off_doubles_up_to_a_bound(tries: int, seconds: float) -> None:
    assert backoff_seconds(tries) == seconds


def test_a_back_off_stays_bounded_however_often_it_is_tried() -> None:
    assert backoff_seconds(5_000) == 30.0


def test_a_back_off_may_have_other_bounds() -> None:
    assert [backoff_seconds(n, first=1.0, longest=5.0) for n in (1, 2, 3, 4)] == [1, 2, 4, 5]


@pytest.mark.parametrize(
    ("rounds", "troubled", "down", "pause"),
    [
        (0, False, False, 0.0),
        (ROUNDS_OF_BAD_LUCK - 1, False, False, 0.0),
        (ROUNDS_OF_BAD_LUCK, True, False, 1.0),
        (ROUNDS_OF_BAD_LUCK + 1, True, False, 2.0),
        (ROUNDS_OF_BAD_LUCK + 3, True, False, 8.0),
        (ROUNDS_BEFORE_STOPPING - 1, True, False, 8.0),
        (ROUNDS_BEFORE_STOPPING, True, True, 8.0),
        (ROUNDS_BEFORE_STOPPING + 9, True, True, 8.0),
    ],
)
def test_bad_luck_becomes_trouble_and_trouble_an_end(
    rounds: int, troubled: bool, down: bool, pause: float
) -> None:
    assert (is_troubled(rounds), is_down(rounds)) == (troubled, down)
    assert trouble_pause_seconds(rounds) == pause


def test_a_run_stops_within_a_minute_of_trouble_and_not_at_once() -> None:
    pauses = [trouble_pause_seconds(rounds) for rounds in range(ROUNDS_BEFORE_STOPPING)]
    assert 10 <= sum(pauses) <= 60
    assert all(first <= second for first, second in pairwise(pauses))
