"""
What a push makes of a rate limit that it is not told.

    python -m benchmarks.limits --rounds 5

Real pushes, all side by side, each against a stand-in of its own that counts requests in windows of
a minute and tells neither its limit nor when to come back. Measured is what that one wrote down,
in whole windows of its own, against the ideal: exactly the limit in each. Each round begins in
another moment of a window. Then each push is interrupted and resumed, with the pace remembered.
With `--by-chance 0.01` the stand-in also refuses so many of the leads without a reason, and with
`--window 1` it counts by the second. `python -m benchmarks.limits_simulated` takes no real time.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.commands import Operator
from migrator.sandbox import LoggedRequest, Sandbox

LIMITS = (100, 400, 1000)
WINDOW_SECONDS = 60.0
RESUMED_MINUTES = 2.0
LATENCY_SECONDS = (0.05, 0.2)
THROTTLED = 429


@dataclass(frozen=True)
class Measured:
    """
    One push.

    Args:
        limit: Requests a minute.
        is_remembered: Whether it began with the pace that an earlier push had found.
        share: Of the limit, in whole windows after the first minute.
        throttled: Of the answers in those windows, how many were 429.
        first_minute: Share of the limit in its first sixty seconds.
    """

    limit: int
    is_remembered: bool
    share: float
    throttled: float
    first_minute: float


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print a table of medians with the worst in brackets."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limits", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--minutes", metavar="M", type=int, default=3, help="default 3")
    parser.add_argument("--rounds", metavar="N", type=int, default=1, help="default 1")
    parser.add_argument("--by-chance", metavar="SHARE", type=float, default=0.0, help="default 0")
    parser.add_argument("--window", metavar="S", type=float, default=WINDOW_SECONDS)
    args = parser.parse_args(argv)
    print(table(measure(args.rounds, args.minutes, args.by_chance, args.window)))
    return 0


def measure(
    rounds: int = 1, minutes: int = 3, chance: float = 0.0, window_seconds: float = WINDOW_SECONDS
) -> list[Measured]:
    """
    Push under every limit, all at once.

    Args:
        rounds: Pushes under each limit.
        minutes: Whole windows that are measured, after the first minute.
        chance: The share of leads that is refused without a reason.
        window_seconds: The length of the windows in which the stand-in counts.
    """

    def pushes(case: tuple[int, int]) -> list[Measured]:
        return _pushes(*case, minutes, chance, window_seconds)

    cases = [(limit, number) for limit in LIMITS for number in range(rounds)]
    with ThreadPoolExecutor(len(cases)) as threads:
        return [one for measured in threads.map(pushes, cases) for one in measured]


def table(results: Sequence[Measured]) -> str:
    """As it is printed."""
    lines = [f"{'limit':>6} {'began at':<11} {'share used':>16} {'429':>16} {'first minute':>16}"]
    for limit in LIMITS:
        for is_remembered in (False, True):
            some = [
                one for one in results if (one.limit, one.is_remembered) == (limit, is_remembered)
            ]
            share, first = [one.share for one in some], [one.first_minute for one in some]
            throttled = [one.throttled for one in some]
            lines.append(
                f"{limit:>6,} {'found pace' if is_remembered else '400 a minute':<12}"
                f"{_cell(share, min(share)):>16} {_cell(throttled, max(throttled)):>16} "
                f"{_cell(first, min(first)):>16}"
            )
    return "\n".join(lines)


def _cell(numbers: Sequence[float], worst: float) -> str:
    return f"{median(numbers):.2%} ({worst:.2%})"


def _pushes(
    limit: int, number: int, minutes: int, chance: float, window_seconds: float
) -> list[Measured]:
    # Each push begins in the middle of a window, and some contacts cannot be sent.
    contacts = int(1.15 * limit * (minutes + RESUMED_MINUTES + 4)) + 100
    with (
        tempfile.TemporaryDirectory(prefix="migrator-limits-") as folder,
        Sandbox(
            contacts=contacts,
            seed=number,
            latency_seconds=LATENCY_SECONDS,
            faults={"throttle_silently": chance},
        ) as sandbox,
    ):
        operator = Operator(Path(folder), sandbox)
        with operator.at_work():
            operator.run("stage -q", longest_seconds=600)
            in_window = round(limit * window_seconds / WINDOW_SECONDS)
            allowed = in_window * WINDOW_SECONDS / window_seconds
            sandbox.change_rate_limit(in_window, window_seconds=window_seconds, headers=False)
            windows_began = time.time()
            time.sleep(_moment_seconds(number))
            first = _pushed(operator, "push -q", allowed, windows_began, minutes)
            words = "push -q --resume"
            resumed = _pushed(operator, words, allowed, windows_began, RESUMED_MINUTES)
    return [Measured(limit, False, *first), Measured(limit, True, *resumed)]


def _moment_seconds(number: int) -> float:
    """How long after a window's beginning a round's push begins: spread over the window."""
    return (5.0 + 23.0 * number) % WINDOW_SECONDS


def _pushed(
    operator: Operator, words: str, limit: float, windows_began: float, minutes: float
) -> tuple[float, float, float]:
    """Push for so long, and measure: share used, share of 429, share used in the first minute."""
    push = operator.start(words)
    push.wait(600, until=lambda: bool(_counted(operator.since(push))))
    began = _counted(operator.since(push))[0].at
    from_ = windows_began + WINDOW_SECONDS * -(
        -(began + WINDOW_SECONDS - windows_began) // WINDOW_SECONDS
    )
    until = from_ + minutes * WINDOW_SECONDS
    push.wait(until - time.time())
    received = _counted(operator.since(push))
    push.terminate(patience_seconds=30)
    operator.end(push)
    after = [one for one in received if from_ <= one.at < until]
    first = [one for one in received if one.at < began + WINDOW_SECONDS]
    return (
        _taken(after) / (limit * minutes),
        1 - _taken(after) / len(after),
        _taken(first) / limit,
    )


def _counted(received: Sequence[LoggedRequest]) -> list[LoggedRequest]:
    """Those that the limit counts: logging in is free."""
    return [one for one in received if one.path.startswith("/api/") and "auth" not in one.path]


def _taken(received: Sequence[LoggedRequest]) -> int:
    return sum(one.status != THROTTLED for one in received)


if __name__ == "__main__":
    sys.exit(main())
