"""The stand-in itself: its verdict on what updates and deletions did to the work of people."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
import requests

from migrator.sandbox import LostEdit, Sandbox
from migrator.sandbox.messages import Answer, Call
from tests.support.sandbox_calls import leadgenius

HARM = ("overwritten", "reverted", "deleted_edited", "deleted_foreign")
EXCUSED = ("overwritten_unseen", "reverted_edits", "deleted_unseen", "changed_foreign")


class Tool:
    """A client that posted the lead of one contact, and what it does then."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box
        properties = {"email": "ada@x.example", "jobtitle": "CTO", "lifecyclestage": "lead"}
        self.contact_id = box.add_contact(properties)
        [expected] = box.expected()
        assert expected.lead is not None
        self.lead = expected.lead
        body = {**self.lead, "client_id": box.client_id}
        self.lead_id = leadgenius(box, "POST", json=body).json()["lead"]["id"]

    def look(self) -> None:
        assert leadgenius(self.box, "GET", params={"client_id": self.box.client_id}).ok

    def put(self, **fields: object) -> None:
        assert leadgenius(self.box, "PUT", json={"id": self.lead_id, **fields}).ok

    def put_later(self, **fields: object) -> Answer:
        """A PUT that arrives now, and whose effect comes when `later` is called."""
        self.box.fault("update:save_late")
        return self._receive("PUT", {}, {"id": self.lead_id, **fields})

    def delete(self) -> None:
        assert leadgenius(self.box, "DELETE", params={"id": self.lead_id}).ok

    def delete_later(self) -> Answer:
        self.box.fault("delete:save_late")
        return self._receive("DELETE", {"id": self.lead_id}, {})

    def _receive(self, method: str, query: dict[str, str], body: object) -> Answer:
        headers = {"x-api-key": self.box.api_key, "x-user-id": self.box.user_id}
        text = json.dumps(body).encode()
        return self.box.receive(Call(time.time(), method, "/api/leads", query, headers, text))

    @property
    def notes(self) -> str:
        return str(self.box.held[0]["notes"])

    def edit(self, **fields: object) -> None:
        assert self.box.change_lead(self.lead_id, **fields)

    def counts(self) -> dict[str, int]:
        """What the verdict found, by its name, without what is empty."""
        edits = self.box.verdict().edits
        found = {name: len(getattr(edits, name)) for name in (*HARM, *EXCUSED)}
        return {name: count for name, count in found.items() if count}

    def only(self, kind: str) -> LostEdit:
        assert self.counts() == {kind: 1}
        [loss] = getattr(self.box.verdict().edits, kind)
        assert isinstance(loss, LostEdit)
        assert loss.lead_id == self.lead_id
        return loss


@pytest.fixture
def tool(sandbox: Callable[..., Sandbox]) -> Tool:
    return Tool(sandbox(contacts=0))


# Values that are overwritten


def test_a_faithful_update_destroys_nothing(tool):
    tool.box.change_contact(tool.contact_id, jobtitle="Countess")
    tool.look()
    tool.put(title="Countess")
    assert tool.box.verdict().ok
    assert tool.counts() == {}


def test_an_edit_that_the_tool_had_seen_is_overwritten(tool):
    tool.box.change_contact(tool.contact_id, jobtitle="Countess")
    tool.edit(title="Queen")
    tool.look()
    tool.put(title="Countess")
    loss = tool.only("overwritten")
    assert (loss.field, loss.edit, loss.written) == ("title", "Queen", "Countess")
    assert tool.box.received[loss.request].method == "PUT"
    assert loss.made_at < loss.written_at
    assert not tool.box.verdict().ok
    assert tool.box.verdict().wrong == []


def test_an_edit_between_look_and_write_is_excused_and_counted(tool):
    tool.look()
    tool.edit(title="Queen")
    tool.put(title="Countess")
    assert tool.only("overwritten_unseen").edit == "Queen"
    assert "1 edits overwritten between look and write" in str(tool.box.verdict())


def test_without_a_look_nothing_is_excused(tool):
    tool.edit(title="Queen")
    tool.put(title="Countess")
    tool.only("overwritten")


@pytest.mark.parametrize(("passed", "kind"), [(60, "overwritten_unseen"), (61, "overwritten")])
def test_an_old_look_excuses_nothing(lead_clock, tool, passed, kind):
    tool.look()
    lead_clock.now += passed
    tool.edit(title="Queen")
    tool.put(title="Countess")
    tool.only(kind)


def test_how_old_a_look_may_be_can_be_chosen(sandbox, lead_clock):
    tool = Tool(sandbox(contacts=0, look_seconds=5.0))
    tool.look()
    lead_clock.now += 6
    tool.edit(title="Queen")
    tool.put(title="Countess")
    tool.only("overwritten")


