"""
The sandbox's records in the hands of a test: contacts, companies and leads, added and changed.

Owns what may be done to them from this process, beside what clients do over HTTP.
"""

from collections.abc import Iterable, Mapping

from migrator.sandbox.auth import Clients
from migrator.sandbox.lead_store import LeadStore
from migrator.sandbox.leadgenius import LeadGeniusApi
from migrator.sandbox.messages import Lead
from migrator.sandbox.portal import Portal


class Records:
    """The part of the sandbox that edits what both services hold."""

    _clients: Clients
    _portal: Portal
    _shelf: LeadStore
    _leadgenius: LeadGeniusApi

    @property
    def client_id(self) -> str:
        """The name under which leads must be posted."""
        return str(self._clients.first["client_id"])

    def add_contact(
        self,
        properties: Mapping[str, object],
        companies: Iterable[tuple[str, str]] = (),
        contact_id: str | None = None,
    ) -> str:
        """Append a contact, with rows of company id and association type; returns its id."""
        return self._portal.add_contact(properties, companies, contact_id)

    def change_contact(self, contact_id: str, **properties: object) -> None:
        """Overwrite some properties of a contact; raises KeyError when there is none."""
        self._portal.change_contact(contact_id, properties)

    def remove_contact(self, contact_id: str) -> None:
        """Archive a contact; raises KeyError when there is none."""
        self._portal.remove_contact(contact_id)

    def erase_contact(self, contact_id: str) -> None:
        """Delete a contact for good, as for GDPR; raises KeyError when there is none."""
        self._portal.remove_contact(contact_id, "erased")

    def merge_contacts(self, primary: str, other: str) -> str:
        """
        Make one new contact of two; returns its id.

        Raises:
            KeyError: One of them is not there.
            ValueError: They are the same.
        """
        return self._portal.merge_contacts(primary, other)

    def merge_companies(self, primary: str, other: str) -> str:
        """Make one new company of two; returns its id. Raises as `merge_contacts` does."""
        return self._portal.merge_companies(primary, other)

    def restore_contact(self, contact_id: str) -> None:
        """Bring a removed contact back to where it was, as out of HubSpot's recycle bin."""
        self._portal.restore_contact(contact_id)

    def add_company(self, company_id: str | None = None, **properties: object) -> str:
        """Add a company; returns its id."""
        return self._portal.add_company(properties, company_id)

    def add_lead(self, lead: Lead) -> str:
        """Plant a lead, under `client_id` unless it names another; returns its id."""
        return self._shelf.put({"client_id": self.client_id, **lead}, planted=True).id

    def give_lead_ids(self, *ids: str) -> None:
        """Let the next leads have these ids."""
        self._shelf.give_ids(ids)

    def delete_lead(self, lead_id: str) -> bool:
        """Delete a lead as the service does, by its quirks; False when there is none in use."""
        return self._leadgenius.delete(lead_id)

    def change_lead(self, lead_id: str, **fields: object) -> bool:
        """Overwrite fields, as people and de-duplication do; False when there is no such lead."""
        return self._shelf.change(lead_id, fields) is not None
