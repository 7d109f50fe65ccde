"""HubSpot's JSON, by its published specifications, with every required key."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from migrator.sandbox.auth import PORTAL_ID
from migrator.sandbox.companies import Company
from migrator.sandbox.contacts import ALWAYS_DEFINED, MERGED_IDS, Contact, stamp
from migrator.sandbox.messages import Call, seal

Json = dict[str, Any]

_INLINE_ROWS = 100
_UNASKED = ("createdate", "hs_object_id", "lastmodifieddate")
_DEFAULTS = {"contacts": ("email", "firstname", "lastname"), "companies": ("name", "domain")}

DETAILS = {
    "portalId": int(PORTAL_ID),
    "accountType": "DEVELOPER_TEST",
    "timeZone": "Europe/Berlin",
    "companyCurrency": "EUR",
    "additionalCurrencies": [],
    "utcOffset": "+01:00",
    "utcOffsetMilliseconds": 3_600_000,
    "uiDomain": "app-eu1.hubspot.com",
    "dataHostingLocation": "eu1",
}


def contact_json(contact: Contact, call: Call, asked: Collection[str] = ()) -> Json:
    """
    A contact, as in lists and reads by id.

    Args:
        asked: Names of properties; empty = HubSpot's defaults.
    """
    names = (*(asked or _DEFAULTS["contacts"]), *_UNASKED)
    own = contact.properties
    body: Json = {
        "id": contact.id,
        # Properties that the portal does not define are left out, as by HubSpot.
        "properties": {n: own.get(n) for n in names if n in own or n in ALWAYS_DEFINED},
        "createdAt": own["createdate"],
        "updatedAt": own["lastmodifieddate"],
        "archived": contact.archived_at is not None,
    }
    if contact.archived_at is not None:
        body["archivedAt"] = contact.archived_at
    if contact.companies and "companies" in call.query.get("associations", "").split(","):
        path = f"{call.path.partition('/contacts')[0]}/contacts/{contact.id}/associations/companies"
        body["associations"] = {"companies": association_page(contact, 0, call, path)}
    return body


def company_json(company: Company, asked: Collection[str] = ()) -> Json:
    """A company, as in batch reads, lists and reads by id."""
    created = "2018-05-01T09:00:00.000Z"
    names = asked or _DEFAULTS["companies"]
    own = {
        name: company.properties.get(name)
        for name in names
        if name in company.properties or name in ALWAYS_DEFINED
    }
    unasked = {"createdate": created, "hs_lastmodifieddate": created, "hs_object_id": company.id}
    return {
        "id": company.id,
        "properties": {**own, **unasked},
        "createdAt": created,
        "updatedAt": created,
        "archived": False,
    }


def association_page(contact: Contact, start: int, call: Call, path: str) -> Json:
    """A contact's companies from a row on; `path` = the path of the next page."""
    end = start + _INLINE_ROWS
    rows = [{"id": company, "type": kind} for company, kind in contact.companies[start:end]]
    if end >= len(contact.companies):
        return {"results": rows}
    return {"results": rows, "paging": paging(call, seal(str(end)), path, {})}


def paging(call: Call, after: str, path: str = "", query: Json | None = None) -> Json:
    """The next page of a list, as a cursor and as a link."""
    query = {**(call.query if query is None else query), "after": after}
    host = call.headers.get("host", "api.hubapi.com")
    link = f"http://{host}{path or call.path}?{urlencode(query)}"
    return {"next": {"after": after, "link": link}}


def batch_json(results: list[Json], missing: list[str], objects: str) -> Json:
    """The answer to a batch read, with an error for missing ids."""
    now = stamp(datetime.now(UTC))
    body: Json = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
    if not missing:
        return body
    kind = {"contacts": "CONTACT", "companies": "COMPANY"}[objects]
    error = {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "message": f"Could not get some {kind} objects, they may be deleted or not exist.",
        "context": {"ids": missing},
    }
    return {**body, "numErrors": 1, "errors": [error]}


def property_json(name: str, objects: str, options: Iterable[str] = ()) -> Json:
    """
    The definition of a property.

    Args:
        options: The possible values of an enumeration.
    """
    kind, field = _TYPES.get(name, ("string", "text"))
    own = name in _READ_ONLY
    group = {"contacts": "contactinformation", "companies": "companyinformation"}[objects]
    choices = [_option(value, place) for place, value in enumerate(options)]
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "enumeration" if choices else kind,
        "fieldType": "radio" if choices else field,
        "groupName": group,
        "description": "",
        "options": choices,
        "displayOrder": -1,
        "hasUniqueValue": False,
        "hidden": False,
        "formField": not own,
        "calculated": False,
        "externalOptions": False,
        "hubspotDefined": True,
        "archived": False,
        "modificationMetadata": {
            "archivable": False,
            "readOnlyDefinition": True,
            "readOnlyValue": own,
        },
    }


def _option(value: str, place: int) -> Json:
    shown = {"label": value.replace("_", " ").capitalize(), "value": value}
    return {**shown, "displayOrder": place, "hidden": False, "description": ""}


_TYPES = {
    "createdate": ("datetime", "date"),
    "lastmodifieddate": ("datetime", "date"),
    "hs_object_id": ("number", "number"),
    "associatedcompanyid": ("number", "number"),
    MERGED_IDS: ("enumeration", "checkbox"),
    "phone": ("string", "phonenumber"),
    "mobilephone": ("string", "phonenumber"),
}
_READ_ONLY = frozenset({"createdate", "lastmodifieddate", "hs_object_id", *ALWAYS_DEFINED})
