"""The audit of updates and deletes: what people did was neither overwritten nor deleted."""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from migrator.errors import StoppedEarly
from migrator.ledger import AttemptResult, Intent
from migrator.states import Outcome, WriteKind
from migrator.update import Preference
from tests.integration.test_audit import proof, rules, tamper
from tests.integration.test_update import hubspot_ids, lead_of
from tests.integration.test_update import run as update
from tests.support.html_page import change
from tests.support.journeys import Journey


@dataclass
class Sent:
    """A ledger whose contacts were sent, the leads that are listed, and one contact of them."""

    journey: Journey
    listed: list[dict[str, Any]]

    def __post_init__(self) -> None:
        self.key, self.contact, lead = self.journey.ask(
            "SELECT key, hubspot_id, lead_id FROM contact WHERE lead_id IS NOT NULL LIMIT 1"
        )[0]
        self.lead = next(one for one in self.listed if one["id"] == lead)
        self.run = self.journey.ledger.runs.begin_run("update")

    def update(self, **fields: str) -> None:
        """HubSpot has other values; they are sent over what is listed, and taken."""
        self.hubspot_gives(**fields)
        self.write(WriteKind.UPDATE, fields=fields, before=dict(self.lead))
        self.settle(Outcome.UPDATED)
        self.lead.update(fields)

    def hubspot_gives(self, **fields: str) -> None:
        self.change("changed_ms = 1, new_lead = json_patch(lead, ?)", json.dumps(fields))

    def change(self, sql: str, *values: str) -> None:
        """Change the contact as the product does: the ledger's triggers are in force."""
        change(
            self.journey.ledger.path, f"UPDATE contact SET {sql} WHERE key = {self.key}", *values
        )

    def write(self, kind: WriteKind, **more: Any) -> None:
        lead_id = self.lead["id"]
        ((lead,),) = self.journey.ask(f"SELECT lead FROM contact WHERE key = {self.key}")
        if kind is WriteKind.UPDATE:
            more = {"base": {**json.loads(lead), **more["fields"]}, **more}
        intent = Intent(self.key, sha256(lead_id), kind, lead_id)._replace(**more)
        self.journey.ledger.attempts.record_intents(self.run, [intent])

    def settle(self, outcome: Outcome) -> None:
        self.journey.ledger.attempts.record_results([AttemptResult(self.key, outcome)])

    def delete(self, lead: dict[str, Any] | None = None, **more: Any) -> None:
        """Delete a lead, by default its own."""
        lead = lead or self.lead
        more = {"before": dict(lead), **more}
        self.write(WriteKind.DELETE, lead_id=lead["id"], payload_hash=sha256(lead["id"]), **more)
        self.settle(Outcome.DELETED)
        self.listed.remove(lead)

    def taken_back(self) -> None:
        self.delete()
        self.change("state = 'mapped', lead_id = NULL, held = 'undone'")

    def faults(self) -> set[str]:
        return rules(proof(self.journey, self.listed))


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def sent(sandbox, ledger) -> Sent:
    journey = Journey(sandbox(contacts=6), ledger)
    journey.stage()
    journey.push()
    return Sent(journey, [dict(one) for one in journey.sandbox.leads()])


# What holds


def test_updates_of_what_leadgenius_was_told_hold_and_are_in_the_proof(sent):
    sent.update(firstName="Augusta")
    sent.update(firstName="Ada", jobTitle="Countess")
    lines = proof(sent.journey, sent.listed)
    assert rules(lines) == set()
    writes = [one for one in lines if one["kind"] == "send" and one["contact"] == sent.contact]
    assert [one["write"] for one in writes] == ["create", "update", "update"]
    assert [one["fields"] for one in writes] == [None, ["firstName"], ["firstName", "jobTitle"]]
    assert "Augusta" not in json.dumps(lines)


def test_a_value_that_was_there_already_is_the_base_from_then_on(sent):
    sent.hubspot_gives(firstName="Augusta")
    sent.lead["firstName"] = "Augusta"
    sent.change("lead = new_lead, new_lead = NULL")
    sent.update(firstName="Ada")
    assert sent.faults() == set()


def test_what_a_person_decided_holds_as_it_is_recorded(sent):
    sent.lead["firstName"] = "Countess"
    sent.hubspot_gives(firstName="Augusta")
    sent.write(
        WriteKind.UPDATE,
        fields={"firstName": "Augusta"},
        before=dict(sent.lead),
        overrode={"firstName": "prefer"},
    )
    sent.settle(Outcome.UPDATED)
    lines = proof(sent.journey, sent.listed)
    assert rules(lines) == set()
    assert [one["overrode"] for one in lines if one.get("overrode")] == [{"firstName": "prefer"}]


def test_a_value_that_a_replacing_update_emptied_may_be_put_back(sent):
    sent.lead["score"] = "hot"
    sent.update(firstName="Augusta")
    del sent.lead["score"]
    sent.write(WriteKind.UPDATE, fields={"score": "hot"}, before=dict(sent.lead))
    assert sent.faults() == set()


