"""
Every way to fail, in the words a person reads.

An error owns its message, a hint (the next command to type, or what to change) and its exit code.
`cli` is the only place that turns one into text; nothing below prints. No message may carry a
token, a password or a whole answer of a service.

    MigratorError
    |-- UsageError              2
    |-- NotReady                3
    |   `-- Declined            3
    |       |-- Unauthorized    3
    |       |-- Forbidden       3
    |       `-- NotFound        3
    |-- StoppedEarly            4
    |   |-- ServiceDown         4
    |   |-- ServiceBusy         4
    |   |-- UnfinishedPush      4
    |   `-- UnfinishedJourney   4
    |-- LedgerError             5
    |   |-- LedgerBusy          5
    |   |-- LedgerForgotten     5
    |   `-- WrongJourney        5
    `-- Interrupted             128 + signal
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple


class ExitCode(IntEnum):
    """What the process tells its caller. An unknown code must be treated as a failure."""

    DONE = 0
    NEEDS_ATTENTION = 1
    USAGE = 2
    NOT_READY = 3
    STOPPED_EARLY = 4
    LEDGER = 5
    BUG = 70
    SIGINT = 130
    SIGTERM = 143

    @property
    def meaning(self) -> str:
        """What it tells, for people; also of `--help` and the reference."""
        return _MEANINGS[self]


_MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.DONE: "done; contacts that the rules exclude, such as those without an e-mail, "
    "are no failure",
    ExitCode.NEEDS_ATTENTION: "done, but this command left something for a person; "
    "`migrator report` says what",
    ExitCode.USAGE: "the command line is wrong, or a file that it names: something else should "
    "have been typed",
    ExitCode.NOT_READY: "not ready: the command is right, and something else has to change first, "
    "such as configuration, credentials, permissions or network settings",
    ExitCode.STOPPED_EARLY: "something is unfinished, such as an earlier push, or this one "
    "stopped early; all that was done is kept, and what goes on with it is named",
    ExitCode.LEDGER: "the ledger is in use, damaged, forgotten, newer than this migrator, or of "
    "another journey",
    ExitCode.BUG: "a bug in migrator",
    ExitCode.SIGINT: "interrupted by Ctrl-C; the same command goes on, or `migrator push --resume`",
    ExitCode.SIGTERM: "interrupted by SIGTERM or a closed terminal; it goes on in the same way",
}


class RunAgain(NamedTuple):
    """A hint to run the command again, with what goes before and after its name."""

    before: str = ""
    after: str = ""


class MigratorError(Exception):
    """
    A failure that a person can do something about.

    Args:
        message: What failed and why, naming the thing.
        hint: The next command to type or setting to change.

    Attributes:
        resume_with: The command that continues the one that failed; `cli` sets it.
        counters: What the command had counted when it failed; `cli` sets it.
    """

    exit_code: ExitCode = ExitCode.BUG
    resume_with: str = "run the same command again"

    def __init__(self, message: str, hint: str | RunAgain) -> None:
        super().__init__(message)
        self.message = message
        self._hint = hint
        self.counters: Mapping[str, int] = {}

    @property
    def hint(self) -> str:
        """The next command to type or setting to change."""
        if isinstance(self._hint, str):
            return self._hint
        return f"{self._hint.before}{self.resume_with}{self._hint.after}"


class UsageError(MigratorError):
    """The command line is wrong, or a file that it names."""

    exit_code = ExitCode.USAGE


class NotReady(MigratorError):
    """Something outside the command line has to change first, such as the configuration."""

    exit_code = ExitCode.NOT_READY


class Declined(NotReady):
    """
    A service understood a request and said no. Its client finds better words where it can.

    Args:
        data: The answer's JSON object; `{}` = it had none. For telling cases apart, never to show.
        status: HTTP; `None` = this is somebody's conclusion from several answers.
    """

    def __init__(
        self,
        message: str,
        hint: str,
        data: Mapping[str, Any] | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.data: Mapping[str, Any] = data or {}
        self.status = status


class Unauthorized(Declined):
    """401: the credentials are wrong or have expired."""


class Forbidden(Declined):
    """403: the credentials are good, but not for this."""


class NotFound(Declined):
    """404: there is no such thing at this service."""


class StoppedEarly(MigratorError):
    """A service is unreachable, failing or asks us to wait for long. Everything done is kept."""

    exit_code = ExitCode.STOPPED_EARLY


class ServiceDown(StoppedEarly):
    """A service cannot be reached, or answers nothing of use."""


class ServiceBusy(StoppedEarly):
    """A service asks to be left alone for longer than anybody would watch."""


class UnfinishedPush(StoppedEarly):
    """An earlier push was interrupted; only `push --resume` continues it."""


class UnfinishedJourney(StoppedEarly):
    """Something is left to do before the ledger can be forgotten."""


class LedgerError(MigratorError):
    """The ledger file cannot be used: damaged, newer, unwritable, or no ledger at all."""

    exit_code = ExitCode.LEDGER


class LedgerBusy(LedgerError):
    """Another process works on this ledger."""


class LedgerForgotten(LedgerError):
    """The people were taken out of the ledger; it is a proof now, and no work."""


class WrongJourney(LedgerError):
    """The ledger is bound to another portal, base URL or client."""


class Interrupted(MigratorError):
    """SIGINT or SIGTERM: the work was laid down in order."""

    def __init__(self, message: str, hint: str | RunAgain, signal: int) -> None:
        super().__init__(message, hint)
        self.exit_code = ExitCode(128 + signal)
