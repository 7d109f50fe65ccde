"""The destination compared with what was sent; nothing is concluded before the last page."""

import json
from typing import Any

import pytest

from benchmarks.judge import posts
from migrator.errors import Interrupted, ServiceDown
from migrator.mapping import record_line
from migrator.states import Hold
from tests.journeys import SETTLE, Journey, contact

CONTACTS = 7
FOREVER = 1e9


class Pauses:
    """Nobody waits; somebody may act, or want to stop, at the n-th page or instead of waiting."""

    def __init__(self, *, stop_after_pages: int = 0, instead_of_waiting: Any = None) -> None:
        self.waited: list[float] = []
        self.pages_left = stop_after_pages
        self.instead_of_waiting = instead_of_waiting

    def __call__(self, seconds: float) -> None:
        if seconds > 0:
            self.waited.append(seconds)
            if self.instead_of_waiting is not None:
                self.instead_of_waiting()
            return
        self.pages_left -= 1
        if self.pages_left == 0:
            stop()


def stop() -> None:
    raise Interrupted("stopped", "go on", 2)


def arrived(sandbox, ledger) -> Journey:
    """Some contacts of the test's own, staged and sent."""
    journey = Journey(sandbox, ledger)
    for number in range(CONTACTS):
        sandbox.add_contact(contact(number, jobtitle="Engineer"))
    journey.stage()
    assert journey.push().posted == CONTACTS
    return journey


@pytest.fixture
def journey(sandbox, ledger) -> Journey:
    return arrived(sandbox(contacts=0), ledger)


@pytest.fixture
def paged(sandbox, ledger) -> Journey:
    """The same, where a page holds two leads: four pages."""
    return arrived(sandbox(contacts=0, page_limit=2), ledger)


def verify(journey: Journey, pauses: Pauses | None = None) -> Any:
    return journey.verify(pause=pauses or Pauses())


def counts(journey: Journey) -> dict[tuple[str, str | None], int]:
    found = journey.ask("SELECT state, held, count(*) FROM contact GROUP BY 1, 2")
    return {(state, held): number for state, held, number in found}


def ids(journey: Journey, place: int = 0) -> tuple[str, str]:
    """HubSpot's id of a contact, and its lead's."""
    hubspot_id, lead_id = journey.ask("SELECT hubspot_id, lead_id FROM contact ORDER BY key")[place]
    return hubspot_id, lead_id


def standing(journey: Journey, hubspot_id: str) -> tuple[str, str | None, str | None]:
    sql = f"SELECT state, held, detail FROM contact WHERE hubspot_id = '{hubspot_id}'"
    (found,) = journey.ask(sql)
    return found[0], found[1], found[2]


def lead(journey: Journey, lead_id: str) -> dict[str, Any]:
    return next(dict(one) for one in journey.sandbox.held if one["id"] == lead_id)


def change(journey: Journey, lead_id: str, **fields: object) -> None:
    assert journey.sandbox._shelf.change(lead_id, fields)


def hide(journey: Journey, seconds: float) -> None:
    """Readers see no lead that is younger than this."""
    journey.sandbox._shelf._lag = seconds


def cursors(journey: Journey) -> list[str | None]:
    """Of the listings, in order; `None` = of the first page."""
    return [
        one.query.get("lastKey")
        for one in journey.sandbox.received
        if (one.method, one.path) == ("GET", "/api/leads")
    ]


ALL_POSTED: dict[tuple[str, str | None], int] = {("posted", None): CONTACTS}
ALL_VERIFIED: dict[tuple[str, str | None], int] = {("verified", None): CONTACTS}
ONE_MISSING = {("verified", None): CONTACTS - 1, ("posted", "missing"): 1}


# As sent ---------------------------------------------------------------------------------------


def test_what_is_there_as_it_was_sent_is_verified(journey):
    pauses = Pauses()
    found = verify(journey, pauses)
    assert (found.verified, found.left_for_a_person, found.strangers) == (CONTACTS, 0, 0)
    assert counts(journey) == ALL_VERIFIED
    assert pauses.waited == []


