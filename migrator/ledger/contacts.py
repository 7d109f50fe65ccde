"""
Contacts on their way to being sendable: extracted, mapped, held, released.

Each change is one guarded statement. It never decides what a contact's lead is; callers bring that.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from migrator.ledger.database import Database, now_ms
from migrator.ledger.records import (
    ContactToMap,
    ExcludedContact,
    ExtractedContact,
    ExtractedPage,
    MappedContact,
    StoredContact,
)
from migrator.ledger.runs import Runs
from migrator.states import Hold, State


class Contacts:
    """Questions about and moves of contacts that were not sent yet."""

    def __init__(self, database: Database, journey: Runs) -> None:
        self._database = database
        self._journey = journey

    # Extraction

    def stored(self, hubspot_ids: Iterable[str]) -> dict[str, StoredContact]:
        """What the ledger has of these contacts, by HubSpot's id."""
        rows = self._database.rows(
            "SELECT hubspot_id, state, source, company_id, lead, mapping, amended, EXISTS "
            "(SELECT 1 FROM attempt WHERE contact_key = key AND outcome IS NULL) "
            f"OR {HAS_LED_TO_A_LEAD} AS is_open FROM contact "
            "WHERE hubspot_id IN (SELECT value FROM json_each(:ids))",
            ids=_json(hubspot_ids),
        )
        return {
            row.hubspot_id: StoredContact(
                State(row.state),
                row.source,
                row.company_id,
                row.lead,
                bool(row.is_open),
                row.mapping,
                row.amended,
            )
            for row in rows
        }

    def companies(self, company_ids: Iterable[str], sweep: int) -> dict[str, str | None]:
        """The companies that were asked for in this sweep, as JSON by id; others are lacking."""
        rows = self._database.rows(
            "SELECT company_id, properties FROM company "
            "WHERE company_id IN (SELECT value FROM json_each(:ids)) AND sweep = :sweep",
            ids=_json(company_ids),
            sweep=sweep,
        )
        return {row.company_id: row.properties for row in rows}

    def write_page(self, page: ExtractedPage, sweep: int) -> int:
        """
        Write pages, their companies and the cursor behind them in one transaction.

        Returns:
            How many of their contacts the sweep had not met before.
        """
        with self._database.transaction():
            self._write_companies(page.companies, sweep)
            self._insert(page.new, sweep)
            met = len(page.new) + self._meet(page.met, sweep)
            self._extract_again([*page.changed, *page.waiting])
            self._mark_stale(page.stale, page.current)
            seen = {"new": len(page.new), "pages": page.count, "met": met, "odd": page.odd}
            self._journey.advance("extraction", page.cursor, **seen)
        return met

    def _write_companies(self, companies: Mapping[str, str | None], sweep: int) -> None:
        self._database.execute_values(
            "INSERT INTO company VALUES {rows} ON CONFLICT DO UPDATE "
            "SET properties = excluded.properties, sweep = excluded.sweep",
            [(company_id, properties, sweep) for company_id, properties in companies.items()],
        )

    def _insert(self, contacts: Sequence[ExtractedContact], sweep: int) -> None:
        self._database.execute_values(
            "INSERT INTO contact (hubspot_id, source, company_id, company_rule, sweep) "
            "VALUES {rows}",
            [(*contact, sweep) for contact in contacts],
        )

    def _meet(self, hubspot_ids: Sequence[str], sweep: int) -> int:
        """Note that the sweep met these; how many of them it had not met before."""
        if not hubspot_ids:
            return 0
        return int(
            self._database.run(
                "UPDATE contact SET sweep = :sweep WHERE sweep <> :sweep "
                "AND hubspot_id IN (SELECT value FROM json_each(:ids))",
                {"sweep": sweep, "ids": _json(hubspot_ids)},
            ).rowcount
        )

    def reset_to_extracted(self, hubspot_ids: Iterable[str]) -> None:
        """Mapped ones are to be mapped again, and their earlier attempts count no more."""
        # The state is named only where it moves: naming it where it stays counts as illegal.
        self._database.execute(
            f"{EXTRACTED_AGAIN} WHERE hubspot_id = :hubspot_id AND state = 'mapped' "
            f"AND NOT {HAS_LED_TO_A_LEAD}",
            [{"hubspot_id": hubspot_id} for hubspot_id in hubspot_ids],
        )

    def _extract_again(self, contacts: Sequence[ExtractedContact]) -> None:
        self.reset_to_extracted(contact.hubspot_id for contact in contacts)
        self._database.execute(
            "UPDATE contact SET source = :source, company_id = :company_id, "
            "company_rule = :company_rule, held = NULL, detail = NULL "
            "WHERE hubspot_id = :hubspot_id AND state = 'extracted'",
            [contact._asdict() for contact in contacts],
        )

    def _mark_stale(self, stale: Sequence[str], current: Sequence[str]) -> None:
        with self._database.transaction():
            self._database.run(
                "UPDATE contact SET changed_ms = :now WHERE changed_ms IS NULL "
                "AND hubspot_id IN (SELECT value FROM json_each(:ids))",
                {"now": now_ms(), "ids": _json(stale)},
            )
            self._database.run(
                "UPDATE contact SET changed_ms = NULL WHERE changed_ms IS NOT NULL "
                "AND hubspot_id IN (SELECT value FROM json_each(:ids))",
                {"ids": _json(current)},
            )

    # Mapping

    def to_map(self, limit: int) -> list[ContactToMap]:
        """The next extracted contacts that nothing holds, in HubSpot's order."""
        rows = self._database.rows(
            "SELECT key, source, company.properties AS company, amended FROM contact "
            "LEFT JOIN company USING (company_id) "
            "WHERE state = 'extracted' AND held IS NULL ORDER BY key LIMIT :limit",
            limit=limit,
        )
        return [ContactToMap(*row) for row in rows]

    def write_mapped(
        self, built: Sequence[MappedContact], rejected: Sequence[ExcludedContact]
    ) -> None:
        """
        Move the built ones to mapped and hold the rejected ones, in one transaction.

        A contact whose e-mail another one already has is mapped and held, naming the other
        (design, I4). The client counts as not looked through any more (design, I5). With each
        stands the mapping in force, whose work it is.
        """
        with self._database.transaction():
            duplicates = self._duplicates(built)
            self._database.execute_values(
                "UPDATE contact SET state = 'mapped', lead = one.column2, "
                "email_key = one.column3, made_up = one.column4, held = one.column5, "
                "detail = one.column6, mapping = (SELECT mapping FROM ledger) "
                "FROM (VALUES {rows}) AS one WHERE key = one.column1 AND state = 'extracted'",
                [(*one, *_hold_of(duplicates.get(one.key)).values()) for one in built],
            )
            self._database.execute_values(
                "UPDATE contact SET held = one.column2, detail = one.column3, "
                "mapping = (SELECT mapping FROM ledger) "
                "FROM (VALUES {rows}) AS one WHERE key = one.column1 AND state = 'extracted'",
                rejected,
            )
            if built:
                self._database.run(
                    "UPDATE ledger SET scanned_ms = NULL WHERE scanned_ms IS NOT NULL"
                )

    def _duplicates(self, built: Sequence[MappedContact]) -> dict[int, str]:
        """Which of these come second with their e-mail: key -> HubSpot's id of the first one."""
        if not built:
            return {}
        rows = self._database.rows(
            # One probe for each e-mail: a hundred thousand contacts may share it.
            "SELECT value AS email_key, (SELECT hubspot_id FROM contact "
            "WHERE email_key = value AND lead IS NOT NULL AND held IS NOT 'duplicate_email' "
            "ORDER BY key LIMIT 1) AS first FROM json_each(:emails)",
            emails=_json({one.email_key for one in built}),
        )
        first: dict[str, str] = {row.email_key: row.first for row in rows if row.first}
        firsts: dict[str, int] = {}  # of these: e-mail -> key
        duplicates: dict[int, str] = {}
        seconds: dict[int, int] = {}
        for one in sorted(built):
            if one.email_key in first:
                duplicates[one.key] = first[one.email_key]
            elif (key := firsts.setdefault(one.email_key, one.key)) != one.key:
                seconds[one.key] = key
        names = self._hubspot_ids(seconds.values()) if seconds else {}
        return duplicates | {key: names[first_key] for key, first_key in seconds.items()}

    def _hubspot_ids(self, keys: Iterable[int]) -> dict[int, str]:
        rows = self._database.rows(
            "SELECT key, hubspot_id FROM contact WHERE key IN (SELECT value FROM json_each(:keys))",
            keys=json.dumps(list(keys)),
        )
        return {row.key: row.hubspot_id for row in rows}

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

    # Holds

    def hold(self, key: int, held: Hold, detail: str) -> bool:
        """Hold a contact that is free. `False` = something holds it already."""
        return bool(
            self._database.execute(
                "UPDATE contact SET held = :held, detail = :detail "
                "WHERE key = :key AND held IS NULL",
                {"key": key, "held": held, "detail": detail},
            )
        )

    def hold_if_duplicate(self, key: int) -> bool:
        """
        Hold a mapped contact if another one with its e-mail was sent, or is the one to be sent.

        `False` = it is the only one. Nobody can know in advance: a look may adopt the other one.
        """
        first = self._first_of(key)
        if first is not None:
            self.hold(key, Hold.DUPLICATE_EMAIL, _same_email(first))
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

        A missing one goes back to mapped, to be sent again; and further back, like every other one,
        if it was built by another mapping than the one in force. Three kinds stay: a duplicate (its
        e-mail must change in HubSpot), one with several leads (they are there whatever is said
        here) and, unless `recreate`, a verified one that is missing (it
        was there once, so its lead was deleted since, most likely on purpose).

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
                ids=None if hubspot_ids is None else _json(hubspot_ids),
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
            {"key": key, **_hold_of(first)},
        )
        return self.discard_mapping(key) or first is None

    def free(self, key: int) -> None:
        """Free a held contact whose attempts still count, if it is still the one to be sent."""
        first = self._first_of(key)
        self._database.run(
            "UPDATE contact SET held = :held, detail = :detail, unproven = 0 "
            "WHERE key = :key AND held IS NOT NULL AND state = 'mapped'",
            {"key": key, **_hold_of(first)},
        )
        self.discard_mapping(key)

    def discard_mapping(self, key: int) -> bool:
        """
        Take a mapped contact back to extracted if another mapping is in force than built its lead.

        Its source may lack what that one reads, so the sweep, or the next one, begins anew: until
        it is over, nothing is mapped.

        Returns:
            `False` = its lead is the one to be sent.
        """
        with self._database.transaction():
            is_withdrawn = bool(self._database.execute(_WITHDRAW, {"key": key}))
            if is_withdrawn:
                self._journey.begin_sweep("extraction")
        return is_withdrawn


