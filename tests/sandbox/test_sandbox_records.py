"""The stand-in itself: contacts one by one, archived, erased and merged, and merged companies."""

import pytest

from migrator.sandbox import Sandbox
from tests.support.sandbox_calls import hubspot

ADA = {"firstname": "Ada", "lastname": "Hopper", "email": "ada@engines.example"}
BEA = {"firstname": "Bea", "phone": "+49 30 1", "email": "bea@engines.example"}
PRIMARY, UNLABELED = "contact_to_company", "contact_to_company_unlabeled"


def read(box: Sandbox, contact_id: str, **query: str):
    return hubspot(box, "GET", f"contacts/{contact_id}", params=query)


def ids_of(box: Sandbox, **query: str) -> list[str]:
    page = hubspot(box, "GET", "contacts", params={"limit": "100", **query}).json()
    return [one["id"] for one in page["results"]]


def merge(box: Sandbox, primary: str, other: str, objects: str = "contacts"):
    body = {"primaryObjectId": primary, "objectIdToMerge": other}
    return hubspot(box, "POST", f"{objects}/merge", json=body)


def batch(box: Sandbox, objects: str, *ids: str, properties: tuple[str, ...] = (), **query: str):
    inputs = [{"id": one} for one in ids]
    body = {"inputs": inputs, "properties": list(properties), "propertiesWithHistory": []}
    return hubspot(box, "POST", f"{objects}/batch/read", json=body, params=query)


def test_a_contact_is_read_by_its_id_as_a_list_gives_it(sandbox):
    box = sandbox(contacts=30)
    query = {"properties": "email,jobtitle", "associations": "companies", "limit": "100"}
    for listed in hubspot(box, "GET", "contacts", params=query).json()["results"]:
        assert read(box, listed["id"], **query).json() == listed


def test_a_contact_that_is_not_there_is_not_found(sandbox):
    answer = read(sandbox(contacts=1), "7")
    assert (answer.status_code, answer.json()["category"]) == (404, "OBJECT_NOT_FOUND")


def test_a_contact_is_read_by_its_email(sandbox):
    box = sandbox(contacts=5)
    contact_id = box.add_contact(ADA)
    for email in (ADA["email"], "ADA%40engines.example"):
        assert read(box, email, idProperty="email").json()["id"] == contact_id
    assert read(box, "nobody@engines.example", idProperty="email").status_code == 404
    assert read(box, ADA["email"]).status_code == 404


def test_an_archived_contact_is_only_among_the_archived(sandbox):
    box = sandbox(contacts=3)
    first, second, third = ids_of(box)
    assert hubspot(box, "DELETE", f"contacts/{second}").status_code == 204
    assert hubspot(box, "DELETE", f"contacts/{second}").status_code == 204
    assert hubspot(box, "DELETE", "contacts/7").status_code == 404
    assert ids_of(box) == [first, third]
    assert ids_of(box, archived="true") == [second]
    assert read(box, second).status_code == 404
    assert read(box, first, archived="true").status_code == 404
    gone = read(box, second, archived="true").json()
    assert (gone["archived"], gone["archivedAt"] > gone["createdAt"]) == (True, True)
    box.restore_contact(second)
    assert ids_of(box) == [first, second, third]
    assert ids_of(box, archived="true") == []


def test_the_archived_come_page_by_page(sandbox):
    box = sandbox(contacts=9)
    gone = ids_of(box)[2:7]
    for contact_id in reversed(gone):
        box.remove_contact(contact_id)
    query = {"archived": "true", "limit": "2"}
    seen: list[str] = []
    page = hubspot(box, "GET", "contacts", params=query).json()
    while True:
        seen += [one["id"] for one in page["results"]]
        if "paging" not in page:
            break
        query["after"] = page["paging"]["next"]["after"]
        page = hubspot(box, "GET", "contacts", params=query).json()
    assert seen == gone


def test_a_batch_has_the_archived_only_where_they_are_asked_for(sandbox):
    box = sandbox(contacts=2)
    kept, gone = ids_of(box)
    box.remove_contact(gone)
    for archived, found in (("false", kept), ("true", gone)):
        answer = batch(box, "contacts", kept, gone, archived=archived)
        assert [one["id"] for one in answer.json()["results"]] == [found]
        assert answer.status_code == 207


@pytest.mark.parametrize("name", ["id", "email"])
def test_an_erased_contact_is_nowhere(sandbox, name):
    box = sandbox(contacts=1)
    contact_id = box.add_contact(ADA)
    body = {"objectId": contact_id}
    if name == "email":
        body = {"objectId": ADA["email"], "idProperty": "email"}
    assert hubspot(box, "POST", "contacts/gdpr-delete", json=body).status_code == 204
    assert contact_id not in ids_of(box) + ids_of(box, archived="true")
    assert read(box, contact_id).status_code == 404
    assert read(box, contact_id, archived="true").status_code == 404


