"""
What a push makes of a rate limit that it is not told, in hours of simulated time.

    python -m benchmarks.limits_simulated
    python -m benchmarks.limits_simulated --write

A limit of 400 a minute (7 a second where seconds are counted), in four ways to count, used alone or
with another client, and with some requests refused by chance. Each line is twenty pushes of forty
minutes with different seeds: the least and the median share used of what the other client leaves,
and the median and the most answers 429 in an hour beyond those by chance.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from statistics import median

from benchmarks.table import markdown, write_between
from benchmarks.workspace import ROOT
from tests.support.limit_simulation import (
    SHARED,
    Played,
    fixed_window,
    play,
    rolling_window,
    second_window,
    token_bucket,
)

PAGE = ROOT / "docs" / "performance.md"
KINDS = {
    "windows of a minute": fixed_window,
    "any minute": rolling_window,
    "token bucket": token_bucket,
    "windows of a second": second_window,
}
CHANCES = (0.0, 0.003, 0.01)


def main(argv: Sequence[str] | None = None) -> int:
    """Play all, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.limits_simulated", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seeds", metavar="N", type=int, default=20, help="default 20")
    parser.add_argument("--write", action="store_true", help="put the table into docs/")
    args = parser.parse_args(argv)
    text = table(range(1, args.seeds + 1))
    print(text)
    if args.write:
        write_between(PAGE, "pace", text)
    return 0


def table(seeds: Sequence[int]) -> str:
    """As it is printed."""
    heads = "used|counted in|by chance|least share|median share|429 an hour|most"
    lines = [heads.split("|")]
    with ProcessPoolExecutor() as processes:
        cases = list(product(SHARED, KINDS, CHANCES))
        parts = [[processes.submit(_play, *case, seed) for seed in seeds] for case in cases]
        for (used, kind, chance), part in zip(cases, parts, strict=True):
            played = [one.result() for one in part]
            shares, throttled = [one.share for one in played], [one.throttled for one in played]
            figures = [f"{chance:.1%}", f"{min(shares):.1%}", f"{median(shares):.1%}"]
            figures += [f"{median(throttled):.0f}", f"{max(throttled):.0f}"]
            lines.append([used, kind, *figures])
            print(" ".join(lines[-1]), file=sys.stderr, flush=True)
    return markdown(lines)


def _play(used: str, kind: str, chance: float, seed: int) -> Played:
    return play(KINDS[kind], chance, seed, used)


if __name__ == "__main__":
    sys.exit(main())
