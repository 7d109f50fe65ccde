"""What the commands that send have in common: options, destination, right to send, counters."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from migrator.cli.arguments import (
    add_client,
    add_die_with_parent,
    add_json_lines,
    add_ledger,
    add_retry_for,
    add_settle,
    add_timeout,
    per_minute,
    whole,
)
from migrator.cli.session import CommandRun, can_ask, choose_destination, confirm
from migrator.errors import Interrupted, RunAgain

if TYPE_CHECKING:
    from migrator.connections import BoundDestination
    from migrator.counters import WriteCounters
    from migrator.http import OutageBudget
    from migrator.journey.sender import Sender
    from migrator.ledger import Ledger
    from migrator.push import PushOptions
    from migrator.rate_limit import RateLimiter


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
    add_die_with_parent(parser)
    parser.add_argument(
        "--pace-from",
        metavar="FD",
        type=whole(3, 1_000_000),
        help="given by `migrator fleet`: a socket, over which journeys of one login share its pace",
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


@dataclass(frozen=True)
class Sending:
    """What a command sends with, while it holds the right to send."""

    destination: BoundDestination
    sender: Sender
    outage: OutageBudget
    limiter: RateLimiter

    def bind(self, session: CommandRun) -> None:
        """Bind the ledger to the client, which must exist."""
        from migrator.connections import bind_destination

        bind_destination(session.ledger, session.settings, self.destination)


@contextmanager
def hold_sending(session: CommandRun, args: argparse.Namespace, command: str) -> Iterator[Sending]:
    """
    Hold the right to send, before anything else is judged (the contract, section 5).

    Args:
        command: The command, as it is typed after `migrator`.
    """
    from migrator import connections
    from migrator.http import OutageBudget

    outage = OutageBudget(args.retry_for * 60)
    destination = choose_destination(session, args, outage)
    if args.take_over and can_ask():
        deed = "send from here: nothing else sends for this ledger any more"
        confirm(deed, "Nothing was sent", f"migrator {command} --take-over")
    with connections.hold_sender(
        session.ledger, session.settings, destination, command, is_taken_over=args.take_over
    ) as sender:
        yield Sending(destination, sender, outage, rate_limiter(args, session.ledger))


def rate_limiter(args: argparse.Namespace, ledger: Ledger) -> RateLimiter:
    """The limiter that `--rate` asks for, or the fleet's, which several processes share."""
    from migrator.rate_limit import RateLimiter, RateState

    if args.pace_from is not None:
        from migrator.fleet import SharedRateLimiter

        return SharedRateLimiter(args.pace_from, args.rate, ledger.runs.rate())
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


CountersT = TypeVar("CountersT", bound="WriteCounters")


@dataclass
class Notice(Generic[CountersT]):
    """Shows the progress of a command that writes, and keeps its newest counters."""

    session: CommandRun
    counters: CountersT

    def __call__(self, counters: CountersT) -> None:
        self.counters = counters
        self.session.watch(vars(counters))


@contextmanager
def noticing(
    session: CommandRun, none: CountersT, done: Callable[[CountersT], str]
) -> Iterator[Notice[CountersT]]:
    """
    Show the progress of the block; if the user interrupts it, say what was done and is in doubt.

    Args:
        none: The counters before anything was done.
    """
    notice = Notice(session, none)
    try:
        yield notice
    except Interrupted as error:
        doubts = session.ledger.counts.in_doubt()
        raise Interrupted(
            f"Interrupted: {done(notice.counters)}, {doubts:,} in doubt.",
            RunAgain(),
            error.exit_code - 128,
        ) from None
