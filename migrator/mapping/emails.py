"""
E-mail addresses: the one that a text holds, and what two spellings of one share (design, I4).

Lists, mail programs and people leave marks around an address (`<jane@x>`, `jane@x;`). Where only
one address can be read from such a text it is that one; where there are two readings it is none.
Pure; it must never raise, whatever text it is handed.
"""

import re
from unicodedata import category, normalize

import idna

from migrator.mapping.text import is_plain, text_of, without_invisible

_LONGEST = 254

# No address has these before its @, but in quotation marks (RFC 5322, "specials").
_SPECIALS = r'()<>\[\]:;,\\"'
# What stands around an address and is no part of it: list separators, brackets, quotation marks.
_FOREIGN_MARKS = "“”„‟‘’‚‛«»‹›；，、：（）＜＞"
_MARKS = rf"\s;,:()<>\[\]\"{_FOREIGN_MARKS}"
# These may begin an address: they are marks only where the other one of the pair is there.
_QUOTES = "'`"

_PLAIN_LABEL = r"[-0-9A-Za-z_]+"
_ASCII_DOMAIN = re.compile(rf"{_PLAIN_LABEL}(?:\.{_PLAIN_LABEL})*|\[[-.:0-9A-Za-z]+\]")
# Addresses without any fault, as most of them are.
_GOOD_ASCII = re.compile(rf"[!#-'*+\--9=?A-Z^-~]+@{_PLAIN_LABEL}(?:\.{_PLAIN_LABEL})*")

_LOCAL = rf'(?:"[^\s@\\"]+"|(?![{_FOREIGN_MARKS}])[^\s@{_SPECIALS}]+(?<![{_FOREIGN_MARKS}]))'
_LABEL = rf"[^\x00-,./:-@\[-^`{{-\x7f\s{_FOREIGN_MARKS}]+"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[-.:0-9A-Za-z]+\])"
_IS_LOCAL = re.compile(_LOCAL)
_IS_DOMAIN = re.compile(_DOMAIN)

_AMONG_MARKS = re.compile(
    rf"(?P<before>(?:[{_MARKS}{_QUOTES}]*mailto:)?[{_MARKS}{_QUOTES}]*)"
    rf"(?P<address>(?![{_QUOTES}]){_LOCAL}@{_DOMAIN})"
    rf"(?P<after>[{_MARKS}{_QUOTES}]*)",
    re.IGNORECASE,
)
# RFC 5322, "mailbox": a name, and the address in angle brackets.
_AFTER_NAME = re.compile(rf"(?P<name>[^<>]*)<(?P<address>[^<>]*)>[{_MARKS}]*")


def address_in(text: str) -> str | None:
    """
    Return the one address that a text in NFC holds, without the marks around it, or None.

    An address that is sound comes back as it is. `Jane <jane@x>` holds one; two different
    addresses are none, and so are words around one: they may be a part of it.
    """
    if _GOOD_ASCII.fullmatch(text) and len(text) <= _LONGEST:
        return text
    if fault_of(text) is None:
        return text
    if not (named := _AFTER_NAME.fullmatch(text)):
        return _among_marks(text)
    found = _among_marks(named["address"])
    # Some programs write the address where the name should be.
    is_one = "@" not in named["name"] or email_key(named["name"]) == email_key(found)
    return found if is_one else None


def _among_marks(text: str) -> str | None:
    if not (match := _AMONG_MARKS.fullmatch(text)) or fault_of(match["address"]):
        return None
    is_unpaired = any(mark in match["before"] and mark not in match["after"] for mark in _QUOTES)
    return None if is_unpaired else match["address"]


def fault_of(email: str) -> str | None:
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
        f"is longer than {_LONGEST} characters": len(email) > _LONGEST,
        "holds a mark before the @ that no address has there": not _IS_LOCAL.fullmatch(local),
        "holds a mark in its domain that no domain has": not _IS_DOMAIN.fullmatch(domain),
    }
    return next((words for words, found in faults.items() if found), None)


def email_key(email: str | None) -> str | None:
    """
    Return what two spellings of one e-mail address share, or None when it is blank (design, I4).

    Without the marks around it and without invisible characters, NFC, case-folded, the domain in
    ASCII. A key of a key is itself. A text that holds no address is its own key.
    """
    # Nothing is asked more often.
    if is_plain(email) and _GOOD_ASCII.fullmatch(email):
        return email.lower()
    stripped = normalize("NFC", without_invisible(text_of(email)))
    address = address_in(stripped)
    if address is None:
        return _folded(stripped) or None
    local, _, domain = address.partition("@")
    return f"{_folded(local)}@{ascii_domain(domain)}"


def _folded(text: str) -> str:
    # Folding is only stable on decomposed text (Unicode, 3.13: caseless matching).
    return normalize("NFC", normalize("NFD", text).casefold())


def ascii_domain(domain: str) -> str:
    """
    Return the one ASCII spelling of a domain, in lower case.

    By IDNA 2008, in which `ß` and `ss` are two domains. Labels that it does not allow, such as
    emoji, are spelt by the same rule: such domains exist.
    """
    lower = domain.lower()
    if lower.isascii():
        return lower
    try:
        spelt = _in_ascii(idna.uts46_remap(lower, std3_rules=False))
    except idna.IDNAError:
        spelt = ""
    # A character may be mapped to nothing, or to a mark that no domain has.
    return spelt if _ASCII_DOMAIN.fullmatch(spelt) else _in_ascii(normalize("NFC", lower))


def _in_ascii(domain: str) -> str:
    return ".".join(
        label if label.isascii() else f"xn--{label.encode('punycode').decode()}"
        for label in domain.split(".")
    )


def readable_label(label: str) -> str:
    """Return a domain's part as people read it: `xn--mnchen-3ya` is `münchen`."""
    prefix, encoded = label[:4], label[4:]
    if prefix.lower() != "xn--" or not encoded.isascii():
        return label
    try:
        return encoded.encode().decode("punycode")
    except UnicodeError:
        return label