def test_every_contact_of_a_whole_portal_is_verified(sandbox, ledger):
    journey = Journey(sandbox(contacts=120, page_limit=50), ledger)
    journey.stage()
    posted = journey.push().posted
    found = verify(journey)
    assert (found.verified, found.pages, found.left_for_a_person) == (posted, 3, 0)
    journey.judge()


def test_verifying_again_finds_nothing_new_and_sends_nothing(journey):
    verify(journey)
    events = journey.ask("SELECT count(*) FROM event")
    found = verify(journey)
    assert (found.verified, found.left_for_a_person) == (0, 0)
    assert journey.ask("SELECT count(*) FROM event") == events
    assert len(posts(journey.sandbox)) == CONTACTS


def test_a_verification_before_any_push_finds_nothing(sandbox, ledger):
    journey = Journey(sandbox(contacts=5), ledger)
    journey.stage()
    before = counts(journey)
    assert verify(journey).verified == 0
    assert counts(journey) == before


def test_what_changed_in_the_portal_is_compared_as_it_was_sent(journey):
    journey.sandbox.change_contact(ids(journey)[0], jobtitle="Countess")
    journey.stage()
    assert verify(journey).verified == CONTACTS


# Missing ---------------------------------------------------------------------------------------


def test_a_deleted_lead_is_missing_after_a_second_look(journey):
    hubspot_id, lead_id = ids(journey)
    journey.sandbox.delete_lead(lead_id)
    looks = len(cursors(journey))
    pauses = Pauses()
    found = verify(journey, pauses)
    assert (found.verified, found.missing, found.left_for_a_person) == (CONTACTS - 1, 1, 1)
    assert standing(journey, hubspot_id) == ("posted", "missing", f"lead {lead_id} is not listed")
    assert counts(journey) == ONE_MISSING
    assert pauses.waited == [SETTLE]
    assert len(cursors(journey)) - looks == 2


def test_reads_that_lag_behind_are_waited_for(journey):
    hide(journey, FOREVER)
    pauses = Pauses(instead_of_waiting=lambda: hide(journey, 0))
    found = verify(journey, pauses)
    assert (found.verified, found.missing) == (CONTACTS, 0)
    assert pauses.waited == [SETTLE]
    assert journey.ask("SELECT count(*) FROM event WHERE held IS NOT NULL") == [(0,)]


def test_a_lead_that_goes_before_the_second_look_is_missing(journey):
    gone, going = ids(journey, 0)[1], ids(journey, 1)[1]
    journey.sandbox.delete_lead(gone)
    verify(journey, Pauses(instead_of_waiting=lambda: journey.sandbox.delete_lead(going)))
    assert counts(journey)["posted", "missing"] == 2


def test_nothing_is_concluded_before_the_second_look(journey):
    journey.sandbox.delete_lead(ids(journey)[1])
    with pytest.raises(Interrupted):
        verify(journey, Pauses(instead_of_waiting=stop))
    assert counts(journey) == ALL_POSTED
    verify(journey)
    assert counts(journey) == ONE_MISSING


def test_one_missing_that_shows_again_is_healed(journey):
    hide(journey, FOREVER)
    assert verify(journey).missing == CONTACTS
    hide(journey, 0)
    assert verify(journey).missing == 0
    assert counts(journey) == ALL_VERIFIED


def test_a_missing_one_that_is_released_is_sent_again_exactly_once(journey, ledger):
    hubspot_id, lead_id = ids(journey)
    journey.sandbox.delete_lead(lead_id)
    journey.verify()  # it waits in earnest: the judge asks for it
    assert ledger.contacts.release(Hold.MISSING, None) == 1
    assert journey.push().posted == 1
    assert journey.push().posted == 0
    assert len(posts(journey.sandbox)) == CONTACTS + 1
    assert verify(journey).verified == 1
    assert standing(journey, hubspot_id) == ("verified", None, None)
    journey.judge()


