"""A doubt is settled by looking: when a look counts, and what it must show."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator import doubts
from migrator.doubts import (
    LeadsFound,
    ListingComplete,
    ListingFailed,
    ListingMatcher,
    OpenDoubts,
    identity_of,
)
from migrator.errors import ServiceDown
from migrator.hold_details import HoldDetail
from migrator.leadgenius import LeadPage
from migrator.ledger import AttemptResult, Doubt, LeadIdentity
from migrator.states import Outcome, WriteKind

SETTLE = 60.0
PORTAL = "42"
NONE = frozenset[int]()
ADA = Doubt(1, "101", "ada@example.com", None)
BOB = Doubt(2, "102", "bob@example.com", None)
# Another lead with her e-mail was there before us.
EVE = Doubt(3, "103", "eve@example.com", "old-eve")


def lead(lead_id: str, email: object = None, *records: str) -> dict[str, Any]:
    """A lead whose notes carry these lines, `<portal>/<contact>`."""
    lines = ["Met at a fair", *(f"[HubSpot record: {record}]" for record in records)]
    return {"id": lead_id, "email": email, "notes": "\n".join(lines)}


def open_doubts(*pairs: tuple[Doubt, float], enough: int = 25) -> OpenDoubts:
    made = OpenDoubts(SETTLE, enough)
    for doubt, over_at in pairs:
        made.add(doubt, over_at)
    return made


def look(
    matcher: ListingMatcher,
    *pages: Iterable[Mapping[str, Any]],
    odd: Sequence[Any] = (),
    fails: BaseException | None = None,
) -> list[Any]:
    """What a listing of these pages reports; odd rows come first, and it may fail after them."""
    reports: list[Any] = []

    def listing() -> Iterator[LeadPage]:
        if odd:
            yield LeadPage([], None, odd)
        for page in pages:
            yield LeadPage(list(page), None)
        if fails is not None:
            raise fails

    matcher.look(listing, reports.append)
    return reports


def lookout_at(kept: OpenDoubts, now: float) -> ListingMatcher:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doubts, "time", SimpleNamespace(monotonic=lambda: now))
        return kept.matcher(PORTAL)


def owner(matcher: ListingMatcher, shown: Mapping[str, Any]) -> int | None:
    """Whose a lead is to a listing that shows nothing else."""
    keys = [
        key for one in look(matcher, [shown]) if isinstance(one, LeadsFound) for key, _ in one.leads
    ]
    assert len(keys) <= 1
    return keys[0] if keys else None


@pytest.fixture
def tick(clock: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let the clock of `settle` go on; it stands still otherwise."""
    monkeypatch.setattr(doubts, "time", SimpleNamespace(monotonic=clock.now))
    return lambda seconds: clock.sleep(seconds)


# When a look counts --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "ripe"),
    [(0.0, []), (100.0, []), (159.999, []), (160.0, [1]), (170.0, [1, 2]), (9_999.0, [1, 2])],
)
def test_a_doubt_is_ripe_only_after_settling(at: float, ripe: list[int]) -> None:
    assert open_doubts((ADA, 100.0), (BOB, 110.0)).ripe(at) == ripe


def test_a_second_doubt_of_a_contact_settles_from_its_own_end() -> None:
    twice = open_doubts((ADA, 100.0))
    twice.remove(ADA.key)
    twice.add(ADA, 150.0)
    assert twice.ripe(160.0) == []
    assert twice.ripe(210.0) == [ADA.key]


def test_what_is_settled_is_no_doubt_any_more() -> None:
    both = open_doubts((ADA, 100.0), (BOB, 100.0))
    assert both.remove(ADA.key) is True
    assert both.remove(ADA.key) is False
    assert len(both) == 1
    assert both.ripe(9_999.0) == [BOB.key]


def test_a_listing_counts_from_before_its_beginning(tick: Callable[[float], None]) -> None:
    reports: list[Any] = []

    def slow() -> Iterator[LeadPage]:
        for _ in range(3):
            tick(100.0)
            yield LeadPage([], None)

    kept = open_doubts((ADA, 990.0))
    kept.matcher(PORTAL).look(slow, reports.append)
    assert reports == [ListingComplete(began_at=1_000.0, looked_for=frozenset({ADA.key}))]
    assert kept.ripe(reports[0].began_at) == []


