"""A command at work on the ledger: the lock, the record of its run, what it prints at the end."""

import argparse
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from migrator.cli.failures import in_words
from migrator.config import Settings, Survey, load, survey
from migrator.console import Talk, tell
from migrator.errors import ExitCode, LedgerError, NotReady
from migrator.interruption import Interruption
from migrator.ledger import Ledger
from migrator.printable import json_text


@dataclass(frozen=True)
class Done:
    """What a command that works on the ledger did: a line for people, numbers for machines."""

    summary: str
    counters: Mapping[str, int]
    exit_code: ExitCode = ExitCode.DONE
    details: Mapping[str, Any] = field(default_factory=dict)  # more for machines


@dataclass
class Session:
    """A command at work on the ledger."""

    settings: Settings
    ledger: Ledger
    run_id: int
    interruption: Interruption
    talk: Talk
    counters: dict[str, int] = field(default_factory=dict)

    def watch(self, verb: str, progress: Mapping[str, Any]) -> None:
        """Remember what was done so far, and show it."""
        self.counters = {name: value for name, value in progress.items() if type(value) is int}
        self.talk.show(verb, progress)


def settings_of(args: argparse.Namespace, needs: Collection[str] = ()) -> Settings:
    """The settings that a command line, the environment and the files make together."""
    return load(_options(args), os.environ, _folder(), needs)


def survey_of(args: argparse.Namespace, needs: Collection[str] = ()) -> Survey:
    """The same, with what is wrong with them instead of an error."""
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
    talk: Talk,
    needs: Collection[str],
    body: Callable[[Session], Done],
    *,
    is_work: bool = True,
) -> int:
    """
    Lock the ledger, keep a record of the run, do the work, print what came of it.

    Args:
        is_work: Whether it moves contacts on, which a forgotten ledger refuses.
    """
    settings = settings_of(args, needs)
    interruption = Interruption()
    interruption.listen()
    with Ledger.at_work(settings.ledger) as ledger:
        if is_work:
            ledger.forgetting.refuse()
        run_id = ledger.journey.begin_run(args.command)
        session = Session(settings, ledger, run_id, interruption, talk)
        try:
            with talk:
                done = body(session)
        except BaseException as error:
            failure = in_words(error)
            code = ExitCode.BUG if failure is None else failure.exit_code
            # A ledger that cannot be written cannot keep this either; the first error counts.
            with suppress(LedgerError):
                ledger.journey.end_run(run_id, code, session.counters)
            raise
        ledger.journey.end_run(run_id, done.exit_code, done.counters)
    if getattr(args, "json", False):
        tell(json_text({**done.counters, **done.details}))
    else:
        tell(done.summary)
    return done.exit_code


def require_ledger(args: argparse.Namespace) -> None:
    """Only `stage` makes one; elsewhere a name that is not there is a slip."""
    with Ledger.for_reading(settings_of(args).ledger):
        pass