def test_a_released_one_that_was_only_late_is_adopted_and_not_sent_again(journey, ledger):
    hide(journey, FOREVER)
    verify(journey)
    assert ledger.contacts.release(Hold.MISSING, None) == CONTACTS
    hide(journey, 0)
    assert journey.push().adopted == CONTACTS
    assert len(posts(journey.sandbox)) == CONTACTS
    assert verify(journey).verified == CONTACTS
    journey.judge()


def test_one_that_lives_on_under_another_id_is_adopted_and_not_sent_again(journey, ledger):
    hubspot_id, lead_id = ids(journey)
    copy = lead(journey, lead_id)
    journey.sandbox.delete_lead(lead_id)
    other = journey.sandbox.add_lead(copy)
    assert verify(journey).missing == 1
    ledger.contacts.release(None, [hubspot_id])
    assert journey.push().posted == 0
    assert ids(journey) == (hubspot_id, other)
    assert verify(journey).verified == 1


def test_a_verified_one_deleted_later_is_missing_and_never_sent_again(journey, ledger):
    verify(journey)
    hubspot_id, lead_id = ids(journey)
    journey.sandbox.delete_lead(lead_id)
    assert verify(journey).missing == 1
    assert standing(journey, hubspot_id)[:2] == ("verified", "missing")
    assert ledger.contacts.release(Hold.MISSING, None) == 0
    assert ledger.contacts.release(None, [hubspot_id]) == 0
    assert journey.push().posted == 0
    assert len(posts(journey.sandbox)) == CONTACTS


# Different -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"title": "Countess"}, "title"),
        ({"title": None, "lastName": "-"}, "lastName, title"),
        ({"notes": "rewritten"}, "notes"),
        ({"email": "else@x.example"}, "email"),
    ],
)
def test_a_changed_field_is_named(journey, fields, named):
    hubspot_id, lead_id = ids(journey)
    change(journey, lead_id, **fields)
    found = verify(journey)
    assert (found.verified, found.different, found.missing) == (CONTACTS - 1, 1, 0)
    assert found.left_for_a_person == 1
    assert standing(journey, hubspot_id) == ("posted", "different", named)


def test_what_the_destination_adds_is_no_difference(journey):
    change(journey, ids(journey)[1], score=7, owner="somebody", updatedAt="2026-01-01")
    assert verify(journey).verified == CONTACTS


def test_a_verified_one_that_is_changed_later_is_different(journey):
    verify(journey)
    hubspot_id, lead_id = ids(journey)
    change(journey, lead_id, title="Countess")
    assert verify(journey).different == 1
    assert standing(journey, hubspot_id) == ("verified", "different", "title")


@pytest.mark.parametrize("is_verified", [False, True])
def test_a_different_one_that_is_put_right_is_healed(journey, is_verified):
    if is_verified:
        verify(journey)
    lead_id = ids(journey)[1]
    change(journey, lead_id, title="Countess")
    assert verify(journey).different == 1
    change(journey, lead_id, title="Engineer")
    assert verify(journey).different == 0
    assert counts(journey) == ALL_VERIFIED


def test_a_released_different_one_is_not_sent_but_looked_at_again(journey, ledger):
    hubspot_id, lead_id = ids(journey)
    change(journey, lead_id, title="Countess")
    verify(journey)
    ledger.contacts.release(Hold.DIFFERENT, None)
    assert journey.push().posted == 0
    assert verify(journey).different == 1
    assert standing(journey, hubspot_id) == ("posted", "different", "title")


# Doubled, and strangers ------------------------------------------------------------------------


def test_a_second_lead_with_the_same_line_is_named(journey):
    hubspot_id, lead_id = ids(journey)
    copy = journey.sandbox.add_lead(lead(journey, lead_id))
    found = verify(journey)
    (doubled,) = found.doubled
    assert doubled.hubspot_id == hubspot_id
    assert sorted(doubled.lead_ids.split(", ")) == sorted([lead_id, copy])
    assert (found.verified, found.left_for_a_person) == (CONTACTS, 1)
    assert found.strangers == 0


