"""Clients and leads of one LeadGenius account."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrator.errors import (
    Forbidden,
    MigratorError,
    NotReady,
    RunAgain,
    ServiceBusy,
    ServiceDown,
    Unauthorized,
    UsageError,
)
from migrator.http import HttpClient, PageSize, Response, SendOutcome
from migrator.leadgenius.tokens import Tokens
from migrator.states import Outcome

LEADS_PER_PAGE = 1000

# More rows than this without an id, and a tenth of all, are no exceptions.
MOST_ODD_ROWS = 10

# How a client is named where nothing else is said.
NAMING = "use --client-id"

CreatedId = Callable[[Mapping[str, Any]], str | None]

# The next page's cursor is called `lastKey` by the guide and `nextToken` by the vendor's
# reference; it goes back under the name that it came under, both of them if both came.
CURSOR_NAMES = ("lastKey", "nextToken")


@dataclass(frozen=True)
class LeadGeniusClient:
    """
    A client (a workspace for leads).

    Args:
        client_id: The slug for every lead operation (guide, rule 4).
        internal_id: For changing or deleting the client itself; with leads it makes them
            invisible (guide, bug 1).
        description: "" = it has none.
    """

    client_id: str
    internal_id: str
    name: str
    description: str = ""


@dataclass(frozen=True)
class LeadPage:
    """
    A page of leads.

    Args:
        leads: LeadGenius's JSON objects, each with an `id`.
        cursor: Of the next page, to be handed back as it is; `None` = this is the last page.
        odd: Rows without a usable id, whatever they are; a lead may stand behind each.
    """

    leads: Sequence[Mapping[str, Any]]
    cursor: str | None
    odd: Sequence[Any] = ()


class LeadGenius:
    """
    One account.

    Args:
        http: The way to it.
        tokens: What it accepts.
    """

    def __init__(self, http: HttpClient, tokens: Tokens) -> None:
        self._http = http
        self._tokens = tokens
        self._has_answered = False

    def clients(self, **retries: Any) -> list[LeadGeniusClient]:
        """All clients of the account; `is_patient` and `most_tries` as for `HttpClient.read`."""
        found = self._read("GET", "/api/clients", **retries).data.get("clients")
        if not isinstance(found, list):
            raise ServiceDown("LeadGenius listed no clients.", "check LEADGENIUS_BASE_URL")
        return [_client(one) for one in found if isinstance(one, dict) and one.get("client_id")]

    def ensure_name_is_free(self, name: str) -> None:
        """
        Look before a client is created: it may have been by a command whose answer was lost.

        Raises:
            NotReady: there is one of that name already; the message names it.
        """
        if (twin := self._named(name)) is not None:
            raise NotReady(
                f"There is a client {twin.name!r} already; its client_id is {twin.client_id}.",
                f"migrator clients --use {twin.client_id}, or create it under another name",
            )

    def create_client(self, name: str, description: str) -> LeadGeniusClient:
        """
        Create a client of a name that none has so far.

        Its answer's `client_id` is the one to use, never its `id` (guide, bug 1).

        Raises:
            NotReady: it was refused.
            StoppedEarly: it was not created, or that is not certain; the message says which.
        """
        body = json.dumps({"clientName": name, "description": description}).encode()
        sent = self._send("/api/clients", body, _created_client_id)
        if sent.created_id is not None:
            made = LeadGeniusClient(sent.created_id, "", name, description)
            return next((one for one in self.clients() if one.client_id == made.client_id), made)
        if sent.outcome is not None or sent.status == 409:
            raise _not_created(name, sent)
        return self._seen(name, sent)

    def _seen(self, name: str, sent: SendOutcome) -> LeadGeniusClient:
        """The client whose creation is in doubt: settled by looking, as a lead's is."""
        doubt = ServiceDown(
            f"LeadGenius did not say that it created the client {name!r}: "
            f"{sent.answer or 'its answer has no client_id'}. It may still do so.",
            "migrator clients, and only if it is not listed a minute later create it again",
        )
        try:
            seen = self._named(name)
        except MigratorError:
            raise doubt from None
        if seen is None:
            raise doubt
        return seen

    def _named(self, name: str) -> LeadGeniusClient | None:
        wanted = name.strip().casefold()
        return next((one for one in self.clients() if one.name.strip().casefold() == wanted), None)

    def check_client(self, client_id: str, naming: str = NAMING) -> LeadGeniusClient:
        """
        The client with this client_id.

        Args:
            naming: How another one is to be named, for the hint.

        Raises:
            UsageError: it is a client's internal id; the message names the right one (bug 1).
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
        Look whether the client that leads go to is still there; `retries` as for `clients`.

        Nothing else tells: leads may be taken for one that was deleted, and listed by nobody.

        Raises:
            NotReady: it is there no more.
        """
        clients = self.clients(**retries)
        if all(client.client_id != client_id for client in clients):
            raise NotReady(
                f"LeadGenius shows this login no client {client_id} any more: it was deleted, and "
                "what was sent to it with it, or the login is another account's.",
                "migrator clients, to see whose login it is; only if the client was deleted: "
                "migrator clients --create NAME, then begin again with a ledger of its own, "
                "migrator stage --ledger NEW.db, and "
                "migrator push --ledger NEW.db --client-id with the new client_id",
            )

    def create_lead(self, body: bytes) -> SendOutcome:
        """
        Send one lead (guide, rule 2), once.

        A declined token created nothing, so the same lead then goes again with a new one.

        Args:
            body: JSON with the client_id in it.

        Raises:
            NotReady: the credentials are declined. Nothing was created.
        """
        return self._send("/api/leads", body, _created_lead_id)

    def lead_pages(self, client_id: str, cursor: str | None = None) -> Iterator[LeadPage]:
        """
        All leads of a client, page by page from a cursor on, each page when it is asked for.

        DynamoDB stands behind it: a page may be short or empty and still have a next one. Only a
        missing cursor ends the list; `total` is the page's size (guide, bug 7).

        Raises:
            ServiceDown: a cursor came back, so the list would never end; or so many rows have no
                id that nothing can be concluded from the rest.
        """
        seen, size = {cursor}, PageSize(LEADS_PER_PAGE)
        rows = odd = 0
        while True:
            page = self._lead_page(client_id, cursor, size)
            yield page
            rows, odd = rows + len(page.leads) + len(page.odd), odd + len(page.odd)
            cursor = page.cursor
            if cursor is None:
                _check_odd_rows(odd, rows)
                return
            if cursor in seen:
                raise ServiceDown(
                    "LeadGenius gave a page cursor a second time; its list of leads has no end.",
                    RunAgain(after="; if it stays so, tell LeadGenius"),
                )
            seen.add(cursor)

    def count_leads(self, client_id: str, notice: Callable[[int], None] = lambda seen: None) -> int:
        """
        Count the leads of a client, all of them, each once; nothing else tells (guide, bug 7).

        Args:
            notice: Told after each page how many were seen so far.
        """
        seen: set[str] = set()
        for page in self.lead_pages(client_id):
            seen.update(str(lead["id"]) for lead in page.leads)
            notice(len(seen))
        return len(seen)

    def has_leads(self, client_id: str) -> bool:
        """Whether the first page of a client shows a lead (guide, section 8); one row."""
        page = self._lead_page(client_id, None, PageSize(1))
        return bool(page.leads or page.odd)

    def check_listing(self, client_id: str, **retries: Any) -> None:
        """Ask for the smallest page of a client's leads; raises where none is to be had."""
        self._lead_page(client_id, None, PageSize(1), **retries)

    def _lead_page(
        self, client_id: str, cursor: str | None, size: PageSize, **retries: Any
    ) -> LeadPage:
        def params(rows: int) -> dict[str, str]:
            asked = {"client_id": client_id, "limit": str(rows)}
            return asked if cursor is None else {**asked, **json.loads(cursor)}

        data = self._read(
            "GET", "/api/leads", params=params, size=size, flaw=_no_leads, **retries
        ).data
        leads = [row for row in data["leads"] if _has_id(row)]
        return LeadPage(leads, _cursor(data), [row for row in data["leads"] if not _has_id(row)])

    def _read(self, method: str, path: str, **request: Any) -> Response:
        headers, is_renewed = self._tokens.headers(), False
        while True:
            try:
                reply = self._read_with(headers, method, path, **request)
            except Forbidden as error:
                hint = self._tokens.key_hint or error.hint
                raise Forbidden(error.message, hint, error.data, error.status) from None
            except Unauthorized as error:
                declined = headers
                if not is_renewed:
                    headers, is_renewed = self._tokens.renewed(declined), True
                if headers == declined:
                    self._tokens.refused(f"{method} {path}", error.message)
            else:
                self._tokens.worked(headers, f"{method} {path}")
                return reply

    def _read_with(self, headers: Mapping[str, str], *words: str, **request: Any) -> Response:
        # Before it took these credentials once, a "no" is no slip. A token's 401 renews it.
        doubted = ({401, 403} if "x-api-key" in headers else {403}) if self._has_answered else ()
        reply = self._http.read(*words, headers=headers, doubted=doubted, **request)
        self._has_answered = True
        return reply

    def _send(self, path: str, body: bytes, created_id: CreatedId) -> SendOutcome:
        """
        A 401 that is handed back is a refusal: no new token helps.

        Either one was declined as well, or this body had been declined with a new one before, or
        there is none because an API key is used, which has worked.
        """
        declined = headers = self._tokens.headers()
        sent = self._http.send(path, body, headers=headers, created_id=created_id)
        if sent.is_unauthorized and (self._tokens.are_renewable or not self._has_answered):
            headers = self._tokens.renewed(declined, body)
        if headers != declined:
            # A 401 created nothing, so this is still the one send of its attempt.
            sent = self._http.send(path, body, headers=headers, created_id=created_id)
        if sent.is_unauthorized:
            told = f"LeadGenius declined {path} with 401: {sent.answer or 'no reason given'}"
            self._tokens.refused(f"POST {path}", told, body)
        elif sent.outcome in (Outcome.CREATED, Outcome.REFUSED):
            self._tokens.worked(headers, f"POST {path}", body)
        return sent


