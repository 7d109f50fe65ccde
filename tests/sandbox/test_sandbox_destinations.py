"""The stand-in itself: how a LeadGenius may differ from the guide, as a probe can find it."""

import json
import socket
import time
from typing import Any

import pytest

from migrator.sandbox import QUIRKS, Sandbox
from migrator.sandbox.messages import Call
from tests.support.sandbox_calls import leadgenius

ADA = {"firstName": "Ada", "lastName": "Hopper", "email": "ada@engines.example"}
LATE = 0.3
LATENCY = 0.2


def post(box: Sandbox, **changes: object):
    return leadgenius(box, "POST", json={"client_id": box.client_id, **ADA, **changes})


def listing(box: Sandbox, **query: object) -> dict[str, Any]:
    page: dict[str, Any] = leadgenius(
        box, "GET", params={"client_id": box.client_id, **query}
    ).json()
    return page


def abandon(box: Sandbox, method: str, body: dict[str, Any]) -> None:
    """Send a whole request, and close the connection without waiting for the answer."""
    data = json.dumps(body).encode()
    head = (
        f"{method} /api/leads HTTP/1.1\r\nHost: sandbox\r\nContent-Length: {len(data)}\r\n"
        f"x-api-key: {box.api_key}\r\nx-user-id: {box.user_id}\r\n\r\n"
    )
    port = int(box.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head.encode() + data)


# Late commits


def test_a_lead_whose_client_gave_up_lands_late(sandbox):
    box = sandbox(contacts=0, latency_seconds=LATENCY, quirks=[f"late_commit={LATE}"])
    abandon(box, "POST", {"client_id": box.client_id, **ADA})
    box.wait_until(lambda: box.held)
    assert box.history[0].at - box.received[0].at >= LATENCY + LATE
    box.wait_until(lambda: box.received[0].lead_id)
    assert (box.received[0].lead_id, box.received[0].status) == (box.held[0]["id"], None)


def test_a_late_lead_is_refused_if_another_one_came_first(sandbox):
    box = sandbox(contacts=0, quirks=[f"late_commit={LATE}", "unique_email"])
    headers = {"x-api-key": box.api_key, "x-user-id": box.user_id}
    body = json.dumps({"client_id": box.client_id, **ADA}).encode()
    late = box.receive(Call(time.time(), "POST", "/api/leads", {}, headers, body)).decide(True)
    first = box.add_lead(ADA)
    late.later()
    assert [lead["id"] for lead in box.held] == [first]


def test_an_update_whose_client_gave_up_lands_late(sandbox):
    box = sandbox(contacts=0, latency_seconds=LATENCY, quirks=[f"late_commit={LATE}"])
    lead_id = box.add_lead(ADA)
    abandon(box, "PUT", {"id": lead_id, "title": "Countess"})
    box.wait_until(lambda: box.held[0].get("title") == "Countess")
    assert box.history[-1].at - box.received[0].at >= LATENCY + LATE


def test_a_client_that_waits_is_answered_before_anything_is_late(sandbox):
    box = sandbox(contacts=0, quirks=["late_commit=3600"])
    lead = post(box).json()["lead"]
    assert leadgenius(box, "PUT", json={"id": lead["id"], "title": "Countess"}).status_code == 200
    assert box.received[0].lead_id == lead["id"]
    assert box.held == [{**lead, "title": "Countess"}]


def test_an_abandoned_lead_is_saved_at_once_without_the_quirk(sandbox):
    box = sandbox(contacts=0, latency_seconds=3600)
    abandon(box, "POST", {"client_id": box.client_id, **ADA})
    box.wait_until(lambda: box.held)


# Listings


def test_a_page_can_be_shorter_than_asked_for_and_the_total_real(sandbox):
    box = sandbox(contacts=0, quirks=["page_limit=2"])
    for _ in range(5):
        box.add_lead(ADA)
    page = listing(box, limit=1000)
    assert (len(page["leads"]), page["total"]) == (2, 2)
    box.change_quirks("real_total")
    page = listing(box, limit=1000, lastKey=page["lastKey"])
    assert (len(page["leads"]), page["total"]) == (2, 5)


def test_the_real_total_counts_what_the_listing_shows(sandbox):
    box = sandbox(contacts=0, quirks=["real_total", "hidden_deletes"])
    ids = [box.add_lead(ADA) for _ in range(3)]
    box.delete_lead(ids[0])
    assert listing(box, limit=1)["total"] == 2
    assert listing(box, limit=1, includeDeleted="true")["total"] == 3


