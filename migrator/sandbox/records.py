"""The methods of the sandbox with which tests add and change contacts, companies and leads."""

from collections.abc import Callable, Iterable, Mapping

from migrator.sandbox.auth import Clients
from migrator.sandbox.lead_history import PERSON, notes_of
from migrator.sandbox.lead_store import LeadStore
from migrator.sandbox.messages import Lead
from migrator.sandbox.portal import Portal
from migrator.sandbox.writes import LeadWrites


class Records:
    """The part of `Sandbox` that changes the data of both services."""

    _clients: Clients
    _portal: Portal
    _store: LeadStore
    _writes: LeadWrites

    @property
    def client_id(self) -> str:
        """The `client_id` of the first client."""
        return str(self._clients.first["client_id"])

    @property
    def client_internal_id(self) -> str:
        """The client's internal `id`: leads sent under it are not listed (guide, bug 1)."""
        return str(self._clients.first["id"])

    @property
    def clients(self) -> list[dict[str, str]]:
        """All clients, as they are listed."""
        return self._clients.all()

    def create_client(self, name: str, **more: str) -> str:
        """Add a client, with a `description` perhaps; return its new client_id."""
        return str(self._clients.create(name, **more)["client_id"])

    def delete_client(self, *, takes_leads: bool) -> None:
        """
        Delete the first client; its listing is empty from then on.

        Args:
            takes_leads: Whether leads for it are answered 201, not 404.
        """
        self._clients.takes_leads_of_gone = takes_leads
        self._clients.remove(self.client_internal_id)

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

    def erase_contact(self, contact_id: str) -> None:
        """Erase a contact for good; raises KeyError if it does not exist."""
        self._portal.remove_contact(contact_id, "erased")

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
        return self._store.put({"client_id": self.client_id, **lead}, PERSON).id

    def random_lead(self, pick: Callable[[int], int]) -> Lead | None:
        """A lead in use of the first client; `pick` chooses a number below another."""
        leads = [held for held in self._store.of(self.client_id) if not held.mark]
        return leads[pick(len(leads))].lead() if leads else None

    def random_contact(self, pick: Callable[[int], int]) -> str | None:
        """The id of a contact in use; None = few are left, and none was hit."""
        return self._portal.random_id(pick)

    def give_lead_ids(self, *ids: str) -> None:
        """Use these ids for the next leads."""
        self._store.give_ids(ids)

    def delete_lead(self, lead_id: str) -> bool:
        """Delete a lead, as people do; False = it does not exist, or is deleted already."""
        return self._writes.remove(lead_id, PERSON)

    def restore_lead(self, lead_id: str) -> bool:
        """Restore a deleted lead under its id; False = it was not deleted."""
        return self._store.restore(lead_id, PERSON)

    def change_lead(self, lead_id: str, **fields: object) -> bool:
        """Change fields of a lead, also `status`, as people do; False = it does not exist."""
        return self._store.change(lead_id, fields, PERSON) is not None

    def move_lead(self, lead_id: str, client_id: str) -> bool:
        """Move a lead to another client; False = it does not exist."""
        return self._rewrite(lead_id, lambda lead: {**lead, "client_id": client_id})

    def append_note(self, lead_id: str, line: str) -> bool:
        """Add a line to the notes of a lead; False = it does not exist."""
        return self._rewrite(lead_id, lambda lead: _with_notes(lead, [*notes_of(lead), line]))

    def rewrite_note(self, lead_id: str, line: str, new: str | None) -> bool:
        """
        Replace a line in the notes of a lead; None = remove it.

        Returns:
            False = the lead or the line does not exist.
        """
        held = self._store.get(lead_id)
        if held is None or line not in notes_of(held.lead()):
            return False
        return self._rewrite(lead_id, lambda lead: _with_notes(lead, _replaced(lead, line, new)))

    def _rewrite(self, lead_id: str, rule: Callable[[Lead], Lead]) -> bool:
        return self._store.rewrite(lead_id, rule, PERSON) is not None


def _replaced(lead: Lead, line: str, new: str | None) -> list[str]:
    replaced = (new if one == line else one for one in notes_of(lead))
    return [one for one in replaced if one is not None]


def _with_notes(lead: Lead, lines: list[str]) -> Lead:
    return {**lead, "notes": "\n".join(lines)}
