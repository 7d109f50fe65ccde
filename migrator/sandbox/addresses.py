"""E-mail addresses: an implementation independent of `migrator.mapping`, which it checks."""

import unicodedata

_LONGEST = 254
_SPECIALS = frozenset('()<>[]:;,\\"')  # RFC 5322: only in quotation marks
_FOREIGN = frozenset("“”„‟‘’‚‛«»‹›；，、：（）＜＞")
_QUOTES = "'`"


def one_address(text: str) -> str:
    """The only address in a text; the text itself if there is none, or more than one."""
    if is_sound(text):
        return text
    name, _, rest = text.partition("<")
    inner, closing, after = rest.partition(">")
    if not closing or "<" in rest or ">" in after or _without_marks(after):
        return _bare(text) or text
    found = _bare(inner)
    return found if found and ("@" not in name or _bare(name) == found) else text


def is_sound(email: str) -> bool:
    """Whether an address is valid."""
    local, _, domain = email.partition("@")
    return bool(
        local
        and all(domain.split("."))
        and len(email) <= _LONGEST
        and not any(c.isspace() or unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in email)
        and _is_local(local)
        and _is_domain(domain)
    )


def normal(email: str) -> str:
    """The normal form of an address: without regard to case and to the encoding of the domain."""
    local, at, domain = email.strip().partition("@")
    labels = unicodedata.normalize("NFC", domain.lower()).split(".")
    spelt = (one if one.isascii() else f"xn--{one.encode('punycode').decode()}" for one in labels)
    return f"{local.casefold()}{at}{'.'.join(spelt)}"


def _is_local(local: str) -> bool:
    if len(local) > 2 and local[0] == local[-1] == '"':
        return not set(local[1:-1]) & {'"', "\\"}
    return not _SPECIALS & set(local) and not _FOREIGN & {local[0], local[-1]}


def _is_domain(domain: str) -> bool:
    if domain[0] == "[" and domain[-1] == "]":
        return len(domain) > 2 and all(
            c.isascii() and (c.isalnum() or c in "-.:") for c in domain[1:-1]
        )
    marks = {char for char in domain if char.isascii() and not char.isalnum()}
    return marks <= set("-_.") and not _FOREIGN & set(domain) and "@" not in domain


def _is_mark(char: str) -> bool:
    return char in _FOREIGN or char in '()<>[]:;,"' or char in _QUOTES or char.isspace()


def _without_marks(text: str) -> str:
    kept = [place for place, char in enumerate(text) if not _is_mark(char)]
    return text[kept[0] : kept[-1] + 1] if kept else ""


def _bare(text: str) -> str:
    """The address among marks; "" if there is none, or if a mark may be part of it."""
    address = _without_marks(text)
    before = text[: text.find(address)]
    if address.lower().startswith("mailto:"):
        rest = address[len("mailto:") :]
        address = _without_marks(rest)
        before += rest[: rest.find(address)]
    if not address or not is_sound(address):
        return ""
    after = text[text.rfind(address) + len(address) :]
    is_torn = any(quote in before and quote not in after for quote in _QUOTES)
    return "" if is_torn else address
