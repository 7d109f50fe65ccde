"""The destination compared with what was sent; nothing is concluded before the last page."""

import json
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.judge import posts
from migrator.audit import audit
from migrator.counters import PushCounters
from migrator.errors import Interrupted, ServiceDown, StoppedEarly
from migrator.hold_details import sentence
from migrator.ledger import (
    AttemptResult,
    DuplicateLeads,
    Intent,
    Ledger,
    UnclaimedLead,
    UnknownLead,
)
from migrator.mapping import record_line
from migrator.states import Hold, Outcome, State
from tests.support.inprocess_cli import PUSH, VERIFY
from tests.support.journeys import SETTLE, Journey, contact

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
    ((state, held, detail),) = journey.ask(sql)
    return state, held, detail and sentence(json.loads(detail))


def lead(journey: Journey, lead_id: str) -> dict[str, Any]:
    return next(dict(one) for one in journey.sandbox.held if one["id"] == lead_id)


def change(journey: Journey, lead_id: str, **fields: object) -> None:
    assert journey.sandbox._store.change(lead_id, fields)


def hide(journey: Journey, seconds: float) -> None:
    """Readers see no lead that is younger than this."""
    journey.sandbox._store._lag = seconds


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


def test_what_either_of_the_two_looks_showed_counts_as_seen(journey):
    first, second = ids(journey, 0)[1], ids(journey, 1)[1]
    hidden = lead(journey, second)
    journey.sandbox.delete_lead(second)

    def swap() -> None:
        journey.sandbox.delete_lead(first)
        journey.sandbox.give_lead_ids(second)
        journey.sandbox.add_lead(hidden)

    found = verify(journey, Pauses(instead_of_waiting=swap))
    assert (found.verified, found.missing) == (CONTACTS, 0)
    assert verify(journey).missing == 1


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
    assert ledger.holds.release(Hold.MISSING, None) == 1
    assert journey.push().posted == 1
    assert journey.push().posted == 0
    assert len(posts(journey.sandbox)) == CONTACTS + 1
    assert verify(journey).verified == 1
    assert standing(journey, hubspot_id) == ("verified", None, None)
    journey.judge()


def test_a_released_one_that_was_only_late_is_adopted_and_not_sent_again(journey, ledger):
    hide(journey, FOREVER)
    verify(journey)
    assert ledger.holds.release(Hold.MISSING, None) == CONTACTS
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
    ledger.holds.release(None, [hubspot_id])
    assert journey.push().posted == 0
    assert ids(journey) == (hubspot_id, other)
    assert verify(journey).verified == 1


@pytest.fixture(params=["posted", "verified"])
def rewritten(request, journey, ledger) -> tuple[str, str]:
    """A contact whose lead people rewrote, and that was missing for a while and is released."""
    if request.param == "verified":
        verify(journey)
    hubspot_id, lead_id = ids(journey)
    change(journey, lead_id, notes="called twice", email="new@corp.example")
    hide(journey, FOREVER)
    verify(journey)
    hide(journey, 0)
    assert ledger.holds.release(None, [hubspot_id], recreate=True) == 1
    return hubspot_id, lead_id


def test_a_released_one_that_people_rewrote_is_adopted_by_its_id(journey, rewritten):
    done = journey.push()
    assert (done.adopted, done.posted) == (1, 0)
    assert ids(journey) == rewritten
    assert len(posts(journey.sandbox)) == CONTACTS


def test_a_released_one_is_named_by_a_verification_before_the_push(journey, rewritten):
    found = verify(journey)
    assert [one.lead_id for one in found.unclaimed_leads] == [rewritten[1]]
    assert found.strangers == 0


