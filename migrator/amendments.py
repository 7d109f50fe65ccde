"""
What a person put in the place of HubSpot's values, and the values that count in the end.

An amendment has the name of its source: a contact's property is `email`, its company's is
`company.name`. It lies over what HubSpot gives for as long as nobody amends it again. Pure: no I/O,
no clock; it must never raise, whatever JSON it is handed. It knows no rule of what a lead holds.
"""

from collections.abc import Iterable, Mapping
from typing import Any

COMPANY = "company."

# By name; None = treat it as missing.
Amendments = Mapping[str, str | None]


def overlay(
    contact: Mapping[str, Any], company: Mapping[str, Any] | None, amended: Amendments | None
) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    """
    Return contact and company as they are with what was amended.

    Args:
        contact: HubSpot's JSON, `{"id", "properties"}`.
        company: The chosen company's properties, or None.
    """
    amended = _mapping(amended)
    own = {name: value for name, value in amended.items() if not name.startswith(COMPANY)}
    firm = {name.removeprefix(COMPANY): amended[name] for name in amended.keys() - own.keys()}
    if own:
        contact = {**_mapping(contact), "properties": {**_properties(contact), **own}}
    return contact, {**_mapping(company), **firm} if firm else company


def values(
    contact: Mapping[str, Any], company: Mapping[str, Any] | None, names: Iterable[str]
) -> dict[str, str]:
    """Return the values of these names as text; what is missing, or no text, is empty."""
    own, firm = _properties(contact), _mapping(company)
    return {
        name: _text(firm.get(name.removeprefix(COMPANY)))
        if name.startswith(COMPANY)
        else _text(own.get(name))
        for name in names
    }


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    try:
        return str(value)
    except ValueError:  # Python does not print an integer of thousands of digits
        return ""


def _properties(contact: object) -> Mapping[str, Any]:
    return _mapping(_mapping(contact).get("properties"))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
