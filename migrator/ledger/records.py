"""Contacts as they come into the ledger and as they are asked for again: plain data, no SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from migrator.states import Hold, State


class ExtractedContact(NamedTuple):
    """
    A contact as extracted.

    Args:
        hubspot_id: HubSpot's id, a string.
        source: JSON of what the mapping reads of it, always written the same way.
        company_id: The company that counts; `None` = it has none.
        company_rule: Which rule chose the company; `None` = it has none.
    """

    hubspot_id: str
    source: str
    company_id: str | None
    company_rule: str | None


@dataclass(frozen=True)
class StoredContact:
    """
    What the ledger already has of a contact.

    Args:
        is_open: Whether a send of it is not settled, or left a lead although it is not posted.
        mapping: The id of the mapping that built its lead, or excluded it; `None` = it waits to be
            mapped, or it was sent before mappings were kept.
    """

    state: State
    source: str
    company_id: str | None
    lead: str | None
    is_open: bool
    mapping: int | None = None
    amended: str | None = None


@dataclass(frozen=True)
class ExtractedPage:
    """
    A page, or several that follow each other, sorted by what they mean for the ledger.

    Args:
        companies: Fresh properties as JSON by company id; `None` = HubSpot does not give it.
        new: Contacts that the ledger does not have.
        changed: Contacts to map (again): not posted, nothing open.
        stale: Ids of posted contacts whose lead would be another one today.
        current: Ids of mapped or posted contacts whose lead is still the same.
        cursor: Where the sweep goes on; `None` = this was the last page.
        waiting: Contacts that wait to be mapped all the same, with what is read of them now.
        unchanged: Ids of contacts that wait to be mapped, and are as they were.
        count: How many pages they are.
        odd: How many of their rows are no contacts with an id.
    """

    companies: Mapping[str, str | None]
    new: Sequence[ExtractedContact]
    changed: Sequence[ExtractedContact]
    stale: Sequence[str]
    current: Sequence[str]
    cursor: str | None
    waiting: Sequence[ExtractedContact] = ()
    unchanged: Sequence[str] = ()
    count: int = 1
    odd: int = 0

    @property
    def met(self) -> list[str]:
        """The ids of the contacts that the ledger had before."""
        again = (one.hubspot_id for one in (*self.changed, *self.waiting))
        return [*again, *self.stale, *self.current, *self.unchanged]


class ContactToMap(NamedTuple):
    """An extracted contact, its company's properties, what a person amended: JSON, or `None`."""

    key: int
    source: str
    company: str | None
    amended: str | None = None


class MappedContact(NamedTuple):
    """The lead of an extracted contact: JSON, without the client_id."""

    key: int
    lead: str
    email_key: str
    made_up: str | None


class ExcludedContact(NamedTuple):
    """An extracted contact that the rules exclude, and why."""

    key: int
    held: Hold
    detail: str
