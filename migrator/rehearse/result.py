"""What a rehearsal came to, as JSON and as text."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from migrator.ledger import HeldContact, Ledger
from migrator.rehearse.staged import Staged, arrived, not_created
from migrator.report import Report, as_json, render, summary
from migrator.streams import tell
from migrator.text import count_noun, duration, one_line

_VERIFIED = ("verified", "different", "missing", "doubled")


@dataclass(frozen=True)
class RehearsalResult:
    """
    The copy of the ledger after the rehearsal.

    Args:
        staged: The ledger before it.
        report: The report on the copy.
        refused: The contacts that were not created.
        verified, verify_line: The counters of `verify`, and its result line.
        faults: How many faults the audit found; 0 = the promise holds.
        seconds: How long the push took.
    """

    staged: Staged
    report: Report
    refused: tuple[HeldContact, ...]
    verified: Mapping[str, int]
    verify_line: str
    faults: int
    seconds: float

    @classmethod
    def read(cls, copy: Ledger, staged: Staged, **more: Any) -> "RehearsalResult":
        """Read the copy; `more` = the fields that it does not tell."""
        now = not_created(copy)
        new = tuple(one for one in now if one.hubspot_id not in staged.not_created)
        return cls(staged, summary.read(copy), new, **more)

    def as_json(self) -> dict[str, Any]:
        """
        The result as JSON values, under names that do not change.

            contacts, sendable    contacts in the ledger, and those that a push sends
            created               of those, the ones that came to have a lead
            refused               [{contact, why}]: all that were not created, with the last answer
            held, states          as in `report --json`: contacts by reason, and by state
            verified, different, missing, doubled
                                  as `verify` counts them
            audit                 {holds, faults}
            seconds               how long the rehearsal's push took
            real_push_seconds, real_push_per_minute
                                  how long the real one takes, and the rate that is assumed
            as_probed_ms          when LeadGenius was probed, in milliseconds since 1970, UTC;
                                  null = the sandbox behaved as the guide says
        """
        staged, told = self.staged, as_json(self.report)
        return {
            "contacts": staged.contacts,
            "sendable": staged.sendable,
            "created": arrived(self.report) - staged.arrived,
            "refused": [
                {"contact": one_line(one.hubspot_id), "why": one_line(one.detail or str(one.held))}
                for one in self.refused
            ],
            "held": {reason: one["contacts"] for reason, one in told["held"].items()},
            "states": told["states"],
            **{name: self.verified[name] for name in _VERIFIED},
            "audit": {"holds": not self.faults, "faults": self.faults},
            "seconds": round(self.seconds, 1),
            "real_push_seconds": round(staged.seconds),
            "real_push_per_minute": staged.per_minute,
            "as_probed_ms": staged.probed.probed_ms if staged.probed else None,
        }

    def print(self) -> None:
        """Print the result: the report that the push would have led to, marked as a rehearsal."""
        staged, refused = self.staged, len(self.refused)
        manner = one_line(staged.manner[0].upper() + staged.manner[1:])
        proof = f"{self.faults:,} faults" if self.faults else "the promise holds"
        tell(
            f"REHEARSAL: nothing was sent to LeadGenius. {manner}.\n"
            f"The push took {duration(self.seconds)}; the real one takes about "
            f"{duration(staged.seconds)} at {staged.per_minute:,.4g} a minute.\n"
            f"Not created: {refused:,}. Verify: {self.verify_line}. Audit: {proof}.\n"
        )
        following = ("migrator push", "that was a rehearsal, and its copy of the ledger is gone")
        if refused:
            why = f"{count_noun(refused, 'contact')} would not be created: all of them, and why"
            following = ("migrator rehearse --json", why)
        where = f"the sandbox, not {one_line(staged.url)}"
        shown = replace(
            self.report,
            ledger=one_line(f"a copy of {staged.ledger}"),
            binding=replace(self.report.binding, leadgenius_url=where),
        )
        render(shown, following=following)
