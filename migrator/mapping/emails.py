"""
E-mail addresses: finding the address in a text, and normalising addresses (design, I4).

Lists, mail programs and people leave marks around an address (`<jane@x>`, `jane@x;`). They are
removed if only one reading is possible. Nothing in here raises for any text.
"""

import re
from unicodedata import category, normalize

import idna

from migrator.mapping.text import is_plain, text_of, without_invisible

_LONGEST = 254

# Not allowed before the @, except in quotation marks (RFC 5322, "specials").
_SPECIALS = r'()<>\[\]:;,\\"'
# Marks around an address: list separators, brackets, quotation marks.
_FOREIGN_MARKS = "“”„‟‘’‚‛«»‹›；，、：（）＜＞"
_MARKS = rf"\s;,:()<>\[\]\"{_FOREIGN_MARKS}"
# These may begin an address; they are marks only in pairs.
_QUOTES = "'`"

_PLAIN_LABEL = r"[-0-9A-Za-z_]+"
_ASCII_DOMAIN = re.compile(rf"{_PLAIN_LABEL}(?:\.{_PLAIN_LABEL})*|\[[-.:0-9A-Za-z]+\]")
# A fast path for most valid addresses.
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
    Return the address in a text in NFC, without the marks around it, or None.

    A valid address is returned unchanged. `Jane <jane@x>` contains one. Two different addresses, or
    words around an address, yield None: the words may be part of it.
    """
    if _GOOD_ASCII.fullmatch(text) and len(text) <= _LONGEST:
        return text
    if fault_of(text) is None:
        return text
    if not (named := _AFTER_NAME.fullmatch(text)):
        return _among_marks(text)
    found = _among_marks(named["address"])
    # Some programs write the address in place of the name.
    is_one = "@" not in named["name"] or email_key(named["name"]) == email_key(found)
    return found if is_one else None


def _among_marks(text: str) -> str | None:
    if not (match := _AMONG_MARKS.fullmatch(text)) or fault_of(match["address"]):
        return None
    is_unpaired = any(mark in match["before"] and mark not in match["after"] for mark in _QUOTES)
    return None if is_unpaired else match["address"]


def fault_of(email: str) -> str | None:
    """Return why an e-mail address is invalid, or None."""
    local, _, domain = email.partition("@")
    faults = {
        "has no @": "@" not in email,
        "has more than one @": "@" in domain,
        "has nothing before the @": not local,
        "has nothing after the @": not domain,
        "has an empty part in its domain": "" in domain.split("."),
        "contains white space": any(map(str.isspace, email)),
        "contains an invisible character": any(category(ch) in ("Cc", "Cf", "Cs") for ch in email),
        f"is longer than {_LONGEST} characters": len(email) > _LONGEST,
        "contains a character that is not allowed before the @": not _IS_LOCAL.fullmatch(local),
        "contains a character that is not allowed in a domain": not _IS_DOMAIN.fullmatch(domain),
    }
    return next((words for words, found in faults.items() if found), None)


def email_key(email: str | None) -> str | None:
    """
    Return the normal form of an e-mail address, or None if it is blank (design, I4).

    It has no marks around it and no invisible characters; it is in NFC and case-folded, with the
    domain in ASCII. The function is idempotent, and works for texts that are not addresses.
    """
    if is_plain(email) and _GOOD_ASCII.fullmatch(email):
        return email.lower()
    stripped = normalize("NFC", without_invisible(text_of(email)))
    address = address_in(stripped)
    if address is None:
        return _folded(stripped) or None
    local, _, domain = address.partition("@")
    return f"{_folded(local)}@{ascii_domain(domain)}"


def _folded(text: str) -> str:
    # Case folding is stable only on decomposed text (Unicode, 3.13: caseless matching).
    return normalize("NFC", normalize("NFD", text).casefold())


def ascii_domain(domain: str) -> str:
    """
    Return a domain in ASCII and lower case, by IDNA 2008.

    In IDNA 2008 `ß` and `ss` differ. Labels that it does not allow, such as emoji, are encoded in
    the same way, because such domains exist.
    """
    lower = domain.lower()
    if lower.isascii():
        return lower
    try:
        spelt = _in_ascii(idna.uts46_remap(lower, std3_rules=False))
    except idna.IDNAError:
        spelt = ""
    # The mapping may have removed a character, or turned it into an invalid one.
    return spelt if _ASCII_DOMAIN.fullmatch(spelt) else _in_ascii(normalize("NFC", lower))


def _in_ascii(domain: str) -> str:
    return ".".join(
        label if label.isascii() else f"xn--{label.encode('punycode').decode()}"
        for label in domain.split(".")
    )


def readable_label(label: str) -> str:
    """Return a label of a domain in Unicode: `xn--mnchen-3ya` is `münchen`."""
    prefix, encoded = label[:4], label[4:]
    if prefix.lower() != "xn--" or not encoded.isascii():
        return label
    try:
        return encoded.encode().decode("punycode")
    except UnicodeError:
        return label