def test_a_search_is_a_look_too(tool):
    tool.look()
    tool.edit(title="Queen")
    leadgenius(tool.box, "GET", "find-lead", params={"email": "ada@x.example"})
    tool.put(title="Countess")
    tool.only("overwritten")


@pytest.mark.parametrize("fault", ["list_error", "empty_page"])
def test_a_listing_that_does_not_serve_the_lead_is_no_look(tool, fault):
    tool.look()
    tool.edit(title="Queen")
    tool.box.fault(fault)
    leadgenius(tool.box, "GET", params={"client_id": tool.box.client_id})
    tool.put(title="Countess")
    tool.only("overwritten_unseen")


@pytest.mark.parametrize(("passed", "kind"), [(9, "overwritten_unseen"), (10, "overwritten")])
def test_a_look_does_not_show_what_the_lag_still_hides(sandbox, lead_clock, passed, kind):
    tool = Tool(sandbox(contacts=0, read_lag_seconds=10.0))
    lead_clock.now += 10
    tool.edit(title="Queen")
    lead_clock.now += passed
    tool.look()
    tool.put(title="Countess")
    tool.only(kind)


def test_a_value_that_is_sent_back_unchanged_is_not_overwritten(tool):
    tool.edit(title="Queen", industry="RAIL")
    [lead] = tool.box.held
    tool.look()
    tool.put(**{**lead, "lastName": "Lovelace"})
    assert tool.counts() == {}
    tool.put(industry="SEA")
    tool.only("overwritten")


def test_an_edit_back_to_what_the_tool_wrote_is_none(tool):
    tool.edit(title="Queen")
    tool.edit(title="CTO")
    tool.look()
    tool.put(title="Countess")
    assert tool.counts() == {}


def test_an_emptied_field_is_an_edit(tool):
    assert tool.box._rewrite(tool.lead_id, lambda lead: {**lead, "title": None})
    tool.look()
    tool.put(title="Countess")
    assert (tool.only("overwritten").edit, tool.only("overwritten").field) == (None, "title")


def test_what_a_replacing_update_leaves_out_is_overwritten_unless_it_is_put_back(sandbox):
    tool = Tool(sandbox(contacts=0, quirks=["replacing_update"]))
    tool.edit(industry="RAIL")
    tool.box.append_note(tool.lead_id, "Called.")
    tool.look()
    notes = tool.notes
    tool.put(title="Countess")
    assert tool.counts() == {"overwritten": 2}
    tool.put(**{**tool.lead, "title": "Countess", "industry": "RAIL", "notes": notes})
    assert tool.counts() == {}
    tool.look()
    tool.put(**{**tool.lead, "title": "Countess", "notes": notes})
    assert tool.only("overwritten").edit == "RAIL"


def test_writes_without_a_fresh_look_are_counted(lead_clock, tool):
    tool.put(title="Countess")
    tool.look()
    lead_clock.now += 60
    tool.put(title="Queen")
    lead_clock.now += 1
    tool.delete()
    found = tool.box.verdict().edits.blind_writes
    assert [tool.box.received[one].method for one in found] == ["PUT", "DELETE"]
    assert len(tool.box.received) == 5
    assert "2 writes without a fresh look" in str(tool.box.verdict())


def test_values_of_a_lead_that_the_tool_had_not_created_are_counted_apart(tool):
    tool.lead_id = tool.box.add_lead({"email": "bea@x.example", "title": "Clerk", "notes": "Mine."})
    for title in ("Countess", "Queen"):
        tool.put(title=title, lastName="Lovelace", notes="Mine.\nOurs.")
    assert tool.counts() == {"changed_foreign": 2}
    found = tool.box.verdict().edits.changed_foreign
    assert [(one.field, one.edit) for one in found] == [("title", "Clerk"), ("notes", "Mine.")]
    assert tool.box.verdict().ok


# Note lines


def test_an_update_that_keeps_a_persons_line_destroys_nothing(tool):
    tool.box.append_note(tool.lead_id, "Called.")
    tool.box.change_contact(tool.contact_id, lifecyclestage="customer")
    tool.look()
    tool.put(notes=tool.notes.replace("Lifecycle: lead", "Lifecycle: customer"))
    assert tool.counts() == {}
    assert tool.box.verdict().ok
    assert tool.box.verdict().edited == [(tool.contact_id, "notes")]


def test_a_persons_line_that_an_update_drops_is_overwritten(tool):
    tool.box.append_note(tool.lead_id, "Called.")
    tool.look()
    tool.put(notes=tool.lead["notes"].replace("Lifecycle: lead", "Lifecycle: customer"))
    loss = tool.only("overwritten")
    assert (loss.field, loss.edit, loss.written) == ("notes", "Called.", None)


