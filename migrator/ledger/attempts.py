"""
Attempts to write a lead: the intent before, the outcome after, and the doubt in between.

An attempt creates, updates or deletes. It is committed before its first byte leaves. A contact has
at most one attempt without an outcome, of any kind; `schema.sql` enforces that.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from migrator.canonical_json import canonical_json
from migrator.clock import awake_or_asleep, boot_id
from migrator.hold_details import Detail, HoldDetail
from migrator.ledger.database import Database, now_ms
from migrator.ledger.holds import Holds
from migrator.ledger.source_moves import SourceMoves
from migrator.ledger.updates import Updates
from migrator.states import DONE, Hold, Outcome, WriteKind

# A contact is held after so many failed attempts. One that was in doubt costs a whole `settle`, and
# a contact that the service cannot process (a 500 may be a refusal, guide bugs 3, 4, 6) must end.
MAX_ATTEMPTS = 5


class Intent(NamedTuple):
    """
    A write that is about to leave.

    Args:
        key: The contact.
        payload_hash: SHA-256 of the body, of a delete of the lead's id; hexadecimal.
        lead_id: The lead to change; `None` = one is to be created.
        fields: The values that an update sends.
        before: The lead as it was listed right before an update or a delete.
        base: What LeadGenius was told of the lead once an update is taken.
        overrode: What a person decided against the rules (`schema.sql`); `None` = nothing.
    """

    key: int
    payload_hash: str
    kind: WriteKind = WriteKind.CREATE
    lead_id: str | None = None
    fields: Mapping[str, Any] | None = None
    before: Mapping[str, Any] | None = None
    base: Mapping[str, Any] | None = None
    overrode: Mapping[str, str] | None = None


@dataclass(frozen=True)
class AttemptResult:
    """
    The result of a send.

    Args:
        key: The contact.
        outcome: `None` = in doubt.
        status: HTTP; `None` = no answer.
        answer: Excerpt for people; `None` = nothing worth keeping.
        lead_id: LeadGenius's id of the lead that was created.
        is_failure: Whether the attempt failed; `blame` records whether it counts.
        detail: Why an absent contact is held; `None` = it is not.
        made_status: The created lead's `status`, where the answer shows it.
        email_key: The updated e-mail, normalised; `None` = it was not updated.
        kind: What the attempt writes.
    """

    key: int
    outcome: Outcome | None
    status: int | None = None
    answer: str | None = None
    lead_id: str | None = None
    is_failure: bool = False
    detail: Detail | None = None
    made_status: str | None = None
    email_key: str | None = None
    kind: WriteKind = WriteKind.CREATE


@dataclass
class HoldsChanged:
    """
    Contacts that a change has held or freed.

    Args:
        held: Key -> the reason. One whose lead could not be deleted is here, but not held, and one
            whose update was refused may be held for another reason.
        freed: Keys of contacts that were given up and are tried once more.
    """

    held: dict[int, Hold] = field(default_factory=dict)
    freed: list[int] = field(default_factory=list)

    def add(self, other: "HoldsChanged") -> None:
        """Add later changes."""
        self.freed += other.freed
        self.held |= other.held


@dataclass(frozen=True)
class Doubt:
    """
    An open attempt, with what identifies its lead at the destination (design, I4).

    Args:
        email_key: Of the contact, normalised.
        foreign_lead_id: Id of an earlier lead with its e-mail that is not ours.
        former: Ids of leads that were its own before this attempt, or that carried its line and
            were marked as deleted.
        predecessors: HubSpot's ids of the contacts whose record lines are its own, too.
        lead_id: The lead that an update or a delete changes; `None` of a create.
        fields: What an update sends.
        before: The lead as it was listed right before an update.
    """

    key: int
    hubspot_id: str
    email_key: str
    foreign_lead_id: str | None
    former: frozenset[str] = frozenset()
    predecessors: frozenset[str] = frozenset()
    kind: WriteKind = WriteKind.CREATE
    lead_id: str | None = None
    fields: Mapping[str, Any] | None = None
    before: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class _OpenAttempt:
    key: int
    kind: WriteKind
    lead_id: str | None
    base: Mapping[str, Any] | None


class Attempts:
    """Queries and changes of attempts."""

    def __init__(
        self, database: Database, holds: Holds, moves: SourceMoves, updates: Updates
    ) -> None:
        self._database = database
        self._holds = holds
        self._moves = moves
        self._updates = updates

    def record_intents(self, run_id: int, intents: Sequence[Intent]) -> None:
        """
        Record what is about to be written, to be committed before anything leaves (I1).

        Args:
            run_id: The run that sends.
        """
        with self._database.transaction():
            numbers = self._next([intent.key for intent in intents])
            self._database.execute(
                "INSERT INTO attempt (contact_key, number, run_id, payload_hash, kind, lead_id, "
                "fields, before, base, overrode, taken) VALUES (:key, :number, :run_id, "
                ":payload_hash, :kind, :lead_id, :fields, :before, :base, :overrode, "
                "(SELECT taken FROM ledger))",
                [
                    {
                        **intent._asdict(),
                        "run_id": run_id,
                        "number": numbers.get(intent.key, 1),
                        "fields": _json(intent.fields),
                        "before": _json(intent.before),
                        "base": _json(intent.base),
                        "overrode": _json(intent.overrode),
                    }
                    for intent in intents
                ],
            )
            self._count(len(intents))

    def _count(self, intents: int) -> None:
        """Keep the number of intents, also in the lock file: an older copy has fewer."""
        if intents:
            row = self._database.run(
                "UPDATE ledger SET intents = intents + :new RETURNING intents", {"new": intents}
            ).one()
            self._database.set_intent_count(row.intents)

    def _next(self, keys: Sequence[int]) -> dict[int, int]:
        """The number of the next attempt of each of these contacts that had one."""
        rows = self._database.rows(
            "SELECT contact_key, max(number) + 1 AS number FROM attempt "
            f"WHERE contact_key IN {_LISTED} GROUP BY contact_key",
            keys=json.dumps(keys),
        )
        return {row.contact_key: row.number for row in rows}

    def record_results(self, endings: Sequence[AttemptResult]) -> HoldsChanged:
        """
        Record the results of sends, and move or hold their contacts accordingly.

        A result of a settled attempt changes nothing: a listing may have shown the lead before the
        answer came. Of two results of one attempt the first counts.
        """
        changed = HoldsChanged()
        with self._database.transaction():
            is_open = self._open_among([ending.key for ending in endings])
            left: list[AttemptResult] = []
            settled: dict[int, AttemptResult] = {}
            for ending in endings:
                if ending.key in is_open and ending.outcome is None:
                    left.append(ending)
                elif ending.key in is_open:
                    settled.setdefault(ending.key, ending)
            self._try_in_vain([one for one in (*left, *settled.values()) if one.is_failure])
            self._leave_open(left)
            self._settle(list(settled.values()), is_open, changed)
        return changed

    def _try_in_vain(self, endings: Sequence[AttemptResult]) -> None:
        self._database.execute(
            "UPDATE contact SET tries = tries + 1 WHERE key = :key",
            [{"key": ending.key} for ending in endings],
        )

    def blame(self, keys: Sequence[int]) -> HoldsChanged:
        """
        Count the last attempt of these contacts: the service works, so the failure is theirs.

        A contact with `MAX_ATTEMPTS` counted attempts is held, or, if it is in doubt, once that is
        settled.
        """
        changed = HoldsChanged()
        with self._database.transaction():
            self._database.execute(
                "UPDATE attempt SET counts = 1 WHERE contact_key = :key AND number = "
                "(SELECT max(number) FROM attempt WHERE contact_key = :key)",
                [{"key": key} for key in keys],
            )
            is_open = self._open_among(keys)
            for key in keys:
                if key not in is_open:
                    self._give_up_after_the_last(key, changed)
        return changed

    def pardon(self, keys: Sequence[int]) -> None:
        """
        Take back one try of each contact: the failure was not about the contact.

        A contact that was held as refused is freed.
        """
        with self._database.transaction():
            self._database.execute(
                "UPDATE contact SET tries = tries - 1 WHERE key = :key AND tries > 0",
                [{"key": key} for key in keys],
            )
            for row in self._database.rows(_REFUSED_AMONG, keys=json.dumps(list(keys))):
                self._holds.free(row.key)

    def _open_among(self, keys: Sequence[int]) -> dict[int, _OpenAttempt]:
        """Those of these contacts that have an open attempt."""
        if not keys:
            return {}
        rows = self._database.read(
            _OpenAttempt,
            "SELECT contact_key, kind, lead_id, base FROM attempt "
            f"WHERE outcome IS NULL AND contact_key IN {_LISTED}",
            keys=json.dumps(keys),
        )
        return {row.key: row for row in rows}

    def _leave_open(self, endings: Sequence[AttemptResult]) -> None:
        self._database.execute(
            "UPDATE attempt SET ended_ms = :now, status = :status, answer = :answer "
            "WHERE contact_key = :key AND outcome IS NULL",
            [{**vars(ending), "now": now_ms()} for ending in endings],
        )

    def _settle(
        self,
        endings: Sequence[AttemptResult],
        of: Mapping[int, _OpenAttempt],
        changed: HoldsChanged,
    ) -> None:
        self._database.execute(
            "UPDATE attempt SET outcome = :outcome, settled_ms = :now, "
            "lead_id = ifnull(:lead_id, lead_id), made_status = :made_status, "
            "ended_ms = ifnull(ended_ms, :now), status = ifnull(:status, status), "
            "answer = ifnull(:answer, answer) WHERE contact_key = :key AND outcome IS NULL",
            [{**vars(ending), "now": now_ms()} for ending in endings],
        )
        done = [one for one in endings if one.outcome in DONE]
        self._follow_leads([one for one in done if of[one.key].kind is WriteKind.CREATE], changed)
        self._updates.follow(
            [
                (one.key, of[one.key].base or {}, one.email_key)
                for one in done
                if of[one.key].kind is WriteKind.UPDATE
            ]
        )
        self._count_done(len(done), changed)
        for ending in endings:
            attempt = of[ending.key]
            if ending.outcome is Outcome.REFUSED:
                self._follow_refused(ending, attempt, changed)
            elif ending.outcome is Outcome.ABSENT and attempt.kind is WriteKind.CREATE:
                self._follow_absent(ending, changed)
            elif ending.outcome is Outcome.ABSENT:
                self._give_up_after_the_last(ending.key, changed)
        if endings:
            self._moves.pass_leads_on()

    def _count_done(self, done: int, changed: HoldsChanged) -> None:
        """Note that the service took writes, and when it took the last one."""
        if not done:
            return
        self._database.run(
            "UPDATE ledger SET taken = taken + :n, written_boot = :boot, written_at = :at",
            {"n": done, "boot": boot_id(), "at": awake_or_asleep()},
        )
        self._try_once_more(changed)

    def _follow_refused(
        self, ending: AttemptResult, attempt: _OpenAttempt, changed: HoldsChanged
    ) -> None:
        if attempt.kind is WriteKind.UPDATE and ending.status == 404:
            detail = HoldDetail.NOT_LISTED.of(lead=attempt.lead_id)
            self._hold(ending.key, Hold.MISSING, detail, changed, attempt.kind)
        else:
            detail = ending.answer or HoldDetail.STATUS.of(status=ending.status)
            self._hold(ending.key, Hold.REFUSED, detail, changed, attempt.kind)

    def _hold(
        self,
        key: int,
        hold: Hold,
        detail: Detail,
        changed: HoldsChanged,
        kind: WriteKind = WriteKind.CREATE,
    ) -> None:
        """
        Hold a contact; one whose lead could not be deleted stays as it was.

        An update is refused also of a contact that is held: that is not tried again either.
        """
        over = _BEFORE_AN_UPDATE[hold] if kind is WriteKind.UPDATE else ()
        is_held = kind is not WriteKind.DELETE and self._holds.hold(key, hold, detail, over)
        if is_held or kind is not WriteKind.CREATE:
            changed.held[key] = hold

    def _follow_leads(self, endings: Sequence[AttemptResult], changed: HoldsChanged) -> None:
        """Move contacts whose leads exist to posted, except where the lead is another contact's."""
        if not endings:
            return
        taken = self._taken([ending.lead_id for ending in endings])
        moves: list[AttemptResult] = []
        others: list[AttemptResult] = []
        for ending in endings:
            (others if ending.lead_id in taken else moves).append(ending)
            taken.add(ending.lead_id)
        self._database.execute(
            "UPDATE contact SET state = 'posted', lead_id = :lead_id, tries = 0 "
            "WHERE key = :key AND state = 'mapped'",
            [vars(ending) for ending in moves],
        )
        for ending in others:
            # Leads were merged in LeadGenius, or the service answered with an older one.
            owner = self._owner(ending.lead_id)
            detail = HoldDetail.OWNED.of(lead=ending.lead_id, contact=owner)
            self._hold(ending.key, Hold.ALREADY_IN_DESTINATION, detail, changed)

    def _try_once_more(self, changed: HoldsChanged) -> None:
        """Free contacts that were given up while LeadGenius accepted no leads: now it does."""
        given_up = "SELECT key FROM contact WHERE unproven = 1 AND state = 'mapped'"
        for row in self._database.rows(given_up):
            self._holds.free(row.key)
            changed.freed.append(row.key)

    def _taken(self, lead_ids: Sequence[str | None]) -> set[str | None]:
        """Those of these leads that already belong to a contact."""
        if not lead_ids:
            return set()
        rows = self._database.rows(
            f"SELECT lead_id FROM contact WHERE lead_id IN {_LISTED}", keys=json.dumps(lead_ids)
        )
        return {row.lead_id for row in rows}

    def _follow_absent(self, ending: AttemptResult, changed: HoldsChanged) -> None:
        key = ending.key
        if self._moves.hold_if_gone(key):
            changed.held[key] = Hold.GONE
            return
        if ending.detail is not None:
            self._hold(key, Hold.GAVE_UP, ending.detail, changed)
            return
        # While it was in doubt it could not be mapped again after a change.
        if not self._holds.discard_outdated(key) and not self._holds.hold_if_duplicate(key):
            self._give_up_after_the_last(key, changed)

    def _owner(self, lead_id: str | None) -> str:
        row = self._database.one(
            "SELECT hubspot_id FROM contact WHERE lead_id = :lead_id", lead_id=lead_id
        )
        return str(row.hubspot_id)

    def _give_up_after_the_last(self, key: int, changed: HoldsChanged) -> None:
        row = self._database.one(_TRIED, key=key)
        if row.tried < MAX_ATTEMPTS:
            return
        kind = WriteKind(row.kind)
        if row.has_said_why:
            self._hold(key, Hold.REFUSED, row.answer, changed, kind)
        else:
            detail = HoldDetail.NO_LEAD.of(attempts=row.tried, status=row.status)
            self._hold(key, Hold.GAVE_UP, detail, changed, kind)
        # Every update tries again what was given up.
        if kind is WriteKind.CREATE and row.had_taken == row.has_taken:
            self._database.run("UPDATE contact SET unproven = 1 WHERE key = :key", {"key": key})

    def in_doubt(self, keys: Sequence[int] | None = None) -> list[Doubt]:
        """
        The open attempts; when no process is sending, all are in doubt.

        Args:
            keys: Those of these contacts only; `None` = all.
        """
        among = "" if keys is None else f"AND contact_key IN {_LISTED} "
        asked = {} if keys is None else {"keys": json.dumps(keys)}
        return self._database.read(
            Doubt,
            "SELECT key, hubspot_id, email_key, foreign_lead_id, (SELECT json_group_array(lead_id) "
            "FROM former_lead WHERE contact_key = key), (SELECT json_group_array(hubspot_id) "
            "FROM contact AS old WHERE old.succeeded_by = contact.key), kind, attempt.lead_id, "
            "fields, before FROM attempt "
            f"JOIN contact ON contact.key = contact_key WHERE outcome IS NULL {among}"
            "ORDER BY contact_key",
            **asked,
        )

    def canary_leads(self, limit: int) -> dict[str, str]:
        """Some leads that sends created and that are not missing: lead id -> HubSpot's id."""
        rows = self._database.rows(
            "SELECT contact.lead_id, hubspot_id FROM attempt JOIN contact ON key = contact_key "
            "WHERE kind = 'create' AND outcome IN ('created', 'found') "
            "AND contact.lead_id IS NOT NULL "
            "AND held IS NOT 'missing' LIMIT :limit",
            limit=limit,
        )
        return {row.lead_id: row.hubspot_id for row in rows}


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else canonical_json(value)


