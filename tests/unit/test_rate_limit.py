"""The rate limiter: tables of (state, time) -> state or number, and one lock around it."""

import itertools
import math
import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from migrator.http import backoff_seconds
from migrator.rate_limit import SAFE_PER_MINUTE, RateLimiter, RateState
from migrator.rate_limit.discovery import judge_single, on_response
from migrator.rate_limit.estimate import (
    History,
    RecentTimes,
    nearest_round_number,
    window_range,
)
from migrator.rate_limit.state import (
    CATCH_UP_SECONDS,
    LARGEST_CHANCE,
    PAUSE_WHEN_THROTTLED_SECONDS,
    SHARE_OF_LIMIT,
    SLOWEST_PER_MINUTE,
    HigherLimit,
    Throttling,
    available,
    reserve,
    throttle,
)
from tests.support.limit_simulation import (
    BEGINNING,
    World,
    by_chance,
    fixed_window,
    play,
    rolling_window,
    second_window,
    switched,
    token_bucket,
)

# One a second, and the next one at 100.
STEADY = RateState(per_minute=60.0, next_at=100.0, began=0.0, since=100.0)
FAST = RateState(per_minute=1200.0, next_at=100.0, began=0.0)
UNLIMITED = replace(RateState.unlimited(), next_at=100.0, began=0.0)
NOW = 100.0
NOTHING_TOLD = (None, None, None)


def departures(limiter: RateLimiter, polls: Iterable[float], at_most: int = 1_000) -> list[float]:
    """The times at which requests left, for a loop that claims at these times."""
    return [now for now in polls for _ in range(limiter.claim(now, at_most))]


def polls(every_seconds: float, minutes: float) -> Iterable[float]:
    return (1_000 + n * every_seconds for n in range(int(minutes * 60 / every_seconds)))


def busiest(moments: list[float], seconds: float) -> int:
    """The most departures in any period of so many seconds, its end excluded."""
    first, most = 0, 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - seconds + 1e-6:
            first += 1
        most = max(most, last - first + 1)
    return most


# Arithmetic ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "now", "at_most", "expected"),
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
        (RateState.automatic(), 5_000.0, 99, 4),
    ],
)
def test_so_many_may_leave(state: RateState, now: float, at_most: int, expected: int) -> None:
    assert available(state, now, at_most) == expected


@pytest.mark.parametrize(
    ("state", "now", "count", "next_at"),
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
    state: RateState, now: float, count: int, next_at: float
) -> None:
    taken = reserve(state, now, count)
    assert taken.next_at == pytest.approx(next_at)
    assert replace(taken, next_at=state.next_at) == state


@pytest.mark.parametrize(
    ("state", "asked", "next_at"),
    [
        (STEADY, None, NOW + PAUSE_WHEN_THROTTLED_SECONDS),
        (STEADY, 7.0, NOW + 7),
        (STEADY, 0.0, NOW),
        (replace(STEADY, next_at=NOW + 30), 7.0, NOW + 30),
        (replace(FAST, next_at=NOW + 0.05), None, NOW + PAUSE_WHEN_THROTTLED_SECONDS),
        (UNLIMITED, None, NOW + PAUSE_WHEN_THROTTLED_SECONDS),
        (UNLIMITED, 30.0, NOW + 30),
    ],
)
def test_after_throttling_a_pause_and_then_one_probe(
    state: RateState, asked: float | None, next_at: float
) -> None:
    throttled = throttle(replace(state, in_a_row=1), NOW, asked)
    assert (throttled.next_at, throttled.per_minute) == (next_at, state.per_minute)
    assert [available(throttled, moment, 8) for moment in (next_at - 0.01, next_at + 99)] == [0, 1]