def test_what_a_listing_could_not_settle_is_worth_no_other_one_and_looked_for_in_it() -> None:
    kept = open_doubts((ADA, 100.0), (BOB, 150.0))
    (complete,) = look(lookout_at(kept, 160.0), [], odd=[None])
    assert (complete.looked_for, complete.maybe_nameless) == (frozenset(), {ADA.key, BOB.key})
    assert kept.settle(complete) == []
    assert (len(kept), kept.unsettled) == (1, 1)
    assert kept.is_worth_a_listing(210.0, is_pressing=True)
    assert ADA.key in kept.matcher(PORTAL)._keys()
    kept.remove(BOB.key)
    assert not kept.is_worth_a_listing(210.0, is_pressing=True)
    assert kept.wait_seconds(0.0) is None
    assert kept.remove(ADA.key) and kept.unsettled == 0


def test_a_nameless_row_leaves_a_doubt_of_an_earlier_process_to_a_person() -> None:
    kept = open_doubts((ADA, 100.0))
    kept.add(BOB, 100.0, is_inherited=True)
    assert [kept.is_inherited(one.key) for one in (ADA, BOB)] == [False, True]
    (complete,) = look(lookout_at(kept, 160.0), [], odd=[None])
    assert kept.settle(complete) == [
        AttemptResult(BOB.key, Outcome.ABSENT, detail=HoldDetail.NAMELESS.of())
    ]
    assert (len(kept), kept.unsettled) == (0, 1)


def test_a_doubt_of_an_earlier_process_that_is_absent_is_sent_again_by_this_one() -> None:
    kept = open_doubts()
    kept.add(ADA, 100.0, is_inherited=True)
    (complete,) = look(lookout_at(kept, 160.0))
    assert kept.settle(complete) == [AttemptResult(ADA.key, Outcome.ABSENT)]
    assert not kept.is_inherited(ADA.key)


STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 3)),
    st.tuples(st.just("remove"), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.integers(0, 90)),
    st.tuples(st.just("begin"), st.just(0)),
    st.tuples(st.just("end"), st.just(0)),
)


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(st.lists(STEPS, max_size=40))
def test_no_order_of_things_settles_a_doubt_before_its_time(steps: list[tuple[str, int]]) -> None:
    now, begun, over_at = 0, None, dict[int, int]()
    kept = OpenDoubts(SETTLE, 2)
    for step, value in steps:
        if step == "wait":
            now += value
        elif step == "add":
            kept.add(Doubt(value, str(value), f"{value}@example.com", None), now)
            over_at[value] = now
        elif step == "remove":
            assert kept.remove(value) is (over_at.pop(value, None) is not None)
        elif step == "begin":
            begun = now, set(over_at), lookout_at(kept, now)
        elif begun is not None:
            (end,) = look(begun[2])
            absent = frozenset(
                key
                for key, over in over_at.items()
                if key in begun[1] and over + SETTLE <= begun[0]
            )
            assert kept.settle(end) == [
                AttemptResult(key, Outcome.ABSENT) for key in sorted(absent)
            ]
            over_at = {key: over for key, over in over_at.items() if key not in absent}
        assert len(kept) == len(over_at)
        if kept.is_worth_a_listing(now, is_pressing=True):
            assert kept.ripe(now)


@pytest.mark.parametrize(
    ("over_at", "enough", "is_pressing", "is_worth"),
    [
        ([], 1, True, False),
        ([100.0], 1, False, True),
        ([100.1], 1, True, False),
        ([100.0], 2, False, False),
        ([100.0], 2, True, True),
        ([100.0, 100.0], 2, False, True),
        ([100.0, 100.1], 2, False, False),
        ([100.0, 100.1], 2, True, False),
        ([100.0, 100.1], 1, False, True),
        ([100.0, 100.0, 100.1], 2, True, True),
    ],
)
def test_a_listing_waits_for_as_many_as_it_can(
    over_at: list[float], enough: int, is_pressing: bool, is_worth: bool
) -> None:
    kept = OpenDoubts(SETTLE, enough)
    for key, over in enumerate(over_at):
        kept.add(Doubt(key, str(key), f"{key}@example.com", None), over)
    assert kept.is_worth_a_listing(160.0, is_pressing=is_pressing) is is_worth


