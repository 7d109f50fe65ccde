"""`migrator clients`: list LeadGenius's clients, count their leads, create or choose one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import combining, east_asian_width

from migrator.cli.arguments import Command, add_json, add_ledger, add_timeout
from migrator.cli.session import line_width, read_ledger, settings_of
from migrator.errors import ExitCode, LedgerError, UsageError
from migrator.text import json_text, one_line

if TYPE_CHECKING:
    from migrator.config import Settings
    from migrator.leadgenius import LeadGenius, LeadGeniusClient
    from migrator.progress import Display

_DESCRIPTION = "Contacts imported from HubSpot"
# Pages between two progress lines of a count.
_PAGES_A_LINE = 10
_GAP = "  "
# The widest that a value may make its column; a longer one shifts only the rest of its own row.
_WIDEST = 40


def _add_options(parser: argparse.ArgumentParser) -> None:
    act = parser.add_mutually_exclusive_group()
    act.add_argument(
        "--create", metavar="NAME", help="create a client of this name, and remember it for push"
    )
    act.add_argument("--use", metavar="SLUG", help="remember this client_id for the first push")
    act.add_argument(
        "--count", action="store_true", help="count the leads of each client, page by page"
    )
    parser.add_argument("--description", metavar="TEXT", help="of the client to create")
    add_timeout(parser)
    add_ledger(parser)
    add_json(parser)


def clients(args: argparse.Namespace, display: Display) -> int:
    """List LeadGenius's clients, count their leads, create one or choose one."""
    from migrator import connections

    if args.description is not None and args.create is None:
        raise UsageError("--description is of a client to create.", "migrator clients --create …")
    settings = settings_of(args, ["leadgenius"])
    leadgenius, _ = connections.open_leadgenius(settings, timeout_seconds=args.timeout)
    if args.create is not None:
        found = [_create(args, settings, leadgenius, display)]
    elif args.use is not None:
        found = [_use(args.use, settings, leadgenius, display)]
    else:
        found = leadgenius.clients()
    counts = _counted(leadgenius, found, display) if args.count else {}
    _print(found, counts, _marks(settings, display), is_json=args.json)
    if not found:
        display.say('There is no client yet: migrator clients --create "Historic Contacts"')
    return ExitCode.DONE


def _counted(
    leadgenius: LeadGenius, found: Sequence[LeadGeniusClient], display: Display
) -> dict[str, int]:
    counts = {}
    for client in found:
        pages = 0

        def notice(seen: int, name: str = client.client_id) -> None:
            nonlocal pages
            pages += 1
            if pages % _PAGES_A_LINE == 0:
                display.say(f"{name}: {seen:,} leads so far")

        counts[client.client_id] = leadgenius.count_leads(client.client_id, notice)
    return counts


# Creating and choosing a client


def _create(
    args: argparse.Namespace, settings: Settings, leadgenius: LeadGenius, display: Display
) -> LeadGeniusClient:
    name = args.create.strip()
    if not name:
        raise UsageError("A client needs a name.", 'migrator clients --create "Historic Contacts"')
    leadgenius.ensure_name_is_free(name)
    bound = _bound(settings.ledger)
    client = leadgenius.create_client(name, args.description or _DESCRIPTION)
    slug = one_line(client.client_id)
    if bound is not None:
        display.say(
            f"{settings.ledger} stays with its own client, {bound}; for the new one begin another "
            f"ledger: migrator clients --use {slug} --ledger NEW.db"
        )
        return client
    try:
        _remember(client, settings, display)
    except LedgerError as error:
        # Otherwise it looks as if creating had failed, and a second client would be created.
        # The same command would be refused, since the name is taken now.
        error.resume_with = use = f"migrator clients --use {slug}"
        raise type(error)(
            f"The client {slug} is created, but not remembered. {error.message}",
            error.hint if use in error.hint else f"{error.hint}; then: {use}",
        ) from error
    return client


def _use(
    slug: str, settings: Settings, leadgenius: LeadGenius, display: Display
) -> LeadGeniusClient:
    if settings.ledger.exists():
        # The ledger first: a typing error should cost no request.
        with read_ledger(settings.ledger) as ledger:
            ledger.runs.check(leadgenius_url=settings.leadgenius_url, client_id=slug)
    client = leadgenius.check_client(slug, naming="migrator clients --use")
    _remember(client, settings, display)
    return client


