"""
The stage command: reads every contact from HubSpot into the ledger, and maps each to its lead.

Consecutive pages, their companies and the next cursor are one transaction, so a crash repeats at
most the few pages that were read ahead, harmlessly. A second run reads what is new or changed,
keeps what HubSpot would give now beside what was posted, and marks what is gone. After a change of
the mapping, contacts that are not posted are mapped again, like changed contacts. The modules:

    prefetch      reads pages with their companies ahead of the writes
    changes       sorts contacts into new, changed and unchanged
    absence       marks the contacts that HubSpot has no more
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from migrator.canonical_json import canonical_json
from migrator.completeness import Completeness
from migrator.counters import StageCounters
from migrator.errors import NotReady, StoppedEarly
from migrator.hubspot import HubSpot
from migrator.ledger import (
    Checkpoint,
    ContactToMap,
    ExcludedContact,
    ExtractedPage,
    Ledger,
    MappedContact,
)
from migrator.mapping import Exclusion, Rules, overlay, to_lead
from migrator.mapping_versions import MappingSet, activate_mapping, active_rules
from migrator.stage.absence import Unread, mark_absent
from migrator.stage.changes import sort
from migrator.stage.prefetch import PageBatch, page_batches
from migrator.states import Hold

MAPPED_AT_ONCE = 1000
EXAMPLES = 3

# Receives the counters and, once all pages are read, `total`: the number of contacts to map.
Notice = Callable[[Mapping[str, int]], None]


@dataclass
class StageResult(StageCounters):
    """
    The counters, and the details of some.

    Args:
        ineffective_examples: HubSpot ids of the first contacts amended without effect.
        odd_examples: Descriptions of the first odd rows.
        completeness: The scan compared with HubSpot's count; `None` = the scan is not finished.
        unread: Contacts that the scan did not meet, and about which HubSpot could not be asked.
    """

    ineffective_examples: list[str] = field(default_factory=list)
    odd_examples: list[str] = field(default_factory=list)
    completeness: Completeness | None = None
    unread: Unread = field(default_factory=Unread)

    def add(self, page: ExtractedPage, given: int, odd: Sequence[str]) -> None:
        """Count a batch of pages; `given` = contacts that are new to the scan."""
        self.pages += page.count
        self.given += given
        self.odd_examples += odd[: EXAMPLES - len(self.odd_examples)]
        self.odd += page.odd
        self.new += len(page.new)
        self.changed += len(page.changed)
        self.changed_since_sent += len(page.changed_since_sent)
        self.forgotten += page.erased


def stage(
    ledger: Ledger,
    hubspot: HubSpot,
    *,
    portal_id: str,
    rules: Rules | None = None,
    check: Callable[[], None] = lambda: None,
    notice: Notice = lambda counters: None,
    note: Notice = lambda counters: None,
) -> StageResult:
    """
    Extract the remaining pages of the scan, then map all extracted contacts.

    Args:
        portal_id: The HubSpot portal, for the record line in the notes (design, I4).
        rules: The mapping to activate; `None` = keep the active one.
        check: Called between transactions; raises if the user wants to stop.
        notice: Called with the counters after each step, to display them.
        note: Called with the counters in the transaction of each step, to store them.
    """
    counters = StageResult()
    mappings, counters.withdrawn = activate_mapping(ledger, rules, check)
    extraction = _Extraction(ledger, hubspot, portal_id, mappings, counters, check, notice, note)
    counters.completeness = extraction.run()
    counters.unread = mark_absent(ledger, hubspot, check)
    _map(ledger, portal_id, mappings.rules, counters, check, notice, note)
    counters.changed_since_sent, counters.gone = ledger.counts.moved()
    return counters


@dataclass
class _Extraction:
    """Writes the remaining pages of a scan to the ledger."""

    ledger: Ledger
    hubspot: HubSpot
    portal_id: str
    mappings: MappingSet
    counters: StageResult
    check: Callable[[], None]
    notice: Notice
    note: Notice

    def run(self) -> Completeness:
        """Read to the end of the list; if HubSpot counts more, read the last page again."""
        checkpoint = self.ledger.runs.checkpoint("extraction")
        if checkpoint.complete:
            checkpoint = self.ledger.runs.begin_scan("extraction")
        last_asked = self._extract(checkpoint)
        completeness = self._compare()
        if completeness.lacking:
            # If the list really ended there, this only repeats one page.
            self.ledger.runs.reopen_scan("extraction", last_asked)
            self._extract(self.ledger.runs.checkpoint("extraction"), is_end_again=True)
            completeness = self._compare()
        return completeness

    def _extract(self, checkpoint: Checkpoint, *, is_end_again: bool = False) -> str | None:
        """Write all pages from a checkpoint on; return the cursor that the last page had."""
        last_asked = checkpoint.cursor

        def stored(company_ids: Collection[str]) -> Mapping[str, bool]:
            return self.ledger.contacts.known_companies(company_ids, checkpoint.scan)

        reading = page_batches(
            self.hubspot,
            self.mappings,
            checkpoint.cursor,
            stored,
            self.check,
            is_end_again=is_end_again,
        )
        with closing(reading) as batches:
            for batch in batches:
                self._write(batch, checkpoint.scan)
                last_asked = batch.last_asked
        return last_asked

    def _write(self, batch: PageBatch, scan: int) -> None:
        with self.ledger.transaction():
            page = sort(self.ledger, batch, scan, self.portal_id, self.mappings)
            given = self.ledger.contacts.write_page(page, scan)
            self.counters.add(page, given, batch.odd)
            self.note(self.counters.counters())
        self.notice(self.counters.counters())
        self.check()

    def _compare(self) -> Completeness:
        """Compare the scan with HubSpot's count."""
        counted, why_not = None, ""
        try:
            # The count is optional, so it is not retried.
            counted = self.hubspot.contact_count(is_patient=False)
        except (NotReady, StoppedEarly) as error:
            why_not = error.message
        self.ledger.runs.note_count("extraction", counted)
        checkpoint = self.ledger.runs.checkpoint("extraction")
        return Completeness(checkpoint.met, checkpoint.odd, counted, why_not)


