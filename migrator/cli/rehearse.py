"""
`migrator rehearse`: the staged contacts, pushed to the built-in sandbox.

A copy of the ledger is pushed, verified and audited as the commands do it, with settings that are
made here: nothing of the user's environment or credentials reaches them.
"""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrator.cli.arguments import Command, add_json_lines, add_ledger, whole
from migrator.cli.sandbox import FAULT_HELP, share
from migrator.cli.session import (
    CommandResult,
    CommandRun,
    read_ledger,
    result_of,
    run_recorded,
    settings_of,
    tell_result,
)
from migrator.errors import (
    ExitCode,
    Interrupted,
    MigratorError,
    RunAgain,
    UsageError,
)
from migrator.signals import Signals
from migrator.text import count_noun

if TYPE_CHECKING:
    from migrator.progress import Display
    from migrator.rehearse.staged import Staged

# On loopback nothing is late but what a fault delays, by a second unless a probe measured more.
_SETTLE_SECONDS = 3.0
# The time of an answer and the pace say nothing about contacts; the rehearsal is to be quick. A
# late commit takes a request that is given up, so it is for the faults.
_NOT_REHEARSED = ("latency_seconds", "rate_limit")
_LATE_COMMIT = "late_commit="
_NAP_SECONDS = 0.01
_PUSH = ("push", "--resume", "--rate", "max", "--max-in-doubt", "1000")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fault", metavar="NAME=SHARE", type=share, action="append", default=[], help=FAULT_HELP
    )
    parser.add_argument(
        "--kills",
        metavar="N",
        type=whole(0, 100),
        default=0,
        help="kill the push with SIGKILL so often in its middle, and resume it (default 0)",
    )
    add_ledger(parser)
    add_json_lines(parser)


def rehearse(args: argparse.Namespace, display: Display) -> int:
    """Rehearse the push; NEEDS_ATTENTION when something would be left for a person."""
    from migrator.rehearse.folder import temporary_folder
    from migrator.rehearse.staged import read_staged
    from migrator.sandbox.faults import FAULTS, FaultInjector
    from migrator.streams import tell

    if "list" in dict(args.fault):
        tell("\n".join(sorted(FAULTS)))
        return ExitCode.DONE
    try:
        FaultInjector(1, dict(args.fault))
    except ValueError as error:
        raise UsageError(f"{error}.", "migrator rehearse --fault list") from None
    signals = Signals("migrator rehearse", result=result_of(args))
    signals.listen()
    settings = settings_of(args)
    with _reworded(), temporary_folder(settings.state_folder) as folder:
        copy = folder / "migrator.db"
        with read_ledger(settings.ledger) as ledger:
            staged = read_staged(ledger, settings.leadgenius_url, settings.state_folder)
            ledger.copy_to(copy, signals.check)
        with _sandbox(args, folder, staged, copy) as environment:
            return _Rehearsal(args, display, signals, staged, folder, environment).run()


@contextmanager
def _reworded() -> Iterator[None]:
    """Say of an interruption that nothing of the rehearsal is left."""
    try:
        yield
    except Interrupted as error:
        number = signal.Signals(error.exit_code - 128)
        words = "Interrupted: the rehearsal and its copy of the ledger are gone."
        raise Interrupted(words, RunAgain(), number) from None


@contextmanager
def _sandbox(
    args: argparse.Namespace, folder: Path, staged: Staged, copy: Path
) -> Iterator[Mapping[str, str]]:
    """A sandbox that behaves as was found, and has the leads that were sent already."""
    from migrator.rehearse.sandbox_process import sandbox_process
    from migrator.sandbox import sandbox_options

    found = {} if staged.probed is None else sandbox_options(staged.probed.findings.as_json())
    options = {name: value for name, value in found.items() if name not in _NOT_REHEARSED}
    quirks = [one for one in options.get("quirks", ()) if not one.startswith(_LATE_COMMIT)]
    options |= {"contacts": 1, "quirks": quirks, "faults": dict(args.fault), "is_recorded": False}
    with ExitStack() as stack:
        with read_ledger(copy) as ledger:
            leads = ledger.lookup.sent_leads()
            process = stack.enter_context(sandbox_process(folder, options, leads))
        yield process


