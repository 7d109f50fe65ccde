"""`migrator update`, end to end: HubSpot changes, people edit leads, the sandbox keeps record."""

from collections.abc import Callable
from typing import Any

import pytest

from migrator import connections
from migrator.counters import UpdateCounters
from migrator.errors import Interrupted, NotReady, StoppedEarly
from migrator.leadgenius import LeadPage
from migrator.ledger import Ledger
from migrator.ledger.attempts import MAX_ATTEMPTS
from migrator.mapping import email_key
from migrator.push import PushOptions
from migrator.rate_limit import RateLimiter, RateState
from migrator.signals import Signals
from migrator.states import Hold
from migrator.update import Preference, UpdateChoice, UpdatePlan, update
from migrator.update.changes import UpdateComparison
from tests.support.html_page import change
from tests.support.journeys import SETTLE, Journey, contact

CONTACTS = 12


@pytest.fixture
def sent(sandbox, ledger):
    """A journey whose contacts were sent and verified."""
    journey = Journey(sandbox(contacts=CONTACTS), ledger)
    journey.stage()
    journey.push()
    journey.verify()
    return journey


def run(
    journey: Journey,
    *,
    prefer: Preference = Preference.ASK,
    confirm: Callable[[UpdatePlan], bool] = lambda plan: True,
    limiter: RateLimiter | None = None,
    signals: Signals | None = None,
    **options: Any,
) -> UpdateCounters:
    chosen = {
        "portal_id": journey.sandbox.portal_id,
        "client_id": journey.sandbox.client_id,
        "settle_seconds": SETTLE,
        "workers": 4,
        **options,
    }
    service = journey.leadgenius()
    to = connections.BoundDestination(service, chosen["client_id"], chosen["portal_id"])
    try:
        with connections.hold_sender(journey.ledger, journey.settings(), to, "update") as sender:
            return update(
                journey.ledger,
                service,
                limiter or RateLimiter(RateState.unlimited()),
                PushOptions(**chosen),
                UpdateChoice(prefer=prefer),
                run_id=journey.ledger.runs.begin_run("update"),
                signals=signals or Signals(),
                confirm=confirm,
                sender=sender,
            )
    finally:
        journey.close()


def hubspot_ids(journey: Journey) -> list[str]:
    rows = journey.ask("SELECT hubspot_id FROM contact WHERE lead_id IS NOT NULL ORDER BY key")
    return [one for (one,) in rows]


def lead_of(journey: Journey, hubspot_id: str) -> dict[str, Any]:
    ((lead_id,),) = journey.ask(f"SELECT lead_id FROM contact WHERE hubspot_id = '{hubspot_id}'")
    (lead,) = [one for one in journey.sandbox.leads() if one["id"] == lead_id]
    return lead


def place(journey: Journey, hubspot_id: str) -> tuple[Any, ...]:
    ((state, held, new, changed),) = journey.ask(
        "SELECT state, held, new_lead, changed_ms IS NOT NULL FROM contact "
        f"WHERE hubspot_id = '{hubspot_id}'"
    )
    return state, held, new, changed


def puts(journey: Journey) -> int:
    return sum(one.method == "PUT" for one in journey.sandbox.received)


def test_a_change_at_hubspot_is_written_once_and_verified_again(sent):
    one, *_ = hubspot_ids(sent)
    sent.sandbox.change_contact(one, jobtitle="Countess")
    sent.stage()
    assert place(sent, one)[0] == "verified" and place(sent, one)[3]
    done = run(sent)
    assert (done.updated, done.conflicts, done.already) == (1, 0, 0)
    assert lead_of(sent, one)["title"] == "Countess"
    assert place(sent, one) == ("posted", None, None, 0)
    assert puts(sent) == 1
    assert run(sent).updated == 0
    assert puts(sent) == 1
    assert sent.verify().verified == 1


