"""
Compares an edited table with the ledger: the changes by contact, or all reasons to reject it.

A row counts as edited if it differs from what was written, which its mark shows. So an unedited
table changes nothing, however old it is, and an old table never reverts changes in HubSpot. A value
that is set back to HubSpot's is no longer amended. The lines that describe changes to people are
here too.
"""

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from migrator.amend.csv_table import CsvRow, CsvTable, plain, refuse
from migrator.amend.decisions import Decision, decisions
from migrator.amend.table import CONTACT, edited, fields, is_as_written, original
from migrator.ledger import AmendableContact, Ledger
from migrator.states import Hold, State
from migrator.text import count_noun

_AS_TEXT = "format the column as text, and type it again"
_ANEW = "copy its row from a new `migrator report --csv`"
_IN_DOUBT = "it is in doubt; first: migrator push --resume"
_LONGEST_VALUE = 50
_LONGEST_DETAIL = 100
_TO_DECIDE = (Hold.CONFLICT, Hold.DIFFERENT)
_STALE = f"its values have changed since the table was written; {_ANEW}"


@dataclass(frozen=True)
class Change:
    """
    The changes of a row to its contact.

    Args:
        was_held: Why the contact is held now; `None` = it is not.
        fields: Old and new value by column; "" = missing.
        amended: All amended values afterwards; `None` = none.
        decisions: What was decided of fields in conflict, by field of the lead.
    """

    hubspot_id: str
    was_held: Hold | None
    fields: Mapping[str, tuple[str, str]]
    amended: Mapping[str, str | None] | None
    decisions: Mapping[str, Decision] = field(default_factory=dict)


def plan(ledger: Ledger, table: CsvTable, path: Path) -> list[Change]:
    """
    Compare a table with the ledger.

    Args:
        path: The table's file, for error messages.

    Raises:
        UsageError: a row cannot be applied; the message names each such row.
    """
    known = ledger.amendments.find([row.cells[CONTACT] for row in table.rows])
    faults = list(_faults_of_ids(ledger, table, known))
    names = fields(ledger)
    changes = []
    for row in table.rows:
        contact = known.get(row.cells[CONTACT])
        if contact is None:
            continue
        if is_as_written(contact, row, names):
            continue
        changed = edited(contact, row, names)
        decided, refused = decisions(contact, row)
        if changed is None:
            faults.append((row.number, f"contact {contact.hubspot_id}: {_STALE}"))
            continue
        if changed:
            faults += [(row.number, words) for words in _faults(contact, row, changed)]
        elif decided and contact.is_open:
            faults.append((row.number, f"contact {contact.hubspot_id}: {_IN_DOUBT}"))
        faults += [
            (row.number, f"contact {contact.hubspot_id}: {name}: {words}; {_ANEW}")
            for name, words in refused.items()
        ]
        if changed or decided:
            amended = _amended(contact, changed, original(contact, names))
            changes.append(Change(contact.hubspot_id, contact.held, changed, amended, decided))
    named = [f"row {number}: {words}" for number, words in sorted(faults)]
    refuse(path, named, f"correct these rows, then: migrator amend {shlex.quote(str(path))}")
    return changes


def _faults_of_ids(
    ledger: Ledger, table: CsvTable, known: Mapping[str, AmendableContact]
) -> Iterator[tuple[int, str]]:
    """Rows whose contact is unknown or uncertain, and contacts in more than one row."""
    shortened = {one.lstrip("0"): one for one in ledger.amendments.with_leading_zeros()}
    first: dict[str, int] = {}
    for row in table.rows:
        hubspot_id = row.cells[CONTACT]
        if (words := _doubt_of_id(row, known, shortened)) is not None:
            yield row.number, words
        if hubspot_id and first.setdefault(hubspot_id, row.number) != row.number:
            yield row.number, f"contact {hubspot_id} is in row {first[hubspot_id]} already"