def test_an_undone_contact_has_a_reason_and_the_sums_close(sent):
    sent.taken_back()
    lines = proof(sent.journey, sent.listed)
    assert rules(lines) == set()
    assert lines[-1]["undone"] == 1
    assert lines[-1]["with_lead"] + lines[-1]["with_reason"] == lines[-1]["contacts"]


def test_a_lead_that_was_deleted_and_that_no_listing_has_shown_to_be_gone_yet_is_no_fault(sent):
    sent.delete()
    assert sent.faults() == set()


def test_a_doubled_lead_is_deleted_because_of_its_line(sent):
    double = {**sent.lead, "id": "second"}
    sent.listed.append(double)
    sent.delete(double, overrode={"doubled": "undo"})
    assert sent.faults() == set()


def merged(sent: Sent) -> None:
    """Another contact of HubSpot succeeds it, as after a merge."""
    path, old = sent.journey.ledger.path, f"(SELECT lead FROM contact WHERE key = {sent.key})"
    change(path, "INSERT INTO contact (hubspot_id, source) VALUES ('new', '{\"id\": \"new\"}')")
    change(path, "UPDATE checkpoint SET contacts_seen = contacts_seen + 1")
    ((new,),) = sent.journey.ask("SELECT key FROM contact WHERE hubspot_id = 'new'")
    to = "UPDATE contact SET state = '{}', {} WHERE key = {}"
    change(path, to.format("mapped", "lead = '{\"email\": \"x\"}', email_key = 'x'", new))
    sent.change(
        "state = 'mapped', lead_id = NULL, held = 'gone', gone = 'merged', merged_into = 'new', "
        f"succeeded_by = {new}"
    )
    change(path, to.format("posted", f"lead_id = ?, lead = {old}", new), sent.lead["id"])


def test_the_lead_of_a_successor_was_made_by_its_predecessor(sent):
    merged(sent)
    lines = proof(sent.journey, sent.listed)
    assert rules(lines) == set()
    assert lines[-1]["gone"] == 1
    (old,) = (one for one in lines if one["kind"] == "contact" and one["gone"])
    assert (old["contact"], old["merged_into"], old["successor"]) == (sent.contact, "new", "new")


@pytest.mark.parametrize("quirks", [[], ["replacing_update"]])
def test_what_the_product_updates_holds(sandbox, ledger, quirks):
    journey = Journey(sandbox(contacts=6, quirks=quirks), ledger)
    journey.stage()
    journey.push()
    one, two, three, four, *_ = hubspot_ids(journey)
    for contact in (one, two, three, four):
        journey.sandbox.change_contact(contact, jobtitle="Countess")
    for contact, title in ((two, "Boss"), (three, "Countess"), (four, "Chief")):
        journey.sandbox.change_lead(lead_of(journey, contact)["id"], title=title)
    journey.stage()
    with suppress(StoppedEarly):  # once it has put back what the first one emptied
        update(journey)
    update(journey)
    assert rules(proof(journey)) == set()
    decided = {"title": {"there": "Chief", "value": "CEO"}}
    change(
        journey.ledger.path,
        "UPDATE contact SET decided = ? WHERE hubspot_id = ?",
        json.dumps(decided),
        four,
    )
    update(journey)
    update(journey, prefer=Preference.HUBSPOT)
    assert {lead_of(journey, contact)["title"] for contact in (two, four)} == {"Countess", "CEO"}
    lines = proof(journey)
    assert rules(lines) == set()
    by = [one["overrode"] for one in lines if one["kind"] == "send" and one["overrode"]]
    assert sorted(map(str, by)) == ["{'title': 'amend'}", "{'title': 'prefer'}"]


# What does not


def overwritten(sent: Sent) -> None:
    sent.lead["firstName"] = "Countess"
    sent.update(firstName="Augusta")


def overwritten_without_a_before_image(sent: Sent) -> None:
    sent.write(WriteKind.UPDATE, fields={"firstName": "Augusta"})


def a_line_lost(sent: Sent) -> None:
    ours = sent.lead["notes"]
    sent.lead["notes"] = f"{ours}\nCall her on Monday."
    sent.update(notes=f"{ours}\nphone: 1")


def another_line_lost_by_preference(sent: Sent) -> None:
    ours = sent.lead["notes"]
    sent.lead["notes"] = f"{ours}\nCall her on Monday."
    sent.hubspot_gives(notes=ours)
    sent.write(
        WriteKind.UPDATE,
        fields={"notes": ours},
        before=dict(sent.lead),
        overrode={"notes": "prefer"},
    )
    sent.settle(Outcome.UPDATED)


def a_base_out_of_nothing(sent: Sent) -> None:
    """What is there was taken for what was told, so that it could be overwritten."""
    sent.lead["firstName"] = "Countess"
    sent.change("lead = json_set(lead, '$.firstName', 'Countess')")
    sent.update(firstName="Augusta")


