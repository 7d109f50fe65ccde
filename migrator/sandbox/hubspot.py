"""
HubSpot's side: contacts page by page, companies by the hundred, the account, names of properties.

Owns HubSpot's answers and errors, in both spellings of its paths. It only reads the portal, and
must never be kinder than HubSpot: the primary company comes in whatever place it has.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import count, islice
from typing import Any
from uuid import uuid4

from migrator.sandbox import misfortunes as m
from migrator.sandbox.accounts import HUBSPOT_TOKEN, PORTAL_ID
from migrator.sandbox.cursors import seal, unseal
from migrator.sandbox.exchange import DROP, HANG, HTML, Answer, Call, reply
from migrator.sandbox.firms import Firm
from migrator.sandbox.limits import Allowance, Limit
from migrator.sandbox.people import Person
from migrator.sandbox.portal import Portal

# `v3` and the date-based versions that follow it share one shape.
_OBJECTS = re.compile(r"/crm/(?:v3/objects|objects/\d{4}-\d{2})/(?P<rest>.+)")
_ACCOUNT = re.compile(r"/account-info/(?:v3|\d{4}-\d{2})/details")
_PROPERTIES = re.compile(r"/crm/(?:v3/properties|properties/\d{4}-\d{2})/(?P<of>\w+)")
_ROWS_OF = re.compile(r"contacts/(?P<id>\d+)/associations/companies")

_PAGE = 100
_INLINE_ROWS = 100
_LONGEST_TARGET = 16_000
_UNASKED = ("createdate", "hs_object_id", "lastmodifieddate")
_DEFAULTS = ("email", "firstname", "lastname")
_LARGEST_SEARCH = 200
_BATCH_KEYS = ("inputs", "properties", "propertiesWithHistory")


class Invalid(ValueError):
    """The request is not one that HubSpot would take; the message says why."""


class HubSpot:
    """
    Answers what comes under `/crm` and `/account-info`.

    Args:
        limit: None for no limit, and then no headers about one.
        window_seconds: The interval that the rate headers tell.
        daily: How many requests there are a day, and how many of them are left.
    """

    def __init__(
        self,
        portal: Portal,
        misfortunes: m.Misfortunes,
        limit: Limit | None,
        window_seconds: float,
        daily: tuple[int, int] = (250_000, 249_000),
    ) -> None:
        self._portal = portal
        self._misfortunes = misfortunes
        self._limit = limit
        self._interval = str(int(window_seconds * 1000))
        self._daily = daily
        self._serial = count(1)
        self.is_token_revoked = False

    def answer(self, call: Call) -> Answer:
        """Decide on one call: first who asks, then how often, then what."""
        is_known = call.headers.get("authorization") == f"Bearer {HUBSPOT_TOKEN}"
        if self.is_token_revoked or not is_known:
            return _ERRORS["hubspot_unauthorized"]
        if self._limit is None:
            return self._checked(call)
        allowance = self._limit.take()
        answer = self._checked(call) if allowance.allowed else _ERRORS["hubspot_throttle"]
        return replace(answer, headers=(*answer.headers, *self._headers(allowance)))

    def _checked(self, call: Call) -> Answer:
        try:
            return self._route(call)
        except Invalid as error:
            return _problem(400, str(error), category="VALIDATION_ERROR")

    def _route(self, call: Call) -> Answer:
        if len(call.path) + sum(map(len, call.query.values())) > _LONGEST_TARGET:
            return _problem(414, "The request URI is too long.", category="VALIDATION_ERROR")
        if _ACCOUNT.fullmatch(call.path):
            call.misfortune = self._misfortunes.strike({m.ACCOUNT}, call.query)
            return _ERRORS["missing_scopes"] if call.misfortune else reply(_DETAILS)
        if call.method == "GET" and (asked := _PROPERTIES.fullmatch(call.path)):
            return self._properties(call, asked["of"])
        match = _OBJECTS.fullmatch(call.path)
        rest = match["rest"] if match else ""
        if (call.method, rest) == ("GET", "contacts"):
            return self._contacts(call)
        if (call.method, rest) == ("POST", "contacts/search"):
            return self._search(call)
        if (call.method, rest) == ("POST", "companies/batch/read"):
            return self._companies(call)
        if call.method == "GET" and (rows := _ROWS_OF.fullmatch(rest)):
            return self._rows(call, rows["id"])
        return _problem(404, "No such resource.", category="OBJECT_NOT_FOUND")

    def _contacts(self, call: Call) -> Answer:
        places = {m.CONTACTS, m.CONTACTS_ON} if "after" in call.query else {m.CONTACTS}
        call.misfortune = self._misfortunes.strike(places, call.query)
        if call.misfortune in _ERRORS:
            return _ERRORS[call.misfortune]
        limit, after = _limit(call.query), _position(call.query)
        if call.query.get("archived") == "true":
            return reply({"results": []})
        if call.misfortune == "hubspot_cursor_expired":
            raise Invalid("Invalid paging cursor.")
        if call.misfortune == "hubspot_overlap_page":
            after = self._portal.before(after)
        people = list(islice(self._portal.contacts(after), limit + 1))
        return reply(self._page(call, after, people, limit))

    def _page(self, call: Call, after: int, people: list[Person], limit: int) -> dict[str, Any]:
        page, more = people[:limit], len(people) > limit
        if call.misfortune == "hubspot_short_page":
            page, more = page[: len(page) // 2], True
        elif call.misfortune == "hubspot_empty_page":
            page, more = [], True
        body: dict[str, Any] = {"results": [_contact(person, call.query) for person in page]}
        if call.misfortune == "hubspot_repeat_cursor":
            body["paging"] = {"next": {"after": call.query["after"]}}
        elif more:
            last = str(self._portal.place_of(page[-1].id) if page else after)
            # After an empty page the place is the same, and the cursor must still be a new one.
            body["paging"] = {"next": {"after": seal(last, 0 if page else next(self._serial))}}
        return body

    def _search(self, call: Call) -> Answer:
        """Everything there is, or nothing but its number: no filter is understood here."""
        body = call.json()
        limit = body.get("limit", 10) if isinstance(body, dict) else None
        if type(limit) is not int or not 0 <= limit <= _LARGEST_SEARCH:
            raise Invalid(f"limit must be an integer of at most {_LARGEST_SEARCH}")
        if body.get("filterGroups") or body.get("sorts") or body.get("query"):
            raise Invalid("This stand-in searches without filters only.")
        people = [_contact(person, {}) for person in islice(self._portal.contacts(), limit)]
        return reply({"total": self._portal.size, "results": people})

    def _companies(self, call: Call) -> Answer:
        call.misfortune = self._misfortunes.strike({m.COMPANIES}, call.query)
        if call.misfortune:
            return _ERRORS[call.misfortune]
        ids, names = _batch_of(call.json())
        return self._batch(ids, names)

    def _batch(self, ids: set[str], names: Iterable[str]) -> Answer:
        found = {company_id: self._portal.company(company_id) for company_id in ids}
        missing = sorted(company_id for company_id, firm in found.items() if firm is None)
        # Any order but the one asked for, so that nobody comes to rely on it.
        firms = [firm for _, firm in sorted(found.items(), reverse=True) if firm]
        body: dict[str, Any] = {
            "status": "COMPLETE",
            "results": [_company(firm, names) for firm in firms if not firm.silent],
        }
        if not missing:
            return reply(body)
        error = {
            "status": "error",
            "category": "OBJECT_NOT_FOUND",
            "message": "Could not get some COMPANY objects, they may be deleted or not exist.",
            "context": {"ids": missing},
        }
        return reply({**body, "numErrors": 1, "errors": [error]}, 207)

    def _rows(self, call: Call, contact_id: str) -> Answer:
        """The rest of an association list that was too long to come with its contact."""
        person = self._portal.contact(contact_id)
        if person is None:
            return _problem(404, "resource not found", category="OBJECT_NOT_FOUND")
        return reply(_association_page(person, _position(call.query)))

    def _properties(self, call: Call, objects: str) -> Answer:
        call.misfortune = self._misfortunes.strike({m.PROPERTIES}, call.query)
        if call.misfortune:
            return _ERRORS["missing_scopes"]
        names = self._portal.property_names(objects)
        if names is None:
            return _problem(404, "No such object.", category="OBJECT_NOT_FOUND")
        return reply({"results": [_property(name) for name in sorted(names)]})

    def _headers(self, allowance: Allowance) -> tuple[tuple[str, str], ...]:
        return (
            ("X-HubSpot-RateLimit-Max", str(allowance.limit)),
            ("X-HubSpot-RateLimit-Remaining", str(allowance.remaining)),
            ("X-HubSpot-RateLimit-Interval-Milliseconds", self._interval),
            ("X-HubSpot-RateLimit-Daily", str(self._daily[0])),
            ("X-HubSpot-RateLimit-Daily-Remaining", str(self._daily[1])),
        )


def _limit(query: dict[str, str]) -> int:
    text = query.get("limit", "10")
    if not text.isdecimal() or not 1 <= int(text) <= _PAGE:
        raise Invalid(f"limit must be between 1 and {_PAGE}")
    return int(text)


def _position(query: dict[str, str]) -> int:
    try:
        return int(unseal(query["after"])) if "after" in query else 0
    except ValueError as error:
        raise Invalid("Invalid paging cursor.") from error


def _batch_of(body: Any) -> tuple[set[str], list[str]]:
    """The ids and property names of a batch read."""
    try:
        inputs, names, _ = (list(body[key]) for key in _BATCH_KEYS)
        ids = {str(item["id"]) for item in inputs}
    except (KeyError, TypeError) as error:
        raise Invalid(f"Required: {', '.join(_BATCH_KEYS)}.") from error
    if len(inputs) > _PAGE:
        raise Invalid(f"At most {_PAGE} inputs are allowed.")
    return ids, [str(name) for name in names]


def _contact(person: Person, query: dict[str, str]) -> dict[str, Any]:
    asked = query["properties"].split(",") if query.get("properties") else _DEFAULTS
    # A property that the portal has never heard of is left out, as HubSpot does.
    names = [name for name in (*asked, *_UNASKED) if name in person.properties]
    contact: dict[str, Any] = {
        "id": person.id,
        "properties": {name: person.properties[name] for name in names},
        "createdAt": person.properties["createdate"],
        "updatedAt": person.properties["lastmodifieddate"],
        "archived": False,
    }
    if person.companies and "companies" in query.get("associations", "").split(","):
        contact["associations"] = {"companies": _association_page(person, 0)}
    return contact


def _association_page(person: Person, start: int) -> dict[str, Any]:
    end = start + _INLINE_ROWS
    rows = [{"id": company, "type": kind} for company, kind in person.companies[start:end]]
    if end >= len(person.companies):
        return {"results": rows}
    return {"results": rows, "paging": {"next": {"after": seal(str(end))}}}


def _company(firm: Firm, names: Iterable[str]) -> dict[str, Any]:
    created = "2018-05-01T09:00:00.000Z"
    own = {name: firm.properties[name] for name in names if name in firm.properties}
    unasked = {"createdate": created, "hs_lastmodifieddate": created, "hs_object_id": firm.id}
    return {
        "id": firm.id,
        "properties": {**own, **unasked},
        "createdAt": created,
        "updatedAt": created,
        "archived": False,
    }


def _property(name: str) -> dict[str, Any]:
    """As far as anybody here reads it; HubSpot tells some twenty things more."""
    return {"name": name, "label": name.capitalize(), "type": "string", "hidden": False}


def _problem(
    status: int, message: str, category: str, headers: tuple[tuple[str, str], ...] = (), **more: Any
) -> Answer:
    body = {"status": "error", "message": message, "correlationId": str(uuid4())}
    return reply({**body, "category": category, **more}, status, headers)


def _throttled(policy: str) -> Answer:
    body = {
        "status": "error",
        "message": f"You have reached your {policy.lower()} limit.",
        "errorType": "RATE_LIMIT",
        "correlationId": str(uuid4()),
        "policyName": policy,
    }
    return reply(body, 429)


_DETAILS = {
    "portalId": int(PORTAL_ID),
    "accountType": "DEVELOPER_TEST",
    "timeZone": "Europe/Berlin",
    "companyCurrency": "EUR",
    "utcOffset": "+01:00",
    "uiDomain": "app.hubspot.com",
}
_SCOPES = ["crm.objects.contacts.read", "crm.objects.companies.read"]
_ERRORS = {
    "hubspot_error": _problem(502, "Bad gateway.", category="INTERNAL_ERROR"),
    "hubspot_drop": DROP,
    "hubspot_throttle": _throttled("TEN_SECONDLY_ROLLING"),
    "hubspot_secondly": _throttled("SECONDLY"),
    "hubspot_daily": _throttled("DAILY"),
    "hubspot_locked": _problem(423, "Too much at a time; locked.", category="LOCKED"),
    "hubspot_migrating": _problem(
        477,
        "This account moves to another region.",
        "MIGRATION_IN_PROGRESS",
        (("Retry-After", "1"),),
    ),
    "hubspot_unauthorized": _problem(
        401, "Authentication credentials not found.", category="INVALID_AUTHENTICATION"
    ),
    "missing_scopes": _problem(
        403,
        "This app hasn't been granted all required scopes to make this call.",
        category="MISSING_SCOPES",
        errors=[{"message": "Scopes are missing.", "context": {"requiredScopes": _SCOPES}}],
    ),
    "hubspot_html": HTML,
    "hubspot_hang": HANG,
    "companies_hang": HANG,
}
