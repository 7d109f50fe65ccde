"""
The HubSpot portal: generated contacts and companies, with the edits that a test made on top.

Owns the order of contacts, their ids and every edit. It speaks no HTTP, and holds nothing of a
generated contact in memory but what an edit changed.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
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

# Ids grow in number, not as text: "951" comes before "1001", as in portals of some age.
_FIRST_ID = 51
_STEP = 50


@dataclass(frozen=True, slots=True)
class _Gone:
    """
    Why a contact is in no list any more.

    Args:
        how: `archived`, `erased` or `merged`.
        at: When.
        into: The id of the record that it was merged into; empty for the others.
    """

    how: str
    at: str
    into: str = ""


class Portal:
    """
    All contacts, in the order in which HubSpot lists them: by place.

    A place is a number, and the id of a contact unless a test gave it another one.

    Args:
        count: Contacts that exist from the start; those added later follow them.
    """

    def __init__(self, seed: int, count: int) -> None:
        self._firms = GeneratedCompanies(seed, max(3, count // 4))
        self._people = GeneratedContacts(seed, self._firms)
        self._count = count
        self._lock = threading.Lock()
        self._added: list[Contact] = []
        self._added_firms: dict[str, Company] = {}
        self._changed: dict[int, Properties] = {}
        self._gone: dict[int, _Gone] = {}
        self._merged_firms: dict[str, str] = {}
        self._named: dict[str, int] = {}

    def place_of(self, contact_id: str) -> int:
        """Where a contact stands, or stood, in the order."""
        with self._lock:
            return _FIRST_ID + _STEP * self._known(contact_id)

    def before(self, place: int) -> int:
        """A place three contacts earlier."""
        return max(0, place - 3 * _STEP)

    @property
    def size(self) -> int:
        """How many contacts there are."""
        return self._count + len(self._added) - len(self._gone)

    def contacts(self, after: int = 0) -> Iterator[Contact]:
        """Every contact whose place is beyond `after`, in order; nothing is scanned to start."""
        index = _index_after(after)
        while index < self._count + len(self._added):
            if index not in self._gone:
                yield self._at(index)
            index += 1

    def archived(self, after: int = 0) -> Iterator[Contact]:
        """Every archived contact whose place is beyond `after`, in order."""
        for index in sorted(self._gone):
            if index >= _index_after(after) and (person := self._archived_at(index)):
                yield person

    def contact(self, contact_id: str, *, is_archived: bool = False) -> Contact | None:
        """
        The contact of that id, in use or archived; for one that was merged, the record it is now.

        None when it never was, or is not there in that way.
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
        """The first contact with that e-mail, as its own or one of its further ones."""
        wanted = email.strip().casefold()
        for person in self.archived() if is_archived else self.contacts():
            own, more = (person.properties.get(name) or "" for name in ("email", MORE_EMAILS))
            if wanted in [text.strip().casefold() for text in (own, *more.split(";"))]:
                return person
        return None

    def removed(self, contact_id: str) -> bool:
        """True when there was a contact of that id and it was removed or merged."""
        return self._index_of(contact_id) in self._gone

    def company(self, company_id: str) -> Company | None:
        """
        The company of that id, silent ones included; for one that was merged, the record it is now.

        None when HubSpot would not find it.
        """
        if company_id in self._merged_firms:
            return self.company(self._merged_firms[company_id])
        return self._added_firms.get(company_id) or self._firms.get(company_id)

    def companies(self, start: int = 0) -> Iterator[tuple[int, Company]]:
        """Every company in use from a position on, with its own position."""
        ids = [*self._added_firms]
        for position in range(start, self._firms.count + len(ids)):
            place = position - self._firms.count
            company_id = ids[place] if place >= 0 else self._firms.id_of(position)
            firm = None if company_id in self._merged_firms else self.company(company_id)
            if firm is not None and not firm.silent:
                yield position, firm

    def property_names(self, objects: str) -> set[str] | None:
        """Which properties "contacts" or "companies" have; None for other objects."""
        with self._lock:
            people = [self._people.person(0, "0").properties]
            people += [person.properties for person in self._added]
            people += self._changed.values()
            firms = [firm.properties for firm in self._added_firms.values()]
        if objects == "contacts":
            return set(ALWAYS_DEFINED).union(*people)
        if objects == "companies":
            names = {"name", "domain", "industry", "phone", "city", "country", MERGED_IDS}
            return names.union(*firms)
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
        Make one new contact of two, and return its id; the old ids give it from now on.

        Raises:
            KeyError: One of them is not there.
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
        Overwrite some properties and date the change.

        Raises:
            KeyError: There is no such contact.
        """
        with self._lock:
            index = self._existing(contact_id)
            changes = self._changed.get(index, {})
            self._changed[index] = {**changes, **_texts(properties), "lastmodifieddate": _now()}

    def remove_contact(self, contact_id: str, how: str = "archived") -> None:
        """
        Make a contact vanish from every listing, or from all but that of the archived ones.

        Args:
            how: `archived` or `erased`.

        Raises:
            KeyError: There is no such contact.
        """
        with self._lock:
            self._gone[self._existing(contact_id)] = _Gone(how, _now())

    def restore_contact(self, contact_id: str) -> None:
        """Bring a removed contact back to its old place; nothing if it was not removed."""
        with self._lock:
            index = self._index_of(contact_id)
            if index is not None:
                self._gone.pop(index, None)

    def add_company(self, properties: Mapping[str, object], company_id: str | None = None) -> str:
        """Add a company and return its id, to be named in `add_contact`."""
        with self._lock:
            company_id = company_id or str(70_000_000_001 + len(self._added_firms))
            self._added_firms[company_id] = Company(company_id, _texts(properties))
        return company_id

    def merge_companies(self, primary: str, other: str) -> str:
        """
        Make one new company of two, and return its id; the old ids give it from now on.

        Contacts keep the old ids in their rows: who reads them has to cope with that.

        Raises:
            KeyError: One of them is not there.
            ValueError: They are the same.
        """
        if primary == other:
            raise ValueError("a company cannot be merged with itself")
        found: list[Company] = []
        for company_id in (primary, other):
            firm = None if company_id in self._merged_firms else self.company(company_id)
            if firm is None:
                raise KeyError(f"the portal has no company {company_id}")
            found.append(firm)
        merged = self.add_company(merged_companies(*found))
        self._merged_firms.update({primary: merged, other: merged})
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
            person = self._people.person(index, str(_FIRST_ID + _STEP * index))
        else:
            person = self._added[index - self._count]
        if changes := self._changed.get(index):
            return Contact(person.id, {**person.properties, **changes}, person.companies)
        return person

    def _archived_at(self, index: int) -> Contact | None:
        gone = self._gone.get(index)
        if gone is None or gone.how != "archived":
            return None
        return replace(self._at(index), archived_at=gone.at)


def _index_after(place: int) -> int:
    return max(0, (place - _FIRST_ID) // _STEP + 1)


def _texts(properties: Mapping[str, object]) -> Properties:
    """HubSpot keeps every value as text or null."""
    return {name: None if value is None else str(value) for name, value in properties.items()}


def _now() -> str:
    return stamp(datetime.now(UTC))
