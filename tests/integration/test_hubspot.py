"""HubSpot's pages, companies, account and bad days: tapes, the sandbox, scripted answers."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from migrator import hubspot as module
from migrator.errors import (
    Declined,
    Forbidden,
    MigratorError,
    NotReady,
    ServiceBusy,
    ServiceDown,
    Unauthorized,
)
from migrator.http import HttpClient
from migrator.http.retries import MAX_TRIES
from migrator.hubspot import Account, HubSpot
from migrator.hubspot_responses import Quota
from tests.support.cassettes import (
    COMPANY_PROPERTIES,
    CURSOR,
    HUBSPOT_URL,
    PORTAL_ID,
    PROPERTIES,
    playing,
)
from tests.support.socket_server import Server, answer, reset

TOKEN = "pat-na1-s3cret-of-nobody"
DETAILS = {"portalId": 99000042, "timeZone": "Europe/Berlin"}
INTERVAL = "X-HubSpot-RateLimit-Interval-Milliseconds"

Open = Callable[..., HubSpot]
Serve = Callable[..., Server]


@pytest.fixture
def pauses() -> list[float]:
    """For how long anybody slept, if this were not a test."""
    return []


@pytest.fixture
def hubspot(pauses: list[float]) -> Iterator[Open]:
    with ExitStack() as opened:

        def open_(
            url: str = HUBSPOT_URL,
            token: str = TOKEN,
            version: str = "v3",
            portal_id: str | None = None,
        ) -> HubSpot:
            http = HttpClient("HubSpot", url, timeout_seconds=5, pause=pauses.append)
            opened.callback(http.close)
            return HubSpot(http, token, version, portal_id)

        yield open_


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as running:
        yield lambda *acts: running.enter_context(Server(acts))


def says(status: int, body: Any, headers: Mapping[str, str] | None = None) -> bytes:
    return answer(status, json.dumps(body).encode(), headers)


def page(*ids: str, **paging: Any) -> bytes:
    return says(200, {"results": [{"id": one, "properties": {}} for one in ids], **paging})


def following(cursor: Any) -> dict[str, Any]:
    return {"paging": {"next": {"after": cursor}}}


def throttle(policy: str, headers: Mapping[str, str] | None = None) -> bytes:
    return says(429, {"status": "error", "errorType": "RATE_LIMIT", "policyName": policy}, headers)


def asked(server: Server) -> list[str]:
    """The path and query of each request."""
    return [request.line.split()[1] for request in server.requests]


def cursors(server: Server) -> list[str | None]:
    queries = [parse_qs(urlsplit(one).query) for one in asked(server)]
    return [query.get("after", [None])[0] for query in queries]


def ids_of(hubspot: HubSpot, after: str | None = None) -> list[list[str]]:
    return [[one["id"] for one in page.contacts] for page in hubspot.pages(PROPERTIES, after)]


def first_failure(hubspot: HubSpot) -> MigratorError:
    with pytest.raises(MigratorError) as caught:
        next(hubspot.pages(PROPERTIES, None))
    return caught.value


# Pages -----------------------------------------------------------------------------------------


def test_a_page_has_contacts_with_their_companies_and_the_next_pages_cursor(hubspot):
    with playing("hubspot/first_page"):
        page = next(hubspot().pages(PROPERTIES, None))
    with_company, without = page.contacts
    assert with_company["properties"]["email"] == "ada@example.com"
    assert [row["id"] for row in with_company["associations"]["companies"]["results"]] == [
        "1002",
        "1002",
    ]
    assert "associations" not in without
    assert page.after == CURSOR


def test_the_list_goes_on_from_a_cursor_and_ends_where_no_paging_is(hubspot):
    with playing("hubspot/last_page"):
        (page,) = hubspot().pages(PROPERTIES, CURSOR)
    assert [one["id"] for one in page.contacts] == ["1001", "1002"]
    assert page.after is None


def test_all_contacts_of_a_portal_come_once_and_in_order(hubspot, sandbox):
    stand = sandbox(contacts=230)
    pages = ids_of(hubspot(stand.url, stand.hubspot_token))
    assert [len(page) for page in pages] == [100, 100, 30]
    assert [one for page in pages for one in page] == [one.contact_id for one in stand.expected()]


@pytest.mark.parametrize("fault", ["hubspot_short_page", "hubspot_empty_page"])
def test_a_page_that_is_short_or_empty_has_a_next_one(fault, hubspot, sandbox):
    stand = sandbox(contacts=120)
    stand.fault(fault)
    pages = ids_of(hubspot(stand.url, stand.hubspot_token))
    assert len(pages[0]) < 100
    assert sorted(one for page in pages for one in page) == sorted(
        one.contact_id for one in stand.expected()
    )


@pytest.mark.parametrize(
    "end",
    [
        {},
        {"paging": {}},
        {"paging": None},
        {"paging": {"next": None}},
        {"paging": {"next": {}}},
        {"paging": {"next": {"after": None}}},
        {"paging": {"next": {"after": ""}}},
        {"paging": {"prev": {"before": "x"}}},
    ],
)
def test_only_a_missing_cursor_ends_the_list(end, hubspot, serve):
    server = serve(page("1", **following("a")), page(**following("b")), page("2", **end))
    assert ids_of(hubspot(server.url)) == [["1"], [], ["2"]]
    assert cursors(server) == [None, "a", "b"]


@pytest.mark.parametrize(
    "cursor", ["NTI1Cg%3D%3D", "a+b/c==", "a b&after=c", "100", "ä§", '{"id":"1"}', " x "]
)
def test_a_cursor_goes_back_as_it_came(cursor, hubspot, serve):
    server = serve(page("1", **following(cursor)), page("2"))
    ids_of(hubspot(server.url))
    query = dict(part.split("=", 1) for part in urlsplit(asked(server)[1]).query.split("&"))
    assert unquote(query["after"].replace("+", " ")) == cursor


def test_a_cursor_that_is_a_number_goes_back_as_its_digits(hubspot, serve):
    server = serve(page("1", **following(0)), page("2"))
    assert ids_of(hubspot(server.url)) == [["1"], ["2"]]
    assert cursors(server) == [None, "0"]


def test_a_cursor_that_comes_back_is_no_endless_list(hubspot, serve):
    server = serve(*(page(one, **following(one)) for one in "ab"), page("c", **following("a")))
    with pytest.raises(ServiceDown, match="'a' a second time"):
        ids_of(hubspot(server.url))
    assert len(server.requests) == 3


def test_the_cursor_that_the_list_began_with_may_not_come_back_either(hubspot, sandbox):
    stand = sandbox(contacts=250)
    client = hubspot(stand.url, stand.hubspot_token)
    after = next(client.pages(PROPERTIES, None)).after
    stand.fault("hubspot_repeat_cursor")
    with pytest.raises(ServiceDown, match="second time"):
        ids_of(client, after)
    assert len(stand.received) == 2


def test_a_page_is_asked_for_when_it_is_wanted_and_not_before(hubspot, serve):
    server = serve(page("1", **following("a")), page("2"))
    pages = hubspot(server.url).pages(PROPERTIES, None)
    assert server.requests == []
    next(pages)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("version", "path"),
    [
        ("v3", "/crm/v3/objects/contacts"),
        ("v4", "/crm/v4/objects/contacts"),
        ("2026-03", "/crm/objects/2026-03/contacts"),
    ],
)
def test_the_version_is_where_hubspot_wants_it(version, path, hubspot, serve):
    server = serve(page("1"))
    next(hubspot(server.url, version=version).pages(("email", "city"), None))
    address = urlsplit(asked(server)[0])
    assert address.path == path
    assert parse_qs(address.query) == {
        "limit": ["100"],
        "properties": ["email,city"],
        "associations": ["companies"],
    }


def test_a_version_that_is_a_date_reads_the_same_contacts_and_companies(hubspot, sandbox):
    stand = sandbox(contacts=12)
    old, new = (hubspot(stand.url, stand.hubspot_token, one) for one in ("v3", "2026-03"))
    assert list(old.pages(PROPERTIES, None)) == list(new.pages(PROPERTIES, None))
    company_id = stand.add_company(name="Analytical Engines")
    assert old.companies([company_id], ("name",)) == new.companies([company_id], ("name",))
    assert stand.received[-1].path == "/crm/objects/2026-03/companies/batch/read"


@pytest.mark.parametrize(
    "body",
    [
        b'{"total": 0}',
        b'{"results": null}',
        b'{"results": {"id": "1"}}',
        b'[{"id": "1"}]',
        b"<html>We will be back soon.</html>",
        b"",
    ],
)
def test_a_page_that_is_none_is_asked_for_again_and_then_stops_the_run(body, hubspot, serve):
    server = serve(answer(200, body), page("1"), answer(200, body))
    client = hubspot(server.url)
    assert ids_of(client) == [["1"]]
    error = first_failure(client)
    assert isinstance(error, ServiceDown)
    assert "HUBSPOT_BASE_URL" in error.hint or "base URL" in error.hint
    assert len(server.requests) == 2 + MAX_TRIES


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (None, "a row that is null"),
        ("1", "a row that is not an object but a str"),
        ([], "a row that is not an object but a list"),
        ({"properties": {}}, "a row without an id"),
        ({"id": None}, "a row without an id"),
        ({"id": 17}, "a row with the id 17"),
        ({"id": ""}, 'a row with the id ""'),
        ({"id": "1\u200b"}, 'a row with the id "1\\u200b"'),
        ({"id": "9\x00" * 99}, 'a row with the id "9\\u00009\\u0000'),
    ],
)
def test_a_row_that_is_no_contact_is_named_and_left_out(row, words, hubspot, serve):
    rows = [{"id": "1"}, row, {"id": "2"}]
    (one,) = hubspot(serve(says(200, {"results": rows})).url).pages(PROPERTIES, None)
    assert [contact["id"] for contact in one.contacts] == ["1", "2"]
    (odd,) = one.odd
    assert odd.startswith(words)
    assert len(odd) < 100


def test_a_page_that_is_too_large_is_asked_for_in_halves_at_the_same_cursor(hubspot, serve):
    bad = says(502, {})
    server = serve(
        page("1", **following("a")),
        *(bad, bad, bad, page("2", **following("b"))),
        *(bad, page("3", **following("c")), page("4")),
    )
    assert ids_of(hubspot(server.url)) == [["1"], ["2"], ["3"], ["4"]]
    queries = [parse_qs(urlsplit(one).query) for one in asked(server)]
    assert [(one["limit"][0], one.get("after", [""])[0]) for one in queries] == [
        ("100", ""),
        *(("100", "a"), ("100", "a"), ("50", "a"), ("25", "a")),
        *(("50", "b"), ("25", "b"), ("25", "c")),
    ]


@pytest.mark.parametrize("status", [401, 403])
def test_a_stray_denial_is_not_believed_once_the_token_was_taken(status, hubspot, serve, pauses):
    no = says(status, {})
    server = serve(page("1", **following("a")), no, no, page("2", **following("b")), no)
    client = hubspot(server.url)
    pages = client.pages(PROPERTIES, None)
    assert [one.contacts[0]["id"] for one in islice(pages, 2)] == ["1", "2"]
    with pytest.raises(Declined):
        next(pages)
    assert (len(server.requests), len(pauses)) == (7, 4)


# Companies -------------------------------------------------------------------------------------


def test_a_company_that_is_gone_is_none(hubspot):
    with playing("hubspot/companies"):
        found = hubspot().companies(["1001", "1002", "1003"], COMPANY_PROPERTIES)
    assert list(found) == ["1001", "1002", "1003"]
    assert found["1003"] is None
    assert {one["name"] for one in found.values() if one} == {"Analytical Engines"}


def test_a_company_that_is_missing_without_a_word_is_none(hubspot, serve):
    body = {"status": "COMPLETE", "results": [{"id": "2", "properties": {"name": "B"}}]}
    found = hubspot(serve(says(200, body)).url).companies(["1", "2"], ("name",))
    assert found == {"1": None, "2": {"name": "B"}}


def test_companies_are_asked_for_by_the_hundred_with_all_three_keys(hubspot, serve):
    server = serve(says(200, {"status": "COMPLETE", "results": []}))
    wanted = [str(number) for number in range(205)]
    hubspot(server.url).companies(wanted, ("name", "domain"))
    payloads = [json.loads(body) for body in server.bodies]
    assert [len(one["inputs"]) for one in payloads] == [100, 100, 5]
    assert [one["id"] for payload in payloads for one in payload["inputs"]] == wanted
    for payload in payloads:
        assert payload["properties"] == ["name", "domain", "hs_merged_object_ids"]
        assert payload["propertiesWithHistory"] == []


def test_each_batch_asks_for_the_same_properties_whatever_the_rows_before_had(hubspot, serve):
    wanted = [str(number) for number in range(250)]

    def rows(first: int, last: int) -> bytes:
        given: list[dict[str, Any]] = [
            {"id": one, "properties": {"name": one}} for one in wanted[first:last]
        ]
        given[1]["properties"] = None
        return says(200, {"status": "COMPLETE", "results": given})

    server = serve(rows(0, 100), rows(100, 200), rows(200, 250))
    found = hubspot(server.url).companies(wanted, ("name", "domain"))
    without = {"1", "101", "201"}
    assert found == {one: {} if one in without else {"name": one} for one in wanted}
    assert [json.loads(body)["properties"] for body in server.bodies] == [
        ["name", "domain", "hs_merged_object_ids"]
    ] * 3


def test_no_companies_are_no_request(hubspot, serve):
    server = serve(says(500, {}))
    assert hubspot(server.url).companies([], ("name",)) == {}
    assert server.requests == []


def test_a_company_that_nobody_asked_for_is_left_out(hubspot, serve):
    results = [{"id": "1", "properties": None}, {"id": "9", "properties": {}}]
    server = serve(says(200, {"results": results}))
    assert hubspot(server.url).companies(["1"], ("name",)) == {"1": {}}
    assert len(server.requests) == 1


def test_a_company_under_another_id_that_names_no_old_one_is_found_by_asking_alone(hubspot, serve):
    two, merged = ({"id": one, "properties": {"name": one}} for one in ("2", "9"))
    server = serve(
        says(200, {"status": "COMPLETE", "results": [two, merged]}),
        says(200, {"status": "COMPLETE", "results": [merged]}),
        says(207, {"status": "COMPLETE", "results": [], "errors": [NOT_FOUND]}),
    )
    found = hubspot(server.url).companies(["1", "2", "3"], ("name",))
    assert found == {"1": {"name": "9"}, "2": {"name": "2"}, "3": None}
    inputs = [[one["id"] for one in json.loads(body)["inputs"]] for body in server.bodies]
    assert inputs == [["1", "2", "3"], ["1"], ["3"]]


def test_a_company_that_was_merged_comes_under_its_new_id(hubspot, serve):
    merged = {"id": "9", "properties": {"name": "New", "hs_merged_object_ids": "1; 2;77"}}
    own = {"id": "2", "properties": {"name": "Two", "hs_merged_object_ids": None}}
    stranger = {"id": "8", "properties": {"name": "Odd", "hs_merged_object_ids": "4"}}
    server = serve(says(200, {"status": "COMPLETE", "results": [merged, own, stranger]}))
    found = hubspot(server.url).companies(["1", "2", "3"], ("name",))
    assert found == {"1": {"name": "New"}, "2": {"name": "Two"}, "3": None}


def test_the_ids_of_merged_companies_are_kept_where_they_are_asked_for(hubspot, serve):
    row = {"id": "1", "properties": {"name": "A", "hs_merged_object_ids": "5"}}
    server = serve(says(200, {"results": [row]}))
    names = ("name", "hs_merged_object_ids")
    assert hubspot(server.url).companies(["1"], names) == {"1": row["properties"]}
    assert json.loads(server.bodies[0])["properties"] == list(names)


FOUND = {"results": [{"id": "1", "properties": {"name": "A"}}]}
NOT_FOUND = {"category": "OBJECT_NOT_FOUND", "context": {"ids": ["2"]}}


def failed(*errors: Any, **more: Any) -> dict[str, Any]:
    return {"status": "COMPLETE", **FOUND, "numErrors": 1, "errors": list(errors), **more}


@pytest.mark.parametrize("status", [200, 207])
@pytest.mark.parametrize(
    "body",
    [
        failed(NOT_FOUND),
        {**FOUND, "status": "COMPLETE"},
        FOUND,
        {**FOUND, "status": None, "errors": None, "numErrors": None},
        {**FOUND, "numErrors": 0, "errors": []},
    ],
    ids=str,
)
def test_what_is_gone_is_none_at_once(status, body, hubspot, serve):
    server = serve(says(status, body))
    assert hubspot(server.url).companies(["1", "2"], ("name",)) == {"1": {"name": "A"}, "2": None}
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [200, 207])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (failed({"category": "INTERNAL_ERROR"}), "has errors: INTERNAL_ERROR"),
        (failed(NOT_FOUND, {"category": "RATE_LIMITS"}), "has errors: RATE_LIMITS"),
        (failed({"category": ["x"]}), "has errors: "),
        (failed({}), "has errors: None"),
        (failed("x"), "has errors: None"),
        (failed(), "has errors: None"),
        (failed(NOT_FOUND, status="PENDING"), "is PENDING"),
        ({**FOUND, "status": "PROCESSING"}, "is PROCESSING"),
        ({"status": "CANCELED", "results": []}, "is CANCELED"),
        ({"status": "COMPLETE"}, "has no results"),
        ({"results": [*FOUND["results"], {"id": 2}]}, "has a row without a usable id"),
        ({"results": [*FOUND["results"], None]}, "has a row without a usable id"),
    ],
    ids=str,
)
def test_a_batch_that_was_not_carried_out_makes_no_company_gone(
    status, body, words, hubspot, serve
):
    whole = {"results": [*FOUND["results"], {"id": "2", "properties": {}}]}
    bad = says(status, body)
    server = serve(bad, says(200, whole), bad)
    client = hubspot(server.url)
    assert client.companies(["1", "2"], ("name",)) == {"1": {"name": "A"}, "2": {}}
    with pytest.raises(ServiceDown, match=f"batch of companies {words}"):
        client.companies(["1", "2"], ("name",))
    assert len(server.requests) == 2 + MAX_TRIES


def test_a_batch_that_names_missing_scopes_is_a_matter_of_the_token(hubspot, serve):
    scopes = {"requiredScopes": ["crm.objects.companies.read"]}
    server = serve(says(207, failed({"category": "MISSING_SCOPES", "context": scopes})))
    with pytest.raises(Forbidden, match=r"lacks the scope crm\.objects\.companies\.read"):
        hubspot(server.url).companies(["1"], ("name",))
    assert len(server.requests) == 3


def test_a_batch_that_lacks_scopes_without_a_name_says_which_there_are(hubspot, serve):
    server = serve(says(207, failed({"category": "MISSING_SCOPES"})))
    with pytest.raises(Forbidden, match="MISSING_SCOPES") as caught:
        hubspot(server.url).companies(["1"], ("name",))
    assert "crm.objects.companies.read" in caught.value.hint


def test_a_batch_that_keeps_failing_is_asked_for_in_halves(hubspot, serve):
    whole = says(200, {"status": "COMPLETE", "results": []})
    server = serve(says(502, {}), says(502, {}), whole)
    wanted = [str(number) for number in range(120)]
    assert hubspot(server.url).companies(wanted, ("name",)) == dict.fromkeys(wanted)
    inputs = [[one["id"] for one in json.loads(body)["inputs"]] for body in server.bodies]
    assert [len(one) for one in inputs] == [100, 100, 50, 70]
    assert [one for batch in inputs[2:] for one in batch] == wanted


def test_a_batch_only_reads_and_so_may_go_again(hubspot, serve, pauses):
    body = {"results": [{"id": "1", "properties": {"name": "A"}}]}
    server = serve(reset, says(502, {}), says(200, body))
    assert hubspot(server.url).companies(["1"], ("name",)) == {"1": {"name": "A"}}
    assert len(pauses) == 2
    assert len(set(server.bodies)) == 1


# Waiting ---------------------------------------------------------------------------------------


def test_a_throttled_batch_waits_for_the_window_and_goes_again(hubspot, pauses):
    with playing("hubspot/throttled"):
        found = hubspot().companies(["1001"], COMPANY_PROPERTIES)
    assert found["1001"]["name"] == "Analytical Engines"
    (waited,) = pauses
    assert 10 <= waited <= 10.25


@pytest.mark.parametrize(
    ("busy", "seconds"),
    [
        (throttle("TEN_SECONDLY_ROLLING", {INTERVAL: "10000"}), 10),
        (throttle("SECONDLY", {INTERVAL: "1000"}), 1),
        (throttle("SECONDLY", {INTERVAL: "1000", "Retry-After": "4"}), 4),
        (says(423, {"category": "LOCKED"}), 2),
        (says(423, {"category": "LOCKED"}, {"Retry-After": "5"}), 5),
        (says(477, {}, {"Retry-After": "60"}), 60),
        (says(503, {}, {"Retry-After": "3"}), 3),
    ],
)
def test_it_waits_as_long_as_hubspot_asks(busy, seconds, hubspot, serve, pauses):
    server = serve(busy, page("1"))
    assert ids_of(hubspot(server.url)) == [["1"]]
    (waited,) = pauses
    assert seconds <= waited <= seconds + 0.25


@pytest.mark.parametrize(
    "busy", [throttle("TEN_SECONDLY_ROLLING"), says(429, {}), says(477, {}), answer(429, b"slow")]
)
def test_who_does_not_say_how_long_is_waited_for_a_little(busy, hubspot, serve, pauses):
    assert ids_of(hubspot(serve(busy, page("1")).url)) == [["1"]]
    (waited,) = pauses
    assert 0 < waited <= 5


def test_a_migration_of_hours_stops_the_run_at_once(hubspot, serve, pauses):
    server = serve(says(477, {"category": "MIGRATION_IN_PROGRESS"}, {"Retry-After": "86400"}))
    error = first_failure(hubspot(server.url))
    assert isinstance(error, ServiceBusy)
    assert "asks for a wait until" in error.message
    assert (pauses, len(server.requests)) == ([], 1)


def test_a_day_that_is_used_up_stops_the_run_at_once(hubspot, serve, pauses):
    server = serve(throttle("DAILY", {INTERVAL: "10000"}))
    error = first_failure(hubspot(server.url))
    assert isinstance(error, ServiceBusy)
    assert "at midnight in the time zone of the HubSpot account" in error.message
    assert "run the same command again" in error.hint
    assert (pauses, len(server.requests)) == ([], 1)


@pytest.mark.parametrize(
    ("zone", "when"),
    [
        ("Europe/Berlin", "on 01 July at 22:00 UTC"),
        ("US/Eastern", "on 02 July at 04:00 UTC"),
        ("Asia/Kolkata", "on 01 July at 18:30 UTC"),
        ("Mars/Olympus", "at midnight in the time zone of the HubSpot account"),
        ("../etc/passwd", "at midnight in the time zone of the HubSpot account"),
        (None, "at midnight in the time zone of the HubSpot account"),
    ],
)
def test_a_day_ends_at_midnight_where_the_account_is(zone, when, hubspot, serve, monkeypatch):
    class Noon(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(2026, 7, 1, 12, tzinfo=UTC).astimezone(tz)

    monkeypatch.setattr(module, "datetime", Noon)
    server = serve(says(200, {**DETAILS, "timeZone": zone}), throttle("DAILY"))
    client = hubspot(server.url)
    client.account()
    assert when in first_failure(client).message


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 521, 523, 524])
def test_a_moment_of_weakness_passes(status, hubspot, serve, pauses):
    server = serve(says(status, {}), reset, page("1"))
    assert ids_of(hubspot(server.url)) == [["1"]]
    assert len(pauses) == 2


def test_a_service_that_keeps_failing_stops_the_run(hubspot, sandbox, pauses):
    stand = sandbox(contacts=3)
    stand.fault("hubspot_error", times=100)
    error = first_failure(hubspot(stand.url, stand.hubspot_token))
    assert isinstance(error, ServiceDown)
    assert "it answered 502" in error.message
    assert len(stand.received) == MAX_TRIES == len(pauses) + 1
    assert sum(pauses) < 300


# Refusals --------------------------------------------------------------------------------------


def test_a_token_that_has_expired_is_called_so(hubspot, pauses):
    with playing("hubspot/token_expired"):
        error = first_failure(hubspot())
    assert isinstance(error, Unauthorized)
    assert "has expired" in error.message
    assert "HUBSPOT_ACCESS_TOKEN" in error.hint
    assert pauses == []


def test_a_token_that_hubspot_does_not_know_is_called_so(hubspot, sandbox):
    error = first_failure(hubspot(sandbox(contacts=3).url, TOKEN))
    assert isinstance(error, Unauthorized)
    assert "is not valid" in error.message


def test_a_401_without_a_word_is_still_a_matter_of_the_token(hubspot, serve):
    error = first_failure(hubspot(serve(answer(401)).url))
    assert isinstance(error, Unauthorized)
    assert "HUBSPOT_ACCESS_TOKEN" in error.hint


def test_the_scopes_that_a_token_lacks_are_named(hubspot):
    with playing("hubspot/missing_scope"):
        error = first_failure(hubspot())
    assert isinstance(error, Forbidden)
    assert "crm.objects.contacts.read, crm.objects.companies.read" in error.message
    assert "Service Key" in error.hint


def test_a_single_scope_is_named_once_however_often_it_comes(hubspot, serve):
    lacking = {"context": {"requiredScopes": ["crm.objects.contacts.read"]}}
    error = first_failure(hubspot(serve(says(403, {"errors": [lacking, lacking]})).url))
    assert error.message == "The HubSpot token lacks the scope crm.objects.contacts.read."


CONTACTS, COMPANIES = "crm.objects.contacts.read", "crm.objects.companies.read"


@pytest.mark.parametrize(
    ("context", "lacks", "add"),
    [
        ({"requiredScopes": [CONTACTS]}, f"the scope {CONTACTS}", "it"),
        ({"missingScopes": [CONTACTS]}, f"the scope {CONTACTS}", "it"),
        ({"missingScopes": CONTACTS}, f"the scope {CONTACTS}", "it"),
        ({"requiredGranularScopes": [CONTACTS]}, f"the scope {CONTACTS}", "it"),
        ({"missingScopes": [CONTACTS, COMPANIES]}, f"the scopes {CONTACTS}, {COMPANIES}", "them"),
        (
            {"requiredScopes": [CONTACTS], "missingScopes": [CONTACTS]},
            f"the scope {CONTACTS}",
            "it",
        ),
        (
            {"requiredGranularScopes": [CONTACTS, "contacts"]},
            f"one of the scopes {CONTACTS}, contacts (any of them suffices)",
            "one of them",
        ),
        (
            {"requiredScopes": [COMPANIES], "requiredGranularScopes": [CONTACTS, "contacts"]},
            f"the scope {COMPANIES} and one of the scopes {CONTACTS}, contacts "
            "(any of them suffices)",
            "them",
        ),
    ],
)
def test_scopes_are_named_from_each_key_that_hubspot_has_for_them(
    context, lacks, add, hubspot, serve
):
    words = "This token may not do that. " * 40  # so that no excerpt of the answer names them
    body = {"message": words, "errors": [{"message": words, "context": context}]}
    error = first_failure(hubspot(serve(says(403, body)).url))
    assert isinstance(error, Forbidden)
    assert error.message == f"The HubSpot token lacks {lacks}."
    assert error.hint == f"add {add} to the private app or the Service Key in HubSpot's settings"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"errors": None},
        {"errors": ["x", {"context": None}, {"context": {}}]},
        {"message": "no"},
    ],
)
def test_a_403_that_names_no_scopes_is_refused_in_its_own_words(body, hubspot, serve):
    error = first_failure(hubspot(serve(says(403, body)).url))
    assert isinstance(error, Forbidden)
    assert "rejected" in error.message


def test_a_refusal_keeps_the_number_that_hubspots_support_asks_for(hubspot, serve):
    server = serve(says(400, {"message": "Invalid cursor.", "correlationId": "c0ffee-1"}))
    error = first_failure(hubspot(server.url))
    assert isinstance(error, Declined)
    assert error.message.endswith("(correlation id c0ffee-1)")
    assert "Invalid cursor." in error.message


@pytest.mark.parametrize("status", [401, 403, 530])
def test_what_is_wrong_with_a_token_keeps_that_number_too(status, hubspot, serve):
    required = {"context": {"requiredScopes": ["crm.objects.contacts.read"]}}
    server = serve(says(status, {"correlationId": "c0ffee-1", "errors": [required]}))
    assert first_failure(hubspot(server.url)).message.endswith(" (correlation id c0ffee-1).")


def test_a_failure_that_does_not_pass_keeps_it_as_well(hubspot, serve):
    server = serve(*[says(503, {"correlationId": "c0ffee-1"})] * MAX_TRIES)
    assert "answered 503 (correlation id c0ffee-1)." in first_failure(hubspot(server.url)).message


@pytest.mark.parametrize("odd", ["", "x y", "\x1b[2J", "c" * 65, 7, None, ["c0ffee"]])
def test_a_number_that_is_none_is_not_shown(odd, hubspot, serve):
    server = serve(says(401, {"correlationId": odd}))
    assert "correlation" not in first_failure(hubspot(server.url)).message


def test_a_malformed_token_is_called_so(hubspot, serve):
    error = first_failure(hubspot(serve(answer(530, b"<html>")).url))
    assert isinstance(error, Unauthorized)
    assert "it is malformed" in error.message
    assert "HUBSPOT_ACCESS_TOKEN" in error.hint


@pytest.mark.parametrize("status", [400, 404, 405, 414])
def test_a_refusal_is_final(status, hubspot, serve, pauses):
    server = serve(says(status, {}))
    assert isinstance(first_failure(hubspot(server.url)), Declined)
    assert (pauses, len(server.requests)) == ([], 1)


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
def test_a_token_is_in_no_message_and_no_log(status, hubspot, serve, caplog):
    caplog.set_level(logging.DEBUG)
    body = {"message": f"Bearer {TOKEN} is no good", "policyName": "DAILY"}
    client = hubspot(serve(says(status, body)).url)
    error = first_failure(client)
    shown = f"{error!r} {error} {error.hint} {client!r} {vars(client).keys()} {caplog.text}"
    assert "s3cret" not in shown
    assert error.__cause__ is None


def test_the_token_goes_where_it_belongs(hubspot, serve):
    server = serve(page("1"))
    ids_of(hubspot(server.url))
    assert server.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert "s3cret" not in server.requests[0].line


# The account -----------------------------------------------------------------------------------


def test_an_account_has_a_portal_and_a_time_zone(hubspot):
    with playing("hubspot/account"):
        assert hubspot().account() == Account(PORTAL_ID, "Europe/Berlin")


def test_the_portal_that_was_named_is_the_tokens(hubspot, serve):
    assert hubspot(serve(says(200, DETAILS)).url, portal_id=PORTAL_ID).account() == Account(
        PORTAL_ID, "Europe/Berlin"
    )


def test_a_token_of_another_portal_is_refused(hubspot, serve):
    with pytest.raises(NotReady, match="belongs to portal 99000042, but HUBSPOT_PORTAL_ID says 7"):
        hubspot(serve(says(200, DETAILS)).url, portal_id="7").account()


def test_a_token_that_may_not_read_its_account_needs_the_portals_id(hubspot, sandbox):
    stand = sandbox(contacts=0)
    stand.fault("account_forbidden")
    with pytest.raises(NotReady) as caught:
        hubspot(stand.url, stand.hubspot_token).account()
    assert "HUBSPOT_PORTAL_ID" in caught.value.hint


@pytest.mark.parametrize("status", [403, 404])
def test_the_portals_id_can_be_given_instead(status, hubspot, serve):
    assert hubspot(serve(says(status, {})).url, portal_id="7").account() == Account("7", None)


def test_a_portals_id_does_not_make_up_for_a_bad_token(hubspot, serve):
    with pytest.raises(Unauthorized):
        hubspot(serve(says(401, {})).url, portal_id="7").account()


@pytest.mark.parametrize("details", [{"x": 1}, {"portalId": None}, {"portalId": "none"}])
def test_an_account_without_a_portal_is_none(details, hubspot, serve):
    with pytest.raises(ServiceDown, match="no portal id"):
        hubspot(serve(says(200, details)).url).account()


# Which properties there are


@pytest.mark.parametrize("version", ["v3", "2026-03"])
def test_the_names_of_properties_are_asked_for_in_either_spelling(version, hubspot, sandbox):
    stand = sandbox(contacts=0)
    stand.add_contact({"email": "ada@x.example", "role": "Countess"})
    stand.add_company(motto="Steam!")
    client = hubspot(stand.url, stand.hubspot_token, version)
    assert {"email", "jobtitle", "role", "associatedcompanyid"} <= client.properties("contacts")
    assert {"name", "industry", "motto"} <= client.properties("companies")


@pytest.mark.parametrize("results", [None, {}, "x"])
def test_a_list_of_properties_that_is_none_is_not_taken_for_an_empty_one(results, hubspot, serve):
    server = serve(says(200, {"results": results}))
    with pytest.raises(ServiceDown, match="no list of properties of contacts"):
        hubspot(server.url).properties("contacts")


def test_names_of_properties_that_are_none_are_left_out(hubspot, serve):
    server = serve(says(200, {"results": [{"name": "email"}, {"name": 7}, {}, None, "x"]}))
    assert hubspot(server.url).properties("contacts") == {"email"}


# How much there is, and how much may be asked --------------------------------------------------


@pytest.mark.parametrize("version", ["v3", "2026-03"])
def test_contacts_are_counted_by_a_search(version, hubspot, sandbox):
    stand = sandbox(contacts=123)
    stand.add_contact({"email": "ada@x.example"})
    stand.remove_contact(next(stand.expected()).contact_id)
    assert hubspot(stand.url, stand.hubspot_token, version).contact_count() == 123


def test_a_search_has_every_key_that_hubspot_requires(hubspot, serve):
    server = serve(says(200, {"total": 7}))
    assert hubspot(server.url).contact_count() == 7
    (asked,) = server.requests
    assert json.loads(asked.body) == {
        "after": "0",
        "filterGroups": [],
        "limit": 1,
        "properties": [],
        "sorts": [],
    }


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_the_account_is_asked_at_v3_whatever_the_version(version, hubspot, serve):
    server = serve(says(200, DETAILS))
    hubspot(server.url, version=version).account()
    assert [one.line for one in server.requests] == ["GET /account-info/v3/details HTTP/1.1"]


@pytest.mark.parametrize("body", [{"results": []}, {"total": "7"}, {"total": True}, {"total": -1}])
def test_a_search_without_a_count_is_no_count(body, hubspot, serve):
    with pytest.raises(ServiceDown, match="no count of contacts"):
        hubspot(serve(says(200, body)).url).contact_count()


def test_the_limits_that_an_answer_tells_are_kept(hubspot, sandbox):
    stand = sandbox(contacts=3, hubspot_rate_limit=190, hubspot_daily=(250_000, 7))
    client = hubspot(stand.url, stand.hubspot_token)
    assert client.quota is None
    client.account()
    assert client.quota == Quota(190, 10.0, 250_000, 7)


def test_an_answer_that_tells_no_limits_takes_none_away(hubspot, serve):
    daily = {"X-HubSpot-RateLimit-Daily-Remaining": "12", "X-HubSpot-RateLimit-Max": "odd"}
    told = answer(200, json.dumps(DETAILS).encode(), headers=daily)
    client = hubspot(serve(told, says(200, {"total": 1})).url)
    client.account()
    client.contact_count()
    assert client.quota == Quota(None, None, None, 12)