@pytest.mark.parametrize("state", [STEADY, UNLIMITED, RateState.fixed(60)])
def test_a_single_throttled_answer_pauses_only_if_it_asks_for_it(state: RateState) -> None:
    limiter = RateLimiter(replace(state, next_at=NOW))
    for _ in range(3):
        limiter.on_throttled(NOW, None)
        limiter.on_response(NOW, *NOTHING_TOLD)
    assert limiter.wait_seconds(NOW) == 0
    limiter.on_throttled(NOW, 7.0)
    assert limiter.wait_seconds(NOW) == 7


@pytest.mark.parametrize(
    ("first", "later", "second", "next_at"),
    [
        (30.0, 0.0, 7.0, NOW + 30),
        (30.0, 0.0, 60.0, NOW + 60),
        (None, 0.1, None, NOW + PAUSE_WHEN_THROTTLED_SECONDS),
        (None, 0.9, 0.5, NOW + 1.4),
    ],
)
def test_those_that_are_refused_together_make_one_pause(
    first: float | None, later: float, second: float | None, next_at: float
) -> None:
    twice = throttle(throttle(replace(STEADY, in_a_row=1), NOW, first), NOW + later, second)
    assert twice.next_at == pytest.approx(next_at)


def test_while_throttled_probes_become_rarer_but_do_not_end() -> None:
    limiter, now, gaps = RateLimiter(replace(FAST, next_at=NOW, in_a_row=1)), NOW, []
    limiter.claim(now, 1)
    limiter.on_throttled(now, None)
    for _ in range(6):
        gaps.append(limiter.wait_seconds(now))
        now += gaps[-1]
        assert limiter.claim(now, 8) == 1
        limiter.on_throttled(now, None)
    assert gaps == [0.25, 1, 2, 4, 5, 5]


def test_probes_whose_answers_get_lost_are_followed_by_others_and_lengthen_no_pause() -> None:
    limiter = RateLimiter(replace(UNLIMITED, next_at=NOW, in_a_row=1))
    limiter.on_throttled(NOW, None)
    seconds = [NOW + second for second in range(1, 9)]
    assert departures(limiter, seconds, at_most=8) == seconds


@pytest.mark.parametrize("state", [UNLIMITED, STEADY, RateState.fixed(60)])
def test_only_a_probe_sent_after_the_throttling_shows_that_it_is_over(state: RateState) -> None:
    limiter = RateLimiter(replace(state, next_at=NOW, in_a_row=1))
    limiter.claim(NOW, 2)
    limiter.on_throttled(NOW + 0.1, None)
    limiter.on_response(NOW + 0.2, *NOTHING_TOLD)
    assert limiter.claim(NOW + 0.3, 8) == 0
    assert limiter.claim(NOW + 1.1, 8) == 1
    limiter.on_response(NOW + 1.2, *NOTHING_TOLD)
    # A rate set by the user is kept by what follows the probe, too.
    opens_at = NOW + (1.2 if state.ceiling is None else 2.1)
    assert limiter.claim(opens_at - 0.01, 8) == 0
    assert limiter.claim(opens_at, 8) > 0


@pytest.mark.parametrize("state", [UNLIMITED, STEADY, RateState.fixed(60)])
@pytest.mark.parametrize("how", ["throttled", "unavailable"])
def test_an_older_answer_ends_no_wait_that_was_asked_for(state: RateState, how: str) -> None:
    limiter = RateLimiter(replace(state, next_at=NOW, in_a_row=1))
    limiter.claim(NOW, 2)
    limiter.on_throttled(NOW + 0.1, None)
    assert limiter.claim(NOW + 1.1, 8) == 1
    if how == "throttled":
        limiter.on_throttled(NOW + 1.2, 30.0)
    else:
        limiter.pause_for(NOW + 1.2, 30.0)
    limiter.on_response(NOW + 1.3, *NOTHING_TOLD)  # to what left at NOW
    assert limiter.wait_seconds(NOW + 1.3) == pytest.approx(29.9)