@pytest.mark.parametrize("refused", [0, 1])
def test_changes_on_several_pages_are_all_written_at_once(sandbox, ledger, refused):
    journey = Journey(sandbox(contacts=CONTACTS, page_limit=3), ledger)
    journey.stage()
    journey.push()
    journey.verify()
    for each in hubspot_ids(journey):
        journey.sandbox.change_contact(each, jobtitle="Countess")
    journey.stage()
    first, *_ = hubspot_ids(journey)
    if refused:
        lead_id = lead_of(journey, first)["id"]
        journey.sandbox.fault("update:forbidden", where=lambda lead: lead["id"] == lead_id)
    assert run(journey).updated == len(hubspot_ids(journey))
    assert {lead["title"] for lead in journey.sandbox.leads()} == {"Countess"}
    assert puts(journey) == len(hubspot_ids(journey)) + refused


def test_a_field_that_only_a_later_page_shows_is_written(sandbox, ledger):
    journey = Journey(sandbox(contacts=0, page_limit=1), ledger)
    journey.sandbox.give_lead_ids("a", "b")
    one = journey.sandbox.add_contact(contact(1))
    journey.sandbox.add_contact({**contact(2), "jobtitle": "Duke"})
    journey.stage()
    journey.push(workers=1)
    journey.sandbox.change_contact(one, jobtitle="Countess")
    journey.stage()
    assert run(journey).updated == 1
    assert [lead.get("title") for lead in journey.sandbox.leads()] == ["Countess", "Duke"]


def test_what_people_changed_is_a_conflict_with_its_three_values(sent):
    one, two, *_ = hubspot_ids(sent)
    was = lead_of(sent, one).get("title", "")
    sent.sandbox.change_contact(one, jobtitle="Countess")
    sent.sandbox.change_contact(two, jobtitle="Duke")
    sent.sandbox.change_lead(lead_of(sent, one)["id"], title="Boss")
    sent.stage()
    done = run(sent)
    assert (done.updated, done.conflicts) == (1, 1)
    assert lead_of(sent, one)["title"] == "Boss"
    assert place(sent, one)[:2] == ("verified", "conflict")
    ((detail,),) = sent.ask(f"SELECT detail FROM contact WHERE hubspot_id = '{one}'")
    assert f'"title": {{"sent": "{was}", "there": "Boss", "new": "Countess"}}' in detail
    assert run(sent, prefer=Preference.HUBSPOT).updated == 1
    assert lead_of(sent, one)["title"] == "Countess"
    assert place(sent, one) == ("posted", None, None, 0)


def test_nothing_is_written_without_a_yes(sent):
    one, *_ = hubspot_ids(sent)
    sent.sandbox.change_contact(one, jobtitle="Countess")
    sent.stage()
    plans: list[UpdatePlan] = []

    def refuse(plan: UpdatePlan) -> bool:
        plans.append(plan)
        return False

    run(sent, confirm=refuse)
    (row,) = plans[0].rows
    assert (row.hubspot_id, row.name, row.what, row.new) == (one, "title", "change", "Countess")
    assert puts(sent) == 0
    assert place(sent, one)[3] == 1


@pytest.mark.parametrize(
    "fault",
    ["update:hang_after_saving", "update:drop_before_saving", "update:error_after_saving"],
)
def test_an_update_in_doubt_is_settled_by_looking(sent, fault):
    one, two, *_ = hubspot_ids(sent)
    for each in (one, two):
        sent.sandbox.change_contact(each, jobtitle="Countess")
    sent.stage()
    sent.sandbox.fault(fault, times=1)
    assert run(sent).updated == 2
    assert [lead_of(sent, each)["title"] for each in (one, two)] == ["Countess"] * 2
    assert sent.ledger.counts.in_doubt() == 0
    assert sent.verify().different == 0


def test_an_answered_update_that_changes_nothing_stops_the_run(sent):
    for each in hubspot_ids(sent):
        sent.sandbox.change_contact(each, jobtitle="Countess")
    sent.stage()
    sent.sandbox.fault("update:ignore", times=99)
    with pytest.raises(StoppedEarly, match="shows the values of before"):
        run(sent)
    assert puts(sent) == 1


