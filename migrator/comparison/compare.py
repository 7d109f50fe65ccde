"""
Compares base, new lead and listed lead field by field (life, section 3).

The listed value decides: the base's is changed to the new one, the new one is there already, any
other was changed there while HubSpot changed it too, which is a conflict.
"""

from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from migrator.canonical_json import canonical_json
from migrator.comparison.notes import keep_record_line, merge_notes
from migrator.comparison.storage import NEVER_PROBED, Clearing, LeadStorage
from migrator.mapping import compare, email_key, note_lines, same_value, text_of


class Preference(StrEnum):
    """Which value a field in conflict gets."""

    ASK = "ask"  # none yet: it stays in conflict
    HUBSPOT = "hubspot"
    LEADGENIUS = "leadgenius"  # what is there, until HubSpot changes the field again


@dataclass
class LeadChange:
    """
    What an update does with one lead, and what it leaves; lists are names of fields, sorted.

    Args:
        base_now: The base before anything is written: `already` and `kept` have their new values.
        base_after: The base once the changes are taken.
        changes: The new values to write; None or "" clears the field.
        overrode: Of `changes`, what decided those in conflict: `prefer` or `amend` (a person).
        already: Changed at HubSpot, and there already.
        kept: In conflict, and decided in favour of what is there.
        conflicts: `{"sent", "there", "new"}` of each field in conflict. `sent` is None if it is
            unknown, and "" if the field was never sent; `there` is the text of the listed value;
            `new` is what `Preference.HUBSPOT` would write, so for notes it has all their lines.
        not_cleared: Had a value, are empty at HubSpot now, and cannot be cleared.
        not_shown: Changed at HubSpot, but the listing does not show them.
        not_kept: Changed at HubSpot, but LeadGenius does not store them, or not these lines of
            notes. They count as told, so that they rest.
    """

    base_now: dict[str, str | None]
    base_after: dict[str, str | None]
    changes: dict[str, str | None] = field(default_factory=dict)
    overrode: dict[str, str] = field(default_factory=dict)
    already: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    conflicts: dict[str, dict[str, str | None]] = field(default_factory=dict)
    not_cleared: list[str] = field(default_factory=list)
    not_shown: list[str] = field(default_factory=list)
    not_kept: list[str] = field(default_factory=list)

    @property
    def is_nothing(self) -> bool:
        """Whether HubSpot changed no field, so that there is nothing to write or to report."""
        return not (self.changes or self.already or self.kept or self.not_kept or self.is_left)

    @property
    def is_already(self) -> bool:
        """Whether HubSpot changed the lead, and all of it is there."""
        is_rest = self.changes or self.kept or self.not_kept or self.is_left
        return bool(self.already) and not is_rest

    @property
    def is_unlike_base(self) -> bool:
        """Whether a field that HubSpot changed is not listed as LeadGenius was told it."""
        return bool(self.already or self.kept or self.conflicts or self.overrode)

    @property
    def is_left(self) -> bool:
        """Whether a field will differ from HubSpot's without a decision."""
        return bool(self.conflicts or self.not_cleared or self.not_shown)


@dataclass(frozen=True)
class _Merged:
    """
    A listed value with our change in it.

    Args:
        value: Without what is in conflict.
        overwriting: With it.
    """

    value: str
    overwriting: str
    has_conflict: bool = False