def test_a_missing_one_is_freed_where_another_lead_of_it_is_listed(journey, ledger):
    """As when a copy of the ledger is put back from before an undo, and all was sent again."""
    assert verify(journey).verified == CONTACTS
    hubspot_id, lead_id = ids(journey)
    sent = next(one for one in journey.sandbox.leads() if one["id"] == lead_id)
    journey.sandbox.delete_lead(lead_id)
    other = journey.sandbox.add_lead({name: sent[name] for name in sent if name != "id"})
    assert verify(journey).missing == 1
    assert ledger.holds.release(Hold.MISSING, None) == 1
    done = journey.push()
    assert (done.adopted, done.posted) == (1, 0)
    assert ids(journey) == (hubspot_id, other)


def test_a_missing_one_is_not_freed_for_a_lead_with_its_email_alone(journey, ledger):
    assert verify(journey).verified == CONTACTS
    _, lead_id = ids(journey)
    sent = next(one for one in journey.sandbox.leads() if one["id"] == lead_id)
    journey.sandbox.delete_lead(lead_id)
    journey.sandbox.add_lead({"email": sent["email"], "notes": "by hand"})
    assert verify(journey).missing == 1
    assert ledger.holds.release(Hold.MISSING, None) == 0


def test_a_former_lead_that_shows_again_beside_the_new_one_is_named(journey, rewritten):
    hubspot_id, lead_id = rewritten
    hide(journey, FOREVER)
    assert journey.push().posted == 1
    hide(journey, 0)
    found = verify(journey)
    new = ids(journey)[1]
    assert found.doubled_contacts == (DuplicateLeads(hubspot_id, new, f"{new}, {lead_id}"),)
    assert found.strangers == 0
    lines: list[str] = []
    verdict = audit(journey.ledger.path, journey.sandbox.leads(), lines.append)
    (fault,) = [line for line in map(json.loads, lines) if line["kind"] == "fault"]
    assert (fault["contact"], verdict.strangers) == (hubspot_id, 0)
    assert lead_id in fault["words"]


def test_a_verified_one_deleted_later_is_missing_and_never_sent_again(journey, ledger):
    verify(journey)
    hubspot_id, lead_id = ids(journey)
    journey.sandbox.delete_lead(lead_id)
    assert verify(journey).missing == 1
    assert standing(journey, hubspot_id)[:2] == ("verified", "missing")
    assert ledger.holds.release(Hold.MISSING, None) == 0
    assert ledger.holds.release(None, [hubspot_id]) == 0
    assert journey.push().posted == 0
    assert len(posts(journey.sandbox)) == CONTACTS


MARKS = [
    {"status": "to_be_deleted", "deletedAt": "2026-01-05T10:00:00Z"},
    {"status": "duplicate"},
]


@pytest.mark.parametrize("mark", MARKS)
def test_a_lead_that_is_marked_as_deleted_is_missing_at_once(journey, mark):
    hubspot_id, lead_id = ids(journey)
    change(journey, lead_id, **mark)
    pauses = Pauses()
    found = verify(journey, pauses)
    assert (found.verified, found.missing, found.removed) == (CONTACTS - 1, 1, 1)
    why = f"lead {lead_id} is marked as deleted or as a duplicate"
    assert standing(journey, hubspot_id) == ("posted", "missing", why)
    assert pauses.waited == []
    assert "listed" not in {line["rule"] for line in faults(journey)}


@pytest.mark.parametrize("mark", MARKS)
def test_a_lost_ledger_takes_over_no_lead_that_is_marked_as_deleted(journey, tmp_path, mark):
    lead_id = ids(journey)[1]
    change(journey, lead_id, **mark)
    journey.sandbox.add_contact(contact(99))
    journey.sandbox.add_lead({"email": "ada99@x.example", "notes": "Met at a fair", **mark})
    with Ledger.open_for_work(tmp_path / "new.db") as ledger:
        new = Journey(journey.sandbox, ledger)
        new.stage()
        done = new.push()
        assert (done.adopted, done.posted) == (CONTACTS - 1, 2)
        assert ids(new)[1] != lead_id
        assert verify(new).verified == CONTACTS + 1