def _not_created(name: str, sent: SendOutcome) -> MigratorError:
    """Why a client is certain not to have been created."""
    told = f"{sent.status}: {sent.answer or 'no reason given'}" if sent.status else sent.answer
    message = f"LeadGenius did not create the client {name!r} ({told})."
    if sent.outcome is Outcome.REFUSED:
        return NotReady(message, "migrator clients --create with another name or --description")
    if sent.status == 409:
        return NotReady(message, "migrator clients, to see which there are")
    if sent.outcome is Outcome.DENIED:
        return NotReady(message, "migrator auth --status, to see whose login it is")
    return ServiceBusy(message, "migrator clients --create again in a minute")


def client_hint(clients: Sequence[LeadGeniusClient], naming: str = NAMING) -> str:
    """A hint that names the clients that there are; `naming` as for `check_client`."""
    if not clients:
        return "migrator clients --create NAME"
    names = ", ".join(f"{client.client_id} ({client.name})" for client in clients[:5])
    joint = " " if naming.endswith(" to") else " with "  # set it to one of them, use it with one
    return f"{naming}{joint}one of: {names}"


def _client(data: Mapping[str, Any]) -> LeadGeniusClient:
    told = (data["client_id"], *(data.get(key) for key in ("id", "clientName", "description")))
    return LeadGeniusClient(*(str(value or "") for value in told))


