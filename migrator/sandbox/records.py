"""The methods of the sandbox with which tests add and change contacts, companies and leads."""

from collections.abc import Iterable, Mapping

from migrator.sandbox.auth import Clients
from migrator.sandbox.lead_store import LeadStore
from migrator.sandbox.leadgenius import LeadGeniusApi
from migrator.sandbox.messages import Lead
from migrator.sandbox.portal import Portal


class Records:
    """The part of `Sandbox` that changes the data of both services."""

    _clients: Clients
    _portal: Portal
    _store: LeadStore
    _leadgenius: LeadGeniusApi

    @property
    def client_id(self) -> str:
        """The `client_id` of the first client."""
        return str(self._clients.first["client_id"])

    def add_contact(
        self,
        properties: Mapping[str, object],
        companies: Iterable[tuple[str, str]] = (),
        contact_id: str | None = None,
    ) -> str:
        """Add a contact with (company id, association type) rows; return its id."""
        return self._portal.add_contact(properties, companies, contact_id)

    def change_contact(self, contact_id: str, **properties: object) -> None:
        """Change some properties of a contact; raises KeyError if it does not exist."""
        self._portal.change_contact(contact_id, properties)

    def remove_contact(self, contact_id: str) -> None:
        """Archive a contact; raises KeyError if it does not exist."""
        self._portal.remove_contact(contact_id)

    def merge_contacts(self, primary: str, other: str) -> str:
        """
        Merge two contacts into a new one; return its id.

        Raises:
            KeyError: One of them does not exist.
            ValueError: They are the same.
        """
        return self._portal.merge_contacts(primary, other)

    def merge_companies(self, primary: str, other: str) -> str:
        """Merge two companies into a new one; return its id. Raises as `merge_contacts`."""
        return self._portal.merge_companies(primary, other)

    def restore_contact(self, contact_id: str) -> None:
        """Restore a removed contact, as from HubSpot's recycle bin."""
        self._portal.restore_contact(contact_id)

    def add_company(self, company_id: str | None = None, **properties: object) -> str:
        """Add a company; return its id."""
        return self._portal.add_company(properties, company_id)

    def add_lead(self, lead: Lead) -> str:
        """Add a lead, under `client_id` unless it has another; return its id."""
        return self._store.put({"client_id": self.client_id, **lead}, planted=True).id

    def give_lead_ids(self, *ids: str) -> None:
        """Use these ids for the next leads."""
        self._store.give_ids(ids)

    def delete_lead(self, lead_id: str) -> bool:
        """Delete a lead as the service does; False = it does not exist, or is deleted already."""
        return self._leadgenius.delete(lead_id)

    def change_lead(self, lead_id: str, **fields: object) -> bool:
        """Change fields of a lead, as people do; False = it does not exist."""
        return self._store.change(lead_id, fields) is not None
