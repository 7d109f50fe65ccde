"""
How LeadGenius stores and lists leads, as far as a probe found out (life, section 6).

A field that is not stored is no difference. Of notes that are cut, only the whole lines that are
stored count. Where the cut goes through a line of ours, its beginning is left at the end of the
listed notes; that is not a line of a person.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from migrator.findings import Findings
from migrator.mapping import comparable


class Clearing(StrEnum):
    """What an update sends to clear a field."""

    NULL = "null"
    EMPTY = "empty"  # the empty string


@dataclass(frozen=True)
class LeadStorage:
    """
    What is known of it; the defaults are what is believed of a service that was never probed.

    Args:
        shown: Fields that a listing shows on a lead that has them.
        dropped: Fields that are accepted and not stored.
        notes_limit: Characters of notes that are stored; None = all.
        clearing: How an update clears a field; None = unknown.
    """

    shown: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()
    notes_limit: int | None = None
    clearing: Clearing | None = None

    @classmethod
    def of(cls, findings: Findings) -> "LeadStorage":
        """The part of the findings of a probe that comparisons use."""
        update = findings.update or {}
        # Under a PUT that replaces, what is left out is cleared; `whole_lead` leaves out null.
        is_null = update.get("null_clears") or update.get("partial") is False
        by_empty = Clearing.EMPTY if update.get("empty_clears") else None
        return cls(
            shown=frozenset(findings.listing_fields or ()),
            dropped=findings.dropped_fields,
            notes_limit=findings.notes_limit,
            clearing=Clearing.NULL if is_null else by_empty,
        )

    def stored(self, lead: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fields of a lead that was sent, as far as they are stored."""
        if not self.dropped and self.notes_limit is None:
            return lead
        kept = {name: value for name, value in lead.items() if name not in self.dropped}
        if isinstance(notes := kept.get("notes"), str):
            kept["notes"] = self.whole_lines(notes)
        return kept

    def whole_lines(self, notes: str) -> str:
        """The lines of notes that are stored to their ends."""
        if self.notes_limit is None or len(notes) <= self.notes_limit:
            return notes
        return notes[: self.notes_limit + 1].rpartition("\n")[0]

    def can_hold(self, notes: str) -> bool:
        """Whether such notes are stored whole."""
        return self.whole_lines(notes) == notes

    def with_remnant(self, notes: str, new: str) -> str:
        """Notes to write, and behind them what is stored of the lines of `new` that are cut."""
        rest = new[len(self.whole_lines(new)) :]
        return f"{notes.rstrip()}{rest}"[: self.notes_limit] if rest else notes

    def without_remnant(self, listed: str, sent: str | None) -> str:
        """
        Listed notes without the beginning of the line of ours that was cut, if it is their end.

        Args:
            sent: The notes that LeadGenius was last told; None = unknown.
        """
        whole = self.whole_lines(sent or "")
        remnant = comparable((sent or "")[len(whole) : self.notes_limit])
        before, _, last = listed.rstrip().rpartition("\n")
        return before if remnant and whole != sent and comparable(last) == remnant else listed


NEVER_PROBED = LeadStorage()