def test_first_leads_that_are_marked_as_deleted_at_once_are_not_to_be_seen(sandbox, ledger):
    journey = Journey(sandbox(contacts=3), ledger)
    journey.stage()

    def mark(progress: PushCounters) -> None:
        for one in journey.sandbox.held:
            change(journey, one["id"], **MARKS[1])

    with pytest.raises(StoppedEarly, match="do not show up"):
        journey.push(canary=2, notice=mark)
    assert len(posts(journey.sandbox)) == 2


def test_a_deleted_lead_is_no_proof_that_a_later_send_arrived(journey, ledger):
    lead_id = ids(journey)[1]
    change(journey, lead_id, **MARKS[0])
    verify(journey)
    assert ledger.holds.release(Hold.MISSING, None) == 1
    journey.sandbox.fault("drop_before_saving")
    done = journey.push()
    assert (done.found, done.absent, done.posted) == (0, 1, 1)
    assert ids(journey)[1] != lead_id
    assert verify(journey).verified == 1


def test_a_lead_that_is_deleted_while_its_send_is_in_doubt_is_not_sent_again(journey, ledger):
    journey.sandbox.add_contact(contact(77))
    journey.stage()
    (sendable,) = ledger.sendable.untried(9)
    ledger.attempts.record_intents(ledger.runs.begin_run("push"), [Intent(sendable.key, "hash")])
    journey.sandbox.add_lead(sendable.lead | MARKS[0])
    done = journey.push()
    assert (done.found, done.posted) == (1, 0)
    assert verify(journey).missing == 1
    assert standing(journey, sendable.hubspot_id)[:2] == ("posted", "missing")


# Different -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"title": "Countess"}, "title"),
        ({"title": None, "lastName": "-"}, "lastName, title"),
        ({"notes": "rewritten"}, "notes"),
        ({"notes": "Historic Contact imported from HubSpot"}, "notes"),
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
    _, lead_id = ids(journey)
    notes = f"Called on Monday.\n{lead(journey, lead_id)['notes']}\nWants a quote"
    change(journey, lead_id, score=7, owner="somebody", updatedAt="2026-01-01", notes=notes)
    assert verify(journey).verified == CONTACTS


def test_a_verified_one_that_is_changed_later_was_edited(journey):
    verify(journey)
    hubspot_id, lead_id = ids(journey)
    change(journey, lead_id, title="Countess", notes="rewritten")
    found = verify(journey)
    assert (found.edited, found.different, found.left_for_a_person) == (1, 0, 0)
    assert standing(journey, hubspot_id) == ("verified", None, None)
    assert edited(journey) == [(hubspot_id, "notes, title")]
    assert faults(journey) == []
    change(journey, lead_id, title="Engineer")
    verify(journey)
    assert edited(journey) == [(hubspot_id, "notes")]


def edited(journey: Journey) -> list[tuple[str, str]]:
    return journey.ask("SELECT hubspot_id, edited FROM contact WHERE edited IS NOT NULL")


def shorten(journey: Journey) -> None:
    """From now on a listing shows some fields only, and no notes among them."""
    shown = ("id", "client_id", "firstName", "lastName", "email", "companyName", "title", "status")
    store = journey.sandbox._store
    whole = store.page

    def short(*args: Any) -> Any:
        page = whole(*args)
        leads = [
            {name: value for name, value in one.lead().items() if name in shown}
            for one in page.leads
        ]
        bodies = [json.dumps(one).encode() for one in leads]
        kept = [replace(one, body=body) for one, body in zip(page.leads, bodies, strict=True)]
        return replace(page, leads=kept)

    vars(store)["page"] = short


def test_what_no_lead_is_listed_with_is_not_compared_and_named(journey):
    shorten(journey)
    hubspot_id, lead_id = ids(journey)
    change(journey, lead_id, title="Countess")
    found = verify(journey)
    assert (found.verified, found.different) == (CONTACTS - 1, 1)
    assert found.not_compared == ("notes",)
    assert standing(journey, hubspot_id)[1:] == ("different", "title")


