"""
The one place where a probe's requests are made: paced, counted, and guarded.

All writes go to a client that a probe made (`own`), and to leads of invented people that
were created or listed under it. Anything else is a bug, and raises before a byte leaves.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from migrator.errors import ServiceDown
from migrator.http import SendOutcome
from migrator.leadgenius import LeadGenius, LeadGeniusClient, LeadPage
from migrator.leadgenius.responses import created_lead_id
from migrator.probe.people import is_invented
from migrator.rate_limit import RateLimiter, RateState
from migrator.signals import Signals
from migrator.states import Outcome
from migrator.text import one_line

# The slowest documented limit, kept to until the headers tell another one.
PER_MINUTE = 100
_TRIES = 2
_MOST_THROTTLED = 5
# A longer wait, as at the end of a daily quota, is not worth it: the probe can be run again.
_LONGEST_WAIT_SECONDS = 120.0


class Pauses:
    """Sleeps that a signal ends, except while things are being removed."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self.is_removing = False

    def pause(self, seconds: float) -> None:
        """
        Sleep.

        Raises:
            Interrupted: the user wants to stop, and nothing is being removed.
        """
        if self.is_removing:
            time.sleep(seconds)
        else:
            self._signals.pause(seconds)


class ProbeRequests:
    """
    The requests of one probe. One thread uses it.

    Args:
        notice: Called with the number of requests so far.

    Attributes:
        made: How many requests there were.
        own: The clients that a probe made, by client_id.
        left_at: When the last lead was sent, on the monotonic clock: once connected.
        limit: The limit that the headers of the last answer told; `None` = none did.
    """

    def __init__(
        self, leadgenius: LeadGenius, pauses: Pauses, notice: Callable[[int], None]
    ) -> None:
        self._leadgenius = leadgenius
        self._pause = pauses.pause
        self._notice = notice
        # Without headers this limit is held: a probe is too short to discover another one.
        self._limiter = RateLimiter(RateState.automatic(PER_MINUTE))
        self.own: dict[str, LeadGeniusClient] = {}
        self._leads: dict[str, str] = {}  # the client_id of each lead that may be changed
        self.made = 0
        self.left_at = 0.0
        self.limit: int | None = None

    @property
    def interval_seconds(self) -> float:
        """The time between two requests at the present pace."""
        return self._limiter.interval_seconds

    # Clients

    def clients(self) -> list[LeadGeniusClient]:
        """All clients of the account."""
        self._turn()
        return self._leadgenius.clients()

    def create_client(self, name: str, description: str) -> LeadGeniusClient:
        """
        Create a client, which is the probe's own then; errors as `LeadGenius.create_client`.

        Raises:
            ServiceDown: the answer names a client that was there before.
        """
        others = {one.client_id for one in self.clients()}
        self._turn()
        client = self._leadgenius.create_client(name, description)
        if client.client_id in others:
            raise ServiceDown(
                f"LeadGenius answered the creation of the client {name!r} with the client_id of "
                f"one that was there before: {one_line(client.client_id)}. Nothing was sent to it.",
                "migrator clients; then contact LeadGenius",
            )
        self.own[client.client_id] = client
        return client

    def take_on(self, client: LeadGeniusClient) -> None:
        """Let the leads of a client that an earlier probe made be removed, and it."""
        self.own[client.client_id] = client

    def delete_client(self, client: LeadGeniusClient) -> bool:
        """
        Delete an own client, which must be empty; whether LeadGenius says that it is not there.

        Without its internal id nothing is sent.
        """
        self._check(client.client_id)
        return client.internal_id != "" and (
            self._send(lambda: self._leadgenius.delete_client(client.internal_id)).outcome
            is Outcome.DELETED
        )

    # Leads

    def create(
        self, client_id: str, fields: Mapping[str, Any]
    ) -> tuple[SendOutcome, dict[str, Any]]:
        """Send a lead once; what its answer proves, and the lead that the answer shows."""
        answer: dict[str, Any] = {}

        def proof(data: Mapping[str, Any]) -> str | None:
            lead = data.get("lead")
            answer.update(lead if isinstance(lead, dict) else {})
            return created_lead_id(data)

        body = self._body(client_id, fields)
        sent = self._send(lambda: self._leadgenius.create_lead(body, self._leaves, proof))
        if sent.created_id is not None:
            self._leads[sent.created_id] = client_id
        return sent, answer

    def create_batch(self, client_id: str, leads: Sequence[Mapping[str, Any]]) -> SendOutcome:
        """Send several leads in the way that saves none (guide, rule 2); a 2xx is CREATED."""
        self._check(client_id)
        several = [{**fields, "client_id": client_id} for fields in leads]
        body = json.dumps({"leads": several}).encode()
        return self._send(
            lambda: self._leadgenius.create_lead(body, self._leaves, lambda data: "answered")
        )

    def give_up(self, hasty: LeadGenius, client_id: str, fields: Mapping[str, Any]) -> SendOutcome:
        """Send a lead through a client of LeadGenius that gives its answers up."""
        body = self._body(client_id, fields)
        sent = self._send(lambda: hasty.create_lead(body, self._leaves))
        if sent.created_id is not None:
            self._leads[sent.created_id] = client_id
        return sent

    def update(self, lead_id: str, fields: Mapping[str, Any]) -> SendOutcome:
        """Change fields of an own lead; once more if it was not taken."""
        body = self._body(self._client_of(lead_id), {"id": lead_id, **fields})
        return self._repeated(lambda: self._leadgenius.update_lead(body, lambda: None))

    def delete(self, lead_id: str) -> bool:
        """Delete an own lead; whether LeadGenius says that it did."""
        self._client_of(lead_id)
        sent = self._repeated(lambda: self._leadgenius.delete_lead(lead_id, lambda: None))
        return sent.outcome is Outcome.DELETED

    def pages(self, client_id: str) -> list[LeadPage]:
        """List all leads of an own client; those of invented people may be changed then."""
        self._check(client_id)
        listing, pages = self._leadgenius.lead_pages(client_id), list[LeadPage]()
        while not pages or pages[-1].cursor is not None:
            self._turn()
            pages.append(self._noted(client_id, next(listing)))
        return pages

    def page(self, client_id: str, **how: Any) -> LeadPage:
        """The first page of an own client's leads; `how` as for `LeadGenius.lead_page`."""
        self._check(client_id)
        self._turn()
        return self._noted(client_id, self._leadgenius.lead_page(client_id, None, **how))

    def _noted(self, client_id: str, page: LeadPage) -> LeadPage:
        for row in page.leads:
            self._note(client_id, row)
        return page

    def _note(self, client_id: str, row: Mapping[str, Any]) -> None:
        # A service that ignored the client_id would show leads of the user's.
        if row.get("client_id", client_id) == client_id and is_invented(row):
            self._leads[str(row["id"])] = client_id

    def may_change(self, row: Mapping[str, Any]) -> bool:
        """Whether a listed lead is the probe's."""
        return str(row["id"]) in self._leads

    def find(self, client_id: str, email: str) -> Mapping[str, Any] | None:
        """Find a lead by its e-mail; `None` = none is shown, or not offered (`Declined`)."""
        self._turn()
        found = self._leadgenius.find_lead(client_id, email, is_patient=False, most_tries=_TRIES)
        if found is not None:
            self._note(client_id, found)
        return found

    def by_id(self, lead_id: str) -> Mapping[str, Any] | None:
        """Find a lead by its id, as `find`."""
        self._turn()
        return self._leadgenius.lead_by_id(lead_id, is_patient=False, most_tries=_TRIES)

    # Guard and pace

    def _check(self, client_id: str) -> None:
        if client_id not in self.own:
            raise RuntimeError(f"the probe did not make the client {client_id}")

    def _client_of(self, lead_id: str) -> str:
        client_id = self._leads.get(lead_id, "")
        self._check(client_id)
        return client_id

    def _body(self, client_id: str, fields: Mapping[str, Any]) -> bytes:
        self._check(client_id)
        return json.dumps({**fields, "client_id": client_id}).encode()

    def _leaves(self) -> None:
        self.left_at = time.monotonic()

    def _repeated(self, send: Callable[[], SendOutcome]) -> SendOutcome:
        """Send, and once more if the answer is neither a success nor a certain refusal."""
        sent = self._send(send)
        return sent if sent.outcome is not None else self._send(send)

    def _send(self, send: Callable[[], SendOutcome]) -> SendOutcome:
        """Send when there is a turn, and again after a 429, which wrote nothing."""
        for _ in range(_MOST_THROTTLED):
            self._turn()
            sent = send()
            now, info = time.monotonic(), sent.rate_limit_info
            self.limit = info.limit or self.limit
            if sent.outcome is not Outcome.THROTTLED:
                self._limiter.on_response(now, info.limit, info.remaining, info.reset_in_seconds)
                return sent
            asked = sent.retry_after_seconds or info.reset_in_seconds
            if (asked or 0) > _LONGEST_WAIT_SECONDS:
                break
            self._limiter.on_throttled(now, asked)
        return sent

    def _turn(self) -> None:
        while not self._limiter.claim(time.monotonic(), 1):
            self._pause(self._limiter.wait_seconds(time.monotonic()))
        self._pause(0)
        self.made += 1
        self._notice(self.made)
