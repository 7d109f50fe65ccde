"""
The model test played for longer than a test run has time for, with its figures.

    python -m benchmarks.model --examples 2000

It plays the game of `tests/crash/test_model.py`, other moves for each seed, and prints what it met.
"""

import argparse
import sys
import time
from collections import Counter

from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from benchmarks.situations import table, unmet
from tests.crash.test_model import FIGURES, PLAY, SITUATIONS, Model

# So many games have to meet every rare situation; fewer need not.
ENOUGH_GAMES = 1000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model", allow_abbrev=False)
    parser.add_argument("--examples", type=int, default=2000, help="games (default 2000)")
    parser.add_argument("--steps", type=int, default=20, help="rules in a game (default 20)")
    parser.add_argument("--seed", type=int, default=1, help="which games (default 1)")
    parser.add_argument(
        "--shrink", action="store_true", help="make a lost game smaller, for some minutes"
    )
    args = parser.parse_args()
    chosen = settings(
        PLAY,
        derandomize=False,
        max_examples=args.examples,
        stateful_step_count=args.steps,
        phases=[Phase.generate, Phase.shrink] if args.shrink else [Phase.generate],
    )
    began = time.monotonic()
    # A game that is lost comes out as its error, with the moves that lost it.
    run_state_machine_as_test(seed(args.seed)(Model), settings=chosen)
    print("\n".join([*lines(FIGURES, time.monotonic() - began), *table(SITUATIONS)]))
    if missing := unmet(SITUATIONS):
        print(f"Never met in these games: {'; '.join(missing)}", file=sys.stderr)
    return 1 if missing and args.examples >= ENOUGH_GAMES else 0


def lines(figures: Counter[str], seconds: float) -> list[str]:
    """What the games met."""
    main_ones = ("games", "rules", "processes", "kills", "posts", "leads held at the end")
    rows = [(name, figures[name]) for name in main_ones]
    rows += sorted((one for one in figures.items() if one[0] not in main_ones), key=by_count)
    return [
        *(f"{count:>9,}  {name}" for name, count in rows),
        f"{seconds:>8.0f}s  in all",
        "No contact was sent twice and none was lost: a game that ends so ends this with an error.",
    ]


def by_count(row: tuple[str, int]) -> int:
    return -row[1]


if __name__ == "__main__":
    sys.exit(main())
