"""The stand-in itself: people who work in both services while the tool does."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from migrator.sandbox import ACTIONS, EDITS, Sandbox
from tests.support.sandbox_calls import hubspot, leadgenius

LEAD = {"firstName": "Ada", "lastName": "Hopper", "email": "ada@engines.example", "notes": "a\nb"}


@pytest.fixture
def box(sandbox: Callable[..., Sandbox]) -> Sandbox:
    return sandbox(contacts=3)


def ask(box: Sandbox, action: str, /, **body: object) -> requests.Response:
    return requests.post(f"{box.url}/_sandbox/{action}", json=body, timeout=5)


def contact_ids(box: Sandbox) -> list[str]:
    return [one.contact_id for one in box.expected()]


def touch(box: Sandbox, times: int = 1) -> None:
    """Requests, so that people have something to come before."""
    for _ in range(times):
        leadgenius(box, "GET", params={"client_id": box.client_id})


def test_people_edit_the_notes_of_a_lead_line_by_line(box):
    lead_id = box.add_lead(LEAD)
    assert box.append_note(lead_id, "c")
    assert box.rewrite_note(lead_id, "a", "A")
    assert box.rewrite_note(lead_id, "b", None)
    assert box.held[0]["notes"] == "A\nc"
    assert not box.rewrite_note(lead_id, "b", "B")
    assert not box.append_note("nobody", "c")
    bare = box.add_lead({"email": "b@x.example"})
    assert box.append_note(bare, "first")
    assert box.held[1]["notes"] == "first"


def test_another_process_can_edit_leads(box):
    lead_id = ask(box, "add_lead", lead=LEAD).json()["done"]
    assert ask(box, "change_lead", lead_id=lead_id, title="CTO", status="won").json() == {
        "done": True
    }
    ask(box, "append_note", lead_id=lead_id, line="c")
    ask(box, "rewrite_note", lead_id=lead_id, line="a", new="A")
    ask(box, "move_lead", lead_id=lead_id, client_id="x")
    [lead] = box.held
    edited = {"title": "CTO", "status": "won", "notes": "A\nb\nc", "client_id": "x"}
    assert lead.items() >= edited.items()
    ask(box, "delete_lead", lead_id=lead_id)
    assert box.held == []
    ask(box, "restore_lead", lead_id=lead_id)
    assert box.held == [lead]
    told = requests.get(f"{box.url}/_sandbox/history", timeout=5).json()["history"]
    assert told == [one.as_json() for one in box.history]
    assert {one["author"] for one in told} == {"person"}
    kinds = ["create", *["change"] * 4, "delete", "restore"]
    assert [one["kind"] for one in told] == kinds


def test_another_process_can_edit_contacts(box):
    first, second, third = contact_ids(box)
    ask(box, "change_contact", contact_id=first, jobtitle="Countess")
    one = hubspot(box, "GET", f"contacts/{first}", params={"properties": "jobtitle"}).json()
    assert one["properties"]["jobtitle"] == "Countess"
    merged = ask(box, "merge_contacts", primary=first, other=second).json()["done"]
    assert contact_ids(box) == [third, merged]
    ask(box, "remove_contact", contact_id=third)
    archived = hubspot(box, "GET", "contacts", params={"archived": "true"}).json()["results"]
    assert [one["id"] for one in archived] == [third]
    ask(box, "erase_contact", contact_id=merged)
    assert contact_ids(box) == []
    assert hubspot(box, "GET", f"contacts/{merged}", params={"archived": "true"}).status_code == 404
    ask(box, "restore_contact", contact_id=third)
    added = ask(box, "add_contact", properties={"email": "new@x.example"}).json()["done"]
    assert contact_ids(box) == [third, added]


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("change_lead", {"lead_id": "nobody", "title": "x"}, 404),
        ("change_contact", {"contact_id": "7", "email": "x"}, 404),
        ("merge_contacts", {"primary": "51", "other": "51"}, 400),
        ("delete_lead", {}, 400),
        ("delete_lead", {"id": "x"}, 400),
        ("stop", {}, 404),
        ("fault", {"name": "refuse", "times": 0}, 400),
    ],
)
def test_another_process_is_told_what_was_wrong(box, name, body, status):
    answer = ask(box, name, **body)
    assert answer.status_code == status
    assert answer.json().get("error") or answer.json() == {"done": False}


def test_another_process_can_choose_the_lead_of_a_fault(box):
    ids = [box.add_lead({**LEAD, "email": email}) for email in ("a@x.example", "b@x.example")]
    ask(box, "fault", name="delete:refuse", where={"email": "b@x.example"})
    statuses = [leadgenius(box, "DELETE", params={"id": one}).status_code for one in ids]
    assert statuses == [200, 400]


def test_every_action_is_a_method_of_the_sandbox():
    assert all(callable(getattr(Sandbox, name)) for name in ACTIONS)
    assert set(EDITS) - set(ACTIONS) == {"change_status"}


# At random


def changes_of(box: Sandbox) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    assert all(not one.is_of_tool for one in box.history)
    return [one.leads() for one in box.history if one.kind != "create"]


def edited(sandbox: Callable[..., Sandbox], name: str) -> Sandbox:
    box = sandbox(contacts=8, edits={name: 1.0})
    for number in range(8):
        notes = f"Historic Contact\n[HubSpot record: 1/{number}]\nStatus: NEW"
        box.add_lead({**LEAD, "email": f"{number}@x.example", "notes": notes})
    touch(box, 4)
    return box


def test_people_change_fields(sandbox):
    for before, after in changes_of(edited(sandbox, "change_lead")):
        [name] = [name for name in after if after[name] != before.get(name)]
        assert after[name].startswith(("Edited ", "edited."))


def test_people_change_statuses(sandbox):
    for before, after in changes_of(edited(sandbox, "change_status")):
        assert {**before, "status": after["status"]} == after != before


def test_people_add_notes(sandbox):
    for before, after in changes_of(edited(sandbox, "append_note")):
        assert after["notes"].startswith(f"{before['notes']}\nCalled ")


def test_people_rewrite_notes_but_not_the_record_line(sandbox):
    changes = changes_of(edited(sandbox, "rewrite_note"))
    assert len(changes) == 4
    for before, after in changes:
        old, new = (lead["notes"].splitlines() for lead in (before, after))
        [place] = [n for n, line in enumerate(old) if line != new[n]]
        assert new[place].startswith("Rewritten ")
        assert not old[place].startswith("[HubSpot record")


def test_people_delete_and_move_leads(sandbox):
    assert len(edited(sandbox, "delete_lead").leads()) == 4
    box = edited(sandbox, "move_lead")
    assert (len(box.leads()), len(box.held)) == (4, 8)


def test_people_change_contacts(sandbox):
    box = sandbox(contacts=8)
    before = {one.contact_id: one.lead for one in box.expected()}
    changing = sandbox(contacts=8, edits={"change_contact": 1.0})
    touch(changing, 4)
    after = {one.contact_id: one.lead for one in changing.expected()}
    assert after.keys() == before.keys()
    assert after != before


def test_people_merge_archive_and_erase_contacts(sandbox):
    for name, gone, archived in (
        ("merge_contacts", 2, 0),
        ("remove_contact", 1, 1),
        ("erase_contact", 1, 0),
    ):
        box = sandbox(contacts=8, edits={name: 1.0})
        before = set(contact_ids(box))
        # The request itself is answered after the edit.
        seen = hubspot(box, "GET", "contacts", params={"archived": "true"}).json()["results"]
        assert len(before - set(contact_ids(box))) == gone
        assert len(seen) == archived
        assert (len(set(contact_ids(box)) - before) == 1) is (name == "merge_contacts")


def test_people_edit_before_a_share_of_the_requests(sandbox):
    box = sandbox(contacts=0, edits={"append_note": 0.3})
    box.add_lead(LEAD)
    touch(box, 60)
    assert 5 < len(box.history) < 40


def test_the_same_seed_edits_the_same(sandbox):
    runs = []
    for seed in (1, 1, 2):
        box = sandbox(contacts=20, seed=seed, edits={"change_lead": 0.5, "append_note": 0.2})
        for number in range(5):
            box.add_lead({**LEAD, "email": f"{number}@x.example"})
        touch(box, 20)
        runs.append([{**lead, "createdAt": ""} for lead in box.held])
    assert runs[0] == runs[1] != runs[2]


def test_there_may_be_nothing_to_edit(sandbox):
    box = sandbox(contacts=0, edits=dict.fromkeys(EDITS, 1.0))
    touch(box)
    assert box.history == []


def test_calm_ends_the_edits(sandbox):
    box = sandbox(contacts=0, edits={"append_note": 1.0})
    box.add_lead(LEAD)
    touch(box)
    box.calm()
    touch(box)
    assert len(box.history) == 2


@pytest.mark.parametrize(
    ("edits", "words"),
    [({"chnge_lead": 0.1}, "no edit is called 'chnge_lead'"), ({"change_lead": 2}, "probability")],
)
def test_impossible_edits_are_refused(sandbox, edits, words):
    with pytest.raises(ValueError, match=words):
        sandbox(edits=edits)
