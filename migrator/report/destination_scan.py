"""What the leads that a client has already mean for the contacts to send."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from migrator.ledger import LeadIdentity, Ledger

# The greatest counts: a lead with our provenance line is ours, even where others share its
# e-mail.
_FOREIGN, _BEATEN, _OURS = 1, 2, 3


@dataclass
class DestinationScan:
    """
    What the leads listed at LeadGenius mean for the contacts to send (design, I5).

    It takes one page at a time, reads only the ledger, and keeps one byte for each contact.
    """

    pages: int = 0
    leads: int = 0
    _marks: bytearray = field(default_factory=bytearray)

    def take(self, ledger: Ledger, page: Sequence[LeadIdentity]) -> None:
        """Match a page of leads to contacts."""
        self.pages += 1
        self.leads += len(page)
        seen = ledger.reconciliation.match_listing(page)
        for keys, mark in ((seen.foreign, _FOREIGN), (seen.beaten, _BEATEN), (seen.ours, _OURS)):
            for key in keys:
                self._mark(key, mark)

    def _mark(self, key: int, mark: int) -> None:
        if key >= len(self._marks):
            self._marks.extend(bytes(key + 1 - len(self._marks)))
        self._marks[key] = max(mark, self._marks[key])

    @property
    def ours(self) -> int:
        """Contacts whose leads are there already, with our line: a push adopts them."""
        return self._marks.count(_OURS)

    @property
    def beaten(self) -> int:
        """Contacts to send that share their e-mail with one of those: a push holds them."""
        return self._marks.count(_BEATEN)

    @property
    def foreign(self) -> int:
        """Contacts to send whose e-mail a foreign lead has: a push holds them."""
        return self._marks.count(_FOREIGN)

    @property
    def kept_back(self) -> int:
        """All of those: contacts that a push would not send because of existing leads."""
        return self.ours + self.beaten + self.foreign

    def keeps_back(self, key: int) -> bool:
        """Whether a push would not send this contact because of existing leads."""
        return key < len(self._marks) and self._marks[key] > 0