def _remember(client: LeadGeniusClient, settings: Settings, display: Display) -> None:
    from migrator.ledger import Ledger

    path, named = settings.ledger, settings.client_id
    with Ledger.open_for_work(path) as ledger:
        ledger.erasure.ensure_not_erased()
        ledger.runs.choose_client(client.client_id)
        is_bound = ledger.runs.binding().client_id is not None
    if is_bound:
        display.say(f"{path} is bound to the client {client.client_id} already")
    else:
        display.say(f"{path} remembers the client {client.client_id}; the first push binds it")
    if named not in (None, client.client_id):
        display.say(
            f"LEADGENIUS_CLIENT_ID names another one, {named}, and takes precedence: unset it"
        )


def _bound(path: Path) -> str | None:
    """The client that the ledger is bound to; `None` = none yet, or there is no ledger."""
    if not path.exists():
        return None
    with read_ledger(path) as ledger:
        return ledger.runs.binding().client_id


def _marks(settings: Settings, display: Display) -> dict[str, str]:
    """The client that a push would use, by client_id; a bound client precedes a chosen one."""
    marks = {} if settings.client_id is None else {settings.client_id: "named"}
    if not settings.ledger.exists():
        return marks
    try:
        with read_ledger(settings.ledger) as ledger:
            chosen, bound = ledger.runs.chosen_client(), ledger.runs.binding().client_id
    except LedgerError as error:
        display.say(f"The ledger cannot tell which one is chosen: {error.message}")
        return marks
    if bound is not None:
        return {bound: "bound"}
    return marks or ({} if chosen is None else {chosen: "chosen"})


# Output


def _print(
    found: Sequence[LeadGeniusClient],
    counts: Mapping[str, int],
    marks: Mapping[str, str],
    *,
    is_json: bool,
) -> None:
    from migrator.streams import tell

    if is_json:
        tell(json_text([_as_json(one, counts, marks) for one in found]))
    elif found:
        heads = ("NAME", "CLIENT_ID", *(["LEADS"] if counts else []), "PUSH", "DESCRIPTION")
        rows = [
            (
                one.name,
                one.client_id,
                *([f"{counts[one.client_id]:,}"] if counts else []),
                marks.get(one.client_id, ""),
                one.description,
            )
            for one in found
        ]
        tell(_in_columns([heads, *rows]))


def _as_json(
    client: LeadGeniusClient, counts: Mapping[str, int], marks: Mapping[str, str]
) -> Mapping[str, object]:
    about: dict[str, object] = {
        "client_id": client.client_id,
        "name": client.name,
        "description": client.description,
        "push": marks.get(client.client_id),
    }
    return about | ({"leads": counts[client.client_id]} if counts else {})


def _in_columns(rows: Sequence[Sequence[str]]) -> str:
    """
    The rows as lines, each column as wide as its widest value, up to a limit.

    On a terminal a line that would wrap is cut.
    """
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [min(_WIDEST, max(map(_shown, column))) for column in zip(*cells, strict=True)]
    return "\n".join(_line(row, widths) for row in cells)


def _shown(text: str) -> int:
    """How many terminal columns a text takes."""
    return sum(2 if east_asian_width(one) in "WF" else not combining(one) for one in text)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell + " " * (width - _shown(cell)) for cell, width in zip(row, widths, strict=True)]
    line = _GAP.join(padded).rstrip()
    limit = line_width()
    if limit is None or _shown(line) <= limit:
        return line
    while _shown(line) > max(0, limit - 3):
        line = line[:-1]
    return line + "..."


COMMAND = Command(
    "clients",
    "list LeadGenius's clients with the client_id to use, create one, or choose one",
    [
        "migrator clients --count",
        'migrator clients --create "Historic Contacts"',
        "migrator clients --use historic-contacts",
    ],
    _add_options,
    clients,
    about="Leads go to a client by its client_id. The internal id that LeadGenius has for it as "
    "well is of no use here: leads sent under that one are invisible.",
)
