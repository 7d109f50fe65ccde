"""
Removes secrets from the answers of a service, before they are stored or shown.

A service can only repeat what was sent to it through its `HttpClient`, so each client has a list of
the secrets that it sends. Known secrets are removed first, in every encoding; then everything that
looks like a token, as it may be another user's.

A short secret may be an everyday word ("test"). To keep answers readable, it is removed only if no
letter or digit is next to it.
"""

import html
import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit
from urllib.request import getproxies

REDACTED = "[redacted]"
# Secrets of this length or longer are removed inside longer words too.
LONG_SECRET_CHARACTERS = 8
# Only this much of a longer text is stored or shown.
LONGEST_TEXT = 1_200
# Error details of the services are not nested deeper.
DEEPEST_DATA = 20

_LOOKS_LIKE_ONE = re.compile(
    r"eyJ[\w-]+\.[\w-]+(\.[\w-]*)*"  # a JWT
    r"|pat-\w+-[\w-]+"  # a private app's token
    r"|lgp_\w+"  # an API key
    r"|(?i:bearer)\s+\S+"
)


class Redactor:
    """Removes the secrets of one client from texts and JSON. Threads may share it."""

    def __init__(self) -> None:
        self._secrets: frozenset[str] = frozenset()
        self._exact: re.Pattern[str] | None = None

    def add(self, *secrets: str | None) -> None:
        """Remove these secrets too from now on; empty ones are ignored."""
        known = self._secrets | {one for one in secrets if one}
        if known != self._secrets:
            forms = set().union(*map(_forms, known))
            # Longest first: one secret may be the beginning of another.
            patterns = map(_pattern, sorted(forms, key=len, reverse=True))
            self._secrets, self._exact = known, re.compile("|".join(patterns))

    def text(self, text: str) -> str:
        """The beginning of a text, with `REDACTED` in place of each secret."""
        if self._exact is not None:
            # Before the text is cut, because the cut could go through a secret.
            text = self._exact.sub(REDACTED, text)
        return _LOOKS_LIKE_ONE.sub(REDACTED, text[:LONGEST_TEXT])

    def data(self, value: Any, deepest: int = DEEPEST_DATA) -> Any:
        """JSON with every string redacted, except keys; values nested too deep become `None`."""
        if isinstance(value, str):
            return self.text(value)
        if not isinstance(value, list | dict):
            return value
        if deepest == 0:
            return None
        if isinstance(value, list):
            return [self.data(one, deepest - 1) for one in value]
        return {key: self.data(one, deepest - 1) for key, one in value.items()}


def proxy_passwords() -> list[str]:
    """The passwords of the proxies in the environment, as written and as sent."""
    found = []
    for url in getproxies().values():
        try:
            written = urlsplit(url if "//" in url else f"//{url}").password
        except ValueError:
            continue
        found += [written, unquote(written)] if written else []
    return found


def _forms(secret: str) -> set[str]:
    """The secret as it appears in a URL, in HTML, in JSON, and in JSON within JSON."""
    ways = (partial(quote, safe=""), quote, quote_plus)
    # Environment variables may hold invalid Unicode.
    in_urls = {way(secret, errors="replace") for way in ways}
    in_urls |= {re.sub("%..", lambda code: code[0].lower(), text) for text in in_urls}
    plain = {secret, html.escape(secret), html.escape(secret, quote=False), *in_urls}
    once = {text for one in plain for text in _in_json(one)}
    return plain | once | {text for one in once for text in _in_json(one)}


def _in_json(text: str) -> Iterator[str]:
    for as_ascii in (True, False):
        written = json.dumps(text, ensure_ascii=as_ascii)[1:-1]
        yield from (written, written.replace("/", "\\/"))


# No letter or digit before it, unless that is the end of an escape of JSON or of a URL.
_BEGINS = r"(?:(?<![^\W_])|(?<=\\[nrtbf])|(?<=%[0-9A-Fa-f]{2}))"


def _pattern(form: str) -> str:
    if len(form) >= LONG_SECRET_CHARACTERS:
        return re.escape(form)
    return rf"{_BEGINS}{re.escape(form)}(?![^\W_])"