@pytest.mark.parametrize("email", ["ada0@x.example", " ADA0@X.Example"])
def test_a_lead_added_by_hand_with_the_same_email_is_named(journey, email):
    hubspot_id, lead_id = ids(journey)
    other = journey.sandbox.add_lead({"firstName": "A", "lastName": "B", "email": email})
    (doubled,) = verify(journey).doubled
    assert doubled.hubspot_id == hubspot_id
    assert sorted(doubled.lead_ids.split(", ")) == sorted([lead_id, other])


def test_a_double_that_is_taken_away_is_forgotten(journey):
    copy = journey.sandbox.add_lead(lead(journey, ids(journey)[1]))
    assert verify(journey).doubled
    journey.sandbox.delete_lead(copy)
    assert verify(journey).doubled == ()


def test_doubles_on_different_pages_are_found(paged):
    expected = set()
    for place in range(CONTACTS):
        hubspot_id, lead_id = ids(paged, place)
        paged.sandbox.add_lead(lead(paged, lead_id))
        expected.add(hubspot_id)
    assert {one.hubspot_id for one in verify(paged).doubled} == expected


def test_strangers_are_counted_and_left_alone(journey):
    for number in range(3):
        journey.sandbox.add_lead({"email": f"stranger{number}@y.example", "firstName": "S"})
    journey.sandbox.add_lead({"firstName": "No e-mail at all"})
    journey.sandbox.add_lead({"notes": record_line("999", ids(journey)[0])})  # another portal's
    found = verify(journey)
    assert (found.strangers, found.verified, found.doubled) == (5, CONTACTS, ())
    assert found.left_for_a_person == 0


def test_strangers_are_not_counted_twice_by_the_second_look(journey):
    journey.sandbox.add_lead({"email": "stranger@y.example", "firstName": "S"})
    journey.sandbox.delete_lead(ids(journey)[1])
    assert verify(journey).strangers == 1


def test_a_namesake_that_was_there_before_is_no_double(sandbox, ledger):
    journey = Journey(sandbox(contacts=0), ledger)
    journey.sandbox.add_contact(contact(1))
    journey.sandbox.add_lead({"email": "ada1@x.example", "firstName": "S"})
    journey.stage()
    assert journey.push().posted == 0
    ledger.contacts.release(Hold.ALREADY_IN_DESTINATION, None)
    assert journey.push().posted == 1
    found = verify(journey)
    assert (found.verified, found.doubled, found.strangers) == (1, (), 1)


def test_a_lead_whose_line_was_removed_is_still_known_by_its_id(journey):
    hubspot_id, lead_id = ids(journey)
    change(journey, lead_id, notes=None, email="else@x.example")
    found = verify(journey)
    assert (found.missing, found.different, found.strangers) == (0, 1, 0)
    assert standing(journey, hubspot_id)[1:] == ("different", "email, notes")


# Page by page ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pages", [1, 2, 3, 4])
def test_an_interrupted_listing_concludes_nothing_and_the_next_one_is_whole(paged, pages):
    looked = len(cursors(paged))
    with pytest.raises(Interrupted):
        verify(paged, Pauses(stop_after_pages=pages))
    assert counts(paged) == ALL_POSTED
    assert len(cursors(paged)) == looked + pages
    found = verify(paged)
    assert (found.verified, found.pages) == (CONTACTS, 4)
    again = cursors(paged)[looked + pages :]
    assert again[0] is None
    assert len(set(again)) == len(again) == 4


def test_what_an_interrupted_listing_saw_is_not_believed_later(paged):
    lead_ids = sorted(ids(paged, place)[1] for place in range(CONTACTS))
    with pytest.raises(Interrupted):
        verify(paged, Pauses(stop_after_pages=3))
    paged.sandbox.delete_lead(lead_ids[0])
    change(paged, lead_ids[1], title="Countess")
    found = verify(paged)
    assert (found.verified, found.missing, found.different) == (CONTACTS - 2, 1, 1)


def test_strangers_are_counted_whole_after_an_interruption(paged):
    for number in range(6):
        paged.sandbox.add_lead({"email": f"stranger{number}@y.example", "firstName": "S"})
    with pytest.raises(Interrupted):
        verify(paged, Pauses(stop_after_pages=5))
    assert verify(paged).strangers == 6


