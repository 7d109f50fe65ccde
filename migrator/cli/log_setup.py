"""
The log that `-v` shows and `--log-file` keeps, and where a bug is.

Records are made without tokens, parameters and bodies, where they are made. This sees to it that
nobody else's reach the terminal or the file, and that nothing in one steers a terminal. A log that
cannot be written any more must never stop the work.
"""

import argparse
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from migrator.cli.log_file import LogFileHandler
from migrator.cli.version import versions
from migrator.progress import Display
from migrator.text import one_line, strip_control

OURS = logging.getLogger("migrator")
DISPLAY_LOG = logging.getLogger("migrator.display")
RUN = logging.getLogger("migrator.run")

# Answers are quoted in errors, and services quote what they were sent.
_IN_EMAIL = r"[^\s@\"'<>(){},;:]"
_AT = r"(?:@|%(?:25)*40|\\u0040|&(?:#64|#x40|commat);)"  # as it is in URLs, JSON and HTML too
# From the beginning of a word on, or a long one would be tried from each of its letters.
_EMAIL = re.compile(
    rf"(?<!{_IN_EMAIL})(?<!\w')(?:{_IN_EMAIL}|(?<=\w)'(?=\w))*{_AT}{_IN_EMAIL}+", re.IGNORECASE
)


class LoggedDisplay(Display):
    """
    A display whose lines are also written to the log, even those that -q hides.

    But for what is confided, and for all of an error below its first line: there, cells and names
    that somebody typed are quoted.
    """

    def say(self, text: str) -> None:
        DISPLAY_LOG.info("%s", text)
        super().say(text)

    def error(self, message: str, hint: str) -> None:
        DISPLAY_LOG.error("%s next: %s", message.partition("\n")[0], hint)
        super().error(message, hint)


def begin(args: argparse.Namespace) -> Display:
    """
    Open the logs that a command line asks for.

    Returns:
        What the command talks through.

    Raises:
        UsageError: the file cannot be written, or is something else.
    """
    manner = {
        "quiet": args.quiet,
        "verbose": args.verbose,
        "as_json": getattr(args, "json", False),
    }
    log_to(sys.stderr if args.verbose else None)
    if args.log_file is None:
        return Display(sys.stderr, **manner)
    display = LoggedDisplay(sys.stderr, **manner)
    journal = LogFileHandler(
        Path(args.log_file), lambda why: display.say(f"{why} The work goes on.")
    )
    journal.setFormatter(_Dated("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    _add(journal)
    RUN.info("%s begins: %s", args.command, versions())
    return display


def end(code: int) -> None:
    """Close the logs of a command that ended so."""
    if any(isinstance(handler, LogFileHandler) for handler in OURS.handlers):
        RUN.info("ends with exit code %d", code)
    log_to(None)


def log_to(stream: TextIO | None) -> None:
    """
    Write our own log to a stream, and nowhere else; `None` = nowhere at all.

    Only our own: what other libraries log of a request holds its parameters, and what they warn of
    an answer quotes it.
    """
    for handler in [*OURS.handlers]:
        OURS.removeHandler(handler)
        handler.close()
    if stream is not None:
        shown = logging.StreamHandler(stream)
        shown.setFormatter(_Formatter("%(asctime)s %(name)s: %(message)s"))
        # These lines are on the screen already.
        shown.addFilter(lambda record: record.name not in (DISPLAY_LOG.name, RUN.name))
        _add(shown)


def _add(handler: logging.Handler) -> None:
    OURS.addHandler(handler)
    OURS.setLevel(logging.DEBUG)


def place_of(error: BaseException) -> str:
    """
    Where an error nobody foresaw was raised; the way there is logged.

    What the error itself says is neither: it may hold anything, or anybody.
    """
    for line in "".join(traceback.format_tb(error.__traceback__)).splitlines():
        OURS.debug("%s", line)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}, line {last.lineno}"


class _Formatter(logging.Formatter):
    """For a screen: in the zone of whoever reads it."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        moment = datetime.fromtimestamp(record.created).astimezone()
        return moment.isoformat(sep=" ", timespec="milliseconds")

    def format(self, record: logging.LogRecord) -> str:
        return strip_control(super().format(record))


class _Dated(_Formatter):
    """For a file: one line each, in UTC, and without people."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        moment = datetime.fromtimestamp(record.created, UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03d}Z"

    def format(self, record: logging.LogRecord) -> str:
        return one_line(_EMAIL.sub("(an e-mail)", super().format(record)))
