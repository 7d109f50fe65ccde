"""
Holds contacts that need a person's attention, and releases them.

A duplicate is held in favour of the contact with the same e-mail, and released when that is gone.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from migrator.hold_details import Detail, HoldDetail
from migrator.ledger.database import Database
from migrator.ledger.lookup import ContactSummary, Lookup
from migrator.ledger.runs import Runs
from migrator.states import Hold, State

EXAMPLES = 10

# A contact that the rules exclude is mapped again only when it changes; one with two leads is free
# once LeadGenius lists one; one that is gone, once HubSpot lists it; a conflict is decided by
# `update` or `amend`.
_NEVER_RELEASED = frozenset(
    {Hold.NO_EMAIL, Hold.INVALID_EMAIL, Hold.DOUBLED, Hold.GONE, Hold.CONFLICT}
)


@dataclass(frozen=True)
class NotReleased:
    """A contact that was not freed, before and after the release."""

    before: ContactSummary
    now: ContactSummary


@dataclass(frozen=True)
class Released:
    """
    The result of a release, in contacts.

    Args:
        meant: Contacts that were named, or that had the reason.
        freed: Those that are free now.
        stayed: The first of the others.
    """

    meant: int
    freed: int
    stayed: tuple[NotReleased, ...]


class Holds:
    """Changes that hold and release contacts."""

    def __init__(self, database: Database, runs: Runs, lookup: Lookup) -> None:
        self._database = database
        self._runs = runs
        self._lookup = lookup

    def hold(self, key: int, held: Hold, detail: Detail, over: Collection[Hold] = ()) -> bool:
        """
        Hold a contact; `False` = it is held already.

        Args:
            over: Holds that this one replaces.
        """
        return bool(
            self._database.execute(
                "UPDATE contact SET held = :held, detail = :detail WHERE key = :key "
                "AND (held IS NULL OR held IN (SELECT value FROM json_each(:over)))",
                {"key": key, "held": held, "detail": stored(detail), "over": json.dumps([*over])},
            )
        )

    def hold_if_duplicate(self, key: int) -> bool:
        """
        Hold a mapped contact if another one with its e-mail was sent or will be.

        `False` = there is none. A scan may have adopted the other one's lead since the mapping.
        """
        first = self._first_of(key)
        if first is not None:
            self.hold(key, Hold.DUPLICATE_EMAIL, HoldDetail.SAME_EMAIL.of(contact=first))
        return first is not None

    def _first_of(self, key: int) -> str | None:
        row = self._database.one(
            "SELECT other.hubspot_id FROM contact JOIN contact AS other USING (email_key) "
            "WHERE contact.key = :key AND other.key <> :key AND ("
            "(other.state = 'mapped' AND other.held IS NULL) OR other.lead_id IS NOT NULL) LIMIT 1",
            key=key,
        )
        return None if row is None else str(row.hubspot_id)

    def release(
        self,
        held: Hold | None,
        hubspot_ids: Collection[str] | None,
        *,
        recreate: bool = False,
    ) -> int:
        """
        Free held contacts and reset their attempts; returns how many were freed.

        A missing one goes back to mapped, to be sent again. One that another than the active
        mapping built, or that HubSpot changed meanwhile, goes back to extracted. Five kinds stay
        held: a duplicate (its e-mail must change in HubSpot), one with several leads (all but one
        have to be deleted), one that HubSpot has no more, one with a write in doubt and,
        unless `recreate`, a missing one that was verified (its lead was deleted since, most likely
        on purpose), but for one of which the last listing showed another lead: the next push
        adopts that one if it is still listed, and creates one if not.

        Args:
            held: Only those with this reason; `None` = any.
            hubspot_ids: Only these; `None` = all.
            recreate: Whether a verified contact whose lead was deleted is to be sent again.
        """
        with self._database.transaction():
            rows = self._database.rows(
                f"SELECT key, state, held, {GONE_DETAIL} AS gone FROM contact "
                "WHERE held IS NOT NULL "
                "AND held NOT IN ('duplicate_email', 'doubled', 'gone', 'conflict') "
                f"AND erased_ms IS NULL AND {IS_AT_REST} "
                "AND (:recreate OR NOT (held = 'missing' AND state = 'verified') "
                f"OR {_HAS_ANOTHER_LEAD}) "
                "AND (:held IS NULL OR held = :held) AND (:ids IS NULL "
                "OR hubspot_id IN (SELECT value FROM json_each(:ids))) ORDER BY held, key",
                held=held,
                recreate=recreate,
                ids=None if hubspot_ids is None else json.dumps(list(hubspot_ids)),
            )
            for row in rows:
                if row.gone is not None:
                    self._keep_gone(row.key, row.gone)
            return sum(
                self._release(row.key, State(row.state), Hold(row.held))
                for row in rows
                if row.gone is None
            )

    def _release(self, key: int, state: State, held: Hold) -> bool:
        is_to_be_sent = state is State.MAPPED or held is Hold.MISSING
        first = self._first_of(key) if is_to_be_sent else None
        is_missing = held is Hold.MISSING
        unsent = (
            "state = 'mapped', lead_id = NULL, edited = NULL, new_lead = NULL, decided = NULL, "
        )
        back = unsent if is_missing else ""
        if is_missing:
            # The lead may be listed again, without its line and with another e-mail.
            self._database.run(
                "INSERT INTO former_lead SELECT lead_id, key FROM contact WHERE key = :key "
                "ON CONFLICT DO UPDATE SET contact_key = excluded.contact_key",
                {"key": key},
            )
        self._database.run(
            f"UPDATE contact SET {back}held = :held, detail = :detail, "
            f"{_FORGIVEN} WHERE key = :key AND held IS NOT NULL",
            {"key": key, **hold_of(first)},
        )
        return self.discard_outdated(key) or first is None

    def _keep_gone(self, key: int, detail: str) -> None:
        """An undone contact that HubSpot has no more waits for HubSpot from now on."""
        self._database.execute(
            "UPDATE contact SET held = 'gone', detail = :detail "
            "WHERE key = :key AND held IS NOT NULL AND held = 'undone'",
            {"key": key, "detail": detail},
        )

    def free(self, key: int) -> None:
        """
        Free a held contact without resetting its attempts.

        One to be sent that is a duplicate by now stays held; so does one with a lead, except for
        what became of its last write.
        """
        first = self._first_of(key)
        self._database.run(
            "UPDATE contact SET held = iif(state = 'mapped', :held, NULL), "
            "detail = iif(state = 'mapped', :detail, NULL), unproven = 0 "
            "WHERE key = :key AND held IS NOT NULL AND gone IS NULL "
            "AND (state = 'mapped' OR held IN ('refused', 'gave_up'))",
            {"key": key, **hold_of(first)},
        )
        self.discard_mapping(key)

    def discard_outdated(self, key: int) -> bool:
        """
        Move a mapped contact back to extracted if HubSpot or the mapping changed since its lead.

        `False` = the lead is up to date.
        """
        # Its source is as HubSpot gave it last.
        is_changed = "key = :key AND state = 'mapped' AND gone IS NULL AND changed_ms IS NOT NULL"
        with self._database.transaction():
            # First, because it restarts the extraction.
            is_discarded = self.discard_mapping(key)
            has_changed = bool(
                self._database.execute(f"{EXTRACTED_AGAIN} WHERE {is_changed}", {"key": key})
            )
        return is_discarded or has_changed

    def discard_mapping(self, key: int) -> bool:
        """
        Move a mapped contact back to extracted if another than the active mapping built its lead.

        Its source may lack properties that the active mapping reads, so the extraction is
        restarted; nothing is mapped until it is complete. `False` = the lead is up to date.
        """
        with self._database.transaction():
            is_withdrawn = bool(self._database.execute(_WITHDRAW, {"key": key}))
            if is_withdrawn:
                self._runs.begin_scan("extraction")
        return is_withdrawn

    def release_orphaned_duplicates(self) -> int:
        """
        Free the first duplicate of each e-mail that no other contact has any more.

        Returns:
            How many were freed.
        """
        return self._database.execute(
            "UPDATE contact SET held = NULL, detail = NULL WHERE key IN ("
            "SELECT min(key) FROM contact WHERE held = 'duplicate_email' GROUP BY email_key "
            "HAVING NOT EXISTS (SELECT 1 FROM contact AS first "
            f"WHERE first.email_key = contact.email_key AND {OCCUPIES_EMAIL})) AND held = :held",
            {"held": Hold.DUPLICATE_EMAIL},
        )

    def release_named(
        self, keys: Iterable[int], reason: Hold | None = None, *, recreate: bool = False
    ) -> Released:
        """
        Free these contacts where that is allowed.

        Args:
            keys: A key that is given twice counts once.
            reason: Only contacts held for it; `None` = any.
            recreate: See `release`.
        """
        with self._database.transaction():
            before = self._lookup.summaries(dict.fromkeys(keys))
            ids = [one.hubspot_id for one in before if one.held not in _NEVER_RELEASED]
            freed = self.release(reason, ids, recreate=recreate)
            after = self._lookup.summaries(one.key for one in before)
        stayed = [
            NotReleased(was, now)
            for was, now in zip(before, after, strict=True)
            if was.held is None or now.held is not None
        ]
        return Released(len(before), freed, tuple(stayed[:EXAMPLES]))

    def release_all(self, reason: Hold, *, recreate: bool = False) -> Released:
        """Free all contacts that are held for a reason, where that is allowed."""
        with self._database.transaction():
            meant, before = count_held(self._database, reason), self._first_held(reason)
            freed = 0
            if reason not in _NEVER_RELEASED:
                freed = self.release(reason, None, recreate=recreate)
            # The first may be free now and later ones not, or held for another reason.
            keys = dict.fromkeys(one.key for one in before + self._first_held(reason))
            after = self._lookup.summaries(keys)
        was = {one.key: one for one in before}
        stayed = [NotReleased(was.get(now.key, now), now) for now in after if now.held is not None]
        return Released(meant, freed, tuple(stayed[:EXAMPLES]))

    def _first_held(self, reason: Hold) -> list[ContactSummary]:
        rows = self._database.rows(
            "SELECT key FROM contact WHERE held IS NOT NULL AND held = :reason "
            "ORDER BY key LIMIT :limit",
            reason=reason,
            limit=EXAMPLES,
        )
        return self._lookup.summaries(row.key for row in rows)


# Of the leads that the last listing showed of a contact: those that are not guessed by e-mail.
IS_FORMER = "EXISTS (SELECT 1 FROM former_lead WHERE lead_id = seen_lead.lead_id)"
IS_CERTAIN = f"(record IS NOT NULL OR {IS_FORMER})"
_HAS_ANOTHER_LEAD = (
    "EXISTS (SELECT 1 FROM seen_lead WHERE contact_key = key "
    f"AND seen_lead.lead_id <> contact.lead_id AND NOT removed AND {IS_CERTAIN})"
)
# The attempts so far do not count any more; the contact is untried again.
_FORGIVEN = (
    "tries = 0, unproven = 0, "
    "attempts_reset_at = (SELECT ifnull(max(number), 0) FROM attempt WHERE contact_key = key)"
)

# The contact has no send in flight or in doubt.
IS_AT_REST = "NOT EXISTS (SELECT 1 FROM open_attempt WHERE contact_key = contact.key)"

# The contact `first` is the lead of its e-mail, or is to be.
OCCUPIES_EMAIL = (
    "first.lead IS NOT NULL AND first.held IS NOT 'duplicate_email' "
    "AND (first.gone IS NULL OR first.lead_id IS NOT NULL OR first.key IN open_attempt)"
)

# A send succeeded, but the lead is another contact's: only a person may have it sent again. A gone
# one was held so before, or has a successor.
HAS_LED_TO_A_LEAD = (
    "((held IS 'already_in_destination' AND EXISTS (SELECT 1 FROM attempt "
    "WHERE contact_key = contact.key AND outcome IN ('created', 'found'))) "
    "OR (held IS 'gone' AND EXISTS (SELECT 1 FROM attempt JOIN contact AS owner USING (lead_id) "
    "WHERE contact_key = contact.key AND outcome IN ('created', 'found'))))"
)

# The detail of a hold `gone`, as JSON; NULL = HubSpot has the contact.
GONE_DETAIL = (
    "CASE gone WHEN 'merged' THEN json_object('code', 'GONE_MERGED', 'into', merged_into) "
    "WHEN 'archived' THEN json_object('code', 'GONE_ARCHIVED') "
    "WHEN 'unknown' THEN json_object('code', 'GONE_UNKNOWN') END"
)

# Back to extracted: the lead is discarded, with every decision about it.
EXTRACTED_AGAIN = (
    "UPDATE contact SET state = 'extracted', lead = NULL, email_key = NULL, derived_fields = NULL, "
    "mapping = NULL, held = NULL, detail = NULL, foreign_lead_id = NULL, changed_ms = NULL, "
    "new_lead = NULL, decided = NULL, "
    f"{_FORGIVEN}"
)

_WITHDRAW = (
    f"{EXTRACTED_AGAIN} WHERE key = :key AND state = 'mapped' AND gone IS NULL "
    "AND mapping IS NOT (SELECT mapping FROM ledger)"
)


def count_held(database: Database, reason: Hold) -> int:
    """How many contacts are held for a reason."""
    row = database.one(
        "SELECT coalesce(sum(contacts), 0) AS n FROM state_count WHERE held = :reason",
        reason=reason,
    )
    return int(row.n)


def hold_duplicates_of(database: Database, key: int) -> None:
    """Hold the unsent contacts with a sent contact's e-mail as its duplicates."""
    database.run(
        "UPDATE contact SET held = 'duplicate_email', detail = "
        "json_object('code', 'SAME_EMAIL', 'contact', first.hubspot_id) "
        "FROM contact AS first WHERE first.key = :key AND contact.email_key = first.email_key "
        f"AND contact.state = 'mapped' AND contact.held IS NULL AND {IS_AT_REST}",
        {"key": key},
    )


def decisions_where(condition: str) -> str:
    """In SQL, a contact's decisions that fulfil a condition on `one.key`; NULL = none does."""
    return (
        "(SELECT nullif(json_group_object(one.key, json(one.value)), '{}') "
        f"FROM json_each(decided) AS one WHERE {condition})"
    )


def hold_of(first: str | None) -> dict[str, Any]:
    if first is None:
        return {"held": None, "detail": None}
    detail = HoldDetail.SAME_EMAIL.of(contact=first)
    return {"held": Hold.DUPLICATE_EMAIL, "detail": stored(detail)}


def stored(detail: Detail) -> str:
    """The detail of a hold as its column holds it."""
    return json.dumps(detail, ensure_ascii=False)