def test_a_line_of_ours_that_a_person_rewrote_is_the_persons(tool):
    tool.box.rewrite_note(tool.lead_id, "Lifecycle: lead", "Lifecycle: VIP")
    tool.look()
    kept = tool.notes
    tool.put(notes=tool.lead["notes"])
    losses = tool.box.verdict().edits.overwritten
    assert {(one.edit, one.written) for one in losses} == {
        ("Lifecycle: VIP", None),
        (None, "Lifecycle: lead"),
    }
    tool.put(notes=kept)
    assert tool.counts() == {}


def test_a_line_that_the_person_takes_back_is_no_edit_any_more(tool):
    tool.box.append_note(tool.lead_id, "Called.")
    tool.box.rewrite_note(tool.lead_id, "Called.", None)
    tool.look()
    tool.put(notes=tool.lead["notes"] + "\nMore")
    tool.delete()
    assert tool.counts() == {}


def test_a_persons_line_stays_the_persons_when_the_tool_sends_it_back(tool):
    tool.box.append_note(tool.lead_id, "Called.")
    tool.look()
    tool.put(notes=tool.notes + "\nOurs.")
    tool.box.rewrite_note(tool.lead_id, "Called.", None)
    tool.look()
    tool.delete()
    assert tool.counts() == {}


# LeadWrites that land late


def test_an_earlier_update_that_lands_after_a_later_one_reverts_it(tool):
    tool.box.change_contact(tool.contact_id, jobtitle="Countess")
    tool.look()
    late = tool.put_later(title="Countess")
    tool.put(title="Queen")
    late.later()
    loss = tool.only("reverted")
    assert (loss.field, loss.edit, loss.written, loss.request) == ("title", "Queen", "Countess", 2)
    assert not tool.box.verdict().ok
    assert tool.box.verdict().wrong == []


def test_a_value_that_a_person_had_changed_for_a_while_is_reverted_all_the_same(tool):
    tool.look()
    late = tool.put_later(title="Countess")
    tool.put(title="Queen")
    tool.edit(title="Empress")
    tool.edit(title="Queen")
    late.later()
    assert tool.only("reverted").edit == "Queen"


def test_an_earlier_update_of_the_notes_that_lands_late_reverts_them(tool):
    tool.look()
    late = tool.put_later(notes="first")
    tool.put(notes="second")
    late.later()
    assert tool.only("reverted").field == "notes"


@pytest.mark.parametrize("fields", [{"title": "Countess"}, {"lastName": "Lovelace"}])
def test_a_late_update_of_the_same_value_or_another_field_reverts_nothing(tool, fields):
    tool.look()
    late = tool.put_later(**fields)
    tool.put(title="Countess")
    late.later()
    assert tool.counts() == {}


def test_an_edit_made_while_an_update_was_on_its_way_is_counted_apart(tool):
    tool.look()
    late = tool.put_later(title="Countess")
    tool.look()
    tool.edit(title="Queen")
    late.later()
    assert tool.only("reverted_edits").edit == "Queen"


# Deletions


def test_a_lead_of_ours_may_be_deleted_and_is_not_lost(tool):
    tool.look()
    tool.delete()
    verdict = tool.box.verdict()
    assert verdict.ok
    assert (verdict.undone, verdict.lost) == ([tool.contact_id], [])
    assert str(verdict).endswith("0 strange; 1 contacts undone")


@pytest.mark.parametrize(
    "edit",
    [
        lambda tool: tool.edit(title="Queen"),
        lambda tool: tool.edit(status="won"),
        lambda tool: tool.box.append_note(tool.lead_id, "Called."),
        lambda tool: tool.box.rewrite_note(tool.lead_id, "Lifecycle: lead", None),
        lambda tool: tool.box.move_lead(tool.lead_id, "another"),
    ],
)
@pytest.mark.parametrize("quirks", [(), ["marked_deletes"], ["hidden_deletes"]])
def test_a_lead_that_was_edited_must_not_be_deleted(sandbox, edit, quirks):
    for is_seen, kind in ((True, "deleted_edited"), (False, "deleted_unseen")):
        tool = Tool(sandbox(contacts=0, quirks=quirks))
        if not is_seen:
            tool.look()
        edit(tool)
        if is_seen:
            leadgenius(tool.box, "GET", params={"client_id": tool.box.held[0]["client_id"]})
        tool.delete()
        assert tool.only(kind).written is None
        assert tool.box.verdict().ok is not is_seen


def test_an_edit_made_after_a_deletion_was_sent_is_excused_without_a_look(tool):
    late = tool.delete_later()
    tool.edit(title="Queen")
    late.later()
    tool.only("deleted_unseen")


