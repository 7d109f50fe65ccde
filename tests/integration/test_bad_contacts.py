"""
Bad contacts stop nobody, wherever they stand and however many they are; the service's faults are
nobody's.

The real verbs in a world with a clock of its own (`simulation`): what takes hours there takes
a moment here.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.judge import contact_of, posts, reading
from migrator.counters import PushCounters
from migrator.errors import NotReady, ServiceBusy, StoppedEarly
from migrator.ledger import MAX_ATTEMPTS
from migrator.push.breaker import MOST_SAMPLES, SAME_REFUSALS
from migrator.states import Hold
from tests.support.simulation import SETTLE, Habits, World, world

# What a bad contact can be answered with, each time.
ANSWERS = {
    "4": "refuse",
    "3": "forbidden",
    "n": "not_found",
    "9": "conflict",
    "5": "error_without_saving",
    "t": "hang_before_saving",
}
GOOD = "g"
AWAY = 600.0  # longer than a push waits without patience, and than its back-offs grow
WINDOW = 310.0  # longer than a push waits without patience
# So many that they could be taken for the account's refusal of everybody.
MANY = SAME_REFUSALS + 5


@contextmanager
def portal(contacts: str, **habits: Any) -> Iterator[World]:
    """A world whose contacts are good or bad, in this order; they are staged."""
    with world(Habits(contacts=1, **habits)) as one:
        for kind, answer in ANSWERS.items():
            one.sandbox.fault(answer, 10**6, where=partial(is_of, kind))
        add(one, contacts)
        yield one


def add(one: World, contacts: str) -> None:
    number = sum(1 for _ in one.sandbox.expected())
    for place, kind in enumerate(contacts, number):
        email = f"{kind}{place}@x.example"
        one.sandbox.add_contact({"firstname": "Ada", "lastname": "No", "email": email})
    one.stage()


def is_of(kind: str, lead: dict[str, str]) -> bool:
    return lead["email"].startswith(kind) and lead["email"].endswith("@x.example")


def good_ones_sent(one: World) -> int:
    return sum(is_of(GOOD, lead) for lead in one.sandbox.held)


def sends_of_each(one: World) -> Counter[str]:
    return Counter(contact_of(sent.lead) for sent in posts(one.sandbox))


def ask(one: World, sql: str) -> list[tuple[Any, ...]]:
    with reading(one.ledger) as ledger:
        return ledger.execute(sql).fetchall()


def held(one: World) -> Counter[str]:
    rows = ask(one, "SELECT held, count(*) FROM contact WHERE held IS NOT NULL GROUP BY 1")
    return Counter(dict(rows))


def push_to_the_end(one: World, most: int) -> tuple[PushCounters, int]:
    """Push until one ends by itself, as a script does while it is told that there is more."""
    for number in range(1, most + 1):
        done = one.push()
        if isinstance(done, PushCounters):
            return done, number
        assert isinstance(done, StoppedEarly), done
    raise AssertionError(f"{most} pushes, and no end")


PLAY = settings(
    max_examples=5,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
# No more than could be taken for the account's refusal of everybody.
MIXTURE = st.lists(st.sampled_from([GOOD, GOOD, *ANSWERS]), min_size=1, max_size=30).map("".join)
CLUSTERS = st.lists(
    st.tuples(st.sampled_from([GOOD, *ANSWERS]), st.integers(1, 12)), min_size=1, max_size=4
).map(lambda parts: "".join(kind * times for kind, times in parts)[:30])
HOW = {
    "workers": st.integers(1, 8),
    "canary": st.sampled_from([0, 2, 5]),
    "max_in_doubt": st.sampled_from([50, 4]),
}


@PLAY
@given(contacts=MIXTURE | CLUSTERS, luck=st.integers(0, 9), **HOW)
def test_all_good_ones_are_sent_by_the_first_push_and_the_bad_ones_held(
    contacts: str, luck: int, workers: int, canary: int, max_in_doubt: int
) -> None:
    # The sandbox's own first contact is a good one, so that a lead is taken.
    habits = {"workers": workers, "canary": canary, "max_in_doubt": max_in_doubt}
    with portal(contacts, **habits) as one:
        done = one.push(luck)
        assert isinstance(done, PushCounters), done
        assert good_ones_sent(one) == contacts.count(GOOD)
        bad = len(contacts) - contacts.count(GOOD)
        assert done.left_for_a_person == bad == held(one).total()
        assert max(sends_of_each(one).values()) <= MAX_ATTEMPTS


@PLAY
@given(contacts=CLUSTERS, luck=st.integers(0, 9), **HOW)
def test_bad_ones_that_come_later_and_alone_are_held_within_three_pushes(
    contacts: str, luck: int, workers: int, canary: int, max_in_doubt: int
) -> None:
    contacts = contacts.replace(GOOD, "")
    habits = {"workers": workers, "canary": canary, "max_in_doubt": max_in_doubt}
    with portal("", **habits) as one:
        assert isinstance(one.push(luck), PushCounters)
        add(one, contacts)
        _, pushes = push_to_the_end(one, most=3)
        assert pushes <= 3
        assert held(one).total() == len(contacts)
        assert max(sends_of_each(one).values()) <= MAX_ATTEMPTS


@pytest.mark.parametrize(
    ("kind", "bad"),
    [("3", MANY), ("n", MANY), ("9", MANY), ("t", MANY), ("5", MOST_SAMPLES + 5)],
)
def test_many_bad_ones_in_a_row_keep_nobody_behind_them(kind: str, bad: int) -> None:
    with portal(kind * bad + GOOD * 9, workers=8) as one:
        first = one.push()
        assert good_ones_sent(one) == 9
        if not isinstance(first, PushCounters):
            push_to_the_end(one, most=2 + bad // MOST_SAMPLES)
        assert held(one).total() == bad


def test_each_further_hundred_bad_ones_cost_a_further_push() -> None:
    with portal("", workers=8) as one:
        one.push()
        add(one, "5" * 150)
        assert push_to_the_end(one, most=4)[1] == 4
        assert held(one) == {"gave_up": 150}


# The service's fault


@pytest.mark.parametrize("kind", "3n95t")
def test_where_nothing_was_ever_taken_nobody_is_held(kind: str) -> None:
    # Only an answer in words can be taken for a refusal of everybody, which takes many of them.
    number = MANY if kind in "3n9" else 12
    with portal(kind * number, workers=4) as one:
        one.sandbox.fault(ANSWERS[kind], 10**6)
        for _ in range(6):
            assert isinstance(one.push(), (StoppedEarly, NotReady))
        assert held(one) == {}
        one.sandbox.calm()
        assert isinstance(one.push(), PushCounters)
        assert len(one.sandbox.held) == number + 1


def test_no_push_sends_more_than_a_hundred_to_find_out() -> None:
    with portal(GOOD * (MOST_SAMPLES + 20), workers=8) as one:
        one.sandbox.fault("error_without_saving", 10**6)
        for _ in range(3):
            before = len(posts(one.sandbox))
            assert isinstance(one.push(), StoppedEarly)
            assert len(posts(one.sandbox)) - before <= MOST_SAMPLES + 8
        # It begins with those that were tried least.
        assert min(sends_of_each(one).values()) >= 1
        assert held(one) == {}


@pytest.mark.parametrize("outage", [0.0, 2 * AWAY])
def test_while_the_service_is_down_no_attempt_is_burnt(outage: float) -> None:
    with portal(GOOD * 40, workers=4, outage=outage) as one:

        def go_down() -> None:
            one.sandbox.outage("/api", 503)
            if outage:
                one.crew.at(one.crew.now + AWAY, one.sandbox.calm)

        one.when("received", 12, go_down)
        done = one.push()
        down = [sent for sent in posts(one.sandbox) if sent.fault == "outage"]
        assert len(down) <= 2 * 4
        assert ask(one, "SELECT sum(counts) FROM attempt") == [(0,)]
        one.sandbox.calm()
        if not outage:
            assert isinstance(done, StoppedEarly)
            done = one.push()
        assert isinstance(done, PushCounters)
        assert (good_ones_sent(one), held(one)) == (40, {})


@pytest.mark.parametrize("outage", [0.0, 2 * AWAY])
def test_an_outage_of_seconds_burns_no_attempt(outage: float) -> None:
    with portal(GOOD * 40, workers=4, outage=outage) as one:

        def go_down() -> None:
            one.sandbox.outage("/api", 503)
            one.crew.at(one.crew.now + 1.0, one.sandbox.calm)

        one.when("received", 12, go_down)
        assert isinstance(one.push(), PushCounters)
        assert any(sent.fault == "outage" for sent in posts(one.sandbox))
        assert ask(one, "SELECT sum(counts) FROM attempt") == [(0,)]
        assert (good_ones_sent(one), held(one)) == (40, {})


def test_an_outage_that_only_a_listing_met_burns_no_attempt() -> None:
    with portal(GOOD * 10, workers=4, outage=2 * AWAY, max_in_doubt=4) as one:
        one.push()
        add(one, GOOD * 40)
        one.sandbox.fault("hang_before_saving", 1)
        one.sandbox.fault("error_without_saving", 1)
        before = len(posts(one.sandbox))

        def go_down() -> None:
            if len(posts(one.sandbox)) < before + 2:
                one.when("page", 1, go_down)
                return
            one.sandbox.outage("/api", 503)
            one.crew.at(one.crew.now + AWAY, one.sandbox.calm)

        one.when("page", 1, go_down)
        assert isinstance(one.push(per_minute=60), PushCounters)
        down = [sent for sent in posts(one.sandbox) if sent.fault == "outage"]
        assert down
        assert ask(one, "SELECT sum(counts) FROM attempt WHERE status = 503") == [(0,)]
        assert good_ones_sent(one) == 50


def test_who_was_given_up_while_nothing_was_taken_is_sent_after_the_next_lead() -> None:
    with portal("", workers=4) as one:
        one.push()
        one.sandbox.fault("error_without_saving", 10**6)
        add(one, GOOD * 6)
        push_to_the_end(one, most=3)
        assert held(one) == {Hold.GAVE_UP: 6}
        one.sandbox.calm()
        add(one, GOOD)
        done = one.push()
        assert isinstance(done, PushCounters)
        assert (good_ones_sent(one), done.left_for_a_person, held(one)) == (7, 0, {})


@pytest.mark.parametrize("dies_first", [False, True])
def test_what_is_in_doubt_belongs_to_the_canary(dies_first: bool) -> None:
    with portal(GOOD * 30, workers=8, canary=5) as one:
        one.sandbox.fault("hang_after_saving", 20)
        before_the_read_back = []

        def watch() -> None:
            if ask(one, "SELECT canary_ms FROM ledger") == [(None,)]:
                before_the_read_back.append(len(one.sandbox.held))
            one.when("received", 1, watch)

        if dies_first:
            one.when("received", 4, one.die)
            assert one.push() is None
        watch()
        assert isinstance(one.push(), PushCounters)
        assert max(before_the_read_back) == 5
        assert good_ones_sent(one) == 30


def test_an_attempt_whose_process_died_does_not_count() -> None:
    with portal("", workers=1) as one:
        one.push()
        add(one, "5")
        for _ in range(MAX_ATTEMPTS + 1):
            one.when("received", 1, one.die)
            assert one.push() is None
        assert ask(one, "SELECT sum(counts) FROM attempt") == [(0,)]
        assert held(one) == {}
        push_to_the_end(one, most=3)
        assert held(one) == {Hold.GAVE_UP: 1}
        assert max(sends_of_each(one).values()) == MAX_ATTEMPTS + 1 + MAX_ATTEMPTS


def test_who_alone_is_declined_with_401_is_held_after_five_and_costs_one_login() -> None:
    with portal(GOOD * 30, workers=4) as one:
        bad = "g5@x.example"
        one.sandbox.fault("expire_token", 10**6, where=lambda lead: lead["email"] == bad)
        done = one.push()
        assert isinstance(done, PushCounters), done
        assert (good_ones_sent(one), held(one).total()) == (29, 1)
        # The first attempt goes again with the new token, under the same intent.
        assert max(sends_of_each(one).values()) == MAX_ATTEMPTS + 1
        assert sum(sent.path == "/api/auth" for sent in one.sandbox.received) == 2


def test_no_contact_is_sent_again_sooner_than_settle_after_whatever_answer() -> None:
    with portal("3n9" + GOOD * 20, workers=4) as one:
        one.push()
        at: dict[str, list[float]] = {}
        for sent in posts(one.sandbox):
            at.setdefault(contact_of(sent.lead), []).append(sent.at)
        again = [second - first for ones in at.values() for first, second in pairwise(ones)]
        assert len(again) == 3 * (MAX_ATTEMPTS - 1)
        assert min(again) >= SETTLE


# Waiting


def test_a_push_goes_through_several_long_windows_by_itself() -> None:
    with portal(GOOD * 60, workers=4, outage=5 * WINDOW) as one:
        began = one.crew.now
        limit_to(one, 40)
        assert isinstance(one.push(), PushCounters)
        assert good_ones_sent(one) == 60
        assert 2 * WINDOW < one.crew.now - began < 5 * WINDOW


def limit_to(one: World, requests: int) -> None:
    one.sandbox.change_rate_limit(requests, window_seconds=WINDOW, headers=False, retry_after=True)


def test_without_patience_it_ends_and_says_until_when() -> None:
    with portal(GOOD * 60, workers=4) as one:
        limit_to(one, 25)
        done = one.push()
        assert isinstance(done, ServiceBusy)
        assert "until" in done.message
        assert held(one) == {}


def test_a_push_that_has_nothing_to_do_asks_and_waits_for_nothing() -> None:
    with portal(GOOD * 3, workers=2) as one:
        one.push()
        add(one, "")
        before, began = requests_to_leads(one), one.crew.now
        assert isinstance(one.push(), PushCounters)
        assert requests_to_leads(one) == before
        assert one.crew.now - began < SETTLE


def requests_to_leads(one: World) -> int:
    return sum(sent.path == "/api/leads" for sent in one.sandbox.received)


def test_what_a_429_asks_is_not_waited_for_once_all_is_sent() -> None:
    with portal(GOOD * 20, workers=4) as one:
        wait = {"Retry-After": "100"}
        one.when("received", 21, lambda: one.sandbox.outage("/api/clients", 429, headers=wait))
        assert isinstance(one.push(), PushCounters)
        assert one.sandbox.received[-1].path == "/api/clients"
        assert one.true_time() - posts(one.sandbox)[-1].at < SETTLE