def adopted_base(lead: Mapping[str, str], there: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the base of an adopted lead: our value where it is listed, else None (unknown)."""
    found = compare(lead, there)
    unknown = {*found.differs, *found.lacks}
    return {name: None if name in unknown else value for name, value in lead.items()}


def compare_lead(
    base: Mapping[str, str | None],
    new: Mapping[str, str],
    there: Mapping[str, Any],
    *,
    shown: Collection[str] = (),
    prefer: Preference = Preference.ASK,
    decided: Mapping[str, Mapping[str, str]] | None = None,
    disputed: Collection[str] = (),
    taken_emails: Container[str] = (),
    storage: LeadStorage = NEVER_PROBED,
) -> LeadChange:
    """
    Return what an update does with a lead that is listed and not removed.

    Args:
        base: The lead as LeadGenius was last told; after a merge, the predecessor's.
        new: The lead as HubSpot would give it now.
        there: The listed lead.
        shown: Fields that the listing shows on any lead: one that this lead lacks is empty. A field
            that neither has is not compared.
        prefer: Decides the fields in conflict that `decided` does not.
        decided: A person's decisions by field, `{"there", "value"}`: `value` is to be there. One
            counts if the field is in conflict and `there` is still the listed value.
        disputed: Fields that `verify` holds as different: another value there is a conflict even if
            HubSpot did not change it.
        taken_emails: `email_key` of the leads of other contacts, without a predecessor that is
            gone. One of them is never written: it stays a conflict unless what is there is kept.
        storage: What LeadGenius stores of a lead, and how a field is cleared; where that is not
            known, none is (guide, rule 1).
    """
    change = LeadChange(dict(base), dict(base))
    for name in sorted({*base, *new}):
        told, wanted = base.get(name, ""), new.get(name, "")
        if name not in disputed and _is_same(name, told, wanted):
            _tell(name, new, change.base_now, change.base_after)  # its spelling can differ
            continue
        listed = listed_text(there.get(name))
        has_remnant = False
        if name == "notes":
            there_whole = storage.without_remnant(listed, told)
            # Of lines that were cut, what is stored stays, unless a person took it out.
            has_remnant = listed != there_whole or storage.can_hold(told or "")
            listed = there_whole
            told, wanted = told and storage.whole_lines(told), storage.whole_lines(wanted)
        is_same = name not in disputed and _is_same(name, told, wanted)
        if is_same or name in storage.dropped:
            if told is not None:  # else it is not known whether HubSpot changed it
                change.not_kept.append(name)
            _tell(name, new, change.base_now, change.base_after)
            continue
        if name not in there and name not in shown:
            change.not_shown.append(name)
            continue
        if name == "notes":
            merged = _merge_notes(told, wanted, listed, is_disputed=name in disputed)
        else:
            is_taken = name == "email" and email_key(wanted) in taken_emails
            merged = _merge(name, told, wanted, listed, is_taken=is_taken)
        if listed and not merged.overwriting and storage.clearing is None:
            change.not_cleared.append(name)
            continue
        value: str | None = merged.value
        decision = (decided or {}).get(name)
        if decision and not same_text(name, decision["there"], listed):
            decision = None  # it was about another value
        if merged.has_conflict:
            value = _decide(name, told, wanted, merged, prefer, decision)
        if value is not None and same_text(name, value, listed):
            (change.kept if merged.has_conflict else change.already).append(name)
            _tell(name, new, change.base_now, change.base_after)
        elif (
            value is None
            or (not value and storage.clearing is None)
            or (name == "email" and email_key(value) in taken_emails)
            or (name == "notes" and not storage.can_hold(value))  # it would cut lines of others
        ):
            conflict = {"sent": told, "there": listed, "new": merged.overwriting}
            change.conflicts[name] = conflict
        else:
            if has_remnant:
                value = storage.with_remnant(value, new.get(name, ""))
            change.changes[name] = value or (None if storage.clearing is Clearing.NULL else "")
            if merged.has_conflict:
                change.overrode[name] = "amend" if decision else "prefer"
            _tell(name, new, change.base_after)
    return change


def same_text(name: str, one: str, other: str) -> bool:
    """Whether two values of a field are equal; notes are if they have the same lines."""
    if name == "notes":
        return note_lines(one) == note_lines(other)
    return same_value(name, one, other)


def _is_same(name: str, told: str | None, wanted: str) -> bool:
    """Whether HubSpot has what LeadGenius was told; of what is unknown (None) that is not known."""
    return told is not None and same_text(name, told, wanted)


def listed_text(value: object) -> str:
    """Return a listed value as text; a list or an object as JSON, so that it is not empty."""
    if value is None or isinstance(value, str):
        return value or ""
    return text_of(value) or canonical_json(value)


def merged_notes(told: str | None, wanted: str, listed: str) -> str:
    """Return notes with all our lines as they are to be, and all lines that others wrote."""
    return merge_notes(told, wanted, listed, is_disputed=True, overwrite=True).text


def _merge_notes(told: str | None, wanted: str, listed: str, *, is_disputed: bool) -> _Merged:
    merged = merge_notes(told, wanted, listed, is_disputed=is_disputed)
    every = merge_notes(told, wanted, listed, is_disputed=is_disputed, overwrite=True)
    return _Merged(merged.text, every.text, merged.has_conflict)


def _merge(name: str, told: str | None, wanted: str, listed: str, *, is_taken: bool) -> _Merged:
    if same_value(name, wanted, listed):
        return _Merged(listed, listed)
    if told is not None and same_value(name, told, listed) and not is_taken:
        return _Merged(wanted, wanted)
    return _Merged(listed, wanted, has_conflict=True)


def _decide(
    name: str,
    told: str | None,
    wanted: str,
    merged: _Merged,
    prefer: Preference,
    decision: Mapping[str, str] | None,
) -> str | None:
    """The value of a field in conflict, or None if it is undecided."""
    if decision:
        value = decision["value"]
        if name == "notes" and not same_text(name, value, decision["there"]):
            return keep_record_line(told, wanted, value)
        return value
    if prefer is Preference.ASK:
        return None
    return merged.overwriting if prefer is Preference.HUBSPOT else merged.value


def _tell(name: str, new: Mapping[str, str], *bases: dict[str, str | None]) -> None:
    """Let the bases have the new value of a field."""
    for base in bases:
        if name in new:
            base[name] = new[name]
        else:
            base.pop(name, None)