def test_a_service_whose_update_replaces_gets_whole_leads(sandbox, ledger):
    journey = Journey(sandbox(contacts=CONTACTS, quirks=["replacing_update"]), ledger)
    journey.stage()
    journey.push()
    journey.verify()
    before = {one["id"]: one for one in journey.sandbox.leads()}
    for each in hubspot_ids(journey):
        journey.sandbox.change_contact(each, jobtitle="Countess")
    journey.stage()
    with pytest.raises(StoppedEarly, match="were put back"):
        run(journey)
    assert run(journey).updated == len(hubspot_ids(journey)) - 1
    for lead in journey.sandbox.leads():
        assert lead["title"] == "Countess"
        rest = {"title", "updatedAt"}
        assert {k: v for k, v in lead.items() if k not in rest} == {
            k: v for k, v in before[lead["id"]].items() if k not in rest
        }


def note_of(journey: Journey, hubspot_id: str) -> list[str]:
    return str(lead_of(journey, hubspot_id)["notes"]).split("\n")


def test_the_line_of_a_changed_property_is_replaced_and_lines_of_people_stay(sent):
    one, *_ = hubspot_ids(sent)
    sent.sandbox.append_note(lead_of(sent, one)["id"], "Called on Monday, wants an offer")
    before = note_of(sent, one)
    sent.sandbox.change_contact(one, lifecyclestage="evangelist")
    sent.stage()
    assert run(sent).updated == 1
    after = note_of(sent, one)
    assert after[-1] == "Called on Monday, wants an offer"
    assert set(after) - set(before) == {"Lifecycle: evangelist"}
    assert len(after) in (len(before), len(before) + 1)
    assert sent.sandbox.verdict().edits.overwritten == []
    done = sent.verify()
    assert (done.verified, done.different, done.edited) == (1, 0, 0)


def test_an_edit_made_while_the_user_thinks_is_not_overwritten(sent):
    one, two, *_ = hubspot_ids(sent)
    for each in (one, two):
        sent.sandbox.change_contact(each, jobtitle="Countess")
    sent.stage()

    def edit(plan: UpdatePlan) -> bool:
        assert len(plan.to_write) == 2
        sent.sandbox.change_lead(lead_of(sent, one)["id"], title="Boss")
        return True

    done = run(sent, confirm=edit)
    assert (done.updated, done.conflicts) == (1, 1)
    assert lead_of(sent, one)["title"] == "Boss"
    assert place(sent, one)[1] == "conflict"
    assert sent.sandbox.verdict().edits.overwritten == []


def test_a_lead_that_is_not_there_is_missing_and_never_created(sent):
    one, *_ = hubspot_ids(sent)
    leads = len(sent.sandbox.leads())
    sent.sandbox.change_contact(one, jobtitle="Countess")
    sent.stage()
    sent.sandbox.delete_lead(lead_of(sent, one)["id"])
    done = run(sent)
    assert (done.updated, done.missing, done.left_for_a_person) == (0, 1, 1)
    assert len(sent.sandbox.leads()) == leads - 1
    assert place(sent, one)[1] == "missing"


def test_a_value_that_was_emptied_at_hubspot_is_named_and_not_sent(sent):
    one = next(each for each in hubspot_ids(sent) if lead_of(sent, each).get("title"))
    title = lead_of(sent, one)["title"]
    sent.sandbox.change_contact(one, jobtitle="")
    sent.stage()
    done = run(sent)
    assert (done.updated, done.not_cleared, done.left_for_a_person) == (0, 1, 0)
    assert lead_of(sent, one)["title"] == title
    assert puts(sent) == 0