def _doubt_of_id(
    row: CsvRow, known: Mapping[str, AmendableContact], shortened: Mapping[str, str]
) -> str | None:
    hubspot_id = row.cells[CONTACT]
    if not hubspot_id:
        return "it has no contact id"
    if CONTACT in row.rounded:
        return f"{hubspot_id} may be an id that the spreadsheet rounded; {_ANEW}"
    if hubspot_id in known:
        return None
    if hubspot_id in shortened:
        return f"{hubspot_id} may be {shortened[hubspot_id]} without its zeros; {_ANEW}"
    return f"{hubspot_id[:40]!r} is not a contact of this ledger"


def _faults(
    contact: AmendableContact, row: CsvRow, changed: Mapping[str, tuple[str, str]]
) -> Iterator[str]:
    if (words := _why_not(contact)) is not None:
        yield f"contact {contact.hubspot_id}: {words}"
    for name in sorted(changed.keys() & row.rounded):
        yield f"{name}: {row.cells[name]} is a number that the spreadsheet rounded; {_AS_TEXT}"


def _why_not(contact: AmendableContact) -> str | None:
    """Why a contact cannot be amended; `None` = it can."""
    if contact.is_open:
        return _IN_DOUBT
    if contact.is_gone:
        return "HubSpot has it no more, so it is not sent"
    named = shlex.quote(contact.hubspot_id)
    if contact.held is Hold.MISSING and contact.state is State.VERIFIED:
        return f"its lead was deleted in LeadGenius; first: migrator retry --recreate {named}"
    if contact.held is Hold.MISSING or contact.has_led_to_a_lead:
        return f"LeadGenius had its lead; first: migrator retry --reason {contact.held} {named}"
    if contact.state in (State.POSTED, State.VERIFIED):
        return f"it is {contact.state}: LeadGenius has its lead; correct it there"
    return None


def _amended(
    contact: AmendableContact,
    changed: Mapping[str, tuple[str, str]],
    given: Mapping[str, str],
) -> dict[str, str | None] | None:
    amended: dict[str, str | None] = dict(contact.amended or {})
    for name, (_, new) in changed.items():
        if new == plain(given[name]):
            amended.pop(name, None)
        else:
            amended[name] = new if new.strip() else None
    return amended or None


# In words


@dataclass(frozen=True)
class AmendPreview:
    """The state of amended contacts after they are mapped again, by HubSpot id."""

    standings: Mapping[str, AmendableContact]

    @property
    def held(self) -> list[AmendableContact]:
        """Contacts that are held, still or again."""
        return [one for one in self.standings.values() if one.held is not None]


def forecast(ledger: Ledger, changes: Sequence[Change]) -> AmendPreview:
    """Read the state of the changed contacts."""
    return AmendPreview(ledger.amendments.find([change.hubspot_id for change in changes]))


def line(change: Change, becomes: AmendableContact) -> str:
    """One line on a contact: what changes, and its state afterwards."""
    parts = [
        f"{name}: {_shown(old)} -> {_shown(new)}" for name, (old, new) in change.fields.items()
    ]
    parts += [
        f"{name}: {_shown(one.there)} -> {_shown(one.value)}"
        for name, one in change.decisions.items()
    ]
    return " · ".join([f"contact {change.hubspot_id}", *parts, _end(change, becomes)])


def counts(forecast: AmendPreview) -> str:
    """One line on all contacts, counted by their state afterwards."""
    decided = sum(one.held in _TO_DECIDE for one in forecast.standings.values())
    held = Counter(str(one.held) for one in forecast.held if one.held not in _TO_DECIDE)
    sendable = len(forecast.standings) - held.total() - decided
    parts = [f"{sendable:,} will be sendable"] if sendable else []
    parts += [f"{decided:,} decided: `migrator update` writes them"] if decided else []
    parts += [f"{number:,} held: {reason}" for reason, number in sorted(held.items())]
    return f"{count_noun(len(forecast.standings), 'contact')} to amend: {' · '.join(parts)}"


def _end(change: Change, becomes: AmendableContact) -> str:
    if change.decisions:
        return "decided: the next update writes it"
    if becomes.held is None:
        return "will be sendable"
    still = "still" if becomes.held is change.was_held else "will be"
    return f"{still} held: {becomes.held} ({_cut(becomes.detail or '', _LONGEST_DETAIL)})"


def _shown(value: str) -> str:
    return f'"{_cut(value, _LONGEST_VALUE)}"' if value else "(none)"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
