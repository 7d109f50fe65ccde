"""When a push looks for another sender: the schedule as a table, and looks until it is quiet."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from migrator.errors import ForeignSender
from migrator.push.looks import (
    MOST_LOOKS,
    SENDS_BEFORE_THE_FIRST_LOOK,
    LookSchedule,
    look_until_quiet,
)

SETTLE = 60.0


@dataclass
class Debts:
    """What a `Sender` keeps of the looks that it owes."""

    owes_looks: bool = False
    said: list[bool] = field(default_factory=list)

    def owe_looks(self, is_owed: bool) -> None:
        self.owes_looks = is_owed
        self.said.append(is_owed)


def looked(shown: Sequence[set[str]], debts: Debts) -> tuple[bool, list[set[str]], list[float]]:
    """Look at what each listing shows; (was there reason for more, noted, waits)."""
    listings: Iterator[set[str]] = iter(shown)
    noted: list[set[str]] = []
    waits: list[float] = []
    sender: Any = debts
    was_owed = look_until_quiet(
        lambda: next(listings), lambda leads: noted.append(set(leads)), waits.append, sender, SETTLE
    )
    return was_owed, noted, waits


def test_a_client_without_foreign_leads_is_listed_once() -> None:
    debts = Debts()
    assert looked([set()], debts) == (False, [], [])
    assert debts.said == []


def test_foreign_leads_are_noted_after_a_whole_wait_that_brought_no_new_one() -> None:
    debts = Debts()
    was_owed, noted, waits = looked([{"a"}, {"a", "b"}, {"a", "b"}], debts)
    assert was_owed
    assert noted == [{"a", "b"}]
    assert len(waits) == 2
    assert all(SETTLE <= one <= 2 * SETTLE for one in waits)
    assert debts.said == [True, False]  # owed before the first wait, so a kill changes nothing


def test_looks_that_were_owed_need_a_quiet_wait_although_nothing_is_shown() -> None:
    debts = Debts(owes_looks=True)
    was_owed, noted, waits = looked([set(), set()], debts)
    assert (was_owed, noted, len(waits)) == (True, [set()], 1)
    assert debts.said == [False]


def test_where_new_ones_keep_coming_another_sender_is_at_work() -> None:
    debts = Debts()
    shown = [set(map(str, range(number + 1))) for number in range(MOST_LOOKS + 1)]
    with pytest.raises(ForeignSender, match=r"1 new lead with .*, such as 3\."):
        looked(shown, debts)
    assert debts.owes_looks


def test_waits_are_random() -> None:
    waits = [looked([{"a"}, {"a"}], Debts())[2][0] for _ in range(20)]
    assert len(set(waits)) == 20


def schedule(*, was_owed: bool = False) -> LookSchedule:
    return LookSchedule(SETTLE, 1_000.0, was_owed=was_owed)


def test_the_first_sends_end_before_a_look() -> None:
    looks = schedule()
    assert looks.sends_left(1_000.0) == SENDS_BEFORE_THE_FIRST_LOOK
    looks.sent(15)
    assert looks.sends_left(1_001.0) == 5
    looks.looked(1_002.0)  # a listing for doubts: not all of the first were sent yet
    looks.sent(5)
    assert looks.sends_left(1_003.0) == 0
    looks.looked(1_004.0)
    assert looks.sends_left(1_005.0) == math.inf


def checked(**how: bool) -> LookSchedule:
    looks = schedule(**how)
    looks.sent(SENDS_BEFORE_THE_FIRST_LOOK)
    looks.looked(1_000.0)
    return looks


def test_a_sender_that_rested_for_longer_than_settle_looks_first() -> None:
    looks = checked()
    looks.sent(1)
    for second in range(1, 61):
        looks.turn(1_000.0 + second, is_sending=False)
    assert looks.sends_left(1_060.0) == math.inf
    looks.turn(1_061.0, is_sending=False)
    assert looks.sends_left(1_061.0) == 0
    looks.looked(1_062.0)
    assert looks.sends_left(1_063.0) == math.inf


def test_a_look_counts_until_the_rate_limit_lets_the_sends_leave() -> None:
    looks = checked()
    for second in range(1, 602):
        looks.turn(1_000.0 + second, is_sending=False)
        assert looks.sends_left(1_000.0 + second) == (math.inf if second <= 600 else 0)


def test_sends_in_flight_are_no_rest() -> None:
    looks = checked()
    for second in range(1, 200):
        looks.turn(1_000.0 + second, is_sending=True)
    assert looks.sends_left(1_200.0) == math.inf


def test_a_machine_that_slept_looks_first_although_sends_are_in_flight() -> None:
    looks = checked()
    looks.turn(1_061.0, is_sending=True)
    looks.turn(1_061.5, is_sending=True)
    assert looks.sends_left(1_061.5) == 0


@pytest.mark.parametrize(
    ("sends", "pages", "is_due"), [(50, 1, True), (49, 1, False), (5_000, 100, True)]
)
def test_after_ten_minutes_a_look_is_due_where_it_is_cheap(
    sends: int, pages: int, is_due: bool
) -> None:
    looks = schedule()
    looks.sent(sends)
    looks.looked(1_000.0)
    assert not looks.is_due(1_599.0, pages)
    assert looks.is_due(1_600.0, pages) is is_due


def test_short_pages_make_a_listing_of_what_was_sent_since_dear() -> None:
    looks = LookSchedule(SETTLE, 0.0, was_owed=False, is_checked=True, pages_a_send=1 / 25)
    looks.sent(1_000)
    assert not looks.is_cheap(1)  # 41 requests by now, and a fiftieth of the sends is 20
    looks.looked(10.0)
    assert looks.is_cheap(20)  # as the last listing took
    wide = LookSchedule(SETTLE, 0.0, was_owed=False, is_checked=True, pages_a_send=1 / 1_000)
    wide.sent(1_000)
    assert wide.is_cheap(1)


def test_after_looks_that_were_owed_some_more_follow_whatever_they_cost() -> None:
    looks = checked(was_owed=True)
    due = []
    for second in range(500):
        if looks.is_due(1_000.0 + second, pages=10_000):
            due.append(second)
            looks.looked(1_000.0 + second)
    assert due == [60, 120, 240, 480]


EMAILS = [f"{number}@x.example" for number in range(SENDS_BEFORE_THE_FIRST_LOOK)]
NEXT = [f"next{number}@x.example" for number in range(20)]


@pytest.mark.parametrize(
    ("pages", "asked"),
    [(SENDS_BEFORE_THE_FIRST_LOOK, []), (SENDS_BEFORE_THE_FIRST_LOOK + 1, EMAILS)],
)
def test_the_first_sends_are_searched_for_where_a_listing_takes_more_requests(
    pages: int, asked: list[str]
) -> None:
    looks = schedule()
    looks.sent(SENDS_BEFORE_THE_FIRST_LOOK)
    assert looks.emails_to_find(1_001.0, pages, 1, EMAILS, NEXT) == asked
    looks.looked(1_002.0, is_listing=False)
    assert looks.sends_left(1_003.0) == math.inf


@pytest.mark.parametrize(
    ("pages", "left", "asked"),
    [(30, 599, [EMAILS[-1], *NEXT]), (30, 600, []), (21, 20, []), (22, 20, [EMAILS[-1], *NEXT])],
)
def test_after_a_rest_the_next_ones_are_searched_for_where_a_listing_takes_too_many_requests(
    pages: int, left: int, asked: list[str]
) -> None:
    looks = checked()
    looks.sent(1)
    looks.turn(1_061.0, is_sending=False)
    assert looks.emails_to_find(1_061.0, pages, left, EMAILS, NEXT) == asked


def test_nothing_is_searched_for_before_a_send_that_could_prove_that_find_lead_works() -> None:
    looks = schedule()
    looks.turn(1_061.0, is_sending=False)
    assert looks.emails_to_find(1_061.0, 100, 100, [], NEXT) == []


def test_a_search_is_no_look_of_those_that_follow_looks_that_were_owed() -> None:
    looks = checked(was_owed=True)
    looks.looked(1_061.0, is_listing=False)
    assert looks.is_due(1_061.0, pages=1)
