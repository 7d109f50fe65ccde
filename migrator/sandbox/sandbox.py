"""
The sandbox itself: both services on one port, and everything a test may ask or do to them.

Owns the wiring, and a small control interface over HTTP for judges in other processes, which can
do no more than a test in this process. The services decide their answers in their own modules.
"""

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, replace
from types import TracebackType
from typing import Any, Self

from migrator.sandbox import auth
from migrator.sandbox.expected_leads import ExpectedLead, expectations
from migrator.sandbox.faults import FaultInjector, Outages, Where
from migrator.sandbox.hubspot import HubSpotApi
from migrator.sandbox.lead_store import LeadStore
from migrator.sandbox.leadgenius import LeadGeniusApi
from migrator.sandbox.limits import FixedWindow, RollingWindow
from migrator.sandbox.messages import Answer, Call, ConnectionEnd, Lead, reply
from migrator.sandbox.portal import Portal
from migrator.sandbox.quirks import ApiQuirks, with_quirks
from migrator.sandbox.records import Records
from migrator.sandbox.request_log import LoggedRequest, RequestLog
from migrator.sandbox.sending import Sending, Times
from migrator.sandbox.server import Server
from migrator.sandbox.verdict import Evidence, SandboxVerdict, judge

CONTROL = "/_sandbox/"


