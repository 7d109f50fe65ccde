"""
The proof, with one line for each send, contact and fault, and the verdict.

Each line carries the SHA-256 of the line before, with its line break, as hexadecimal; that of the
last line is the head, which stands for the whole proof. `docs/check_proof.py` checks it.
"""

import dataclasses
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from migrator.audit.evidence import LedgerEvidence
from migrator.audit.records import Attempt, ContactEvidence, fields
from migrator.audit.rules import PromiseBroken, faults_of, faults_of_all

Line = Mapping[str, Any]
Lead = Mapping[str, Any]


@dataclass(frozen=True)
class AuditVerdict:
    """
    The result of an audit.

    Args:
        contacts, sends, leads: The numbers that were checked; `leads` = listed in LeadGenius.
        with_lead: Contacts with a lead.
        with_reason: Contacts that are held with a reason.
        waiting: Contacts that are still to be mapped or sent.
        in_doubt: Contacts whose last send is not settled.
        undone: Contacts whose lead was taken back; they are among those with a reason.
        gone: Contacts that HubSpot has no more, with a lead or a reason.
        strangers: Listed leads that are not ours.
        unknown: Listed leads with the record line of a contact that is not in this ledger.
        faults: Violations of the promise, or gaps in the proof.
        head: SHA-256 of the proof's last line.
    """

    contacts: int
    sends: int
    leads: int
    with_lead: int
    with_reason: int
    waiting: int
    in_doubt: int
    undone: int
    gone: int
    strangers: int
    unknown: int
    faults: int
    head: str = ""

    @property
    def holds(self) -> bool:
        """Whether there are no faults."""
        return self.faults == 0

    @property
    def is_complete(self) -> bool:
        """Whether every contact has a lead or a reason."""
        return self.waiting == self.in_doubt == 0


def audit(
    ledger: Path,
    leads: Iterable[Lead],
    write: Callable[[str], None],
    look_again: Callable[[int], Iterable[Lead]] = lambda unseen: (),
) -> AuditVerdict:
    """
    Audit a ledger that is not in use, and write the proof.

    Args:
        leads: A complete, current listing of the client, as LeadGenius returns it.
        write: Receives each line of the proof, in ASCII; the verdict is the last one.
        look_again: Lists the client again if leads are missing (their number), as reads may lag.

    Raises:
        NotALedger: the file cannot be read as a ledger.
    """
    chain = _Chain(write)
    began_ms = time.time() * 1000
    with LedgerEvidence.of(ledger, leads) as evidence:
        if (unseen := evidence.unseen()) and evidence.binding.client_id is not None:
            evidence.add(look_again(unseen))
        ledger_line = {"kind": "ledger", **dataclasses.asdict(evidence.binding)}
        chain.add({**ledger_line, **evidence.totals(), "audited": _time(began_ms)})
        counts = Counter[str]()
        known: set[str] = set()
        for contact in evidence.contacts():
            # A lead with a posted contact's e-mail and no record line counts as its second lead.
            known.update(contact.left, contact.same_email if contact.lead_id is not None else ())
            for line in _lines(contact, evidence):
                counts[line["kind"]] += 1
                chain.add(line)
            counts[_standing(contact)] += 1
            counts["undone"] += contact.held == "undone"
            counts["gone"] += contact.gone is not None
        for fault in faults_of_all(evidence):
            counts["fault"] += 1
            chain.add(_fault(fault))
        verdict = _verdict(counts, evidence, known)
    numbers = dataclasses.asdict(verdict)
    del numbers["head"]
    chain.add(
        {
            "kind": "verdict",
            "holds": verdict.holds,
            "complete": verdict.is_complete,
            **numbers,
        }
    )
    return dataclasses.replace(verdict, head=chain.head)


class _Chain:
    """Writes lines, each with the SHA-256 of the line before; `head` is that of the last one."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self.head = ""

    def add(self, line: Line) -> None:
        # DEL is the only control character that `json` does not escape, and no output shows it.
        text = _encode({**line, "previous": self.head or None}).replace("\x7f", "\\u007f")
        self.head = hashlib.sha256(f"{text}\n".encode()).hexdigest()
        self._write(text)


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
        undone=counts["undone"],
        gone=counts["gone"],
        strangers=evidence.strangers(known),
        unknown=evidence.unknown(),
        faults=counts["fault"],
    )


def _lines(contact: ContactEvidence, evidence: LedgerEvidence) -> Iterator[Line]:
    for attempt in contact.attempts:
        yield _send(contact, attempt)
    yield {
        "kind": "contact",
        "contact": contact.hubspot_id,
        "state": contact.state,
        "lead": contact.lead_id,
        "reason": contact.held,
        "standing": _standing(contact),
        "gone": contact.gone,
        "merged_into": contact.merged_into,
        "successor": contact.successor,
        "released": contact.releases,
        "listed": list(contact.listed),
    }
    for fault in faults_of(contact, evidence.binding):
        yield _fault(fault)


def _send(contact: ContactEvidence, attempt: Attempt) -> Line:
    return {
        "kind": "send",
        "contact": contact.hubspot_id,
        "attempt": attempt.number,
        "write": attempt.kind,
        "run": attempt.run_id,
        "sent": _time(attempt.sent_ms),
        "payload_sha256": attempt.payload_hash,
        "status": attempt.status,
        "outcome": attempt.outcome,
        "settled": _time(attempt.settled_ms),
        "lead": attempt.lead_id,
        "fields": _names(attempt.fields),
        "overrode": None if attempt.overrode is None else fields(attempt.overrode),
        "made_status": attempt.made_status,
    }


def _names(values: str | None) -> list[str] | None:
    """The fields of an update without their values, which are personal data."""
    try:
        return None if values is None else sorted(fields(values))
    except ValueError:  # corrupt
        return None


def _standing(contact: ContactEvidence) -> str:
    if contact.is_in_doubt:
        return "in doubt"
    if contact.held is not None:
        return "reason"
    return "lead" if contact.lead_id is not None else "waiting"


def _fault(fault: PromiseBroken) -> Line:
    return {"kind": "fault", **dataclasses.asdict(fault)}


def _time(milliseconds: float | None) -> str | None:
    if milliseconds is None:
        return None
    seconds, rest = divmod(int(milliseconds), 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=64)  # many sends are of one second
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


_encode = json.JSONEncoder(check_circular=False).encode