def test_what_is_kept_rests_until_hubspot_changes_it_again(sent):
    one, *_ = hubspot_ids(sent)
    sent.sandbox.change_contact(one, jobtitle="Countess")
    sent.sandbox.change_lead(lead_of(sent, one)["id"], title="Boss")
    sent.stage()
    assert run(sent, prefer=Preference.LEADGENIUS).conflicts == 0
    assert place(sent, one)[1:] == (None, None, 0)
    assert sent.verify().edited == 1
    sent.stage()
    assert run(sent, prefer=Preference.HUBSPOT).updated == 0
    assert lead_of(sent, one)["title"] == "Boss"
    sent.sandbox.change_contact(one, jobtitle="Duchess")
    sent.stage()
    assert run(sent).conflicts == 1


def test_what_verify_holds_as_different_is_decided_in_the_same_way(sandbox, ledger):
    journey = Journey(sandbox(contacts=CONTACTS), ledger)
    journey.stage()
    journey.push()
    one, two, *_ = hubspot_ids(journey)
    for each in (one, two):
        journey.sandbox.change_lead(lead_of(journey, each)["id"], title="Boss")
    assert journey.verify().different == 2
    assert run(journey).updated == 0
    assert run(journey, prefer=Preference.HUBSPOT).updated == 2
    done = journey.verify()
    assert (done.different, done.verified) == (0, 2)


def test_what_was_done_already_is_told_and_nothing_is_sent(sent):
    one, *_ = hubspot_ids(sent)
    sent.sandbox.change_contact(one, jobtitle="Countess")
    sent.sandbox.change_lead(lead_of(sent, one)["id"], title="Countess")
    sent.stage()
    done = run(sent)
    assert (done.updated, done.already) == (0, 1)
    assert place(sent, one)[1:] == (None, None, 0)
    assert puts(sent) == 0


@pytest.mark.parametrize(
    ("there", "prefer"), [("new.", Preference.ASK), ("person.", Preference.LEADGENIUS)]
)
def test_the_old_email_of_a_contact_that_is_told_by_no_update_is_free(sent, there, prefer):
    one, *_ = hubspot_ids(sent)
    lead = lead_of(sent, one)
    sent.sandbox.change_contact(one, email=f"New.{lead['email']}")
    sent.sandbox.change_lead(lead["id"], email=f"{there}{lead['email']}")
    sent.stage()
    assert run(sent, prefer=prefer).left_for_a_person == 0
    assert puts(sent) == 0
    other = sent.sandbox.add_contact(
        {"firstname": "Ada", "lastname": "Two", "email": lead["email"]}
    )
    sent.stage()
    assert sent.push().posted == 1
    assert lead_of(sent, other)["email"] == lead["email"]
    (key,) = sent.ledger.lookup.find(f"new.{lead['email']}", email_key)
    assert sent.ledger.lookup.summaries([key])[0].hubspot_id == one


def test_a_lead_that_keeps_its_email_keeps_it_from_others_while_another_has_the_new_one(sent):
    one, two, *_ = hubspot_ids(sent)
    email = lead_of(sent, one)["email"]
    sent.sandbox.change_contact(one, email=lead_of(sent, two)["email"])
    sent.stage()
    assert run(sent, prefer=Preference.LEADGENIUS).left_for_a_person == 0
    assert lead_of(sent, one)["email"] == email
    other = sent.sandbox.add_contact({"firstname": "Ada", "lastname": "Two", "email": email})
    sent.stage()
    assert place(sent, other)[:2] == ("mapped", "duplicate_email")


