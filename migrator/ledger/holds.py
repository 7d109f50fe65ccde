"""
Holding and releasing: contacts that wait for a person, and contacts that are free again.

A duplicate is held for the contact that has its e-mail, and released when that one is gone."""

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

# What the rules exclude is mapped again when it changed, and by nothing else; and two leads are one
# when LeadGenius lists one.
_NEVER_RELEASED = frozenset({Hold.NO_EMAIL, Hold.INVALID_EMAIL, Hold.DOUBLED})


@dataclass(frozen=True)
class NotReleased:
    """A contact that was not freed, as it was before and as it is now."""

    before: ContactSummary
    now: ContactSummary


@dataclass(frozen=True)
class Released:
    """
    The result of a release, in contacts.

    Args:
        meant: Those that were named, or that had the reason.
        freed: Those of them that are free now.
        stayed: The first of the others.
    """

    meant: int
    freed: int
    stayed: tuple[NotReleased, ...]


class Holds:
    """Moves of contacts into and out of a hold."""

    def __init__(self, database: Database, journey: Runs, lookup: Lookup) -> None:
        self._database = database
        self._journey = journey
        self._lookup = lookup

    def hold(self, key: int, held: Hold, detail: Detail) -> bool:
        """Hold a contact that is free. `False` = something holds it already."""
        return bool(
            self._database.execute(
                "UPDATE contact SET held = :held, detail = :detail "
                "WHERE key = :key AND held IS NULL",
                {"key": key, "held": held, "detail": stored(detail)},
            )
        )

    def hold_if_duplicate(self, key: int) -> bool:
        """
        Hold a mapped contact if another one with its e-mail was sent, or is the one to be sent.

        `False` = it is the only one. It cannot be known in advance: a scan may adopt the other.
        """
        first = self._first_of(key)
        if first is not None:
            self.hold(key, Hold.DUPLICATE_EMAIL, HoldDetail.SAME_EMAIL.of(contact=first))
        return first is not None

    def _first_of(self, key: int) -> str | None:
        row = self._database.one(
            "SELECT other.hubspot_id FROM contact JOIN contact AS other USING (email_key) "
            "WHERE contact.key = :key AND other.key <> :key AND ("
            "(other.state = 'mapped' AND other.held IS NULL) "
            "OR (other.lead_id IS NOT NULL AND other.held IS NOT 'missing')) LIMIT 1",
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
        Free contacts that wait for a person; their earlier attempts count no more.

        A missing one goes back to mapped, to be sent again. A contact that was built by another
        mapping than the one in force goes back to extracted. Three kinds stay held: a duplicate
        (its e-mail must change in HubSpot), one with several leads (they have to be deleted there)
        and, unless `recreate`, a verified one that is missing (its lead was deleted since, most
        likely on purpose).

        Args:
            held: Only those with this reason; `None` = any.
            hubspot_ids: Only these; `None` = all.
            recreate: Whether a verified contact whose lead was deleted is to be sent again.

        Returns:
            How many were freed.
        """
        with self._database.transaction():
            rows = self._database.rows(
                "SELECT key, state, held FROM contact WHERE held IS NOT NULL "
                "AND held NOT IN ('duplicate_email', 'doubled') "
                "AND (:recreate OR NOT (held = 'missing' AND state = 'verified')) "
                "AND (:held IS NULL OR held = :held) AND (:ids IS NULL "
                "OR hubspot_id IN (SELECT value FROM json_each(:ids))) ORDER BY held, key",
                held=held,
                recreate=recreate,
                ids=None if hubspot_ids is None else json.dumps(list(hubspot_ids)),
            )
            freed = sum(self._release(row.key, State(row.state), Hold(row.held)) for row in rows)
            if freed:
                # A send that was given up may have landed since.
                self._database.run("UPDATE ledger SET scanned_ms = NULL")
        return freed

    def _release(self, key: int, state: State, held: Hold) -> bool:
        is_to_be_sent = state is State.MAPPED or held is Hold.MISSING
        first = self._first_of(key) if is_to_be_sent else None
        is_missing = held is Hold.MISSING
        back = "state = 'mapped', lead_id = NULL, edited = NULL, " if is_missing else ""
        if is_missing:
            # It may show again, without its line and with another e-mail.
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
        return self.discard_mapping(key) or first is None

    def free(self, key: int) -> None:
        """Free a held contact whose attempts still count, if it is still the one to be sent."""
        first = self._first_of(key)
        self._database.run(
            "UPDATE contact SET held = :held, detail = :detail, unproven = 0 "
            "WHERE key = :key AND held IS NOT NULL AND state = 'mapped'",
            {"key": key, **hold_of(first)},
        )
        self.discard_mapping(key)

    def discard_mapping(self, key: int) -> bool:
        """
        Take a mapped contact back to extracted if another mapping is in force than built its lead.

        Its source may lack what that one reads, so the scan, or the next one, begins anew: until
        it is over, nothing is mapped.

        Returns:
            `False` = its lead is the one to be sent.
        """
        with self._database.transaction():
            is_withdrawn = bool(self._database.execute(_WITHDRAW, {"key": key}))
            if is_withdrawn:
                self._journey.begin_scan("extraction")
        return is_withdrawn

    def release_orphaned_duplicates(self) -> int:
        """
        Free the first of those duplicates whose first contact has that e-mail no more.

        Returns:
            How many were freed.
        """
        with self._database.transaction():
            freed = self._release_orphaned_duplicates()
            if freed:
                self._database.run("UPDATE ledger SET scanned_ms = NULL")
        return freed

    def _release_orphaned_duplicates(self) -> int:
        return self._database.execute(
            "UPDATE contact SET held = NULL, detail = NULL WHERE key IN ("
            "SELECT min(key) FROM contact WHERE held = 'duplicate_email' GROUP BY email_key "
            "HAVING NOT EXISTS (SELECT 1 FROM contact AS first "
            "WHERE first.email_key = contact.email_key AND first.lead IS NOT NULL "
            "AND first.held IS NOT 'duplicate_email')) AND held = :held",
            {"held": Hold.DUPLICATE_EMAIL},
        )

    def release_named(
        self, keys: Iterable[int], reason: Hold | None = None, *, recreate: bool = False
    ) -> Released:
        """
        Free these contacts, as far as they may be.

        Args:
            keys: One that is named twice counts once.
            reason: Only those that are held for it; `None` = any.
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
        """Free all contacts that are held for a reason, as far as they may be."""
        with self._database.transaction():
            meant, before = self._held(reason), self._first_held(reason)
            freed = 0
            if reason not in _NEVER_RELEASED:
                freed = self.release(reason, None, recreate=recreate)
            # The first ones may all be free, and later ones not; or be held for another reason now.
            keys = dict.fromkeys(one.key for one in before + self._first_held(reason))
            after = self._lookup.summaries(keys)
        was = {one.key: one for one in before}
        stayed = [NotReleased(was.get(now.key, now), now) for now in after if now.held is not None]
        return Released(meant, freed, tuple(stayed[:EXAMPLES]))

    def _held(self, reason: Hold) -> int:
        row = self._database.one(
            "SELECT coalesce(sum(contacts), 0) AS n FROM state_count WHERE held = :reason",
            reason=reason,
        )
        return int(row.n)

    def _first_held(self, reason: Hold) -> list[ContactSummary]:
        rows = self._database.rows(
            "SELECT key FROM contact WHERE held IS NOT NULL AND held = :reason "
            "ORDER BY key LIMIT :limit",
            reason=reason,
            limit=EXAMPLES,
        )
        return self._lookup.summaries(row.key for row in rows)


# The attempts so far count no more, and the contact is untried again.
_FORGIVEN = (
    "tries = 0, unproven = 0, "
    "attempts_reset_at = (SELECT ifnull(max(number), 0) FROM attempt WHERE contact_key = key)"
)

# No send of it is in flight or in doubt.
IS_AT_REST = "NOT EXISTS (SELECT 1 FROM open_attempt WHERE contact_key = contact.key)"

# A send of it ended well, but its lead is another contact's: to send it again, a person must say.
HAS_LED_TO_A_LEAD = (
    "(held IS 'already_in_destination' AND EXISTS (SELECT 1 FROM attempt "
    "WHERE contact_key = contact.key AND outcome IN ('created', 'found')))"
)

# The lead of a mapped contact is given up, and whatever was decided about it.
EXTRACTED_AGAIN = (
    "UPDATE contact SET state = 'extracted', lead = NULL, email_key = NULL, derived_fields = NULL, "
    "mapping = NULL, held = NULL, detail = NULL, foreign_lead_id = NULL, changed_ms = NULL, "
    f"{_FORGIVEN}"
)

_WITHDRAW = (
    f"{EXTRACTED_AGAIN} WHERE key = :key AND state = 'mapped' "
    "AND mapping IS NOT (SELECT mapping FROM ledger)"
)


def hold_of(first: str | None) -> dict[str, Any]:
    if first is None:
        return {"held": None, "detail": None}
    detail = HoldDetail.SAME_EMAIL.of(contact=first)
    return {"held": Hold.DUPLICATE_EMAIL, "detail": stored(detail)}


def stored(detail: Detail) -> str:
    """The detail of a hold as its column holds it."""
    return json.dumps(detail, ensure_ascii=False)
