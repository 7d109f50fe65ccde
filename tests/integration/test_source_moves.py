"""What HubSpot has changed, merged and lost since the first stage, and what follows for it."""

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migrator.errors import Interrupted
from migrator.ledger import AttemptResult, Intent
from migrator.mapping import parse, record_line
from migrator.sandbox import Sandbox
from migrator.states import Hold, Outcome
from tests.support.journeys import Journey, contact
from tests.support.processes import Operator

PRIMARY = "contact_to_company"


@pytest.fixture
def journey(sandbox, ledger) -> Journey:
    """An empty portal, for contacts of the test's own."""
    return Journey(sandbox(contacts=0), ledger)


def row(journey: Journey, hubspot_id: str) -> dict[str, Any]:
    names = "key state held gone merged_into succeeded_by lead new_lead changed_ms lead_id source"
    (found,) = journey.ask(
        f"SELECT {', '.join(names.split())} FROM contact WHERE hubspot_id = '{hubspot_id}'"
    )
    values = dict(zip(names.split(), found, strict=True))
    decoded = {name: json.loads(values[name] or "null") for name in ("lead", "new_lead", "source")}
    return {**values, **decoded}


def standing(journey: Journey, hubspot_id: str) -> tuple[Any, ...]:
    found = row(journey, hubspot_id)
    return found["state"], found["held"], found["gone"]


def detail(journey: Journey, hubspot_id: str) -> str | None:
    return journey.ledger.lookup.summaries([row(journey, hubspot_id)["key"]])[0].detail


def leave_in_doubt(journey: Journey, hubspot_id: str) -> int:
    """A contact is sent, and nobody knows what came of it."""
    key = row(journey, hubspot_id)["key"]
    run = journey.ledger.runs.begin_run("push")
    journey.ledger.attempts.record_intents(run, [Intent(key, "0" * 64)])
    return int(key)


def settle(journey: Journey, key: int, outcome: Outcome, lead_id: str | None = None) -> None:
    journey.ledger.attempts.record_results([AttemptResult(key, outcome, lead_id=lead_id)])


def emails(journey: Journey) -> list[str]:
    return sorted(lead["email"] for lead in journey.sandbox.held)


# What changed ----------------------------------------------------------------------------------


def test_the_new_lead_of_a_sent_contact_is_kept_beside_the_old_one(journey):
    ada = journey.sandbox.add_contact(contact(1, jobtitle="Engineer"))
    journey.stage()
    journey.push()
    sent = row(journey, ada)
    journey.sandbox.change_contact(ada, jobtitle="Countess")
    assert journey.stage().changed_since_sent == 1
    found = row(journey, ada)
    assert found["new_lead"] == {**sent["lead"], "title": "Countess"}
    assert (found["lead"], found["lead_id"]) == (sent["lead"], sent["lead_id"])
    assert found["source"]["properties"]["jobtitle"] == "Countess"
    assert found["changed_ms"] is not None
    assert journey.push().posted == 0

    journey.sandbox.change_contact(ada, jobtitle="Engineer")
    assert journey.stage().changed_since_sent == 0
    assert row(journey, ada) == sent


