"""
All errors: each has a message, a hint (the next command, or what to change) and an exit code.

Only `cli` prints them. No message may contain a token, a password or a whole response.

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
    |   |-- LedgerBusy          6
    |   |-- LedgerElsewhere     5
    |   |-- LedgerForgotten     5
    |   `-- WrongJourney        5
    |-- SenderBusy              6
    |   |-- FenceHeld           6
    |   |-- FenceLost           6
    |   `-- ForeignSender       6
    `-- Interrupted             128 + signal
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, NamedTuple


class ExitCode(IntEnum):
    """The exit codes of the process. An unknown code must be treated as a failure."""

    DONE = 0
    NEEDS_ATTENTION = 1
    USAGE = 2
    NOT_READY = 3
    STOPPED_EARLY = 4
    LEDGER = 5
    BUSY = 6
    BUG = 70
    SIGINT = 130
    SIGTERM = 143

    @property
    def meaning(self) -> str:
        """The meaning, for `--help` and the reference."""
        return _MEANINGS[self]


_MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.DONE: "done; contacts that the rules exclude, such as those without an e-mail, "
    "are not a failure",
    ExitCode.NEEDS_ATTENTION: "done, but something needs attention: `migrator report`",
    ExitCode.USAGE: "the command line is wrong, or a file that it names; type something else",
    ExitCode.NOT_READY: "not ready: the command is right, but something else must change first: "
    "configuration, credentials, permissions, network settings, or an earlier step",
    ExitCode.STOPPED_EARLY: "something is unfinished, such as an earlier push, or this command "
    "stopped early; everything done so far is kept, and the next command resumes it",
    ExitCode.LEDGER: "the ledger is missing, damaged, forgotten, newer than this migrator, "
    "belongs to another migration, or was last worked on elsewhere",
    ExitCode.BUSY: "busy: another process or machine works on this ledger or sends to the same "
    "client; run the same command again later",
    ExitCode.BUG: "a bug in migrator",
    ExitCode.SIGINT: "interrupted by Ctrl-C: run the same command again, or "
    "`migrator push --resume`",
    ExitCode.SIGTERM: "interrupted by SIGTERM or a closed terminal: resume in the same way",
}


# How bad an ending is, worst first (the contract, section 8).
WORST_FIRST = (
    ExitCode.BUG,
    ExitCode.LEDGER,
    ExitCode.NOT_READY,
    ExitCode.USAGE,
    ExitCode.STOPPED_EARLY,
    ExitCode.BUSY,
    ExitCode.SIGTERM,
    ExitCode.SIGINT,
    ExitCode.NEEDS_ATTENTION,
    ExitCode.DONE,
)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """The worst of these exit codes; 0 = there is none."""
    return min(codes, key=WORST_FIRST.index, default=ExitCode.DONE)


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
        counters: What the command had counted when it failed, or what it leaves; for its JSON.
    """

    exit_code: ExitCode = ExitCode.BUG
    resume_with: str = "run the same command again"

    def __init__(self, message: str, hint: str | RunAgain) -> None:
        super().__init__(message)
        self.message = message
        self._hint = hint
        self.counters: Mapping[str, Any] = {}

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
    A service rejected a request that it understood.

    Args:
        data: The JSON object of the response, for telling cases apart, never to show; `{}` = none.
        status: The HTTP status; `None` = concluded from several responses.
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
    """403: the credentials are valid, but lack a permission."""


class NotFound(Declined):
    """404: the service has no such thing."""


class StoppedEarly(MigratorError):
    """The command stopped before it was done; everything done so far is kept."""

    exit_code = ExitCode.STOPPED_EARLY


class ServiceDown(StoppedEarly):
    """A service cannot be reached, or its responses are unusable."""


class ServiceBusy(StoppedEarly):
    """A service throttles for longer than `--retry-for` allows."""


class UnfinishedPush(StoppedEarly):
    """An earlier push was interrupted; only `push --resume` continues it."""


class UnfinishedJourney(StoppedEarly):
    """The migration is not finished, so the ledger cannot be forgotten yet."""


class LedgerError(MigratorError):
    """The ledger file cannot be used: damaged, newer, unwritable, or no ledger at all."""

    exit_code = ExitCode.LEDGER


class LedgerBusy(LedgerError):
    """Another process is working on this ledger."""

    exit_code = ExitCode.BUSY


class LedgerElsewhere(LedgerError):
    """The ledger was last worked on at another place: it is a copy, or was restored or moved."""


class LedgerForgotten(LedgerError):
    """Personal data was removed from the ledger: it is a proof, and cannot be worked on."""


class WrongJourney(LedgerError):
    """The ledger is bound to another portal, base URL or client."""


class SenderBusy(MigratorError):
    """Another process or machine sends for the same journey."""

    exit_code = ExitCode.BUSY


class FenceHeld(SenderBusy):
    """Another machine holds the fence of this journey."""


class FenceLost(SenderBusy):
    """The fence may have passed on: nothing more may be sent."""


class ForeignSender(SenderBusy):
    """A listing shows leads of this journey that this ledger did not send."""


class Interrupted(MigratorError):
    """SIGINT or SIGTERM stopped the command in an orderly way."""

    def __init__(self, message: str, hint: str | RunAgain, signal: int) -> None:
        super().__init__(message, hint)
        self.exit_code = ExitCode(128 + signal)
