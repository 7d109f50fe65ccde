"""
The rules of a mapping: what a file of them says, once it was found to be good.

Plain data and what follows from it; how a file is read and what is wrong with one, `checking`
knows. The hash is over the rules alone: comments and the order of keys do not count.
"""

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
    Where a value comes from.

    Args:
        name: HubSpot's name of the property.
        of_company: Whether it is the chosen company's, not the contact's own.
    """

    name: str
    of_company: bool

    @classmethod
    def named(cls, text: str) -> "PropertySource":
        """The source that a file calls so: `jobtitle`, `company.name`."""
        return cls(text.removeprefix(COMPANY_PREFIX), text.startswith(COMPANY_PREFIX))

    def __str__(self) -> str:
        return f"{COMPANY_PREFIX}{self.name}" if self.of_company else self.name


@dataclass(frozen=True)
class NoteLine:
    """A line of the notes: `label: value`, where the source has a value."""

    label: str
    source: PropertySource


@dataclass(frozen=True)
class Rules:
    """
    How a contact becomes a lead, as far as a file may decide it.

    Args:
        fields: Sources of each field of the lead, the preferred one first.
        opening: The first line of the notes; "" = none.
        lines: Further lines of the notes.
        constants: What a field holds when nothing else fills it.
        names: "email" or "dash": what stands in for a missing name.
        company_name: "domain" or "none": what stands in for a missing company name.
        free_mail: The same, where the e-mail's domain is free mail.
        extra_domains: Free-mail domains that are not commonly known, in ASCII.
        text: The file itself.
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
        """Which of a contact's properties are wanted: those named, and what tells its company."""
        named = [source.name for source in self._sources() if not source.of_company]
        return tuple(dict.fromkeys([*named, PRIMARY_PROPERTY]))

    @cached_property
    def company_properties(self) -> tuple[str, ...]:
        """Which of a company's properties are wanted."""
        return tuple(dict.fromkeys(source.name for source in self._sources() if source.of_company))

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the rules in one spelling, hexadecimal."""
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
