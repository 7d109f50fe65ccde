"""
How long a command takes before it does anything: on its own, and on a ledger of many contacts.

Each is a process of its own, measured beside the barest one there is, `python -c pass`. A push is
measured from its start to the moment at which its first post arrives, after an earlier one was
killed: with a hundred contacts left and eight in doubt. It never judges what was sent.

    python -m benchmarks.startup --contacts 1000000 --ledger big.db
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.judge import posts
from benchmarks.ledgers import Shape, build, copy
from migrator.sandbox import Sandbox

BARE = (sys.executable, "-c", "pass")
MIGRATOR = (sys.executable, "-m", "migrator")
LOOKS = ("report", "report --json", "show 51", "show nobody@nowhere.example", "plan --offline")


def seconds(command: Sequence[str], environment: dict[str, str]) -> tuple[float, float]:
    """How long a process takes from its start to its end: on the wall, and of a processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(command, env=environment, capture_output=True, check=False)  # noqa: S603
    wall = time.perf_counter() - began
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def first_post(ledger: Path, contacts: int, folder: Path) -> float:
    """From the start of a push that is resumed to its first post; then it is killed."""
    copied = folder / "migrator.db"
    copy(ledger, copied)
    (folder / "auth.json").unlink(missing_ok=True)
    with Sandbox(contacts=contacts, rate_limit=None, hubspot_rate_limit=None) as sandbox:
        environment = {
            **os.environ,
            **sandbox.environment(),
            "LEADGENIUS_AUTH_FILE": str(folder / "auth.json"),
        }
        words = [*MIGRATOR, *f"push --resume --rate max --ledger {copied}".split()]
        began = time.perf_counter()
        push = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)  # noqa: S603
        try:
            sandbox.wait_until(lambda: posts(sandbox), timeout=120)
            return time.perf_counter() - began
        finally:
            push.kill()
            push.wait()


def _row(name: str, of: Sequence[tuple[float, float]]) -> str:
    wall, cpu = (statistics.median(column) * 1_000 for column in zip(*of, strict=True))
    return f"{name:<44}{wall:>9,.0f} ms{cpu:>9,.0f} ms"


def main(words: Sequence[str]) -> None:
    """Measure all of it, and print a table."""
    parser = argparse.ArgumentParser(prog="benchmarks.startup")
    parser.add_argument("--contacts", type=int, default=10_000)
    parser.add_argument("--ledger", type=Path, help="made if it is not there, and kept")
    parser.add_argument("--times", type=int, default=5)
    args = parser.parse_args(words)
    print(f"{'':<44}{'wall':>12}{'processor':>12}")
    with TemporaryDirectory() as name:
        folder = Path(name)
        ledger = args.ledger or folder / "big.db"
        if not ledger.exists():
            build(ledger, Shape(args.contacts))
        environment = {**os.environ, "HOME": name, "MIGRATOR_LEDGER": str(ledger)}
        commands = [BARE] + [(*MIGRATOR, *one.split()) for one in ("--help", *LOOKS)]
        # One after the other, again and again: what else the machine does befalls all alike.
        rounds = [[seconds(one, environment) for one in commands] for _ in range(args.times)]
        for command, of in zip(commands, zip(*rounds, strict=True), strict=True):
            print(_row(" ".join(command[1:]).replace("-m ", ""), of))
        pushes = [first_post(ledger, args.contacts, folder) for _ in range(args.times)]
        print(f"{'push --resume, to its first post':<44}{statistics.median(pushes):>9,.2f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