def test_what_one_lead_lacks_and_others_show_is_different(paged):
    hubspot_id, lead_id = ids(paged)
    kept = lead(paged, lead_id)
    del kept["title"]
    paged.sandbox.delete_lead(lead_id)
    paged.sandbox.give_lead_ids(lead_id)
    paged.sandbox.add_lead(kept)
    found = verify(paged)
    assert (found.different, found.not_compared) == (1, ())
    assert standing(paged, hubspot_id)[1:] == ("different", "title")


def test_a_lost_ledger_posts_nothing_twice_where_notes_are_not_shown(journey, tmp_path):
    shorten(journey)
    journey.sandbox.add_contact(contact(50))
    with Ledger.open_for_work(tmp_path / "new.db") as ledger:
        new = Journey(journey.sandbox, ledger)
        new.stage()
        assert new.push().posted == 1
        state, held, why = standing(new, new.ask("SELECT hubspot_id FROM contact LIMIT 1")[0][0])
        assert (state, held) == ("mapped", "already_in_destination")
        assert why is not None
        assert "shows no notes of it, so it may be ours or not" in why
    assert len(posts(journey.sandbox)) == CONTACTS + 1


def test_a_late_lead_of_a_contact_that_was_given_up_is_named(journey, ledger):
    journey.sandbox.add_contact(contact(77))
    journey.stage()
    (sendable,) = ledger.sendable.untried(9)
    ledger.attempts.record_intents(ledger.runs.begin_run("push"), [Intent(sendable.key, "hash")])
    ledger.attempts.record_results([AttemptResult(sendable.key, Outcome.REFUSED)])
    late = journey.sandbox.add_lead(sendable.lead)
    found = verify(journey)
    assert found.unclaimed_leads == (
        UnclaimedLead(sendable.hubspot_id, late, State.MAPPED, Hold.REFUSED, True),
    )
    assert (found.left_for_a_person, found.strangers) == (1, 0)


def test_a_late_lead_that_no_push_can_tell_for_a_contact_s_stays_named(journey, ledger):
    journey.sandbox.add_contact(contact(77))
    journey.stage()
    (sendable,) = ledger.sendable.untried(9)
    ledger.attempts.record_intents(ledger.runs.begin_run("push"), [Intent(sendable.key, "hash")])
    ledger.attempts.record_results([AttemptResult(sendable.key, Outcome.REFUSED)])
    late = journey.sandbox.add_lead(sendable.lead)
    shorten(journey)
    for held in (Hold.REFUSED, Hold.ALREADY_IN_DESTINATION):
        found = verify(journey)
        assert found.blocked_leads == (
            UnclaimedLead(sendable.hubspot_id, late, State.MAPPED, held, False),
        )
        assert (found.unclaimed, found.left_for_a_person, found.strangers) == (0, 1, 0)
        assert ledger.runs.unclaimed() == 0
        ledger.holds.release(Hold.REFUSED, None)
        assert journey.push().posted == 0


def test_a_lead_that_people_made_for_a_refused_contact_is_none_of_ours(journey, ledger):
    journey.sandbox.add_contact(contact(77))
    journey.stage()
    (sendable,) = ledger.sendable.untried(9)
    ledger.attempts.record_intents(ledger.runs.begin_run("push"), [Intent(sendable.key, "hash")])
    ledger.attempts.record_results([AttemptResult(sendable.key, Outcome.REFUSED)])
    journey.sandbox.add_lead({"email": "ada77@x.example", "firstName": "Ada"})
    found = verify(journey)
    assert (found.unclaimed, found.strangers, found.left_for_a_person) == (0, 1, 0)


def test_what_verify_named_is_taken_over_by_the_next_push(journey, ledger):
    journey.sandbox.add_contact(contact(77))
    journey.stage()
    assert journey.push().posted == 1
    late = lead(journey, ids(journey, CONTACTS)[1])
    journey.sandbox.add_contact(contact(78))
    journey.stage()
    (sendable,) = ledger.sendable.untried(9)
    journey.push(limit=0)  # it has looked, and finds nothing of that one yet
    late |= sendable.lead
    late_id = journey.sandbox.add_lead(late)
    found = verify(journey)
    assert (found.unclaimed, found.left_for_a_person) == (1, 1)
    done = journey.push()
    assert (done.adopted, done.posted) == (1, 0)
    assert standing(journey, sendable.hubspot_id) == ("posted", None, None)
    assert ids(journey, CONTACTS + 1)[1] == late_id