@pytest.mark.parametrize("prefer", [Preference.ASK, Preference.LEADGENIUS])
def test_who_has_the_new_email_of_a_lead_and_was_not_sent_is_held_as_its_duplicate(sent, prefer):
    one, *_ = hubspot_ids(sent)
    lead = lead_of(sent, one)
    same = {"firstname": "Ada", "lastname": "Two", "email": f"same.{lead['email']}"}
    twin = sent.sandbox.add_contact(same)
    other = sent.sandbox.add_contact({**same, "email": "other@x.example"})
    sent.sandbox.change_contact(one, email=f"Same.{lead['email']}")
    if prefer is Preference.LEADGENIUS:
        sent.sandbox.change_lead(lead["id"], email="person@x.example")
    sent.stage()
    assert place(sent, twin)[:2] == ("mapped", None)
    assert run(sent, prefer=prefer).updated == (prefer is Preference.ASK)
    assert place(sent, twin)[:2] == ("mapped", "duplicate_email")
    # A person changes it, so that no listing shows the e-mail.
    sent.sandbox.change_lead(lead["id"], email="person@x.example")
    assert sent.push().posted == 1
    assert place(sent, other)[0] == "posted"
    assert place(sent, twin)[:2] == ("mapped", "duplicate_email")


def test_a_merged_contact_s_lead_becomes_the_successor_s(sent):
    one, two, *_ = hubspot_ids(sent)
    lead_id = lead_of(sent, one)["id"]
    new = sent.sandbox.merge_contacts(one, two)
    sent.stage()
    run(sent)
    (lead,) = [each for each in sent.sandbox.leads() if each["id"] == lead_id]
    assert f"/{new}]" in lead["notes"]
    assert lead["notes"].count("[HubSpot record:") == 1
    sent.ledger.foreign.among([])
    assert sent.verify().different == 0


@pytest.mark.parametrize("is_updated", [False, True])
def test_an_edit_of_a_lead_that_was_verified_stays_one_after_a_merge(sent, is_updated):
    one, two, *_ = hubspot_ids(sent)
    sent.sandbox.change_lead(lead_of(sent, one)["id"], title="Countess")
    new = sent.sandbox.merge_contacts(one, two)
    sent.stage()
    if is_updated:
        assert run(sent).updated == 1
    assert sent.verify().different == 0
    assert sent.ask(f"SELECT state, edited FROM contact WHERE hubspot_id = '{new}'") == [
        ("verified", "title")
    ]


@pytest.mark.parametrize("is_merged_first", [False, True])
def test_that_a_lead_before_it_was_verified_says_nothing_of_a_new_one(sent, is_merged_first):
    one, *_ = hubspot_ids(sent)
    two = sent.sandbox.add_contact(contact(99, email=""))
    sent.stage()
    if is_merged_first:
        one = sent.sandbox.merge_contacts(one, two)
        sent.stage()
        run(sent)
        sent.verify()
    sent.sandbox.delete_lead(lead_of(sent, one)["id"])
    sent.verify()
    sent.ledger.holds.release(Hold.MISSING, None, recreate=True)
    sent.stage()
    sent.push()
    sent.sandbox.change_lead(lead_of(sent, one)["id"], title="Countess")
    if not is_merged_first:
        sent.sandbox.merge_contacts(one, two)
        sent.stage()
    assert sent.verify().different == 1


def test_an_update_without_effect_stays_different_after_a_merge(sent):
    one, two, three, *_ = hubspot_ids(sent)
    sent.sandbox.change_contact(three, jobtitle="Duchess")
    sent.stage()
    run(sent)
    sent.sandbox.change_contact(one, jobtitle="Countess")
    sent.sandbox.fault("update:ignore")
    sent.stage()
    run(sent)
    new = sent.sandbox.merge_contacts(one, two)
    sent.stage()
    assert sent.verify().different == 1
    assert place(sent, new)[0] == "posted"


def test_a_service_that_takes_no_update_ends_the_run_and_holds_nobody(sent):
    for each in hubspot_ids(sent):
        sent.sandbox.change_contact(each, jobtitle="Countess")
    sent.stage()
    sent.sandbox.fault("update:error_without_saving", times=999)
    with pytest.raises(StoppedEarly, match="accepts no updates"):
        run(sent)
    assert sent.ask("SELECT count(*) FROM contact WHERE held = 'gave_up'") == [(0,)]
    sent.sandbox.calm()
    assert run(sent).updated == len(hubspot_ids(sent))


