"""
`POST`, `PUT` and `DELETE /api/leads`: the guide's bugs, and all faults of these writes.

A fault decides separately what is done and what is answered, in the same way for all three. Two
leads with the same e-mail are both kept, unless a quirk forbids it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from migrator.sandbox.auth import USER_ID
from migrator.sandbox.faults import DELETE, POST, PUT, FaultInjector
from migrator.sandbox.lead_history import Author
from migrator.sandbox.lead_rules import changed_lead, fault_of_change, fault_of_new, saved
from migrator.sandbox.lead_store import DELETED, LeadStore, StoredLead
from migrator.sandbox.leadgenius_errors import (
    CONFLICT,
    FAILED,
    NOT_FOUND,
    Headers,
    problem,
)
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
_LARGEST_DELETION = 50
# How long the service works on a write before it looks whether its client is still there: long
# enough for a client that closes its connection at once.
PATIENCE_SECONDS = 0.05


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
            return self._create_several(call, lead["leads"])
        if (fault := fault_of_new(lead, self.quirks)) is not None:
            return fault
        if self._is_refused(lead):
            return CONFLICT
        create = partial(self._created, call, lead)
        return self._perform(call, _Write(POST, lead, 201, create, create))

    def change(self, call: Call) -> Answer:
        """Answer a PUT of one lead or of several."""
        body = call.lead or {}
        if isinstance(several := body.get("leads"), list):
            changes = [one for one in several if isinstance(one, dict)]
            faults = (fault_of_change(one, self.quirks) for one in changes)
            if (fault := next(filter(None, faults), None)) is not None:
                return fault
            done = sum(self._change(call, one) is not None for one in changes)
            return reply({"success": True, "updated": done}) if done else NOT_FOUND
        if body.get("id") is None:
            return problem(400, "missing_required_field", "Missing required field", "id")
        if (held := self._there(body["id"])) is None:
            return NOT_FOUND
        if (fault := fault_of_change(body, self.quirks)) is not None:
            return fault
        author = self._store.author(call.number, held.id)
        changed = changed_lead(held.lead(), body, self.quirks)
        return self._perform(
            call,
            _Write(
                PUT,
                changed,
                200,
                lambda: one_lead(self._change(call, body, author), self.quirks),
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
            case "" if self.quirks.late_commit is None:
                return write.effect()
            case "":
                return Answer(delay_seconds=PATIENCE_SECONDS, decide=partial(self._commit, write))
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

    def _commit(self, write: _Write, is_abandoned: bool) -> Answer:
        if not is_abandoned:
            return write.effect()
        return replace(HANG, delay_seconds=self.quirks.late_commit or 0, later=write.effect)

    def _created(self, call: Call, lead: Lead) -> Answer:
        if self.quirks.late_commit is not None and self._is_refused(lead):
            return CONFLICT  # another one came first
        if self.quirks.same_email == "updated" and (there := self._same_email(lead)) is not None:
            rule = partial(changed_lead, change=lead, quirks=replace(self.quirks, partial=True))
            author = self._store.author(call.number, there.id)
            return one_lead(self._store.rewrite(there.id, rule, author), self.quirks)
        call.lead_id = (held := self._save(call, lead)).id
        return replace(one_lead(held, self.quirks), status=201)

    def _save(self, call: Call, lead: Lead) -> StoredLead:
        # Bug 1: stored under any client_id, and listed only under the same one.
        status = {"status": self.quirks.first_status} if self.quirks.first_status else {}
        new = saved({**status, **lead}, self.quirks)
        return self._store.put(new, self._store.author(call.number))

    def _create_several(self, call: Call, leads: list[object]) -> Answer:
        # Bug 2: it counts them all and saves none.
        saves = self.quirks.batch_saves
        skipped = [lead for lead in leads if saves and not self._is_saved(call, lead)]
        created = len(leads) - len(skipped)
        return reply({"success": True, "created": created, "skipped": skipped}, 201)

    def _is_saved(self, call: Call, lead: object) -> bool:
        if not isinstance(lead, dict) or fault_of_new(lead, self.quirks) is not None:
            return False
        return not self._is_refused(lead) and self._created(call, lead).status < 400

    def _is_refused(self, lead: Lead) -> bool:
        return self.quirks.same_email == "refused" and self._same_email(lead) is not None

    def _same_email(self, lead: Lead) -> StoredLead | None:
        email = lead.get("email")
        return None if email is None else self._store.find(lead["client_id"], "email", email)

    def _there(self, lead_id: object) -> StoredLead | None:
        held = self._store.get(str(lead_id))
        return None if held is None or self._store.is_hidden(held) else held

    def _change(self, call: Call, change: Lead, by: Author | None = None) -> StoredLead | None:
        if (held := self._there(change.get("id"))) is None:
            return None
        by = by or self._store.author(call.number, held.id)
        rule = partial(changed_lead, change=change, quirks=self.quirks)
        return self._store.rewrite(held.id, rule, by)


def one_lead(held: StoredLead | None, quirks: ApiQuirks) -> Answer:
    """The answer with one lead; 404 where there is none."""
    if held is None:
        return NOT_FOUND
    row = listed_row(held, quirks) if quirks.selects_always else held.body
    return Answer(200, b'{"success": true, "lead": ' + row + b"}")


def listed_row(held: StoredLead, quirks: ApiQuirks) -> bytes:
    """A lead as a listing shows it, in JSON."""
    if (listed := quirks.listed_fields) is None:
        return held.body
    lead = held.lead()
    return json.dumps({name: lead[name] for name in lead if name in listed | {"id"}}).encode()


_DELETED = reply({"success": True, "deleted": 1})
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
    "conflict": CONFLICT,
    "unavailable": problem(503, "server_error", "Service unavailable"),
    "error_without_saving": FAILED,
    "drop_before_saving": DROP,
    "hang_before_saving": HANG,
    "html": HTML,
    "redirect": Answer(307, headers=_GONE_ELSEWHERE),
    "moved": Answer(301, headers=_GONE_ELSEWHERE),
    "expire_token": problem(401, "token_expired", "Token expired"),
}
_DONE = {
    "conflict_after_saving": CONFLICT,
    "error_after_saving": FAILED,
    "drop_after_saving": DROP,
    "reset_after_saving": RESET,
    "hang_after_saving": HANG,
    "html_after_saving": HTML,
    "no_id": reply({"success": True}),
    "empty_answer": Answer(),
}
_TOLD_WRONGLY = ("no_id", "empty_answer")
