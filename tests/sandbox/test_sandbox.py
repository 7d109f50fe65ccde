"""
The stand-in has its own tests, because every other test believes it.

Real HTTP throughout: bugs, faults, limits, cursors. The verdict is fed by hand.
"""

import ast
import base64
import functools
import io
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import requests

from migrator import sandbox as package
from migrator.sandbox import FAULTS, Sandbox
from migrator.sandbox.command import _print_welcome
from migrator.sandbox.expected_leads import is_mark

PROPERTIES = (
    "firstname,lastname,email,jobtitle,phone,mobilephone,city,country,lifecyclestage,"
    "hs_lead_status,associatedcompanyid,company"
)
GOOD = {"firstName": "Ada", "lastName": "Lovelace", "email": "ada@engines.example"}
NO_DATA = "Failed to create lead - no data returned"
GIVE_UP = 0.15  # seconds until a client of a hanging sandbox has had enough


class Visitor:
    """A client of one sandbox that knows both services' manners and none of our code."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.trust_env = False
        self.token = self.log_in()["accessToken"]

    def log_in(self) -> dict[str, Any]:
        credentials = {"username": self.sandbox.email, "password": self.sandbox.password}
        tokens: dict[str, Any] = self.call("POST", "/api/auth", json=credentials).json()["tokens"]
        return tokens

    def call(
        self, method: str, path: str, *, token: str = "", timeout: float = 10, **more: Any
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
        return self.session.request(
            method, self.sandbox.url + path, headers=headers, timeout=timeout, **more
        )

    def lead(self, method: str = "GET", path: str = "/api/leads", **more: Any) -> requests.Response:
        return self.call(method, path, token=self.token, **more)

    def post(self, lead: Any = None, timeout: float = 10, **changes: Any) -> requests.Response:
        lead = {**GOOD, "client_id": self.sandbox.client_id, **(lead or {}), **changes}
        return self.lead("POST", json=lead, timeout=timeout, allow_redirects=False)

    def listing(self, **query: Any) -> requests.Response:
        query = {"client_id": self.sandbox.client_id, **query}
        return self.lead(params=query)

    def hubspot(
        self,
        path: str = "contacts",
        method: str = "GET",
        base: str = "/crm/v3/objects/",
        **more: Any,
    ) -> requests.Response:
        return self.call(method, base + path, token=self.sandbox.hubspot_token, **more)

    def contacts(self, **query: Any) -> requests.Response:
        query = {"limit": 100, "properties": PROPERTIES, "associations": "companies", **query}
        return self.hubspot(params=query, timeout=query.pop("timeout", 10))

    def companies(self, ids: Iterable[str], **changes: Any) -> requests.Response:
        body = {"inputs": [{"id": i} for i in ids], "properties": ["name", "domain", "industry"]}
        body = {**body, "propertiesWithHistory": [], **changes}
        return self.hubspot("companies/batch/read", "POST", json=body)

    def every_contact(self) -> list[dict[str, Any]]:
        query: dict[str, str] = {}
        contacts: list[dict[str, Any]] = []
        while True:
            page = self.contacts(**query).json()
            contacts += page["results"]
            if "paging" not in page:
                return contacts
            query = {"after": page["paging"]["next"]["after"]}

    def close(self) -> None:
        self.session.close()


Visit = Callable[..., Visitor]


@pytest.fixture
def visit() -> Iterator[Visit]:
    """Opens a sandbox with the options given and returns a visitor of it."""
    visitors: list[Visitor] = []

    def open_(**options: Any) -> Visitor:
        visitors.append(Visitor(Sandbox(**options).start()))
        return visitors[-1]

    yield open_
    for visitor in visitors:
        visitor.close()
        visitor.sandbox.stop()


@pytest.fixture
def visitor(visit: Visit) -> Visitor:
    return visit()


def claims_of(token: str) -> Any:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def deliver(visitor: Visitor) -> None:
    for expected in visitor.sandbox.expected():
        if expected.lead:
            assert visitor.post(expected.lead).status_code == 201


# The guide's seven bugs


def test_bug_1_a_lead_under_the_internal_id_is_created_and_not_seen(visitor: Visitor) -> None:
    sandbox = visitor.sandbox
    assert visitor.post(client_id=sandbox.client_internal_id).status_code == 201
    assert visitor.listing().json()["leads"] == []
    assert len(visitor.listing(client_id=sandbox.client_internal_id).json()["leads"]) == 1
    assert sandbox.client_id != sandbox.client_internal_id


def test_bug_2_a_batch_is_counted_and_not_saved(visitor: Visitor) -> None:
    answer = visitor.lead("POST", json={"leads": [GOOD, GOOD]})
    assert (answer.status_code, answer.json()["created"]) == (201, 2)
    assert visitor.sandbox.held == []


@pytest.mark.parametrize(
    "bad",
    [
        {"phone": "+49 30 1"},
        {"title": ""},
        {"firstName": ""},
        {"lastName": "."},
        {"lastName": ","},
        {"lastName": "—"},
    ],
)
def test_bugs_3_4_and_6_answer_500_and_save_nothing(visitor: Visitor, bad: Any) -> None:
    answer = visitor.post(bad)
    assert (answer.status_code, answer.json()["error"]) == (500, NO_DATA)
    assert visitor.sandbox.held == []


@pytest.mark.parametrize("last_name", ["-", "..", "X", "李"])
def test_a_dash_and_short_names_are_no_lone_marks(visitor: Visitor, last_name: Any) -> None:
    assert visitor.post(lastName=last_name).status_code == 201


def test_bug_5_the_company_property_is_almost_always_null(visit: Visit) -> None:
    contacts = visit(contacts=300).every_contact()
    filled = [c for c in contacts if c["properties"]["company"] is not None]
    assert 0 < len(filled) < 20


def test_bug_7_total_is_the_size_of_the_page(visitor: Visitor) -> None:
    for number in range(5):
        visitor.post(email=f"{number}@x.example")
    assert visitor.listing(limit=2).json()["total"] == 2


# LeadGenius, when nothing goes wrong


def test_a_lead_comes_back_as_it_was_posted(visitor: Visitor) -> None:
    answer = visitor.post(title="Zoë 🌻", notes="one\ntwo")
    assert answer.status_code == 201
    [lead] = visitor.listing().json()["leads"]
    assert lead == answer.json()["lead"] == visitor.sandbox.held[0]
    sent = {**GOOD, "client_id": "historic-contacts", "title": "Zoë 🌻", "notes": "one\ntwo"}
    assert lead == {**sent, "id": lead["id"], "createdAt": lead["createdAt"]}


def test_the_same_email_is_kept_twice(visitor: Visitor) -> None:
    assert [visitor.post().status_code for _ in range(2)] == [201, 201]
    assert len(visitor.sandbox.held) == 2


@pytest.mark.parametrize("name", ["firstName", "lastName", "client_id"])
def test_a_missing_required_field_is_named(visitor: Visitor, name: str) -> None:
    answer = visitor.post({name: None})
    assert answer.status_code == 400
    assert answer.json()["errorType"] == "missing_required_field"
    assert answer.json()["details"] == name


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"text"'])
def test_a_body_that_is_no_object_is_an_invalid_format(visitor: Visitor, body: Any) -> None:
    answer = visitor.lead("POST", data=body)
    assert (answer.status_code, answer.json()["errorType"]) == (400, "invalid_format")


def test_an_unknown_client_is_accepted_and_kept_under_its_name(visitor: Visitor) -> None:
    assert visitor.post(client_id="nobody").status_code == 201
    assert len(visitor.sandbox.leads("nobody")) == 1


def test_a_listing_is_followed_by_its_cursor_to_the_end(visitor: Visitor) -> None:
    posted = {visitor.post(email=f"{n}@x.example").json()["lead"]["id"] for n in range(7)}
    query: dict[str, str] | None = {}
    seen: list[str] = []
    while query is not None:
        page = visitor.listing(limit=3, **query).json()
        seen += [lead["id"] for lead in page["leads"]]
        query = {"lastKey": page["lastKey"]} if page["lastKey"] else None
    assert sorted(seen) == sorted(posted)


def test_the_cursor_can_be_called_next_token_and_then_only_that_is_understood(visit: Visit) -> None:
    visitor = visit(cursor_name="nextToken", page_limit=1)
    visitor.post()
    visitor.post()
    first = visitor.listing().json()
    assert visitor.listing(lastKey=first["nextToken"]).json() == first
    assert visitor.listing(nextToken=first["nextToken"]).json()["leads"] != first["leads"]


@pytest.mark.parametrize("since", [1, 3, 150])
def test_a_listing_goes_by_id_however_many_came_since_the_last_one(since: int) -> None:
    sandbox = Sandbox(contacts=0)
    for _ in range(150):
        sandbox.add_lead(GOOD)
    sandbox.leads()
    ids = [sandbox.add_lead(GOOD) for _ in range(since)]
    assert sandbox.delete_lead(ids[0])
    listed = [lead["id"] for lead in sandbox.leads()]
    assert listed == sorted(lead["id"] for lead in sandbox.held)
    assert len(listed) == 150 + since - 1


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"lastKey": "?"}])
def test_a_listing_refuses_nonsense(visitor: Visitor, query: Any) -> None:
    assert visitor.listing(**query).status_code == 400


def test_a_listing_needs_a_client(visitor: Visitor) -> None:
    assert visitor.listing(client_id="").json()["errorType"] == "missing_required_field"


def test_a_page_has_a_hundred_leads_unless_asked(visitor: Visitor) -> None:
    for number in range(101):
        visitor.sandbox.add_lead({**GOOD, "email": f"{number}@x.example"})
    assert visitor.listing().json()["total"] == 100
    assert visitor.listing(limit=1000).json()["total"] == 101


def test_a_lead_is_not_read_back_before_the_lag_is_over(visit: Visit) -> None:
    visitor = visit(read_lag_seconds=60)
    visitor.post()
    assert visitor.listing().json()["leads"] == []
    assert visitor.lead(path="/api/find-lead", params={"email": GOOD["email"]}).status_code == 404
    assert len(visitor.sandbox.held) == 1


def test_a_lead_is_read_back_once_the_lag_is_over(visit: Visit) -> None:
    visitor = visit(read_lag_seconds=0.05)
    visitor.post()
    time.sleep(0.05)
    assert len(visitor.listing().json()["leads"]) == 1


def test_a_lead_can_be_found_changed_and_deleted(visitor: Visitor) -> None:
    lead_id = visitor.post().json()["lead"]["id"]
    found = visitor.lead(path="/api/find-lead", params={"email": GOOD["email"]})
    assert found.json()["lead"]["id"] == lead_id
    visitor.lead("PUT", json={"id": lead_id, "title": "Countess"})
    assert visitor.sandbox.held[0]["title"] == "Countess"
    assert visitor.lead("DELETE", params={"id": lead_id}).status_code == 200
    assert visitor.lead("DELETE", params={"id": lead_id}).status_code == 404
    assert visitor.sandbox.held == []


def test_several_leads_can_be_changed_and_deleted_at_once(visitor: Visitor) -> None:
    ids = [visitor.post().json()["lead"]["id"] for _ in range(3)]
    changes = [{"id": lead_id, "title": "Countess"} for lead_id in ids]
    assert visitor.lead("PUT", json={"leads": changes}).json()["updated"] == 3
    assert visitor.lead("DELETE", json={"ids": ids}).json()["deleted"] == 3


def test_a_new_client_has_two_ids_and_a_slug_of_its_own(visitor: Visitor) -> None:
    body = {"clientName": "Historic Contacts", "description": "again"}
    client = visitor.lead("POST", "/api/clients", json=body).json()["client"]
    assert client["id"] != client["client_id"] != visitor.sandbox.client_id
    query = {"clientId": client["client_id"]}
    assert visitor.lead(path="/api/clients", params=query).json()["clients"] == [client]
    assert len(visitor.lead(path="/api/clients").json()["clients"]) == 2


def test_a_client_can_be_changed_and_purged(visitor: Visitor) -> None:
    visitor.post()
    internal = visitor.sandbox.client_internal_id
    changed = visitor.lead("PUT", "/api/clients", json={"id": internal, "description": "new"})
    assert changed.json()["client"]["description"] == "new"
    visitor.lead("DELETE", "/api/clients", params={"id": internal, "purge": "true"})
    assert visitor.lead(path="/api/clients").json()["clients"] == []
    assert visitor.sandbox.held == []


# Who may come in


def test_a_token_reads_like_a_jwt_of_the_lifetime_asked_for(visit: Visit) -> None:
    visitor = visit(token_seconds=120)
    tokens = visitor.log_in()
    claims = claims_of(tokens["accessToken"])
    assert tokens["expiresIn"] == claims["exp"] - claims["iat"] == 120
    assert abs(claims["iat"] - time.time()) < 5
    assert claims["sub"] == visitor.sandbox.user_id


def test_a_token_that_has_expired_is_refused_as_such(visit: Visit) -> None:
    answer = visit(token_seconds=0).post()
    assert (answer.status_code, answer.json()["errorType"]) == (401, "token_expired")


def test_all_tokens_can_be_made_to_expire_and_be_renewed(visitor: Visitor) -> None:
    refresh_token = visitor.log_in()["refreshToken"]
    visitor.sandbox.expire_tokens()
    assert visitor.post().json()["errorType"] == "token_expired"
    answer = visitor.call("POST", "/api/auth/refresh", json={"refreshToken": refresh_token})
    visitor.token = answer.json()["tokens"]["accessToken"]
    assert visitor.post().status_code == 201


@pytest.mark.parametrize("path", ["/api/auth", "/api/auth/refresh"])
def test_wrong_credentials_are_refused(visitor: Visitor, path: Any) -> None:
    body = {"username": visitor.sandbox.email, "password": "wrong", "refreshToken": "wrong"}
    assert visitor.call("POST", path, json=body).status_code == 401


def test_an_unknown_token_is_no_valid_token(visitor: Visitor) -> None:
    visitor.token = "made.up.token"
    answer = visitor.post()
    assert (answer.status_code, answer.json()["errorType"]) == (401, "no_valid_tokens")
    assert visitor.sandbox.received[-1].lead == {**GOOD, "client_id": "historic-contacts"}


def test_an_api_key_comes_in_without_a_token(visitor: Visitor) -> None:
    sandbox = visitor.sandbox
    headers = {"x-api-key": sandbox.api_key, "x-user-id": sandbox.user_id}
    assert visitor.call("GET", "/api/clients", headers=headers).status_code == 200
    headers["x-user-id"] = "somebody else"
    assert visitor.call("GET", "/api/clients", headers=headers).status_code == 401


def test_hubspot_wants_its_own_token(visitor: Visitor) -> None:
    answer = visitor.call("GET", "/crm/v3/objects/contacts", token=visitor.token)
    assert answer.status_code == 401
    assert answer.json()["category"] == "INVALID_AUTHENTICATION"


# Limits


def test_the_minute_has_room_for_so_many_requests(visit: Visit) -> None:
    visitor = visit(rate_limit=2)
    first, second, third = (visitor.post() for _ in range(3))
    assert [a.status_code for a in (first, second, third)] == [201, 201, 429]
    assert [a.headers["X-RateLimit-Remaining"] for a in (first, second, third)] == ["1", "0", "0"]
    assert 0 < int(third.headers["X-RateLimit-Reset"]) - time.time() <= 61
    assert "Retry-After" not in third.headers
    assert len(visitor.sandbox.held) == 2


def test_a_window_can_be_short(visit: Visit) -> None:
    visitor = visit(rate_limit=1, rate_window_seconds=0.1)
    statuses = [visitor.post().status_code]
    time.sleep(0.1)
    statuses.append(visitor.post().status_code)
    assert statuses == [201, 201]


def test_rate_headers_can_be_switched_off_and_retry_after_on(visit: Visit) -> None:
    visitor = visit(rate_limit=1, rate_headers=False, rate_retry_after=True)
    visitor.post()
    answer = visitor.post()
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert "X-RateLimit-Limit" not in answer.headers


def test_a_limit_can_come_and_go(visitor: Visitor) -> None:
    visitor.sandbox.change_rate_limit(1, headers=False, retry_after=True)
    statuses = [visitor.post().status_code, visitor.post().status_code]
    assert "Retry-After" in visitor.post().headers
    visitor.sandbox.change_rate_limit(None)
    assert [*statuses, visitor.post().status_code] == [201, 429, 201]


def test_without_a_limit_no_header_speaks_of_one(visitor: Visitor) -> None:
    assert not [name for name in visitor.post().headers if "rate" in name.lower()]
    assert not [name for name in visitor.contacts().headers if "rate" in name.lower()]


def test_hubspot_limits_ten_rolling_seconds(visit: Visit) -> None:
    visitor = visit(hubspot_rate_limit=1)
    first, second = visitor.contacts(), visitor.contacts()
    assert first.headers["X-HubSpot-RateLimit-Remaining"] == "0"
    assert first.headers["X-HubSpot-RateLimit-Interval-Milliseconds"] == "10000"
    assert second.status_code == 429
    assert second.json()["policyName"] == "TEN_SECONDLY_ROLLING"


def test_hubspot_tells_what_is_left_of_the_day(visit: Visit) -> None:
    headers = visit(hubspot_rate_limit=9, hubspot_daily=(500, 3)).contacts().headers
    assert headers["X-HubSpot-RateLimit-Daily"] == "500"
    assert headers["X-HubSpot-RateLimit-Daily-Remaining"] == "3"


def test_hubspots_window_can_be_short(visit: Visit) -> None:
    visitor = visit(hubspot_rate_limit=1, hubspot_window_seconds=0.05)
    statuses = [visitor.contacts().status_code]
    time.sleep(0.05)
    assert [*statuses, visitor.contacts().status_code] == [200, 200]


# HubSpot, when nothing goes wrong


def test_a_search_tells_how_many_contacts_there_are(visit: Visit) -> None:
    visitor = visit(contacts=25)
    visitor.sandbox.remove_contact(next(visitor.sandbox.expected()).contact_id)
    found = visitor.hubspot("contacts/search", "POST", json={"limit": 3}).json()
    assert (found["total"], len(found["results"])) == (24, 3)


@pytest.mark.parametrize("body", [[], {"limit": 201}, {"limit": 1, "filterGroups": [{}]}])
def test_a_search_that_is_not_understood_is_refused(visitor: Visitor, body: Any) -> None:
    answer = visitor.hubspot("contacts/search", "POST", json=body)
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize("base", ["/crm/v3/objects/", "/crm/objects/2026-03/"])
def test_contacts_come_page_by_page_until_paging_is_absent(visit: Visit, base: Any) -> None:
    visitor = visit(contacts=25)
    query: dict[str, Any] = {"limit": 10}
    ids: list[int] = []
    while query:
        page = visitor.hubspot(base=base, params=query).json()
        ids += [int(contact["id"]) for contact in page["results"]]
        query = {"limit": 10, **page["paging"]["next"]} if "paging" in page else {}
    assert len(ids) == 25
    assert ids == sorted(set(ids))


def test_a_contact_has_what_was_asked_for_and_three_properties_more(visitor: Visitor) -> None:
    query = {"limit": 1, "properties": ["email", "lastname", "shoe_size"]}
    [contact] = visitor.hubspot(params=query).json()["results"]
    unasked = {"createdate", "hs_object_id", "lastmodifieddate"}
    assert contact["properties"].keys() == {"email", "lastname"} | unasked
    assert contact["properties"]["hs_object_id"] == contact["id"]
    assert "associations" not in contact


@pytest.mark.parametrize("query", [{"limit": 101}, {"limit": 0}, {"limit": "x"}, {"after": "17"}])
def test_hubspot_refuses_nonsense(visitor: Visitor, query: Any) -> None:
    answer = visitor.contacts(**query)
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")


def test_a_uri_can_be_too_long(visitor: Visitor) -> None:
    assert visitor.contacts(properties="x" * 20_000).status_code == 414


def test_associations_come_once_per_label_and_only_where_there_are_any(visitor: Visitor) -> None:
    visitor.sandbox.add_contact({"email": "a@b.example"}, [("9", "boss"), ("9", "owner")])
    visitor.sandbox.add_contact({"email": "b@b.example"})
    employed, alone = visitor.every_contact()[-2:]
    rows = [{"id": "9", "type": "boss"}, {"id": "9", "type": "owner"}]
    assert employed["associations"] == {"companies": {"results": rows}}
    assert "associations" not in alone


def test_more_than_a_hundred_associations_continue_on_a_page_of_their_own(visit: Visit) -> None:
    visitor = visit(contacts=0)
    visitor.sandbox.add_contact({"email": "a@b.example"}, [(str(n), "x") for n in range(150)])
    [contact] = visitor.every_contact()
    inline = contact["associations"]["companies"]
    rest = f"contacts/{contact['id']}/associations/companies"
    more = visitor.hubspot(rest, params=inline["paging"]["next"]).json()
    ids = [row["id"] for row in inline["results"] + more["results"]]
    assert ids == [str(n) for n in range(150)]
    assert "paging" not in more


def test_the_primary_company_is_not_always_first(visit: Visit) -> None:
    kinds = [
        [row["type"] for row in contact["associations"]["companies"]["results"]]
        for contact in visit(contacts=200).every_contact()
        if "associations" in contact
    ]
    places = Counter(
        types.index("contact_to_company") for types in kinds if "contact_to_company" in types
    )
    assert {1, 2} <= places.keys()
    assert places.total() < len(kinds)


def test_a_batch_names_the_missing_and_keeps_silent_about_the_merged(visit: Visit) -> None:
    visitor = visit(contacts=2000)
    asked = companies_of(visitor.every_contact())
    found: set[str] = set()
    missing: set[str] = set()
    statuses = set()
    for start in range(0, len(asked), 100):
        answer = visitor.companies(asked[start : start + 100])
        statuses.add(answer.status_code)
        found |= {company["id"] for company in answer.json()["results"]}
        for error in answer.json().get("errors", []):
            assert error["category"] == "OBJECT_NOT_FOUND"
            missing |= set(error["context"]["ids"])
    assert 207 in statuses
    assert missing
    assert set(asked) - found - missing


def companies_of(contacts: list[dict[str, Any]]) -> list[str]:
    rows = [c["associations"]["companies"]["results"] for c in contacts if "associations" in c]
    return sorted({row["id"] for results in rows for row in results})


def test_a_company_has_what_was_asked_for(visitor: Visitor) -> None:
    company_id = visitor.sandbox.add_company(name="Acme", domain="acme.example", city="Bonn")
    answer = visitor.companies([company_id, company_id], properties=["name"])
    assert answer.status_code == 200
    [company] = answer.json()["results"]
    assert company["properties"]["name"] == "Acme"
    assert "domain" not in company["properties"]


@pytest.mark.parametrize("key", ["inputs", "properties", "propertiesWithHistory"])
def test_a_batch_read_requires_all_three_keys(visitor: Visitor, key: Any) -> None:
    body: dict[str, list[str]] = {"inputs": [], "properties": [], "propertiesWithHistory": []}
    del body[key]
    answer = visitor.hubspot("companies/batch/read", "POST", json=body)
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")


def test_a_batch_read_takes_a_hundred_and_no_more(visitor: Visitor) -> None:
    assert visitor.companies(map(str, range(100))).status_code == 207
    assert visitor.companies(map(str, range(101))).status_code == 400


@pytest.mark.parametrize("version", ["v3", "2026-03"])
def test_the_account_tells_its_portal(visitor: Visitor, version: Any) -> None:
    details = visitor.hubspot(f"{version}/details", base="/account-info/").json()
    assert str(details["portalId"]) == visitor.sandbox.portal_id
    assert details["timeZone"]


@pytest.mark.parametrize("base", ["/crm/v3/properties/", "/crm/properties/2026-03/"])
def test_the_names_of_properties_are_listed(visitor: Visitor, base: str) -> None:
    visitor.sandbox.change_contact(visitor.sandbox.add_contact({"motto": "x"}), role="y")
    answers = [visitor.hubspot(of, base=base).json()["results"] for of in ("contacts", "companies")]
    contacts, companies = ({one["name"] for one in results} for results in answers)
    assert {"jobtitle", "hs_object_id", "motto", "role"} <= contacts
    assert {"name", "domain", "industry"} <= companies
    assert visitor.hubspot("deals", base=base).status_code == 404


def test_a_token_need_not_be_allowed_to_list_properties(visitor: Visitor) -> None:
    visitor.sandbox.fault("properties_forbidden")
    assert visitor.hubspot("contacts", base="/crm/v3/properties/").status_code == 403


def test_unknown_paths_are_not_found(visitor: Visitor) -> None:
    assert visitor.hubspot("deals").status_code == 404
    assert visitor.lead(path="/api/nothing").status_code == 404


# The contacts


def test_contacts_are_a_function_of_the_seed_alone(visit: Visit) -> None:
    first, again, other = (visit(contacts=120, seed=s).every_contact() for s in (7, 7, 8))
    assert first == again != other


def test_the_millionth_contact_costs_no_more_than_the_first() -> None:
    sandbox = Sandbox(contacts=1_000_000)
    tracemalloc.start()
    last = sandbox._portal.contact(str(51 + 50 * 999_999))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert last is not None
    assert peak < 100_000


@functools.cache
def crowd() -> list[dict[str, str | None]]:
    return [person.properties for person in Sandbox(contacts=3000)._portal.contacts()]


def test_every_awkward_email_occurs() -> None:
    mails = {person["email"] for person in crowd()}
    written = [mail for mail in mails if mail]
    assert {None, "", "  "} <= mails
    assert any("@@" in mail for mail in written)
    assert any(mail.endswith("@gmail.com") for mail in written)
    assert any("@" in mail and mail != mail.strip() for mail in written)
    assert max(Counter(mail.strip().casefold() for mail in written).values()) > 1


@pytest.mark.parametrize("name", ["firstname", "lastname"])
def test_every_awkward_name_occurs(name: str) -> None:
    names = [person[name] for person in crowd()]
    letters = {letter for written in names if written for letter in written}
    assert {None, ""} <= set(names)
    assert {"Cc", "Mn", "So"} <= {unicodedata.category(letter) for letter in letters}
    assert {"R", "AL"} <= {unicodedata.bidirectional(letter) for letter in letters}
    assert any(written != written.strip() for written in names if written)
    assert len([written for written in names if written and is_mark(written)]) > 3


def test_awkward_phones_and_titles_occur() -> None:
    assert any(person["mobilephone"] and not person["phone"] for person in crowd())
    assert {None, ""} <= {person["jobtitle"] for person in crowd()}
    assert max(len(person["jobtitle"] or "") for person in crowd()) > 1000


def test_most_contacts_are_ordinary() -> None:
    outcomes = Counter(expected.reason for expected in Sandbox(contacts=2000).expected())
    assert outcomes[None] > 1800
    assert outcomes.keys() == {None, "no_email", "invalid_email", "duplicate_email"}


def test_no_employer_can_be_real() -> None:
    for expected in Sandbox(contacts=500).expected():
        url = (expected.lead or {}).get("companyUrl", "none.example")
        assert url.endswith(".example")


def test_the_portal_can_be_edited(visit: Visit) -> None:
    visitor = visit(contacts=3)
    sandbox = visitor.sandbox
    first, second, third = (contact["id"] for contact in visitor.every_contact())
    added = sandbox.add_contact({"email": "new@x.example", "firstname": None})
    sandbox.change_contact(first, email="changed@x.example")
    sandbox.remove_contact(second)
    contacts = visitor.every_contact()
    assert [contact["id"] for contact in contacts] == [first, third, added]
    assert contacts[0]["properties"]["email"] == "changed@x.example"
    assert contacts[0]["updatedAt"] > contacts[1]["updatedAt"]
    with pytest.raises(KeyError):
        sandbox.remove_contact(second)


def test_the_destination_can_be_edited(visitor: Visitor) -> None:
    lead_id = visitor.sandbox.add_lead(GOOD)
    assert [lead["id"] for lead in visitor.listing().json()["leads"]] == [lead_id]
    assert visitor.sandbox.delete_lead(lead_id)
    assert not visitor.sandbox.delete_lead(lead_id)


# Fault


@pytest.mark.parametrize(
    ("name", "status", "saved"),
    [
        ("refuse", 400, 0),
        ("unprocessable", 422, 0),
        ("forbidden", 403, 0),
        ("not_found", 404, 0),
        ("too_large", 413, 0),
        ("throttle", 429, 0),
        ("throttle_silently", 429, 0),
        ("conflict", 409, 0),
        ("conflict_after_saving", 409, 1),
        ("unavailable", 503, 0),
        ("error_after_saving", 500, 1),
        ("error_without_saving", 500, 0),
        ("html", 200, 0),
        ("html_after_saving", 200, 1),
        ("no_id", 201, 1),
        ("empty_answer", 201, 1),
        ("redirect", 307, 0),
        ("moved", 301, 0),
        ("expire_token", 401, 0),
    ],
)
def test_faults_that_answer(visitor: Visitor, name: str, status: int, saved: int) -> None:
    visitor.sandbox.fault(name)
    assert visitor.post().status_code == status
    [held, record] = visitor.sandbox.held, visitor.sandbox.received[-1]
    assert len(held) == saved
    assert (record.status, record.fault) == (status, name)
    assert record.lead_id == (held[0]["id"] if saved else None)
    assert visitor.post().status_code == 201


@pytest.mark.parametrize(
    ("name", "error", "saved"),
    [
        ("drop_before_saving", requests.ConnectionError, 0),
        ("drop_after_saving", requests.ConnectionError, 1),
        ("reset_after_saving", requests.ConnectionError, 1),
        ("hang_before_saving", requests.ReadTimeout, 0),
        ("hang_after_saving", requests.ReadTimeout, 1),
    ],
)
def test_faults_that_never_answer(
    visitor: Visitor, name: str, error: type[Exception], saved: int
) -> None:
    visitor.sandbox.fault(name)
    with pytest.raises(error):
        visitor.post(timeout=GIVE_UP)
    visitor.sandbox.wait_until(lambda: visitor.sandbox.received[-1].fault == name)
    record = visitor.sandbox.received[-1]
    assert record.status is None
    assert bool(record.lead_id) == saved == len(visitor.sandbox.held)


def test_a_reset_is_no_orderly_close(visitor: Visitor) -> None:
    visitor.sandbox.fault("reset_after_saving")
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        visitor.post()


def test_a_late_save_comes_after_the_client_has_given_up(visit: Visit) -> None:
    visitor = visit(late_seconds=2 * GIVE_UP)
    visitor.sandbox.fault("save_late")
    with pytest.raises(requests.ReadTimeout):
        visitor.post(timeout=GIVE_UP)
    visitor.sandbox.wait_until(lambda: visitor.sandbox.received[-1].lead_id)
    [lead] = visitor.sandbox.held
    saved_at = datetime.fromisoformat(lead["createdAt"]).timestamp()
    assert saved_at - visitor.sandbox.received[-1].at >= 2 * GIVE_UP


def test_a_slow_answer_comes_in_the_end(visit: Visit) -> None:
    visitor = visit(slow_seconds=0.1)
    visitor.sandbox.fault("slow")
    start = time.monotonic()
    assert visitor.post().status_code == 201
    assert time.monotonic() - start >= 0.1


def test_a_truncated_answer_promises_more_than_it_sends(visitor: Visitor) -> None:
    visitor.sandbox.fault("truncated")
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        visitor.post()
    assert visitor.sandbox.received[-1].status == 201
    assert len(visitor.sandbox.held) == 1


def test_only_one_kind_of_throttling_speaks_of_time(visit: Visit) -> None:
    visitor = visit(rate_limit=100)
    visitor.sandbox.fault("throttle")
    visitor.sandbox.fault("throttle_silently")
    loud, silent = visitor.post(), visitor.post()
    assert loud.headers["Retry-After"] == "1"
    assert silent.headers.keys() == {"Content-Type", "Content-Length"}


@pytest.mark.parametrize(("name", "method"), [("redirect", "POST"), ("moved", "GET")])
def test_whoever_follows_a_redirect_is_recorded_and_saves_nothing(
    visitor: Visitor, name: str, method: Any
) -> None:
    visitor.sandbox.fault(name)
    lead = {**GOOD, "client_id": visitor.sandbox.client_id}
    assert visitor.lead("POST", json=lead).ok
    followed = visitor.sandbox.received[-1]
    assert (followed.method, followed.path) == (method, "/api/moved/leads")
    assert visitor.sandbox.held == []


@pytest.mark.parametrize(
    ("name", "status", "word"),
    [
        ("hubspot_error", 502, "INTERNAL_ERROR"),
        ("hubspot_throttle", 429, "TEN_SECONDLY_ROLLING"),
        ("hubspot_secondly", 429, '"SECONDLY"'),
        ("hubspot_daily", 429, '"DAILY"'),
        ("hubspot_locked", 423, "LOCKED"),
        ("hubspot_migrating", 477, "MIGRATION"),
        ("hubspot_unauthorized", 401, "INVALID_AUTHENTICATION"),
        ("missing_scopes", 403, "crm.objects.companies.read"),
        ("hubspot_html", 200, "<html>"),
    ],
)
def test_hubspots_faults_strike_contacts_and_companies(
    visitor: Visitor, name: str, status: int, word: Any
) -> None:
    visitor.sandbox.fault(name, times=2)
    for answer in (visitor.contacts(), visitor.companies(["1"])):
        assert answer.status_code == status
        assert word in answer.text
    assert visitor.contacts().status_code == 200


def test_missing_scopes_are_named_where_hubspot_names_them(visitor: Visitor) -> None:
    visitor.sandbox.fault("missing_scopes")
    [error] = visitor.contacts().json()["errors"]
    assert error["context"]["requiredScopes"][0] == "crm.objects.contacts.read"


def test_a_migrating_account_says_when_to_come_back(visitor: Visitor) -> None:
    visitor.sandbox.fault("hubspot_migrating")
    assert visitor.contacts().headers["Retry-After"] == "1"


def test_hubspot_can_drop_a_connection(visitor: Visitor) -> None:
    visitor.sandbox.fault("hubspot_drop")
    with pytest.raises(requests.ConnectionError):
        visitor.contacts()


def test_hubspot_can_hang(visitor: Visitor) -> None:
    visitor.sandbox.fault("hubspot_hang")
    with pytest.raises(requests.ReadTimeout):
        visitor.contacts(timeout=GIVE_UP)


def test_only_companies_can_hang(visitor: Visitor) -> None:
    visitor.sandbox.fault("companies_hang")
    assert visitor.contacts().status_code == 200
    with pytest.raises(requests.ReadTimeout):
        visitor.hubspot("companies/batch/read", "POST", timeout=GIVE_UP)


@pytest.mark.parametrize("name", ["hubspot_short_page", "hubspot_empty_page"])
def test_a_short_or_empty_page_of_contacts_still_has_a_next_one(visit: Visit, name: str) -> None:
    visitor = visit(contacts=5)
    visitor.sandbox.fault(name, times=4)
    sizes, ids = [], []
    query: dict[str, str] | None = {}
    while query is not None:
        page = visitor.contacts(**query).json()
        sizes.append(len(page["results"]))
        ids += [contact["id"] for contact in page["results"]]
        query = page["paging"]["next"] if "paging" in page else None
    assert sizes[0] < 5 <= len(sizes)
    assert ids == ["51", "101", "151", "201", "251"]


@pytest.mark.parametrize("name", ["hubspot_short_page", "hubspot_empty_page"])
def test_no_cursor_of_hubspot_repeats_by_itself(visit: Visit, name: str) -> None:
    visitor = visit(contacts=3)
    visitor.sandbox.fault(name, times=5)
    cursors = [visitor.contacts().json()["paging"]["next"]["after"]]
    for _ in range(4):
        cursors.append(visitor.contacts(after=cursors[-1]).json()["paging"]["next"]["after"])
    assert len(set(cursors)) == 5


def test_hubspot_can_repeat_a_cursor_once_there_is_one(visit: Visit) -> None:
    visitor = visit(contacts=150)
    visitor.sandbox.fault("hubspot_repeat_cursor")
    cursor = visitor.contacts().json()["paging"]["next"]["after"]
    assert visitor.contacts(after=cursor).json()["paging"]["next"]["after"] == cursor
    assert "paging" not in visitor.contacts(after=cursor).json()


def test_a_portal_need_not_tell_about_its_account(visitor: Visitor) -> None:
    visitor.sandbox.fault("account_forbidden")
    assert visitor.contacts().status_code == 200
    assert visitor.hubspot("v3/details", base="/account-info/").status_code == 403


def test_a_listing_of_leads_can_fail(visitor: Visitor) -> None:
    visitor.sandbox.fault("list_error")
    assert visitor.listing().status_code == 500


@pytest.mark.parametrize(
    ("name", "error"),
    [("list_drop", requests.ConnectionError), ("list_hang", requests.ReadTimeout)],
)
def test_a_listing_of_leads_can_go_unanswered(
    visitor: Visitor, name: str, error: type[Exception]
) -> None:
    visitor.sandbox.fault(name)
    with pytest.raises(error):
        visitor.lead(params={"client_id": "x"}, timeout=GIVE_UP)


@pytest.mark.parametrize(("name", "size"), [("short_page", 2), ("empty_page", 0)])
def test_a_short_or_empty_page_of_leads_still_has_a_next_one(
    visitor: Visitor, name: str, size: Any
) -> None:
    for _ in range(4):
        visitor.post()
    visitor.sandbox.fault(name, times=2)
    first = visitor.listing().json()
    second = visitor.listing(lastKey=first["lastKey"]).json()
    rest = visitor.listing(lastKey=second["lastKey"]).json()
    assert first["total"] == size
    assert len(first["leads"] + second["leads"] + rest["leads"]) == 4
    assert first["lastKey"] != second["lastKey"]
    assert rest["lastKey"] is None


def test_a_listing_of_leads_can_repeat_a_cursor_once_there_is_one(visit: Visit) -> None:
    visitor = visit(page_limit=1)
    visitor.post()
    visitor.post()
    visitor.sandbox.fault("repeat_cursor")
    cursor = visitor.listing().json()["lastKey"]
    assert visitor.listing(lastKey=cursor).json()["lastKey"] == cursor
    assert visitor.listing(lastKey=cursor).json()["lastKey"] is None


def test_logging_in_can_fail(visitor: Visitor) -> None:
    visitor.sandbox.fault("auth_error")
    assert visitor.call("POST", "/api/auth", json={}).status_code == 500


def test_a_fault_waits_for_the_lead_it_is_meant_for(visitor: Visitor) -> None:
    visitor.sandbox.fault("refuse", where=lambda lead: lead["firstName"] == "Grace")
    assert visitor.post().status_code == 201
    assert visitor.post(firstName="Grace").status_code == 400
    assert visitor.post(firstName="Grace").status_code == 201


def test_a_fault_of_a_read_can_wait_for_a_query(visit: Visit) -> None:
    visitor = visit(contacts=150)
    visitor.sandbox.fault("hubspot_error", where=lambda query: "after" in query)
    first = visitor.contacts()
    assert first.status_code == 200
    assert visitor.contacts(**first.json()["paging"]["next"]).status_code == 502


def test_faults_strike_in_the_order_in_which_they_were_armed(visitor: Visitor) -> None:
    visitor.sandbox.fault("refuse", times=2)
    visitor.sandbox.fault("unavailable")
    assert [visitor.post().status_code for _ in range(4)] == [400, 400, 503, 201]


def test_a_bad_lead_uses_up_no_fault(visitor: Visitor) -> None:
    visitor.sandbox.fault("unavailable")
    assert [visitor.post(title="").status_code, visitor.post().status_code] == [500, 503]


def test_the_dice_fall_the_same_way_for_the_same_seed(visit: Visit) -> None:
    runs = []
    for _ in range(2):
        visitor = visit(faults={"refuse": 0.3, "unavailable": 0.2, "list_error": 1.0})
        runs.append([visitor.post().status_code for _ in range(60)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {201, 400, 503}


def test_calm_drops_everything(visit: Visit) -> None:
    visitor = visit(faults={"refuse": 1.0})
    visitor.sandbox.fault("unavailable", times=9)
    assert visitor.post().status_code == 503
    visitor.sandbox.calm()
    assert visitor.post().status_code == 201


def test_an_unknown_fault_is_answered_with_those_that_look_like_it() -> None:
    with pytest.raises(ValueError, match="drop_after_saving"):
        Sandbox(faults={"drop_aftr_saving": 0.1})
    with pytest.raises(ValueError, match="hubspot_throttle"):
        Sandbox().fault("hubspot_throtle")


def test_a_fault_strikes_once_at_least() -> None:
    with pytest.raises(ValueError, match="0 times"):
        Sandbox().fault("refuse", times=0)


@pytest.mark.parametrize("odds", [{"refuse": 1.5}, {"refuse": -1}, {"refuse": 0.6, "html": 0.6}])
def test_impossible_odds_are_refused(odds: Any) -> None:
    with pytest.raises(ValueError, match=r"probabilit"):
        Sandbox(faults=odds)


# The record


def test_every_request_is_recorded_in_order(visitor: Visitor) -> None:
    visitor.post()
    visitor.listing(limit=7)
    auth, post, listing = visitor.sandbox.received
    assert [r.number for r in (auth, post, listing)] == [0, 1, 2]
    assert (post.method, post.path, post.status) == ("POST", "/api/leads", 201)
    assert post.lead == {**GOOD, "client_id": visitor.sandbox.client_id}
    assert post.key == sha256(json.dumps(post.lead).encode()).hexdigest()
    assert listing.query == {"client_id": visitor.sandbox.client_id, "limit": "7"}
    assert abs(post.at - time.time()) < 5


def test_waiting_ends_when_the_request_comes(visitor: Visitor) -> None:
    sandbox = visitor.sandbox
    thread = threading.Thread(target=visitor.post)
    thread.start()
    sandbox.wait_until(lambda: sandbox.held)
    thread.join()
    assert len(sandbox.held) == 1


def test_a_hung_request_can_be_waited_for(visitor: Visitor) -> None:
    sandbox = visitor.sandbox
    sandbox.fault("hang_after_saving")
    with socket.create_connection(("127.0.0.1", int(sandbox.url.rpartition(":")[2]))) as client:
        body = json.dumps({**GOOD, "client_id": "x"}).encode()
        head = f"POST /api/leads HTTP/1.1\r\nAuthorization: Bearer {visitor.token}\r\n"
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        sandbox.wait_until(lambda: sandbox.received[-1].fault)
    assert len(sandbox.leads("x")) == 1


def test_waiting_gives_up(visitor: Visitor) -> None:
    with pytest.raises(TimeoutError, match="still false"):
        visitor.sandbox.wait_until(lambda: False, timeout=0.01)


# The server


def test_stopping_does_not_wait_for_the_hung(visit: Visit) -> None:
    visitor = visit(late_seconds=60, slow_seconds=60)
    for name in ("hang_before_saving", "save_late", "slow"):
        visitor.sandbox.fault(name)
        with pytest.raises(requests.ReadTimeout):
            visitor.post(timeout=0.05)
    start = time.monotonic()
    visitor.sandbox.stop()
    assert time.monotonic() - start < 2


def test_a_sandbox_started_again_keeps_its_port_and_its_leads(visitor: Visitor) -> None:
    visitor.post()
    url = visitor.sandbox.url
    visitor.sandbox.stop()
    with pytest.raises(requests.ConnectionError):
        visitor.listing()
    visitor.sandbox.start()
    assert visitor.sandbox.url == url
    assert visitor.listing().json()["total"] == 1


def test_answers_can_take_their_time(visit: Visit) -> None:
    visitor = visit(latency_seconds=(0.05, 0.06))
    start = time.monotonic()
    assert visitor.post().status_code == 201
    assert time.monotonic() - start >= 0.05


def test_one_connection_serves_many_requests_unless_told_to_close(visitor: Visitor) -> None:
    assert "Connection" not in visitor.post().headers
    answer = visitor.lead(params={"client_id": "x"}, headers={"Connection": "close"})
    assert answer.headers["Connection"] == "close"


def test_a_client_that_dies_while_it_speaks_was_not_heard(visitor: Visitor) -> None:
    port = int(visitor.sandbox.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"POST /api/leads HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    assert visitor.post().status_code == 201
    assert len(visitor.sandbox.received) == 2


@pytest.mark.parametrize("garbage", [b"\r\n", b"\x16\x03\x01 hello\r\n\r\n"])
def test_garbage_is_hung_up_on(visitor: Visitor, garbage: Any) -> None:
    port = int(visitor.sandbox.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(garbage)
        assert client.recv(100) == b""


def test_a_body_of_unknown_length_is_refused(visitor: Visitor) -> None:
    answer = visitor.lead("POST", data=iter([b"{}"]))
    assert answer.status_code == 411


def test_many_clients_are_served_at_once(visitor: Visitor) -> None:
    def work(number: int) -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = f"Bearer {visitor.token}"
            for turn in range(20):
                lead = {**GOOD, "client_id": "x", "email": f"{number}.{turn}@x.example"}
                session.post(f"{visitor.sandbox.url}/api/leads", json=lead, timeout=10)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({lead["email"] for lead in visitor.sandbox.held}) == 200
    assert len({lead["id"] for lead in visitor.sandbox.held}) == 200


# What ought to become of a contact


def expected_of(properties: dict[str, Any], companies: Any = ()) -> Any:
    sandbox = Sandbox(contacts=0)
    sandbox.add_contact(properties, [(add(sandbox), kind) for add, kind in companies])
    [expected] = sandbox.expected()
    return expected


def company(**properties: str | None) -> Callable[[Sandbox], str]:
    return lambda sandbox: sandbox.add_company(**properties)


@pytest.mark.parametrize(
    ("email", "reason"),
    [
        (None, "no_email"),
        ("", "no_email"),
        (" \t", "no_email"),
        ("ada", "invalid_email"),
        ("ada@", "invalid_email"),
        ("@x.example", "invalid_email"),
        ("a@b@c.example", "invalid_email"),
        ("a da@x.example", "invalid_email"),
        (" Ada@X.example ", None),
    ],
)
def test_an_email_is_fit_or_not(email: Any, reason: Any) -> None:
    assert expected_of({"email": email}).reason == reason


def test_of_two_contacts_with_one_email_the_first_is_sent() -> None:
    sandbox = Sandbox(contacts=0)
    for email in ("ada@x.example", " ADA@x.example", "grace@x.example"):
        sandbox.add_contact({"email": email})
    assert [e.reason for e in sandbox.expected()] == [None, "duplicate_email", None]


@pytest.mark.parametrize(
    ("first", "last", "email", "names"),
    [
        ("Ada", "Lovelace", "x@x.example", ("Ada", "Lovelace")),
        (None, None, "ada.lovelace@x.example", ("Ada", "Lovelace")),
        ("", " ", "ada_b-LOVE@x.example", ("Ada", "Love")),
        (None, None, "info@x.example", ("Info", "-")),
        ("Grace", ".", "ada.lovelace@x.example", ("Grace", "Lovelace")),
        ("?", "-", "ada.lovelace@x.example", ("Ada", "Lovelace")),
        (None, None, "-@x.example", ("-", "-")),
        (None, None, "a.!@x.example", ("A", "-")),
        ("  Jose\u0301 ", "a\u00a0\t b", "x@x.example", ("José", "a b")),
        ("A\x00da", "\x07", "x@x.example", ("Ada", "-")),
    ],
)
def test_names_follow_rule_3(first: Any, last: Any, email: Any, names: Any) -> None:
    lead = expected_of({"firstname": first, "lastname": last, "email": email}).lead
    assert (lead["firstName"], lead["lastName"]) == names


@pytest.mark.parametrize(
    ("email", "name"),
    [
        ("a@acme-corp.co.example", "Acme-corp"),
        ("a@ACME.example", "Acme"),
        ("a@GMail.com", None),
        ("a@gmx.de", None),
    ],
)
def test_a_company_can_be_derived_from_the_email(email: Any, name: str) -> None:
    assert expected_of({"email": email}).lead.get("companyName") == name


A, B = company(name="A", domain="a.example", industry="RETAIL"), company(name="B", domain=None)
NAMELESS = company(name=" ", domain="n.example")


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        ([(B, "contact_to_company_unlabeled"), (A, "contact_to_company")], "A"),
        ([(B, "boss"), (A, "contact_to_company_unlabeled")], "B"),
        ([(NAMELESS, "contact_to_company"), (A, "boss")], "X"),
        ([(lambda _: "404", "contact_to_company"), (A, "boss")], "A"),
        ([(lambda _: "404", "contact_to_company"), (lambda _: "405", "boss")], "X"),
    ],
)
def test_the_primary_company_is_chosen_by_its_row_else_the_first(rows: Any, name: str) -> None:
    assert expected_of({"email": "a@x.example"}, rows).lead["companyName"] == name


def test_without_a_primary_row_the_property_chooses() -> None:
    sandbox = Sandbox(contacts=0)
    first, second = A(sandbox), B(sandbox)
    own = {"email": "a@x.example", "associatedcompanyid": second}
    sandbox.add_contact(own, [(first, "boss"), (second, "contact_to_company_unlabeled")])
    [expected] = sandbox.expected()
    assert expected.lead is not None
    assert expected.lead["companyName"] == "B"
    assert "companyUrl" not in expected.lead


def test_a_whole_lead_has_every_field_and_its_notes_in_order() -> None:
    own = {"email": "a.b@x.example", "jobtitle": " CTO ", "phone": " ", "mobilephone": "+49 1"}
    own |= {"lifecyclestage": "lead", "hs_lead_status": "NEW"}
    assert expected_of(own, [(A, "contact_to_company")]).lead == {
        "firstName": "A",
        "lastName": "B",
        "email": "a.b@x.example",
        "companyName": "A",
        "companyUrl": "a.example",
        "title": "CTO",
        "phoneNumber": "+49 1",
        "notes": "Historic Contact imported from HubSpot\n[HubSpot record: 99000042/51]\n"
        "Lifecycle: lead\nStatus: NEW\nIndustry: RETAIL",
    }


def test_no_expected_lead_can_be_refused(visit: Visit) -> None:
    visitor = visit(contacts=300)
    deliver(visitor)
    assert visitor.sandbox.verdict().ok


# The verdict


def test_a_faithful_migration_is_found_to_be_one(visitor: Visitor) -> None:
    deliver(visitor)
    verdict = visitor.sandbox.verdict()
    assert verdict.ok
    assert verdict.contacts == 100
    assert verdict.sendable == verdict.held_leads == len(visitor.sandbox.held)


def delivered(**changes: str | None) -> tuple[Sandbox, str]:
    """A sandbox of one contact and a client that posted its lead, changed as told."""
    sandbox = Sandbox(contacts=0)
    contact_id = sandbox.add_contact({"email": "ada@x.example"})
    [expected] = sandbox.expected()
    assert expected.lead is not None
    lead = {**expected.lead, "client_id": sandbox.client_id, **changes}
    sandbox._store.put({name: value for name, value in lead.items() if value is not None})
    return sandbox, contact_id


def test_a_lead_that_never_came_is_lost() -> None:
    sandbox, contact_id = delivered()
    sandbox.delete_lead(sandbox.held[0]["id"])
    verdict = sandbox.verdict()
    assert not verdict.ok
    assert (verdict.lost, verdict.held_leads) == ([contact_id], 0)


def test_a_second_lead_is_a_duplicate() -> None:
    sandbox, contact_id = delivered()
    sandbox._store.put(sandbox.held[0])
    assert sandbox.verdict().duplicated == [contact_id]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"companyName": "Y"}, "companyName"),
        ({"companyName": None}, "companyName"),
        ({"shoeSize": "43"}, "shoeSize"),
        ({"lastName": "lovelace"}, "lastName"),
        ({"notes": "[HubSpot record: 99000042/51]"}, "notes"),
        ({"notes": None}, "notes"),
    ],
)
def test_a_field_that_differs_is_wrong(changes: Any, field: Any) -> None:
    sandbox, contact_id = delivered(**changes)
    verdict = sandbox.verdict()
    assert verdict.wrong == [(contact_id, field)]
    assert not verdict.lost + verdict.duplicated + verdict.strange


def test_a_lead_under_the_internal_id_is_lost_and_strange() -> None:
    sandbox, contact_id = delivered(client_id=Sandbox().client_internal_id)
    verdict = sandbox.verdict()
    assert verdict.lost == [contact_id]
    assert verdict.strange == [sandbox.held[0]["id"]]


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "nobody@x.example", "notes": None},
        {"email": "nobody@x.example", "notes": "[HubSpot record: 99000042/404]"},
    ],
)
def test_a_lead_of_nobody_is_strange(changes: Any) -> None:
    sandbox, contact_id = delivered(**changes)
    verdict = sandbox.verdict()
    assert (verdict.lost, len(verdict.strange)) == ([contact_id], 1)


def test_a_planted_stranger_is_nobodys_fault() -> None:
    sandbox, _ = delivered()
    sandbox.add_lead({"email": "stranger@x.example"})
    assert sandbox.verdict().ok


def test_a_lead_that_was_there_before_stands_for_its_contact() -> None:
    sandbox = Sandbox(contacts=0)
    contact_id = sandbox.add_contact({"email": "ada@x.example"})
    sandbox.add_lead({"email": "ADA@x.example", "firstName": "Countess"})
    assert sandbox.verdict().ok
    [expected] = sandbox.expected()
    assert expected.lead is not None
    sandbox.add_lead(expected.lead)
    assert sandbox.verdict().duplicated == [contact_id]


def test_the_second_contact_of_one_email_must_not_be_sent() -> None:
    sandbox, _ = delivered()
    sandbox.add_contact({"email": "Ada@x.example"})
    notes = "[HubSpot record: 99000042/101]"
    sandbox._store.put({"client_id": sandbox.client_id, "email": "Ada@x.example", "notes": notes})
    assert len(sandbox.verdict().strange) == 1


def test_the_lead_of_a_contact_that_was_removed_since_is_not_strange() -> None:
    sandbox, contact_id = delivered()
    sandbox.remove_contact(contact_id)
    assert sandbox.verdict().ok


def test_the_verdict_is_one_line_for_a_person() -> None:
    sandbox, _ = delivered(title="CTO")
    line = "1 contacts, 1 to send, 1 leads held: 0 lost, 0 duplicated, 1 wrong"
    assert str(sandbox.verdict()) == f"{line} by the guide's mapping, 0 strange"


# Judges and scripts in other processes


def test_another_process_can_script_and_judge(visitor: Visitor) -> None:
    control = "/_sandbox/"
    armed = visitor.call("POST", f"{control}fault", json={"name": "refuse", "times": 2})
    assert armed.status_code == 200
    assert visitor.post().status_code == 400
    assert visitor.call("POST", f"{control}calm").status_code == 200
    assert visitor.post().status_code == 201
    record = visitor.call("GET", f"{control}record").json()
    assert [entry["status"] for entry in record["received"]] == [200, 400, 201]
    assert record["held"] == visitor.sandbox.held
    verdict = visitor.call("GET", f"{control}verdict").json()
    assert (verdict["ok"], verdict["held_leads"]) == (False, 1)


@pytest.mark.parametrize("body", [{"name": "refuze"}, {}, []])
def test_another_process_is_told_of_its_mistakes(visitor: Visitor, body: Any) -> None:
    assert visitor.call("POST", "/_sandbox/fault", json=body).status_code == 400


def test_the_environment_points_at_the_sandbox(visitor: Visitor) -> None:
    environment = visitor.sandbox.environment()
    assert environment["HUBSPOT_BASE_URL"] == environment["LEADGENIUS_BASE_URL"]
    assert environment["LEADGENIUS_CLIENT_ID"] == "historic-contacts"
    assert environment["HUBSPOT_ACCESS_TOKEN"].startswith("pat-na1-sandbox-")
    assert len(environment) == 6


def test_the_welcome_can_be_pasted(visitor: Visitor) -> None:
    out = io.StringIO()
    _print_welcome(visitor.sandbox, out)
    lines = out.getvalue().splitlines()
    assert f"export LEADGENIUS_BASE_URL={visitor.sandbox.url}" in lines
    assert all(line.startswith(("export ", "# ")) for line in lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_program_serves_until_it_is_told_to_stop(number: int) -> None:
    code = (
        "import sys; from migrator.sandbox import run; sys.exit(run({'contacts': 3}, sys.stdout))"
    )
    root = Path(package.__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("# Ctrl-C"):
            pass
        process.send_signal(number)
        rest = process.stdout.read()
    assert "Verdict: 3 contacts" in rest
    assert process.returncode == 0


# The house


def test_the_witness_shares_no_code_with_the_accused() -> None:
    for path in Path(package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in getattr(node, "names", []) if hasattr(alias, "name")]
            names = [node.module] if isinstance(node, ast.ImportFrom) else names
            if isinstance(node, ast.Import | ast.ImportFrom):
                for name in names:
                    top = name.partition(".")[0]
                    assert name.startswith("migrator.sandbox") or top in sys.stdlib_module_names


def test_every_fault_has_a_place() -> None:
    assert len(FAULTS) > 45
    assert all(FAULTS.values())
