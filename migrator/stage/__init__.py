"""
The stage command: reads every contact from HubSpot into the ledger, and maps each to its lead.

Consecutive pages, their companies and the cursor behind them are one transaction, so a crash
repeats at most the few pages that were read ahead, harmlessly. A second run reads what is new or
changed, and never touches what was posted. After a change of the mapping, contacts that are not
posted are mapped again, like changed contacts. The modules:

    prefetch      HubSpot's pages with their companies, read ahead
    changes       what each contact means for the ledger: new, changed or unchanged
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

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
from migrator.stage.changes import sort
from migrator.stage.prefetch import PageBatch, page_batches
from migrator.states import Hold

MAPPED_AT_ONCE = 1000
EXAMPLES = 3

# The counters and, once HubSpot has given all, `total`: how many contacts are there to be mapped.
Notice = Callable[[Mapping[str, int]], None]


@dataclass
class StageResult(StageCounters):
    """
    The counters, and what stands behind them.

    Args:
        ineffective_examples: HubSpot's ids of the first contacts that were amended without effect.
        odd_examples: The first odd rows, in words.
        completeness: The scan beside HubSpot's own count; `None` = it has not reached its end.
    """

    ineffective_examples: list[str] = field(default_factory=list)
    odd_examples: list[str] = field(default_factory=list)
    completeness: Completeness | None = None

    def add(self, page: ExtractedPage, given: int, odd: Sequence[str]) -> None:
        """Count pages, in which the scan met this many contacts for the first time."""
        self.pages += page.count
        self.given += given
        self.odd_examples += odd[: EXAMPLES - len(self.odd_examples)]
        self.odd += page.odd
        self.new += len(page.new)
        self.changed += len(page.changed)
        self.stale += len(page.stale)


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
    Extract every page that is left of the sweep, then map what is extracted.

    Args:
        portal_id: The portal, for the line that tells a lead's contact (design, I4).
        rules: The mapping to put in force; `None` = the one that is.
        check: Called between transactions; raises when the user wants to stop.
        notice: Called with the counters after each step, for a person to watch.
        note: Called with them in the transaction of each step, to be kept with it.
    """
    counters = StageResult()
    mappings, counters.withdrawn = activate_mapping(ledger, rules, check)
    extraction = _Extraction(ledger, hubspot, portal_id, mappings, counters, check, notice, note)
    counters.completeness = extraction.run()
    _map(ledger, portal_id, mappings.rules, counters, check, notice, note)
    return counters


@dataclass
class _Extraction:
    """The rest of a sweep, from HubSpot's pages into the ledger."""

    ledger: Ledger
    hubspot: HubSpot
    portal_id: str
    mappings: MappingSet
    counters: StageResult
    check: Callable[[], None]
    notice: Notice
    note: Notice

    def run(self) -> Completeness:
        """Read to the end of the list, which is asked for again where HubSpot counts otherwise."""
        checkpoint = self.ledger.runs.checkpoint("extraction")
        if checkpoint.complete:
            checkpoint = self.ledger.runs.begin_scan("extraction")
        last_asked = self._extract(checkpoint)
        completeness = self._compare()
        if completeness.lacking:
            # Where the end was one, this reads one page once more, and changes nothing.
            self.ledger.runs.reopen_scan("extraction", last_asked)
            self._extract(self.ledger.runs.checkpoint("extraction"), is_end_again=True)
            completeness = self._compare()
        return completeness

    def _extract(self, checkpoint: Checkpoint, *, is_end_again: bool = False) -> str | None:
        """Returns the cursor that the last page was asked for with."""
        last_asked = checkpoint.cursor

        def stored(company_ids: Collection[str]) -> Mapping[str, Any]:
            return self.ledger.contacts.companies(company_ids, checkpoint.scan)

        reading = page_batches(
            self.hubspot,
            self.mappings,
            checkpoint.cursor,
            stored,
            self.check,
            is_end_again=is_end_again,
        )
        with closing(reading) as coming:
            for stretch in coming:
                self._write(stretch, checkpoint.scan)
                last_asked = stretch.last_asked
        return last_asked

    def _write(self, stretch: PageBatch, sweep: int) -> None:
        with self.ledger.transaction():
            page = sort(self.ledger, stretch, sweep, self.portal_id, self.mappings)
            given = self.ledger.contacts.write_page(page, sweep)
            self.counters.add(page, given, stretch.odd)
            self.note(self.counters.counters())
        self.notice(self.counters.counters())
        self.check()

    def _compare(self) -> Completeness:
        counted, why_not = None, ""
        try:
            # Nothing depends on it, so it is not waited for.
            counted = self.hubspot.contact_count(is_patient=False)
        except (NotReady, StoppedEarly) as error:
            why_not = error.message
        self.ledger.runs.note_count("extraction", counted)
        checkpoint = self.ledger.runs.checkpoint("extraction")
        return Completeness(checkpoint.met, checkpoint.odd, counted, why_not)


def map_extracted(
    ledger: Ledger, portal_id: str, check: Callable[[], None] = lambda: None
) -> StageResult:
    """Map what is extracted, without a look at HubSpot; see `stage`."""
    counters = StageResult()
    rules = active_rules(ledger)
    _map(ledger, portal_id, rules, counters, check, _nobody, _nobody)
    return counters


def _nobody(counters: Mapping[str, int]) -> None:
    """Nobody watches, and nothing is kept."""


def _map(
    ledger: Ledger,
    portal_id: str,
    rules: Rules,
    counters: StageResult,
    check: Callable[[], None],
    notice: Notice,
    note: Notice,
) -> None:
    total = ledger.counts.to_map()
    while batch := ledger.contacts.to_map(MAPPED_AT_ONCE):
        built, rejected, ineffective = _map_batch(batch, portal_id, rules)
        counters.ineffective += len(ineffective)
        counters.ineffective_examples += ineffective[
            : EXAMPLES - len(counters.ineffective_examples)
        ]
        counters.mapped += len(built)
        counters.rejected += len(rejected)
        told = {**counters.counters(), "total": total}
        with ledger.transaction():
            ledger.contacts.write_mapped(built, rejected)
            note(told)
        notice(told)
        check()
    counters.freed = ledger.holds.release_orphaned_duplicates()


def _map_batch(
    batch: Sequence[ContactToMap], portal_id: str, rules: Rules
) -> tuple[list[MappedContact], list[ExcludedContact], list[str]]:
    """What becomes of each, and HubSpot's ids of those whose amendment changes nothing of it."""
    built, rejected, ineffective = [], [], []
    for contact in batch:
        _, source, company, amended = contact
        result = to_lead(*overlay(source, company, amended), portal_id, rules)
        if amended and to_lead(source, company, portal_id, rules) == result:
            ineffective.append(str(source["id"]))
        if isinstance(result, Exclusion):
            rejected.append(ExcludedContact(contact.key, Hold(result.reason), result.detail))
        else:
            made_up = ",".join(result.made_up) or None
            built.append(
                MappedContact(contact.key, canonical_json(result.lead), result.email_key, made_up)
            )
    return built, rejected, ineffective
