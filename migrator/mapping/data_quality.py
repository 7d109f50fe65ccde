"""
What makes a lead worth a look before it is sent; the words are in `data_quality.toml`.

A finding holds no contact back: the address of a group may be wanted, and Test is also a surname.
"""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files

_WORDS = tomllib.loads(files("migrator.mapping").joinpath("data_quality.toml").read_text("utf-8"))
_ROLES = frozenset(_WORDS["role_names"])
_TEST_WORDS = frozenset(_WORDS["test_words"])
_TEST_EMAILS = frozenset(_WORDS["test_emails"])
_TEST_DOMAINS = frozenset(_WORDS["test_domains"])
_MADE_UP = frozenset(
    f"{name}_name_{how}" for name in ("first", "last") for how in ("from_email", "dash")
)
_NAMES = ("firstName", "lastName", "companyName")
_BREAK = re.compile(r"[.+_-]")
_AT_THE_END = "0123456789 "


class Finding(StrEnum):
    """Why a lead is worth a look."""

    ROLE_ADDRESS = "role_address"
    TEST_RECORD = "test_record"
    MADE_UP_NAME = "made_up_name"


def findings(
    lead: Mapping[str, str], derived_fields: Collection[str]
) -> Iterator[tuple[Finding, str]]:
    """
    Find what is worth a look in a lead, each with the value that shows it.

    Args:
        derived_fields: As `MappedLead` has them.
    """
    email = lead.get("email", "")
    local, _, domain = email.casefold().rpartition("@")
    if local.partition("+")[0] in _ROLES:
        yield Finding.ROLE_ADDRESS, email
    if _is_of_tests(local, domain):
        yield Finding.TEST_RECORD, email
    elif name := next(filter(_is_test_word, map(lead.get, _NAMES)), None):
        yield Finding.TEST_RECORD, name
    if not _MADE_UP.isdisjoint(derived_fields):
        yield Finding.MADE_UP_NAME, f"{lead.get('firstName')} {lead.get('lastName')}"


def _is_of_tests(local: str, domain: str) -> bool:
    words = [part.rstrip(_AT_THE_END) for part in _BREAK.split(local)]
    return (
        not _TEST_WORDS.isdisjoint(words)
        or _is_test_domain(domain)
        or f"{local}@{domain}" in _TEST_EMAILS
    )


# Names and domains repeat.
@lru_cache(maxsize=4096)
def _is_test_domain(domain: str) -> bool:
    labels = domain.rsplit(".", 2)[-2:]
    return not _TEST_DOMAINS.isdisjoint((labels[-1], ".".join(labels)))


@lru_cache(maxsize=4096)
def _is_test_word(value: str | None) -> bool:
    return value is not None and value.casefold().rstrip(_AT_THE_END) in _TEST_WORDS
