"""
LeadGenius's API: tokens, clients, and reading leads; `writes` creates, changes and deletes them.

As in the guide's bug 7, `total` is the size of the page, unless a quirk says otherwise. A lead by
its id and `includeDeleted` are calls of the vendor's newer API only.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

from migrator.sandbox import faults as m
from migrator.sandbox.auth import USER_ID, Clients, IssuedTokens
from migrator.sandbox.lead_store import LeadListing, LeadStore, StoredLead
from migrator.sandbox.leadgenius_errors import FAILED, NOT_FOUND, Headers, problem
from migrator.sandbox.limits import Limit, RequestAllowance
from migrator.sandbox.messages import DROP, HANG, Answer, BadCursor, Call, reply, seal, unseal
from migrator.sandbox.quirks import ApiQuirks
from migrator.sandbox.writes import ELSEWHERE, LeadWrites, listed_row, one_lead

_PAGE = 100
_LARGEST_PAGE = 1000
_LEAD = "/api/leads/"

_UNAUTHORIZED = {
    "no_valid_tokens": problem(401, "no_valid_tokens", "No valid tokens"),
    "token_expired": problem(401, "token_expired", "Token expired"),
}
_FOUND_BY = ("email", "linkedinUrl")
_LISTS = {"list_error": FAILED, "list_drop": DROP, "list_hang": HANG}


class LeadGeniusApi:
    """Answers the requests under `/api`."""

    def __init__(
        self,
        rooms: tuple[IssuedTokens, Clients, LeadStore, LeadWrites],
        faults: m.FaultInjector,
        limit: Limit | None,
        quirks: ApiQuirks,
    ) -> None:
        self._tokens, self._clients, self._store, self._writes = rooms
        self._faults = faults
        self._limit = limit
        self.change_quirks(quirks)
        self._serial = count(1)
        self._routes: dict[tuple[str, str], Callable[[Call], Answer]] = {
            ("POST", "/api/leads"): self._send,
            ("GET", "/api/leads"): self._list,
            ("PUT", "/api/leads"): self._writes.change,
            ("DELETE", "/api/leads"): self._writes.delete,
            ("GET", "/api/find-lead"): self._find,
            ("GET", "/api/clients"): self._list_clients,
            ("POST", "/api/clients"): self._create_client,
            ("PUT", "/api/clients"): self._change_client,
            ("DELETE", "/api/clients"): self._delete_client,
            # A client that follows a redirect receives a success, but nothing is saved.
            ("POST", ELSEWHERE): lambda call: reply({"success": True, "lead": {"id": "x"}}, 201),
            ("GET", ELSEWHERE): lambda call: reply({"success": True, "leads": []}),
        }

    def change_quirks(self, quirks: ApiQuirks) -> None:
        """Change the quirks; stored data stays as it is."""
        self.quirks = quirks
        self._store.hides_deleted = quirks.deletes == "hidden"
        self._writes.quirks = quirks

    def change_limit(self, limit: Limit | None, *, headers: bool, retry_after: bool) -> None:
        """Replace the rate limit and the way it is reported."""
        self.quirks = replace(self.quirks, rate_headers=headers, rate_retry_after=retry_after)
        self._limit = limit

    def answer(self, call: Call) -> Answer:
        """Answer a call: check the token, then the rate limit, then the request."""
        if call.method == "POST" and call.path in ("/api/auth", "/api/auth/refresh"):
            return self._log_in(call)
        if (fault := self._tokens.fault(call.headers)) is not None:
            return _UNAUTHORIZED[fault]
        route = self._routes.get((call.method, call.path))
        if route is None and call.method == "GET" and call.path.startswith(_LEAD):
            route = self._get
        if route is None:
            return NOT_FOUND
        if (limit := self._limit) is None:
            return route(call)
        allowance = limit.take()
        answer = route(call) if allowance.allowed else self._throttled(allowance)
        return answer if call.fault == "throttle_silently" else self._tell(answer, allowance)

    def _throttled(self, allowance: RequestAllowance) -> Answer:
        answer = problem(429, "rate_limit_exceeded", "Too many requests")
        if not self.quirks.rate_retry_after:
            return answer
        return replace(answer, headers=(("Retry-After", str(math.ceil(allowance.reset_seconds))),))

    def _tell(self, answer: Answer, allowance: RequestAllowance) -> Answer:
        if not self.quirks.rate_headers:
            return answer
        told = (
            ("X-RateLimit-Limit", str(allowance.limit)),
            ("X-RateLimit-Remaining", str(allowance.remaining)),
            ("X-RateLimit-Reset", str(math.ceil(time.time() + allowance.reset_seconds))),
        )
        if (decide := answer.decide) is not None:
            return replace(answer, decide=lambda is_abandoned: _told(decide(is_abandoned), told))
        return _told(answer, told)

    def _log_in(self, call: Call) -> Answer:
        call.fault = self._faults.strike({m.AUTH}, call.query)
        if call.fault:
            return FAILED
        body = _object(call)
        if call.path.endswith("/refresh"):
            tokens = self._tokens.renew(body.get("refreshToken"))
        else:
            tokens = self._tokens.login(body.get("username"), body.get("password"))
        if tokens is None:
            return problem(401, "no_valid_tokens", "Incorrect username, password or token")
        return reply({"success": True, "tokens": tokens, "user": {"id": USER_ID}})

    def _send(self, call: Call) -> Answer:
        is_gone = call.lead is not None and self._clients.is_gone(call.lead.get("client_id"))
        if is_gone and not self._clients.takes_leads_of_gone:
            return problem(404, "not_found", "Client not found")
        return self._writes.create(call)

    def _list(self, call: Call) -> Answer:
        cursor = call.query.get(self.quirks.cursor_name)
        places = {m.LIST, m.LIST_ON} if cursor else {m.LIST}
        call.fault = self._faults.strike(places, call.query)
        if call.fault in _LISTS:
            return _LISTS[call.fault]
        client_id, limit = call.query.get("client_id"), call.query.get("limit", str(_PAGE))
        if not client_id:
            return problem(400, "missing_required_field", "Missing required field", "client_id")
        if not limit.isdecimal() or not 1 <= int(limit) <= _LARGEST_PAGE:
            return problem(400, "invalid_format", f"limit must be 1 to {_LARGEST_PAGE}")
        try:
            after = unseal(cursor) if cursor else ""
        except BadCursor:
            return problem(400, "invalid_format", "The cursor is invalid")
        size = min(int(limit), self.quirks.page_limit or _LARGEST_PAGE)
        if self._clients.is_gone(client_id):
            return self._listed(LeadListing([], more=False), None, 0)
        with_deleted = call.query.get("includeDeleted") == "true"
        page = self._spoiled(call, self._store.page(client_id, after, size, with_deleted))
        self._store.note_look(page.leads)
        following = self._cursor(page, after)
        total = len(page.leads)
        if self.quirks.real_total:
            total = self._store.count(client_id, with_deleted)
        return self._listed(page, cursor if call.fault == "repeat_cursor" else following, total)

    def _spoiled(self, call: Call, page: LeadListing) -> LeadListing:
        if call.fault == "short_page":
            return LeadListing(page.leads[: len(page.leads) // 2], more=True)
        if call.fault == "overlap_page":
            return LeadListing([*self._store.all()[:3], *page.leads], page.more)
        return LeadListing([], more=True) if call.fault == "empty_page" else page

    def _cursor(self, page: LeadListing, after: str) -> str | None:
        if not page.more:
            return None
        # An empty page does not advance, but its cursor must differ from the previous one.
        return seal(page.leads[-1].id) if page.leads else seal(after, next(self._serial))

    def _listed(self, page: LeadListing, cursor: str | None, total: int) -> Answer:
        rest = reply({"total": total, self.quirks.cursor_name: cursor}).body[1:]
        leads = b", ".join(listed_row(held, self.quirks) for held in page.leads)
        return Answer(200, b'{"success": true, "leads": [' + leads + b"], " + rest)

    def _find(self, call: Call) -> Answer:
        field = next((name for name in _FOUND_BY if call.query.get(name)), None)
        if field is None:
            fields = " or ".join(_FOUND_BY)
            return problem(400, "missing_required_field", "Missing required field", fields)
        return self._one(self._store.find(call.query.get("client_id"), field, call.query[field]))

    def _get(self, call: Call) -> Answer:
        return self._one(self._store.shown(call.path.removeprefix(_LEAD)))

    def _one(self, held: StoredLead | None) -> Answer:
        if held is not None:
            self._store.note_look([held])
        return one_lead(held, self.quirks)

    def _list_clients(self, call: Call) -> Answer:
        clients = self._clients.all(call.query.get("clientId"))
        return reply({"success": True, "clients": clients})

    def _create_client(self, call: Call) -> Answer:
        body = _object(call)
        if not (name := body.pop("clientName", None)):
            return problem(400, "missing_required_field", "Missing required field", "clientName")
        client = self._clients.create(str(name), **body)
        self._clients.of_requests |= {client["id"], client["client_id"]}
        return reply({"success": True, "client": client}, 201)

    def _change_client(self, call: Call) -> Answer:
        body = _object(call)
        client = self._clients.change(body.get("id"), body)
        if client is None:
            return NOT_FOUND
        self._clients.changed_by_requests.add(client["client_id"])
        return reply({"success": True, "client": client})

    def _delete_client(self, call: Call) -> Answer:
        client = self._clients.remove(call.query.get("id"))
        if client is None:
            return NOT_FOUND
        self._clients.changed_by_requests.add(client["client_id"])
        if call.query.get("purge") == "true":
            for held in self._store.of(client["client_id"]):
                self._store.remove(held.id, self._store.author(call.number, held.id))
        return reply({"success": True})


def _told(answer: Answer, told: Headers) -> Answer:
    return replace(answer, headers=(*answer.headers, *told))


def _object(call: Call) -> dict[str, Any]:
    body = call.json()
    return body if isinstance(body, dict) else {}
