"""
The sandbox: both services on one port, with methods to inspect and change them.

`control` offers the same to other processes, over HTTP.
"""

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self

from migrator.sandbox import auth
from migrator.sandbox.control import CONTROL, control
from migrator.sandbox.editor import Editor
from migrator.sandbox.expected_leads import ExpectedLead, expectations
from migrator.sandbox.faults import FaultInjector, Outages, Where
from migrator.sandbox.hubspot import HubSpotApi
from migrator.sandbox.lead_history import RecordedChange, written_clients
from migrator.sandbox.lead_rules import saved
from migrator.sandbox.lead_store import LeadStore
from migrator.sandbox.leadgenius import LeadGeniusApi
from migrator.sandbox.limits import FixedWindow, RollingWindow
from migrator.sandbox.messages import Answer, Call, ConnectionEnd, Lead
from migrator.sandbox.portal import Portal
from migrator.sandbox.quirks import ApiQuirks, with_quirks
from migrator.sandbox.records import Records
from migrator.sandbox.request_log import LoggedRequest, RequestLog
from migrator.sandbox.server import Server
from migrator.sandbox.verdict import Evidence, SandboxVerdict, judge
from migrator.sandbox.writes import LeadWrites, Times


class Sandbox(Records):
    """
    A simulation of HubSpot and LeadGenius on one loopback port.

    Use it as a context manager, or call `start` and `stop`. A sandbox that is started again keeps
    its port and its data.

    Args:
        contacts: The number of generated contacts.
        seed: Determines all contacts, companies and random faults.
        port: 0 = any free one.
        faults: Probabilities by name of the fault.
        token_seconds: The lifetime of LeadGenius's access tokens.
        rate_limit: LeadGenius's requests per window; None = no limit and no headers.
        rate_window_seconds: The length of that window.
        rate_headers: Whether LeadGenius sends `X-RateLimit-*`.
        rate_retry_after: Whether LeadGenius's 429 has a `Retry-After`.
        hubspot_rate_limit: HubSpot's requests in any `hubspot_window_seconds`; None = no limit.
        hubspot_daily: HubSpot's requests per day, and those left, in its headers.
        latency_seconds: The time between saving and answering; a pair is a range.
        read_lag_seconds: How long a new, changed or deleted lead is not shown as such by GET; what
            `add_lead` adds is shown at once.
        ghost_seconds: The same for a deleted lead alone; None = `read_lag_seconds`.
        late_seconds: The delay of `save_late`.
        slow_seconds: The delay of `slow`.
        cursor_name: The cursor of LeadGenius's listing: `lastKey` or `nextToken`.
        page_limit: The longest page of LeadGenius's listing; longer ones are cut.
        quirks: Names in `QUIRKS`, `NAME=VALUE` for those with a value.
        edits: By name in `EDITS`: the share of requests before which a person makes such an edit.
        look_seconds: How old the last look at a lead may be when the tool changes or deletes it:
            what a person did since then is excused by the verdict.
        is_recorded: Whether requests and the history of leads are kept, for a verdict; without
            them a lead takes half the memory.

    Raises:
        ValueError: A fault, a quirk or an edit is unknown, or the value of a quirk is wrong.
    """

    hubspot_token = auth.HUBSPOT_TOKEN
    portal_id = auth.PORTAL_ID
    email = auth.EMAIL
    password = auth.PASSWORD
    api_key = auth.API_KEY
    user_id = auth.USER_ID

    def __init__(
        self,
        *,
        contacts: int = 100,
        seed: int = 1,
        port: int = 0,
        faults: Mapping[str, float] | None = None,
        token_seconds: float = 3600,
        rate_limit: int | None = None,
        rate_window_seconds: float = 60.0,
        rate_headers: bool = True,
        rate_retry_after: bool = False,
        hubspot_rate_limit: int | None = None,
        hubspot_window_seconds: float = 10.0,
        hubspot_daily: tuple[int, int] = (250_000, 249_000),
        latency_seconds: float | tuple[float, float] = 0.0,
        read_lag_seconds: float = 0.0,
        ghost_seconds: float | None = None,
        late_seconds: float = 1.0,
        slow_seconds: float = 2.0,
        cursor_name: str = "lastKey",
        page_limit: int | None = None,
        quirks: Collection[str] = (),
        edits: Mapping[str, float] | None = None,
        look_seconds: float = 60.0,
        is_recorded: bool = True,
    ) -> None:
        self._port = port
        self._server: Server | None = None
        self._log = RequestLog(is_kept=is_recorded)
        self._portal = Portal(seed, contacts)
        self._store = LeadStore(seed, read_lag_seconds, ghost_seconds, has_history=is_recorded)
        self._tokens = auth.IssuedTokens(token_seconds)
        self._clients = auth.Clients()
        self._faults = FaultInjector(seed, faults or {})
        self._outages = Outages()
        self._latency = latency_seconds
        self._random = random.Random(seed)
        self._look_seconds = look_seconds
        self._writes = LeadWrites(self._store, self._faults, Times(late_seconds, slow_seconds))
        self._editor = Editor(seed, edits or {}, self)
        self._leadgenius = LeadGeniusApi(
            (self._tokens, self._clients, self._store, self._writes),
            self._faults,
            FixedWindow(rate_limit, rate_window_seconds) if rate_limit else None,
            with_quirks(ApiQuirks(cursor_name, page_limit, rate_headers, rate_retry_after), quirks),
        )
        window = hubspot_window_seconds
        limit = RollingWindow(hubspot_rate_limit, window) if hubspot_rate_limit else None
        self._hubspot = HubSpotApi(self._portal, self._faults, limit, window, hubspot_daily)

    # Start and stop

    def start(self) -> Self:
        """Start to listen; this sets `url`."""
        self._server = Server(self._port, self._arrived, self._answer, self.note)
        self._port = self._server.port
        self._server.start()
        return self

    def stop(self) -> None:
        """Close all connections, hanging ones too; the data stays readable."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # Settings for clients

    @property
    def url(self) -> str:
        """The base URL of both services, without `/api`; the port is 0 before `start`."""
        return f"http://127.0.0.1:{self._port}"

    def environment(self) -> dict[str, str]:
        """The environment variables that point a `migrator` process at this sandbox."""
        return {
            "HUBSPOT_ACCESS_TOKEN": self.hubspot_token,
            "HUBSPOT_BASE_URL": self.url,
            "LEADGENIUS_EMAIL": self.email,
            "LEADGENIUS_PASSWORD": self.password,
            "LEADGENIUS_BASE_URL": self.url,
            "LEADGENIUS_CLIENT_ID": self.client_id,
        }

    # Inspection

    @property
    def received(self) -> list[LoggedRequest]:
        """A copy of the log of all requests, except for control requests."""
        return self._log.all()

    @property
    def held(self) -> list[Lead]:
        """All leads of all clients in the order of saving, with `id` and `createdAt`."""
        return [held.lead() for held in self._store.all()]

    def leads(self, client_id: str | None = None) -> list[Lead]:
        """The leads of a client, by default of `client_id`, in the order of listings."""
        return [held.lead() for held in self._store.of(client_id or self.client_id)]

    @property
    def history(self) -> list[RecordedChange]:
        """A copy of all that happened to the leads, in order, with who did it."""
        return self._store.history()

    @property
    def foreign_writes(self) -> list[str]:
        """The `client_id` of each client that requests wrote to, and that no request created."""
        written = written_clients(self.history) | self._clients.changed_by_requests
        return sorted(written - self._clients.of_requests)

    def wait_until(self, predicate: Callable[[], object], timeout: float = 10) -> None:
        """
        Return once `predicate()` is true; it is called again after every request.

        Raises:
            TimeoutError: It was still false after `timeout` seconds.
        """
        self._log.wait_until(predicate, timeout)

    def expected(self) -> Iterator[ExpectedLead]:
        """The expected result for each contact, in the order of listings."""
        return expectations(self._portal.contacts(), self._portal.company, self.portal_id)

    def verdict(self) -> SandboxVerdict:
        """Compare the leads with the expected ones."""
        client_ids = {str(client["client_id"]) for client in self._clients.all()}
        in_use = [held for held in self._store.all() if not held.mark]
        quirks = self._leadgenius.quirks
        evidence = Evidence(
            (one.saved_as(lambda lead: saved(lead, quirks)) for one in self.expected()),
            in_use,
            client_ids,
            self.portal_id,
            self._portal.removed,
            self.history,
            self._look_seconds,
            quirks.first_status,
        )
        return judge(evidence)

    # Faults and changes

    def fault(self, name: str, times: int = 1, where: Where | None = None) -> None:
        """
        Let a fault strike the next `times` requests that satisfy `where`.

        Args:
            where: Receives the lead of a write (of a POST as it was sent, of a PUT as it would
                become, of a DELETE as it is), or the query of any other request.

        Raises:
            ValueError: The name is unknown; the message lists similar ones.
        """
        self._faults.arm(name, times, where)

    def calm(self) -> None:
        """End all outages, and drop all scripted and random faults and all random edits."""
        self._outages.clear()
        self._faults.calm()
        self._editor.calm()

    def outage(
        self,
        path: str,
        status: int | None = 503,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "",
        is_cut_short: bool = False,
    ) -> None:
        """
        Give all requests under a path the same answer until `calm`.

        Args:
            path: A prefix: `/api` is all of LeadGenius, `/crm` nearly all of HubSpot.
            status: None = never answer.
            method: "" = any.
            is_cut_short: Whether the answer is shorter than its Content-Length.
        """
        ending = ConnectionEnd.TRUNCATE if is_cut_short else ConnectionEnd.KEEP
        self._outages.begin(method, path, status, body, headers or {}, ending)

    def revoke(self, what: str) -> None:
        """
        Revoke credentials until `restore`.

        Args:
            what: LeadGenius's `login` (its password and all tokens), its `refresh_token`s or its
                `api_key`; or the `hubspot_token`.

        Raises:
            ValueError: The name is unknown.
        """
        if what not in ("login", "refresh_token", "api_key", "hubspot_token"):
            raise ValueError(f"nothing to revoke is called {what!r}")
        self._hubspot.is_token_revoked |= what == "hubspot_token"
        self._tokens.revoke(what)

    def restore(self) -> None:
        """Accept all credentials again; tokens that were issued before stay invalid."""
        self._hubspot.is_token_revoked = False
        self._tokens.restore()

    def expire_tokens(self) -> None:
        """Expire all access tokens that were issued so far."""
        self._tokens.expire()

    def change_rate_limit(
        self,
        requests: int | None,
        *,
        window_seconds: float = 60.0,
        headers: bool = True,
        retry_after: bool = False,
    ) -> None:
        """Replace LeadGenius's rate limit; None = no limit."""
        limit = FixedWindow(requests, window_seconds) if requests else None
        self._leadgenius.change_limit(limit, headers=headers, retry_after=retry_after)

    def change_quirks(self, *names: str) -> None:
        """
        Add quirks, `NAME` or `NAME=VALUE`; stored data stays as it is.

        Raises:
            ValueError: A name is unknown, or a value is wrong.
        """
        self._leadgenius.change_quirks(with_quirks(self._leadgenius.quirks, names))

    # Requests

    def receive(self, call: Call) -> Answer:
        """
        Answer a call that did not arrive on a socket.

        The caller implements the answer's delay, its `later`, its `decide` and its ending, and sets
        the status of the call.
        """
        self._arrived(call)
        return self._answer(call)

    def note(self, call: Call) -> None:
        """Update the log entry of a call."""
        if not call.path.startswith(CONTROL):
            self._log.note(call)

    def _arrived(self, call: Call) -> None:
        if call.path.startswith(CONTROL):
            return
        if call.method in ("POST", "PUT") and call.path == "/api/leads":
            body = call.json()
            call.lead = body if isinstance(body, dict) else None
        self._log.arrived(call)

    def _answer(self, call: Call) -> Answer:
        if call.path.startswith(CONTROL):
            return control(self, call)
        self._editor.work()
        if (outage := self._outages.answer(call)) is not None:
            return outage
        service = self._leadgenius if call.path.startswith("/api/") else self._hubspot
        answer = service.answer(call)
        if not self._latency:
            return answer
        return replace(answer, delay_seconds=answer.delay_seconds + self._draw_latency())

    def _draw_latency(self) -> float:
        if isinstance(self._latency, tuple):
            return self._random.uniform(*self._latency)
        return self._latency
