"""Runs a command: its settings, the ledger's lock, the record of the run, its result line."""

from __future__ import annotations

import argparse
import gc
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrator.cli.failures import as_migrator_error
from migrator.errors import ExitCode, LedgerError, MigratorError, NotReady, UsageError
from migrator.loopback import is_loopback
from migrator.signals import Signals
from migrator.states import State
from migrator.text import json_text, wrapped

if TYPE_CHECKING:
    from migrator.config import Settings, SettingsReport
    from migrator.connections import BoundDestination
    from migrator.findings import ProbeRecord
    from migrator.http import OutageBudget
    from migrator.ledger import Ledger
    from migrator.progress import Display

LOOK_EVERY_SECONDS = 0.25
OBJECTS_BETWEEN_COLLECTIONS = 20_000


@dataclass(frozen=True)
class CommandResult:
    """
    The result of a command that writes to the ledger: a line of text, and its counters.

    Args:
        summary: "" = it is printed already.
        counters: Of a `run`: those of each of its commands, and the ledger has them already.
    """

    summary: str
    counters: Mapping[str, Any]
    exit_code: ExitCode = ExitCode.DONE
    details: Mapping[str, Any] = field(default_factory=dict)  # added to the JSON


@dataclass
class CommandRun:
    """A running command that writes to the ledger."""

    command: str
    settings: Settings
    ledger: Ledger
    run_id: int
    signals: Signals
    display: Display
    counters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._standing: dict[str, Any] = {}
        self._in_doubt = 0
        self._looked_at = -math.inf

    def watch(self, progress: Mapping[str, Any]) -> None:
        """Show the progress, and keep its counters for the record of the run."""
        from migrator.progress import Snapshot

        self.counters = {name: value for name, value in progress.items() if type(value) is int}
        self._look()
        told = {"in_doubt": self._in_doubt, **progress}
        self.display.show(Snapshot.of(self.command, told, **self._standing))

    def note(self, progress: Mapping[str, int]) -> None:
        """Write the progress in the current transaction, for `report --watch`."""
        self.ledger.runs.note_run(self.run_id, progress)

    def pausing(self, service: str, outage: OutageBudget) -> Callable[[float], None]:
        """A function that waits before a service is asked again, and shows the wait."""

        def pause(seconds: float) -> None:
            what = outage.waiting_for(service, time.monotonic())
            with self.display.waiting(what, seconds):
                self.signals.pause(seconds)

        return pause

    def say_next(self) -> str:
        """Print the next command to type, as if this one had ended, and return it; "" = none."""
        from migrator.report import next_command, summary

        command = next_command(replace(summary.read(self.ledger), running=None))
        if command:
            self.display.say_next(command)
        return command

    def _look(self) -> None:
        """Read the states of all contacts, at most every LOOK_EVERY_SECONDS."""
        if time.monotonic() - self._looked_at < LOOK_EVERY_SECONDS:
            return
        self._looked_at = time.monotonic()
        # A broken ledger is reported by the command itself.
        with suppress(LedgerError):
            sums = self.ledger.counts.sums()
            self._in_doubt = sum(one.in_doubt for one in sums)
            states = {str(state): 0 for state in State}
            for one in sums:
                states[one.state] += one.contacts
            held = sum(one.contacts for one in sums if one.held)
            self._standing = {"states": states, "held": held}


def settings_of(
    args: argparse.Namespace,
    needs: Collection[str] = (),
    uses: Collection[str] = (),
    *,
    needs_ledger: bool = False,
) -> Settings:
    """
    The settings from the command line, the environment and the files.

    Args:
        needs: Services whose credentials are required.
        uses: Services whose credentials are used if present.
        needs_ledger: Whether a missing ledger is reported before missing credentials: in another
            folder, both are missing.
    """
    from migrator.config import load

    try:
        return load(_options(args), os.environ, _folder(), needs, uses)
    except NotReady:
        if needs_ledger:
            with read_ledger(settings_of(args).ledger):
                pass
        raise


def survey_of(args: argparse.Namespace, needs: Collection[str] = ()) -> SettingsReport:
    """The same settings, with their problems listed instead of raised."""
    from migrator.config import survey

    return survey(_options(args), os.environ, _folder(), needs)


def _options(args: argparse.Namespace) -> dict[str, str | None]:
    return {
        "ledger": getattr(args, "ledger", None),
        "client_id": getattr(args, "client_id", None),
    }


def _folder() -> Path:
    try:
        return Path.cwd()
    except OSError:
        raise NotReady(
            "The folder that this shell is in is gone.", "cd to one that exists, and try again"
        ) from None


def work(
    args: argparse.Namespace,
    display: Display,
    settings: Settings,
    body: Callable[[CommandRun], CommandResult],
    *,
    creates: bool = False,
    is_work: bool = True,
    recorded_as: str | None = None,
) -> int:
    """
    Lock the ledger, record the run, call `body`, print its result; return the exit code.

    With `--json` the last line on stdout is an object with `event` ("result"), `command`,
    `exit_code` and the counters; `cli.main` prints it for a command that failed, with what it had
    counted. The lines before it are made by `progress.state.as_json`.

    Args:
        creates: Whether to create the ledger if there is none.
        is_work: Whether it changes contacts, which an erased ledger refuses.
        recorded_as: What the ledger's record of runs calls it; `None` = the command.
    """
    from migrator.streams import tell

    signals = Signals(_resume_with(args.command), result=result_of(args))
    signals.listen()
    done = run_recorded(
        args.command,
        display,
        settings,
        signals,
        body,
        creates=creates,
        is_work=is_work,
        recorded_as=recorded_as,
    )
    if getattr(args, "json", False):
        tell_result(args.command, done.exit_code, {**done.counters, **done.details})
    elif done.summary:
        tell(done.summary)
    return done.exit_code


