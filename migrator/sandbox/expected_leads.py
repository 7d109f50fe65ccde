"""
The lead that each contact must become, by the guide's sections 4 and 5.

An implementation independent of `migrator.mapping`, which it checks.
"""

import re
import string
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from migrator.sandbox.addresses import is_sound, normal, one_address
from migrator.sandbox.companies import Company
from migrator.sandbox.contacts import MERGED_IDS, PRIMARY, Contact
from migrator.sandbox.sample_data import FREE_MAIL

FIRST_LINE = "Historic Contact imported from HubSpot"
RECORD = "[HubSpot record: "

# Characters that are invisible or reorder text. The joiners are kept: Persian and emoji need them.
_HIDDEN = frozenset("\u00ad\u061c\u180e\u200b\u200e\u200f\ufeff\ufff9\ufffa\ufffb").union(
    map(chr, (*range(0x202A, 0x202F), *range(0x2060, 0x2070)))
)
_JOINERS = "\u200c\u200d"

FindCompany = Callable[[str], Company | None]


@dataclass(frozen=True, slots=True)
class ExpectedLead:
    """
    The expected result for a contact.

    Args:
        lead: The lead in LeadGenius, without `client_id`; None = there must be none.
        reason: Why there must be none: `no_email`, `invalid_email` or `duplicate_email`.
        merged: Ids of the contacts that were merged into this one.
    """

    contact_id: str
    lead: dict[str, str] | None
    reason: str | None
    merged: tuple[str, ...] = ()

    def saved_as(self, rule: Callable[[dict[str, str]], dict[str, str]]) -> "ExpectedLead":
        """The same, with what a service makes of the lead."""
        return self if self.lead is None else replace(self, lead=rule(self.lead))


def expectations(
    contacts: Iterable[Contact], find_company: FindCompany, portal_id: str
) -> Iterator[ExpectedLead]:
    """
    The expected result for each contact, in the given order.

    Of several contacts with the same e-mail, the first one is sent.
    """
    seen: set[str] = set()
    for contact in contacts:
        email = _email(contact.properties.get("email"))
        reason = _unfit(email)
        if reason is None and normal(email) in seen:
            reason = "duplicate_email"
        if reason is not None:
            yield ExpectedLead(contact.id, None, reason)
            continue
        seen.add(normal(email))
        company = _company_of(contact, find_company)
        merged = tuple(filter(None, (contact.properties.get(MERGED_IDS) or "").split(";")))
        yield ExpectedLead(contact.id, _lead(contact, email, company, portal_id), None, merged)


def record_line(portal_id: str, contact_id: str) -> str:
    """The line of `notes` that identifies the contact of a lead."""
    return f"{RECORD}{portal_id}/{contact_id}]"


def is_mark(text: str) -> bool:
    """Whether a text is a single punctuation mark, as people type in place of a missing name."""
    return len(text) == 1 and (text in string.punctuation or unicodedata.category(text)[0] == "P")


def _unfit(email: str) -> str | None:
    if not email:
        return "no_email"
    return None if is_sound(email) else "invalid_email"


def _email(text: str | None) -> str:
    """An address without invisible characters at its ends and without marks around it."""
    composed = unicodedata.normalize("NFC", text or "")
    seen = [place for place, char in enumerate(composed) if not _is_unseen(char)]
    return one_address(composed[seen[0] : seen[-1] + 1]) if seen else ""


def _is_unseen(char: str) -> bool:
    hidden = char in _HIDDEN or char in _JOINERS
    return hidden or char.isspace() or unicodedata.category(char) == "Cc"


def _lead(contact: Contact, email: str, company: Company | None, portal_id: str) -> dict[str, str]:
    own = contact.properties
    employer = company.properties if company else {}
    first, last = _names(own.get("firstname"), own.get("lastname"), email)
    lead = {
        "firstName": first,
        "lastName": last,
        "email": email,
        "companyName": _text(employer.get("name")) or _company_from(email),
        "companyUrl": _text(employer.get("domain")),
        "title": _text(own.get("jobtitle")),
        "phoneNumber": _text(own.get("phone")) or _text(own.get("mobilephone")),
        "notes": _notes(contact, _text(employer.get("industry")), portal_id),
    }
    # Guide, bug 4: an empty string is refused, so a field without a value is left out.
    return {name: value for name, value in lead.items() if value}


def _notes(contact: Contact, industry: str, portal_id: str) -> str:
    lifecycle = _text(contact.properties.get("lifecyclestage"))
    status = _text(contact.properties.get("hs_lead_status"))
    lines = [
        FIRST_LINE,
        # In a record line such an id could be taken for another contact's.
        "" if re.search(r"[\s/\[\]]", contact.id) else record_line(portal_id, contact.id),
        lifecycle and f"Lifecycle: {lifecycle}",
        status and f"Status: {status}",
        industry and f"Industry: {industry}",
    ]
    return "\n".join(filter(None, lines))


def _company_of(contact: Contact, find_company: FindCompany) -> Company | None:
    """
    The primary company: the row that says so, else the contact's property, else the first row.

    Companies that HubSpot no longer returns are skipped.
    """
    primary = [company for company, kind in contact.companies if kind == PRIMARY]
    named = _text(contact.properties.get("associatedcompanyid"))
    listed = [company for company, _ in contact.companies]
    found = map(find_company, filter(None, [*primary, named, *listed]))
    return next((company for company in found if company and not company.silent), None)


def _company_from(email: str) -> str:
    domain = email.partition("@")[2]
    return "" if domain.lower() in FREE_MAIL else _name(domain.split(".")[0].capitalize())


def _names(first: str | None, last: str | None, email: str) -> tuple[str, str]:
    """
    First and last name, never empty, never a mark except for the dash (guide, rule 3 and bug 6).

    The guide takes the outer parts of the address. If one is empty, as in `_ada@`, the next part
    that is a name is taken; a single part does not become both names.
    """
    parts = [_name(part.capitalize()) for part in re.split(r"[._-]", email.partition("@")[0])]
    names = [part for part in parts if part]
    first, last = _name(first), _name(last)
    if not last and len(parts) > 1 and len(names) > (0 if first else 1):
        last = names[-1]
    return first or (names[0] if names else "-"), last or "-"


def _name(text: str | None) -> str:
    """
    A cleaned name; "" if it consists of marks (bug 6 names single marks; more are no better).
    """
    name = _text(text)
    return name if any(unicodedata.category(char) in _OF_NAMES for char in name) else ""


# Letters and numbers of any script; emoji; characters that this Python does not know yet.
_OF_NAMES = frozenset(["Lu", "Ll", "Lt", "Lm", "Lo", "Nd", "Nl", "No", "So", "Co", "Cn"])


def _text(value: str | None) -> str:
    """A value as one line of visible text in NFC."""
    if not value or (value.isascii() and value.isprintable()):
        return " ".join((value or "").split())  # nothing else could be in it
    spaced = "".join(" " if char.isspace() else char for char in value)
    kept = (c for c in spaced if c not in _HIDDEN and unicodedata.category(c) not in ("Cc", "Cs"))
    text = unicodedata.normalize("NFC", " ".join("".join(kept).split()))
    return text if text.strip(f" {_JOINERS}") else ""
