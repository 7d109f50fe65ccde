"""`migrator fleet`: many journeys on one machine, each a process of its own."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from migrator.cli.arguments import Command, add_json, decimal, whole
from migrator.errors import MigratorError, UsageError
from migrator.text import one_line

if TYPE_CHECKING:
    from migrator.fleet import FleetJourney, FleetOrder, JourneyStatus
    from migrator.progress import Display

VERBS = ("run", "stage", "push", "update", "verify", "report")
# What the fleet itself gives to a command that has the option.
_ALWAYS = ("--json", "--die-with-parent")
_OF_THE_FLEET = {
    *_ALWAYS,
    *("--take-over", "--yes", "--dry-run", "--mapping", "--client-id", "--pace-from"),
    *("-h", "--help"),
}
_SENDS = ("run", "push", "update")
# argparse takes such words, but which of the options another command has is told by whole ones.
_NOT_ONE_OPTION = re.compile(r"-[^-].+")
# A long journey changes its numbers without changing its phase.
PAGE_EVERY_SECONDS = 10.0


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="names the journeys, such as fleet.toml")
    parser.add_argument("verb", choices=VERBS, help="the command to run for each")
    parser.add_argument(
        "--at-once",
        metavar="N",
        type=whole(1, 1_000),
        default=4,
        help="journeys that run at the same time (default 4)",
    )
    parser.add_argument("--only", metavar="NAME", nargs="+", help="only these journeys")
    parser.add_argument(
        "--retry-for",
        metavar="MINUTES",
        type=decimal(0, 43_200),
        default=120.0,
        help="how long a journey that stopped early, was busy or was killed is tried again, after "
        "1, 2, 4, … minutes (default 120; 0 = never)",
    )
    parser.add_argument(
        "--take-over",
        action="store_true",
        help="send from here, although ledgers were last worked on elsewhere; only if nothing "
        "sends there any more",
    )
    parser.add_argument(
        "--notify",
        metavar="COMMAND",
        help="run this command at the end, with the result as JSON on its standard input",
    )
    add_json(parser)


def fleet(args: argparse.Namespace, display: Display) -> int:
    """Run a command for each journey of a file."""
    from migrator.cli.session import result_of, result_text, tell_result
    from migrator.fleet import JourneyStatus, Supervisor, as_json, read_fleet
    from migrator.progress.fleet_table import FleetTable
    from migrator.report.fleet_page import write_fleet_page
    from migrator.report.html import check_target
    from migrator.report.layout import print_to
    from migrator.streams import tell

    file = Path(args.file)
    notify = _notify_words(args.notify)
    statuses = [JourneyStatus(one) for one in _chosen(read_fleet(file), args.only)]
    orders = {one.journey.name: _order(one.journey, args) for one in statuses}
    page = file.with_suffix(".html")
    check_target(page, f"move it away: the page of {one_line(args.file)} is written there")
    written_at = 0.0

    def write() -> None:
        nonlocal written_at
        written_at = time.monotonic()
        # A page that cannot be written stops no journey.
        with suppress(MigratorError):
            write_fleet_page(statuses, args.verb, page)

    def on_change(one: JourneyStatus) -> None:
        words = one.words(time.monotonic())
        why = one.why() if one.code is not None else ""
        display.say(f"{one.journey.name}: {words}{f': {why}' if why else ''}")
        if following := one.next_step():
            display.say(f"next, in {one_line(str(one.journey.folder))}: {following}")
        write()

    def on_look() -> None:
        if time.monotonic() - written_at > PAGE_EVERY_SECONDS:
            write()

    supervisor = Supervisor(
        statuses,
        orders,
        os.environ,
        at_once=args.at_once,
        retry_for_minutes=args.retry_for,
        on_change=on_change,
        on_look=on_look,
        result=result_of(args),
    )
    with display.live(FleetTable(statuses, time.monotonic)):
        code = supervisor.run()
    written: str | None = str(page)
    try:
        write_fleet_page(statuses, args.verb, page)
    except MigratorError as error:
        written = None
        display.error(error.message, error.hint)
    result = {**as_json(statuses, args.verb), "page": written}
    if args.json:
        tell_result("fleet", code, result)
    else:
        print_to(lambda is_utf: [FleetTable(statuses, time.monotonic, is_live=False)])
        if written:
            tell(f"page: {written}")
    if notify:
        _notify(notify, result_text("fleet", code, result), display)
    return code


def _chosen(journeys: Sequence[FleetJourney], only: Sequence[str] | None) -> list[FleetJourney]:
    """The journeys that `--only` names, in the order of the file."""
    from difflib import get_close_matches

    names = [one.name for one in journeys]
    for name in only or ():
        if name not in names:
            near = get_close_matches(name, names, n=1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}."
            raise UsageError(
                f"--only {name}: there is no such journey; {meant}",
                "migrator fleet FILE VERB --only NAME, with a name of the file",
            )
    return [one for one in journeys if only is None or one.name in only]


# The command line of a child


def _order(journey: FleetJourney, args: argparse.Namespace) -> FleetOrder:
    """
    The command line of a journey.

    Raises:
        UsageError: its options are not those of `migrator run`.
    """
    from migrator.config import ledger_path
    from migrator.fleet import FleetOrder
    from migrator.fleet.environment import environment_of

    try:
        ledger = _check_options(journey)
    except UsageError as error:
        raise UsageError(
            f"{args.file}: journey {journey.name!r}: options: {error.message}",
            f"migrator run --help; then correct {args.file}",
        ) from None
    # What is wrong with its settings, its own process says.
    path = ledger_path(ledger, environment_of(journey, os.environ), journey.folder)
    given = [*journey.options, *_ALWAYS]
    if journey.mapping is not None:
        given += ["--mapping", str(journey.mapping)]
    if journey.client_id is not None:
        given += ["--client-id", journey.client_id]
    given += ["--take-over"] if args.take_over else []
    words = [args.verb, *_known(given, args.verb)]
    words += {"update": ["--yes"], "push": ["--resume"]}.get(args.verb, [])
    return FleetOrder(words, path, args.verb in _SENDS)


def _check_options(journey: FleetJourney) -> str | None:
    """Check a journey's options; return the ledger that they name, `None` = none."""
    from migrator.cli.parser import parse

    for word in journey.options:
        if (name := word.partition("=")[0]) in _OF_THE_FLEET:
            raise UsageError(f"{name} is not for a journey: the fleet sets it.", "")
        if _NOT_ONE_OPTION.fullmatch(word):
            raise UsageError(f"{word} is not one option; write each as a word of its own.", "")
    parsed = parse(["run", *journey.options])
    return None if parsed is None else parsed.ledger