def test_a_push_with_nothing_to_do_lists_nothing(journey, ledger):
    ledger.holds.release(None, None)
    looked = len(cursors(journey))
    journey.push()
    assert len(cursors(journey)) == looked


def test_leads_with_our_line_of_contacts_that_are_not_known_are_named(journey):
    line = record_line(journey.sandbox.portal_id, "404")
    other = journey.sandbox.add_lead({"email": "ada0@x.example", "notes": line})
    found = verify(journey)
    assert found.unknown_leads == (UnknownLead("404", other),)
    assert (found.strangers, found.doubled, found.left_for_a_person) == (0, 0, 0)


def test_a_lead_whose_e_mail_was_corrected_is_still_its_contact_s(journey, tmp_path):
    hubspot_id, lead_id = ids(journey)
    change(journey, lead_id, email="corrected@x.example")
    assert verify(journey).different == 1
    assert standing(journey, hubspot_id)[1:] == ("different", "email")
    with Ledger.open_for_work(tmp_path / "new.db") as ledger:
        new = Journey(journey.sandbox, ledger)
        new.stage()
        assert (new.push().adopted, len(posts(new.sandbox))) == (CONTACTS, CONTACTS)
        assert verify(new).different == 1


def test_notes_that_the_service_cuts_off_name_nobody_else(sandbox, ledger):
    journey = Journey(sandbox(contacts=0), ledger)
    for number in (101, 10199):
        journey.sandbox.add_contact(contact(number), contact_id=str(number))
    journey.stage()
    short, long = ledger.sendable.untried(9)
    ledger.attempts.record_intents(
        ledger.runs.begin_run("push"), [Intent(short.key, "hash"), Intent(long.key, "hash")]
    )
    sent = long.lead
    cut = sent["notes"][: len(short.lead["notes"]) - 1]
    assert cut.endswith("/101")
    arrived = journey.sandbox.add_lead(sent | {"notes": cut})
    # Nobody is taken for the other, nothing is lost, and nothing is there twice.
    done = journey.push(is_taken_over=True)
    assert (done.found, done.absent, done.posted) == (1, 1, 1)
    assert ids(journey, 1) == ("10199", arrived)
    assert verify(journey).doubled == 0
    assert standing(journey, "10199") == ("posted", "different", "notes")


def test_the_command_names_what_it_found(three):
    assert three.type(PUSH).code == 0
    [(first,)] = three.ask("SELECT lead_id FROM contact WHERE hubspot_id = '1'")
    copy = three.sandbox.add_lead(
        next(dict(one) for one in three.sandbox.held if one["id"] == first)
    )
    unknown = three.sandbox.add_lead({"notes": record_line(three.sandbox.portal_id, "404")})
    three.sandbox.add_contact(contact(4), contact_id="4")
    three.sandbox.fault("refuse")
    three.type("stage")
    assert three.type(PUSH).code == 1
    late = three.sandbox.add_lead({"notes": record_line(three.sandbox.portal_id, "4")})
    done = three.type(VERIFY)
    assert done.code == 1
    assert done.out.splitlines() == [
        "3 newly verified · 0 missing · 0 different · 1 doubled · 0 leads of others · "
        "1 lead of contacts that have none in this ledger · "
        "1 lead of contacts that are not in this ledger",
        f"contact 1 has several leads: {first}, {copy}; keep {first}",
        f"lead {late} is contact 4's, which is refused here; the next push takes it over",
        f"lead {unknown} names contact 404, which is not in this ledger",
    ]
    result = json.loads(three.type(f"{VERIFY} --json").out.splitlines()[-1])
    assert result["doubled_contacts"] == [
        {"hubspot_id": "1", "keep": first, "lead_ids": f"{first}, {copy}"}
    ]
    assert [one["lead_id"] for one in result["unclaimed_leads"]] == [late]
    assert result["unknown_leads"] == [{"hubspot_id": "404", "lead_id": unknown}]
    assert (result["doubled"], result["unclaimed"], result["not_compared"]) == (1, 1, [])
    assert three.type("report --csv held.csv").code == 0
    table = (three.folder / "held.csv").read_text(encoding="utf-8-sig")
    assert f'"doubled","lead {first} is the one to keep; there too: {copy}"' in table
    assert three.type(PUSH).out == "0 posted · 1 adopted (already in LeadGenius)\n"


