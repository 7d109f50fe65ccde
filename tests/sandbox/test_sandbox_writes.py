"""The stand-in itself: changing and deleting leads, with the faults and quirks of both."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from migrator.sandbox import FAULTS, Sandbox
from migrator.sandbox.messages import Call
from tests.support.sandbox_calls import leadgenius

LEAD = {"firstName": "Ada", "lastName": "Hopper", "email": "ada@engines.example", "title": "CTO"}
GIVE_UP = 0.15  # seconds until a client of a hanging sandbox has had enough


def change(box: Sandbox, lead_id: str, timeout: float = 5, **fields: object) -> requests.Response:
    body = {"id": lead_id, "client_id": box.client_id, **fields}
    return leadgenius(box, "PUT", json=body, timeout=timeout, allow_redirects=False)


def update(box: Sandbox, lead_id: str, timeout: float = 5) -> requests.Response:
    return change(box, lead_id, timeout, title="Countess")


def delete(box: Sandbox, lead_id: str, timeout: float = 5) -> requests.Response:
    query = {"id": lead_id}
    return leadgenius(box, "DELETE", params=query, timeout=timeout, allow_redirects=False)


def is_done(box: Sandbox, lead_id: str) -> bool:
    """Whether the lead was changed or deleted."""
    lead = next((one for one in box.held if one["id"] == lead_id), None)
    return lead is None or lead.get("title") != LEAD["title"]


both = pytest.mark.parametrize(("prefix", "write"), [("update:", update), ("delete:", delete)])


@pytest.fixture
def box(sandbox: Callable[..., Sandbox]) -> Sandbox:
    return sandbox(contacts=0, late_seconds=2 * GIVE_UP, slow_seconds=0.1)


# Faults


@both
@pytest.mark.parametrize(
    ("name", "status", "done"),
    [
        ("refuse", 400, False),
        ("unprocessable", 422, False),
        ("forbidden", 403, False),
        ("not_found", 404, False),
        ("too_large", 413, False),
        ("throttle", 429, False),
        ("throttle_silently", 429, False),
        ("conflict", 409, False),
        ("conflict_after_saving", 409, True),
        ("unavailable", 503, False),
        ("error_after_saving", 500, True),
        ("error_without_saving", 500, False),
        ("html", 200, False),
        ("html_after_saving", 200, True),
        ("no_id", 200, True),
        ("empty_answer", 200, True),
        ("redirect", 307, False),
        ("moved", 301, False),
        ("expire_token", 401, False),
        ("ignore", 200, False),
        ("slow", 200, True),
    ],
)
def test_a_fault_decides_what_is_done_and_what_is_answered(box, prefix, write, name, status, done):
    lead_id = box.add_lead(LEAD)
    box.fault(prefix + name)
    assert write(box, lead_id).status_code == status
    assert is_done(box, lead_id) is done
    record = box.received[-1]
    assert (record.status, record.fault) == (status, prefix + name)
    if not done:
        assert write(box, lead_id).status_code == 200
        assert is_done(box, lead_id)


@both
@pytest.mark.parametrize(
    ("name", "error", "done"),
    [
        ("drop_before_saving", requests.ConnectionError, False),
        ("drop_after_saving", requests.ConnectionError, True),
        ("reset_after_saving", requests.ConnectionError, True),
        ("hang_before_saving", requests.ReadTimeout, False),
        ("hang_after_saving", requests.ReadTimeout, True),
        ("truncated", requests.exceptions.ChunkedEncodingError, True),
    ],
)
def test_a_fault_can_break_the_connection(box, prefix, write, name, error, done):
    lead_id = box.add_lead(LEAD)
    box.fault(prefix + name)
    with pytest.raises(error):
        write(box, lead_id, timeout=GIVE_UP)
    box.wait_until(lambda: box.received[-1].fault == prefix + name)
    assert is_done(box, lead_id) is done


@both
def test_a_late_write_takes_effect_after_the_client_has_given_up(box, prefix, write):
    lead_id = box.add_lead(LEAD)
    box.fault(f"{prefix}save_late")
    with pytest.raises(requests.ReadTimeout):
        write(box, lead_id, timeout=GIVE_UP)
    assert not is_done(box, lead_id)
    box.wait_until(lambda: len(box.history) == 2)
    assert is_done(box, lead_id)
    assert box.history[-1].at - box.received[-1].at >= 2 * GIVE_UP


def test_a_late_write_changes_the_lead_as_it_is_by_then(box):
    lead_id = box.add_lead(LEAD)
    box.fault("update:save_late")
    with pytest.raises(requests.ReadTimeout):
        update(box, lead_id, timeout=GIVE_UP)
    box.change_lead(lead_id, lastName="Lovelace")
    box.wait_until(lambda: len(box.history) == 3)
    assert (box.held[0]["title"], box.held[0]["lastName"]) == ("Countess", "Lovelace")


def test_a_late_write_of_a_lead_that_is_gone_by_then_does_nothing(box):
    lead_id = box.add_lead(LEAD)
    box.fault("update:save_late")
    headers = {"x-api-key": box.api_key, "x-user-id": box.user_id}
    body = json.dumps({"id": lead_id, "title": "Countess"}).encode()
    answer = box.receive(Call(time.time(), "PUT", "/api/leads", {}, headers, body))
    box.delete_lead(lead_id)
    answer.later()
    assert box.held == []
    assert len(box.history) == 2


def test_an_update_that_is_ignored_answers_as_if_it_were_done(box):
    lead_id = box.add_lead(LEAD)
    box.fault("update:ignore")
    assert update(box, lead_id).json()["lead"]["title"] == "Countess"
    box.fault("delete:ignore")
    assert delete(box, lead_id).json() == {"success": True, "deleted": 1}
    assert box.held[0]["title"] == "CTO"


@both
def test_each_write_has_faults_of_its_own(box, prefix, write):
    lead_id = box.add_lead(LEAD)
    others = {"": "unavailable", "update:": "update:refuse", "delete:": "delete:refuse"}
    del others[prefix]
    for name in others.values():
        box.fault(name)
    assert write(box, lead_id).status_code == 200
    assert leadgenius(box, "POST", json={**LEAD, "client_id": "x"}).status_code == 503


@both
def test_a_fault_waits_for_the_lead_it_is_meant_for(box, prefix, write):
    ids = [box.add_lead({**LEAD, "email": f"{name}@x.example"}) for name in "abc"]
    box.fault(f"{prefix}refuse", where=lambda lead: lead["email"] == "b@x.example")
    assert [write(box, lead_id).status_code for lead_id in ids] == [200, 400, 200]


def test_a_fault_of_an_update_can_wait_for_a_new_value(box):
    lead_id = box.add_lead(LEAD)
    box.fault("update:refuse", where=lambda lead: lead["title"] == "Queen")
    statuses = [change(box, lead_id, title=title).status_code for title in ("Countess", "Queen")]
    assert statuses == [200, 400]


def test_random_faults_strike_updates_and_deletions(sandbox):
    box = sandbox(contacts=0, faults={"update:refuse": 0.5, "delete:unavailable": 0.5})
    ids = [box.add_lead(LEAD) for _ in range(40)]
    assert {update(box, lead_id).status_code for lead_id in ids} == {200, 400}
    assert {delete(box, lead_id).status_code for lead_id in ids} == {200, 503}


@both
def test_a_write_of_a_lead_that_is_not_there_uses_up_no_fault(box, prefix, write):
    box.fault(f"{prefix}unavailable")
    assert write(box, "nobody").status_code == 404
    assert write(box, box.add_lead(LEAD)).status_code == 503


def test_a_second_deletion_of_a_marked_lead_uses_up_no_fault(sandbox):
    box = sandbox(contacts=0, quirks=["marked_deletes"])
    lead_id = box.add_lead(LEAD)
    box.delete_lead(lead_id)
    box.fault("delete:unavailable")
    assert delete(box, lead_id).status_code == 404
    assert delete(box, box.add_lead(LEAD)).status_code == 503


def test_all_three_writes_have_the_same_faults():
    of_posts = {name for name, places in FAULTS.items() if places == ("POST /api/leads",)}
    for prefix in ("update:", "delete:"):
        names = {name.removeprefix(prefix) for name in FAULTS if name.startswith(prefix)}
        assert names == {*of_posts, "ignore"}


# What an update does


def test_an_update_changes_only_what_it_names(box):
    lead_id = box.add_lead(LEAD)
    before = box.held[0]
    assert change(box, lead_id, title="Countess", shoeSize=3).status_code == 200
    assert box.held == [{**before, "title": "Countess", "shoeSize": 3}]


def test_an_update_can_replace(sandbox):
    box = sandbox(contacts=0, quirks=["replacing_update", "status_new"])
    created = leadgenius(box, "POST", json={**LEAD, "client_id": box.client_id}).json()["lead"]
    assert created["status"] == "new"
    changed = change(box, created["id"], title="Countess").json()["lead"]
    kept = {name: created[name] for name in ("id", "client_id", "createdAt", "status")}
    assert box.held == [changed] == [{**kept, "title": "Countess"}]


@pytest.mark.parametrize(
    ("quirks", "title"),
    [((), None), (["null_ignored"], "CTO"), (["null_ignored", "replacing_update"], None)],
)
def test_null_clears_or_is_ignored(sandbox, quirks, title):
    box = sandbox(contacts=0, quirks=quirks)
    lead_id = box.add_lead(LEAD)
    assert change(box, lead_id, title=None, email="a@b.example").status_code == 200
    assert (box.held[0].get("title"), box.held[0]["email"]) == (title, "a@b.example")
    assert ("title" in box.held[0]) is (title is not None)


@pytest.mark.parametrize(("quirks", "status"), [((), 500), (["empty_clears"], 200)])
def test_an_empty_text_is_refused_or_clears(sandbox, quirks, status):
    box = sandbox(contacts=0, quirks=quirks)
    lead_id = box.add_lead(LEAD)
    assert change(box, lead_id, title="").status_code == status
    assert box.held[0].get("title") == (None if quirks else "CTO")


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"phone": "+49 30 1"}, 500), ({"lastName": "."}, 500), ({"email": 5}, 400)],
)
def test_the_bugs_of_a_post_are_those_of_an_update(box, fields, status):
    lead_id = box.add_lead(LEAD)
    before = box.held
    assert change(box, lead_id, **fields).status_code == status
    assert leadgenius(box, "PUT", json={"leads": [{"id": lead_id, **fields}]}).status_code == status
    assert box.held == before


@pytest.mark.parametrize("body", [{"title": "x"}, {"id": None}, []])
def test_an_update_must_name_its_lead(box, body):
    assert leadgenius(box, "PUT", json=body).status_code == 400


def test_an_update_moves_no_lead_to_another_client(box):
    lead_id = box.add_lead(LEAD)
    assert change(box, lead_id, client_id="another").status_code == 200
    assert box.held[0]["client_id"] == box.client_id


@pytest.mark.parametrize(("quirks", "status"), [((), None), (["status_new"], "new")])
def test_a_lead_can_be_given_a_status(sandbox, quirks, status):
    box = sandbox(contacts=0, quirks=quirks)
    leadgenius(box, "POST", json={**LEAD, "client_id": box.client_id})
    assert box.held[0].get("status") == status


def test_a_status_that_the_service_gives_is_not_wrong(sandbox):
    box = sandbox(contacts=0, quirks=["status_new"])
    contact_id = box.add_contact({"email": "ada@x.example"})
    [expected] = box.expected()
    lead: dict[str, Any] = {**expected.lead, "client_id": box.client_id}
    created = leadgenius(box, "POST", json=lead).json()["lead"]
    assert box.verdict().ok
    change(box, created["id"], status="won")
    assert box.verdict().wrong == [(contact_id, "status")]


# Who did it


def test_the_history_says_who_did_what_and_when(box):
    lead_id = leadgenius(box, "POST", json={**LEAD, "client_id": box.client_id}).json()["lead"][
        "id"
    ]
    update(box, lead_id)
    box.change_lead(lead_id, title="Queen")
    delete(box, lead_id)
    box.restore_lead(lead_id)
    told = [one.as_json() for one in box.history]
    assert [(one["kind"], one["author"], one["request"]) for one in told] == [
        ("create", "tool", 0),
        ("change", "tool", 1),
        ("change", "person", None),
        ("delete", "tool", 2),
        ("restore", "person", None),
    ]
    titles = [[one[side] and one[side]["title"] for side in ("before", "after")] for one in told]
    assert titles == [
        [None, "CTO"],
        ["CTO", "Countess"],
        ["Countess", "Queen"],
        ["Queen", None],
        [None, "Queen"],
    ]
    times = [one["at"] for one in told]
    assert times == sorted(times)
    assert box.received[0].at <= times[0] <= time.time()


def test_what_several_writes_at_once_do_is_in_the_history(box):
    ids = [box.add_lead(LEAD) for _ in range(2)]
    leads = [{"id": lead_id, "title": "x"} for lead_id in ids]
    leadgenius(box, "PUT", json={"leads": leads})
    leadgenius(box, "DELETE", json={"ids": ids})
    told = [(one.lead_id, one.kind, one.author.request) for one in box.history[2:]]
    assert told == [(one, kind, n) for n, kind in enumerate(("change", "delete")) for one in ids]