class Sandbox(Records):
    """
    A stand-in of HubSpot and LeadGenius on one loopback port.

    Use it as a context manager, or call `start` and `stop`. All options are keywords.

    Args:
        contacts: In the portal from the start.
        seed: Decides every contact, every company and every throw of the dice.
        port: 0 takes any free one. Started again after `stop`, a sandbox keeps its port and all it
            holds.
        faults: Probability by name, for each request that the name may strike.
        token_seconds: How long LeadGenius's access tokens hold.
        rate_limit: LeadGenius's requests per window; None for no limit and no headers.
        rate_window_seconds: The length of that window.
        rate_headers: Whether LeadGenius tells `X-RateLimit-*`.
        rate_retry_after: Whether LeadGenius's 429 tells `Retry-After`.
        hubspot_rate_limit: HubSpot's requests in any `hubspot_window_seconds`; None for no limit.
        hubspot_daily: HubSpot's requests a day, and those that are left, as headers tell them.
        latency_seconds: Between saving and answering; a pair is drawn from evenly.
        read_lag_seconds: How long after it was saved a lead stays invisible to GET.
        late_seconds: When `save_late` saves.
        slow_seconds: When `slow` answers.
        cursor_name: Of LeadGenius's listing: `lastKey` or `nextToken`.
        page_limit: LeadGenius lists no more leads in one page, whatever was asked for.
        quirks: Names of `QUIRKS`: what else differs from one LeadGenius to another.

    Raises:
        ValueError: A fault or a quirk is unknown.
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
        late_seconds: float = 1.0,
        slow_seconds: float = 2.0,
        cursor_name: str = "lastKey",
        page_limit: int | None = None,
        quirks: Collection[str] = (),
    ) -> None:
        self._port = port
        self._server: Server | None = None
        self._record = RequestLog()
        self._portal = Portal(seed, contacts)
        self._shelf = LeadStore(seed, read_lag_seconds)
        self._tokens = auth.IssuedTokens(token_seconds)
        self._clients = auth.Clients()
        self._faults = FaultInjector(seed, faults or {})
        self._outages = Outages()
        self._latency = latency_seconds
        self._random = random.Random(seed)
        sending = Sending(self._shelf, self._faults, Times(late_seconds, slow_seconds))
        self._leadgenius = LeadGeniusApi(
            (self._tokens, self._clients, self._shelf, sending),
            self._faults,
            FixedWindow(rate_limit, rate_window_seconds) if rate_limit else None,
            with_quirks(ApiQuirks(cursor_name, page_limit, rate_headers, rate_retry_after), quirks),
        )
        window = hubspot_window_seconds
        limit = RollingWindow(hubspot_rate_limit, window) if hubspot_rate_limit else None
        self._hubspot = HubSpotApi(self._portal, self._faults, limit, window, hubspot_daily)

    # Life

    def start(self) -> Self:
        """Listen. From here on `url` is known."""
        self._server = Server(self._port, self._arrived, self._answer, self.note)
        self._port = self._server.port
        self._server.start()
        return self

    def stop(self) -> None:
        """Close every connection, hung ones too; what is held and recorded stays readable."""
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

    # What a client needs to know

    @property
    def url(self) -> str:
        """The base URL of both services, without `/api`; the port is 0 before `start`."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def client_internal_id(self) -> str:
        """The name under which leads vanish: guide, bug 1."""
        return str(self._clients.first["id"])

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

    # The witness

    @property
    def received(self) -> list[LoggedRequest]:
        """Every request so far, in order; a copy. Control requests are not among them."""
        return self._record.all()

    @property
    def held(self) -> list[Lead]:
        """Every lead of every client in the order of saving, with `id` and `createdAt`; copies."""
        return [held.lead() for held in self._shelf.all()]

    def leads(self, client_id: str | None = None) -> list[Lead]:
        """The leads kept under one name, by default `client_id`, in the order of listings."""
        return [held.lead() for held in self._shelf.of(client_id or self.client_id)]

    def wait_until(self, predicate: Callable[[], object], timeout: float = 10) -> None:
        """
        Return once `predicate()` is true; it is asked again with every request.

        Raises:
            TimeoutError: It was still false after `timeout` seconds.
        """
        self._record.wait_until(predicate, timeout)

    def expected(self) -> Iterator[ExpectedLead]:
        """What ought to become of each contact of the portal, in the order of listings."""
        return expectations(self._portal.contacts(), self._portal.company, self.portal_id)

    def verdict(self) -> SandboxVerdict:
        """Judge what is held now by what ought to be."""
        client_ids = {str(client["client_id"]) for client in self._clients.all()}
        in_use = [held for held in self._shelf.all() if not held.mark]
        evidence = Evidence(
            self.expected(), in_use, client_ids, self.portal_id, self._portal.removed
        )
        return judge(evidence)

    # The hand that meddles

    def fault(self, name: str, times: int = 1, where: Where | None = None) -> None:
        """
        Let `name` strike the next `times` requests of its kind.

        Args:
            where: Chooses among them; shown the lead of a POST, the query of any other request.

        Raises:
            ValueError: The name is unknown; the message names those that look like it.
        """
        self._faults.arm(name, times, where)

    def calm(self) -> None:
        """Drop every outage, every armed fault and every probability."""
        self._outages.clear()
        self._faults.calm()

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
        Answer everything under a path alike, whoever asks, until `calm`.

        Args:
            path: How it begins: `/api` is all of LeadGenius, `/crm` nearly all of HubSpot.
            status: None = say nothing at all.
            method: Of the calls that suffer; "" = any.
            is_cut_short: Whether more is promised than comes.
        """
        ending = ConnectionEnd.TRUNCATE if is_cut_short else ConnectionEnd.KEEP
        self._outages.begin(method, path, status, body, headers or {}, ending)

    def revoke(self, what: str) -> None:
        """
        Let credentials hold no more, until `restore`.

        Args:
            what: LeadGenius's `login` (its password and all tokens), its `refresh_token`s or its
                `api_key`; or the `hubspot_token`.

        Raises:
            ValueError: There is nothing of that name.
        """
        if what not in ("login", "refresh_token", "api_key", "hubspot_token"):
            raise ValueError(f"nothing to revoke is called {what!r}")
        self._hubspot.is_token_revoked |= what == "hubspot_token"
        self._tokens.revoke(what)

    def restore(self) -> None:
        """Take all credentials again; tokens that were handed out before stay dead."""
        self._hubspot.is_token_revoked = False
        self._tokens.restore()

    def create_client(self, name: str) -> str:
        """Add a client; returns its client_id, which no client had before."""
        return str(self._clients.create(name)["client_id"])

    def delete_client(self, *, takes_leads: bool) -> None:
        """
        Delete the client that there was from the start; from then on its list is empty.

        Args:
            takes_leads: Whether leads for it are still answered 201, or 404.
        """
        self._clients.takes_leads_of_gone = takes_leads
        self._clients.remove(self.client_internal_id)

    def expire_tokens(self) -> None:
        """Let every access token that was handed out so far expire now."""
        self._tokens.expire()

    def change_rate_limit(
        self,
        requests: int | None,
        *,
        window_seconds: float = 60.0,
        headers: bool = True,
        retry_after: bool = False,
    ) -> None:
        """From now on LeadGenius takes so many requests a window; None for as many as come."""
        limit = FixedWindow(requests, window_seconds) if requests else None
        self._leadgenius.change_limit(limit, headers=headers, retry_after=retry_after)

    def change_quirks(self, *names: str) -> None:
        """
        Have these quirks, too, from now on; what is held stays as it is.

        Raises:
            ValueError: A name is unknown; the message names all that there are.
        """
        self._leadgenius.change_quirks(with_quirks(self._leadgenius.quirks, names))

    # The door

    def receive(self, call: Call) -> Answer:
        """
        Take a call that no socket brought.

        Whoever brings it carries the answer out, with its delay, its `later` and its ending, and
        notes on the call what was answered.
        """
        self._arrived(call)
        return self._answer(call)

    def note(self, call: Call) -> None:
        """Write down what became of a call since it was received."""
        if not call.path.startswith(CONTROL):
            self._record.note(call)

    def _arrived(self, call: Call) -> None:
        if call.path.startswith(CONTROL):
            return
        if (call.method, call.path) == ("POST", "/api/leads"):
            body = call.json()
            call.lead = body if isinstance(body, dict) else None
        self._record.arrived(call)

    def _answer(self, call: Call) -> Answer:
        if call.path.startswith(CONTROL):
            return control(self, call)
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


def control(sandbox: Sandbox, call: Call) -> Answer:
    """Answer a call to one of the control paths."""
    match call.method, call.path.removeprefix(CONTROL):
        case "GET", "verdict":
            return reply(sandbox.verdict().as_json())
        case "GET", "record":
            received = [asdict(received) for received in sandbox.received]
            return reply({"received": received, "held": sandbox.held})
        case "POST", "fault":
            return _arm(sandbox, call.json())
        case "POST", "calm":
            sandbox.calm()
            return reply({"calm": True})
    return reply({"error": "verdict, record, fault or calm"}, 404)


def _arm(sandbox: Sandbox, body: Any) -> Answer:
    try:
        sandbox.fault(str(body["name"]), int(body.get("times", 1)))
    except (ValueError, KeyError, TypeError) as error:
        return reply({"error": str(error)}, 400)
    return reply({"armed": body["name"]})