def test_a_lead_whose_contact_has_no_email_now_waits_for_one_and_not_for_a_push(three):
    assert three.type(PUSH).code == 0
    three.sandbox.add_contact({"firstname": "Ada"}, contact_id="4")
    assert three.type("stage").code == 0
    late = three.sandbox.add_lead({"notes": record_line(three.sandbox.portal_id, "4")})
    done = three.type(VERIFY)
    assert (done.code, done.out.splitlines()[1]) == (
        1,
        f"lead {late} is contact 4's, which is no_email here; correct its e-mail in HubSpot, then "
        "migrator stage, and the next push takes it over",
    )
    assert "migrator push" not in three.type("report").out
    three.sandbox.change_contact("4", email="ada4@x.example")
    assert three.type("stage").code == 0
    assert three.type(PUSH).out == "0 posted · 1 adopted (already in LeadGenius)\n"


def test_of_very_many_names_the_first_are_shown(three, monkeypatch):
    monkeypatch.setattr("migrator.cli.verify.NAMED_ON_THE_SCREEN", 2)
    for number in range(3):
        three.sandbox.add_lead({"notes": record_line(three.sandbox.portal_id, f"40{number}")})
    assert three.type(PUSH).code == 0
    lines = three.type(VERIFY).out.splitlines()
    assert len(lines) == 4
    assert lines[-1] == "and more like these: migrator verify --json"


def faults(journey: Journey) -> list[Any]:
    lines: list[str] = []
    audit(journey.ledger.path, journey.sandbox.leads(), lines.append)
    return [line for line in map(json.loads, lines) if line["kind"] == "fault"]


def test_a_different_one_that_is_put_right_is_healed(journey):
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
    ledger.holds.release(Hold.DIFFERENT, None)
    assert journey.push().posted == 0
    assert verify(journey).different == 1
    assert standing(journey, hubspot_id) == ("posted", "different", "title")


# Doubled, and strangers ------------------------------------------------------------------------


def test_a_second_lead_with_the_same_line_is_named(journey):
    hubspot_id, lead_id = ids(journey)
    copy = journey.sandbox.add_lead(lead(journey, lead_id))
    found = verify(journey)
    assert found.doubled_contacts == (DuplicateLeads(hubspot_id, lead_id, f"{lead_id}, {copy}"),)
    assert (found.verified, found.left_for_a_person) == (CONTACTS, 1)
    assert found.strangers == 0
    why = f"lead {lead_id} is the one to keep; there too: {copy}"
    assert standing(journey, hubspot_id) == ("verified", "doubled", why)
    # It stays so until it is settled.
    assert verify(journey).left_for_a_person == 1
    assert [one["rule"] for one in faults(journey)] == ["listed"]


@pytest.mark.parametrize("email", ["ada0@x.example", " ADA0@X.Example"])
def test_a_lead_added_by_hand_with_the_same_email_is_named(journey, email):
    hubspot_id, lead_id = ids(journey)
    other = journey.sandbox.add_lead({"firstName": "A", "lastName": "B", "email": email})
    doubled = verify(journey).doubled_contacts
    assert doubled == (DuplicateLeads(hubspot_id, lead_id, f"{lead_id}, {other}"),)
    assert [one["rule"] for one in faults(journey)] == ["listed"]