def map_extracted(
    ledger: Ledger, portal_id: str, check: Callable[[], None] = lambda: None
) -> StageResult:
    """Map all extracted contacts without reading HubSpot; see `stage`."""
    counters = StageResult()
    _map(ledger, portal_id, active_rules(ledger), counters, check)
    return counters


def _map(
    ledger: Ledger,
    portal_id: str,
    rules: Rules,
    counters: StageResult,
    check: Callable[[], None],
    notice: Notice = lambda counters: None,
    note: Notice = lambda counters: None,
) -> None:
    total = ledger.counts.to_map()
    while batch := ledger.contacts.to_map(MAPPED_AT_ONCE):
        mapped, excluded, ineffective = _map_batch(batch, portal_id, rules)
        counters.ineffective += len(ineffective)
        counters.ineffective_examples += ineffective[
            : EXAMPLES - len(counters.ineffective_examples)
        ]
        counters.mapped += len(mapped)
        counters.rejected += len(excluded)
        progress = {**counters.counters(), "total": total}
        with ledger.transaction():
            ledger.contacts.write_mapped(mapped, excluded)
            note(progress)
        notice(progress)
        check()
    ledger.source_moves.pass_leads_to_duplicates()
    counters.freed = ledger.holds.release_orphaned_duplicates()


def _map_batch(
    batch: Sequence[ContactToMap], portal_id: str, rules: Rules
) -> tuple[list[MappedContact], list[ExcludedContact], list[str]]:
    """Leads, excluded contacts, and HubSpot ids of contacts whose amendments have no effect."""
    mapped, excluded, ineffective = [], [], []
    for contact in batch:
        _, source, company, amended = contact
        result = to_lead(*overlay(source, company, amended), portal_id, rules)
        if amended and to_lead(source, company, portal_id, rules) == result:
            ineffective.append(str(source["id"]))
        if isinstance(result, Exclusion):
            excluded.append(ExcludedContact(contact.key, Hold(result.reason), result.detail))
        else:
            derived = ",".join(result.derived_fields) or None
            mapped.append(
                MappedContact(contact.key, canonical_json(result.lead), result.email_key, derived)
            )
    return mapped, excluded, ineffective
