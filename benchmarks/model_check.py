"""
Checks the model of the sending protocol with SPIN, with all its rules and with each one missing.

    python -m benchmarks.model_check
    python -m benchmarks.model_check --trail fence     prints the counterexample, step by step

It needs `spin` and a C compiler. `docs/model/README.md` describes the model.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.measuring import Failed
from benchmarks.workspace import ROOT

MODEL = ROOT / "docs" / "model" / "one_sender.pml"
NEEDED = ("spin", "cc")

PROVED, TWO_LEADS, LOST = "proved", "two leads", "no lead"
# SPIN's words for a violation -> the result. Any other violation is reported in SPIN's words.
_VIOLATIONS = {
    "assertion violated (leads<=1)": TWO_LEADS,
    "assertion violated (leads==1)": LOST,
}


class Variant(NamedTuple):
    """One run of the model: its preprocessor options, and the result that it must have."""

    title: str
    expected: str
    options: tuple[str, ...]


VARIANTS = {
    "safe": Variant("all rules, any number of faults: never two leads", PROVED, ()),
    "ends": Variant("all rules, up to 3 faults: ends with one lead", PROVED, ("-DFAULTS=3",)),
    "settle": Variant("settle is shorter than a request can take", TWO_LEADS, ("-DSETTLE=1",)),
} | {
    rule.lower().replace("_", "-"): Variant(title, expected, (f"-DWITHOUT={rule}", *more))
    for rule, title, expected, *more in (
        ("FENCE", "there is no fence, only the looks of a take-over", TWO_LEADS),
        ("QUESTION", "the fence is not asked before a send", TWO_LEADS),
        ("ONE_STEP", "time passes between asking and sending", TWO_LEADS),
        ("EPOCH", "the epoch is not compared at a restart", TWO_LEADS),
        ("LOOK_EPOCH", "a look counts although the fence was lost meanwhile", TWO_LEADS),
        ("LOOKS", "a take-over looks once, without a wait", TWO_LEADS),
        ("OWED_LOOKS", "looks that a killed take-over owed are forgotten", TWO_LEADS),
        ("INTENT", "the intent is committed after the send", TWO_LEADS),
        ("DOUBT", "a send without an answer counts as created", LOST, "-DFAULTS=1"),
    )
}


class Checked(NamedTuple):
    """What SPIN found: `PROVED` or a violation; how many states it stored; seconds, all told."""

    result: str
    states: int
    seconds: float


def main(argv: Sequence[str] | None = None) -> int:
    """Check every variant, or print a trail; 1 = a result differs from what is expected."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model_check", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--trail", choices=[*VARIANTS], help="print the counterexample of this one")
    args = parser.parse_args(argv)
    if missing := [program for program in NEEDED if not shutil.which(program)]:
        print(f"model_check: not found: {', '.join(missing)}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="migrator-model-") as name:
        if args.trail:
            return _print_trail(VARIANTS[args.trail], Path(name))
        return _print_results(Path(name))


def check(variant: Variant, folder: Path, model: Path = MODEL) -> Checked:
    """
    Generate the verifier of a variant in `folder`, compile it and run it.

    A breadth-first search finds a short counterexample. Where faults are limited, a depth-first
    search looks for runs without an end, too: no statement is marked as progress, so each would
    be a "non-progress cycle".

    Raises:
        Failed: SPIN or the compiler rejected the model, or the search was not completed.
    """
    began = time.monotonic()
    shutil.copy(model, folder / MODEL.name)
    is_limited = any(option.startswith("-DFAULTS=") for option in variant.options)
    search, run = (["-DNP"], ["-l", "-m100000"]) if is_limited else (["-DBFS", "-DSAFETY"], [])
    _run(folder, "spin", "-a", *variant.options, MODEL.name)
    # Without the partial order reduction: the state space is small, and nothing rests on it.
    _run(folder, "cc", "-w", "-DNOREDUCE", *search, "-o", "pan", "pan.c")
    printed = _run(folder, "./pan", "-n", "-w20", *run)
    states = re.search(r"(\S+) states, stored", printed)
    if not states:
        raise Failed(printed)
    return Checked(_result(printed), int(float(states[1])), time.monotonic() - began)


def _result(printed: str) -> str:
    violation = re.search(r"^pan:\d+: (.*?)(?: \(at depth \d+\))?$", printed, re.MULTILINE)
    if violation:
        return _VIOLATIONS.get(violation[1], violation[1])
    if "errors: 0" not in printed or re.search("not completed|depth too small", printed):
        raise Failed(printed)
    return PROVED


def _print_results(folder: Path) -> int:
    differing = 0
    print(f"{'variant':11} {'the model':52} {'expected':10} {'found':10} {'states':>9} {'s':>5}")
    for name, variant in VARIANTS.items():
        result, states, seconds = check(variant, folder)
        differing += result != variant.expected
        mark = "" if result == variant.expected else "   DIFFERS"
        print(
            f"{name:11} {variant.title:52} {variant.expected:10} {result:10}"
            f" {states:9,} {seconds:5.1f}{mark}",
            flush=True,
        )
    print(f"{len(VARIANTS)} variants, {differing} not as expected")
    return 1 if differing else 0


def _print_trail(variant: Variant, folder: Path) -> int:
    result = check(variant, folder).result
    print(f"{variant.title}: {result}")
    if result != PROVED:
        replay = _run(folder, "spin", "-t", "-T", "-B", *variant.options, MODEL.name)
        print(*re.findall(r"^(?:machine|a |the ).*$", replay, re.MULTILINE), sep="\n")
    return 0 if result == variant.expected else 1


def _run(folder: Path, *command: str) -> str:
    """Run a command in `folder`; what it printed. A violation that `pan` finds is no failure."""
    ended = subprocess.run(  # noqa: S603 - fixed programs and options
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if ended.returncode:
        raise Failed(ended.stdout)
    return ended.stdout


if __name__ == "__main__":
    sys.exit(main())