def test_a_field_that_the_listing_does_not_show_is_not_sent(sandbox, ledger):
    journey = Journey(sandbox(contacts=CONTACTS, quirks=["short_listing"]), ledger)
    journey.stage()
    journey.push()
    journey.verify()
    one, *_ = hubspot_ids(journey)
    before = lead_of(journey, one)
    journey.sandbox.append_note(before["id"], "Called on Monday")
    journey.sandbox.change_contact(one, jobtitle="Countess", lifecyclestage="customer")
    journey.stage()
    assert run(journey).updated == 1
    after = lead_of(journey, one)
    assert after["title"] == "Countess"
    assert after["notes"] == before["notes"] + "\nCalled on Monday"


def test_an_update_that_died_before_its_first_was_read_back_asks_the_question_again(
    sandbox, ledger
):
    journey = Journey(sandbox(contacts=CONTACTS, quirks=["replacing_update"]), ledger)
    journey.stage()
    journey.push()
    journey.verify()
    one, *_ = hubspot_ids(journey)
    before = lead_of(journey, one)
    journey.sandbox.change_contact(one, jobtitle="Countess")
    journey.stage()
    journey.sandbox.fault("list_error", times=99, where=lambda query: puts(journey) > 0)
    with pytest.raises(StoppedEarly):
        run(journey)
    assert "email" not in lead_of(journey, one)
    journey.sandbox.calm()
    with pytest.raises(StoppedEarly, match="were put back"):
        run(journey)
    rest = {"title", "updatedAt"}
    assert without(rest, lead_of(journey, one)) == without(rest, before)
    assert run(journey).updated == 0


def without(names: set[str], lead: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in lead.items() if name not in names}


def test_an_update_that_is_taken_frees_a_contact_that_was_refused(sent):
    one, *_ = hubspot_ids(sent)
    sent.sandbox.change_contact(one, jobtitle="Countess")
    sent.stage()
    sent.sandbox.fault("update:refuse", times=1)
    assert run(sent).left_for_a_person == 1
    assert place(sent, one)[1] == "refused"
    assert run(sent).left_for_a_person == 0
    assert place(sent, one)[:2] == ("posted", None)


def test_of_two_contacts_that_get_the_same_email_at_once_one_is_a_conflict(sent):
    one, two, *_ = hubspot_ids(sent)
    for each in (one, two):
        sent.sandbox.change_contact(each, email="both@x.example")
    sent.stage()
    done = run(sent)
    assert (done.updated, done.conflicts) == (1, 1)
    assert [lead["email"] for lead in sent.sandbox.leads()].count("both@x.example") == 1


@pytest.mark.parametrize("prefer", [Preference.ASK, Preference.HUBSPOT])
def test_an_email_of_a_lead_whose_contact_the_ledger_does_not_have_is_a_conflict(
    sandbox, ledger, prefer
):
    journey = Journey(sandbox(contacts=CONTACTS, page_limit=3), ledger)
    journey.stage()
    journey.push()
    # As another ledger sent it, to a contact that HubSpot has no more.
    line = f"[HubSpot record: {journey.sandbox.portal_id}/77]"
    other = journey.sandbox.add_lead({"email": "Moved@x.example", "notes": line})
    one, *_ = hubspot_ids(journey)
    journey.sandbox.change_contact(one, email="moved@x.example", jobtitle="Countess")
    journey.stage()
    planned: dict[str, str] = {}

    def confirm(plan: UpdatePlan) -> bool:
        planned.update((row.name, row.what) for row in plan.rows)
        return True

    done = run(journey, prefer=prefer, confirm=confirm)
    assert (done.updated, done.conflicts) == (1, 1)
    assert (planned["email"], planned["title"]) == ("conflict", "change")
    assert lead_of(journey, one)["title"] == "Countess"
    assert lead_of(journey, one)["email"] != "moved@x.example"
    journey.sandbox.delete_lead(other)
    assert (run(journey).conflicts, lead_of(journey, one)["email"]) == (0, "moved@x.example")


