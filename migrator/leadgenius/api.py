"""Clients and leads of one LeadGenius account."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from migrator.errors import (
    MigratorError,
    NotFound,
    NotReady,
    RunAgain,
    ServiceBusy,
    ServiceDown,
    UsageError,
)
from migrator.http import HttpClient, PageSize, SendOutcome
from migrator.leadgenius.authorized import AuthorizedHttp, CreatedId
from migrator.leadgenius.responses import (
    LeadGeniusClient,
    LeadPage,
    check_odd_rows,
    client_of,
    created_client_id,
    created_lead_id,
    cursor_of,
    has_id,
    is_taken,
    no_leads,
    shown_lead,
)
from migrator.leadgenius.tokens import Tokens
from migrator.states import Outcome

LEADS_PER_PAGE = 1000
# A listing of ten million leads of other clients has so many empty pages in a row.
MOST_EMPTY_PAGES = 10_000

# How to choose a client, in hints.
NAMING = "use --client-id"


class LeadGenius:
    """
    One LeadGenius account.

    Args:
        http: The client for its requests.
        tokens: The credentials of each request.
    """

    def __init__(self, http: HttpClient, tokens: Tokens) -> None:
        self._http = AuthorizedHttp(http, tokens)

    def clients(self, **retries: Any) -> list[LeadGeniusClient]:
        """List the clients; `is_patient` and `most_tries` as for `HttpClient.read`."""
        found = self._http.read("GET", "/api/clients", **retries).data.get("clients")
        if not isinstance(found, list):
            raise ServiceDown(
                "LeadGenius's answer has no list of clients.", "check LEADGENIUS_BASE_URL"
            )
        return [client_of(one) for one in found if isinstance(one, dict) and one.get("client_id")]

    def ensure_name_is_free(self, name: str) -> None:
        """
        Check that no client has this name, e.g. from an earlier command whose answer was lost.

        Raises:
            NotReady: a client has that name.
        """
        if (other := self._named(name)) is not None:
            raise NotReady(
                f"There is a client {other.name!r} already; its client_id is {other.client_id}.",
                f"migrator clients --use {other.client_id}, or choose another name",
            )

    def create_client(self, name: str, description: str) -> LeadGeniusClient:
        """
        Create a client with an unused name.

        The answer's `client_id` is the one to use, never its `id` (guide, bug 1).

        Raises:
            NotReady: it was refused.
            StoppedEarly: it was not created, or it is unknown whether it was.
        """
        body = json.dumps({"clientName": name, "description": description}).encode()
        answer: dict[str, Any] = {}

        def proof(data: Mapping[str, Any]) -> str | None:
            if (found := created_client_id(data)) is not None:
                answer.update(data["client"])
            return found

        sent = self._http.send("/api/clients", body, proof, lambda: None)
        if sent.created_id is not None:
            internal_id = str(answer.get("id") or "")
            return LeadGeniusClient(sent.created_id, internal_id, name, description)
        if sent.outcome is not None or sent.status == 409:
            raise _not_created(name, sent)
        return self._settle_creation(name, sent)

    def _settle_creation(self, name: str, sent: SendOutcome) -> LeadGeniusClient:
        """Find in the listing the client whose creation is in doubt."""
        doubt = ServiceDown(
            f"LeadGenius did not confirm that it created the client {name!r}: "
            f"{sent.answer or 'its answer has no client_id'}. It may still do so.",
            "migrator clients, and only if it is not listed after a minute create it again",
        )
        try:
            found = self._named(name)
        except MigratorError:
            raise doubt from None
        if found is None:
            raise doubt
        return found

    def _named(self, name: str) -> LeadGeniusClient | None:
        wanted = name.strip().casefold()
        return next((one for one in self.clients() if one.name.strip().casefold() == wanted), None)

    def check_client(self, client_id: str, naming: str = NAMING) -> LeadGeniusClient:
        """
        Find the client with this client_id.

        Args:
            naming: How to choose another one, for the hint.

        Raises:
            UsageError: it is a client's internal id (bug 1); the message names the right one.
            NotReady: there is no such client.
        """
        clients = self.clients()
        for client in clients:
            if client.client_id == client_id:
                return client
        for client in clients:
            if client.internal_id == client_id:
                raise UsageError(
                    f"{client_id} is the internal id of the client {client.name!r}; leads sent "
                    f"under it are invisible. Its client_id is {client.client_id}.",
                    f"{naming} {client.client_id}",
                )
        raise NotReady(
            f"LeadGenius has no client with the client_id {client_id}.",
            client_hint(clients, naming),
        )

    def check_presence(self, client_id: str, **retries: Any) -> None:
        """
        Check that the client to which leads are sent still exists; `retries` as for `clients`.

        Only the listing of clients shows that: LeadGenius may accept leads for a deleted client.

        Raises:
            NotReady: it is not listed.
        """
        clients = self.clients(**retries)
        if all(client.client_id != client_id for client in clients):
            raise NotReady(
                f"LeadGenius no longer lists the client {client_id} for this login: it was deleted "
                "with all its leads, or the login belongs to another account.",
                "migrator clients, to see whose login it is; only if the client was deleted: "
                "migrator clients --create NAME, then begin again with a new ledger, "
                "migrator stage --ledger NEW.db, and "
                "migrator push --ledger NEW.db --client-id with the new client_id",
            )

    def delete_client(self, internal_id: str) -> SendOutcome:
        """Delete a client, once; its leads stay (no purge). That there is none is as good."""
        return self._http.send(
            "/api/clients",
            None,
            is_taken,
            lambda: None,
            method="DELETE",
            params={"id": internal_id},
            success=Outcome.DELETED,
        )

    def create_lead(
        self, body: bytes, may_leave: Callable[[], None], proof: CreatedId | None = None
    ) -> SendOutcome:
        """
        Send one lead (guide, rule 2), once.

        A 401 created nothing, so the lead is then sent again with a new token.

        Args:
            body: JSON that contains the client_id.
            may_leave: As for `HttpClient.send`; called again after a 401.
            proof: What of the answer proves the lead; `None` = its id.

        Raises:
            NotReady: the credentials are rejected. Nothing was created.
        """
        return self._http.send("/api/leads", body, proof or created_lead_id, may_leave)

    def update_lead(self, body: bytes, may_leave: Callable[[], None]) -> SendOutcome:
        """
        Change fields of one lead, once; as `create_lead`.

        Args:
            body: JSON that contains `id`, `client_id` and the fields to change.
        """
        return self._http.send(
            "/api/leads", body, is_taken, may_leave, method="PUT", success=Outcome.UPDATED
        )

    def delete_lead(self, lead_id: str, may_leave: Callable[[], None]) -> SendOutcome:
        """Delete one lead, once; as `create_lead`. That there is no such lead counts as deleted."""
        return self._http.send(
            "/api/leads",
            None,
            is_taken,
            may_leave,
            method="DELETE",
            params={"id": lead_id},
            success=Outcome.DELETED,
        )

    def lead_page(
        self, client_id: str, cursor: str | None, rows: int = LEADS_PER_PAGE, **asked: str
    ) -> LeadPage:
        """
        Read the page of a client's leads that begins at a cursor of an earlier listing.

        Args:
            asked: Further parameters of the query.
        """
        return self._lead_page(client_id, cursor, PageSize(rows), asked)

    def lead_pages(self, client_id: str, cursor: str | None = None) -> Iterator[LeadPage]:
        """
        Iterate over the pages of a client's leads from a cursor on, read on demand.

        The listing comes from DynamoDB: a page may be short or empty and still have a next one.
        Only a missing cursor ends the list; `total` is the page's size (guide, bug 7).

        Raises:
            ServiceDown: a cursor was repeated, or empty pages follow each other again and again, so
                the list would never end; or too many rows have no id for the listing to prove
                anything.
        """
        seen, size = {cursor}, PageSize(LEADS_PER_PAGE)
        rows = odd = empty = 0
        while True:
            page = self._lead_page(client_id, cursor, size)
            yield page
            rows, odd = rows + len(page.leads) + len(page.odd), odd + len(page.odd)
            cursor = page.cursor
            if cursor is None:
                check_odd_rows(odd, rows)
                return
            empty = 0 if page.leads or page.odd else empty + 1
            if cursor in seen or empty >= MOST_EMPTY_PAGES:
                is_again = cursor in seen
                what = (
                    "a page cursor a second time" if is_again else f"{empty:,} empty pages in a row"
                )
                raise ServiceDown(
                    f"LeadGenius returned {what}; its list would never end.",
                    RunAgain(after="; if that persists, contact LeadGenius"),
                )
            seen.add(cursor)

    def find_lead(
        self, client_id: str | None, email: str, **retries: Any
    ) -> Mapping[str, Any] | None:
        """
        Find one lead of a client (`None` = of any) by its e-mail; `retries` as for `clients`.

        Of several leads with that e-mail it is any. `None` proves nothing: the documentation leaves
        open how this call answers.

        Raises:
            Declined: LeadGenius does not offer this call to this login.
        """
        params = {"email": email} if client_id is None else {"client_id": client_id, "email": email}
        try:
            data = self._http.read("GET", "/api/find-lead", params=params, **retries).data
        except NotFound:
            return None
        return shown_lead(data)

    def lead_by_id(self, lead_id: str, **retries: Any) -> Mapping[str, Any] | None:
        """
        Read a lead by its id; `retries` as for `clients`, `None` as for `find_lead`.

        It is a call of the vendor's newer API, which this one may lack.

        Raises:
            Declined: LeadGenius does not offer this call to this login.
        """
        try:
            return shown_lead(self._http.read("GET", f"/api/leads/{lead_id}", **retries).data)
        except NotFound:
            return None

    def count_leads(self, client_id: str, notice: Callable[[int], None] = lambda seen: None) -> int:
        """
        Count the leads of a client by listing all of them (guide, bug 7).

        Args:
            notice: Called after each page with the count so far.
        """
        seen: set[str] = set()
        for page in self.lead_pages(client_id):
            seen.update(str(lead["id"]) for lead in page.leads)
            notice(len(seen))
        return len(seen)

    def has_leads(self, client_id: str) -> bool:
        """Whether a client has a lead, by a page of one row (guide, section 8)."""
        page = self._lead_page(client_id, None, PageSize(1))
        return bool(page.leads or page.odd)

    def check_listing(self, client_id: str, **retries: Any) -> None:
        """Read a page of one row of a client's leads; raises if that fails."""
        self._lead_page(client_id, None, PageSize(1), **retries)

    def _lead_page(
        self,
        client_id: str,
        cursor: str | None,
        size: PageSize,
        also: Mapping[str, str] | None = None,
        **retries: Any,
    ) -> LeadPage:
        def params(rows: int) -> dict[str, str]:
            asked = {"client_id": client_id, "limit": str(rows), **(also or {})}
            return asked if cursor is None else {**asked, **json.loads(cursor)}

        data = self._http.read(
            "GET", "/api/leads", params=params, size=size, flaw=no_leads, **retries
        ).data
        leads = data["leads"]
        if odd := [row for row in leads if not has_id(row)]:
            leads = [row for row in leads if has_id(row)]
        return LeadPage(leads, cursor_of(data), odd, data.get("total"))


def _not_created(name: str, sent: SendOutcome) -> MigratorError:
    """The error for a client that was certainly not created."""
    reason = f"{sent.status}: {sent.answer or 'no reason given'}" if sent.status else sent.answer
    message = f"LeadGenius did not create the client {name!r} ({reason})."
    if sent.outcome is Outcome.REFUSED:
        return NotReady(message, "migrator clients --create with another name or --description")
    if sent.status == 409:
        return NotReady(message, "migrator clients, to list the existing ones")
    if sent.outcome is Outcome.DENIED:
        return NotReady(message, "migrator auth --status, to see whose login it is")
    return ServiceBusy(message, "migrator clients --create again in a minute")


def client_hint(clients: Sequence[LeadGeniusClient], naming: str = NAMING) -> str:
    """A hint that names the existing clients; `naming` as for `check_client`."""
    if not clients:
        return "migrator clients --create NAME"
    names = ", ".join(f"{client.client_id} ({client.name})" for client in clients[:5])
    joint = " " if naming.endswith(" to") else " with "  # set it to one of them, use it with one
    return f"{naming}{joint}one of: {names}"