def test_a_merge_makes_a_new_contact_that_the_old_ids_lead_to(sandbox):
    box = sandbox(contacts=1)
    [other] = ids_of(box)
    ada = box.add_contact(ADA, [("11", PRIMARY), ("11", UNLABELED)])
    bea = box.add_contact(BEA, [("12", PRIMARY), ("12", UNLABELED)])
    answer = merge(box, ada, bea)
    assert answer.status_code == 200
    new = answer.json()["id"]
    assert new not in (ada, bea)
    assert ids_of(box) == [other, new]
    names = "firstname,lastname,email,phone,hs_merged_object_ids,hs_additional_emails"
    query = {"properties": names, "associations": "companies"}
    for contact_id in (ada, bea, new):
        found = read(box, contact_id, **query).json()
        assert found["id"] == new
        own = found["properties"]
        assert (own["firstname"], own["lastname"], own["phone"]) == ("Ada", "Hopper", "+49 30 1")
        assert (own["email"], own["hs_additional_emails"]) == (ADA["email"], BEA["email"])
        assert own["hs_merged_object_ids"] == f"{ada};{bea}"
        rows = found["associations"]["companies"]["results"]
        assert [(row["id"], row["type"]) for row in rows] == [
            ("11", PRIMARY),
            ("11", UNLABELED),
            ("12", UNLABELED),
        ]
    assert read(box, BEA["email"], idProperty="email").json()["id"] == new
    assert batch(box, "contacts", ada, bea).json()["results"][0]["id"] == new
    assert ids_of(box, archived="true") == []


def test_a_second_merge_keeps_all_the_ids(sandbox):
    box = sandbox(contacts=0)
    one, two, three = (box.add_contact({"email": f"{name}@x.example"}) for name in "abc")
    newest = box.merge_contacts(box.merge_contacts(one, two), three)
    found = read(box, one, properties="hs_merged_object_ids,hs_additional_emails").json()
    assert found["id"] == newest
    merged = found["properties"]["hs_merged_object_ids"].split(";")
    assert {one, two, three} < set(merged)
    emails = found["properties"]["hs_additional_emails"]
    assert sorted(emails.split(";")) == ["b@x.example", "c@x.example"]


@pytest.mark.parametrize("other", ["same", "7", None])
def test_a_merge_needs_two_contacts_that_are_there(sandbox, other):
    box = sandbox(contacts=0)
    ada = box.add_contact(ADA)
    assert merge(box, ada, ada if other == "same" else other).status_code == 400
    assert hubspot(box, "POST", "contacts/merge", json=[]).status_code == 400
    assert ids_of(box) == [ada]


def test_merged_companies_answer_under_the_new_id(sandbox):
    box = sandbox(contacts=0)
    old, other = box.add_company(name="Engines"), box.add_company(domain="engines.example")
    new = merge(box, old, other, "companies").json()["id"]
    names = ("name", "domain", "hs_merged_object_ids")
    answer = batch(box, "companies", old, other, properties=names)
    assert answer.status_code == 200
    [found] = answer.json()["results"]
    assert found["id"] == new
    own = found["properties"]
    assert (own["name"], own["domain"]) == ("Engines", "engines.example")
    assert own["hs_merged_object_ids"] == f"{old};{other}"
    listed = hubspot(box, "GET", "companies", params={"limit": "100"}).json()["results"]
    assert {old, other}.isdisjoint(one["id"] for one in listed)
    assert merge(box, old, new, "companies").status_code == 400


def test_what_was_never_merged_has_no_merged_ids(sandbox):
    box = sandbox(contacts=0)
    ada = box.add_contact(ADA)
    own = read(box, ada, properties="hs_merged_object_ids,no_such").json()["properties"]
    assert own["hs_merged_object_ids"] is None
    assert "no_such" not in own


def test_a_lead_of_a_merged_contact_stands_for_the_new_one_and_is_not_strange(sandbox):
    box = sandbox(contacts=0)
    ada, bea = box.add_contact(ADA), box.add_contact(BEA)
    for expected in box.expected():
        box.add_lead(expected.lead)
    box.merge_contacts(ada, bea)
    assert box.verdict().ok
    assert box.verdict().sendable == 1
    for lead in box.held:
        box.delete_lead(lead["id"])
    assert len(box.verdict().lost) == 1


def test_the_lead_of_a_merged_company_is_built_from_the_new_record(sandbox):
    box = sandbox(contacts=0)
    old, other = box.add_company(name="Engines"), box.add_company(domain="engines.example")
    box.add_contact(ADA, [(old, PRIMARY)])
    box.merge_companies(other, old)
    [expected] = box.expected()
    assert expected.lead["companyName"] == "Engines"
    assert expected.lead["companyUrl"] == "engines.example"
