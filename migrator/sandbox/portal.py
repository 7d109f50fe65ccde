"""
The HubSpot portal: generated contacts and companies, and the changes that tests make to them.

Only changes are kept in memory.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from migrator.sandbox.companies import Company, GeneratedCompanies
from migrator.sandbox.contacts import (
    ALWAYS_DEFINED,
    MERGED_IDS,
    MORE_EMAILS,
    Contact,
    GeneratedContacts,
    Properties,
    Row,
    stamp,
)
from migrator.sandbox.merging import merged_companies, merged_contacts

# Ids are ordered by number, not as text: "951" precedes "1001".
_FIRST_ID = 51
_STEP = 50
# How often a random contact is looked for among those that may be gone.
_TRIES = 20


@dataclass(frozen=True, slots=True)
class _Gone:
    """
    How and when a contact was removed.

    Args:
        how: `archived`, `erased` or `merged`.
        at: The time.
        into: The id of the record that it was merged into, else "".
    """

    how: str
    at: str
    into: str = ""


class Portal:
    """
    All contacts and companies.

    HubSpot lists contacts by place: a number, and the id of a contact unless a test chose another.

    Args:
        count: The number of generated contacts; added ones follow them.
    """

    def __init__(self, seed: int, count: int) -> None:
        self._generated_companies = GeneratedCompanies(seed, max(3, count // 4))
        self._generated_contacts = GeneratedContacts(seed, self._generated_companies)
        self._count = count
        self._lock = threading.Lock()
        self._added: list[Contact] = []
        self._added_companies: dict[str, Company] = {}
        self._changed: dict[int, Properties] = {}
        self._gone: dict[int, _Gone] = {}
        self._merged_companies: dict[str, str] = {}
        self._named: dict[str, int] = {}

    def place_of(self, contact_id: str) -> int:
        """The place of a contact, even of a removed one."""
        with self._lock:
            return _FIRST_ID + _STEP * self._known(contact_id)

    def before(self, place: int) -> int:
        """The place three contacts earlier."""
        return max(0, place - 3 * _STEP)

    @property
    def size(self) -> int:
        """The number of contacts."""
        return self._count + len(self._added) - len(self._gone)

    def contacts(self, after: int = 0) -> Iterator[Contact]:
        """The contacts after a place, in order, without scanning those before it."""
        index = _index_after(after)
        while index < self._count + len(self._added):
            if index not in self._gone:
                yield self._at(index)
            index += 1

    def archived(self, after: int = 0) -> Iterator[Contact]:
        """The archived contacts after a place, in order."""
        for index in sorted(self._gone):
            if index >= _index_after(after) and (contact := self._archived_at(index)):
                yield contact

    def contact(self, contact_id: str, *, is_archived: bool = False) -> Contact | None:
        """
        The contact of that id, in use or archived; for a merged id, the merged record.

        None = there is none.
        """
        if (index := self._index_of(contact_id)) is None:
            return None
        gone = self._gone.get(index)
        if gone is not None and gone.into:
            return self.contact(gone.into, is_archived=is_archived)
        if is_archived:
            return self._archived_at(index)
        return self._at(index) if gone is None else None

    def contact_with(self, email: str, *, is_archived: bool = False) -> Contact | None:
        """The first contact with that e-mail, as its main or an additional one."""
        wanted = email.strip().casefold()
        for contact in self.archived() if is_archived else self.contacts():
            own, more = (contact.properties.get(name) or "" for name in ("email", MORE_EMAILS))
            if wanted in [text.strip().casefold() for text in (own, *more.split(";"))]:
                return contact
        return None

    def removed(self, contact_id: str) -> bool:
        """Whether a contact of that id was removed or merged."""
        return self._index_of(contact_id) in self._gone

    def company(self, company_id: str) -> Company | None:
        """
        The company of that id, silent ones included; for a merged id, the merged record.

        None = there is none.
        """
        if company_id in self._merged_companies:
            return self.company(self._merged_companies[company_id])
        return self._added_companies.get(company_id) or self._generated_companies.get(company_id)

    def companies(self, start: int = 0) -> Iterator[tuple[int, Company]]:
        """The companies in use from a position on, each with its position."""
        ids = [*self._added_companies]
        for position in range(start, self._generated_companies.count + len(ids)):
            place = position - self._generated_companies.count
            company_id = ids[place] if place >= 0 else self._generated_companies.id_of(position)
            company = None if company_id in self._merged_companies else self.company(company_id)
            if company is not None and not company.silent:
                yield position, company

    def random_id(self, pick: Callable[[int], int]) -> str | None:
        """A contact in use; `pick` chooses a number below another. None = none was hit."""
        with self._lock:
            total = self._count + len(self._added)
            for _ in range(_TRIES if total else 0):
                if (index := pick(total)) not in self._gone:
                    return self._at(index).id
        return None

    def property_names(self, objects: str) -> set[str] | None:
        """The property names of "contacts" or "companies"; None for other objects."""
        with self._lock:
            contacts = [self._generated_contacts.contact(0, "0").properties]
            contacts += [contact.properties for contact in self._added]
            contacts += self._changed.values()
            companies = [company.properties for company in self._added_companies.values()]
        if objects == "contacts":
            return set(ALWAYS_DEFINED).union(*contacts)
        if objects == "companies":
            names = {"name", "domain", "industry", "phone", "city", "country", MERGED_IDS}
            return names.union(*companies)
        return None

    def add_contact(
        self,
        properties: Mapping[str, object],
        companies: Iterable[Row],
        contact_id: str | None = None,
    ) -> str:
        """Append a contact and return its id."""
        with self._lock:
            whole = {**_texts(properties), "createdate": _now()}
            return self._append(whole, companies, contact_id)

    def merge_contacts(self, primary: str, other: str) -> str:
        """
        Merge two contacts into a new one, which the old ids then refer to, and return its id.

        Raises:
            KeyError: One of them does not exist.
            ValueError: They are the same.
        """
        if primary == other:
            raise ValueError("a contact cannot be merged with itself")
        with self._lock:
            places = [self._existing(contact_id) for contact_id in (primary, other)]
            properties, companies = merged_contacts(*(self._at(index) for index in places))
            merged = self._append(properties, companies)
            self._gone.update((index, _Gone("merged", _now(), merged)) for index in places)
        return merged

    def change_contact(self, contact_id: str, properties: Mapping[str, object]) -> None:
        """
        Change some properties and `lastmodifieddate`.

        Raises:
            KeyError: The contact does not exist.
        """
        with self._lock:
            index = self._existing(contact_id)
            changes = self._changed.get(index, {})
            self._changed[index] = {**changes, **_texts(properties), "lastmodifieddate": _now()}

    def remove_contact(self, contact_id: str, how: str = "archived") -> None:
        """
        Archive or erase a contact.

        Args:
            how: `archived` or `erased`.

        Raises:
            KeyError: The contact does not exist.
        """
        with self._lock:
            self._gone[self._existing(contact_id)] = _Gone(how, _now())

    def restore_contact(self, contact_id: str) -> None:
        """Restore a removed contact at its old place."""
        with self._lock:
            index = self._index_of(contact_id)
            if index is not None:
                self._gone.pop(index, None)

    def add_company(self, properties: Mapping[str, object], company_id: str | None = None) -> str:
        """Add a company and return its id."""
        with self._lock:
            company_id = company_id or str(70_000_000_001 + len(self._added_companies))
            self._added_companies[company_id] = Company(company_id, _texts(properties))
        return company_id

    def merge_companies(self, primary: str, other: str) -> str:
        """
        Merge two companies into a new one, which the old ids then refer to, and return its id.

        Contacts keep the old ids in their rows.

        Raises:
            KeyError: One of them does not exist.
            ValueError: They are the same.
        """
        if primary == other:
            raise ValueError("a company cannot be merged with itself")
        found: list[Company] = []
        for company_id in (primary, other):
            company = None if company_id in self._merged_companies else self.company(company_id)
            if company is None:
                raise KeyError(f"the portal has no company {company_id}")
            found.append(company)
        merged = self.add_company(merged_companies(*found))
        self._merged_companies.update({primary: merged, other: merged})
        return merged

    def _append(
        self, properties: Properties, companies: Iterable[Row], contact_id: str | None = None
    ) -> str:
        index = self._count + len(self._added)
        contact_id = contact_id or str(_FIRST_ID + _STEP * index)
        self._named[contact_id] = index
        whole = {**properties, "lastmodifieddate": _now(), "hs_object_id": contact_id}
        self._added.append(Contact(contact_id, whole, tuple(companies)))
        return contact_id

    def _existing(self, contact_id: str) -> int:
        index = self._known(contact_id)
        if index in self._gone:
            raise KeyError(f"the portal has no contact {contact_id}")
        return index

    def _known(self, contact_id: str) -> int:
        if (index := self._index_of(contact_id)) is None:
            raise KeyError(f"the portal has no contact {contact_id}")
        return index

    def _index_of(self, contact_id: str) -> int | None:
        if contact_id in self._named:
            return self._named[contact_id]
        if not contact_id.isdecimal():
            return None
        index, rest = divmod(int(contact_id) - _FIRST_ID, _STEP)
        return index if rest == 0 and 0 <= index < self._count + len(self._added) else None

    def _at(self, index: int) -> Contact:
        if index < self._count:
            contact = self._generated_contacts.contact(index, str(_FIRST_ID + _STEP * index))
        else:
            contact = self._added[index - self._count]
        if changes := self._changed.get(index):
            return Contact(contact.id, {**contact.properties, **changes}, contact.companies)
        return contact

    def _archived_at(self, index: int) -> Contact | None:
        gone = self._gone.get(index)
        if gone is None or gone.how != "archived":
            return None
        return replace(self._at(index), archived_at=gone.at)


def _index_after(place: int) -> int:
    return max(0, (place - _FIRST_ID) // _STEP + 1)


def _texts(properties: Mapping[str, object]) -> Properties:
    """HubSpot stores all values as text or null."""
    return {name: None if value is None else str(value) for name, value in properties.items()}


def _now() -> str:
    return stamp(datetime.now(UTC))
