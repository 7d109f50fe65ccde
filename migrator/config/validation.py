"""Validates the values of settings. Messages never quote a value."""

import re
from urllib.parse import urlsplit

from migrator.loopback import is_loopback

FILE_KEYS = {"token", "id_token", "refresh_token", "api_key", "user_id", "email", "base_url"}
_URLS = {"HUBSPOT_BASE_URL", "LEADGENIUS_BASE_URL", "base_url"}

# By variable, and by key of the credentials file. A value that is sent in a header must not break
# the header or inject another.
_IN_HEADER = (r"[!-~]+", "contains a space or an invalid character")
_SHAPES = {
    "HUBSPOT_API_VERSION": (r"v3|20[0-9]{2}-(0[1-9]|1[0-2])", "is neither v3 nor like 2026-03"),
    "HUBSPOT_PORTAL_ID": (r"[1-9][0-9]*", "is not a number"),
    "HUBSPOT_ACCESS_TOKEN": _IN_HEADER,
    "LGP_API_KEY": _IN_HEADER,
    "LGP_USER_ID": _IN_HEADER,
    **dict.fromkeys(FILE_KEYS - {"email", "base_url"}, _IN_HEADER),
}

# Beginnings of the other service's credentials.
_HUBSPOT_S = "is an access token of HubSpot, not of LeadGenius: are the two swapped?"
_SWAPPED = {
    "HUBSPOT_ACCESS_TOKEN": {
        r"eyJ": "is a JWT, as LeadGenius gives them, and no token of HubSpot: are the two swapped?",
        r"lgp_": "is an API key of LeadGenius, not a token of HubSpot: are the two swapped?",
    },
    "LGP_API_KEY": {r"pat-": _HUBSPOT_S},
    "token": {r"pat-": _HUBSPOT_S},
    "api_key": {r"pat-": _HUBSPOT_S},
    # A real password may begin with "pat-"; followed by a region, it is a token.
    "LEADGENIUS_PASSWORD": {r"pat-[a-z]+[0-9]+-": _HUBSPOT_S},
}
_WHAT_BELONGS = {
    "HUBSPOT_ACCESS_TOKEN": "set HUBSPOT_ACCESS_TOKEN to the token of a HubSpot private app or "
    "Service Key",
    "LGP_API_KEY": "set LGP_API_KEY to LeadGenius's key, which begins with lgp_",
    "LEADGENIUS_PASSWORD": "set LEADGENIUS_PASSWORD to the password of the LeadGenius login",
}


def problem(name: str, value: str) -> str | None:
    """What is wrong with a value, as it follows its name; None = nothing."""
    if name in _URLS:
        return _url_problem(value)
    for beginning, words in _SWAPPED.get(name, {}).items():
        if re.match(beginning, value):
            return words
    shape, words = _SHAPES.get(name, (r"(?s:.*)", ""))
    return None if re.fullmatch(shape, value) else words


def remedy(name: str) -> str:
    """What to do about a variable with a problem."""
    return _WHAT_BELONGS.get(name, f"set {name} to a valid value")


def _url_problem(value: str) -> str | None:
    try:
        parts = urlsplit(value)
        _ = parts.port  # parsed only on access
    except ValueError:
        return "is not an http(s) URL"
    # urlsplit drops tabs and newlines in silence, and clients disagree about a backslash.
    odd = not value.isprintable() or " " in value or "\\" in value
    if odd or parts.scheme not in ("http", "https") or not parts.hostname:
        return "is not an http(s) URL"
    if "@" in parts.netloc or "?" in value or "#" in value:
        return "contains a user, a password, a query or a fragment"
    if parts.scheme == "http" and not is_loopback(value):
        return "is plain http to another machine: credentials would travel in the clear"
    return None