@pytest.mark.parametrize(
    "email", ["<ada0@b\u00fccher.example>;", "Ada <ADA0@xn--bcher-kva.example>"]
)
def test_the_judge_knows_an_e_mail_in_any_spelling_too(sandbox, ledger, email):
    journey = Journey(sandbox(contacts=0), ledger)
    journey.sandbox.add_contact(contact(0, email="ada0@b\u00fccher.example"))
    journey.stage()
    journey.push()
    journey.sandbox.add_lead({"firstName": "A", "email": email})
    assert verify(journey).doubled == 1
    assert [one["rule"] for one in faults(journey)] == ["listed"]


def test_a_lead_of_another_portal_with_the_same_email_is_no_double(journey):
    notes = record_line("555", "777")
    journey.sandbox.add_lead({"email": "ada0@x.example", "firstName": "A", "notes": notes})
    found = verify(journey)
    assert (found.verified, found.doubled, found.strangers) == (CONTACTS, 0, 1)
    assert faults(journey) == []


def test_two_leads_that_were_merged_are_no_fault_to_anybody(journey, ledger):
    kept, gone = ids(journey, 0)[1], ids(journey, 1)[1]
    hubspot_id = ids(journey, 1)[0]
    notes = lead(journey, kept)["notes"] + "\n" + lead(journey, gone)["notes"]
    change(journey, kept, notes=notes)
    journey.sandbox.delete_lead(gone)
    assert (verify(journey).missing, faults(journey)) == (1, [])
    ledger.holds.release(Hold.MISSING, None)
    assert journey.push().posted == 0
    assert standing(journey, hubspot_id)[1] == "already_in_destination"
    assert (verify(journey).doubled, faults(journey)) == (0, [])


def test_a_double_that_is_taken_away_is_forgotten(journey):
    copy = journey.sandbox.add_lead(lead(journey, ids(journey)[1]))
    assert verify(journey).doubled == 1
    journey.sandbox.delete_lead(copy)
    assert verify(journey).doubled == 0
    assert counts(journey) == ALL_VERIFIED


def test_a_second_lead_that_is_marked_as_a_duplicate_is_none(journey):
    journey.sandbox.add_lead(lead(journey, ids(journey)[1]) | MARKS[1])
    found = verify(journey)
    assert (found.doubled, found.removed, found.strangers) == (0, 1, 0)
    assert faults(journey) == []


def test_doubles_on_different_pages_are_found(paged):
    expected = set()
    for place in range(CONTACTS):
        hubspot_id, lead_id = ids(paged, place)
        paged.sandbox.add_lead(lead(paged, lead_id))
        expected.add(hubspot_id)
    assert {one.hubspot_id for one in verify(paged).doubled_contacts} == expected


def test_strangers_are_counted_and_left_alone(journey):
    for number in range(3):
        journey.sandbox.add_lead({"email": f"stranger{number}@y.example", "firstName": "S"})
    journey.sandbox.add_lead({"firstName": "No e-mail at all"})
    journey.sandbox.add_lead({"notes": record_line("999", ids(journey)[0])})  # another portal's
    found = verify(journey)
    assert (found.strangers, found.verified, found.doubled) == (5, CONTACTS, 0)
    assert found.left_for_a_person == 0


def test_no_more_leads_are_looked_at_than_there_are(journey):
    journey.sandbox.add_lead(lead(journey, ids(journey)[1]))
    shown: list[Any] = []
    journey.verify(pause=Pauses(), notice=shown.append)
    assert [(one["leads"], one["total"]) for one in shown] == [(CONTACTS + 1, CONTACTS + 1)]


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
    ledger.holds.release(Hold.ALREADY_IN_DESTINATION, None)
    assert journey.push().posted == 1
    found = verify(journey)
    assert (found.verified, found.doubled, found.strangers) == (1, 0, 1)
    assert faults(journey) == []


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
    assert verify(paged).doubled == len(copies)