def test_a_double_on_both_sides_of_an_interruption_is_found(paged):
    copies = [
        paged.sandbox.add_lead(lead(paged, ids(paged, place)[1])) for place in range(CONTACTS)
    ]
    with pytest.raises(Interrupted):
        verify(paged, Pauses(stop_after_pages=3))
    assert len(verify(paged).doubled) == len(copies)


def test_what_is_sent_after_an_interruption_is_verified_too(paged):
    with pytest.raises(Interrupted):
        verify(paged, Pauses(stop_after_pages=3))
    for number in range(10, 15):
        paged.sandbox.add_contact(contact(number))
    paged.stage()
    assert paged.push().posted == 5
    assert verify(paged).verified == CONTACTS + 5


@pytest.mark.parametrize("misfortune", ["short_page", "empty_page"])
@pytest.mark.parametrize("times", [1, 3])
def test_a_short_page_is_not_the_end(paged, misfortune, times):
    paged.sandbox.misfortune(misfortune, times)
    pauses = Pauses()
    assert verify(paged, pauses).verified == CONTACTS
    assert pauses.waited == []


def test_the_other_name_of_the_cursor_is_followed(sandbox, ledger):
    journey = arrived(sandbox(contacts=0, page_limit=2, cursor_name="nextToken"), ledger)
    found = verify(journey)
    assert (found.verified, found.pages) == (CONTACTS, 4)


def test_a_cursor_that_comes_back_concludes_nothing(paged):
    paged.sandbox.delete_lead(ids(paged)[1])
    paged.sandbox.misfortune("repeat_cursor")
    with pytest.raises(ServiceDown, match="a second time"):
        verify(paged)
    assert counts(paged) == ALL_POSTED
    verify(paged)
    assert counts(paged) == ONE_MISSING


def test_a_destination_that_fails_in_the_middle_concludes_nothing(paged):
    paged.sandbox.misfortune("list_error", 7, where=lambda query: "lastKey" in query)
    with pytest.raises(ServiceDown):
        verify(paged)
    assert counts(paged) == ALL_POSTED
    assert verify(paged).verified == CONTACTS


@pytest.mark.parametrize("misfortune", ["list_error", "list_drop"])
def test_trouble_that_passes_is_sat_out(paged, misfortune):
    paged.sandbox.misfortune(misfortune, 3)
    assert verify(paged).verified == CONTACTS


def test_a_token_that_expires_in_the_middle_is_renewed(paged):
    paged.verify(pause=lambda seconds: paged.sandbox.expire_tokens())
    assert counts(paged) == ALL_VERIFIED


def test_a_contact_in_doubt_is_none_of_its_business(journey, ledger):
    journey.sandbox.add_contact(contact(50))
    journey.stage()
    (sendable,) = ledger.attempts.untried(9)
    ledger.attempts.intend(ledger.journey.begin_run("push"), [(sendable.key, "0" * 64)])
    assert verify(journey).verified == CONTACTS
    assert standing(journey, sendable.hubspot_id) == ("mapped", None, None)


def test_the_counters_of_a_run_tell_what_was_found(journey):
    journey.sandbox.add_lead(lead(journey, ids(journey)[1]))
    found = verify(journey)
    assert found.counters() == {
        "pages": 1,
        "verified": CONTACTS,
        "missing": 0,
        "different": 0,
        "doubled": 1,
        "strangers": 0,
        "in_doubt": 0,
    }


def test_the_lead_of_a_contact_in_doubt_is_no_stranger(journey):
    with journey.ledger.transaction():
        run = journey.ledger.journey.begin_run("push")
    journey.sandbox.add_contact(contact(77))
    journey.stage()
    (sendable,) = journey.ledger.attempts.untried(9)
    journey.ledger.attempts.intend(run, [(sendable.key, "hash")])
    journey.sandbox.add_lead({**json.loads(sendable.lead), "client_id": journey.sandbox.client_id})
    found = verify(journey)
    assert (found.strangers, found.in_doubt, found.verified) == (0, 1, CONTACTS)
