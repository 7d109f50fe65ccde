"""Reads `fleet.toml`: which journeys there are, each with its folder and its LeadGenius login."""

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from migrator.errors import NotReady, UsageError
from migrator.private_files import OWNER_ONLY
from migrator.text import one_line

_KEYS = ("name", "folder", "login", "options", "mapping", "client_id")
_REQUIRED = ("name", "folder", "login")
# It names a journey on the command line and in file names of other engines.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True)
class FleetJourney:
    """
    A journey of a fleet.

    Args:
        folder: With its ledger, its `.env` and its credentials file; the child's working directory.
        login: Journeys with the same word share one LeadGenius login, and so its rate limit.
        options: Options of `migrator run`; another command gets those of them that it has.
        mapping: The mapping file; `None` = the ledger's.
        client_id: The client; `None` = the ledger's or the `.env`'s.
    """

    name: str
    folder: Path
    login: str
    options: tuple[str, ...] = ()
    mapping: Path | None = None
    client_id: str | None = None


def read_fleet(file: Path) -> list[FleetJourney]:
    """
    The journeys, in the order of the file. Relative paths are relative to the file's folder.

    Raises:
        UsageError: the file cannot be read, or something in it is wrong.
        NotReady: the `.env` of a journey is missing, or others may read it.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(
            f"{_told(file)}: cannot be read ({error.strerror}).",
            "migrator fleet FILE run, with a file as in docs/how-to/run-many-journeys.md",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{_told(file)} is not valid TOML: {error}.", _again(file)) from None
    if unknown := sorted(content.keys() - {"journey"}):
        raise _problem(file, "", f"unknown key {unknown[0]!r}; there are only [[journey]] tables")
    tables = content.get("journey")
    if not isinstance(tables, list) or not tables:
        raise _problem(file, "", "it has no [[journey]] table")
    journeys: list[FleetJourney] = []
    for number, table in enumerate(tables, 1):
        one = _journey(file, number, table)
        for other in journeys:
            if other.name == one.name:
                raise _problem(file, one.name, f"journey {number} has the name of another one")
            if other.folder.resolve() == one.folder.resolve():
                raise _problem(file, one.name, f"its folder is also that of {other.name!r}")
        journeys.append(one)
    for one in journeys:
        _check_env(one)
    return journeys


def _journey(file: Path, number: int, table: Any) -> FleetJourney:
    if not isinstance(table, Mapping):
        raise _problem(file, "", f"journey {number} is not a [[journey]] table")
    given = table.get("name")
    name = given if isinstance(given, str) else f"number {number}"
    for key in table:
        if key not in _KEYS:
            near = get_close_matches(key, _KEYS, n=1)
            meant = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(_KEYS)}"
            raise _problem(file, name, f"unknown key {one_line(key)!r}{meant}")
    for key in _REQUIRED:
        if key not in table:
            raise _problem(file, name, f"{key} is missing")
    for key, value in table.items():
        if key == "options":
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise _problem(file, name, "options is not a list of texts")
        elif not isinstance(value, str) or not value.strip():
            raise _problem(file, name, f"{key} is not a text, or is empty")
        if any("\0" in one for one in value):
            raise _problem(file, name, f"{key} contains a null character")
    if not _NAME.fullmatch(name):
        raise _problem(
            file, name, "name has other characters than letters, digits, '.', '_' and '-'"
        )
    folder, mapping = _path(file, name, table["folder"]), table.get("mapping")
    if not folder.is_dir():
        raise UsageError(
            f"{_told(file)}: journey {name!r}: its folder {_told(folder)} does not exist.",
            f"mkdir -p {_told(folder)}, and put its .env there; or correct {_told(file)}",
        )
    return FleetJourney(
        name,
        folder,
        table["login"],
        tuple(table.get("options", ())),
        None if mapping is None else _path(file, name, mapping),
        table.get("client_id"),
    )


def _path(file: Path, name: str, text: str) -> Path:
    try:
        return Path(os.path.abspath(file.parent / Path(text).expanduser()))  # noqa: PTH100
    except RuntimeError:
        raise _problem(file, name, f"{one_line(text)!r}: ~ is no known user's home") from None


def _check_env(journey: FleetJourney) -> None:
    file = journey.folder / ".env"
    try:
        found = file.stat()
    except OSError as error:
        raise NotReady(
            f"Journey {journey.name!r}: {_told(file)} cannot be read ({error.strerror}).",
            f"put HUBSPOT_ACCESS_TOKEN=… into {_told(file)}, then: chmod 600 {_told(file)}",
        ) from None
    mode = stat.S_IMODE(found.st_mode)
    if mode != OWNER_ONLY:
        raise NotReady(
            f"Journey {journey.name!r}: {_told(file)} has the mode {mode:04o}, not 0600: it holds "
            "credentials, which only its owner may read.",
            f"chmod 600 {_told(file)}",
        )


def _problem(file: Path, name: str, what: str) -> UsageError:
    where = f"journey {one_line(name)!r}: " if name else ""
    return UsageError(f"{_told(file)}: {where}{what.rstrip('.')}.", _again(file))


def _again(file: Path) -> str:
    return f"correct {_told(file)}, then the same command again"


def _told(path: Path) -> str:
    return one_line(str(path))