def test_a_value_of_before_our_last_update_is_no_proof_while_reads_may_lag(sandbox, ledger):
    journey = Journey(sandbox(contacts=CONTACTS), ledger)
    journey.stage()
    journey.push()
    journey.verify()
    one = next(each for each in hubspot_ids(journey) if lead_of(journey, each).get("title"))
    was = lead_of(journey, one)["title"]
    journey.sandbox.change_contact(one, jobtitle="Countess")
    journey.stage()
    run(journey)
    journey.sandbox.change_contact(one, jobtitle=was)
    journey.stage()
    plans: list[UpdatePlan] = []

    def refuse(plan: UpdatePlan) -> bool:
        plans.append(plan)
        return False

    run(journey, confirm=refuse)
    lead = {**lead_of(journey, one), "title": was}
    (plan,) = plans
    assert not plan.has_surprises
    comparison = UpdateComparison(journey.ledger, UpdateChoice())
    plan.clear()
    plan.take(LeadPage([lead], None), None, comparison)
    assert plan.has_surprises


def test_of_an_adopted_lead_only_what_was_written_is_known(sent, tmp_path):
    one, *_ = hubspot_ids(sent)
    sent.sandbox.change_lead(lead_of(sent, one)["id"], title="Boss")
    with Ledger.open_for_work(tmp_path / "new.db") as ledger:
        new = Journey(sent.sandbox, ledger)
        new.stage()
        assert new.push().adopted == CONTACTS or new.ledger.counts.to_send() == 0
        sent.sandbox.change_contact(one, lastname="Smith")
        new.stage()
        for updated in (1, 0):
            done = run(new)
            assert (done.updated, done.conflicts) == (updated, 1)
            ((detail,),) = new.ask(f"SELECT detail FROM contact WHERE hubspot_id = '{one}'")
            assert '"title": {"sent": null, "there": "Boss"' in detail
        lead = lead_of(new, one)
        assert (lead["title"], lead["lastName"]) == ("Boss", "Smith")


def test_a_duplicate_is_freed_by_the_update_that_gives_its_email_up(sent):
    first = hubspot_ids(sent)[0]
    email = lead_of(sent, first)["email"]
    twin = sent.sandbox.add_contact({"firstname": "Ada", "lastname": "Two", "email": email})
    sent.stage()
    sent.sandbox.change_contact(first, email="moved@x.example")
    sent.stage()
    assert place(sent, twin)[:2] == ("mapped", "duplicate_email")
    assert run(sent, confirm=lambda plan: False).freed == 0
    assert run(sent).freed == 1
    assert place(sent, twin)[:2] == ("mapped", None)
    assert sent.push().posted == 1
    assert lead_of(sent, twin)["email"] == email


class StoppedOnce(Signals):
    """As after a signal from the first PUT on."""

    def __init__(self, journey: Journey) -> None:
        super().__init__()
        self.journey, self.before = journey, puts(journey)

    @property
    def is_wanted(self) -> bool:
        return puts(self.journey) > self.before

    def check(self) -> None:
        if self.is_wanted:
            raise Interrupted("stopped", "go on", 2)


def test_a_duplicate_is_freed_after_an_update_that_was_stopped(sent):
    first, second = hubspot_ids(sent)[:2]
    sent.sandbox.change_contact(second, jobtitle="Countess")
    sent.stage()
    assert run(sent).updated == 1  # the trial is over
    email = lead_of(sent, first)["email"]
    twin = sent.sandbox.add_contact({"firstname": "Ada", "lastname": "Two", "email": email})
    sent.stage()
    sent.sandbox.change_contact(first, email="moved@x.example")
    sent.stage()
    with pytest.raises(Interrupted):
        run(sent, signals=StoppedOnce(sent))
    assert place(sent, first)[3] == 0
    assert run(sent, confirm=lambda plan: False).freed == 0  # as in a dry run
    assert place(sent, twin)[:2] == ("mapped", "duplicate_email")
    done = run(sent)
    assert (done.updated, done.freed) == (0, 1)
    assert place(sent, twin)[:2] == ("mapped", None)