def _created_client_id(data: Mapping[str, Any]) -> str | None:
    client = data.get("client")
    found = client.get("client_id") if isinstance(client, dict) else None
    return found if isinstance(found, str) and found else None


def _created_lead_id(data: Mapping[str, Any]) -> str | None:
    """The id in an answer to a lead. One that says it failed is believed in nothing else."""
    lead = data.get("lead")
    if data.get("success") is False or not isinstance(lead, dict):
        return None
    return str(lead["id"]) if _has_id(lead) else None


def _no_leads(reply: Response) -> MigratorError | None:
    if isinstance(reply.data.get("leads"), list):
        return None
    return ServiceDown(
        "LeadGenius's page of leads has no list of leads.", "check LEADGENIUS_BASE_URL"
    )


def _check_odd_rows(odd: int, rows: int) -> None:
    if odd > MOST_ODD_ROWS and 10 * odd >= rows:
        raise ServiceDown(
            f"Of the {rows:,} leads that LeadGenius lists, {odd:,} have no usable id.",
            RunAgain(after=" later; if it stays so, tell LeadGenius"),
        )


def _has_id(lead: object) -> bool:
    if not isinstance(lead, dict):
        return False
    found = lead.get("id")
    if isinstance(found, str):
        # Neither a terminal nor the ledger can take half of a surrogate pair, say.
        return found.isprintable() and found != ""
    return isinstance(found, int) and not isinstance(found, bool)


def _cursor(data: Mapping[str, Any]) -> str | None:
    """The parameters that ask for the next page, as JSON; `None` = this is the last page."""
    told = {name: data.get(name) for name in CURSOR_NAMES}
    params = {
        # DynamoDB's key may come as an object; a query can carry it only as JSON.
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in told.items()
        if value not in (None, "", {})
    }
    return json.dumps(params) if params else None