def test_a_sent_contact_without_a_usable_e_mail_has_changed_and_has_no_new_lead(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    journey.push()
    journey.sandbox.change_contact(ada, jobtitle="Countess")
    journey.stage()
    journey.sandbox.change_contact(ada, email="nobody")
    assert journey.stage().changed_since_sent == 1
    found = row(journey, ada)
    assert (found["new_lead"], found["changed_ms"] is None) == (None, False)


def test_a_change_during_a_doubt_is_kept_once_the_lead_is_found(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    key = leave_in_doubt(journey, ada)
    journey.sandbox.change_contact(ada, jobtitle="Countess")
    assert journey.stage().changed_since_sent == 1
    assert row(journey, ada)["new_lead"] is None
    settle(journey, key, Outcome.FOUND, "L1")
    assert journey.stage().changed_since_sent == 1
    assert row(journey, ada)["new_lead"]["title"] == "Countess"


def test_a_change_during_a_doubt_is_sent_if_the_lead_did_not_arrive(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    key = leave_in_doubt(journey, ada)
    journey.sandbox.change_contact(ada, jobtitle="Countess")
    journey.stage()
    settle(journey, key, Outcome.ABSENT)
    assert standing(journey, ada) == ("extracted", None, None)
    journey.stage()
    assert journey.push(is_taken_over=True).posted == 1
    assert journey.sandbox.held[0]["title"] == "Countess"


def test_a_change_during_a_doubt_that_was_taken_back_is_none(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    key = leave_in_doubt(journey, ada)
    journey.sandbox.change_contact(ada, jobtitle="Countess")
    journey.stage()
    journey.sandbox.change_contact(ada, jobtitle="")
    assert journey.stage().changed_since_sent == 0
    settle(journey, key, Outcome.ABSENT)
    assert standing(journey, ada) == ("mapped", None, None)


def test_a_renamed_company_changes_the_leads_of_its_contacts(journey):
    firm = journey.sandbox.add_company(name="Engines")
    sent = journey.sandbox.add_contact(contact(1), [(firm, PRIMARY)])
    journey.stage()
    journey.push()
    unsent = journey.sandbox.add_contact(contact(2), [(firm, PRIMARY)])
    journey.stage()
    journey.sandbox._portal.company(firm).properties["name"] = "Looms"
    counters = journey.stage()
    assert (counters.changed, counters.changed_since_sent) == (1, 1)
    assert row(journey, sent)["new_lead"]["companyName"] == "Looms"
    assert row(journey, unsent)["lead"]["companyName"] == "Looms"


def test_a_contact_without_an_email_is_mapped_once_its_company_has_one(journey):
    firm = journey.sandbox.add_company(name="Engines")
    ada = journey.sandbox.add_contact({**contact(1), "email": ""}, [(firm, PRIMARY)])
    rules = parse(
        '[fields]\nfirstName = "firstname"\nlastName = "lastname"\n'
        'email = ["email", "company.office_email"]\n'
    )
    journey.stage(rules)
    assert standing(journey, ada) == ("extracted", "no_email", None)
    assert journey.stage().changed == 0
    journey.sandbox._portal.company(firm).properties["office_email"] = "office@engines.example"
    assert journey.stage().changed == 1
    assert row(journey, ada)["lead"]["email"] == "office@engines.example"


def test_each_company_is_read_once_a_scan(journey):
    firm = journey.sandbox.add_company(name="Engines")
    for number in range(3):
        journey.sandbox.add_contact(contact(number), [(firm, PRIMARY)])
    journey.stage()
    journey.stage()
    asked = [one for one in journey.sandbox.received if one.path.endswith("companies/batch/read")]
    assert len(asked) == 2


def test_a_missing_lead_that_is_sent_again_is_sent_as_hubspot_has_it_now(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    journey.push()
    journey.sandbox.change_contact(ada, jobtitle="Countess")
    journey.stage()
    journey.ledger.holds.hold(row(journey, ada)["key"], Hold.MISSING, "not listed")
    assert journey.ledger.holds.release(Hold.MISSING, [ada]) == 1
    journey.stage()
    found = row(journey, ada)
    assert (found["state"], found["lead"]["title"]) == ("mapped", "Countess")
    assert (found["new_lead"], found["changed_ms"]) == (None, None)


def test_what_was_undone_stays_undone_when_it_changes(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    journey.ledger.holds.hold(row(journey, ada)["key"], Hold.UNDONE, "by a person")
    journey.sandbox.change_contact(ada, jobtitle="Countess")
    journey.stage()
    journey.stage(parse(LEAST))
    assert standing(journey, ada) == ("mapped", "undone", None)
    assert journey.ledger.counts.moved() == (0, 0)
    journey.ledger.holds.release(Hold.UNDONE, [ada])
    journey.stage()
    assert row(journey, ada)["lead"]["lastName"] == "Countess"


LEAST = '[fields]\nemail = "email"\nfirstName = "firstname"\nlastName = "jobtitle"\n'


# What is gone ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "why", "words"),
    [
        ("archived", "archived", "archived in HubSpot"),
        ("erased", "unknown", "HubSpot does not have it any more"),
    ],
)
def test_what_is_gone_before_it_was_sent_is_held_and_freed_when_it_is_back(
    journey, how, why, words
):
    ada, bob = (journey.sandbox.add_contact(contact(number)) for number in (1, 2))
    journey.stage()
    journey.sandbox._portal.remove_contact(ada, how)
    assert journey.stage().gone == 1
    assert standing(journey, ada) == ("mapped", "gone", why)
    assert detail(journey, ada) == words
    assert journey.push().posted == 1
    assert journey.ledger.holds.release(None, None) == 0
    assert journey.ledger.holds.release_named([row(journey, ada)["key"]]).freed == 0
    assert journey.stage().gone == 1

    journey.sandbox.restore_contact(ada)
    counters = journey.stage()
    assert (counters.gone, counters.new, standing(journey, ada)) == (0, 0, ("mapped", None, None))
    assert journey.push().posted == 1
    assert emails(journey) == ["ada1@x.example", "ada2@x.example"]
    assert standing(journey, bob) == ("posted", None, None)


def test_what_is_gone_after_it_was_sent_is_marked_and_named(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    journey.push()
    journey.sandbox.remove_contact(ada)
    assert journey.stage().gone == 1
    assert standing(journey, ada) == ("posted", None, "archived")
    assert journey.ledger.counts.gone(9) == (1, [ada])
    journey.sandbox.restore_contact(ada)
    assert journey.stage().gone == 0
    assert standing(journey, ada) == ("posted", None, None)


def test_a_contact_that_cannot_be_sent_is_gone_all_the_same(journey):
    ada = journey.sandbox.add_contact({"firstname": "Ada"})
    journey.stage()
    journey.sandbox.remove_contact(ada)
    journey.stage()
    assert standing(journey, ada) == ("extracted", "gone", "archived")
    journey.stage(parse(LEAST))  # another mapping frees nothing that is gone
    assert standing(journey, ada) == ("extracted", "gone", "archived")
    journey.sandbox.restore_contact(ada)
    journey.stage()
    assert standing(journey, ada) == ("extracted", "no_email", None)


def test_another_mapping_waits_for_what_is_gone(journey):
    ada = journey.sandbox.add_contact(contact(1, jobtitle="Countess"))
    journey.stage()
    journey.sandbox.remove_contact(ada)
    journey.stage()
    journey.stage(parse(LEAST))
    assert standing(journey, ada) == ("mapped", "gone", "archived")
    journey.sandbox.restore_contact(ada)
    journey.stage()
    assert row(journey, ada)["lead"]["lastName"] == "Countess"


def test_one_in_doubt_is_held_as_gone_once_it_is_absent(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    key = leave_in_doubt(journey, ada)
    journey.sandbox.remove_contact(ada)
    journey.stage()
    assert standing(journey, ada) == ("mapped", None, "archived")
    changed = journey.ledger.attempts.record_results([AttemptResult(key, Outcome.ABSENT)])
    assert changed.held == {key: Hold.GONE}
    assert standing(journey, ada) == ("mapped", "gone", "archived")
    assert journey.ledger.sendable.untried(9) == []


def test_one_in_doubt_that_had_arrived_is_posted_and_gone(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    key = leave_in_doubt(journey, ada)
    journey.sandbox.remove_contact(ada)
    journey.stage()
    settle(journey, key, Outcome.FOUND, "L1")
    assert standing(journey, ada) == ("posted", None, "archived")


def test_one_in_doubt_that_is_back_is_as_before(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    leave_in_doubt(journey, ada)
    journey.sandbox.remove_contact(ada)
    journey.stage()
    journey.sandbox.restore_contact(ada)
    journey.stage()
    assert standing(journey, ada) == ("mapped", None, None)
    assert len(journey.ledger.attempts.in_doubt()) == 1


def test_what_was_held_for_another_reason_is_held_for_it_again_when_it_is_back(journey):
    ada = journey.sandbox.add_contact(contact(1))
    twin = journey.sandbox.add_contact(contact(1))
    journey.stage()
    journey.sandbox.remove_contact(twin)
    journey.stage()
    assert standing(journey, twin) == ("mapped", "gone", "archived")
    journey.sandbox.restore_contact(twin)
    journey.stage()
    assert standing(journey, twin) == ("mapped", "duplicate_email", None)
    assert standing(journey, ada) == ("mapped", None, None)


def test_a_lead_that_is_not_ours_is_respected_again_when_its_contact_is_back(journey):
    ada = journey.sandbox.add_contact(contact(1))
    client = {"client_id": journey.sandbox.client_id}
    journey.sandbox.add_lead({**client, "firstName": "A", "email": "ada1@x.example"})
    journey.stage()
    journey.push()
    assert standing(journey, ada) == ("mapped", "already_in_destination", None)
    journey.sandbox.remove_contact(ada)
    journey.stage()
    journey.sandbox.restore_contact(ada)
    journey.stage()
    assert standing(journey, ada) == ("mapped", None, None)
    assert journey.push().posted == 0
    assert standing(journey, ada) == ("mapped", "already_in_destination", None)


def test_retry_of_an_undone_contact_that_is_gone_holds_it_as_gone(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    journey.ledger.holds.hold(row(journey, ada)["key"], Hold.UNDONE, "by a person")
    journey.sandbox.remove_contact(ada)
    journey.stage()
    assert standing(journey, ada) == ("mapped", "undone", "archived")
    assert journey.ledger.holds.release(Hold.UNDONE, None) == 0
    assert standing(journey, ada) == ("mapped", "gone", "archived")
    assert detail(journey, ada) == "archived in HubSpot"


def test_what_the_list_lacks_and_hubspot_still_has_stays(journey):
    ada, bob = (journey.sandbox.add_contact(contact(number)) for number in (1, 2))
    journey.stage()
    listed = journey.sandbox._portal.contacts
    journey.sandbox._portal.contacts = lambda after=0: (c for c in listed(after) if c.id != bob)
    assert journey.stage().gone == 0
    assert standing(journey, bob) == ("mapped", None, None)
    assert standing(journey, ada) == ("mapped", None, None)


def test_a_scan_that_broke_off_concludes_nothing(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.sandbox.add_contact(contact(2))
    journey.stage()
    journey.sandbox.remove_contact(ada)
    journey.sandbox.outage("/crm/v3/objects/contacts", 401, method="GET")
    with pytest.raises(Exception, match="token"):
        journey.stage()
    assert standing(journey, ada) == ("mapped", None, None)
    journey.sandbox.calm()
    assert journey.stage().gone == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, {"category": "MISSING_SCOPES"}),
        (400, {"category": "VALIDATION_ERROR"}),
        (500, {}),
        (207, {"results": [], "numErrors": 1, "errors": [{"category": "INTERNAL_ERROR"}]}),
        (200, {"status": "PENDING", "results": []}),
        (200, {"status": "COMPLETE"}),
    ],
)
def test_what_cannot_be_read_by_its_id_is_not_gone(journey, status, body):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    journey.sandbox.remove_contact(ada)
    path = "/crm/v3/objects/contacts/batch/read"
    headers = {"Content-Type": "application/json"}
    journey.sandbox.outage(path, status, json.dumps(body).encode(), headers)
    counters = journey.stage()
    assert (counters.gone, counters.unread.contacts) == (0, 1)
    assert counters.unread.why
    assert standing(journey, ada) == ("mapped", None, None)
    journey.sandbox.calm()
    assert journey.stage().gone == 1


def test_without_a_batch_read_of_contacts_each_is_read_alone(journey):
    gone, kept = (journey.sandbox.add_contact(contact(number)) for number in (1, 2))
    journey.stage()
    journey.sandbox.remove_contact(gone)
    listed = journey.sandbox._portal.contacts
    journey.sandbox._portal.contacts = lambda after=0: (c for c in listed(after) if c.id != kept)
    journey.sandbox.outage("/crm/v3/objects/contacts/batch/read", 404, b'{"message": "none"}')
    assert journey.stage().gone == 1
    assert standing(journey, gone) == ("mapped", "gone", "archived")
    assert standing(journey, kept) == ("mapped", None, None)


def test_a_page_of_a_proxy_says_nothing_of_a_contact(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    journey.sandbox.remove_contact(ada)
    journey.sandbox.outage("/crm/v3/objects/contacts/", 404, b"<html>not here</html>")
    counters = journey.stage()
    assert (counters.gone, counters.unread.contacts) == (0, 1)


def test_more_than_a_batch_can_be_gone(journey):
    ids = [journey.sandbox.add_contact(contact(number)) for number in range(230)]
    journey.stage()
    for one in ids[:225]:
        journey.sandbox._portal.remove_contact(one, "erased")
    assert journey.stage().gone == 225
    assert journey.push().posted == 5


def test_a_stop_between_two_batches_loses_nothing(journey):
    for one in [journey.sandbox.add_contact(contact(number)) for number in range(150)]:
        journey.sandbox.add_contact({"email": f"{one}@y.example"})
    ids = [one for (one,) in journey.ask("SELECT hubspot_id FROM contact")]
    journey.stage()
    ids = [one for (one,) in journey.ask("SELECT hubspot_id FROM contact")]
    for one in ids[:290]:
        journey.sandbox.remove_contact(one)

    def stop() -> None:
        if journey.ledger.counts.moved()[1] >= 100:
            raise Interrupted("stopped", "go on", 2)

    with pytest.raises(Interrupted):
        journey.stage(check=stop)
    assert 100 <= journey.ledger.counts.moved()[1] < 290
    assert journey.stage().gone == 290
    assert journey.push().posted == 10


# What was merged -------------------------------------------------------------------------------


def merge(journey: Journey, primary: str, other: str) -> str:
    return str(journey.sandbox.merge_contacts(primary, other))


def test_of_merged_contacts_that_were_not_sent_only_the_new_one_is_sent(journey):
    ada, bob = (journey.sandbox.add_contact(contact(number)) for number in (1, 2))
    journey.stage()
    new = merge(journey, ada, bob)
    assert journey.stage().gone == 2
    assert [standing(journey, one) for one in (ada, bob)] == [("mapped", "gone", "merged")] * 2
    assert detail(journey, bob) == f"merged into contact {new}"
    assert standing(journey, new) == ("mapped", None, None)
    assert journey.push().posted == 1
    assert emails(journey) == ["ada1@x.example"]


@pytest.mark.parametrize("sent", ["primary", "other", "both"])
def test_the_new_one_succeeds_the_lead_that_has_its_e_mail_else_the_first(journey, sent):
    ada, bob = (
        journey.sandbox.add_contact(contact(number, jobtitle=f"Title {number}"))
        for number in (1, 2)
    )
    journey.stage()
    for one, when in ((ada, "primary"), (bob, "other")):
        if sent not in (when, "both"):
            journey.ledger.holds.hold(row(journey, one)["key"], Hold.REFUSED, "for now")
    journey.push()
    before = {one: row(journey, one) for one in (ada, bob)}
    new = merge(journey, bob, ada)  # its e-mail is Bob's
    journey.stage()
    heir = {"primary": ada, "other": bob, "both": bob}[sent]
    found, old = row(journey, new), row(journey, heir)
    assert (found["state"], found["held"], found["lead_id"]) == (
        *("posted", None),
        before[heir]["lead_id"],
    )
    assert found["lead"] == before[heir]["lead"]
    assert found["new_lead"]["email"] == "ada2@x.example"
    assert record_line(journey.sandbox.portal_id, new) in found["new_lead"]["notes"]
    assert (old["state"], old["held"], old["gone"], old["lead_id"]) == (
        *("mapped", "gone", "merged"),
        None,
    )
    assert old["succeeded_by"] == found["key"]
    rest = bob if heir == ada else ada
    assert row(journey, rest)["lead_id"] == before[rest]["lead_id"]
    assert row(journey, rest)["gone"] == "merged"
    assert journey.push().posted == 0
    counts = journey.verify()
    assert (counts.missing, counts.doubled, counts.unclaimed, counts.unknown) == (0, 0, 0, 0)
    assert standing(journey, new) == ("verified", None, None)
    assert journey.stage().changed_since_sent == 1


def test_a_chain_of_merges_passes_the_lead_on(journey):
    ada, bob, eve = (journey.sandbox.add_contact(contact(number)) for number in (1, 2, 3))
    journey.stage()
    journey.push()
    first = merge(journey, bob, ada)
    journey.stage()
    journey.verify()
    second = merge(journey, first, eve)
    journey.stage()
    key = row(journey, second)["key"]
    assert row(journey, second)["lead"]["email"] == "ada2@x.example"
    assert [row(journey, one)["succeeded_by"] for one in (bob, first)] == [key, key]
    assert {row(journey, one)["merged_into"] for one in (ada, bob, first, eve)} == {second}
    assert journey.push().posted == 0
    journey.verify()
    assert standing(journey, second) == ("verified", None, None)


def test_a_new_one_that_has_a_lead_keeps_it(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    journey.push()
    bob = journey.sandbox.add_contact(contact(2))
    journey.stage()
    journey.push()
    own = row(journey, bob)["lead_id"]
    journey.sandbox.change_contact(bob, hs_merged_object_ids=ada)
    journey.sandbox._portal.remove_contact(ada, "erased")
    journey.stage()
    assert row(journey, bob)["lead_id"] == own
    assert row(journey, ada)["lead_id"] is not None
    assert (row(journey, ada)["gone"], row(journey, ada)["merged_into"]) == ("merged", bob)


def test_the_new_one_waits_for_a_predecessor_in_doubt(journey):
    ada, bob = (journey.sandbox.add_contact(contact(number)) for number in (1, 2))
    journey.stage()
    key = leave_in_doubt(journey, ada)
    new = merge(journey, ada, bob)
    journey.stage()
    assert standing(journey, new)[0] == "mapped"
    assert journey.ledger.sendable.untried(9) == []
    settle(journey, key, Outcome.FOUND, "L1")
    found = row(journey, new)
    assert (found["state"], found["lead_id"]) == ("posted", "L1")
    assert standing(journey, ada) == ("mapped", "gone", "merged")
    assert found["new_lead"]["email"] == "ada1@x.example"


@pytest.mark.parametrize("is_primary", [True, False])
def test_the_new_one_is_sent_once_its_predecessor_is_absent(journey, is_primary):
    ada, bob = (journey.sandbox.add_contact(contact(number)) for number in (1, 2))
    journey.stage()
    in_doubt = ada if is_primary else bob
    leave_in_doubt(journey, in_doubt)
    new = merge(journey, ada, bob)
    journey.stage()
    assert journey.ledger.sendable.untried(9) == []
    assert journey.push(is_taken_over=True).posted == 1
    assert standing(journey, in_doubt) == ("mapped", "gone", "merged")
    assert row(journey, new)["lead_id"] == journey.sandbox.held[0]["id"]
    assert emails(journey) == ["ada1@x.example"]


def test_the_e_mail_counts_before_the_order(journey):
    ada, bob = (journey.sandbox.add_contact(contact(number)) for number in (1, 2))
    journey.stage()
    journey.push()
    lead_id = row(journey, bob)["lead_id"]
    new = merge(journey, ada, bob)
    journey.sandbox.change_contact(new, email="ada2@x.example")
    journey.stage()
    assert row(journey, new)["lead_id"] == lead_id


def test_a_merge_into_what_has_no_e_mail_leaves_the_lead(journey):
    ada = journey.sandbox.add_contact(contact(1))
    bob = journey.sandbox.add_contact(contact(2))
    journey.stage()
    journey.push()
    new = merge(journey, ada, bob)
    journey.sandbox.change_contact(new, email=None)
    journey.stage()
    assert standing(journey, new) == ("extracted", "no_email", None)
    assert standing(journey, ada) == ("posted", None, "merged")
    journey.sandbox.change_contact(new, email="new@x.example")
    journey.stage()
    assert row(journey, new)["state"] == "posted"
    assert row(journey, new)["lead"]["email"] == "ada1@x.example"  # the first of the two


def test_a_merged_contact_that_is_read_under_another_id_is_merged_into_that(journey):
    ada, bob = (journey.sandbox.add_contact(contact(number)) for number in (1, 2))
    journey.stage()
    new = merge(journey, ada, bob)
    journey.sandbox.change_contact(new, hs_merged_object_ids=None)  # the page does not tell
    journey.stage()
    assert (row(journey, ada)["gone"], row(journey, ada)["merged_into"]) == ("merged", new)
    assert journey.push().posted == 1


def test_a_list_that_still_has_the_old_ones_frees_none_of_them(journey):
    ada, bob = (journey.sandbox.add_contact(contact(number)) for number in (1, 2))
    new = journey.sandbox.add_contact(contact(3))
    journey.stage()
    journey.sandbox.change_contact(new, hs_merged_object_ids=f"{ada};{bob}")
    listed = journey.sandbox._portal.contacts
    journey.sandbox._portal.contacts = lambda after=0: iter(sorted(listed(after), key=first(new)))
    for _ in range(2):
        journey.stage()
        assert [standing(journey, one)[1:] for one in (ada, bob)] == [("gone", "merged")] * 2
    assert journey.push().posted == 1


def first(hubspot_id: str) -> Callable[[Any], bool]:
    """The key that sorts this contact to the front."""
    return lambda one: one.id != hubspot_id


def test_a_lead_with_the_predecessors_line_is_no_foreign_one(journey):
    ada, bob = (journey.sandbox.add_contact(contact(number)) for number in (1, 2))
    journey.stage()
    journey.push()
    new = merge(journey, ada, bob)
    journey.stage()
    key = row(journey, new)["key"]
    assert journey.ask(f"SELECT key FROM record_owner WHERE hubspot_id = '{ada}'") == [(key,)]
    # A new push looks first: were the line another's, it would wait for a quiet client.
    journey.sandbox.add_contact(contact(3))
    journey.stage()
    assert journey.push().posted == 1
    assert journey.ask("SELECT count(*) FROM foreign_lead") == [(0,)]
    assert journey.verify().left_for_a_person == 0


def test_a_duplicate_of_what_is_gone_is_freed(journey):
    ada = journey.sandbox.add_contact(contact(1))
    twin = journey.sandbox.add_contact(contact(1))
    journey.stage()
    assert standing(journey, twin) == ("mapped", "duplicate_email", None)
    journey.sandbox.remove_contact(ada)
    journey.stage()
    assert standing(journey, twin) == ("mapped", None, None)
    assert journey.push().posted == 1


def test_a_duplicate_succeeds_what_is_gone_and_has_a_lead(journey):
    ada = journey.sandbox.add_contact(contact(1))
    twin = journey.sandbox.add_contact(contact(1, jobtitle="Twin"))
    journey.stage()
    journey.push()
    lead_id = row(journey, ada)["lead_id"]
    journey.sandbox.remove_contact(ada)
    journey.stage()
    found = row(journey, twin)
    assert (found["state"], found["held"], found["lead_id"]) == ("posted", None, lead_id)
    assert found["new_lead"]["title"] == "Twin"
    assert standing(journey, ada) == ("mapped", "gone", "archived")
    assert journey.push().posted == 0
    assert journey.verify().left_for_a_person == 0


def test_a_duplicate_of_a_merged_contact_waits_for_the_new_one(journey):
    ada, bob, twin = (journey.sandbox.add_contact(contact(number)) for number in (1, 2, 1))
    journey.stage()
    journey.push()
    new = merge(journey, ada, bob)
    journey.stage()
    assert row(journey, new)["state"] == "posted"
    assert standing(journey, twin) == ("mapped", "duplicate_email", None)


def test_a_merged_contact_that_hubspot_gives_again_is_not_sent_a_second_time(journey):
    ada, bob = (journey.sandbox.add_contact(contact(number)) for number in (1, 2))
    journey.stage()
    journey.push()
    new = merge(journey, ada, bob)
    journey.stage()
    journey.sandbox.restore_contact(ada)
    journey.sandbox.change_contact(new, hs_merged_object_ids=bob)
    journey.stage()
    assert standing(journey, ada) == ("mapped", "already_in_destination", None)
    assert journey.push().posted == 0


def test_the_sums_and_the_audit_close_after_a_merge(empty):
    ids = [empty.sandbox.add_contact(contact(number)) for number in (1, 2, 3)]
    empty.sandbox.add_contact(contact(3))
    for words in ("stage", "push --settle 0.4 --canary 0"):
        assert empty.type(words).code == 0
    empty.sandbox.merge_contacts(ids[0], ids[1])
    empty.sandbox.remove_contact(ids[2])
    done = empty.type("stage --json")
    result = json.loads(done.out.splitlines()[-1])
    assert (done.code, result["changed_since_sent"], result["gone"]) == (0, 2, 3)
    assert empty.type("verify --settle 0.4").code == 0
    assert empty.type("audit").code == 0
    report = json.loads(empty.type("report --json").out)
    assert report["sums"]["closes"] is True
    assert report["gone_after_posting"] == {"contacts": 1, "examples": [ids[1]]}
    assert "gone from HubSpot after being posted" in empty.type("report").out
    (shown,) = json.loads(empty.type(f"show {ids[0]} --json").out)["contacts"]
    assert shown["gone"]["why"] == "merged"
    assert shown["gone"]["successor"] == shown["gone"]["merged_into"]
    assert "merged into contact" in empty.type(f"show {ids[0]}").out


# Kills -----------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from migrator import cli
from migrator.ledger import source_moves
left = [int(sys.argv[1])]
whole = source_moves.SourceMoves.note_{what}
def cut(self, *args):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(self, *args)
source_moves.SourceMoves.note_{what} = cut
cli.main(["stage"])
"""


def stage_until_killed(sandbox: Sandbox, folder: Path, what: str, calls: int) -> None:
    operator = Operator(folder, sandbox, (sys.executable, "-c", KILLED.format(what=what)))
    done = operator.run(str(calls), HOME=str(folder))
    assert done.code == -signal.SIGKILL, done.err


@pytest.mark.parametrize(
    ("what", "calls"), [("gone", 0), ("gone", 1), ("merged", 0), ("merged", 1)]
)
def test_a_kill_at_any_step_leaves_what_the_next_stage_completes(empty, what, calls):
    ids = [empty.sandbox.add_contact(contact(number)) for number in range(240)]
    for words in ("stage", "push --rate max --limit 30 --settle 0.4 --canary 0"):
        assert empty.type(words).code == 0
    for one in ids[20:150]:
        empty.sandbox._portal.remove_contact(one, "erased")
    merged = empty.sandbox.merge_contacts(ids[0], ids[239])
    stage_until_killed(empty.sandbox, empty.folder, what, calls)
    assert empty.type("stage").code == 0
    assert empty.count("gone IS NOT NULL") == 132
    assert empty.count("held = 'gone'") == 122  # ten were sent, and the merged one has a successor
    assert empty.type("push --rate max --settle 0.4 --canary 0").code == 0
    sent = empty.sandbox.held
    assert len(sent) == 30 + 239 - 150
    assert len({lead["email"] for lead in sent}) == len(sent)
    assert empty.count(f"hubspot_id = '{merged}' AND state = 'posted'") == 1
