"""
What became of contacts since they were sent, in full: each with its fields.

`read` reads a `SinceSentReport` from the ledger; `as_json` shows it. The functions below put single
contacts into words, for the report, the page and the tables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrator.hold_details import why_not_written
from migrator.ledger import ConflictedContact, GoneContact, LeadVersions, Ledger
from migrator.report.labels import iso
from migrator.text import one_line

_LONGEST_VALUE = 60


@dataclass(frozen=True)
class SinceSentReport:
    """All contacts that are not as they were when they were sent; see `ledger.since_sent`."""

    changed: Sequence[LeadVersions]
    gone: Sequence[GoneContact]
    conflicts: Sequence[ConflictedContact]
    undone: Sequence[str]


def read(ledger: Ledger) -> SinceSentReport:
    """Read all of them inside the caller's transaction."""
    found = ledger.since_sent
    return SinceSentReport(found.changed(), found.gone(), found.conflicts(), found.undone())


def changes(versions: LeadVersions) -> dict[str, dict[str, str]] | None:
    """By field `{"sent", "now"}`, "" = nothing; `None` = HubSpot has no usable lead any more."""
    if versions.new_lead is None:
        return None
    sent, now = versions.lead, versions.new_lead
    return {
        name: {"sent": sent.get(name) or "", "now": now.get(name) or ""}
        for name in dict.fromkeys((*sent, *now))
        if sent.get(name) != now.get(name)
    }


# As JSON


def as_json(report: SinceSentReport) -> dict[str, Any]:
    """
    All of them, under names that do not change.

        changed    [{contact, since, fields: {field: {sent, now}}}]; since: when HubSpot was last
                   seen to change it; fields null = HubSpot has no usable lead any more
        gone       [{contact, why: merged, archived or unknown, merged_into, successor}]
        conflicts  [{contact, held, fields: {field: {sent, there, new}}, decided}]; held: conflict
                   or different; decided: {field: {there, value}}, null = nothing
        undone     [contact]
    """
    return {
        "changed": [
            {"contact": one.hubspot_id, "since": iso(one.changed_ms), "fields": changes(one)}
            for one in report.changed
        ],
        "gone": [
            {
                "contact": one.hubspot_id,
                "why": one.why,
                "merged_into": one.into,
                "successor": one.successor,
            }
            for one in report.gone
        ],
        "conflicts": [
            {
                "contact": one.hubspot_id,
                "held": str(one.held),
                "fields": one.conflict or {},
                "decided": one.decided,
            }
            for one in report.conflicts
        ],
        "undone": list(report.undone),
    }


# In words


def change_words(versions: LeadVersions) -> str:
    """The fields that changed, on one line: `title: "Engineer" → "CTO"`."""
    found = changes(versions)
    if found is None:
        return "no usable e-mail in HubSpot any more"
    words = (f"{name}: {shown(one['sent'])} → {shown(one['now'])}" for name, one in found.items())
    return one_line("; ".join(words))


def conflict_words(
    conflict: Mapping[str, Mapping[str, str | None]], decided: Mapping[str, Any] | None = None
) -> str:
    """The three values of each field on one line, and what was decided."""
    parts = []
    for name, one in conflict.items():
        words = (
            f"{name}: sent {shown(one['sent'])}, in LeadGenius {shown(one['there'])}, "
            f"in HubSpot {shown(one['new'])}"
        )
        if why := why_not_written(name, one):
            words += f" ({why}: correct it in LeadGenius)"
        if decided and name in decided:
            words += f", decided {shown(decided[name]['value'])}"
        parts.append(words)
    return one_line("; ".join(parts))


def gone_words(gone: GoneContact) -> str:
    """Why HubSpot has a contact no more."""
    if gone.why == "merged":
        return one_line(f"merged into {gone.into}")
    return "archived" if gone.why == "archived" else "no longer there"


def shown(value: str | None) -> str:
    """A value in quotes, cut; `none` if it is empty, `unknown` if it is not known."""
    if value is None:
        return "unknown"
    if not value:
        return "none"
    return f'"{value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 1] + "…"}"'
