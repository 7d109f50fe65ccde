"""The rules of a valid mapping file; `parser` reads the file."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from migrator.mapping.companies import PRIMARY_PROPERTY

COMPANY_PREFIX = "company."


@dataclass(frozen=True)
class PropertySource:
    """
    The source of a value.

    Args:
        name: The name of the property in HubSpot.
        of_company: Whether it is a property of the chosen company, not of the contact.
    """

    name: str
    of_company: bool

    @classmethod
    def named(cls, text: str) -> "PropertySource":
        """Parse the form of a mapping file: `jobtitle`, `company.name`."""
        return cls(text.removeprefix(COMPANY_PREFIX), text.startswith(COMPANY_PREFIX))

    def __str__(self) -> str:
        return f"{COMPANY_PREFIX}{self.name}" if self.of_company else self.name


@dataclass(frozen=True)
class NoteLine:
    """A line of the notes, `label: value`; it is left out if the source has no value."""

    label: str
    source: PropertySource


@dataclass(frozen=True)
class Rules:
    """
    The configurable part of the mapping.

    Args:
        fields: Sources of each field of the lead, the preferred one first.
        opening: The first line of the notes; "" = none.
        lines: Further lines of the notes.
        constants: Values of fields that would be empty otherwise.
        names: "email" or "dash": replaces a missing name.
        company_name: "domain" or "none": replaces a missing company name.
        free_mail: The same, if the e-mail has a free-mail domain.
        extra_domains: Additional free-mail domains, in ASCII.
        text: The text of the file.
    """

    fields: Mapping[str, tuple[PropertySource, ...]]
    opening: str
    lines: tuple[NoteLine, ...]
    constants: Mapping[str, str]
    names: str
    company_name: str
    free_mail: str
    extra_domains: frozenset[str]
    text: str = field(compare=False, repr=False)

    @cached_property
    def contact_properties(self) -> tuple[str, ...]:
        """The contact properties to request: those of the rules, and the primary company's id."""
        named = [source.name for source in self._sources() if not source.of_company]
        return tuple(dict.fromkeys([*named, PRIMARY_PROPERTY]))

    @cached_property
    def company_properties(self) -> tuple[str, ...]:
        """The company properties to request."""
        return tuple(dict.fromkeys(source.name for source in self._sources() if source.of_company))

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the rules, hexadecimal; comments and the order of keys do not count."""
        text = json.dumps(self._canonical(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def _sources(self) -> Iterator[PropertySource]:
        for sources in self.fields.values():
            yield from sources
        yield from (line.source for line in self.lines)

    def _canonical(self) -> dict[str, Any]:
        return {
            "fields": {name: [str(one) for one in own] for name, own in self.fields.items()},
            "opening": self.opening,
            "lines": [[line.label, str(line.source)] for line in self.lines],
            "constants": dict(self.constants),
            "names": self.names,
            "company_name": self.company_name,
            "free_mail": self.free_mail,
            "extra_domains": sorted(self.extra_domains),
        }
