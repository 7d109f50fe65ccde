"""
Contact and company to lead, or the reason why not.

Owns every rule of the guide about what a lead holds (sections 4 and 5, bugs 3 to 6), as far as a
mapping file may not change it. It must never raise, whatever JSON a service hands it: what has the
wrong type counts as missing.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
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

# "Other symbols" like the emoji, but on their own they are marks, not names.
_LONE_MARKS = "¦©®°\ufffd"


@dataclass(frozen=True)
class MappedLead:
    """
    A lead that keeps every payload rule, ready to be sent once `client_id` is added.

    Args:
        lead: `{"firstName", "lastName", "email"}`, the other fields where known, and `notes`. No
            value is blank.
        email_key: `email_key` of the lead's e-mail.
        derived_fields: What a rule filled in or cleaned of what HubSpot said, in this order:
            `email_cleaned`, `first_name_from_email` or `first_name_dash`, `last_name_from_email` or
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
        detail: The same in words, quoting the bad value shortened and with nothing unprintable.
    """

    reason: str
    detail: str


@dataclass(frozen=True)
class _Given:
    """What HubSpot gave: a contact's properties, and its company's."""

    contact: Mapping[str, Any]
    company: Mapping[str, Any]

    def of(self, source: PropertySource) -> Any:
        """The value of a source; None where there is none."""
        return (self.company if source.of_company else self.contact).get(source.name)

    def first(self, sources: Iterable[PropertySource], read: Callable[[Any], str]) -> str:
        """The first value of sources that reads as text, or ""."""
        for source in sources:
            value = self.of(source)
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

    A number in a property is read as its text; a list, an object, a boolean or null as missing.

    Args:
        contact: HubSpot's JSON, as for `choose_company`.
        company: The chosen company's properties, or None.
        portal_id: The HubSpot account that the contact's id belongs to.
        rules: Which property becomes which field, and what stands in for a missing one.
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
    # a constant only fills; an empty string makes the service fail (guide, rule 1)
    sent = {name: value for name, value in optional.items() if value}
    if is_removed(sent):  # LeadGenius, and so `verify`, would take the lead for none
        del sent["status"]
    filled = {**rules.constants, **sent}
    notes = _notes(given, rules, portal_id, as_mapping(contact).get("id"))
    lead = {**filled, "firstName": first, "lastName": last, "email": address}
    return MappedLead(
        lead | ({"notes": notes} if notes else {}), email_key(address) or address, derived_fields
    )


def _email(value: object) -> str:
    text = text_of(value)
    return core(text if text.isascii() else normalize("NFC", text))


def _names(given: _Given, rules: Rules, local: str) -> tuple[str, str, tuple[str, ...]]:
    """
    Return first name, last name, and which of them were made up (guide, rule 3).

    Where the guide's own formula gives a usable name, this gives the same one. It does not for
    `_ada@…` or `ada.@…`, whose outer part is empty: then the nearest part that is a name counts.
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
        # The only usable part of an address must not become both names.
        left = usable[-1:] if len(parts) > 1 and usable[-1:] != taken else []
        last = parts[left[0]] if left else "-"
        derived_fields += ("last_name_from_email" if left else "last_name_dash",)
    return first, last, derived_fields


def _name(value: object) -> str:
    """Return a name, cleaned, or "" when it is no more than marks such as "." (guide, bug 6)."""
    text = clean(value)
    return text if text.isalpha() or any(map(_speaks, text)) else ""


def _speaks(character: str) -> bool:
    """Whether a character can be a name: a letter, a number or an emoji, of any script."""
    kind = category(character)
    # Unassigned (Cn) is only unknown to this Python: it may be a letter of a newer Unicode.
    return (kind[0] in "LN" or kind in ("So", "Co", "Cn")) and character not in _LONE_MARKS


def _company_name_from(domain: str, rules: Rules) -> str:
    """Return the first label of a company's domain, where the rules take it from there."""
    if rules.company_name != "domain" or domain.startswith("["):  # a bare address
        return ""
    if rules.free_mail != "domain" and is_free_mail(domain, rules.extra_domains):
        return ""
    return _name(readable_label(domain.partition(".")[0]).capitalize())


def _notes(given: _Given, rules: Rules, portal_id: str, own_id: object) -> str:
    # A cleaned value is one line, so none can pose as a line of its own: as another's record.
    told = ((line.label, clean(given.of(line.source))) for line in rules.lines)
    # As it came: cleaned, one contact's id could become another one's.
    contact_id = "" if isinstance(own_id, float) else text_of(own_id)
    is_named = is_readable(portal_id, contact_id)
    # Near the top: notes that are too long for the service lose their end.
    record = record_line(portal_id, contact_id) if is_named else ""
    lines = [rules.opening, record, *(f"{label}: {value}" for label, value in told if value)]
    return "\n".join(filter(None, lines))
