"""
Sets up the log that `-v` shows and `--log-file` keeps.

Log records contain no tokens, parameters or bodies. The handlers here accept only records of our
own loggers, remove control characters and, for the file, e-mail addresses. A log that becomes
unwritable never stops a command.
"""

import argparse
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from migrator.progress import Display
from migrator.text import one_line, strip_control

OURS = logging.getLogger("migrator")
DISPLAY_LOG = logging.getLogger("migrator.display")
RUN = logging.getLogger("migrator.run")

# Errors quote responses, and responses may quote what was sent.
_IN_EMAIL = r"[^\s@\"'<>(){},;:]"
_AT = r"(?:@|%(?:25)*40|\\u0040|&(?:#64|#x40|commat);)"  # also in URLs, JSON and HTML
# It matches from the beginning of a word only, so that a long word takes linear time.
_EMAIL = re.compile(
    rf"(?<!{_IN_EMAIL})(?<!\w')(?:{_IN_EMAIL}|(?<=\w)'(?=\w))*{_AT}{_IN_EMAIL}+", re.IGNORECASE
)


class LoggedDisplay(Display):
    """
    A display that also logs what it prints, and what -q hides.

    Lines of `say_unlogged`, and of an error all but the first line, may quote personal data, and
    are not logged.
    """

    def say(self, text: str) -> None:
        DISPLAY_LOG.info("%s", text)
        super().say(text)

    def error(self, message: str, hint: str) -> None:
        DISPLAY_LOG.error("%s next: %s", message.partition("\n")[0], hint)
        super().error(message, hint)


def begin(args: argparse.Namespace) -> Display:
    """
    Open the logs of a command line, and return the command's display.

    Raises:
        UsageError: the log file cannot be written, or is not a log.
    """
    manner = {
        "quiet": args.quiet,
        "verbose": args.verbose,
        "as_json": getattr(args, "json", False),
        "ledger": getattr(args, "ledger", None),
    }
    log_to(sys.stderr if args.verbose else None)
    if args.log_file is None:
        return Display(sys.stderr, **manner)
    # Imported here because they load slowly.
    from migrator.cli.log_file import LogFileHandler
    from migrator.cli.version import versions

    display = LoggedDisplay(sys.stderr, **manner)
    journal = LogFileHandler(
        Path(args.log_file), lambda why: display.say(f"{why} The command continues.")
    )
    journal.setFormatter(_Dated("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    _add(journal)
    RUN.info("%s begins: %s", args.command, versions())
    return display


def end(code: int) -> None:
    """Log the exit code, and close the logs."""
    if any(isinstance(handler, logging.FileHandler) for handler in OURS.handlers):
        RUN.info("ends with exit code %d", code)
    log_to(None)


def log_to(stream: TextIO | None) -> None:
    """
    Write the log of our own loggers to this stream only; `None` = to none.

    The logs of libraries are left out: they contain parameters of requests, and quote responses.
    """
    for handler in [*OURS.handlers]:
        OURS.removeHandler(handler)
        handler.close()
    if stream is not None:
        shown = logging.StreamHandler(stream)
        shown.setFormatter(_Formatter("%(asctime)s %(name)s: %(message)s"))
        # The display has printed these lines already.
        shown.addFilter(lambda record: record.name not in (DISPLAY_LOG.name, RUN.name))
        _add(shown)


def _add(handler: logging.Handler) -> None:
    OURS.addHandler(handler)
    OURS.setLevel(logging.DEBUG)


def place_of(error: BaseException) -> str:
    """
    The file and line where an unexpected error was raised; its traceback is logged.

    The error's own message is neither returned nor logged: it may contain personal data.
    """
    for line in "".join(traceback.format_tb(error.__traceback__)).splitlines():
        OURS.debug("%s", line)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}, line {last.lineno}"


class _Formatter(logging.Formatter):
    """Log lines for a screen, in local time."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        moment = datetime.fromtimestamp(record.created).astimezone()
        return moment.isoformat(sep=" ", timespec="milliseconds")

    def format(self, record: logging.LogRecord) -> str:
        return strip_control(super().format(record))


class _Dated(_Formatter):
    """Log lines for a file, in UTC, without e-mail addresses."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        moment = datetime.fromtimestamp(record.created, UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03d}Z"

    def format(self, record: logging.LogRecord) -> str:
        return one_line(_EMAIL.sub("(an e-mail)", super().format(record)))
