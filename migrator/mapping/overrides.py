"""
Amendments: values that a person has put in place of HubSpot's.

An amendment is named like its source: `email` for a property of the contact, `company.name` for one
of its company. It overrides HubSpot's value until it is amended again. Nothing in here raises
for any JSON.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from migrator.mapping.rules import COMPANY_PREFIX
from migrator.mapping.text import as_mapping, properties_of, text_of

# By name; None = treat it as missing.
Amendments = Mapping[str, str | None]


def overlay(
    contact: Mapping[str, Any], company: Mapping[str, Any] | None, amended: Amendments | None
) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    """
    Return contact and company with the amendments applied.

    Args:
        contact: HubSpot's JSON, `{"id", "properties"}`.
        company: The properties of the chosen company, or None.
    """
    if not (amended := as_mapping(amended)):
        return contact, company
    own = {name: value for name, value in amended.items() if not name.startswith(COMPANY_PREFIX)}
    firm = {
        name.removeprefix(COMPANY_PREFIX): amended[name] for name in amended.keys() - own.keys()
    }
    if own:
        contact = {**as_mapping(contact), "properties": {**properties_of(contact), **own}}
    return contact, {**as_mapping(company), **firm} if firm else company


def values(
    contact: Mapping[str, Any], company: Mapping[str, Any] | None, names: Iterable[str]
) -> dict[str, str]:
    """Return the values of these names as text, "" if missing or of another type."""
    own, firm = properties_of(contact), as_mapping(company)
    return {
        name: text_of(firm.get(name.removeprefix(COMPANY_PREFIX)))
        if name.startswith(COMPANY_PREFIX)
        else text_of(own.get(name))
        for name in names
    }