def test_what_is_sent_after_an_interruption_is_verified_too(paged):
    with pytest.raises(Interrupted):
        verify(paged, Pauses(stop_after_pages=3))
    for number in range(10, 15):
        paged.sandbox.add_contact(contact(number))
    paged.stage()
    assert paged.push().posted == 5
    assert verify(paged).verified == CONTACTS + 5


@pytest.mark.parametrize("fault", ["short_page", "empty_page"])
@pytest.mark.parametrize("times", [1, 3])
def test_a_short_page_is_not_the_end(paged, fault, times):
    paged.sandbox.fault(fault, times)
    pauses = Pauses()
    assert verify(paged, pauses).verified == CONTACTS
    assert pauses.waited == []


def test_the_other_name_of_the_cursor_is_followed(sandbox, ledger):
    journey = arrived(sandbox(contacts=0, page_limit=2, cursor_name="nextToken"), ledger)
    found = verify(journey)
    assert (found.verified, found.pages) == (CONTACTS, 4)


def test_a_cursor_that_comes_back_concludes_nothing(paged):
    paged.sandbox.delete_lead(ids(paged)[1])
    paged.sandbox.fault("repeat_cursor")
    with pytest.raises(ServiceDown, match="a second time"):
        verify(paged)
    assert counts(paged) == ALL_POSTED
    verify(paged)
    assert counts(paged) == ONE_MISSING


def test_empty_pages_without_end_conclude_nothing(paged, monkeypatch):
    monkeypatch.setattr("migrator.leadgenius.api.MOST_EMPTY_PAGES", 5)
    paged.sandbox.delete_lead(ids(paged)[1])
    paged.sandbox.fault("empty_page", times=5)
    with pytest.raises(ServiceDown, match="5 empty pages in a row; its list would never end"):
        verify(paged)
    assert counts(paged) == ALL_POSTED
    paged.sandbox.fault("empty_page", times=4)
    verify(paged)
    assert counts(paged) == ONE_MISSING


def test_a_destination_that_fails_in_the_middle_concludes_nothing(paged):
    paged.sandbox.fault("list_error", 99, where=lambda query: "lastKey" in query)
    with pytest.raises(ServiceDown):
        verify(paged)
    paged.sandbox.calm()
    assert counts(paged) == ALL_POSTED
    assert verify(paged).verified == CONTACTS


@pytest.mark.parametrize("fault", ["list_error", "list_drop"])
def test_trouble_that_passes_is_sat_out(paged, fault):
    paged.sandbox.fault(fault, 3)
    assert verify(paged).verified == CONTACTS


def test_a_token_that_expires_in_the_middle_is_renewed(paged):
    paged.verify(pause=lambda seconds: paged.sandbox.expire_tokens())
    assert counts(paged) == ALL_VERIFIED


def test_a_contact_in_doubt_is_none_of_its_business(journey, ledger):
    journey.sandbox.add_contact(contact(50))
    journey.stage()
    (sendable,) = ledger.sendable.untried(9)
    ledger.attempts.record_intents(ledger.runs.begin_run("push"), [Intent(sendable.key, "0" * 64)])
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
        "edited": 0,
        "unclaimed": 0,
        "blocked": 0,
        "unknown": 0,
        "strangers": 0,
        "removed": 0,
        "in_doubt": 0,
        "odd": 0,
        "unreadable": 0,
    }


def test_the_lead_of_a_contact_in_doubt_is_no_stranger(journey):
    with journey.ledger.transaction():
        run = journey.ledger.runs.begin_run("push")
    journey.sandbox.add_contact(contact(77))
    journey.stage()
    (sendable,) = journey.ledger.sendable.untried(9)
    journey.ledger.attempts.record_intents(run, [Intent(sendable.key, "hash")])
    journey.sandbox.add_lead({**sendable.lead, "client_id": journey.sandbox.client_id})
    found = verify(journey)
    assert (found.strangers, found.in_doubt, found.verified) == (0, 1, CONTACTS)
