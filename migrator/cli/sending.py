"""What the commands that send have in common: the options of pace and connection, and the locks."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from migrator.cli.arguments import (
    add_client,
    add_json_lines,
    add_ledger,
    add_retry_for,
    add_settle,
    add_timeout,
    per_minute,
    whole,
)
from migrator.cli.session import CommandRun, can_ask, confirm
from migrator.errors import Interrupted, RunAgain, UsageError
from migrator.rate_limit import RateLimiter, RateState

if TYPE_CHECKING:
    from migrator.connections import BoundDestination
    from migrator.journey.sender import Sender
    from migrator.ledger import Ledger
    from migrator.push import PushOptions


def add_sending(parser: argparse.ArgumentParser) -> None:
    """Add the options of pace, connection and output."""
    parser.add_argument(
        "--rate",
        metavar="auto|max|N",
        type=_rate,
        default="auto",
        help="leads a minute: what the service allows (auto), as fast as it answers (max), or a "
        "number (default auto: it is measured, and remembered for the next push)",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=whole(1, 256),
        default=8,
        help="threads that send (default 8)",
    )
    add_timeout(parser)
    add_settle(parser)
    add_retry_for(parser)
    parser.add_argument(
        "--max-in-doubt",
        metavar="N",
        type=whole(1, 10_000),
        default=50,
        help="send nothing new while this many are in doubt or in flight (default 50)",
    )
    parser.add_argument(
        "--take-over",
        action="store_true",
        help="send from here, although the ledger was last worked on elsewhere; only if nothing "
        "sends there any more",
    )
    add_client(parser)
    add_ledger(parser)
    add_json_lines(parser)


def _rate(text: str) -> str | float:
    if text in ("auto", "max"):
        return text
    try:
        return per_minute(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, and neither auto nor max") from None


def hold_sender(
    session: CommandRun, args: argparse.Namespace, destination: BoundDestination, command: str
) -> AbstractContextManager[Sender]:
    """
    Hold the right to send, before anything else is judged (the contract, section 5).

    Args:
        command: The command, as it is typed after `migrator`.
    """
    from migrator import connections

    if args.take_over and can_ask():
        deed = "send from here: nothing else sends for this ledger any more"
        confirm(deed, "Nothing was sent", f"migrator {command} --take-over")
    return connections.hold_sender(
        session.ledger, session.settings, destination, command, is_taken_over=args.take_over
    )


# The looks before a delete, and the delete, are up to three requests within a minute.
LOWEST_RATE_OF_LOOKS = 3.0


def check_rate_of_looks(args: argparse.Namespace) -> None:
    """
    Raises:
        UsageError: at this `--rate` not all leads could be deleted within a minute of the looks
            that are needed.
    """
    if isinstance(args.rate, float) and args.rate < LOWEST_RATE_OF_LOOKS:
        raise UsageError(
            f"--rate {args.rate:g} is too low: a lead is deleted within a minute of being seen, "
            "which takes up to three requests.",
            f"migrator {args.command} --rate {LOWEST_RATE_OF_LOOKS:g}, or more",
        )


def rate_limiter(args: argparse.Namespace, ledger: Ledger) -> RateLimiter:
    """The limiter that `--rate` asks for."""
    if isinstance(args.rate, float):
        return RateLimiter(RateState.fixed(args.rate))
    if args.rate == "max":
        return RateLimiter(RateState.unlimited())
    return RateLimiter(RateState.automatic(ledger.runs.rate()))


def push_options(
    args: argparse.Namespace,
    destination: BoundDestination,
    *,
    limit: int | None = None,
    canary: int = 0,
) -> PushOptions:
    """What the push loop is told; `limit` and `canary` as for `PushOptions`."""
    from migrator.push import PushOptions

    return PushOptions(
        portal_id=destination.portal_id,
        client_id=destination.client_id,
        limit=limit,
        workers=args.workers,
        settle_seconds=args.settle,
        canary=canary,
        max_in_doubt=args.max_in_doubt,
        findings=destination.findings,
    )


def keys_of(session: CommandRun, contacts: Sequence[str]) -> frozenset[int] | None:
    """The keys of the contacts that are named on the command line; `None` = none is, so all."""
    from migrator.report import find_contacts

    if not contacts:
        return None
    with session.ledger.transaction():
        return frozenset(key for named in contacts for key in find_contacts(session.ledger, named))


@contextmanager
def telling_what_was_done(session: CommandRun, done: Callable[[], str]) -> Iterator[None]:
    """Say what was done, and what is in doubt, when the user interrupts the block."""
    try:
        yield
    except Interrupted as error:
        doubts = session.ledger.counts.in_doubt()
        raise Interrupted(
            f"Interrupted: {done()}, {doubts:,} in doubt.", RunAgain(), error.exit_code - 128
        ) from None
