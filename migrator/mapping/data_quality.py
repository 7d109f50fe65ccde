"""
What makes a lead worth a look before it is sent; the words are in `data_quality.toml`.

A finding holds nothing back: a group's address may be wanted, and Test is a name, too.
"""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from importlib.resources import files
from typing import Any

_WORDS = tomllib.loads(files("migrator.mapping").joinpath("data_quality.toml").read_text("utf-8"))
_ROLES = frozenset(_WORDS["role_names"])
_TEST_WORDS = frozenset(_WORDS["test_words"])
_TEST_MARKS = tuple(_WORDS["test_marks"])
_TEST_EMAILS = frozenset(_WORDS["test_emails"])
_TEST_DOMAINS = frozenset(_WORDS["test_domains"])
_MADE_UP = frozenset(
    f"{name}_name_{how}" for name in ("first", "last") for how in ("from_email", "dash")
)
_BREAK = re.compile(r"[.+_-]")
_AT_THE_END = "0123456789 "


class Finding(StrEnum):
    """Why a lead is worth a look."""

    ROLE_ADDRESS = "role_address"
    TEST_RECORD = "test_record"
    MADE_UP_NAME = "made_up_name"


def findings(
    lead: Mapping[str, Any], derived_fields: Collection[str]
) -> Iterator[tuple[Finding, str]]:
    """
    Find what is worth a look in a lead, each with the value that shows it.

    Args:
        derived_fields: As `MappedLead` has them.
    """
    email = _text(lead, "email")
    local, _, domain = email.casefold().rpartition("@")
    if local.partition("+")[0] in _ROLES:
        yield Finding.ROLE_ADDRESS, email
    if (local and _is_of_tests(local, domain)) or f"{local}@{domain}" in _TEST_EMAILS:
        yield Finding.TEST_RECORD, email
    elif name := _test_name(lead):
        yield Finding.TEST_RECORD, name
    if not _MADE_UP.isdisjoint(derived_fields):
        name = f"{_text(lead, 'firstName')} {_text(lead, 'lastName')}"
        yield Finding.MADE_UP_NAME, name


def _is_of_tests(local: str, domain: str) -> bool:
    if any(part.rstrip(_AT_THE_END) in _TEST_WORDS for part in _BREAK.split(local)):
        return True
    labels = domain.split(".")
    return labels[-1] in _TEST_DOMAINS or ".".join(labels[-2:]) in _TEST_DOMAINS


def _test_name(lead: Mapping[str, Any]) -> str:
    """The value of the lead that is a word for tests; "" = none is."""
    for field in ("firstName", "lastName", "companyName"):
        value = _text(lead, field)
        folded = value.casefold()
        if folded.rstrip(_AT_THE_END) in _TEST_WORDS or any(one in folded for one in _TEST_MARKS):
            return value
    return ""


def _text(lead: Mapping[str, Any], field: str) -> str:
    value = lead.get(field)
    return value if isinstance(value, str) else ""
