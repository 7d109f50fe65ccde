"""
Contacts as extraction and mapping write them; each change is one guarded statement.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from migrator.ledger.database import Database, now_ms
from migrator.ledger.holds import EXTRACTED_AGAIN, HAS_LED_TO_A_LEAD, hold_of, stored
from migrator.ledger.runs import Runs
from migrator.states import Hold, State


class ExtractedContact(NamedTuple):
    """
    A contact as extracted.

    Args:
        hubspot_id: HubSpot's id, a string.
        source: Canonical JSON of the properties that the mapping reads.
        company_id: The chosen company; `None` = none.
        company_rule: The rule that chose it; `None` = none.
    """

    hubspot_id: str
    source: str
    company_id: str | None
    company_rule: str | None


@dataclass(frozen=True)
class StoredContact:
    """
    A contact as the ledger has it.

    Args:
        source, lead: Canonical JSON, to be compared as texts.
        is_open: Whether a send is not settled, or left a lead although the contact is not posted.
        mapping: Id of the mapping that built its lead or excluded it; `None` = not mapped yet, or
            sent before mappings were stored.
    """

    state: State
    source: str
    company_id: str | None
    lead: str | None
    is_open: bool
    mapping: int | None = None
    amended: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ExtractedPage:
    """
    One page of contacts, or several in a row, sorted by what changes in the ledger.

    Args:
        companies: New properties as JSON by company id; `None` = HubSpot does not have it.
        new: Contacts that the ledger does not have.
        changed: Contacts to map (again): not posted, nothing open.
        stale: Ids of posted contacts whose lead would be different today.
        current: Ids of mapped or posted contacts whose lead is still the same.
        cursor: Where the scan continues; `None` = this was the last page.
        waiting: Contacts not mapped yet that have changed.
        unchanged: Ids of contacts not mapped yet that have not changed.
        count: Number of pages.
        odd: Number of rows without a valid id.
    """

    companies: Mapping[str, str | None]
    new: Sequence[ExtractedContact]
    changed: Sequence[ExtractedContact]
    stale: Sequence[str]
    current: Sequence[str]
    cursor: str | None
    waiting: Sequence[ExtractedContact] = ()
    unchanged: Sequence[str] = ()
    count: int = 1
    odd: int = 0

    @property
    def met(self) -> list[str]:
        """The ids of the contacts that were in the ledger before."""
        again = (one.hubspot_id for one in (*self.changed, *self.waiting))
        return [*again, *self.stale, *self.current, *self.unchanged]


class ContactToMap(NamedTuple):
    """An extracted contact, the properties of its company, and its amendments."""

    key: int
    source: Mapping[str, Any]
    company: Mapping[str, Any] | None
    amended: Mapping[str, Any] | None = None


class MappedContact(NamedTuple):
    """The lead of an extracted contact: JSON, without the client_id."""

    key: int
    lead: str
    email_key: str
    derived_fields: str | None


class ExcludedContact(NamedTuple):
    """An extracted contact that the rules exclude, with the reason."""

    key: int
    held: Hold
    detail: str


class Contacts:
    """Queries and changes of contacts that were not sent yet."""

    def __init__(self, database: Database, runs: Runs) -> None:
        self._database = database
        self._runs = runs

    # Extraction

    def stored(self, hubspot_ids: Iterable[str]) -> dict[str, StoredContact]:
        """These contacts as the ledger has them, by HubSpot's id."""
        rows = self._database.rows(
            "SELECT hubspot_id, state, source, company_id, lead, mapping, amended, EXISTS "
            "(SELECT 1 FROM open_attempt WHERE contact_key = key) "
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
                self._database.decoded(row.amended),
            )
            for row in rows
        }

    def companies(self, company_ids: Iterable[str], scan: int) -> dict[str, Any]:
        """
        The properties of the companies that this scan has read, by id.

        `None` = HubSpot does not have it.
        """
        rows = self._database.rows(
            "SELECT company_id, properties FROM company "
            "WHERE company_id IN (SELECT value FROM json_each(:ids)) AND scan = :scan",
            ids=_json(company_ids),
            scan=scan,
        )
        return {row.company_id: self._database.decoded(row.properties) for row in rows}

    def write_page(self, page: ExtractedPage, scan: int) -> int:
        """
        Write pages, their companies and the next cursor in one transaction.

        Returns:
            How many of their contacts this scan meets for the first time.
        """
        with self._database.transaction():
            self._write_companies(page.companies, scan)
            self._insert(page.new, scan)
            met = len(page.new) + self._meet(page.met, scan)
            self._extract_again([*page.changed, *page.waiting])
            self._mark_stale(page.stale, page.current)
            seen = {"new": len(page.new), "pages": page.count, "met": met, "odd": page.odd}
            self._runs.advance("extraction", page.cursor, **seen)
        return met

    def _write_companies(self, companies: Mapping[str, str | None], scan: int) -> None:
        self._database.execute_values(
            "INSERT INTO company VALUES {rows} ON CONFLICT DO UPDATE "
            "SET properties = excluded.properties, scan = excluded.scan",
            [(company_id, properties, scan) for company_id, properties in companies.items()],
        )

    def _insert(self, contacts: Sequence[ExtractedContact], scan: int) -> None:
        self._database.execute_values(
            "INSERT INTO contact (hubspot_id, source, company_id, company_rule, scan) "
            "VALUES {rows}",
            [(*contact, scan) for contact in contacts],
        )

    def _meet(self, hubspot_ids: Sequence[str], scan: int) -> int:
        """Mark contacts as met by the scan; returns how many it meets for the first time."""
        if not hubspot_ids:
            return 0
        return int(
            self._database.run(
                "UPDATE contact SET scan = :scan WHERE scan <> :scan "
                "AND hubspot_id IN (SELECT value FROM json_each(:ids))",
                {"scan": scan, "ids": _json(hubspot_ids)},
            ).rowcount
        )

    def reset_to_extracted(self, hubspot_ids: Iterable[str]) -> None:
        """Move mapped contacts back to extracted, and reset their attempts."""
        # Only where the state changes: setting it to the same value is refused as illegal.
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
        """The next extracted contacts that are not held, in HubSpot's order."""
        return self._database.read(
            ContactToMap,
            "SELECT key, source, company.properties, amended FROM contact "
            "LEFT JOIN company USING (company_id) "
            "WHERE state = 'extracted' AND held IS NULL ORDER BY key LIMIT :limit",
            limit=limit,
        )

    def write_mapped(
        self, built: Sequence[MappedContact], rejected: Sequence[ExcludedContact]
    ) -> None:
        """
        Move mapped contacts to mapped and hold excluded ones, in one transaction.

        A contact whose e-mail another one already has is mapped and held, naming the other
        (design, I4). The client has to be scanned again (design, I5). The active mapping is noted
        with each contact.
        """
        with self._database.transaction():
            duplicates = self._duplicates(built)
            self._database.execute_values(
                "UPDATE contact SET state = 'mapped', lead = one.column2, "
                "email_key = one.column3, derived_fields = one.column4, held = one.column5, "
                "detail = one.column6, mapping = (SELECT mapping FROM ledger) "
                "FROM (VALUES {rows}) AS one WHERE key = one.column1 AND state = 'extracted'",
                [(*one, *hold_of(duplicates.get(one.key)).values()) for one in built],
            )
            self._database.execute_values(
                "UPDATE contact SET held = one.column2, detail = one.column3, "
                "mapping = (SELECT mapping FROM ledger) "
                "FROM (VALUES {rows}) AS one WHERE key = one.column1 AND state = 'extracted'",
                [(one.key, one.held, stored(one.detail)) for one in rejected],
            )

    def _duplicates(self, built: Sequence[MappedContact]) -> dict[int, str]:
        """Those whose e-mail an earlier contact has: key -> HubSpot's id of that one."""
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


def _json(values: Iterable[str]) -> str:
    return json.dumps(list(values))
