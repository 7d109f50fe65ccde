"""The table: one row a held contact, with its reason and the values that its lead is made of."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from migrator.amendments import COMPANY, overlay, values
from migrator.ledger import Ledger, Standing, files_of
from migrator.rulebook import rules_in_force
from migrator.spreadsheet import Table, read, write

# No property can have one of these names: HubSpot's have neither blanks nor parentheses.
CONTACT = "HubSpot id"
_TO_READ_ONLY = ("(state)", "(reason)", "(detail)")


def fields(ledger: Ledger) -> tuple[str, ...]:
    """The columns that can be amended: what the mapping in force reads."""
    rules = rules_in_force(ledger)
    return (
        # Which company counts was decided when HubSpot was read; a word here would not change it.
        *(name for name in rules.contact_properties if name != "associatedcompanyid"),
        *(COMPANY + name for name in rules.company_properties),
    )


def export(ledger: Ledger, path: Path) -> int:
    """
    Write every held contact of one moment.

    Returns:
        How many they are.

    Raises:
        UsageError: no file can be made there.
    """
    with ledger.transaction():
        names = fields(ledger)
        return write(path, _columns(names), _rows(ledger, names), spare=files_of(ledger.path))


def take_back(ledger: Ledger, path: Path) -> Table:
    """Read the table as a spreadsheet left it; raises UsageError when it cannot be read as one."""
    return read(path, _columns(fields(ledger)), CONTACT)


def effective(ledger: Ledger, contact: Standing, names: Sequence[str]) -> dict[str, str]:
    """The values that count, by column: HubSpot's, with what was amended."""
    return _values(ledger, contact, contact.amended, names)


def original(ledger: Ledger, contact: Standing, names: Sequence[str]) -> dict[str, str]:
    """HubSpot's values, by column."""
    return _values(ledger, contact, None, names)


def _columns(names: Sequence[str]) -> tuple[str, ...]:
    return (CONTACT, *_TO_READ_ONLY, *names)


def _values(
    ledger: Ledger, contact: Standing, amended: str | None, names: Sequence[str]
) -> dict[str, str]:
    texts = (contact.source, contact.company or "null", amended or "null")
    return values(*overlay(*map(ledger.decoded, texts)), names)


def _rows(ledger: Ledger, names: Sequence[str]) -> Iterator[list[str]]:
    for one in ledger.amending.held():
        about = (one.hubspot_id, one.state, one.held or "", one.detail or "")
        yield [*about, *effective(ledger, one, names).values()]
