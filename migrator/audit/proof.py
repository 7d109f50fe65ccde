"""
The verdict, and the proof line by line: each send, each contact with its lead or its reason.

Owns the shape of the proof. What is a fault, `rules` decides; where a fact is from, `evidence`.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from migrator.audit.evidence import Attempt, ContactEvidence, LedgerEvidence
from migrator.audit.rules import PromiseBroken, faults_of, faults_of_all

Line = Mapping[str, Any]
Lead = Mapping[str, Any]


@dataclass(frozen=True)
class AuditVerdict:
    """
    What the evidence proves.

    Args:
        contacts, sends, leads: How many were looked at; `leads` = listed at the destination.
        with_lead: Contacts that have their lead.
        with_reason: Contacts that have none, or have lost it, and a hold says why.
        waiting: Contacts that are still to be mapped or sent.
        in_doubt: Contacts whose last send is not settled.
        strangers: Listed leads of others.
        unknown: Listed leads with our line, of contacts that this ledger does not know.
        faults: Each is a place where the promise does not hold, or cannot be proven.
    """

    contacts: int
    sends: int
    leads: int
    with_lead: int
    with_reason: int
    waiting: int
    in_doubt: int
    strangers: int
    unknown: int
    faults: int

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the promise."""
        return self.faults == 0

    @property
    def is_complete(self) -> bool:
        """Whether every contact has its lead or its reason."""
        return self.waiting == self.in_doubt == 0


def audit(
    ledger: Path,
    leads: Iterable[Lead],
    write: Callable[[Line], None],
    look_again: Callable[[int], Iterable[Lead]] = lambda unseen: (),
) -> AuditVerdict:
    """
    Judge a ledger that nobody works on, and write the proof.

    Args:
        leads: A complete and fresh listing of the client, as LeadGenius gives it.
        write: Takes each line of the proof: sends and contacts, faults as they are found, the
            verdict last.
        look_again: Lists once more, where so many leads were not listed: reads may lag.

    Raises:
        NotALedger: the file cannot be read as a ledger.
    """
    with LedgerEvidence.of(ledger, leads) as evidence:
        if (unseen := evidence.unseen()) and evidence.binding.client_id is not None:
            evidence.add(look_again(unseen))
        write({"kind": "ledger", **dataclasses.asdict(evidence.binding)})
        counts = Counter[str]()
        known: set[str] = set()
        for case in evidence.cases():
            # One with a contact's e-mail and no line is that contact's second one.
            known.update(case.left, case.same_email if case.lead_id is not None else ())
            for line in _lines(case, evidence):
                counts[line["kind"]] += 1
                write(line)
            counts[_standing(case)] += 1
        for fault in faults_of_all(evidence):
            counts["fault"] += 1
            write(_fault(fault))
        verdict = _verdict(counts, evidence, known)
    write(
        {
            "kind": "verdict",
            "holds": verdict.holds,
            "complete": verdict.is_complete,
            **dataclasses.asdict(verdict),
        }
    )
    return verdict


def _verdict(
    counts: Mapping[str, int], evidence: LedgerEvidence, known: Iterable[str]
) -> AuditVerdict:
    return AuditVerdict(
        contacts=counts["contact"],
        sends=counts["send"],
        leads=evidence.leads(),
        with_lead=counts["lead"],
        with_reason=counts["reason"],
        waiting=counts["waiting"],
        in_doubt=counts["in doubt"],
        strangers=evidence.strangers(known),
        unknown=evidence.unknown(),
        faults=counts["fault"],
    )


def _lines(case: ContactEvidence, evidence: LedgerEvidence) -> Iterator[Line]:
    for attempt in case.attempts:
        yield _send(case, attempt)
    yield {
        "kind": "contact",
        "contact": case.hubspot_id,
        "state": case.state,
        "lead": case.lead_id,
        "reason": case.held,
        "standing": _standing(case),
        "listed": list(case.listed),
    }
    for fault in faults_of(case, evidence.binding):
        yield _fault(fault)


def _send(case: ContactEvidence, attempt: Attempt) -> Line:
    return {
        "kind": "send",
        "contact": case.hubspot_id,
        "attempt": attempt.number,
        "run": attempt.run_id,
        "sent": _time(attempt.sent_ms),
        "payload_sha256": attempt.payload_hash,
        "status": attempt.status,
        "outcome": attempt.outcome,
        "settled": _time(attempt.settled_ms),
        "lead": attempt.lead_id,
    }


def _standing(case: ContactEvidence) -> str:
    if case.is_in_doubt:
        return "in doubt"
    if case.held is not None:
        return "reason"
    return "lead" if case.lead_id is not None else "waiting"


def _fault(fault: PromiseBroken) -> Line:
    return {"kind": "fault", **dataclasses.asdict(fault)}


def _time(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