def another_lead_deleted(sent: Sent) -> None:
    other = {"id": "theirs", "email": "theirs@x.example"}
    sent.listed.append(other)
    sent.delete(other)


def an_adopted_one_without_a_word(sent: Sent) -> None:
    adopted = {**sent.lead, "id": "adopted"}
    sent.listed.append(adopted)
    sent.delete(adopted)


def one_without_our_line(sent: Sent) -> None:
    other = {**sent.lead, "id": "theirs", "notes": "mine"}
    sent.listed.append(other)
    sent.delete(other, overrode={"doubled": "undo"})


def an_edited_one_deleted(sent: Sent) -> None:
    sent.lead["firstName"] = "Countess"
    sent.taken_back()


def one_with_a_note_deleted(sent: Sent) -> None:
    sent.lead["notes"] += "\nCall her on Monday."
    sent.taken_back()


def one_whose_status_changed_deleted(sent: Sent) -> None:
    change(sent.journey.ledger.path, "UPDATE attempt SET made_status = 'new'")
    sent.lead["status"] = "won"
    sent.taken_back()


def one_of_another_client_deleted(sent: Sent) -> None:
    sent.lead["client_id"] = "another"
    sent.taken_back()


def still_listed(sent: Sent) -> None:
    sent.taken_back()
    sent.listed.append(sent.lead)


def a_successor_of_another_lead(sent: Sent) -> None:
    merged(sent)
    sent.change("lead = json_set(lead, '$.firstName', 'x')")


BROKEN: Mapping[Callable[[Sent], None], str] = {
    overwritten: "values",
    overwritten_without_a_before_image: "values",
    a_line_lost: "values",
    another_line_lost_by_preference: "values",
    a_base_out_of_nothing: "base",
    another_lead_deleted: "deletes",
    an_adopted_one_without_a_word: "deletes",
    one_without_our_line: "deletes",
    an_edited_one_deleted: "deletes",
    one_with_a_note_deleted: "deletes",
    one_whose_status_changed_deleted: "deletes",
    one_of_another_client_deleted: "deletes",
    still_listed: "undone",
    a_successor_of_another_lead: "base",
}


@pytest.mark.parametrize(
    ("happened", "rule"), BROKEN.items(), ids=lambda one: getattr(one, "__name__", one)
)
def test_what_was_done_to_other_peoples_work_is_a_fault(sent, happened, rule):
    assert sent.faults() == set()
    happened(sent)
    assert rule in sent.faults()


def test_a_successor_whose_values_are_there_already_is_no_fault(sandbox, ledger):
    journey = Journey(sandbox(contacts=8), ledger)
    journey.stage()
    journey.push()
    journey.verify()
    one, two, *_ = hubspot_ids(journey)
    lead_id = lead_of(journey, one)["id"]
    new = journey.sandbox.merge_contacts(one, two)
    journey.sandbox.change_contact(new, jobtitle="Countess")
    journey.sandbox.change_lead(lead_id, title="Countess")
    journey.stage()
    # The title is there already, so the base changes before the record line is written.
    journey.sandbox.fault("update:refuse", times=99)
    update(journey)
    assert journey.ask(f"SELECT lead_id FROM contact WHERE hubspot_id = '{new}'") == [(lead_id,)]
    assert rules(proof(journey, journey.sandbox.leads())) == set()


@pytest.mark.parametrize("is_merged", [False, True])
def test_an_email_that_another_contact_had_before_was_not_sent_twice(sandbox, ledger, is_merged):
    journey = Journey(sandbox(contacts=8), ledger)
    journey.stage()
    journey.push()
    one, two, three, *_ = hubspot_ids(journey)
    email = lead_of(journey, two)["email"]
    journey.sandbox.change_contact(one, email=email)
    if is_merged:  # the update writes it, and the other lead stays for `undo`
        journey.sandbox.remove_contact(two)
        journey.sandbox.change_contact(one, hs_merged_object_ids=two)
    else:  # a person has exchanged it in LeadGenius
        journey.sandbox.change_lead(lead_of(journey, one)["id"], email=email)
    journey.stage()
    assert update(journey).left_for_a_person == 0
    keys = "SELECT count(*), count(DISTINCT email_key) FROM contact WHERE hubspot_id IN"
    assert journey.ask(f"{keys} ('{one}', '{two}')") == [(2, 1)]
    assert rules(proof(journey, journey.sandbox.leads())) == set()
    same = f"email_key = (SELECT email_key FROM contact WHERE hubspot_id = '{two}')"
    tamper(ledger.path, f"UPDATE contact SET {same} WHERE hubspot_id = '{three}'")
    if is_merged:  # it explains no third contact
        gone = "state = 'mapped', held = 'gone', lead_id = NULL"
        tamper(ledger.path, f"UPDATE contact SET {gone} WHERE hubspot_id = '{two}'")
    assert "email" in rules(proof(journey, journey.sandbox.leads()))
