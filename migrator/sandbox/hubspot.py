"""
HubSpot's API: contacts and companies by list, id, batch and search; merges; the account.

It accepts both forms of HubSpot's paths: `v3`, and versions by date.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count, islice
from typing import Any
from urllib.parse import unquote

from migrator.sandbox import faults as m
from migrator.sandbox.auth import HUBSPOT_TOKEN
from migrator.sandbox.contact_search import search_of
from migrator.sandbox.contacts import Contact
from migrator.sandbox.hubspot_errors import ERRORS, InvalidRequest, NoSuchRecord, problem
from migrator.sandbox.hubspot_json import (
    DETAILS,
    Json,
    association_page,
    batch_json,
    company_json,
    contact_json,
    paging,
    property_json,
)
from migrator.sandbox.limits import Limit, RequestAllowance
from migrator.sandbox.messages import Answer, Call, reply, seal, unseal
from migrator.sandbox.portal import Portal

# `v3` and the date-based versions that follow it share one shape.
_OBJECTS = re.compile(r"/crm/(?:v3/objects|objects/(?P<version>\d{4}-\d{2}))/(?P<rest>.+)")
_ACCOUNT = re.compile(r"/account-info/(?:v3|\d{4}-\d{2})/details")
_PROPERTIES = re.compile(
    r"/crm/(?:v3/properties|properties/\d{4}-\d{2})/(?P<of>\w+)(?:/(?P<name>\w+))?"
)

_PAGE = 100
_LONGEST_TARGET = 16_000
_BATCH_KEYS = ("inputs", "properties", "propertiesWithHistory")
# From this version on, a batch read reports missing records in a 200.
_ERRORS_IN_A_200 = "2026-09"


class HubSpotApi:
    """
    Answers the requests under `/crm` and `/account-info`.

    Args:
        limit: None = no limit, and no headers about it.
        window_seconds: The interval in the rate-limit headers.
        daily: The requests per day, and those left, in the headers.
    """

    def __init__(
        self,
        portal: Portal,
        faults: m.FaultInjector,
        limit: Limit | None,
        window_seconds: float,
        daily: tuple[int, int] = (250_000, 249_000),
    ) -> None:
        self._portal = portal
        self._faults = faults
        self._limit = limit
        self._interval = str(int(window_seconds * 1000))
        self._daily = daily
        self._serial = count(1)
        self.is_token_revoked = False
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., Answer]]] = [
            ("GET", re.compile("contacts"), self._contacts),
            ("POST", re.compile("contacts/search"), self._search),
            ("POST", re.compile("(?P<objects>contacts|companies)/batch/read"), self._read),
            ("POST", re.compile("(?P<objects>contacts|companies)/merge"), self._merge),
            ("POST", re.compile("contacts/gdpr-delete"), self._erase),
            ("GET", re.compile("companies"), self._companies),
            ("GET", re.compile(r"contacts/(?P<key>[^/]+)"), self._contact),
            ("DELETE", re.compile(r"contacts/(?P<key>[^/]+)"), self._archive),
            ("GET", re.compile(r"companies/(?P<key>[^/]+)"), self._company),
            ("GET", re.compile(r"contacts/(?P<key>[^/]+)/associations/companies"), self._rows),
        ]

    def answer(self, call: Call) -> Answer:
        """Answer a call: check the token, then the rate limit, then the request."""
        is_known = call.headers.get("authorization") == f"Bearer {HUBSPOT_TOKEN}"
        if self.is_token_revoked or not is_known:
            return ERRORS["hubspot_unauthorized"]
        if self._limit is None:
            return self._checked(call)
        allowance = self._limit.take()
        answer = self._checked(call) if allowance.allowed else ERRORS["hubspot_throttle"]
        return replace(answer, headers=(*answer.headers, *self._headers(allowance)))

    def _checked(self, call: Call) -> Answer:
        try:
            return self._route(call)
        except InvalidRequest as error:
            return problem(400, str(error), category="VALIDATION_ERROR")
        except NoSuchRecord as error:
            return problem(404, str(error), category="OBJECT_NOT_FOUND")

    def _route(self, call: Call) -> Answer:
        if len(call.path) + sum(map(len, call.query.values())) > _LONGEST_TARGET:
            return problem(414, "The request URI is too long.", category="VALIDATION_ERROR")
        if _ACCOUNT.fullmatch(call.path):
            call.fault = self._faults.strike({m.ACCOUNT}, call.query)
            return ERRORS["missing_scopes"] if call.fault else reply(DETAILS)
        if call.method == "GET" and (asked := _PROPERTIES.fullmatch(call.path)):
            return self._properties(call, asked["of"], asked["name"])
        match = _OBJECTS.fullmatch(call.path)
        rest = match["rest"] if match else ""
        for method, pattern, handler in self._routes:
            if call.method == method and (parts := pattern.fullmatch(rest)):
                return handler(call, **{k: unquote(v) for k, v in parts.groupdict().items()})
        raise NoSuchRecord("No such resource.")

    def _contacts(self, call: Call) -> Answer:
        places = {m.CONTACTS, m.CONTACTS_ON} if "after" in call.query else {m.CONTACTS}
        call.fault = self._faults.strike(places, call.query)
        if call.fault in ERRORS:
            return ERRORS[call.fault]
        limit, after = _limit(call.query), _position(call.query)
        if call.fault == "hubspot_cursor_expired":
            raise InvalidRequest("Invalid paging cursor.")
        if call.fault == "hubspot_overlap_page":
            after = self._portal.before(after)
        listed = self._portal.archived if _is_archived(call) else self._portal.contacts
        contacts = list(islice(listed(after), limit + 1))
        return reply(self._page(call, after, contacts, limit))

    def _page(self, call: Call, after: int, contacts: list[Contact], limit: int) -> Json:
        page, more = contacts[:limit], len(contacts) > limit
        if call.fault == "hubspot_short_page":
            page, more = page[: len(page) // 2], True
        elif call.fault == "hubspot_empty_page":
            page, more = [], True
        asked = _names(call)
        body: Json = {"results": [contact_json(contact, call, asked) for contact in page]}
        if call.fault == "hubspot_repeat_cursor":
            body["paging"] = paging(call, call.query["after"])
        elif more:
            last = str(self._portal.place_of(page[-1].id) if page else after)
            # An empty page does not advance, but its cursor must differ from the previous one.
            body["paging"] = paging(call, seal(last, 0 if page else next(self._serial)))
        return body

    def _companies(self, call: Call) -> Answer:
        limit, start = _limit(call.query), _position(call.query)
        companies = list(islice(self._portal.companies(start), limit + 1))
        results = [company_json(company, _names(call)) for _, company in companies[:limit]]
        if len(companies) <= limit:
            return reply({"results": results})
        return reply({"results": results, "paging": paging(call, seal(str(companies[limit][0])))})

    def _contact(self, call: Call, key: str) -> Answer:
        if call.query.get("idProperty") == "email":
            contact = self._portal.contact_with(key, is_archived=_is_archived(call))
        else:
            contact = self._kept(call, key)
        if contact is None:
            raise NoSuchRecord("resource not found")
        return reply(contact_json(contact, call, _names(call)))

    def _company(self, call: Call, key: str) -> Answer:
        if (company := self._portal.company(key)) is None:
            raise NoSuchRecord("resource not found")
        return reply(company_json(company, _names(call)))

    def _search(self, call: Call) -> Answer:
        search = search_of(call.json())
        found = search.in_order(self._portal.contacts())
        end = search.start + search.limit
        if search.is_all:
            total = self._portal.size
        else:
            found = list(found)
            total = len(found)
        page = islice(found, search.start, end)
        results = [
            contact_json(contact, replace(call, query={}), search.properties) for contact in page
        ]
        body: Json = {"total": total, "results": results}
        if end < total and search.limit:
            body["paging"] = {"next": {"after": str(end)}}
        return reply(body)

    def _read(self, call: Call, objects: str) -> Answer:
        """A batch read; never in the requested order, as HubSpot guarantees none."""
        if objects == "companies":
            call.fault = self._faults.strike({m.COMPANIES}, call.query)
        if call.fault:
            return ERRORS[call.fault]
        ids, names = _batch_of(call.json())
        found: dict[str, Json] = {}
        missing: list[str] = []
        for key in sorted(ids, reverse=True):
            if objects == "contacts" and (contact := self._kept(call, key)) is not None:
                found[contact.id] = contact_json(contact, call, names)
            elif objects == "companies" and (company := self._portal.company(key)) is not None:
                if not company.silent:
                    found[company.id] = company_json(company, names)
            else:
                missing.append(key)
        match = _OBJECTS.fullmatch(call.path)
        is_late = match is not None and (match["version"] or "") >= _ERRORS_IN_A_200
        body = batch_json(list(found.values()), sorted(missing), objects)
        return reply(body, 207 if missing and not is_late else 200)

    def _kept(self, call: Call, key: str) -> Contact | None:
        return self._portal.contact(key, is_archived=_is_archived(call))

    def _rows(self, call: Call, key: str) -> Answer:
        """The rest of an association list that was too long for the contact's JSON."""
        contact = self._portal.contact(key)
        if contact is None:
            raise NoSuchRecord("resource not found")
        return reply(association_page(contact, _position(call.query), call, call.path))

    def _merge(self, call: Call, objects: str) -> Answer:
        body = call.json()
        try:
            primary, other = str(body["primaryObjectId"]), str(body["objectIdToMerge"])
        except (KeyError, TypeError) as error:
            raise InvalidRequest("Required: primaryObjectId, objectIdToMerge.") from error
        try:
            if objects == "companies":
                merged = self._portal.merge_companies(primary, other)
                return self._company(call, merged)
            return self._contact(call, self._portal.merge_contacts(primary, other))
        except (KeyError, ValueError) as error:
            raise InvalidRequest(str(error.args[0])) from error

    def _archive(self, call: Call, key: str) -> Answer:
        return self._vanish(key, "archived")

    def _erase(self, call: Call) -> Answer:
        body = call.json()
        key = str(body.get("objectId", "")) if isinstance(body, dict) else ""
        if isinstance(body, dict) and body.get("idProperty") == "email":
            contact = self._portal.contact_with(key)
            key = contact.id if contact else ""
        return self._vanish(key, "erased")

    def _vanish(self, key: str, how: str) -> Answer:
        if not self._portal.removed(key):
            try:
                self._portal.remove_contact(key, how)
            except KeyError as error:
                raise NoSuchRecord("resource not found") from error
        return Answer(204)

    def _properties(self, call: Call, objects: str, name: str | None) -> Answer:
        call.fault = self._faults.strike({m.PROPERTIES}, call.query)
        if call.fault:
            return ERRORS["missing_scopes"]
        names = self._portal.property_names(objects)
        if names is None or not (name is None or name in names):
            raise NoSuchRecord("No such object or property.")
        if name is not None:
            return reply(property_json(name, objects))
        return reply({"results": [property_json(name, objects) for name in sorted(names)]})

    def _headers(self, allowance: RequestAllowance) -> tuple[tuple[str, str], ...]:
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
        raise InvalidRequest(f"limit must be between 1 and {_PAGE}")
    return int(text)


def _position(query: dict[str, str]) -> int:
    try:
        return int(unseal(query["after"])) if "after" in query else 0
    except ValueError as error:
        raise InvalidRequest("Invalid paging cursor.") from error


def _batch_of(body: Any) -> tuple[set[str], list[str]]:
    """The ids and property names of a batch read."""
    try:
        inputs, names, _ = (list(body[key]) for key in _BATCH_KEYS)
        ids = {str(item["id"]) for item in inputs}
    except (KeyError, TypeError) as error:
        raise InvalidRequest(f"Required: {', '.join(_BATCH_KEYS)}.") from error
    if len(inputs) > _PAGE:
        raise InvalidRequest(f"At most {_PAGE} inputs are allowed.")
    return ids, [str(name) for name in names]


def _names(call: Call) -> Sequence[str]:
    text = call.query.get("properties")
    return text.split(",") if text else ()


def _is_archived(call: Call) -> bool:
    return call.query.get("archived") == "true"
