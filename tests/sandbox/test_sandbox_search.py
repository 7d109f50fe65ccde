"""The stand-in itself: HubSpot's search, its filters, its order and its limits."""

import pytest

from migrator.sandbox.contact_search import search_of
from migrator.sandbox.contacts import Contact
from migrator.sandbox.hubspot_errors import InvalidRequest
from tests.support.sandbox_calls import hubspot

MOMENT = "2020-03-01T12:00:00.000Z"
MILLISECONDS = 1_583_064_000_000
PEOPLE = [
    Contact("1", {"email": "Ada@x.example", "lastmodifieddate": MOMENT, "age": "9"}),
    Contact("2", {"email": "", "lastmodifieddate": "2020-03-01T12:00:00.001Z", "age": "10"}),
    Contact("3", {"email": None, "lastmodifieddate": "2019-01-01T00:00:00.000Z"}),
]


def found(*filters: dict[str, object], **more: object) -> list[str]:
    body = {"filterGroups": [{"filters": list(filters)}] if filters else [], **more}
    return [person.id for person in search_of(body).in_order(PEOPLE)]


def where(name: str, operator: str, value: object = None, **more: object) -> dict[str, object]:
    return {"propertyName": name, "operator": operator, "value": value, **more}


@pytest.mark.parametrize(
    ("asked", "ids"),
    [
        (where("lastmodifieddate", "GTE", str(MILLISECONDS)), "12"),
        (where("lastmodifieddate", "GTE", MILLISECONDS), "12"),
        (where("lastmodifieddate", "GT", MOMENT), "2"),
        (where("lastmodifieddate", "LT", MILLISECONDS), "3"),
        (where("lastmodifieddate", "LTE", MILLISECONDS), "13"),
        (where("lastmodifieddate", "BETWEEN", 0, highValue=MILLISECONDS), "13"),
        (where("email", "EQ", "ada@X.example"), "1"),
        (where("email", "NEQ", "bea@x.example"), "1"),
        (where("email", "HAS_PROPERTY"), "1"),
        (where("email", "NOT_HAS_PROPERTY"), "23"),
        (where("email", "IN", values=["ada@x.example", "b"]), "1"),
        (where("age", "NOT_IN", values=["9"]), "2"),
        (where("age", "GT", "9"), "2"),
        (where("no_such", "GT", "9"), ""),
    ],
)
def test_a_filter_finds_who_fits(asked, ids):
    assert found(asked) == list(ids)


def test_filters_are_joined_by_and_groups_by_or():
    email, age = where("email", "HAS_PROPERTY"), where("age", "EQ", "10")
    assert found(email, age) == []
    groups = [{"filters": [email]}, {"filters": [age]}]
    assert [p.id for p in search_of({"filterGroups": groups}).in_order(PEOPLE)] == ["1", "2"]


@pytest.mark.parametrize(
    ("sort", "ids"),
    [
        ({"propertyName": "lastmodifieddate", "direction": "ASCENDING"}, "312"),
        ({"propertyName": "lastmodifieddate", "direction": "DESCENDING"}, "213"),
        ({"propertyName": "age", "direction": "ASCENDING"}, "123"),
        ("-age", "213"),
    ],
)
def test_the_order_is_by_value_and_who_has_none_comes_last(sort, ids):
    assert found(sorts=[sort]) == list(ids)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"limit": 201},
        {"limit": "10"},
        {"query": "ada"},
        {"after": "x"},
        {"after": "10000"},
        {"filterGroups": [{}]},
        {"filterGroups": [{"filters": [where("email", "RESEMBLES", "ada")]}]},
        {"filterGroups": [{"filters": [{"operator": "EQ"}]}]},
        {"filterGroups": [{"filters": [where("a", "EQ")] * 7}]},
        {"sorts": ["a", "b"]},
        {"sorts": [{}]},
        {"properties": "email"},
    ],
)
def test_what_hubspot_would_refuse_is_refused(body):
    with pytest.raises(InvalidRequest):
        search_of(body)


def test_a_search_gives_page_after_page_and_the_total(sandbox):
    box = sandbox(contacts=450)
    body = {
        "filterGroups": [{"filters": [where("email", "HAS_PROPERTY")]}],
        "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        "properties": ["email"],
        "limit": 200,
    }
    asked = {"associations": "companies"}  # which a search never gives
    page = hubspot(box, "POST", "contacts/search", json=body, params=asked).json()
    seen, total = page["results"], page["total"]
    while "paging" in page:
        body["after"] = page["paging"]["next"]["after"]
        page = hubspot(box, "POST", "contacts/search", json=body, params=asked).json()
        seen += page["results"]
    reasons = [one.reason for one in box.expected()]
    assert len(seen) == total
    assert len(box.received) == 3
    with_value = len(reasons) - reasons.count("no_email")
    assert with_value <= total < 450  # blanks are a value to HubSpot
    assert all(one["properties"]["email"] and "associations" not in one for one in seen)


@pytest.mark.parametrize("base", ["/crm/v3/objects/", "/crm/objects/2026-09/"])
def test_a_search_without_filters_counts_who_is_in_use(sandbox, base):
    box = sandbox(contacts=12)
    box.remove_contact(next(box.expected()).contact_id)
    body = {"filterGroups": [], "sorts": [], "properties": [], "limit": 0, "after": "0"}
    answer = hubspot(box, "POST", "contacts/search", base, json=body).json()
    assert answer == {"total": 11, "results": []}