class _Rehearsal:
    """Push, verify and audit of the copy, and what they came to."""

    def __init__(
        self,
        args: argparse.Namespace,
        display: Display,
        signals: Signals,
        staged: Staged,
        folder: Path,
        sandbox: Mapping[str, str],
    ) -> None:
        from migrator.config import load

        self._args, self._display, self._signals = args, display, signals
        self._staged = staged
        self._environment = {
            **sandbox,
            "HOME": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),
            "MIGRATOR_LEDGER": str(folder / "migrator.db"),
        }
        self._settings = load({}, self._environment, folder, ["leadgenius"])
        self._settle = max(_SETTLE_SECONDS, staged.settle_seconds)

    def run(self) -> int:
        """Rehearse, and print the result; return the exit code."""
        from migrator.cli.verify import verifying
        from migrator.rehearse.result import RehearsalResult

        many = count_noun(self._staged.sendable, "contact")
        self._display.say(f"rehearsing with {many}; {self._staged.manner}")
        self._prepare()
        self._kill_pushes()
        began = time.monotonic()
        pushed = self._push()
        seconds = time.monotonic() - began
        verified = self._do(["verify"], verifying)
        faults = self._audit()
        with read_ledger(self._settings.ledger) as copy:
            result = RehearsalResult.read(
                copy,
                self._staged,
                verified=verified.counters,
                verify_line=verified.summary,
                faults=faults,
                seconds=seconds,
            )
        # A push that was resumed does not count what an earlier one refused.
        is_good = not result.refused and not faults
        is_good &= pushed.exit_code == verified.exit_code == ExitCode.DONE
        code = ExitCode.DONE if is_good else ExitCode.NEEDS_ATTENTION
        if self._args.json:
            tell_result("rehearse", code, result.as_json())
        else:
            result.print()
        return code

    def _prepare(self) -> None:
        """Give the copy its place, and what was found at LeadGenius as found at the sandbox."""
        from migrator.journey.place import Place, PlaceRecord, Recorded
        from migrator.ledger import Ledger

        settings = self._settings
        with Ledger.open_for_work(settings.ledger, creates=False) as ledger:
            origin = ledger.runs.origin()
            record = PlaceRecord(settings.state_folder, origin.uid)
            record.begin(Recorded(Place.of(settings.ledger), origin.intents, owes_looks=False))
            record.close()
            if self._staged.probed is not None:
                ledger.probes.add(replace(self._staged.probed, url=settings.leadgenius_url))

    def _kill_pushes(self) -> None:
        """Kill pushes as often as asked, each when it has sent an equal part of the contacts."""
        from migrator.rehearse.killed_push import kill_push

        words = [*_PUSH, "-q", *self._connection()]
        part = max(1, self._staged.sendable // (self._args.kills + 1))
        for number in range(1, self._args.kills + 1):
            self._display.say(f"push {number} of {self._args.kills} that is killed")
            enough = self._intents() + part
            kill_push(
                words,
                self._settings.ledger.parent,
                self._environment,
                partial(self._has_intents, enough),
                lambda: self._signals.pause(_NAP_SECONDS),
            )

    def _has_intents(self, enough: int) -> bool:
        return self._intents() >= enough

    def _intents(self) -> int:
        with read_ledger(self._settings.ledger) as copy:
            return copy.runs.origin().intents

    def _connection(self) -> list[str]:
        return [*map(str, ("--settle", self._settle, "--timeout", 5, "--retry-for", 2))]

    def _push(self) -> CommandResult:
        """Push, and resume until that is done, or twice leads to nothing."""
        from migrator.cli.push import pushing

        is_stuck = False
        while True:
            try:
                return self._do(_PUSH, pushing)
            except MigratorError as error:
                done = sum(error.counters.get(name, 0) for name in ("posted", "found", "refused"))
                if error.exit_code != ExitCode.STOPPED_EARLY or (is_stuck and not done):
                    raise
                is_stuck = not done

    def _do(
        self,
        words: Sequence[str],
        body: Callable[[argparse.Namespace], Callable[[CommandRun], CommandResult]],
    ) -> CommandResult:
        from migrator.cli.parser import build_parser

        args = build_parser().parse_args([*words, *self._connection()])
        try:
            return run_recorded(
                args.command, self._display, self._settings, self._signals, body(args)
            )
        except Interrupted:
            raise
        except MigratorError as error:
            what = f"The {args.command} of the rehearsal stopped: {error.message}"
            # Of what has to change first, the hint is right; the others are about the copy.
            is_not_ready = error.exit_code == ExitCode.NOT_READY
            failure = MigratorError(what, error.hint if is_not_ready else "migrator plan")
            failure.exit_code, failure.counters = error.exit_code, error.counters
            raise failure from error

    def _audit(self) -> int:
        """How many faults contradict the promise; 0 = it holds."""
        from migrator import connections
        from migrator.audit import audit

        leadgenius, _ = connections.open_leadgenius(self._settings, self._signals.pause)

        def listing() -> Iterator[Mapping[str, Any]]:
            for page in leadgenius.lead_pages(self._settings.client_id or ""):
                self._signals.check()
                yield from page.leads

        def look_again(unseen: int) -> Iterator[Mapping[str, Any]]:
            self._signals.pause(self._settle)
            return listing()

        verdict = audit(
            self._settings.ledger, listing(), lambda line: self._signals.check(), look_again
        )
        return verdict.faults


COMMAND = Command(
    "rehearse",
    "push the staged contacts to a sandbox on this machine, verify and audit, and keep nothing",
    [
        "migrator rehearse",
        "migrator rehearse --kills 3 --fault drop_after_saving=0.02",
        "migrator rehearse --json | jq -s '.[-1].refused'",
    ],
    _add_options,
    rehearse,
    about="It works on a copy of the ledger, and asks LeadGenius nothing. The sandbox behaves as "
    "the newest probe found LeadGenius, else as the guide says. Exit code 1 means that the real "
    "push would leave something for you, such as contacts that LeadGenius refuses.",
)
