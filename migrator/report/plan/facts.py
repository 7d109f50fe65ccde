"""
What a push would do, as plain data: one snapshot of the ledger, beside what a look at the client
showed. It changes nothing and asks no service.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from migrator.errors import UsageError
from migrator.ledger import DuplicatePair, Ledger, ProvenanceGroup
from migrator.rate_limit import SAFE_PER_MINUTE
from migrator.report.facts import Report
from migrator.report.facts import gather as gather_report
from migrator.report.plan.destination import DestinationScan
from migrator.report.plan.requests import RequestEstimate, reckon
from migrator.report.plan.samples import Sample, first
from migrator.states import Hold, State

FIRST_DUPLICATES = 5


@dataclass(frozen=True)
class Plan:
    """
    Everything that is shown.

    Args:
        report: Where every contact stands.
        leadgenius_url, client_id: Where the leads go to; `client_id=None` = not chosen yet.
        alike: The contacts to be sent, by how their leads came about.
        duplicates: The first of them, and what is sent in their place.
        look: What a listing showed; `None` = there was none, because of `not_looked`.
        requests: What the push takes.
        is_pace_found: Whether it reckons with what an earlier push found.
        samples: The first leads, as they would be sent.
    """

    report: Report
    leadgenius_url: str
    client_id: str | None
    alike: Sequence[ProvenanceGroup]
    duplicates: Sequence[DuplicatePair]
    look: DestinationScan | None
    not_looked: str | None
    requests: RequestEstimate
    is_pace_found: bool
    samples: Sequence[Sample]

    @property
    def sendable(self) -> int:
        """Contacts that are free to be sent."""
        return self.report.states[State.MAPPED].free

    @property
    def made_up(self) -> Mapping[str, int]:
        """Contacts to be sent by what the mapping had to make up; one can count several times."""
        counter: Counter[str] = Counter()
        for one in self.alike:
            counter.update(dict.fromkeys(one.derived_fields, one.contacts))
        return dict(sorted(counter.items()))

    @property
    def company_rules(self) -> Mapping[str, int]:
        """Contacts to be sent by which rule chose the company; `none` = HubSpot names none."""
        counter: Counter[str] = Counter()
        for one in self.alike:
            counter[one.company_rule or "none"] += one.contacts
        return dict(sorted(counter.items()))

    @property
    def without_company_name(self) -> int:
        """Contacts to be sent whose leads name no company."""
        return sum(one.contacts for one in self.alike if not one.has_company_name)

    @property
    def outdated(self) -> int:
        """Contacts to be sent whose leads another mapping built than the one in force."""
        return sum(one.contacts for one in self.alike if one.is_outdated)

    @property
    def held(self) -> Mapping[Hold, int]:
        """Contacts that wait for a person, by reason."""
        return {waiting.held: waiting.contacts for waiting in self.report.held}

    @property
    def duplicate_contacts(self) -> int:
        """Contacts that are not sent because another one has their e-mail."""
        return self.held.get(Hold.DUPLICATE_EMAIL, 0)


def check_staged(ledger: Ledger) -> None:
    """
    Go on only where there is something to plan with.

    Raises:
        LedgerForgotten: there is nothing any more.
        UsageError: nothing was staged yet.
    """
    ledger.erasure.ensure_not_erased()
    extraction = ledger.runs.checkpoint("extraction")
    if ledger.runs.binding().portal_id is None or not (extraction.contacts_seen or extraction.scan):
        raise UsageError(f"Nothing is staged in the ledger {ledger.path} yet.", "migrator stage")


def gather(
    ledger: Ledger,
    *,
    leadgenius_url: str,
    client_id: str | None,
    look: DestinationScan | None,
    not_looked: str | None,
    per_minute: float | None,
    samples: int,
) -> Plan:
    """
    Read everything in one transaction.

    Args:
        look: A listing that was taken in; `None` = there was none.
        not_looked: Why there was none, in words.
        per_minute: The pace to reckon with; `None` = what a push found, else the safe one.
        samples: So many leads as they would be sent.
    """
    report = gather_report(ledger)
    with ledger.transaction():
        found = ledger.runs.pace() if per_minute is None else None
        return Plan(
            report=report,
            leadgenius_url=leadgenius_url,
            client_id=client_id,
            alike=ledger.counts.by_provenance(),
            duplicates=ledger.counts.duplicate_pairs(FIRST_DUPLICATES),
            look=look,
            not_looked=not_looked,
            requests=_requests(ledger, report, look, per_minute or found or SAFE_PER_MINUTE),
            is_pace_found=found is not None,
            samples=first(ledger, client_id, look, samples),
        )


def _requests(
    ledger: Ledger, report: Report, look: DestinationScan | None, per_minute: float
) -> RequestEstimate:
    states, journey = report.states, ledger.runs
    known = states[State.POSTED].total + states[State.VERIFIED].total
    looks = 0
    if journey.owes_look():
        # What another ledger sent last may still land: a push then looks twice.
        looks = 2 if journey.adopted_foreign_sends() or (look and look.ours) else 1
    free = states[State.MAPPED].free
    return reckon(
        leads=free if look is None else max(0, free - look.kept_back),
        there=known if look is None else look.leads,
        looks=looks,
        in_doubt=report.in_doubt,
        canary=not journey.is_canary_passed(),
        per_minute=per_minute,
    )