def _known(words: Sequence[str], verb: str) -> list[str]:
    """Those of the options of `run`, with their values, that another command has, too."""
    from migrator.cli.parser import build_parser, subparsers

    parsers = subparsers(build_parser())
    of_run, of_verb = (parsers[name]._option_string_actions for name in ("run", verb))
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        name, has_value, _ = word.partition("=")
        takes_one = of_run[name].nargs is None and not has_value
        option = [word, next(rest)] if takes_one else [word]
        kept += option if name in of_verb else []
    return kept


# What follows the end


def _notify_words(command: str | None) -> list[str]:
    """
    The words of `--notify`; [] = not given. No shell reads them.

    Raises:
        UsageError: there is no such command.
    """
    if command is None:
        return []
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--notify: {error}.", "migrator fleet --help") from None
    if not words or shutil.which(words[0]) is None:
        raise UsageError(
            "--notify: its first word is not a command on this machine.",
            "migrator fleet FILE VERB --notify COMMAND, with a command that exists",
        )
    return words


def _notify(words: Sequence[str], result: str, display: Display) -> None:
    """Run the command; its failure is said, and changes nothing."""
    import subprocess  # here, so that no other command waits for it

    try:
        done = subprocess.run(words, input=result.encode(), stdout=2, check=False)  # noqa: S603
        why = f"it ended with {done.returncode}" if done.returncode else ""
    except OSError as error:
        why = error.strerror or "it cannot be run"
    if why:
        display.say(f"warning: --notify {words[0]}: {why}")


COMMAND = Command(
    "fleet",
    "run a command for many migrations on this machine, each in a process of its own",
    [
        "migrator fleet fleet.toml run",
        "migrator fleet fleet.toml run --at-once 8 --only acme globex",
        "migrator fleet fleet.toml report --json",
    ],
    _add_options,
    fleet,
    about="Each journey has a folder with its ledger, its .env and its credentials; it sees no "
    "others. Journeys of one LeadGenius login share one pace. One that fails stops no other, and "
    "the exit code is the worst of all. Ctrl-C stops them all; the same command resumes them all. "
    "A page beside FILE, with the same name and .html, shows them all.",
)
