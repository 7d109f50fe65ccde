"""The stand-in itself: how one LeadGenius may differ from another in what becomes of leads."""

import pytest

from migrator.sandbox import Sandbox
from tests.support.sandbox_calls import leadgenius

ADA = {"firstName": "Ada", "lastName": "Hopper", "email": "ada@engines.example"}


def post(box: Sandbox, **changes: object):
    return leadgenius(box, "POST", json={"client_id": box.client_id, **ADA, **changes})


def listed(box: Sandbox) -> list[dict[str, object]]:
    query = {"client_id": box.client_id}
    leads: list[dict[str, object]] = leadgenius(box, "GET", params=query).json()["leads"]
    return leads


def found(box: Sandbox, **query: str) -> int:
    return leadgenius(box, "GET", "find-lead", params=query).status_code


def test_the_batch_of_the_vendors_reference_is_answered_and_not_saved(sandbox):
    box = sandbox(contacts=0)
    leads = [{**ADA, "client_id": box.client_id}, {**ADA, "email": "bea@engines.example"}]
    answer = leadgenius(box, "POST", json={"leads": leads})
    assert answer.status_code == 201
    assert answer.json() == {"success": True, "created": 2, "skipped": []}
    assert listed(box) == []


def test_a_key_of_an_index_has_at_most_2048_bytes(sandbox):
    box = sandbox(contacts=0)
    url = "https://www.linkedin.com/in/"
    assert post(box, linkedinUrl=url.ljust(2_048, "a")).status_code == 201
    refused = post(box, linkedinUrl=url.ljust(2_047, "a") + "ä")
    assert (refused.status_code, refused.json()["errorType"]) == (400, "invalid_format")
    assert refused.json()["details"] == "linkedinUrl"
    assert len(listed(box)) == 1


def test_a_lead_needs_no_email_but_it_must_be_text(sandbox):
    box = sandbox(contacts=0)
    nameless = {"client_id": box.client_id, "firstName": "Ada", "lastName": "Hopper"}
    assert leadgenius(box, "POST", json=nameless).status_code == 201
    assert "email" not in listed(box)[0]
    assert post(box, email=5).status_code == 400


def test_a_lead_is_found_by_email_or_by_linkedin(sandbox):
    box = sandbox(contacts=0)
    url = "https://www.linkedin.com/in/ada/"
    post(box, linkedinUrl=url)
    assert found(box, email=ADA["email"], client_id=box.client_id) == 200
    assert found(box, linkedinUrl=url) == 200
    assert found(box, linkedinUrl=url[:-1]) == 404
    assert found(box, email=ADA["email"], client_id="another") == 404
    assert found(box) == 400


@pytest.mark.parametrize(
    ("quirks", "is_held", "is_listed"),
    [((), False, False), (["marked_deletes"], True, True), (["hidden_deletes"], True, False)],
)
def test_a_deleted_lead_is_gone_marked_or_hidden(sandbox, quirks, is_held, is_listed):
    box = sandbox(contacts=0, quirks=quirks)
    lead_id = post(box).json()["lead"]["id"]
    other_id = post(box, email="bea@engines.example").json()["lead"]["id"]
    assert leadgenius(box, "DELETE", params={"id": lead_id}).json()["deleted"] == 1
    assert leadgenius(box, "DELETE", params={"id": lead_id}).status_code == 404
    held = {lead["id"]: lead for lead in box.held}
    assert (lead_id in held) is is_held
    shown = {lead["id"]: lead for lead in listed(box)}
    assert (lead_id in shown) is is_listed
    assert other_id in shown
    assert "status" not in shown[other_id]
    if is_held:
        lead = held[lead_id]
        assert (lead["status"], lead["deletedBy"]) == ("to_be_deleted", box.user_id)
        assert lead["deletedAt"] >= lead["createdAt"]
    assert (found(box, email=ADA["email"]) == 200) is is_listed
    change = leadgenius(box, "PUT", json={"id": lead_id, "title": "Countess"})
    assert (change.status_code == 200) is is_listed


def test_several_are_marked_at_once(sandbox):
    box = sandbox(contacts=0, quirks=["marked_deletes"])
    ids = [box.add_lead(ADA) for _ in range(3)]
    assert leadgenius(box, "DELETE", json={"ids": ids}).json() == {"success": True, "deleted": 3}
    assert [lead["status"] for lead in listed(box)] == ["to_be_deleted"] * 3


@pytest.mark.parametrize(
    ("body", "status"), [({}, 400), ({"ids": []}, 400), ({"ids": "x"}, 400), ({"ids": ["x"]}, 404)]
)
def test_a_deletion_must_name_leads(sandbox, body, status):
    assert leadgenius(sandbox(contacts=0), "DELETE", json=body).status_code == status


def test_too_many_are_not_deleted_at_once(sandbox):
    box = sandbox(contacts=0)
    ids = [box.add_lead(ADA)] + ["x"] * 50
    assert leadgenius(box, "DELETE", json={"ids": ids}).status_code == 400
    assert len(box.held) == 1


@pytest.mark.parametrize("mark", ["to_be_deleted", "duplicate"])
def test_a_marked_lead_counts_for_no_contact(sandbox, mark):
    box = sandbox(contacts=0)
    box.add_contact({"firstname": "Ada", "lastname": "Hopper", "email": ADA["email"]})
    [expected] = box.expected()
    first, second = (post(box, **expected.lead).json()["lead"]["id"] for _ in range(2))
    assert box.verdict().duplicated == [expected.contact_id]
    assert box.change_lead(second, status=mark)
    assert box.verdict().ok
    assert box.verdict().held_leads == 1
    box.change_lead(first, status=mark)
    assert box.verdict().lost == [expected.contact_id]


def test_a_short_listing_shows_the_newer_columns_and_no_others(sandbox):
    box = sandbox(contacts=0, quirks=["short_listing"])
    kept = {"notes": "a line", "phoneNumber": "+49 30 1", "companyUrl": "engines.example"}
    post(box, **kept, title="Countess", companyName="Engines", status="new")
    [lead] = listed(box)
    shown = {"id", "firstName", "lastName", "email", "companyName", "title", "status"}
    assert lead.keys() == shown | {"client_id", "createdAt"}
    whole = leadgenius(box, "GET", "find-lead", params={"email": ADA["email"]}).json()["lead"]
    assert whole.items() >= {**kept, **lead}.items()


def test_an_email_can_be_taken_once_in_a_client(sandbox):
    box = sandbox(contacts=0, quirks=["unique_email"])
    first = post(box).json()["lead"]["id"]
    again = post(box)
    assert (again.status_code, again.json()["errorType"]) == (409, "already_exists")
    assert post(box, client_id=box.create_client("Other")).status_code == 201
    assert post(box, email="bea@engines.example").status_code == 201
    box.delete_lead(first)
    assert post(box).status_code == 201


def test_quirks_can_change_while_it_runs(sandbox):
    box = sandbox(contacts=0)
    lead_id = box.add_lead({**ADA, "notes": "a line"})
    assert "notes" in listed(box)[0]
    box.change_quirks("short_listing", "marked_deletes", "next_token")
    assert "notes" not in listed(box)[0]
    assert box.delete_lead(lead_id)
    assert not box.delete_lead(lead_id)
    assert listed(box)[0]["status"] == "to_be_deleted"


def test_an_unknown_quirk_is_answered_with_all_that_there_are(sandbox):
    with pytest.raises(ValueError, match=r"'marked_delets'; there are .*hidden_deletes, late_"):
        sandbox(quirks=["marked_delets"])