def run_recorded(
    command: str,
    display: Display,
    settings: Settings,
    signals: Signals,
    body: Callable[[CommandRun], CommandResult],
    *,
    creates: bool = False,
    is_work: bool = True,
    recorded_as: str | None = None,
) -> CommandResult:
    """As `work`, for a caller that listens to signals, and prints the result if it is to be."""
    from migrator.ledger import Ledger

    # Pages and leads contain no cycles; looking for some in each was a twentieth of a stage.
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    with Ledger.open_for_work(settings.ledger, creates=creates) as ledger:
        if is_work:
            ledger.erasure.ensure_not_erased()
        run_id = ledger.runs.begin_run(recorded_as or command)
        return _run(CommandRun(command, settings, ledger, run_id, signals, display), body)


def _run(session: CommandRun, body: Callable[[CommandRun], CommandResult]) -> CommandResult:
    """Call `body`, and record how the run ended; an error carries what was counted."""
    runs = session.ledger.runs
    try:
        with session.display, session.ledger.suspected():
            done = body(session)
        runs.end_run(session.run_id, done.exit_code, done.counters)
    except BaseException as error:
        failure = as_migrator_error(error)
        failure.counters = session.counters
        failure.resume_with = _resume_with(session.command)
        # If the ledger cannot be written, this fails too; the first error is the one to report.
        with suppress(LedgerError):
            runs.end_run(session.run_id, failure.exit_code, session.counters)
        raise failure from (None if failure is error else error)
    return done


def _resume_with(command: str) -> str:
    """The command that continues one that stopped; `push` itself would be refused."""
    return "migrator push --resume" if command == "push" else MigratorError.resume_with


def tell_result(command: str | None, code: int, fields: Mapping[str, Any]) -> None:
    """Print how a command ended, as the last line of its JSON (design, section 8)."""
    from migrator.streams import tell

    tell(result_text(command, code, fields))


def result_text(command: str | None, code: int, fields: Mapping[str, Any]) -> str:
    """That line."""
    return json_text({"event": "result", "command": command, "exit_code": int(code), **fields})


def result_of(args: argparse.Namespace) -> Callable[[int, Mapping[str, str]], str] | None:
    """For `Signals`: the result line of a command that a second signal ends; `None` = no --json."""
    return partial(result_text, args.command) if getattr(args, "json", False) else None


def read_ledger(path: Path) -> AbstractContextManager[Ledger]:
    """Open a ledger read-only; raises LedgerError if it is missing or unreadable."""
    from migrator.ledger import Ledger

    return Ledger.open_read_only(path)


def choose_destination(
    session: CommandRun, args: argparse.Namespace, outage: OutageBudget
) -> BoundDestination:
    """
    The client that the ledger's leads go to; see `connections.choose_destination`.

    What a probe found out about LeadGenius is resolved here: `--settle` is raised where that asks
    for it, and the rest goes along with the destination.

    Raises:
        UsageError: `--settle` is shorter than the time for which the kernel may still deliver a
            request that was given up.
    """
    from migrator import connections
    from migrator.http.transport import KERNEL_TIMEOUT_MS
    from migrator.probe_records import use_newest_probe

    url, shortest = session.settings.leadgenius_url, KERNEL_TIMEOUT_MS / 1_000
    if args.settle < shortest and not is_loopback(url):
        raise UsageError(
            f"--settle {args.settle:g} is too short for {url}: a request that was given up may "
            f"still be delivered {shortest:g} s later, and create a second lead.",
            f"migrator {session.command} without --settle, or with {shortest:g} or more",
        )
    leadgenius, _ = connections.open_leadgenius(
        session.settings,
        session.pausing("LeadGenius", outage),
        args.timeout,
        outage=outage,
    )
    destination = connections.choose_destination(session.ledger, session.settings, leadgenius)
    probe = use_newest_probe(session.settings.state_folder, url, session.ledger)
    raise_settle(args, probe, session.display)
    return destination if probe is None else replace(destination, findings=probe.findings)


def raise_settle(args: argparse.Namespace, probe: ProbeRecord | None, display: Display) -> None:
    """Raise `--settle` to what was measured, and say so; it is never lowered."""
    if probe is None or args.settle >= probe.findings.needed_settle_s:
        return
    display.say(
        f"--settle {args.settle:g} is raised to {probe.findings.needed_settle_s}: the probe of "
        f"{probe.date} saw leads listed too late for less"
    )
    args.settle = float(probe.findings.needed_settle_s)


def can_ask() -> bool:
    """Whether there is a terminal to ask on."""
    # A process can be started without a stdin (`<&-`).
    return sys.stdin is not None and sys.stdin.isatty()


def confirm(deed: str, undone: str, command: str) -> None:
    """
    Ask on the terminal, and return only if the answer is "yes".

    Args:
        deed: What is about to be done, as it follows "to".
        undone: What is said of it if the answer is not "yes".
        command: The command to type to be asked again.

    Raises:
        UsageError: there is no terminal to ask on.
        NotReady: the answer was not "yes".
    """
    if not can_ask():
        raise UsageError(f"There is no terminal to ask on whether to {deed}.", f"{command} --yes")
    # `input` would print its prompt on stdout, which is for data.
    prompt = "\n".join(wrapped(f"Type yes to {deed}:", shutil.get_terminal_size().columns - 4))
    print(prompt, end=" ", file=sys.stderr, flush=True)
    try:
        answer = input()
    except EOFError:
        answer = ""
    if answer.strip().lower() != "yes":
        raise NotReady(f"{undone}: the answer was not yes.", command)


def line_width() -> int | None:
    """How wide a line may be, in columns; `None` = unlimited, because it goes to a pipe or file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
