"""
The rows without an id of a listing: each may be a lead that the listing seems not to show.

One that is marked as deleted is not there (design, I4).
"""

from migrator.doubts import odd_rows
from migrator.leadgenius import LeadPage
from migrator.ledger import Ledger
from migrator.mapping import is_removed


class OddRows:
    """Tells of one listing which contacts' leads may be among its rows without an id."""

    def __init__(self, ledger: Ledger, portal_id: str) -> None:
        self._ledger = ledger
        self._portal_id = portal_id
        self._keys: set[int] = set()
        self._is_nameless_seen = False

    def on_page(self, page: LeadPage) -> None:
        """Take a page of the listing."""
        marked = [row for row in page.odd if isinstance(row, dict) and is_removed(row)]
        rows = odd_rows([row for row in page.odd if row not in marked], self._portal_id)
        self._is_nameless_seen |= None in rows
        if readable := [row for row in rows if row is not None]:
            owners = self._ledger.verification.owners(readable)
            named = {one for row in readable for one in row.hubspot_ids}
            self._keys.update(owner.key for owner in owners.values())
            self._keys.update(self._ledger.undoing.records(named).values())

    def may_be(self, key: int) -> bool:
        """Whether one may be this contact's lead: it has its line or e-mail, or shows neither."""
        return self._is_nameless_seen or key in self._keys
