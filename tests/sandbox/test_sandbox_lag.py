"""The stand-in itself: reads that lag behind changes and deletions, and leads that come back."""

from typing import Any

import pytest

from migrator.sandbox import Sandbox
from tests.support.sandbox_calls import leadgenius

LEAD = {"firstName": "Ada", "lastName": "Hopper", "email": "ada@engines.example", "title": "CTO"}
LAG = 10.0


def listed(box: Sandbox, client_id: str = "") -> list[dict[str, Any]]:
    """The client's leads, page by page."""
    query = {"client_id": client_id or box.client_id, "limit": "2"}
    leads: list[dict[str, Any]] = []
    while True:
        page = leadgenius(box, "GET", params=query).json()
        leads += page["leads"]
        if page["lastKey"] is None:
            return leads
        query["lastKey"] = page["lastKey"]


def found(box: Sandbox, email: str) -> bool:
    query = {"email": email, "client_id": box.client_id}
    return leadgenius(box, "GET", "find-lead", params=query).status_code == 200


def titles(box: Sandbox) -> list[str]:
    return [lead["title"] for lead in listed(box)]


def test_reads_show_the_lead_as_it_was_until_the_lag_is_over(sandbox, lead_clock):
    box = sandbox(contacts=0, read_lag_seconds=LAG)
    lead_id = box.add_lead(LEAD)
    leadgenius(box, "PUT", json={"id": lead_id, "title": "Countess", "email": "x@x.example"})
    box.change_lead(lead_id, title="Queen")
    assert titles(box) == ["CTO"]
    assert found(box, LEAD["email"])
    assert not found(box, "x@x.example")
    assert box.held[0]["title"] == "Queen"
    lead_clock.now += LAG
    assert titles(box) == ["Queen"]
    assert found(box, "x@x.example")
    assert not found(box, LEAD["email"])


def test_each_version_is_shown_once_its_lag_is_over(sandbox, lead_clock):
    box = sandbox(contacts=0, read_lag_seconds=LAG)
    lead_id = box.add_lead(LEAD)
    seen = []
    for title in ("Countess", "Queen", "Empress"):
        box.change_lead(lead_id, title=title)
        seen += titles(box)
        lead_clock.now += 4
    for _ in range(3):
        seen += titles(box)
        lead_clock.now += 4
    assert seen == ["CTO", "CTO", "CTO", "Countess", "Queen", "Empress"]


@pytest.mark.parametrize("quirks", [(), ["hidden_deletes"], ["marked_deletes"]])
def test_a_deleted_lead_is_shown_until_the_lag_is_over(sandbox, lead_clock, quirks):
    box = sandbox(contacts=0, ghost_seconds=LAG, quirks=quirks)
    ids = [box.add_lead({**LEAD, "email": f"{n}@x.example"}) for n in range(5)]
    for lead_id in ids[:3]:
        assert leadgenius(box, "DELETE", params={"id": lead_id}).status_code == 200
    assert sorted(lead["id"] for lead in listed(box)) == sorted(ids)
    assert titles(box) == ["CTO"] * 5
    assert "to_be_deleted" not in str(listed(box))
    assert found(box, "0@x.example")
    assert leadgenius(box, "DELETE", params={"id": ids[0]}).status_code == 404
    lead_clock.now += LAG
    left = 5 if quirks == ["marked_deletes"] else 2
    assert len(listed(box)) == left
    assert found(box, "0@x.example") is (left == 5)


@pytest.mark.parametrize("lags", [{"ghost_seconds": LAG}, {"read_lag_seconds": LAG}])
def test_a_ghost_is_kept_no_longer_than_it_is_shown(sandbox, lead_clock, lags):
    box = sandbox(contacts=0, **lags)
    lead_id = box.add_lead(LEAD)
    other = box.add_lead({**LEAD, "title": "Queen"})
    box.delete_lead(lead_id)
    lead_clock.now += LAG - 1
    assert len(listed(box)) == 2
    assert [lead["id"] for lead in box.leads()] == [other]
    lead_clock.now += 1
    assert titles(box) == ["Queen"]
    assert not box._store._gone


def test_without_a_lag_a_deleted_lead_is_gone_at_once(sandbox):
    box = sandbox(contacts=0, read_lag_seconds=LAG, ghost_seconds=0.0)
    box.delete_lead(box.add_lead(LEAD))
    assert listed(box) == []


@pytest.mark.parametrize("quirks", [(), ["hidden_deletes"], ["marked_deletes"]])
def test_a_lead_can_be_restored(sandbox, quirks):
    box = sandbox(contacts=0, quirks=quirks)
    lead_id = leadgenius(box, "POST", json={**LEAD, "client_id": box.client_id}).json()["lead"][
        "id"
    ]
    before = box.held
    assert not box.restore_lead(lead_id)
    box.delete_lead(lead_id)
    assert box.restore_lead(lead_id)
    assert box.held == listed(box) == before
    deleted, restored = box.history[-1].leads()
    assert restored == before[0]
    assert deleted.get("status") == ("to_be_deleted" if quirks else None)
    assert not box.restore_lead(lead_id)
    assert not box.restore_lead("nobody")


def test_a_ghost_that_is_restored_is_listed_once(sandbox, lead_clock):
    box = sandbox(contacts=0, ghost_seconds=LAG)
    lead_id = box.add_lead(LEAD)
    box.delete_lead(lead_id)
    box.restore_lead(lead_id)
    assert len(listed(box)) == 1
    lead_clock.now += LAG
    assert len(listed(box)) == 1
    box.delete_lead(lead_id)
    lead_clock.now += LAG
    assert listed(box) == []


@pytest.mark.parametrize("lag", [0.0, LAG])
def test_a_lead_that_is_moved_leaves_one_client_for_the_other(sandbox, lead_clock, lag):
    box = sandbox(contacts=0, read_lag_seconds=lag)
    other = box.create_client("Other")
    lead_id = box.add_lead(LEAD)
    assert box.move_lead(lead_id, other)
    assert [one["id"] for one in box.leads(other)] == [lead_id]
    assert box.leads() == []
    if lag:
        assert len(listed(box)) == 1
        assert listed(box, other) == []
    lead_clock.now += lag
    assert (len(listed(box)), len(listed(box, other))) == (0, 1)
    box.move_lead(lead_id, box.client_id)
    lead_clock.now += lag
    assert (len(listed(box)), len(listed(box, other))) == (1, 0)


def test_a_lead_that_is_moved_back_at_once_is_listed_once(sandbox, lead_clock):
    box = sandbox(contacts=0, read_lag_seconds=LAG)
    lead_id = box.add_lead(LEAD)
    box.move_lead(lead_id, "other")
    box.move_lead(lead_id, box.client_id)
    assert len(listed(box)) == 1
    lead_clock.now += LAG
    assert (len(listed(box)), len(listed(box, "other"))) == (1, 0)
