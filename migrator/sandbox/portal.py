"""
The HubSpot portal: generated contacts and companies, with the edits that a test made on top.

Owns the order of contacts, their ids and every edit. It speaks no HTTP, and holds nothing of a
generated contact in memory but what an edit changed.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from migrator.sandbox.firms import Firm, Firms
from migrator.sandbox.people import People, Person, Properties, Row, stamp

# Ids grow in number, not as text: "951" comes before "1001", as in portals of some age.
_FIRST_ID = 51
_STEP = 50


class Portal:
    """
    All contacts, in the order in which HubSpot lists them: by place.

    A place is a number, and the id of a contact unless a test gave it another one.

    Args:
        count: Contacts that exist from the start; those added later follow them.
    """

    def __init__(self, seed: int, count: int) -> None:
        self._firms = Firms(seed, max(3, count // 4))
        self._people = People(seed, self._firms)
        self._count = count
        self._lock = threading.Lock()
        self._added: list[Person] = []
        self._added_firms: dict[str, Firm] = {}
        self._changed: dict[int, Properties] = {}
        self._removed: set[int] = set()
        self._named: dict[str, int] = {}

    def place_of(self, contact_id: str) -> int:
        """Where a contact stands in the order."""
        with self._lock:
            return _FIRST_ID + _STEP * self._existing(contact_id)

    def before(self, place: int) -> int:
        """A place three contacts earlier."""
        return max(0, place - 3 * _STEP)

    @property
    def size(self) -> int:
        """How many contacts there are."""
        return self._count + len(self._added) - len(self._removed)

    def contacts(self, after: int = 0) -> Iterator[Person]:
        """Every contact whose place is beyond `after`, in order; nothing is scanned to start."""
        index = max(0, (after - _FIRST_ID) // _STEP + 1)
        while index < self._count + len(self._added):
            if index not in self._removed:
                yield self._at(index)
            index += 1

    def contact(self, contact_id: str) -> Person | None:
        """The contact of that id; None when it never was or was removed."""
        index = self._index_of(contact_id)
        return None if index is None or index in self._removed else self._at(index)

    def removed(self, contact_id: str) -> bool:
        """True when there was a contact of that id and it was removed."""
        return self._index_of(contact_id) in self._removed

    def company(self, company_id: str) -> Firm | None:
        """The company of that id, silent ones included; None when HubSpot would not find it."""
        return self._added_firms.get(company_id) or self._firms.get(company_id)

    def property_names(self, objects: str) -> set[str] | None:
        """Which properties "contacts" or "companies" have; None for other objects."""
        with self._lock:
            people = [self._people.person(0, "0").properties]
            people += [person.properties for person in self._added]
            people += self._changed.values()
            firms = [firm.properties for firm in self._added_firms.values()]
        if objects == "contacts":
            return set[str]().union(*people)
        if objects == "companies":
            return {"name", "domain", "industry", "phone", "city", "country"}.union(*firms)
        return None

    def add_contact(
        self,
        properties: Mapping[str, object],
        companies: Iterable[Row],
        contact_id: str | None = None,
    ) -> str:
        """Append a contact and return its id."""
        with self._lock:
            index = self._count + len(self._added)
            if contact_id is None:
                contact_id = str(_FIRST_ID + _STEP * index)
            self._named[contact_id] = index
            whole = {
                **_texts(properties),
                "createdate": _now(),
                "lastmodifieddate": _now(),
                "hs_object_id": contact_id,
            }
            self._added.append(Person(contact_id, whole, tuple(companies)))
        return contact_id

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

    def remove_contact(self, contact_id: str) -> None:
        """
        Make a contact vanish from every listing.

        Raises:
            KeyError: There is no such contact.
        """
        with self._lock:
            self._removed.add(self._existing(contact_id))

    def restore_contact(self, contact_id: str) -> None:
        """Bring a removed contact back to its old place; nothing if it was not removed."""
        with self._lock:
            self._removed.discard(self._index_of(contact_id) or 0)

    def add_company(self, properties: Mapping[str, object], company_id: str | None = None) -> str:
        """Add a company and return its id, to be named in `add_contact`."""
        with self._lock:
            company_id = company_id or str(70_000_000_001 + len(self._added_firms))
            self._added_firms[company_id] = Firm(company_id, _texts(properties))
        return company_id

    def _existing(self, contact_id: str) -> int:
        index = self._index_of(contact_id)
        if index is None or index in self._removed:
            raise KeyError(f"the portal has no contact {contact_id}")
        return index

    def _index_of(self, contact_id: str) -> int | None:
        if contact_id in self._named:
            return self._named[contact_id]
        if not contact_id.isdecimal():
            return None
        index, rest = divmod(int(contact_id) - _FIRST_ID, _STEP)
        return index if rest == 0 and 0 <= index < self._count + len(self._added) else None

    def _at(self, index: int) -> Person:
        if index < self._count:
            person = self._people.person(index, str(_FIRST_ID + _STEP * index))
        else:
            person = self._added[index - self._count]
        if changes := self._changed.get(index):
            return Person(person.id, {**person.properties, **changes}, person.companies)
        return person


def _texts(properties: Mapping[str, object]) -> Properties:
    """HubSpot keeps every value as text or null."""
    return {name: None if value is None else str(value) for name, value in properties.items()}


def _now() -> str:
    return stamp(datetime.now(UTC))