@pytest.mark.parametrize(
    ("over_at", "now", "seconds"),
    [
        ([], 0.0, None),
        ([100.0], 100.0, 60.0),
        ([100.0, 130.0], 150.0, 40.0),
        ([130.0, 100.0], 150.0, 40.0),
        ([100.0], 160.0, 0.0),
        ([100.0], 999.0, 0.0),
    ],
)
def test_the_wait_is_for_the_last_of_them(
    over_at: list[float], now: float, seconds: float | None
) -> None:
    kept = OpenDoubts(SETTLE, 1)
    for key, over in enumerate(over_at):
        kept.add(Doubt(key, str(key), f"{key}@example.com", None), over)
    assert kept.wait_seconds(now) == seconds


def test_a_clock_that_waits_as_told_finds_all_of_them_ripe() -> None:
    kept = open_doubts((ADA, 100.3), (BOB, 107.7))
    wait = kept.wait_seconds(110.1)
    assert wait is not None
    assert kept.is_worth_a_listing(110.1 + wait, is_pressing=True)


# What it must show ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "whose"),
    [
        (lead("new", "ada@example.com", "42/101"), ADA.key),
        (lead("new", "other@example.com", "42/101"), ADA.key),
        (lead("new", None, "42/101"), ADA.key),
        (lead("new", "ada@example.com"), ADA.key),
        (lead("new", "  ADA@Example.COM "), ADA.key),
        # Its line counts before its e-mail.
        (lead("new", "bob@example.com", "42/101"), ADA.key),
        (lead("new", "ada@example.com", "42/102"), BOB.key),
        (lead("new", None, "42/999", "42/101"), ADA.key),
        # One that names another contact of ours is nobody else's.
        (lead("new", "ada@example.com", "42/999"), None),
        # A line of another portal is no line.
        (lead("new", None, "43/101"), None),
        # A line of another portal says whose it is, and an e-mail no more.
        (lead("new", "bob@example.com", "43/101"), None),
        # Where there is a namesake only the line tells: there may be more than one of them.
        (lead("old-eve", "eve@example.com"), None),
        (lead("older-eve", "eve@example.com"), None),
        (lead("new", "eve@example.com", "42/103"), EVE.key),
        (lead("old-eve", "eve@example.com", "42/103"), EVE.key),
        (lead("new", "ivy@example.com", "42/999"), None),
        (lead("new", ""), None),
        (lead("new", 101), None),
        ({"id": "new"}, None),
        ({"id": "new", "notes": None, "email": None}, None),
        ({"id": "new", "notes": "not [HubSpot record: 42/101]"}, None),
        ({"id": 7, "notes": ["[HubSpot record: 42/101]"], "email": "ada@example.com"}, ADA.key),
    ],
)
def test_a_lead_is_known_by_its_line_or_else_by_its_email(
    shown: dict[str, Any], whose: int | None
) -> None:
    assert owner(ListingMatcher([ADA, BOB, EVE], PORTAL), shown) == whose


def test_a_lead_of_a_page_is_described_by_what_identifies_it() -> None:
    shown = lead("new", " Ada@Example.com ", "42/101", "43/7", "42/102")
    wanted = LeadIdentity("new", frozenset({"101", "102"}), "ada@example.com", names_others=True)
    assert identity_of(shown, PORTAL) == wanted
    bare = LeadIdentity("7", frozenset(), None, shows_notes=False)
    assert identity_of({"id": 7, "email": []}, PORTAL) == bare
    marked = identity_of({"id": 7, "notes": None, "status": "duplicate"}, PORTAL)
    assert marked == LeadIdentity("7", frozenset(), None, is_removed=True)


