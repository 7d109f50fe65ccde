"""
`POST`, `PUT` and `DELETE /api/leads`: the guide's bugs, and all faults of these writes.

A fault decides separately what is done and what is answered, in the same way for all three. Two
leads with the same e-mail are both kept, unless a quirk forbids it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from migrator.sandbox.auth import USER_ID
from migrator.sandbox.expected_leads import is_mark
from migrator.sandbox.faults import DELETE, POST, PUT, FaultInjector
from migrator.sandbox.lead_history import Author
from migrator.sandbox.lead_store import DELETED, LeadStore, StoredLead
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
from migrator.sandbox.quirks import ApiQuirks

ELSEWHERE = "/api/moved/leads"
_REQUIRED = ("firstName", "lastName", "client_id")
_LARGEST_DELETION = 50
# What stays of a lead when a PUT replaces it.
_KEPT = ("id", "client_id", "createdAt", "status")

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


@dataclass(frozen=True, slots=True)
class _Write:
    """
    A valid write of one lead.

    Args:
        place: The place of its faults.
        subject: The lead, for the `where` of a fault.
        status: The status of its success.
        effect: Does it, and returns the answer.
        pretence: Returns the same answer and does nothing.
    """

    place: str
    subject: Lead
    status: int
    effect: Callable[[], Answer]
    pretence: Callable[[], Answer]


class LeadWrites:
    """
    Creates, changes and deletes leads, with the guide's bugs and injected faults.

    The guide requires an e-mail, but the service accepts a lead without one. Faults strike only
    valid writes of one lead: the guide's bugs come first.
    """

    def __init__(self, store: LeadStore, faults: FaultInjector, times: Times) -> None:
        self._store = store
        self._faults = faults
        self._times = times
        self.quirks = ApiQuirks()

    def create(self, call: Call) -> Answer:
        """Answer a POST."""
        lead = call.lead
        if lead is None:
            return problem(400, "invalid_format", "The body is no JSON object")
        if isinstance(lead.get("leads"), list):
            # Bug 2: it even counts them.
            return reply({"success": True, "created": len(lead["leads"]), "skipped": []}, 201)
        if (fault := _fault(lead, _REQUIRED)) is not None:
            return fault
        if self.quirks.unique_email and self._has(lead):
            return _CONFLICT
        create = partial(self._created, call, lead)
        return self._perform(call, _Write(POST, lead, 201, create, create))

    def change(self, call: Call) -> Answer:
        """Answer a PUT of one lead or of several."""
        body = call.lead or {}
        if isinstance(several := body.get("leads"), list):
            changes = [one for one in several if isinstance(one, dict)]
            faults = (self._fault_of_change(one) for one in changes)
            if (fault := next(filter(None, faults), None)) is not None:
                return fault
            done = sum(self._change(call, one) is not None for one in changes)
            return reply({"success": True, "updated": done}) if done else NOT_FOUND
        if body.get("id") is None:
            return problem(400, "missing_required_field", "Missing required field", "id")
        if (held := self._there(body["id"])) is None:
            return NOT_FOUND
        if (fault := self._fault_of_change(body)) is not None:
            return fault
        author = self._store.author(call.number, held.id)
        changed = changed_lead(held.lead(), body, self.quirks)
        return self._perform(
            call,
            _Write(
                PUT,
                changed,
                200,
                lambda: _one(self._change(call, body, author)),
                lambda: reply({"success": True, "lead": changed}),
            ),
        )

    def delete(self, call: Call) -> Answer:
        """Answer a DELETE of one lead or of several."""
        if "id" not in call.query:
            return self._delete_several(call)
        held = self._there(call.query["id"])
        if held is None or held.mark == DELETED:
            return NOT_FOUND
        author = self._store.author(call.number, held.id)

        def delete() -> Answer:
            return _DELETED if self.remove(held.id, author) else NOT_FOUND

        write = _Write(DELETE, held.lead(), 200, delete, lambda: _DELETED)
        return self._perform(call, write)

    def _delete_several(self, call: Call) -> Answer:
        body = call.json()
        ids = body.get("ids") if isinstance(body, dict) else None
        if not ids or not isinstance(ids, list):
            return problem(400, "missing_required_field", "Missing required field", "id or ids")
        if len(ids) > _LARGEST_DELETION:
            return problem(400, "invalid_format", f"At most {_LARGEST_DELETION} ids at a time")
        authors = ((one, self._store.author(call.number, one)) for one in map(str, ids))
        deleted = sum(self.remove(lead_id, author) for lead_id, author in authors)
        return reply({"success": True, "deleted": deleted}) if deleted else NOT_FOUND

    def remove(self, lead_id: str, by: Author) -> bool:
        """Remove a lead or mark it, depending on the quirks; False = it does not exist."""
        if self.quirks.deletes == "hard":
            return self._store.remove(lead_id, by)
        return self._store.mark_deleted(lead_id, by, USER_ID)

    def _perform(self, call: Call, write: _Write) -> Answer:
        call.fault = self._faults.strike({write.place}, write.subject)
        # The faults of a PUT and a DELETE are called as those of a POST, behind a colon.
        name = (call.fault or "").rpartition(":")[2]
        match name:
            case "":
                return write.effect()
            case "ignore":
                return write.pretence()
            case "save_late":
                late = self._times.late_seconds
                return replace(HANG, delay_seconds=late, later=write.effect)
            case "slow":
                return replace(write.effect(), delay_seconds=self._times.slow_seconds)
            case "truncated":
                return replace(write.effect(), ending=ConnectionEnd.TRUNCATE)
        if name in _NOT_DONE:
            return _NOT_DONE[name]
        write.effect()
        answer = _DONE[name]
        # Where a success is told wrongly, it has the status of the write.
        return replace(answer, status=write.status) if name in _TOLD_WRONGLY else answer

    def _created(self, call: Call, lead: Lead) -> Answer:
        # Bug 1: stored under any client_id, and listed only under the same one.
        status = {"status": self.quirks.first_status} if self.quirks.first_status else {}
        held = self._store.put({**status, **lead}, self._store.author(call.number))
        call.lead_id = held.id
        return Answer(201, b'{"success": true, "lead": ' + held.body + b"}")

    def _has(self, lead: Lead) -> bool:
        email = lead.get("email")
        return email is not None and self._store.find(lead["client_id"], "email", email) is not None

    def _there(self, lead_id: object) -> StoredLead | None:
        held = self._store.get(str(lead_id))
        return None if held is None or self._store.is_hidden(held) else held

    def _change(self, call: Call, change: Lead, by: Author | None = None) -> StoredLead | None:
        if (held := self._there(change.get("id"))) is None:
            return None
        by = by or self._store.author(call.number, held.id)
        rule = partial(changed_lead, change=change, quirks=self.quirks)
        return self._store.rewrite(held.id, rule, by)

    def _fault_of_change(self, change: Lead) -> Answer | None:
        kept = {name: value for name, value in change.items() if value is not None}
        if self.quirks.empty_clears:
            kept = {name: value for name, value in kept.items() if value != ""}
        return _fault(kept, ())


def changed_lead(lead: Lead, change: Lead, quirks: ApiQuirks) -> Lead:
    """What a PUT makes of a lead."""
    cleared = {
        name
        for name, value in change.items()
        if (value is None and quirks.null_clears) or (value == "" and quirks.empty_clears)
    }
    named = {name: value for name, value in change.items() if value is not None}
    named["client_id"] = lead["client_id"]
    kept = lead if quirks.partial else {name: lead[name] for name in _KEPT if name in lead}
    whole = {**kept, **named}
    return {name: value for name, value in whole.items() if name not in cleared}


def _one(held: StoredLead | None) -> Answer:
    if held is None:
        return NOT_FOUND
    return Answer(200, b'{"success": true, "lead": ' + held.body + b"}")


def _fault(lead: Lead, required: tuple[str, ...]) -> Answer | None:
    """The refusal of an invalid lead; None = it is valid."""
    if "" in lead.values() or "phone" in lead:
        return _NO_DATA  # bugs 4 and 3
    for name in required:
        if lead.get(name) is None:
            return problem(400, "missing_required_field", "Missing required field", name)
    for name in (*_REQUIRED, "email"):
        if not isinstance(lead.get(name) or "", str):
            return problem(400, "invalid_format", "A field has the wrong type", name)
    last_name = lead.get("lastName", "-")
    if last_name != "-" and is_mark(last_name):
        return _NO_DATA  # bug 6
    return None


NOT_FOUND = problem(404, "not_found", "Not found")
_DELETED = reply({"success": True, "deleted": 1})
_CONFLICT = problem(409, "already_exists", "A lead with this e-mail already exists")
_FAILED = problem(500, "server_error", "Internal server error")
_THROTTLED = problem(429, "rate_limit_exceeded", "Too many requests")
_GONE_ELSEWHERE: Headers = (("Location", ELSEWHERE),)

_NOT_DONE = {
    "refuse": problem(400, "invalid_format", "A field has an invalid format"),
    "unprocessable": problem(422, "invalid_format", "The lead cannot be processed"),
    "forbidden": problem(403, "insufficient_permissions", "You may not do this"),
    "not_found": NOT_FOUND,
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
_DONE = {
    "conflict_after_saving": _CONFLICT,
    "error_after_saving": _FAILED,
    "drop_after_saving": DROP,
    "reset_after_saving": RESET,
    "hang_after_saving": HANG,
    "html_after_saving": HTML,
    "no_id": reply({"success": True}),
    "empty_answer": Answer(),
}
_TOLD_WRONGLY = ("no_id", "empty_answer")