def test_writes_of_several_leads_are_judged_like_those_of_one(tool):
    tool.look()
    tool.edit(title="Queen", industry="RAIL")
    leadgenius(tool.box, "PUT", json={"leads": [{"id": tool.lead_id, "title": "Countess"}]})
    assert tool.only("overwritten_unseen").edit == "Queen"
    leadgenius(tool.box, "DELETE", json={"ids": [tool.lead_id]})
    assert tool.counts() == {"overwritten_unseen": 1, "deleted_unseen": 1}
    tool.box.restore_lead(tool.lead_id)
    tool.look()
    leadgenius(tool.box, "DELETE", json={"ids": [tool.lead_id]})
    assert tool.counts() == {"overwritten_unseen": 1, "deleted_unseen": 1, "deleted_edited": 1}


def test_a_deletion_that_lands_after_an_edit_is_excused(tool):
    tool.look()
    late = tool.delete_later()
    tool.look()
    tool.edit(title="Queen")
    late.later()
    assert tool.box.held == []
    tool.only("deleted_unseen")


@pytest.mark.parametrize("many", [True, False])
def test_a_lead_that_the_tool_had_not_created_must_not_be_deleted(tool, many):
    lead_id = tool.box.add_lead({"email": "bea@x.example"})
    tool.look()
    more: dict[str, Any] = {"json": {"ids": [lead_id]}} if many else {"params": {"id": lead_id}}
    leadgenius(tool.box, "DELETE", **more)
    assert tool.box.verdict().edits.deleted_foreign == [lead_id]
    assert tool.counts() == {"deleted_foreign": 1}
    assert not tool.box.verdict().ok


def test_a_client_that_is_purged_takes_the_leads_of_others_along(tool):
    tool.box.add_lead({"email": "bea@x.example"})
    query = {"id": tool.box.client_internal_id, "purge": "true"}
    leadgenius(tool.box, "DELETE", "clients", params=query)
    assert tool.counts() == {"deleted_foreign": 1}


def test_what_people_delete_is_no_fault_of_the_tool(tool):
    tool.edit(title="Queen")
    tool.box.delete_lead(tool.lead_id)
    assert tool.counts() == {}
    verdict = tool.box.verdict()
    assert verdict.lost == verdict.taken_away == [tool.contact_id]
    assert "1 of the lost were taken away by people" in str(verdict)


@pytest.mark.parametrize(
    "take",
    [
        lambda tool: tool.box.move_lead(tool.lead_id, "nowhere"),
        lambda tool: tool.edit(status="duplicate"),
    ],
)
def test_a_lead_that_is_moved_or_marked_is_taken_away_and_not_strange(tool, take):
    take(tool)
    verdict = tool.box.verdict()
    assert verdict.lost == verdict.taken_away == [tool.contact_id]
    assert verdict.strange == []


# What people did is neither wrong nor strange


def test_an_edited_value_is_not_wrong(tool):
    tool.edit(title="Queen", shoeSize="39")
    tool.box.append_note(tool.lead_id, "Called.")
    verdict = tool.box.verdict()
    assert verdict.ok
    edited = {(tool.contact_id, name) for name in ("title", "shoeSize", "notes")}
    assert set(verdict.edited) == edited
    assert str(verdict).endswith("; 3 values edited by people")


def test_a_lead_of_others_that_is_restored_is_not_strange(tool):
    lead_id = tool.box.add_lead({"email": "stranger@x.example"})
    tool.box.delete_lead(lead_id)
    tool.box.restore_lead(lead_id)
    assert tool.box.verdict().ok


def test_beside_an_edited_line_a_wrong_one_is_still_wrong(tool):
    tool.box.append_note(tool.lead_id, "Called.")
    tool.box.change_contact(tool.contact_id, lifecyclestage="customer")
    assert tool.box.verdict().wrong == [(tool.contact_id, "notes")]


def test_a_lead_stays_its_contacts_whatever_people_make_of_it(tool):
    tool.edit(email="other@x.example")
    record = next(line for line in tool.notes.splitlines() if line.startswith("[HubSpot"))
    tool.box.rewrite_note(tool.lead_id, record, "Imported.")
    verdict = tool.box.verdict()
    assert (verdict.lost, verdict.strange, verdict.wrong) == ([], [], [])
    leadgenius(tool.box, "POST", json={**tool.lead, "client_id": tool.box.client_id})
    assert tool.box.verdict().duplicated == [tool.contact_id]


def test_the_verdict_of_another_process_has_it_all(tool):
    tool.edit(title="Queen")
    tool.look()
    tool.put(title="Countess")
    told = requests.get(f"{tool.box.url}/_sandbox/verdict", timeout=5).json()
    assert told["overwritten"] == [asdict(tool.only("overwritten"))]
    assert told["ok"] is False
    assert {*HARM, *EXCUSED, "undone", "taken_away", "edited"} <= told.keys()
    assert "edits" not in told