# The attempts so far count no more, and the contact is untried again.
_FORGIVEN = (
    "tries = 0, unproven = 0, "
    "attempts_reset_at = (SELECT ifnull(max(number), 0) FROM attempt WHERE contact_key = key)"
)

# A send of it ended well, but its lead is another contact's: to send it again, a person must say.
HAS_LED_TO_A_LEAD = (
    "(held IS 'already_in_destination' AND EXISTS (SELECT 1 FROM attempt "
    "WHERE contact_key = contact.key AND outcome IN ('created', 'found')))"
)

# The lead of a mapped contact is given up, and whatever was decided about it.
EXTRACTED_AGAIN = (
    "UPDATE contact SET state = 'extracted', lead = NULL, email_key = NULL, made_up = NULL, "
    "mapping = NULL, held = NULL, detail = NULL, namesake = NULL, changed_ms = NULL, "
    f"{_FORGIVEN}"
)

_WITHDRAW = (
    f"{EXTRACTED_AGAIN} WHERE key = :key AND state = 'mapped' "
    "AND mapping IS NOT (SELECT mapping FROM ledger)"
)


def _hold_of(first: str | None) -> dict[str, Any]:
    if first is None:
        return {"held": None, "detail": None}
    return {"held": Hold.DUPLICATE_EMAIL, "detail": _same_email(first)}


def _same_email(first: str) -> str:
    return f"contact {first} has the same e-mail"


def _json(values: Iterable[str]) -> str:
    return json.dumps(list(values))
