"""
HubSpot's API: the account, pages of contacts with their company ids, companies and contacts by id,
and the names of properties.

It only reads, and returns HubSpot's JSON, according to the guide's section 3 and HubSpot's
documentation. `mapping` chooses the company of a contact and builds the lead.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from migrator.errors import (
    Declined,
    Forbidden,
    MigratorError,
    NotFound,
    NotReady,
    RunAgain,
    ServiceBusy,
    ServiceDown,
    Unauthorized,
)
from migrator.http import HttpClient, PageSize, Response
from migrator.hubspot_responses import (
    MERGED_IDS,
    Absence,
    Quota,
    absence_of,
    batch_flaw,
    by_requested_id,
    cursor_of,
    forbidden,
    has_id,
    no_contacts,
    no_record,
    no_total,
    quota_of,
    unauthorized,
    unclear_ids,
    values_of,
)
from migrator.rate_limit import RequestWindow
from migrator.text import oddity

CONTACTS_PER_PAGE = 100
COMPANIES_PER_BATCH = 100
CONTACTS_PER_BATCH = 100


@dataclass(frozen=True)
class Account:
    """The portal that a token belongs to; `time_zone` is an IANA name such as "Europe/Berlin"."""

    portal_id: str
    time_zone: str | None


@dataclass(frozen=True)
class ContactPage:
    """
    A page of contacts.

    Args:
        contacts: HubSpot's JSON objects: `{"id", "properties": {...}, "associations"?: {...}}`.
        after: The opaque cursor of the next page; `None` = this is the last page.
        asked: The cursor of this page; `None` = it is the first page.
        odd: Descriptions of the rows that are not contacts with an id; these are left out.
    """

    contacts: Sequence[Mapping[str, Any]]
    after: str | None
    asked: str | None = None
    odd: Sequence[str] = ()


class HubSpot:
    """
    One HubSpot account.

    Args:
        http: The client for its requests.
        token: The access token of a private app or a Service Key.
        version: "v3", or a date such as "2026-03".
        portal_id: For tokens that may not read the account; `None` = read the account.

    Attributes:
        quota: The limits in the latest answer that stated them; `None` = none has yet.
    """

    def __init__(
        self, http: HttpClient, token: str, version: str, portal_id: str | None = None
    ) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._portal_id = portal_id
        self._time_zone: str | None = None
        self.quota: Quota | None = None
        self._window = RequestWindow()
        self._batch_sizes = {
            "companies": PageSize(COMPANIES_PER_BATCH),
            "contacts": PageSize(CONTACTS_PER_BATCH),
        }
        # No denial is retried before the token was accepted once.
        self._retried_statuses: frozenset[int] = frozenset()
        is_dated = version[:1].isdigit()
        self._objects = f"/crm/objects/{version}" if is_dated else f"/crm/{version}/objects"
        self._names = f"/crm/properties/{version}" if is_dated else f"/crm/{version}/properties"

    def account(self) -> Account:
        """
        Read the portal of this token.

        Raises:
            NotReady: the token may not read the account and no portal id was given, or the token
                belongs to another portal.
        """
        try:
            data = self._read("GET", "/account-info/v3/details").data
        except (Forbidden, NotFound):
            # Not every kind of key may be allowed to call this.
            if self._portal_id is None:
                raise NotReady(
                    "This HubSpot token may not read its account, so the portal's id is unknown.",
                    "set HUBSPOT_PORTAL_ID (the number in HubSpot's web addresses)",
                ) from None
            return Account(self._portal_id, None)
        portal_id, zone = str(data.get("portalId") or ""), data.get("timeZone")
        self._time_zone = zone if isinstance(zone, str) else None
        self._check_portal(portal_id)
        return Account(portal_id, self._time_zone)

    def _check_portal(self, portal_id: str) -> None:
        if not portal_id.isdigit():
            raise ServiceDown("HubSpot's answer has no portal id.", "check HUBSPOT_BASE_URL")
        if self._portal_id not in (None, portal_id):
            raise NotReady(
                f"The HubSpot token belongs to portal {portal_id}, "
                f"but HUBSPOT_PORTAL_ID says {self._portal_id}.",
                "unset HUBSPOT_PORTAL_ID, or use the other portal's token",
            )

    def pages(self, properties: Sequence[str], after: str | None) -> Iterator[ContactPage]:
        """
        Iterate over the pages of contacts from a cursor on (`None` = the first), read on demand.

        A page may be short or empty and still have a next one.

        Raises:
            ServiceDown: a cursor was repeated, so the list would never end.
        """
        seen, size = {after}, PageSize(CONTACTS_PER_PAGE)
        while True:
            page = self._page(properties, after, size)
            yield page
            after = page.after
            if after is None:
                return
            if after in seen:
                raise ServiceDown(
                    f"HubSpot returned the page cursor {after!r} a second time; its list would "
                    "never end.",
                    "migrator stage",
                )
            seen.add(after)

    def _page(self, properties: Sequence[str], after: str | None, size: PageSize) -> ContactPage:
        def params(rows: int) -> dict[str, str]:
            asked = {
                "limit": str(rows),
                "properties": ",".join(properties),
                "associations": "companies",
            }
            return asked if after is None else {**asked, "after": after}

        path = f"{self._objects}/contacts"
        data = self._read("GET", path, params=params, size=size, flaw=no_contacts).data
        odd = [oddity(row) for row in data["results"] if not has_id(row)]
        contacts = [row for row in data["results"] if has_id(row)]
        return ContactPage(contacts, cursor_of(data), after, odd)

    def companies(
        self, company_ids: Collection[str], properties: Sequence[str]
    ) -> dict[str, Mapping[str, Any] | None]:
        """
        Read the properties of companies, by the requested id; `None` = gone from HubSpot.

        A company is gone if it is reported as `OBJECT_NOT_FOUND`, or is missing from a batch that
        was completed. A merged company is returned under its new id, and names the old ones in
        `hs_merged_object_ids`. If a returned company names none of the requested ids, the missing
        ones are requested again, one by one.

        Raises:
            ServiceDown: a batch stays incomplete, or reports another error.
            Forbidden: the token may not read companies.
        """
        wanted = list(company_ids)
        rows = self._by_id("companies", wanted, properties)
        return dict.fromkeys(wanted) | {one: values_of(rows[one], properties) for one in rows}

    def absent_contacts(self, contact_ids: Sequence[str]) -> dict[str, Absence]:
        """
        Read contacts by id: those that HubSpot has no more, with the reason. It has all others.

        A contact that is merged is returned under its new id; one that is neither returned nor in
        the archive was erased, or is not known. A service that is away is not waited for.

        Raises:
            ServiceDown: an answer stays incomplete, or reports an error other than a missing id.
            NotReady: HubSpot denies the read.
        """
        found = self._contacts_by_id(contact_ids, is_archive=False)
        lacking = [one for one in contact_ids if one not in found]
        archived = self._contacts_by_id(lacking, is_archive=True) if lacking else {}
        absences = {one: absence_of(one, row, is_archive=False) for one, row in found.items()}
        absences |= {one: absence_of(one, archived.get(one), is_archive=True) for one in lacking}
        return {one: absence for one, absence in absences.items() if absence is not None}

    def _contacts_by_id(
        self, contact_ids: Sequence[str], *, is_archive: bool
    ) -> dict[str, Mapping[str, Any]]:
        params = {"archived": "true" if is_archive else "false"}
        try:
            return self._by_id("contacts", contact_ids, (), params=params, is_patient=False)
        except NotFound:
            # There is no batch read; single reads say the same.
            rows = {one: self._contact(one, params) for one in contact_ids}
            return {one: row for one, row in rows.items() if row is not None}

    def _contact(self, contact_id: str, params: Mapping[str, str]) -> Mapping[str, Any] | None:
        path = f"{self._objects}/contacts/{quote(contact_id, safe='')}"
        params = {**params, "properties": MERGED_IDS}
        try:
            return self._read("GET", path, params=params, flaw=no_record, is_patient=False).data
        except NotFound as error:
            # A page of a proxy says nothing about the contact.
            if not error.data:
                raise
            return None

    def _by_id(
        self, objects: str, wanted: Sequence[str], properties: Sequence[str], **how: Any
    ) -> dict[str, Mapping[str, Any]]:
        """Read records in batches: HubSpot's JSON by requested id; those it lacks are left out."""
        found: dict[str, Mapping[str, Any]] = {}
        start = 0
        while start < len(wanted):
            rows, results = self._batch(objects, wanted[start:], properties, **how)
            asked = wanted[start : start + rows]
            found |= by_requested_id(results, asked)
            for one in unclear_ids(results, asked):
                _, alone = self._batch(objects, [one], properties, **how)
                found |= by_requested_id(alone, [one])
            start += rows
        return found

    def _batch(
        self, objects: str, wanted: Sequence[str], properties: Sequence[str], **how: Any
    ) -> tuple[int, Sequence[Mapping[str, Any]]]:
        """Read the first of these records: how many were requested, and the rows returned."""
        asked = 0

        def payload(rows: int) -> dict[str, Any]:
            nonlocal asked
            asked = min(rows, len(wanted))
            # All three keys are required by HubSpot's OpenAPI file.
            return {
                "inputs": [{"id": one} for one in wanted[:asked]],
                "properties": list(dict.fromkeys((*properties, MERGED_IDS))),
                "propertiesWithHistory": [],
            }

        path = f"{self._objects}/{objects}/batch/read"
        size, flaw = self._batch_sizes[objects], partial(batch_flaw, objects=objects)
        data = self._read("POST", path, payload=payload, size=size, flaw=flaw, **how).data
        return asked, data["results"]

    def properties(self, objects: str) -> frozenset[str]:
        """
        Read the names of all properties of contacts or companies in this portal.

        Args:
            objects: "contacts" or "companies".

        Raises:
            Forbidden: the token may not read properties.
        """
        results = self._read("GET", f"{self._names}/{objects}").data.get("results")
        if not isinstance(results, list):
            raise ServiceDown(
                f"HubSpot's answer has no list of properties of {objects}.",
                "check HUBSPOT_BASE_URL and HUBSPOT_API_VERSION",
            )
        names = (one.get("name") for one in results if isinstance(one, dict))
        return frozenset(name for name in names if isinstance(name, str))

    def contact_count(self, *, is_patient: bool = True) -> int:
        """
        Count the contacts by a search; the count may lag a little.

        Args:
            is_patient: As for `HttpClient.read`.

        Raises:
            ServiceDown: the answer has no count.
        """
        # All of these keys are required by HubSpot's OpenAPI file.
        payload = {"filterGroups": [], "sorts": [], "properties": [], "limit": 1, "after": "0"}
        path = f"{self._objects}/contacts/search"
        data = self._read("POST", path, payload=payload, flaw=no_total, is_patient=is_patient).data
        return int(data["total"])

    def _read(self, method: str, path: str, **request: Any) -> Response:
        try:
            response = self._http.read(
                method,
                path,
                headers=self._headers,
                fatal=self._daily_quota_error,
                retried_statuses=self._retried_statuses,
                window=self._window,
                **request,
            )
        except Unauthorized as error:
            raise unauthorized(error) from None
        except Forbidden as error:
            raise forbidden(error) from None
        except Declined as error:
            # An undocumented status: HubSpot's proxy cannot parse the token.
            raise unauthorized(error) if error.status == 530 else error from None
        self.quota = quota_of(response.headers) or self.quota
        self._retried_statuses = frozenset((401, 403))
        return response

    def _daily_quota_error(self, response: Response) -> MigratorError | None:
        """The error if the daily quota is used up; it is renewed at the portal's midnight."""
        if response.data.get("policyName") != "DAILY":
            return None
        return ServiceBusy(
            f"HubSpot's daily quota is used up; it is renewed {self._midnight()}.",
            RunAgain(after=" then; everything done so far is kept"),
        )

    def _midnight(self) -> str:
        try:
            zone = ZoneInfo(self._time_zone or "")
        except (ZoneInfoNotFoundError, ValueError):
            return "at midnight in the time zone of the HubSpot account"
        tomorrow = datetime.now(zone) + timedelta(days=1)
        midnight = tomorrow.replace(hour=0, minute=0, second=0, microsecond=0)
        return f"on {midnight.astimezone(UTC):%d %B at %H:%M} UTC"
