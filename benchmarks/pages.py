"""
All figures of `docs/performance.md` and `docs/reliability.md`, made again in one run.

    python -m benchmarks.pages
    python -m benchmarks.pages --only evidence --only mutants

Each table is written by the command that is named beside it on its page. They run one after the
other, some two hours on two cores, and nothing else may be at work on the machine. It ends
with 1 if one of them failed or missed a target; the others are made all the same.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.workspace import ROOT

# By the name of the table between the comments of its page.
COMMANDS = {
    "evidence": "benchmarks.evidence --at-once 2 --write",
    "mutants": "benchmarks.mutants --sample 22 --seed 1 --write",
    "pace": "benchmarks.limits_simulated --write",
    "million": "benchmarks.million --write",
    "figures": "benchmarks --rounds 3 --write",
    "daily": "benchmarks.daily_round --write",
    "peers": "benchmarks --peers --write",
}


# Programs that some of them call, so that none fails after hours for want of one.
NEEDED = ("spin", "cc", "strace")


def main(argv: Sequence[str] | None = None) -> int:
    """Run them, and tell how each ended; 1 = one failed, or missed a target."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", action="append", choices=COMMANDS, help="this table; repeatable")
    chosen = parser.parse_args(argv).only or COMMANDS
    if missing := [program for program in NEEDED if not shutil.which(program)]:
        parser.error(f"not found: {', '.join(missing)}; install them first")
    codes = []
    with tempfile.TemporaryDirectory(prefix="migrator-pages-") as folder:
        million = Path(folder) / "million.json"
        for name in [one for one in COMMANDS if one in chosen]:
            words = COMMANDS[name].split()
            if name == "million":
                words += ["--json", str(million)]
            elif name == "figures" and million.exists():  # else it measures a smaller journey
                words += ["--million", str(million)]
            began = time.monotonic()
            command = [sys.executable, "-m", *words]
            codes.append(subprocess.run(command, cwd=ROOT, check=False).returncode)  # noqa: S603
            minutes = (time.monotonic() - began) / 60
            print(f"{name}: ended with {codes[-1]} after {minutes:.0f} min", flush=True)
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