def test_a_listing_reports_each_page_that_shows_something_and_its_end() -> None:
    matcher = ListingMatcher([ADA, BOB], PORTAL)
    pages = [
        [lead("x", "ivy@example.com"), lead("a", None, "42/101")],
        [],
        [lead("y")],
        [lead("b", "bob@example.com")],
    ]
    *seen, end = look(matcher, *pages)
    assert seen == [LeadsFound(((ADA.key, "a"),)), LeadsFound(((BOB.key, "b"),))]
    assert isinstance(end, ListingComplete)


def test_a_listing_of_nothing_is_complete() -> None:
    (end,) = look(ListingMatcher([ADA], PORTAL))
    assert isinstance(end, ListingComplete)


@pytest.mark.parametrize(
    "error", [ServiceDown("Down.", "later"), ValueError(), KeyboardInterrupt(), SystemExit(1)]
)
def test_a_listing_that_fails_never_says_that_it_was_complete(error: BaseException) -> None:
    matcher = ListingMatcher([ADA, BOB], PORTAL)
    reports = look(matcher, [lead("a", None, "42/101")], fails=error)
    assert reports == [LeadsFound(((ADA.key, "a"),)), ListingFailed(error)]


def test_a_page_that_cannot_be_read_is_a_failure() -> None:
    *seen, end = look(ListingMatcher([ADA], PORTAL), [{"email": "ada@example.com"}])
    assert seen == []
    assert isinstance(end, ListingFailed)


def test_a_listing_looks_for_those_that_were_in_doubt_when_it_began() -> None:
    kept = open_doubts((ADA, 100.0))
    matcher = kept.matcher(PORTAL)
    kept.add(BOB, 100.0)
    kept.remove(ADA.key)
    assert owner(matcher, lead("a", None, "42/101")) == ADA.key
    assert owner(matcher, lead("b", None, "42/102")) is None


def test_a_listing_settles_only_those_it_looked_for(
    clock: Any, tick: Callable[[float], None]
) -> None:
    kept = open_doubts((ADA, clock.now() - SETTLE))
    matcher = kept.matcher(PORTAL)
    kept.add(BOB, clock.now() - SETTLE)
    tick(SETTLE)
    (end,) = look(matcher)
    assert (end.looked_for, end.began_at) == ({ADA.key}, 1_000.0)


NOTES_OF_OTHERS = {"notes": "Met at a fair"}
UNREADABLE: list[Any] = [
    None,
    7,
    "x",
    [],
    {},
    {"id": ""},
    {"id": "", "email": " "},
    {"notes": None, "email": 7},
]


@pytest.mark.parametrize(
    ("row", "unsure"),
    [
        (lead("", None, "42/101"), {ADA.key}),
        (lead("", " ADA@example.com "), {ADA.key}),
        (lead("", "bob@example.com", "42/101"), {ADA.key}),
        ({"email": "bob@example.com"}, {BOB.key}),
        # Others had her e-mail before us: only the line tells.
        (lead("", "eve@example.com"), set()),
        (lead("", "eve@example.com", "42/103"), {EVE.key}),
        (lead("", "ivy@example.com"), set()),
        ({"email": "ivy@example.com"}, set()),
        (NOTES_OF_OTHERS, set()),
        *((row, {ADA.key, BOB.key, EVE.key}) for row in UNREADABLE),
    ],
    ids=repr,
)
def test_a_row_without_an_id_makes_nobody_absent_whose_lead_it_may_be(
    row: Any, unsure: set[int]
) -> None:
    (end,) = look(ListingMatcher([ADA, BOB, EVE], PORTAL), odd=[row])
    assert end.unsure | end.maybe_nameless == unsure
    assert not end.unsure or row not in UNREADABLE
    assert end.looked_for == {ADA.key, BOB.key, EVE.key} - unsure


def test_a_lead_that_is_shown_with_its_id_as_well_is_found() -> None:
    seen, end = look(ListingMatcher([ADA], PORTAL), [lead("a", None, "42/101")], odd=[None])
    assert seen == LeadsFound(((ADA.key, "a"),))
    assert end.looked_for == set()


def removed(shown: dict[str, Any]) -> dict[str, Any]:
    return {**shown, "status": "to_be_deleted", "deletedAt": "2026-01-05T10:00:00Z"}


