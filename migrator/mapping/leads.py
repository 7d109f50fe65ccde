"""
Maps a contact and its company to a lead, or excludes it with a reason.

This module applies the rules of the guide on leads (sections 4 and 5, bugs 3 to 6). Nothing in here
raises for any JSON: a value of the wrong type counts as missing.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from unicodedata import category, normalize

from migrator.mapping.emails import address_in, email_key, fault_of, readable_label
from migrator.mapping.free_mail import is_free_mail
from migrator.mapping.identity import is_readable, is_removed, record_line
from migrator.mapping.parser import DEFAULT
from migrator.mapping.rules import PropertySource, Rules
from migrator.mapping.text import (
    as_mapping,
    clean,
    core,
    properties_of,
    quoted,
    text_of,
)

_ALWAYS = frozenset(["firstName", "lastName", "email"])
_NAME_BREAK = re.compile(r"[._-]")  # guide, rule 3

# "Other symbols" in Unicode, like the emoji, but not a name on their own.
_LONE_MARKS = "¦©®°\ufffd"


@dataclass(frozen=True)
class MappedLead:
    """
    A lead, ready to be sent once `client_id` is added.

    Args:
        lead: `firstName`, `lastName`, `email`, other fields if known, and `notes`. No value is
            blank.
        email_key: `email_key` of the lead's e-mail.
        derived_fields: Values that were derived or cleaned, in this order: `email_cleaned`,
            `first_name_from_email` or `first_name_dash`, `last_name_from_email` or
            `last_name_dash`, `company_name_from_email`.
    """

    lead: dict[str, str]
    email_key: str
    derived_fields: tuple[str, ...]


@dataclass(frozen=True)
class Exclusion:
    """
    Why a contact cannot become a lead.

    Args:
        reason: `no_email` or `invalid_email`.
        detail: The same in words, with the value quoted.
    """

    reason: str
    detail: str


class _Given(NamedTuple):
    """HubSpot's properties of a contact and of its company."""

    contact: Mapping[str, Any]
    company: Mapping[str, Any]

    def of(self, source: PropertySource) -> Any:
        """The value of a source, or None."""
        return (self.company if source.of_company else self.contact).get(source.name)

    def first(self, sources: Iterable[PropertySource], read: Callable[[Any], str]) -> str:
        """The first value that is not empty once read, or ""."""
        for source in sources:
            # `of`, inlined: this runs ten times for each contact.
            value = (self.company if source.of_company else self.contact).get(source.name)
            if value is not None and (text := read(value)):
                return text
        return ""


def to_lead(
    contact: Mapping[str, Any],
    company: Mapping[str, Any] | None,
    portal_id: str,
    rules: Rules = DEFAULT,
) -> MappedLead | Exclusion:
    """
    Map a contact and its company to a lead (guide, sections 4 and 5).

    A number is read as text; a list, an object, a boolean or null counts as missing.

    Args:
        contact: HubSpot's JSON, as for `choose_company`.
        company: The properties of the chosen company, or None.
        portal_id: The HubSpot portal of the contact.
        rules: The active mapping.
    """
    given = _Given(properties_of(contact), as_mapping(company))
    email = given.first(rules.fields["email"], _email)
    if not email:
        return Exclusion("no_email", "the contact has no e-mail address in HubSpot")
    if (address := address_in(email)) is None:
        return Exclusion("invalid_email", f"{quoted(email)} {fault_of(email)}")
    local, _, domain = address.partition("@")
    first, last, derived_fields = _names(given, rules, local)
    if address != email:
        derived_fields = ("email_cleaned", *derived_fields)
    optional = {
        field: given.first(sources, clean)
        for field, sources in rules.fields.items()
        if field not in _ALWAYS
    }
    if optional.get("companyName") == "" and (name := _company_name_from(domain, rules)):
        optional["companyName"] = name
        derived_fields += ("company_name_from_email",)
    # An empty string makes the service fail (guide, rule 1).
    known = {name: value for name, value in optional.items() if value}
    if is_removed(known):  # LeadGenius and `verify` would treat the lead as removed
        del known["status"]
    notes = _notes(given, rules, portal_id, as_mapping(contact).get("id"))
    lead = {**rules.constants, **known, "firstName": first, "lastName": last, "email": address}
    return MappedLead(
        lead | ({"notes": notes} if notes else {}), email_key(address) or address, derived_fields
    )


def _email(value: object) -> str:
    text = text_of(value)
    return core(text if text.isascii() else normalize("NFC", text))


def _names(given: _Given, rules: Rules, local: str) -> tuple[str, str, tuple[str, ...]]:
    """
    Return first name, last name, and which of them were derived (guide, rule 3).

    The result is that of the guide's formula, if it is usable. It is not for `_ada@…` or `ada.@…`,
    whose outer part is empty: then the nearest part that is a name is taken.
    """
    first = given.first(rules.fields["firstName"], _name)
    last = given.first(rules.fields["lastName"], _name)
    if first and last:
        return first, last, ()
    parts = [_name(part.capitalize()) for part in _NAME_BREAK.split(local)]
    usable = [place for place, part in enumerate(parts) if part and rules.names == "email"]
    derived_fields: tuple[str, ...] = ()
    taken: list[int] = []
    if not first:
        taken = usable[:1]
        first = parts[taken[0]] if taken else "-"
        derived_fields += ("first_name_from_email" if taken else "first_name_dash",)
    if not last:
        # A single usable part must not become both names.
        left = usable[-1:] if len(parts) > 1 and usable[-1:] != taken else []
        last = parts[left[0]] if left else "-"
        derived_fields += ("last_name_from_email" if left else "last_name_dash",)
    return first, last, derived_fields


def _name(value: object) -> str:
    """Return a cleaned name, or "" if it has only marks such as "." (guide, bug 6)."""
    text = clean(value)
    return text if text.isalpha() or any(map(_is_of_names, text)) else ""


def _is_of_names(character: str) -> bool:
    """Whether a character is a letter, a number or an emoji, of any script."""
    kind = category(character)
    # Unassigned (Cn) may be a letter of a newer Unicode than this Python's.
    return (kind[0] in "LN" or kind in ("So", "Co", "Cn")) and character not in _LONE_MARKS


def _company_name_from(domain: str, rules: Rules) -> str:
    """Return the first label of the domain as a company name, if the rules allow it, else ""."""
    if rules.company_name != "domain" or domain.startswith("["):  # an IP address
        return ""
    if rules.free_mail != "domain" and is_free_mail(domain, rules.extra_domains):
        return ""
    return _name(readable_label(domain.partition(".")[0]).capitalize())


def _notes(given: _Given, rules: Rules, portal_id: str, own_id: object) -> str:
    # Not cleaned: that could turn one contact's id into another's.
    contact_id = "" if isinstance(own_id, float) else text_of(own_id)
    # Near the top, because the service may cut off the end of long notes.
    is_safe = is_readable(portal_id, contact_id)
    record = record_line(portal_id, contact_id) if is_safe else ""
    # A cleaned value is one line, so it cannot contain a record line.
    known = [
        f"{line.label}: {value}" for line in rules.lines if (value := clean(given.of(line.source)))
    ]
    return "\n".join(filter(None, (rules.opening, record, *known)))