def test_a_listing_can_show_chosen_fields_and_the_id(sandbox):
    box = sandbox(contacts=0, quirks=["listed_fields=email,notes"])
    lead_id = box.add_lead({**ADA, "notes": "a line"})
    assert listing(box)["leads"] == [{"id": lead_id, "email": ADA["email"], "notes": "a line"}]


def test_every_answer_can_show_the_chosen_fields_only(sandbox):
    box = sandbox(contacts=0, quirks=["listed_fields=email", "selects_always"])
    [lead] = [leadgenius(box, "POST", "leads", json={**ADA, "client_id": box.client_id}).json()]
    shown = {"id": lead["lead"]["id"], "email": ADA["email"]}
    assert lead["lead"] == shown
    change = {"id": shown["id"], "title": "Countess"}
    assert leadgenius(box, "PUT", "leads", json=change).json()["lead"] == shown
    for path in (f"leads/{shown['id']}", f"find-lead?email={ADA['email']}"):
        assert leadgenius(box, "GET", path).json()["lead"] == shown
    assert box.held[0]["title"] == "Countess"


def test_a_hidden_lead_can_be_had_by_its_id_or_on_asking_for_deleted_ones(sandbox):
    box = sandbox(contacts=0, quirks=["hidden_deletes"])
    lead_id = box.add_lead(ADA)
    assert leadgenius(box, "GET", f"leads/{lead_id}").json()["lead"] == box.held[0]
    box.delete_lead(lead_id)
    assert listing(box)["leads"] == []
    [shown] = listing(box, includeDeleted="true")["leads"]
    assert shown["status"] == "to_be_deleted"
    assert leadgenius(box, "GET", f"leads/{lead_id}").json()["lead"] == shown


def test_a_lead_that_is_deleted_for_good_cannot_be_had(sandbox):
    box = sandbox(contacts=0)
    lead_id = box.add_lead(ADA)
    box.delete_lead(lead_id)
    assert listing(box, includeDeleted="true")["leads"] == []
    assert leadgenius(box, "GET", f"leads/{lead_id}").status_code == 404


# What is saved


@pytest.mark.parametrize(
    ("quirk", "field", "value"),
    [
        ("phone", "phone", "+49 30 1"),
        ("empty_string", "title", ""),
        ("dot_last_name", "lastName", "."),
    ],
)
def test_what_the_guide_calls_an_error_can_be_kept_or_dropped(sandbox, quirk, field, value):
    box = sandbox(contacts=0)
    assert post(box, **{field: value}).status_code == 500
    box.change_quirks(f"{quirk}_kept")
    assert post(box, **{field: value}).json()["lead"][field] == value
    box.change_quirks(f"{quirk}_dropped")
    assert field not in post(box, **{field: value}).json()["lead"]
    assert [field in lead for lead in box.held].count(True) == 1


def test_names_must_not_be_empty_even_where_other_texts_may(sandbox):
    box = sandbox(contacts=0, quirks=["empty_string_kept"])
    assert post(box, firstName="").status_code == 400


def test_fields_can_be_dropped_and_notes_cut(sandbox):
    box = sandbox(
        contacts=0, quirks=["dropped_fields=title,companyUrl,client_id", "notes_limit=500"]
    )
    fields = {"title": "CTO", "companyUrl": "engines.example", "notes": "n" * 501}
    lead = post(box, **fields).json()["lead"]
    assert lead.keys() == {*ADA, "client_id", "notes", "id", "createdAt"}
    assert lead["notes"] == "n" * 500
    changed = leadgenius(box, "PUT", json={"id": lead["id"], **fields, "email": "b@x.example"})
    assert changed.json()["lead"] == {**lead, "email": "b@x.example"}


def test_the_verdict_expects_no_more_than_the_service_saves(sandbox):
    box = sandbox(contacts=3, quirks=["dropped_fields=companyName", "notes_limit=5"])
    for expected in box.expected():
        if expected.lead is not None:
            post(box, **expected.lead)
    assert box.verdict().ok
    box.change_lead(box.held[0]["id"], companyName="Engines")
    assert not box.verdict().wrong
    leadgenius(box, "PUT", json={"id": box.held[1]["id"], "title": "not HubSpot's"})
    assert [name for _, name in box.verdict().wrong] == ["title"]


def test_a_second_lead_can_change_the_first(sandbox):
    box = sandbox(contacts=0, quirks=["updating_email"])
    first = post(box, title="CTO", notes="a line").json()["lead"]
    again = post(box, title="Countess")
    assert (again.status_code, again.json()["lead"]["id"]) == (200, first["id"])
    assert box.held == [{**first, "title": "Countess"}]
    assert post(box, client_id=box.create_client("Other")).status_code == 201
    assert post(box, email="bea@engines.example").status_code == 201


