"""The table: one row a held contact, with its reason and the values that its lead is made of."""

from collections.abc import Iterator
from pathlib import Path

from migrator.amendments import COMPANY, overlay, values
from migrator.ledger import Ledger, Standing, files_of
from migrator.mapping import COMPANY_PROPERTIES, PROPERTIES
from migrator.spreadsheet import Table, read, write

CONTACT = "contact"
_TO_READ_ONLY = ("state", "reason", "detail")

# Which company counts was decided when HubSpot was read; a word here would not change it.
FIELDS = (
    *(name for name in PROPERTIES if name != "associatedcompanyid"),
    *(COMPANY + name for name in COMPANY_PROPERTIES),
)
COLUMNS = (CONTACT, *_TO_READ_ONLY, *FIELDS)


def export(ledger: Ledger, path: Path) -> int:
    """
    Write every held contact of one moment.

    Returns:
        How many they are.

    Raises:
        UsageError: no file can be made there.
    """
    with ledger.transaction():
        return write(path, COLUMNS, _rows(ledger), spare=files_of(ledger.path))


def take_back(path: Path) -> Table:
    """Read the table as a spreadsheet left it; raises UsageError when it cannot be read as one."""
    return read(path, COLUMNS, CONTACT)


def effective(ledger: Ledger, contact: Standing) -> dict[str, str]:
    """The values that count, by column: HubSpot's, with what was amended."""
    return _values(ledger, contact, contact.amended)


def original(ledger: Ledger, contact: Standing) -> dict[str, str]:
    """HubSpot's values, by column."""
    return _values(ledger, contact, None)


def _values(ledger: Ledger, contact: Standing, amended: str | None) -> dict[str, str]:
    texts = (contact.source, contact.company or "null", amended or "null")
    return values(*overlay(*map(ledger.decoded, texts)), FIELDS)


def _rows(ledger: Ledger) -> Iterator[list[str]]:
    for one in ledger.amending.held():
        about = (one.hubspot_id, one.state, one.held or "", one.detail or "")
        yield [*about, *effective(ledger, one).values()]
