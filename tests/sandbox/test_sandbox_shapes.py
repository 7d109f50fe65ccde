"""The stand-in itself: HubSpot's answers have the keys that its specifications require."""

import pytest
import requests

from migrator.sandbox import Sandbox
from tests.support.sandbox_calls import hubspot

ACCOUNT_KEYS = {
    *("portalId", "accountType", "timeZone", "companyCurrency", "additionalCurrencies"),
    *("utcOffset", "utcOffsetMilliseconds", "uiDomain", "dataHostingLocation"),
}
PROPERTY_KEYS = {
    *("name", "label", "type", "fieldType", "groupName", "description", "options", "archived"),
    *("hidden", "hasUniqueValue", "calculated", "displayOrder", "modificationMetadata"),
}
VERSIONS = ["/crm/v3/objects/", "/crm/objects/2026-03/", "/crm/objects/2026-09/"]
ROWS = [(str(number), "former_employer") for number in range(230)]


def follow(box: Sandbox, link: str) -> requests.Response:
    return hubspot(box, "GET", link.removeprefix(box.url), base="")


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_the_account_has_every_required_key(sandbox, version):
    answer = hubspot(sandbox(), "GET", "details", base=f"/account-info/{version}/")
    assert answer.json().keys() == ACCOUNT_KEYS


@pytest.mark.parametrize("objects", ["contacts", "companies"])
@pytest.mark.parametrize("base", ["/crm/v3/properties/", "/crm/properties/2026-03/"])
def test_a_property_has_every_required_key_and_can_be_read_alone(sandbox, base, objects):
    box = sandbox(contacts=2)
    listed = {one["name"]: one for one in hubspot(box, "GET", objects, base).json()["results"]}
    assert all(one.keys() >= PROPERTY_KEYS for one in listed.values())
    assert "hs_merged_object_ids" in listed
    alone = hubspot(box, "GET", f"{objects}/hs_merged_object_ids", base)
    assert alone.json() == listed["hs_merged_object_ids"]
    assert hubspot(box, "GET", f"{objects}/no_such", base).status_code == 404


@pytest.mark.parametrize("base", VERSIONS)
def test_the_pages_can_be_followed_by_their_links(sandbox, base):
    box = sandbox(contacts=25)
    query = {"limit": "10", "properties": "email,phone"}
    page = hubspot(box, "GET", "contacts", base, params=query).json()
    ids = [one["id"] for one in page["results"]]
    while "paging" in page:
        following = page["paging"]["next"]
        assert following["link"].startswith(f"{box.url}{base}contacts?")
        page = follow(box, following["link"]).json()
        assert all("phone" in one["properties"] for one in page["results"])
        ids += [one["id"] for one in page["results"]]
    assert ids == [one.contact_id for one in box.expected()]


@pytest.mark.parametrize("base", VERSIONS)
def test_a_long_list_of_companies_can_be_followed_by_its_links(sandbox, base):
    box = sandbox(contacts=0)
    box.add_contact({"email": "ada@x.example"}, ROWS)
    query = {"associations": "companies"}
    [contact] = hubspot(box, "GET", "contacts", base, params=query).json()["results"]
    page = contact["associations"]["companies"]
    rows = page["results"]
    while "paging" in page:
        page = follow(box, page["paging"]["next"]["link"]).json()
        rows += page["results"]
    assert [(row["id"], row["type"]) for row in rows] == ROWS


@pytest.mark.parametrize("base", VERSIONS)
def test_a_batch_read_says_when_it_began_and_ended(sandbox, base):
    box = sandbox(contacts=0)
    company = box.add_company(name="Engines")
    body = {"inputs": [{"id": company}, {"id": "5"}], "properties": ["name"]}
    body["propertiesWithHistory"] = []
    answer = hubspot(box, "POST", "companies/batch/read", base, json=body)
    # The newest version tells of what it did not find in a 200.
    assert answer.status_code == (200 if "2026-09" in base else 207)
    told = answer.json()
    assert told["status"] == "COMPLETE"
    assert "2026-01-01" < told["startedAt"] <= told["completedAt"]
    assert [one["properties"]["name"] for one in told["results"]] == ["Engines"]
    assert (told["numErrors"], told["errors"][0]["context"]["ids"]) == (1, ["5"])


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("missing_scopes", "requiredScopes"),
        ("missing_granular_scopes", "requiredGranularScopes"),
    ],
)
def test_missing_scopes_come_under_either_key(sandbox, name, key):
    box = sandbox()
    box.fault(name)
    answer = hubspot(box, "GET", "contacts")
    assert (answer.status_code, answer.json()["category"]) == (403, "MISSING_SCOPES")
    [error] = answer.json()["errors"]
    assert error["context"].keys() == {key}
    assert "crm.objects.contacts.read" in error["context"][key]


def test_companies_are_listed_like_contacts(sandbox):
    box = sandbox(contacts=60)
    added = box.add_company(name="Engines")
    query = {"limit": "5", "properties": "name,domain"}
    page = hubspot(box, "GET", "companies", params=query).json()
    found = page["results"]
    while "paging" in page:
        assert len(page["results"]) == 5
        page = follow(box, page["paging"]["next"]["link"]).json()
        found += page["results"]
    ids = [one["id"] for one in found]
    assert len(set(ids)) == len(ids) >= 10
    assert ids[-1] == added
    one = hubspot(box, "GET", f"companies/{added}", params={"properties": "name"}).json()
    assert (one["id"], one["properties"]["name"]) == (added, "Engines")
    assert hubspot(box, "GET", "companies/5").status_code == 404
