"""Which listed leads may be deleted: those that are this ledger's and as it left them."""

from collections.abc import Mapping
from typing import Any

from migrator.comparison import KeepReason, LeadStorage, why_kept
from migrator.ledger import Ledger, SentContact
from migrator.mapping import records_in
from migrator.mapping_versions import active_rules


class Judgement:
    """
    Decides of each listed lead whether it may be deleted (the contract, section 4).

    Args:
        allow_adopted: Whether leads that no send of this ledger created may be deleted, too.
        storage: What LeadGenius stores and lists of a lead.

    Attributes:
        shown: Fields that the listing has shown on any lead.
    """

    def __init__(
        self,
        ledger: Ledger,
        portal_id: str,
        client_id: str,
        storage: LeadStorage,
        *,
        allow_adopted: bool,
    ) -> None:
        self._portal_id = portal_id
        self._client_id = client_id
        self._storage = storage
        self._allow_adopted = allow_adopted
        self._would_send = frozenset(active_rules(ledger).fields) - {"status"}
        self._usual_status = ledger.undoing.usual_status()
        self.shown: set[str] = set()

    def reason(
        self, contact: SentContact, there: Mapping[str, Any], *, is_own: bool = True
    ) -> KeepReason | None:
        """
        Why a contact's lead is kept; `None` = it may be deleted.

        Args:
            is_own: Whether it is the lead that the ledger holds; of a further one it is not asked
                who created it.
        """
        if contact.is_open:
            return KeepReason.OPEN
        status = contact.made_status
        if isinstance(notes := there.get("notes"), str):
            told = contact.base.get("notes")
            there = {**there, "notes": self._storage.without_remnant(notes, told)}
        return why_kept(
            self._storage.stored(contact.base),
            there,
            portal_id=self._portal_id,
            contact_id=self._record(contact),
            client_id=self._client_id,
            made_status=self._usual_status if status is None else status,
            shown=self.shown | self._storage.shown,
            would_send=self._would_send,
            is_adopted=is_own and contact.is_adopted,
            allow_adopted=self._allow_adopted,
        )

    def _record(self, contact: SentContact) -> str:
        """The contact that its record line names: after a merge it may be the predecessor."""
        records = records_in(contact.base.get("notes"))
        ours = [one for portal, one in records if portal == self._portal_id]
        return ours[0] if len(ours) == 1 else contact.hubspot_id

    def hidden(self, contact: SentContact, there: Mapping[str, Any]) -> frozenset[str]:
        """The fields that we sent and that the listing has not shown so far."""
        told = {"notes", *self._storage.stored(contact.base)}
        return frozenset(told - {*there} - self.shown - self._storage.shown)
