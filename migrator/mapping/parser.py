"""
Parses and validates a mapping file; all problems of a file are reported at once.

This module defines what a mapping file may contain.
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from migrator.mapping.emails import ascii_domain
from migrator.mapping.fields import FIELDS
from migrator.mapping.identity import RECORD, is_removed
from migrator.mapping.rules import COMPANY_PREFIX, NoteLine, PropertySource, Rules
from migrator.mapping.text import as_mapping, clean, quoted

REQUIRED = ("firstName", "lastName", "email")

_SECTIONS: Mapping[str, Collection[str]] = {
    "fields": FIELDS,
    "notes": ("opening", "lines"),
    "constants": FIELDS,
    "fallbacks": ("names", "company_name"),
    "free_mail": ("company_name", "extra_domains"),
}
# Fields that a mapping must not write: what is wrong, what to do.
_MISPLACED = {
    "phone": (
        "LeadGenius answers 500 to a lead with this field (guide, bug 3)",
        "the field is phoneNumber",
    ),
    "notes": ("the notes are built line by line", "write their lines in [notes]"),
    "leads": (
        "LeadGenius treats a lead with it as a batch, and saves nothing (guide, bug 2)",
        "leave it out",
    ),
    **dict.fromkeys(
        ("client_id", "clientId"),
        ("it is not a value of a contact", "leave it out; `push --client-id` sets it"),
    ),
    **dict.fromkeys(
        ("id", "owner", "company_id", "createdAt", "updatedAt", "deletedAt", "deletedBy"),
        ("LeadGenius sets it", "leave it out"),
    ),
}
# A hint lists at most this many names.
_MOST_NAMES = 9
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_PROPERTY = re.compile(r"[A-Za-z0-9_-]{1,200}")
_DOMAIN = re.compile(r"[^\s@.]+(?:\.[^\s@.]+)+")

# The properties are part of the URL of each page, as is a cursor of any length; HubSpot answers 414
# if the URL is too long.
LONGEST_PROPERTIES = 6_000
_COMMA_IN_URL = "%2C"


@dataclass(frozen=True)
class MappingProblem:
    """
    An error in a mapping file, or something doubtful.

    Args:
        where: The key, as in the file; "" = the whole file.
        what: What is wrong.
        advice: What to write instead.
    """

    where: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.where}{': ' if self.where else ''}{self.what}; {self.advice}"


class InvalidMapping(Exception):
    """The mapping file is not valid; `faults` = all its problems."""

    def __init__(self, faults: Iterable[MappingProblem]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(map(str, self.faults)))


def parse(text: str) -> Rules:
    """
    Parse a mapping file.

    Raises:
        InvalidMapping: the file is not valid.
    """
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        problem = MappingProblem("", f"it is not valid TOML: {error}", "fix it there")
        raise InvalidMapping([problem]) from None
    reader = _Reader(document)
    rules = reader.rules(text)
    if reader.faults:
        raise InvalidMapping(reader.faults)
    return rules


def doubts(rules: Rules) -> list[MappingProblem]:
    """Warnings about fields that LeadGenius does not document."""
    sections = {"fields": rules.fields, "constants": rules.constants}
    return [
        MappingProblem(
            f"{section}.{name}",
            "LeadGenius does not document this field, and may drop it silently",
            advised(name, FIELDS),
        )
        for section, names in sections.items()
        for name in names
        if name not in FIELDS
    ]


def advised(name: str, known: Collection[str], prefix: str = "") -> str:
    """
    A hint for an unknown name: the most similar known name, or all of them if they are few.

    Args:
        prefix: Precedes each name in a file; it is not part of the comparison.
    """
    folded = {one.casefold(): one for one in known}
    if near := difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6):
        return f"did you mean {prefix}{folded[near[0]]}?"
    return f"known are {', '.join(known)}" if len(known) <= _MOST_NAMES else "leave it out"


class _Reader:
    """Reads a document; it collects the problems, and continues with harmless values."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self.faults: list[MappingProblem] = []
        for name in document:
            if name not in _SECTIONS:
                self._fault(_key(name), "unknown section", advised(name, _SECTIONS))

    def rules(self, text: str) -> Rules:
        notes, fallbacks, free_mail = map(self._section, ("notes", "fallbacks", "free_mail"))
        rules = Rules(
            fields=self._fields(),
            opening=self._words("notes.opening", notes.get("opening"), is_required=False),
            lines=self._lines(notes.get("lines", [])),
            constants=self._constants(),
            names=self._choice("fallbacks.names", fallbacks, ("email", "dash")),
            company_name=self._choice("fallbacks.company_name", fallbacks, ("domain", "none")),
            free_mail=self._choice("free_mail.company_name", free_mail, ("none", "domain")),
            extra_domains=self._domains(free_mail.get("extra_domains", [])),
            text=text,
        )
        length = len(_COMMA_IN_URL.join(rules.contact_properties))
        if length > LONGEST_PROPERTIES:
            self._fault(
                "",
                f"its {len(rules.contact_properties)} contact properties make a request that is "
                f"too long for HubSpot ({length:,} characters)",
                f"name fewer; {LONGEST_PROPERTIES:,} characters fit",
            )
        return rules

    def _fault(self, where: str, what: str, advice: str) -> None:
        self.faults.append(MappingProblem(where, what, advice))

    def _section(self, name: str) -> Mapping[str, Any]:
        section = self._document.get(name, {})
        if not isinstance(section, dict):
            self._fault(name, "it is not a section", f"begin it with [{name}]")
        section = as_mapping(section)
        if _SECTIONS[name] is not FIELDS:
            self._refuse_unknown(f"{name}.", section, _SECTIONS[name])
        return section

    def _refuse_unknown(
        self, prefix: str, table: Mapping[str, Any], known: Collection[str]
    ) -> None:
        for name in table:
            if name not in known:
                self._fault(prefix + _key(name), "unknown key", advised(name, known))

    def _fields(self) -> dict[str, tuple[PropertySource, ...]]:
        section = self._section("fields")
        for name in REQUIRED:
            if name not in section:
                self._fault(f"fields.{name}", "it is missing, and every lead needs it", "add it")
        return {
            name: self._sources(f"fields.{_key(name)}", value)
            for name, value in section.items()
            if self._is_field("fields", name)
        }

    def _is_field(self, section: str, name: str) -> bool:
        if name in FIELDS or (name not in _MISPLACED and _FIELD.fullmatch(name)):
            return True
        problem = ("it is not a field name", 'write it as "companyName"')
        self._fault(f"{section}.{_key(name)}", *_MISPLACED.get(name, problem))
        return False

    def _sources(self, where: str, value: object) -> tuple[PropertySource, ...]:
        names = value if isinstance(value, list) else [value]
        if not names:
            self._fault(where, "it has no property", "name one, or leave the field out")
        found = [source for name in names if (source := self._source(where, name)) is not None]
        if len(set(found)) < len(found):
            self._fault(where, "it names a property twice", "name it once")
        return tuple(found)

    def _source(self, where: str, name: object) -> PropertySource | None:
        if not isinstance(name, str):
            self._fault(where, "a property name is a text", 'write it as "jobtitle"')
        elif name.startswith("contact."):
            plain = quoted(name.removeprefix("contact."))
            self._fault(where, "contact properties have no prefix", f"write {plain}")
        elif not _PROPERTY.fullmatch(name.removeprefix(COMPANY_PREFIX)):
            self._fault(
                where,
                f"{quoted(name)} is not a property name",
                'write it as "jobtitle", or a company\'s as "company.name"',
            )
        else:
            return PropertySource.named(name)
        return None

    def _lines(self, value: object) -> tuple[NoteLine, ...]:
        lines = value if isinstance(value, list) else [None]
        found: list[NoteLine] = []
        for number, line in enumerate(lines, 1):
            where = f"notes.lines, line {number}"
            if not isinstance(line, dict):
                advice = 'write { label = "Status", source = "hs_lead_status" }'
                self._fault(where, "it is not a line", advice)
                continue
            self._refuse_unknown(f"{where}: ", line, ("label", "source"))
            label = self._words(f"{where}: label", line.get("label"))
            if label.casefold() in {one.label.casefold() for one in found}:
                self._fault(f"{where}: label", f"there is another {quoted(label)}", "change one")
            if (source := self._source(f"{where}: source", line.get("source"))) is not None:
                found.append(NoteLine(label, source))
        return tuple(found)

    def _words(self, where: str, value: object, *, is_required: bool = True) -> str:
        """A text for leads: one visible line that cannot be taken for a record line."""
        if value is None and not is_required:
            return ""
        if not isinstance(value, str):
            self._fault(where, "it is not a text", "write one, in quotation marks")
        elif not value or value != clean(value):
            self._fault(
                where,
                f"{quoted(value)} is blank, or has a line break, an invisible character or a space "
                "at an end",
                "write one plain line",
            )
        elif RECORD.casefold() in value.casefold():
            self._fault(where, f"`{RECORD}` is reserved for the record line", "rename it")
        else:
            return value
        return ""

    def _constants(self) -> dict[str, str]:
        found = {}
        for name, value in self._section("constants").items():
            where = f"constants.{_key(name)}"
            if name in REQUIRED:
                advice = "leave it out; for names, see [fallbacks]"
                self._fault(where, "it would be the same for all contacts", advice)
            elif self._is_field("constants", name):
                found[name] = self._words(where, value)
                if is_removed({name: found[name]}):
                    self._fault(where, "it marks the lead as removed", "write another")
        return found

    def _choice(self, where: str, section: Mapping[str, Any], choices: tuple[str, str]) -> str:
        """One of two words; the first one is the default."""
        value = section.get(where.partition(".")[2], choices[0])
        if value not in choices:
            self._fault(where, "invalid value", f'write "{choices[0]}" or "{choices[1]}"')
            return choices[0]
        return str(value)

    def _domains(self, value: object) -> frozenset[str]:
        where = "free_mail.extra_domains"
        if not isinstance(value, list):
            self._fault(where, "it is not a list", 'write ["post.example"], or []')
            return frozenset()
        for one in value:
            if not (isinstance(one, str) and _DOMAIN.fullmatch(one)):
                shown = quoted(one) if isinstance(one, str) else "one of them"
                self._fault(where, f"{shown} is not a domain", 'write it as "post.example"')
        return frozenset(ascii_domain(one) for one in value if isinstance(one, str))


def _key(name: str) -> str:
    """A key as written in a TOML file."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quoted(name)


# The built-in mapping, which follows the guide; active unless another one is activated.
DEFAULT = parse(files("migrator.mapping").joinpath("default.toml").read_text(encoding="utf-8"))