def test_several_leads_at_once_can_be_saved_those_that_are_valid(sandbox):
    box = sandbox(contacts=0, quirks=["batch_saves", "unique_email"])
    ada, bea = ({**ADA, "client_id": box.client_id, "email": f"{n}@x.example"} for n in "ab")
    faulty = {**ada, "title": ""}
    answer = leadgenius(box, "POST", json={"leads": [ada, faulty, bea, ada, "x"]})
    assert answer.json() == {"success": True, "created": 2, "skipped": [faulty, ada, "x"]}
    assert [lead["email"] for lead in box.held] == ["a@x.example", "b@x.example"]


# Names and values of quirks


@pytest.mark.parametrize(
    ("quirk", "words"),
    [
        ("page_limit", "page_limit=N takes a whole number from 1 on, not ''"),
        ("page_limit=0", "page_limit=N takes a whole number"),
        ("notes_limit=all", "notes_limit=N takes a whole number from 1 on, not 'all'"),
        ("late_commit=-1", "late_commit=SECONDS takes a number of seconds from 0 to 3600"),
        ("late_commit=3601", "late_commit=SECONDS takes a number of seconds"),
        ("listed_fields=a,,b", "listed_fields=A,B takes names of fields"),
        ("dropped_fields=a, b", "dropped_fields=A,B takes names of fields"),
        ("marked_deletes=1", "marked_deletes takes no value"),
        ("marked_deletes=", "marked_deletes takes no value"),
    ],
)
def test_a_quirk_with_a_wrong_value_is_refused(sandbox, quirk, words):
    with pytest.raises(ValueError, match=words):
        sandbox(quirks=[quirk])


def test_the_quirks_are_listed_in_order():
    assert list(QUIRKS) == sorted(QUIRKS)


# Clients


def test_a_client_that_is_deleted_is_listed_no_more_and_its_leads_are_kept(sandbox):
    box = sandbox(contacts=0)
    made = leadgenius(box, "POST", "clients", json={"clientName": "Probe", "description": "mark"})
    client = made.json()["client"]
    assert made.status_code == 201
    assert client["description"] == "mark"
    post(box, client_id=client["client_id"])
    by_slug = leadgenius(box, "DELETE", "clients", params={"id": client["client_id"]})
    assert by_slug.status_code == 404
    query = {"id": client["id"]}
    assert leadgenius(box, "DELETE", "clients", params=query).json() == {"success": True}
    assert leadgenius(box, "DELETE", "clients", params=query).status_code == 404
    names = [one["clientName"] for one in leadgenius(box, "GET", "clients").json()["clients"]]
    assert names == ["Historic Contacts"]
    assert listing(box, client_id=client["client_id"])["leads"] == []
    assert [lead["client_id"] for lead in box.held] == [client["client_id"]]


def test_writes_to_clients_of_others_are_told_from_those_to_ones_own(sandbox):
    box = sandbox(contacts=0)
    theirs = box.add_lead(ADA)
    mine = leadgenius(box, "POST", "clients", json={"clientName": "Probe"}).json()["client"]
    lead_id = post(box, client_id=mine["client_id"]).json()["lead"]["id"]
    post(box, client_id=mine["id"])
    leadgenius(box, "PUT", json={"id": lead_id, "title": "CTO"})
    leadgenius(box, "DELETE", params={"id": lead_id})
    leadgenius(box, "PUT", "clients", json={"id": mine["id"], "description": "mark"})
    leadgenius(box, "DELETE", "clients", params={"id": mine["id"]})
    box.change_lead(theirs, title="Countess")
    leadgenius(box, "GET", params={"client_id": box.client_id})
    assert box.foreign_writes == []
    leadgenius(box, "DELETE", params={"id": theirs})
    post(box, client_id="unknown")
    assert box.foreign_writes == [box.client_id, "unknown"]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_client_of_others_that_is_changed_or_deleted_is_told(sandbox, method):
    box = sandbox(contacts=0)
    internal_id = box.client_internal_id
    assert box.foreign_writes == []
    json_body = {"id": internal_id, "description": "x"}
    leadgenius(box, method, "clients", json=json_body, params={"id": internal_id})
    assert box.foreign_writes == [box.client_id]
    asked = leadgenius(box, "GET", "../_sandbox/record")
    assert asked.json()["foreign_writes"] == [box.client_id]
