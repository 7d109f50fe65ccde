"""`migrator run`: stage, push, update and verify as one command, for schedulers."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from migrator.cli.arguments import Command
from migrator.cli.failures import as_migrator_error
from migrator.cli.mapping import read_rules
from migrator.cli.push import add_amounts, send_all
from migrator.cli.sending import add_sending, hold_sending
from migrator.cli.session import CommandResult, CommandRun, settings_of, work
from migrator.cli.stage import add_mapping, extract_all, open_source
from migrator.cli.update import write_all
from migrator.cli.verify import compare_all
from migrator.errors import ExitCode, LedgerError, worst

if TYPE_CHECKING:
    from migrator.progress import Display

# What `update` is told besides the options of `run`.
_UPDATE = {"contacts": [], "dry_run": False, "yes": True, "prefer": "ask"}


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--update",
        action="store_true",
        help="also write what HubSpot changed, as `migrator update --yes` does",
    )
    parser.add_argument(
        "--attention-ok",
        action="store_true",
        help="exit with 0 where something needs attention (else with 1)",
    )
    add_mapping(parser)
    add_amounts(parser)
    add_sending(parser)


def run(args: argparse.Namespace, display: Display) -> int:
    """Stage, push, update if asked to, and verify."""
    rules = None if args.mapping is None else read_rules(args.mapping, display)

    def body(session: CommandRun) -> CommandResult:
        steps = _Steps(session, is_json=args.json)
        # The journey is known once the ledger is bound to the portal.
        hubspot, portal_id = open_source(session, args)
        # One right to send over all steps: nothing else may send between two of them.
        with hold_sending(session, args, "run") as sending:
            steps.take("stage", lambda step: extract_all(step, args, rules, hubspot, portal_id))
            sending.bind(session)
            steps.take("push", lambda step: send_all(step, args, sending))
            if args.update:
                told = argparse.Namespace(**{**vars(args), **_UPDATE})

                def update(step: CommandRun) -> CommandResult:
                    progress = write_all(step, told, sending, lambda plan: True)
                    is_left = bool(progress.left_for_a_person)
                    return CommandResult(progress.line(), progress.counters(), ExitCode(is_left))

                steps.take("update", update)
            steps.take("verify", lambda step: compare_all(step, args, sending.destination))
        code = worst(steps.codes)
        if code is ExitCode.NEEDS_ATTENTION and args.attention_ok:
            code = ExitCode.DONE
        return CommandResult("", session.counters, code)

    settings = settings_of(args, ["hubspot", "leadgenius"])
    return work(args, display, settings, body, creates=True)


@dataclass
class _Steps:
    """
    The commands of a run, one after the other, recorded in its row of the ledger.

    Only a step that raises ends the run: one that returns is done, with contacts that need
    attention (1) or, `stage` alone, with contacts that HubSpot counts and does not list (4).
    """

    session: CommandRun
    is_json: bool
    codes: list[ExitCode] = field(default_factory=list)

    def take(self, command: str, body: Callable[[CommandRun], CommandResult]) -> None:
        """
        Run the body of a command, and print its result unless the whole is JSON.

        Raises:
            MigratorError: what the command raised; its exit code is the worst so far.
        """
        from migrator.streams import tell

        session = self.session
        session.ledger.runs.begin_step(session.run_id, command)
        step = replace(session, command=command, counters={})
        try:
            done = body(step)
        except BaseException as error:
            failure = as_migrator_error(error)
            # If the ledger cannot be written, the first error is the one to report.
            with suppress(LedgerError):
                self._end(command, failure.exit_code, step.counters, {})
            failure.exit_code = worst(self.codes)
            raise failure from (None if failure is error else error)
        self._end(command, done.exit_code, done.counters, done.details)
        if not self.is_json:
            with session.display.paused():
                tell(f"{command}: {done.summary}")

    def _end(
        self,
        command: str,
        code: ExitCode,
        counters: Mapping[str, int],
        details: Mapping[str, Any],
    ) -> None:
        self.codes.append(code)
        self.session.counters[command] = {"exit_code": int(code), **counters, **details}
        self.session.ledger.runs.end_step(self.session.run_id, code, counters)


COMMAND = Command(
    "run",
    "stage, push, update and verify as one command, for schedulers",
    ["migrator run --json", "migrator run --update --attention-ok", "migrator run --take-over"],
    _add_options,
    run,
    about="It is safe to run again at any time: an interrupted push is resumed. It goes on while "
    "a step is done, even if something needs attention, and where HubSpot counts more contacts "
    "than it lists; anything else stops it. The exit code is the worst of all steps. "
    "`migrator run` asks nothing; updates are written only with --update.",
)