@pytest.mark.parametrize(
    ("fault", "hold"), [("update:not_found", "missing"), ("update:refuse", "refused")]
)
def test_an_update_that_is_refused_holds_the_contact_and_a_404_means_no_lead(sent, fault, hold):
    one, *_ = hubspot_ids(sent)
    sent.sandbox.change_contact(one, jobtitle="Countess")
    sent.stage()
    sent.sandbox.fault(fault, times=1)
    run(sent)
    assert place(sent, one)[1] == hold


@pytest.mark.parametrize(
    ("fault", "hold", "sends"),
    [
        ("update:refuse", "conflict", 1),
        ("update:forbidden", "conflict", MAX_ATTEMPTS),
        ("update:not_found", "missing", 1),
    ],
)
def test_an_update_is_also_refused_of_a_contact_that_is_held(sent, fault, hold, sends):
    one, two, *_ = hubspot_ids(sent)
    lead_id = lead_of(sent, one)["id"]
    sent.sandbox.change_lead(lead_id, title="Boss")
    sent.sandbox.change_contact(one, jobtitle="Countess", lastname="Lovelace")
    sent.sandbox.change_contact(two, jobtitle="Countess")
    sent.stage()
    sent.sandbox.fault(fault, times=99, where=lambda lead: lead["id"] == lead_id)
    done = run(sent)
    assert (done.updated, done.left_for_a_person > 0, puts(sent)) == (1, True, 1 + sends)
    assert place(sent, one)[1] == hold


def test_a_refused_update_is_sent_once_by_each_later_update(sent):
    one, two, three, *_ = hubspot_ids(sent)
    lead_id = lead_of(sent, one)["id"]
    sent.sandbox.fault("update:refuse", times=99, where=lambda lead: lead["id"] == lead_id)
    for others, each in enumerate((two, three), start=1):
        sent.sandbox.change_contact(one, jobtitle=f"Countess {each}")
        sent.sandbox.change_contact(each, jobtitle="Countess")
        sent.stage()
        assert run(sent).left_for_a_person == 1
        assert (puts(sent), place(sent, one)[1]) == (2 * others, "refused")
    assert run(sent).left_for_a_person == 1
    assert puts(sent) == 5


def test_a_refused_update_stays_held_while_others_are_taken(sent):
    one, two, *_ = hubspot_ids(sent)
    lead_id = lead_of(sent, one)["id"]
    sent.sandbox.fault("update:refuse", where=lambda lead: lead["id"] == lead_id)
    sent.sandbox.change_contact(one, jobtitle="Countess")
    sent.stage()
    run(sent)
    # Its create had been given up while none was taken, before its lead was found.
    change(sent.ledger.path, f"UPDATE contact SET unproven = 1 WHERE hubspot_id = '{one}'")
    sent.sandbox.change_contact(one, jobtitle="Duchess")
    sent.sandbox.change_contact(two, jobtitle="Countess")
    sent.stage()
    sent.sandbox.fault("update:refuse", where=lambda lead: lead["id"] == lead_id)
    assert (run(sent).updated, place(sent, one)[1]) == (1, "refused")


def test_no_contact_is_held_if_all_updates_are_refused_with_one_answer(sandbox, ledger):
    journey = Journey(sandbox(contacts=40), ledger)
    journey.stage()
    journey.push()
    for each in hubspot_ids(journey):
        journey.sandbox.change_contact(each, jobtitle="Countess")
    journey.stage()
    journey.sandbox.fault("update:refuse", times=99)
    with pytest.raises(NotReady, match="refuses all updates with the same answer"):
        run(journey)
    assert {place(journey, each)[1] for each in hubspot_ids(journey)} == {None}
