"""
`POST /api/leads`: the guide's bugs, and all faults of a send.

A fault decides separately what is saved and what is answered. Two leads with the same e-mail are
both kept, unless `takes_email_once` is set.
"""

from dataclasses import dataclass, replace
from functools import partial

from migrator.sandbox.expected_leads import is_mark
from migrator.sandbox.faults import POST, FaultInjector
from migrator.sandbox.lead_store import LeadStore, StoredLead
from migrator.sandbox.messages import (
    DROP,
    HANG,
    HTML,
    RESET,
    Answer,
    Call,
    ConnectionEnd,
    Lead,
    reply,
)

ELSEWHERE = "/api/moved/leads"
_REQUIRED = ("firstName", "lastName", "client_id")

Headers = tuple[tuple[str, str], ...]


def problem(
    status: int, error_type: str, error: str, details: str = "", headers: Headers = ()
) -> Answer:
    """An error in LeadGenius's format."""
    body = {
        "success": False,
        "error": error,
        "errorType": error_type,
        "details": details or error,
        "recommendation": "Check the request and try again.",
    }
    return reply(body, status, headers)


_NO_DATA = problem(500, "server_error", "Failed to create lead - no data returned")


@dataclass(frozen=True, slots=True)
class Times:
    """The delays of the slow faults."""

    late_seconds: float
    slow_seconds: float


class Sending:
    """
    Creates leads, with the guide's bugs and injected faults.

    The guide requires an e-mail, but the service accepts a lead without one.
    """

    def __init__(self, store: LeadStore, faults: FaultInjector, times: Times) -> None:
        self._store = store
        self._faults = faults
        self._times = times
        self.takes_email_once = False

    def answer(self, call: Call) -> Answer:
        """Answer a POST. The guide's bugs come first: faults strike only valid leads."""
        lead = call.lead
        if lead is None:
            return problem(400, "invalid_format", "The body is no JSON object")
        if isinstance(lead.get("leads"), list):
            # Bug 2: it even counts them.
            return reply({"success": True, "created": len(lead["leads"]), "skipped": []}, 201)
        if (fault := _fault(lead)) is not None:
            return fault
        if self.takes_email_once and self._has(lead):
            return _CONFLICT
        call.fault = self._faults.strike({POST}, lead)
        if call.fault is None:
            return self._created(call, lead)
        return self._suffer(call, lead, call.fault)

    def _suffer(self, call: Call, lead: Lead, name: str) -> Answer:
        match name:
            case "save_late":
                late = partial(self._save, call, lead)
                return replace(HANG, delay_seconds=self._times.late_seconds, later=late)
            case "slow":
                return replace(self._created(call, lead), delay_seconds=self._times.slow_seconds)
            case "truncated":
                return replace(self._created(call, lead), ending=ConnectionEnd.TRUNCATE)
        if name in _AFTER_SAVING:
            self._save(call, lead)
            return _AFTER_SAVING[name]
        return _NOT_SAVED[name]

    def _created(self, call: Call, lead: Lead) -> Answer:
        held = self._save(call, lead)
        return Answer(201, b'{"success": true, "lead": ' + held.body + b"}")

    def _has(self, lead: Lead) -> bool:
        email = lead.get("email")
        return email is not None and self._store.find(lead["client_id"], "email", email) is not None

    def _save(self, call: Call, lead: Lead) -> StoredLead:
        # Bug 1: stored under any client_id, and listed only under the same one.
        held = self._store.put(lead)
        call.lead_id = held.id
        return held


def _fault(lead: Lead) -> Answer | None:
    """The refusal of an invalid lead; None = it is valid."""
    if "" in lead.values() or "phone" in lead:
        return _NO_DATA  # bugs 4 and 3
    for name in _REQUIRED:
        if lead.get(name) is None:
            return problem(400, "missing_required_field", "Missing required field", name)
    for name in (*_REQUIRED, "email"):
        if not isinstance(lead.get(name) or "", str):
            return problem(400, "invalid_format", "A field has the wrong type", name)
    if lead["lastName"] != "-" and is_mark(lead["lastName"]):
        return _NO_DATA  # bug 6
    return None


_CREATED_NOTHING_TOLD = reply({"success": True}, 201)
_CONFLICT = problem(409, "already_exists", "A lead with this e-mail already exists")
_FAILED = problem(500, "server_error", "Internal server error")
_THROTTLED = problem(429, "rate_limit_exceeded", "Too many requests")
_GONE_ELSEWHERE: Headers = (("Location", ELSEWHERE),)

_NOT_SAVED = {
    "refuse": problem(400, "invalid_format", "A field has an invalid format"),
    "unprocessable": problem(422, "invalid_format", "The lead cannot be processed"),
    "forbidden": problem(403, "insufficient_permissions", "You may not do this"),
    "not_found": problem(404, "not_found", "Not found"),
    "too_large": problem(413, "invalid_format", "Payload too large"),
    "throttle": replace(_THROTTLED, headers=(("Retry-After", "1"),)),
    "throttle_silently": _THROTTLED,
    "conflict": _CONFLICT,
    "unavailable": problem(503, "server_error", "Service unavailable"),
    "error_without_saving": _FAILED,
    "drop_before_saving": DROP,
    "hang_before_saving": HANG,
    "html": HTML,
    "redirect": Answer(307, headers=_GONE_ELSEWHERE),
    "moved": Answer(301, headers=_GONE_ELSEWHERE),
    "expire_token": problem(401, "token_expired", "Token expired"),
}
_AFTER_SAVING = {
    "conflict_after_saving": _CONFLICT,
    "error_after_saving": _FAILED,
    "drop_after_saving": DROP,
    "reset_after_saving": RESET,
    "hang_after_saving": HANG,
    "html_after_saving": HTML,
    "no_id": _CREATED_NOTHING_TOLD,
    "empty_answer": Answer(201),
}
