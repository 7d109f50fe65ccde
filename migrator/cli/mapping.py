"""`migrator mapping`: print a mapping, or check a file, also against what HubSpot has."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrator.cli.arguments import Command, add_json, add_ledger
from migrator.cli.session import read_ledger, settings_of
from migrator.errors import ExitCode, Forbidden, NotFound, UsageError
from migrator.text import json_text, one_line

if TYPE_CHECKING:
    from migrator.config import Settings
    from migrator.hubspot import HubSpot
    from migrator.mapping import MappingProblem, Rules
    from migrator.progress import Display

LONGEST_FILE_BYTES = 1 << 20


def _add_options(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--builtin",
        action="store_true",
        help="print the built-in mapping, even if another one is active",
    )
    which.add_argument(
        "--check",
        metavar="FILE",
        help="check a mapping file for mistakes; with HUBSPOT_ACCESS_TOKEN also for properties "
        "that the portal lacks",
    )
    add_ledger(parser)
    add_json(parser)


def mapping(args: argparse.Namespace, display: Display) -> int:
    """Print the active or the built-in mapping, or check a file."""
    from migrator.mapping import DEFAULT
    from migrator.mapping_versions import active_rules
    from migrator.streams import tell

    if args.check is not None:
        return _check(args, display)
    path = settings_of(args).ledger
    rules, whose = DEFAULT, "the guide's mapping, built in"
    if not args.builtin and path.exists():
        with read_ledger(path) as ledger:
            rules = active_rules(ledger)
        if rules != DEFAULT:
            whose = f"the mapping of the ledger {path}"
    if args.json:
        tell(json_text({"builtin": rules == DEFAULT, "hash": rules.hash, "text": rules.text}))
    else:
        display.say(f"{whose} ({rules.hash[:12]})")
        tell(rules.text.rstrip("\n"))
    return ExitCode.DONE


def _check(args: argparse.Namespace, display: Display) -> int:
    from migrator.streams import tell

    checked = _checked(args.check, settings_of(args, uses=["hubspot"]))
    if args.json:
        tell(json_text(checked.as_json(args.check)))
        return ExitCode.USAGE if checked.faults else ExitCode.DONE
    if checked.faults:
        raise _invalid(args.check, checked.faults)
    _warn(args.check, checked.warnings, display)
    if checked.unchecked is None:
        display.say("HubSpot has every property that it names.")
    else:
        display.say(f"Its properties were not compared with HubSpot's: {checked.unchecked}.")
    tell(f"{one_line(args.check)} is a valid mapping ({checked.hash})")
    return ExitCode.DONE


@dataclass(frozen=True)
class _Checked:
    """
    The result of checking a file.

    Args:
        hash: Of its rules; `None` = it is not a valid mapping.
        warnings: What is allowed, but is probably a mistake.
        unchecked: Why its properties were not compared with HubSpot's; `None` = they were.
    """

    hash: str | None
    faults: tuple[MappingProblem, ...]
    warnings: Sequence[MappingProblem]
    unchecked: str | None

    def as_json(self, file: str) -> dict[str, Any]:
        """As JSON; `properties_unchecked` is why HubSpot was not asked, or null if it was."""
        return {
            "file": file,
            "good": not self.faults,
            "hash": self.hash,
            "faults": [vars(fault) for fault in self.faults],
            "warnings": [vars(warning) for warning in self.warnings],
            "properties_unchecked": self.unchecked,
        }


def _checked(file: str, settings: Settings) -> _Checked:
    from migrator import connections
    from migrator.mapping import InvalidMapping, doubts, parse

    try:
        rules = parse(_text(file))
    except InvalidMapping as error:
        return _Checked(None, error.faults, (), "it has other faults")
    if settings.hubspot_token is None:
        return _Checked(rules.hash, (), doubts(rules), "HUBSPOT_ACCESS_TOKEN is not set")
    faults, unchecked = lacking(connections.open_hubspot(settings), rules)
    return _Checked(rules.hash, faults, doubts(rules), unchecked)


def read_rules(file: str, display: Display) -> Rules:
    """
    Read a mapping file; doubtful entries are printed as warnings.

    Raises:
        UsageError: it cannot be read, or has faults; the message names all of them.
    """
    from migrator.mapping import InvalidMapping, doubts, parse

    try:
        rules = parse(_text(file))
    except InvalidMapping as error:
        raise _invalid(file, error.faults) from None
    _warn(file, doubts(rules), display)
    return rules


def _warn(file: str, warnings: Iterable[MappingProblem], display: Display) -> None:
    for warning in warnings:
        display.say(f"warning: {one_line(file)}: {warning}")


def refuse_unknown_properties(
    file: str, rules: Rules, hubspot: HubSpot, say: Callable[[str], None]
) -> None:
    """
    Compare the properties that a mapping names with those of the portal, if the token allows it.

    Raises:
        UsageError: the portal lacks one; HubSpot itself would silently leave it out.
    """
    faults, unchecked = lacking(hubspot, rules)
    if unchecked:
        say(f"The properties of {file} were not compared with HubSpot's: {unchecked}.")
    if faults:
        raise _invalid(file, faults)


def lacking(hubspot: HubSpot, rules: Rules) -> tuple[tuple[MappingProblem, ...], str | None]:
    """
    Find the properties of a mapping that the portal lacks.

    Returns:
        A problem for each, and why HubSpot was not asked; `None` = it was.
    """
    try:
        of_contacts = hubspot.properties("contacts")
        of_companies = hubspot.properties("companies")
    except (Forbidden, NotFound) as error:
        return (), error.message.rstrip(".")
    return (
        *_missing("", "contacts", rules.contact_properties, of_contacts),
        *_missing("company.", "companies", rules.company_properties, of_companies),
    ), None


def _missing(
    prefix: str, objects: str, wanted: Collection[str], there: Collection[str]
) -> list[MappingProblem]:
    from migrator.mapping import MappingProblem, advised

    return [
        MappingProblem(
            prefix + name,
            f"HubSpot's {objects} have no such property",
            advised(name, sorted(there), prefix),
        )
        for name in wanted
        if name not in there
    ]


def _text(file: str) -> str:
    from migrator.mapping import InvalidMapping, MappingProblem

    try:
        with Path(file).open("rb") as stream:
            data = stream.read(LONGEST_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a valid file name"
        raise UsageError(
            f"The mapping {file} cannot be read: {reason}.",
            "name another file; migrator mapping --builtin > mine.toml makes one",
        ) from None
    if len(data) > LONGEST_FILE_BYTES:
        raise InvalidMapping(
            [MappingProblem("", "it is larger than a mapping can be", "name another file")]
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidMapping(
            [MappingProblem("", "it is not UTF-8 text", "save it as UTF-8")]
        ) from None


def _invalid(file: str, faults: Collection[MappingProblem]) -> UsageError:
    lines = [f"{file} is not a valid mapping:", *(f"  {fault}" for fault in faults)]
    return UsageError("\n".join(lines), f"fix it, then: migrator mapping --check {file}")


COMMAND = Command(
    "mapping",
    "print the active mapping, or check a mapping file",
    [
        "migrator mapping --builtin > mine.toml",
        "migrator mapping --check mine.toml",
        "migrator mapping --json | jq -r .text",
    ],
    _add_options,
    mapping,
)
