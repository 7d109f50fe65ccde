"""What a command of the command line consists of, and the options that several commands share."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from migrator.progress import Display

# The groups of options in a command's help, in this order; the command's own options come first.
GROUPS = ("options", "connection", "output")
_OPTIONS, _CONNECTION, _OUTPUT = GROUPS


@dataclass(frozen=True)
class Command:
    """
    A command: its name, help, options and handler.

    Args:
        name: As it is typed.
        summary: What it does, without a capital at the start or a full stop.
        examples: Complete command lines.
        add_options: Adds its options to its parser.
        run: The handler; returns the exit code. It imports SQLAlchemy, requests and rich only when
            it is called, so that `--help` stays fast.
        about: More for its help, in full sentences.
    """

    name: str
    summary: str
    examples: Sequence[str]
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Display], int]
    about: str = ""

    @property
    def description(self) -> str:
        """The summary and what else there is to know, as sentences."""
        summary = f"{self.summary[0].upper()}{self.summary[1:]}."
        return f"{summary}\n\n{self.about}" if self.about else summary


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command: logging, verbosity and help."""
    output = _group(parser, _OUTPUT)
    output.add_argument(
        "--log-file",
        metavar="FILE",
        help="append a log to this file: every request and message, without personal data; "
        "at most 8 files of 16 MiB",
    )
    loudness = output.add_mutually_exclusive_group()
    loudness.add_argument("-v", "--verbose", action="store_true", help="log every request")
    loudness.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    output.add_argument("-h", "--help", action="help", help="show this help and exit")


def _group(parser: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
    return next(one for one in parser._action_groups if one.title == title)


def add_ledger(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ledger", metavar="PATH", help="the ledger (MIGRATOR_LEDGER; default migrator.db)"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    _group(parser, _OUTPUT).add_argument(
        "--json", action="store_true", help="print the result as JSON"
    )


def add_json_lines(parser: argparse.ArgumentParser) -> None:
    _group(parser, _OUTPUT).add_argument(
        "--json",
        action="store_true",
        help="print JSON Lines: the progress once a second, and the result last",
    )


def add_client(parser: argparse.ArgumentParser) -> None:
    _group(parser, _CONNECTION).add_argument(
        "--client-id",
        metavar="SLUG",
        help="the client that the leads go to (LEADGENIUS_CLIENT_ID; remembered by the ledger)",
    )


def add_settle(parser: argparse.ArgumentParser) -> None:
    _group(parser, _CONNECTION).add_argument(
        "--settle",
        metavar="S",
        type=decimal(0.001, 86_400),
        default=60.0,
        help="seconds after which LeadGenius has saved and lists everything that it was sent "
        "(default 60; at least 20 unless it is on this machine; raised where a probe measured that "
        "more is needed)",
    )


def add_timeout(parser: argparse.ArgumentParser) -> None:
    _group(parser, _CONNECTION).add_argument(
        "--timeout",
        metavar="S",
        type=decimal(0.01, 3_600),
        default=30.0,
        help="seconds to wait for an answer (default 30)",
    )


def add_retry_for(parser: argparse.ArgumentParser) -> None:
    _group(parser, _CONNECTION).add_argument(
        "--retry-for",
        metavar="MINUTES",
        type=decimal(0, 43_200),
        default=120.0,
        help="how long to wait for a service that is down or asks to wait "
        "(default 120; 0 = stop after a few tries)",
    )


def add_die_with_parent(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--die-with-parent",
        action="store_true",
        help="stop, as on SIGTERM, when the process that started this one ends (Linux)",
    )


def add_portal(parser: argparse.ArgumentParser, contacts: int) -> None:
    parser.add_argument(
        "--contacts",
        metavar="N",
        type=whole(1, 10_000_000),
        default=contacts,
        help=f"contacts in the portal (default {contacts})",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=whole(0, 10**18),
        default=1,
        help="of the generated contacts (default 1)",
    )


def whole(lowest: int, highest: int) -> Callable[[str], int]:
    """An argparse type for integers in a range; its error names the bounds."""

    def read(text: str) -> int:
        # `int` alone would also accept 1_000 and the digits of other scripts.
        if re.fullmatch("[0-9]{1,20}", text) and lowest <= (number := int(text)) <= highest:
            return number
        raise argparse.ArgumentTypeError(
            f"{_short(text)} is not a whole number from {lowest:,} to {highest:,}"
        )

    return read


def decimal(lowest: float, highest: float) -> Callable[[str], float]:
    """An argparse type for decimal numbers in a range; its error names the bounds."""

    def read(text: str) -> float:
        if _DECIMAL.fullmatch(text) and lowest <= (number := float(text)) <= highest:
            return number
        raise argparse.ArgumentTypeError(
            f"{_short(text)} is not a number from {lowest:,.10g} to {highest:,.10g}"
        )

    return read


def _short(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_QUOTED else f"{text[:_LONGEST_QUOTED]}…")


_LONGEST_QUOTED = 40
_DECIMAL = re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")

per_minute = decimal(0.1, 1_000_000)