@pytest.mark.parametrize("rate", [2, 6, 30, 60])
def test_probes_do_not_exceed_a_rate_set_by_hand(rate: float) -> None:
    limiter, moments = RateLimiter(RateState.fixed(rate)), []
    for now in polls(0.05, minutes=5):
        if limiter.claim(now, 8):
            moments.append(now)
            if now < 1_150:
                limiter.on_throttled(now + 0.01, None)
            else:
                limiter.on_response(now + 0.01, *NOTHING_TOLD)
    assert busiest(moments, 60) <= rate


def test_a_throttled_answer_may_be_older_than_the_newest_requests() -> None:
    limiter = RateLimiter(replace(RateState.automatic(400), chance=0.02, began=0.0, since=NOW + 5))
    limiter.claim(NOW + 0.1, 1)
    limiter.claim(NOW + 0.3, 1)
    limiter.on_throttled(NOW, None)  # another thread looked at the clock before


@pytest.mark.parametrize(
    ("told", "per_minute"),
    [
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
    told_state = on_response(RateState.automatic(700), NOW, *told, History())
    assert (told_state.per_minute, told_state.limit) == (per_minute, None)


@pytest.mark.parametrize(
    "told", [NOTHING_TOLD, (400, None, 1.0), (None, 400, 1.0), (400, 400, None)]
)
def test_incomplete_headers_are_ignored(told: tuple[Any, Any, Any]) -> None:
    assert on_response(STEADY, NOW, *told, History()) == STEADY


@pytest.mark.parametrize("remaining", [0, -1])
def test_when_nothing_remains_sends_pause_until_the_next_window(remaining: int) -> None:
    for next_at in (NOW, NOW + 99):
        rested = on_response(replace(STEADY, next_at=next_at), NOW, 400, remaining, 30.0, History())
        assert rested.next_at == max(next_at, NOW + 30)


@pytest.mark.parametrize("told", [NOTHING_TOLD, (9_000, 9_000, 60.0), (9_000, 1, 0.0)])
def test_a_fixed_rate_never_speeds_up(told: tuple[Any, Any, Any]) -> None:
    state = RateState.fixed(60)
    assert on_response(state, NOW, *told, History()).per_minute == 60
    world = World(RateLimiter(state), fixed_window(100, 30)).run(12)
    assert (world.refused, busiest(world.taken, 59)) == ([], 60)


@pytest.mark.parametrize("told", [NOTHING_TOLD, (400, 0, 30.0), (400, 1, 60.0)])
def test_an_unlimited_rate_ignores_all_but_throttling(told: tuple[Any, Any, Any]) -> None:
    assert on_response(UNLIMITED, NOW, *told, History()) == UNLIMITED


@pytest.mark.parametrize(
    ("low", "high", "round_"),
    [
        (370, 430, 400),
        (900, 1_100, 1_000),
        (47, 153, 100),
        (430, 620, 500),
        (245, 270, 250),
        (7, 7, 7),
        (937.11, 937.19, 937.15),
    ],
)
def test_people_choose_round_limits(low: float, high: float, round_: float) -> None:
    assert nearest_round_number(low, high) == pytest.approx(round_)


def test_occasional_throttling_does_not_keep_a_fixed_rate_down() -> None:
    asked = itertools.count(1)
    limiter = RateLimiter(RateState.fixed(600))
    world = World(limiter, lambda now: next(asked) % 100 > 0).run(3)
    assert len(world.taken) > 1_700
    assert (limiter.limit, limiter.state.per_minute) == (None, 600)


def test_the_first_rate_is_the_safe_one() -> None:
    assert (RateState.automatic().per_minute, RateState.automatic().ceiling) == (
        SAFE_PER_MINUTE,
        None,
    )
    assert (RateState.unlimited().per_minute, RateState.unlimited().ceiling) == (None, None)
    assert (RateState.fixed(30).per_minute, RateState.fixed(30).ceiling) == (30, 30)
    limiter = RateLimiter(RateState.fixed(2))
    limiter.claim(0.0, 1)
    limiter.on_response(1.0, 100, 90, 10.0)
    assert limiter.state.per_minute == 2


# Over time -----------------------------------------------------------------------------------

EVERY = [0.004, 0.15, 0.3, 0.5]
RATES = [6, 60, 100, 400, 1_000]


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("rate", RATES)
def test_no_period_has_more_than_the_rate_and_one_catching_up(rate: float, every: float) -> None:
    moments = departures(RateLimiter(RateState.fixed(rate)), polls(every, minutes=2))
    for seconds in (1, 10, 60):
        most = 1 + math.floor(rate * (seconds + CATCH_UP_SECONDS) / 60 + 1e-6)
        assert busiest(moments, seconds) <= most


@pytest.mark.parametrize("rate", RATES)
def test_a_rate_set_by_hand_is_never_exceeded_in_any_minute(rate: float) -> None:
    moments = departures(RateLimiter(RateState.fixed(rate)), polls(0.004, minutes=1.5))
    assert busiest(moments, 60) <= rate


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("rate", RATES)
def test_late_wake_ups_cost_nothing(rate: float, every: float) -> None:
    moments = departures(RateLimiter(RateState(per_minute=rate)), polls(every, minutes=2))
    assert len(moments) >= 2 * rate - 1


def test_a_long_pause_is_not_caught_up_with() -> None:
    limiter = RateLimiter(RateState(per_minute=1_200))
    assert departures(limiter, [1_000.0, 1_001.0, 9_000.0, 9_000.0]) == [
        *[1_000.0] * 11,
        *[1_001.0] * 11,
        *[9_000.0] * 11,
    ]


def test_a_pause_holds_at_every_rate() -> None:
    for state in (RateState.automatic(), RateState.unlimited(), RateState.fixed(60)):
        limiter = RateLimiter(state)
        limiter.pause_for(1_000.0, 5.0)
        limiter.pause_for(1_000.0, 2.0)
        assert limiter.wait_seconds(1_001.0) == 4.0
        assert departures(limiter, [1_000.0, 1_004.999]) == []
        assert limiter.claim(1_005.0, 1) == 1


def test_a_requested_pause_is_not_caught_up_with() -> None:
    limiter = RateLimiter(replace(FAST, next_at=0.0))
    limiter.pause_for(1_000.0, 5.0)
    assert limiter.claim(1_005.0, 99) == 1


def test_the_wait_is_exactly_as_long_as_needed() -> None:
    limiter = RateLimiter(RateState.fixed(400))
    now = 1_000.0
    departures(limiter, [now])
    for _ in range(100):
        now += limiter.wait_seconds(now)
        assert limiter.claim(now, 8) == 1
        assert limiter.wait_seconds(now) > 0
    assert limiter.wait_seconds(now + 99) == 0


def test_nothing_is_taken_by_a_claim_for_nothing() -> None:
    limiter = RateLimiter(STEADY)
    assert [limiter.claim(NOW, at_most) for at_most in (0, -1, -99)] == [0, 0, 0]
    assert limiter.state == STEADY


def test_a_service_that_tells_its_limit_is_neither_overrun_nor_left_idle() -> None:
    limit, window, left, moments = 100, 0, 100, []
    limiter = RateLimiter(RateState.automatic())
    for now in polls(0.05, minutes=5):
        if int(now // 60) != window:
            window, left = int(now // 60), limit
        for _ in range(limiter.claim(now, 8)):
            left -= 1
            assert left >= 0
            moments.append(now)
            limiter.on_response(now, limit, left, 60 - now % 60)
    assert len(moments) >= 4 * limit


# A limit that is not stated --------------------------------------------------------------------

KINDS = [fixed_window, rolling_window, token_bucket]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("limit", "phase"), [(100, 5), (100, 55), (400, 30)])
def test_a_limit_is_found_in_a_minute_used_fully_and_hardly_ever_hit(
    kind: Any, limit: int, phase: int
) -> None:
    world = World(RateLimiter(RateState.automatic()), kind(limit, phase), seed=phase).run(5)
    # In a window that began before, the first minute has used up its share.
    assert world.share(limit, after=1 + phase / 60) >= 0.975
    # A bucket that is emptied lets through more than its limit for a while, and then refuses.
    assert world.throttled_share() <= (0.08 if kind is token_bucket else 0.01)
    assert world.limiter.limit == pytest.approx(limit, rel=0.07 * (kind is token_bucket))


@pytest.mark.parametrize("kind", [fixed_window, rolling_window])
def test_a_limit_that_is_passed_on_the_way_up_is_found_too(kind: Any) -> None:
    for limit in (250, 937):
        world = World(RateLimiter(RateState.automatic()), kind(limit, 30)).run(5)
        assert world.share(limit, after=2) >= 0.92
        assert world.throttled_share(after=2) <= 0.02


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", [100, 400])
def test_a_limit_that_is_remembered_is_used_from_the_first_second(kind: Any, limit: int) -> None:
    world = World(RateLimiter(RateState.automatic(limit)), kind(limit, 20)).run(3)
    assert world.share(limit, after=0) >= 0.985
    # Where any minute counts, latencies make one overfull now and then.
    assert world.throttled_share(after=0) <= (0.005 if kind is rolling_window else 0)


@pytest.mark.parametrize("kind", [fixed_window, rolling_window])
def test_a_limit_that_stays_is_tried_seldom_and_never_doubted(kind: Any) -> None:
    world = World(RateLimiter(RateState.automatic()), kind(100, 20)).run(30)
    assert world.share(100, after=2, minutes=28) >= 0.98
    assert world.throttled_share(after=2, minutes=28) <= 0.01
    assert world.limiter.limit == 100


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_that_was_raised_is_found(kind: Any) -> None:
    server_limit = switched(kind(80, 20), kind(200, 20), at_minute=3)
    world = World(RateLimiter(RateState.automatic(80)), server_limit).run(16)
    assert world.share(200, after=14, minutes=2) >= 0.9


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lowered", [40, 160])
def test_a_limit_that_was_lowered_is_followed_at_once(kind: Any, lowered: int) -> None:
    server_limit = switched(kind(400, 20), kind(lowered, 20), at_minute=3)
    world = World(RateLimiter(RateState.automatic(400)), server_limit).run(9)
    assert world.share(lowered, after=6, minutes=3) >= 0.92
    assert len(world.refused) <= 100


@pytest.mark.parametrize("kind", [fixed_window, rolling_window])
def test_what_another_user_returned_is_used_soon(kind: Any) -> None:
    fell = switched(kind(250, 20), kind(100, 20), at_minute=2)
    world = World(RateLimiter(RateState.automatic(250)), switched(fell, kind(250, 20), at_minute=5))
    assert world.run(10).share(250, after=8, minutes=2) >= 0.85


def test_what_an_earlier_process_used_is_not_taken_for_the_limit() -> None:
    server_limit = fixed_window(100, 40)
    assert all(server_limit(BEGINNING - 1) for _ in range(80))
    world = World(RateLimiter(RateState.automatic()), server_limit).run(5)
    assert world.share(100, after=1 + 40 / 60) >= 0.98
    assert world.limiter.limit == 100


def test_a_window_is_measured_by_when_it_opens_again() -> None:
    left = RecentTimes()
    for number in range(100):
        left.add(number * 0.15)
    # Shut until a minute after the first request arrived, 20 ms after it left.
    throttling = Throttling(at=15.0, shut_at=60.01, probed_at=65.0)
    range_ = window_range(left, 0.0, throttling)
    assert range_ is not None
    assert range_[0] <= 66 < 100 <= range_[1]
    assert nearest_round_number(*range_) == 100


@pytest.mark.parametrize(("workers", "latency"), [(1, 0.6), (8, 1.2), (4, 0.9)])
def test_where_the_workers_are_the_bottleneck_the_rate_does_not_run_away(
    workers: int, latency: float
) -> None:
    world = World(
        RateLimiter(RateState.automatic()), fixed_window(10_000, 5), workers, (latency, latency)
    )
    world.run(3)
    really = len(world.taken) / 3
    assert (world.limiter.state.per_minute or 0) <= max(SAFE_PER_MINUTE, 1.6 * really)
    assert world.limiter.limit is None


@pytest.mark.parametrize("seconds", [5.0, 10.0, 15.0])
@pytest.mark.parametrize("latency", [(0.4, 0.4), (0.05, 0.3)])
def test_a_minute_that_is_not_over_is_no_limit_to_hold_for_long(
    seconds: float, latency: tuple[float, float]
) -> None:
    windows = fixed_window(240, phase=0, seconds=seconds)
    world = World(RateLimiter(RateState.automatic()), windows, latency=latency).run(10)
    assert world.share(240, after=2, minutes=8) >= 0.9
    assert world.throttled_share(after=2, minutes=8) <= 0.05


def test_few_workers_find_a_limit_too() -> None:
    bucket = token_bucket(60, phase=0)
    limiter = RateLimiter(RateState.automatic())
    world = World(limiter, bucket, workers=2, latency=(1.2, 1.2)).run(10)
    assert world.throttled_share(after=4, minutes=6) <= 0.1
    assert limiter.limit == pytest.approx(60, rel=0.05)


def test_a_single_throttling_without_reason_is_not_taken_for_a_limit() -> None:
    server_limit = fixed_window(500, 0)
    world = World(
        RateLimiter(RateState.automatic()),
        lambda now: server_limit(now) and not 3 < now - 1_000 < 3.1,
    )
    assert world.run(4).refused
    assert world.share(500, after=2, minutes=2) >= 0.98


@pytest.mark.parametrize(
    ("kind", "chance", "share", "throttled"),
    [
        (fixed_window, 0.01, 0.95, 150),
        (rolling_window, 0.01, 0.95, 150),
        (token_bucket, 0.01, 0.95, 250),
        (token_bucket, 0.0, 0.985, 100),
        (second_window, 0.01, 0.9, 900),
        (second_window, 0.0, 0.9, 600),
    ],
)
def test_throttling_by_chance_is_not_taken_for_a_limit(
    kind: Any, chance: float, share: float, throttled: float
) -> None:
    played = play(kind, chance, seed=3, minutes=11)
    assert played.share >= share
    # Where seconds are counted, latencies alone fill one now and then at a higher rate.
    assert played.throttled <= throttled


@pytest.mark.parametrize("kind", KINDS)
def test_what_others_leave_of_a_limit_is_used(kind: Any) -> None:
    played = play(kind, 0.01, 4, "shared, changing", minutes=16)
    assert played.share >= 0.8
    assert played.throttled <= 650  # of some 16,000 requests


def test_a_rate_set_by_hand_is_kept_under_throttling_by_chance() -> None:
    limited = by_chance(fixed_window(1_000, 30), 0.01, seed=5)
    world = World(RateLimiter(RateState.fixed(400)), limited).run(5)
    assert world.share(400, after=1, minutes=4) >= 0.97


def test_a_rate_set_by_hand_is_slowed_where_more_than_chance_is_throttled() -> None:
    world = World(RateLimiter(RateState.fixed(400)), token_bucket(100, 5)).run(4)
    assert world.limiter.state.per_minute < 250  # type: ignore[operator]
    assert world.share(100) >= 0.9


# A hold at one a second for two minutes, throttled at these times.
UNTIL = 120.0


def held(*throttled: float) -> History:
    history = History()
    history.sent._moments.extend(range(int(UNTIL) + 1))
    history.throttled._moments.extend(throttled)
    return history


HELD = replace(RateState.automatic(60), began=0.0)


@pytest.mark.parametrize(
    ("throttled", "state", "limit"),
    [
        ([20, 60, 80, 119], HELD, 60),
        ([20, 60, 80, 100, 119], HELD, 60 * (1 - 4 / 104)),  # more than chance: a little lower
        ([20, 60, 80, 100, 119], replace(HELD, chance=0.01), 60),
        ([20, 60, 80, 100, 119], replace(HELD, since=30.0), 60),  # at this rate, only four
        (range(60, 120, 4), HELD, 60 * (1 - 14 / 74) * SHARE_OF_LIMIT),  # what is let through
        (range(60, 120, 4), replace(HELD, trial_step=2), 60),
        (range(60, 120, 4), replace(HELD, per_minute=90.0, trial_step=2), 90 * (1 - 14 / 74)),
        # A minute let through far more than the limit that the trial began at.
        (range(114, 120), replace(HELD, limit=6.0, per_minute=61.0, trial_step=16), 60),
        (range(60, 120, 4), replace(HELD, limit=None), 60 * (1 - 14 / 74) * SHARE_OF_LIMIT),
    ],
)
def test_single_throttled_answers_beyond_chance_lower_the_limit(
    throttled: Iterable[float], state: RateState, limit: float
) -> None:
    judged = judge_single(state, UNTIL, held(*throttled))
    assert judged.limit == (pytest.approx(limit) if state.limit or judged.limit else None)
    assert judged.trial_step == 0


@pytest.mark.parametrize(
    ("throttled", "above", "limit", "chance"),
    [
        ([20, 60, 119], HigherLimit(60, 4, 200), 60, 7 / 323),  # speed was not the cause
        ([20, 60, 119], HigherLimit(60, 4, 40), 60, LARGEST_CHANCE),
        ([20, 60], HigherLimit(60, 4, 50), 58, 0.0),  # it was
    ],
)
def test_a_lower_rate_shows_whether_speed_is_the_cause(
    throttled: list[float], above: HigherLimit, limit: float, chance: float
) -> None:
    state = replace(HELD, limit=58.0, above=above)
    compared = on_response(state, UNTIL, *NOTHING_TOLD, held(*throttled))
    assert (compared.limit, compared.above) == (limit, None)
    assert compared.chance == pytest.approx(chance)
    undecided = replace(state, above=HigherLimit(60, 9, 200))
    assert on_response(undecided, UNTIL, *NOTHING_TOLD, held(*throttled)) == undecided


def test_a_quiet_hold_ends_the_belief_in_chance() -> None:
    state = replace(HELD, chance=0.03, hold_seconds=UNTIL)
    assert on_response(state, UNTIL, *NOTHING_TOLD, held(60)).chance == pytest.approx(1 / 121)
    assert on_response(state, UNTIL, *NOTHING_TOLD, held(*range(9, 99, 10))).chance == 0.03


@pytest.mark.parametrize(
    ("shut_at", "late", "step", "limit", "hold"),
    [
        (119.0, 1.0, 1, 60, 600),  # throttled at once, or shut: a trial confirms the limit
        (120.0, 1.0, 3, 60, 600),
        (120.0, 10.0, 3, 60, 600),  # not 50, which is rounder
        (150.0, 1.0, 0, 30, 30),  # it was lowered
    ],
)
def test_a_pause_shows_the_limit(
    shut_at: float, late: float, step: int, limit: float, hold: float
) -> None:
    pause = Throttling(119.0, shut_at, probed_at=shut_at + late)
    state = replace(HELD, trial_step=step, throttling=pause)
    opened = on_response(state, shut_at + late, *NOTHING_TOLD, held())
    assert (opened.limit, opened.hold_seconds, opened.trial_step) == (limit, hold, 0)


@pytest.mark.parametrize("hold", [30.0, 600.0])
def test_a_limit_is_tried_when_its_hold_is_over(hold: float) -> None:
    history, state = held(), replace(HELD, hold_seconds=hold)
    history.sent._moments.extend(range(121, 601))
    steps = [on_response(state, at, *NOTHING_TOLD, history).trial_step for at in (hold - 0.1, hold)]
    assert steps == [0, 1]


def test_a_service_that_says_when_to_come_back_is_believed() -> None:
    limiter = RateLimiter(replace(RateState.automatic(), next_at=NOW))
    for _ in range(4):
        limiter.claim(NOW, 1)
    limiter.on_throttled(NOW, 40.0)
    assert departures(limiter, [NOW + 39.9, NOW + 40], at_most=8) == [NOW + 40]


@pytest.mark.parametrize("rate", [60.0, None])
def test_what_is_found_under_a_rate_set_by_hand_is_not_worth_remembering(
    rate: float | None,
) -> None:
    limiter = RateLimiter(RateState.fixed(rate) if rate else RateState.unlimited())
    assert World(limiter, rolling_window(30, 0)).run(3).refused
    assert limiter.limit is None


def test_a_remembered_limit_is_begun_with() -> None:
    assert RateState.automatic(250).per_minute == 250 * SHARE_OF_LIMIT
    assert RateState.automatic(1).limit == SLOWEST_PER_MINUTE
    assert RateLimiter(RateState.automatic(250)).limit == 250
    assert RateLimiter(RateState.automatic()).limit is None


@pytest.mark.parametrize("seed", range(30))
def test_any_answers_in_any_order_leave_a_valid_state(seed: int) -> None:
    dice = random.Random(seed)
    begin = dice.choice(
        [RateState.automatic(), RateState.automatic(7), RateState.fixed(100), RateState.unlimited()]
    )
    limiter, now = RateLimiter(begin), 0.0
    for _ in range(400):
        now += dice.choice([0.0, 0.1, 1.0, 5.0, 61.0, 4_000.0]) * dice.random()
        act = dice.randrange(5)
        if act == 0:
            limiter.on_throttled(now, dice.choice([None, 0.0, 1.0, 30.0, 90.0]))
        elif act == 1:
            limiter.on_response(now, *dice.choice([NOTHING_TOLD, (400, dice.randrange(99), 9.0)]))
        else:
            limiter.claim(now, dice.randrange(9))
        assert (limiter.limit or SLOWEST_PER_MINUTE) >= SLOWEST_PER_MINUTE
        assert 0 <= limiter.wait_seconds(now) <= 100 or begin.ceiling
        assert (limiter.state.per_minute or 0) <= (begin.ceiling or math.inf)


# Threads -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [60, 400, 6_000])
def test_threads_that_share_a_limiter_share_its_rate(rate: float, clock: Any) -> None:
    limiter = RateLimiter(RateState(per_minute=rate, next_at=clock.now()))

    def work(_: int) -> list[float]:
        moments = []
        while (now := clock.now()) < 1_060:
            moments += [now] * limiter.claim(now, 2)
            clock.sleep(0.011)
        return moments

    with ThreadPoolExecutor(8) as threads:
        moments = sorted(moment for some in threads.map(work, range(8)) for moment in some)
    assert 0.95 * rate <= len(moments) <= rate + 1 + rate * CATCH_UP_SECONDS / 60
    assert busiest(moments, 10) <= 1 + rate * (10 + CATCH_UP_SECONDS) / 60


def test_no_claim_is_counted_twice_or_lost_between_threads() -> None:
    limiter = RateLimiter(RateState(per_minute=60.0, next_at=0.0))
    # There is room for one at a time; the second thread must see that it is reserved.
    with ThreadPoolExecutor(8) as threads:
        claims = list(threads.map(lambda n: limiter.claim(1_000.0 + n // 80, 1), range(8 * 80)))
    assert sum(claims) == 8


@pytest.mark.parametrize(
    "tell",
    [
        lambda limiter: limiter.on_response(NOW, None, None, None),
        lambda limiter: limiter.on_throttled(NOW, None),
        lambda limiter: limiter.pause_for(NOW, 1.0),
        lambda limiter: limiter.claim(NOW, 1),
    ],
)
def test_nothing_is_lost_when_threads_report_at_once(
    tell: Callable[[RateLimiter], Any],
) -> None:
    together, alone = RateLimiter(STEADY), RateLimiter(STEADY)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: tell(together), range(500)))
    for _ in range(500):
        tell(alone)
    assert together.state == alone.state


# Back-offs ------------------------------------------------------------------------------------


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
