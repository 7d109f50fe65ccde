"""
Contacts as extraction and mapping write them; each change is one guarded statement.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from migrator.ledger.database import Database, now_ms
from migrator.ledger.holds import (
    EXTRACTED_AGAIN,
    HAS_LED_TO_A_LEAD,
    IS_AT_REST,
    OCCUPIES_EMAIL,
    decisions_where,
    hold_of,
    stored,
)
from migrator.ledger.runs import Runs
from migrator.ledger.source_moves import SourceMoves
from migrator.states import Hold, State


class ExtractedContact(NamedTuple):
    """
    A contact as extracted.

    Args:
        hubspot_id: HubSpot's id, a string.
        source: Canonical JSON of the properties that the mapping reads.
        company_id: The chosen company; `None` = none.
        company_rule: The rule that chose it; `None` = none.
        modified_ms: When HubSpot last changed it (ms since the epoch); `None` = not known.
    """

    hubspot_id: str
    source: str
    company_id: str | None
    company_rule: str | None
    modified_ms: int | None = None


@dataclass(frozen=True)
class StoredContact:
    """
    A contact as the ledger has it.

    Args:
        source, lead: Canonical JSON, to be compared as texts.
        is_open: Whether a send is not settled, or left a lead although the contact is not posted.
        mapping: Id of the mapping that built its lead or excluded it; `None` = not mapped yet, or
            sent before mappings were stored.
        held: Why it is held; `None` = it is not.
        is_changed: Whether it was seen to differ from what was sent.
        is_gone: Whether HubSpot had it no more.
        scan: The scan that last met it, or the record that it was merged into.
        is_erased: Whether `forget` took the person out.
    """

    state: State
    source: str
    company_id: str | None
    lead: str | None
    is_open: bool
    mapping: int | None = None
    amended: Mapping[str, Any] | None = None
    held: Hold | None = None
    is_changed: bool = False
    is_gone: bool = False
    scan: int = field(default=0, compare=False)
    is_erased: bool = False


class ChangedLead(NamedTuple):
    """A sent contact whose lead would differ; `new_lead=None` = it would have none."""

    contact: ExtractedContact
    new_lead: str | None


@dataclass(frozen=True)
class ExtractedPage:
    """
    One page of contacts, or several in a row, sorted by what changes in the ledger.

    Args:
        companies: New properties as JSON by company id; `None` = HubSpot does not have it.
        new: Contacts that the ledger does not have.
        changed: Contacts to map (again): not posted, nothing open.
        changed_since_sent: Contacts that were or may have been sent, and whose lead would differ.
        current: Ids of mapped or posted contacts whose lead is still the same.
        cursor: Where the scan continues; `None` = this was the last page.
        waiting: Contacts not mapped yet that have changed.
        unchanged: Ids of contacts not mapped yet that have not changed, and of gone ones.
        refreshed: Those of `current` whose values differ without a change of their lead.
        equal_again: Ids of those of `current` that differed from what was sent.
        back: Ids of contacts that HubSpot had no more.
        merged: Ids of the records that were merged into a contact, by its id.
        modified: When HubSpot last changed those that the ledger has (ms since the epoch), by id.
        erased: Number of those of `unchanged` that `forget` took out: they are not filled again.
        count: Number of pages.
        odd: Number of rows without a valid id.
    """

    companies: Mapping[str, str | None]
    new: Sequence[ExtractedContact]
    changed: Sequence[ExtractedContact]
    changed_since_sent: Sequence[ChangedLead]
    current: Sequence[str]
    cursor: str | None
    waiting: Sequence[ExtractedContact] = ()
    unchanged: Sequence[str] = ()
    refreshed: Sequence[ExtractedContact] = ()
    equal_again: Sequence[str] = ()
    back: Sequence[str] = ()
    merged: Mapping[str, Sequence[str]] = field(default_factory=dict)
    modified: Mapping[str, int] = field(default_factory=dict)
    erased: int = 0
    count: int = 1
    odd: int = 0

    @property
    def met(self) -> list[str]:
        """The ids of the contacts that were in the ledger before."""
        since_sent = (one.contact for one in self.changed_since_sent)
        again = (one.hubspot_id for one in (*self.changed, *self.waiting, *since_sent))
        return [*again, *self.current, *self.unchanged]


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

    def __init__(self, database: Database, runs: Runs, moves: SourceMoves) -> None:
        self._database = database
        self._runs = runs
        self._moves = moves

    # Extraction

    def stored(self, hubspot_ids: Iterable[str]) -> dict[str, StoredContact]:
        """These contacts as the ledger has them, by HubSpot's id."""
        rows = self._database.rows(
            "SELECT hubspot_id, state, source, company_id, lead, mapping, amended, held, "
            "changed_ms IS NOT NULL AS is_changed, gone IS NOT NULL AS is_gone, scan, "
            "erased_ms IS NOT NULL AS is_erased, "
            "EXISTS (SELECT 1 FROM open_attempt WHERE contact_key = key) "
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
                None if row.held is None else Hold(row.held),
                bool(row.is_changed),
                bool(row.is_gone),
                row.scan,
                bool(row.is_erased),
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

    def known_companies(self, company_ids: Iterable[str], scan: int) -> dict[str, bool]:
        """Whether HubSpot has each of the companies that this scan has read, by id."""
        rows = self._database.rows(
            "SELECT company_id, properties IS NOT NULL FROM company "
            "WHERE company_id IN (SELECT value FROM json_each(:ids)) AND scan = :scan",
            ids=_json(company_ids),
            scan=scan,
        )
        return {company_id: bool(is_there) for company_id, is_there in rows}

    def write_page(self, page: ExtractedPage, scan: int) -> int:
        """
        Write pages, their companies and the next cursor in one transaction.

        Returns:
            How many of their contacts this scan meets for the first time.
        """
        with self._database.transaction():
            self._write_companies(page.companies, scan)
            self._insert(page.new, scan)
            self._extract_again([*page.changed, *page.waiting])
            self._moves.welcome_back(page.back, scan)
            met = len(page.new) + self._meet(page.met, scan)
            self._note_modified(page.modified)
            self._keep_new_leads(page.changed_since_sent)
            self._refresh(page.refreshed)
            self._mark_equal(page.equal_again)
            self._moves.note_merged(page.merged, scan)
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
            "INSERT INTO contact (hubspot_id, source, company_id, company_rule, modified_ms, scan) "
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

    def _note_modified(self, modified: Mapping[str, int]) -> None:
        self._database.execute_values(
            "UPDATE contact SET modified_ms = one.column2 FROM (VALUES {rows}) AS one "
            "WHERE hubspot_id = one.column1 AND modified_ms IS NOT one.column2 "
            "AND erased_ms IS NULL",
            list(modified.items()),
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

    def _keep_new_leads(self, changed: Sequence[ChangedLead]) -> None:
        """
        Keep what HubSpot gives now beside what was sent.

        A contact in doubt has no lead yet: its new one is kept by the first scan after that is
        settled. A decision about a field rests until HubSpot gives it another value.
        """
        self._database.execute(
            _KEEP_NEW_LEAD,
            [
                {**one.contact._asdict(), "new_lead": one.new_lead, "now": now_ms()}
                for one in changed
            ],
        )

    def _refresh(self, contacts: Sequence[ExtractedContact]) -> None:
        self._database.execute(
            "UPDATE contact SET source = :source, company_id = :company_id, "
            "company_rule = :company_rule WHERE hubspot_id = :hubspot_id",
            [contact._asdict() for contact in contacts],
        )

    def _mark_equal(self, hubspot_ids: Sequence[str]) -> None:
        rows = [{"hubspot_id": one} for one in hubspot_ids]
        self._database.execute(
            f"UPDATE contact SET changed_ms = NULL, new_lead = NULL, decided = {_decided('lead')} "
            "WHERE hubspot_id = :hubspot_id",
            rows,
        )
        # HubSpot has taken its side of the conflict back.
        self._database.execute(
            "UPDATE contact SET held = NULL, detail = NULL, decided = NULL "
            f"WHERE hubspot_id = :hubspot_id AND held IS 'conflict' AND {IS_AT_REST}",
            rows,
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
            holds = {
                key: tuple(hold_of(first).values())
                for key, first in self._duplicates(built).items()
            }
            self._database.execute_values(
                "UPDATE contact SET state = 'mapped', lead = one.column2, "
                "email_key = one.column3, derived_fields = one.column4, held = one.column5, "
                "detail = one.column6, mapping = (SELECT mapping FROM ledger) "
                "FROM (VALUES {rows}) AS one WHERE key = one.column1 AND state = 'extracted'",
                [(*one, *holds.get(one.key, (None, None))) for one in built],
            )
            self._database.execute_values(
                "UPDATE contact SET held = one.column2, detail = one.column3, "
                "mapping = (SELECT mapping FROM ledger) "
                "FROM (VALUES {rows}) AS one WHERE key = one.column1 AND state = 'extracted'",
                [(one.key, one.held, stored(one.detail)) for one in rejected],
            )
            self._moves.pass_leads_on()

    def _duplicates(self, built: Sequence[MappedContact]) -> dict[int, str]:
        """Those whose e-mail an earlier contact has: key -> HubSpot's id of that one."""
        if not built:
            return {}
        rows = self._database.rows(
            # One probe for each e-mail: a hundred thousand contacts may share it.
            "SELECT value AS email_key, (SELECT hubspot_id FROM contact AS first "
            f"WHERE email_key = value AND {OCCUPIES_EMAIL} "
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


def _decided(new_lead: str) -> str:
    """The decisions about fields to which HubSpot gives the same value in a new lead as before."""
    return decisions_where(f"ifnull(new_lead, lead) ->> one.key IS {new_lead} ->> one.key")


_NEW_LEAD = "iif(lead_id IS NULL, NULL, :new_lead)"
_IS_NEW = f"(changed_ms IS NULL OR new_lead IS NOT {_NEW_LEAD})"
_KEEP_NEW_LEAD = (
    "UPDATE contact SET source = :source, company_id = :company_id, company_rule = :company_rule, "
    f"changed_ms = iif({_IS_NEW}, :now, changed_ms), new_lead = {_NEW_LEAD}, "
    f"decided = {_decided(':new_lead')} WHERE hubspot_id = :hubspot_id "
    f"AND ({_IS_NEW} OR source <> :source OR company_id IS NOT :company_id)"
)


def _json(values: Iterable[str]) -> str:
    return json.dumps(list(values))