def test_a_lead_that_was_deleted_at_once_proves_that_its_send_arrived() -> None:
    matcher = ListingMatcher([ADA], PORTAL)
    assert owner(matcher, removed(lead("a", "ada@example.com", "42/101"))) == ADA.key
    # Its e-mail alone proves nothing: that lead may have been deleted long ago.
    assert owner(matcher, removed(lead("a", "ada@example.com"))) is None


def test_a_lead_that_was_deleted_before_the_send_proves_nothing_of_it() -> None:
    again = replace(ADA, former=frozenset({"old"}))
    matcher = ListingMatcher([again], PORTAL)
    assert owner(matcher, removed(lead("old", None, "42/101"))) is None
    assert owner(matcher, removed(lead("new", None, "42/101"))) == ADA.key
    # Restored over there, it is the contact's again.
    assert owner(matcher, lead("old", None, "42/101")) == ADA.key
    # Whatever people made of it meanwhile.
    assert owner(matcher, lead("old", "new@corp.example")) == ADA.key


@pytest.mark.parametrize(
    ("pages", "found"),
    [
        ([[removed(lead("a", None, "42/101"))], [lead("b", None, "42/101")]], ["b", "a"]),
        ([[removed(lead("a", None, "42/101"))], [lead("b", "ada@example.com")]], ["a"]),
    ],
)
def test_a_deleted_lead_counts_behind_one_in_use_and_before_one_with_the_email(
    pages: list[Any], found: list[str]
) -> None:
    seen = [
        one for one in look(ListingMatcher([ADA], PORTAL), *pages) if isinstance(one, LeadsFound)
    ]
    assert [lead_id for one in seen for _, lead_id in one.leads] == found


@pytest.mark.parametrize("is_one_page", [True, False])
def test_a_lead_with_the_line_counts_before_one_with_only_the_email(is_one_page: bool) -> None:
    namesake, ours = lead("x", "ada@example.com"), lead("a", "ada@example.com", "42/101")
    pages = [[namesake, ours]] if is_one_page else [[namesake], [ours]]
    seen = [
        one for one in look(ListingMatcher([ADA], PORTAL), *pages) if isinstance(one, LeadsFound)
    ]
    assert seen[0].leads[0] == (ADA.key, "a")


# Updates and deletes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "shown", "outcome"),
    [
        (WriteKind.UPDATE, {"city": "Rome"}, Outcome.FOUND),
        (WriteKind.UPDATE, {"city": "Paris"}, Outcome.ABSENT),
        (WriteKind.UPDATE, {"city": "Oslo"}, Outcome.EDITED),
        (WriteKind.UPDATE, {}, Outcome.EDITED),
        (WriteKind.UPDATE, {"city": "Rome", "status": "deleted"}, Outcome.ABSENT),
        (WriteKind.UPDATE, None, Outcome.ABSENT),
        (WriteKind.DELETE, {"city": "Paris"}, Outcome.ABSENT),
        (WriteKind.DELETE, {"city": "Paris", "status": "deleted"}, Outcome.FOUND),
        (WriteKind.DELETE, None, Outcome.FOUND),
    ],
)
def test_what_a_listing_shows_of_the_lead_settles_an_update_or_a_delete(
    kind: WriteKind, shown: dict[str, str] | None, outcome: Outcome
) -> None:
    image = {"city": "Paris"}
    write = replace(ADA, kind=kind, lead_id="lead-1", fields={"city": "Rome"}, before=image)
    kept = open_doubts((write, 100.0))
    page = [] if shown is None else [{**lead("lead-1", "ada@example.com"), **shown}]
    (complete,) = look(lookout_at(kept, 160.0), page)
    assert complete.outcomes == {ADA.key: outcome}
    assert [(one.key, one.outcome, one.kind) for one in kept.settle(complete)] == [
        (ADA.key, outcome, kind)
    ]


def test_a_row_without_an_id_may_be_a_changed_lead_that_is_not_shown() -> None:
    write = replace(ADA, kind=WriteKind.DELETE, lead_id="lead-1")
    kept = open_doubts((write, 100.0))
    complete = look(lookout_at(kept, 160.0), [], odd=[None])[-1]
    assert complete.outcomes == {}
    assert kept.settle(complete) == []
