"""The table of what changed at HubSpot since it was sent: one row each contact and field."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from migrator.amend.csv_table import read, write
from migrator.amend.table import CONTACT
from migrator.errors import UsageError
from migrator.ledger import LeadVersions, Ledger

COLUMNS = (CONTACT, "field", "sent", "now at HubSpot")


def export_changes(ledger: Ledger, path: Path) -> int:
    """
    Write the table; a contact without a usable lead any more has one row, without a field.

    Returns:
        The number of contacts.

    Raises:
        UsageError: the file cannot be written, or is not such a table.
    """
    changed = ledger.since_sent.changed()
    write(path, COLUMNS, (row for one in changed for row in _rows(one)), _check)
    return len(changed)


def _rows(versions: LeadVersions) -> Iterator[Sequence[str]]:
    sent, now = versions.lead, versions.new_lead
    if now is None:
        yield versions.hubspot_id, "", "", ""
        return
    for name in dict.fromkeys((*sent, *now)):
        if sent.get(name) != now.get(name):
            yield versions.hubspot_id, name, sent.get(name) or "", now.get(name) or ""


def _check(path: Path) -> None:
    try:
        is_ours = read(path, COLUMNS, CONTACT).columns == COLUMNS
    except UsageError:
        is_ours = False
    if not is_ours:
        raise UsageError(
            f"{path} is not a table of changes, so it is not overwritten.", "name another file"
        )