# The holds that the end of an update replaces: what became of the one before, and, where there is
# no lead, what was found of its fields.
_REFUSALS = frozenset({Hold.REFUSED, Hold.GAVE_UP})
_BEFORE_AN_UPDATE = {
    Hold.REFUSED: _REFUSALS,
    Hold.GAVE_UP: _REFUSALS,
    Hold.MISSING: _REFUSALS | {Hold.CONFLICT, Hold.DIFFERENT},
}

# One query for all results of a commit.
_LISTED = "(SELECT value FROM json_each(:keys))"

_REFUSED_AMONG = f"SELECT key FROM contact WHERE held = 'refused' AND key IN {_LISTED}"

# With max(number), SQLite takes status and answer from the row of that maximum. LeadGenius answers
# with a JSON object; a proxy's page says nothing about the contact.
_TRIED = (
    "SELECT count(*) AS tried, max(number) AS last, kind, status, answer, "
    "status BETWEEN 400 AND 499 AND answer LIKE '{%' AS has_said_why, "
    "(SELECT min(taken) FROM attempt AS first WHERE first.contact_key = :key "
    "AND first.number > attempts_reset_at AND first.counts = 1) AS had_taken, taken AS has_taken "
    "FROM attempt JOIN contact ON contact.key = contact_key "
    "WHERE contact_key = :key AND number > attempts_reset_at AND counts = 1 "
    "AND number > ifnull((SELECT max(number) FROM attempt WHERE contact_key = :key "
    "AND outcome IN ('created', 'updated', 'deleted', 'found')), 0) "
    "AND outcome IN ('denied', 'absent')"
)
