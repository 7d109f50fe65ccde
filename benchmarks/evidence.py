"""
What `docs/reliability.md` claims, shown again: every proof of its first table, one after the other.

    python -m benchmarks.evidence
    python -m benchmarks.evidence --only soak --only cuts
    python -m benchmarks.evidence --write

Each proof is a command of its own, in a size that fits into minutes; its result are lines of what
it prints. The table goes to stdout, as Markdown. `full_disk` needs root, `power_cut` strace,
`model_check` SPIN and a C compiler, and `other_clients` an index of packages.
"""

import argparse
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks import machine
from benchmarks.table import write_between
from benchmarks.workspace import ROOT

PAGE = ROOT / "docs" / "reliability.md"
_MET = r"\d+ of \d+ rare situations were met"


@dataclass(frozen=True)
class Proof:
    """
    A claim, and the command that shows it.

    Args:
        claim: In words, for the table.
        words: What follows `python -m benchmarks.`.
        results: Patterns; what each of them finds in the output becomes part of the result.
    """

    claim: str
    words: str
    results: Sequence[str]


PROOFS = (
    Proof(
        "a kill at an effect of each command (here: each fortieth), and pairs of kills",
        "cuts --seed 26 --every 40 --pairs 6",
        [r"^\w+: \d+ counted, \d+ killed", r"^\d+ failed", _MET],
    ),
    Proof(
        "kills of what sends, at an effect and at random; a plain `push --resume` follows each",
        "cuts --verbs push,settle --kills 20 --seed 26",
        [r"\d+ killed", r"^push --resume right after a kill ended with: .*", r"^\d+ failed"],
    ),
    Proof(
        "kills at random times, all faults at once, sometimes two pushes at a time",
        "soak --kills 40 --contacts 400 --seed 26",
        [r".*duplicated.*", _MET],
    ),
    Proof(
        "the same while people edit leads and contacts change, merge and go; with `update`",
        "soak --kills 40 --contacts 300 --seed 27 --edits",
        [r".*duplicated.*", _MET],
    ),
    Proof(
        "the whole migration as a model, on a simulated clock: changes, merges, erasures, edits, "
        "`update`, `undo`, restored copies, late deletes",
        "model --examples 60 --seed 26",
        [
            r"[\d,]+ +(?:games|processes|kills|posts|puts|deletes|merges)$",
            "No contact was sent twice and none was lost",
            _MET,
        ],
    ),
    Proof(
        "two machines that send one journey, in every order of their steps",
        "model_check",
        [r"^\d+ variants, .*"],
    ),
    Proof(
        "a host that dies in the middle of a push and is taken over; a host with a fence that "
        "freezes, is replaced and wakes",
        "two_machines --dead 5 --frozen 18 --seed 26",
        [r"^dead host: 5 of 5.*", r"^frozen host: 18 of 18.*"],
    ),
    Proof(
        "the same without a fence, with nothing else to stop it, so that the rounds can fail",
        "two_machines --dead 0 --frozen 6 --no-fence --seed 26",
        [r"^frozen host: 6 of 6.*"],
    ),
    Proof(
        "journeys of `migrator fleet`, with kills of two of them and of itself; then two that "
        "freeze for 40 s",
        "fleet --engine fleet --seed 26",
        [r"^\d+ journeys: .*"],
    ),
    Proof(
        "from `probe` to `undo` at 17 destinations, while people and HubSpot change things; and "
        "again without the probe ([how](#with-a-probe-and-without))",
        "destinations",
        [r"^\d+ destinations: .*(?= · )"],
    ),
    Proof(
        "a `probe` killed at random, each time followed by another one",
        "probe --kills 12 --seed 26",
        [r"^\d+ kills in .*"],
    ),
    Proof(
        "a rehearsal of 20,000 contacts of which LeadGenius refuses 400, and the push after it",
        "rehearse",
        [r'(?<=")[^"]*(?:exactly|refuses|seconds|/ ledger)[^"]*": [^,\s]+'],
    ),
    Proof(
        "each intent is synced to disk before its POST leaves",
        "power_cut",
        [r"^\d+ POSTs left.*"],
    ),
    Proof("a file system that is really full", "full_disk", [r"^then: .*"]),
    Proof(
        "twenty thousand contacts with one e-mail, against a thousand",
        "one_email --contacts 20000",
        [r"^(?:stage|push).*x \d.*"],
    ),
    Proof(
        "third-party clients extract from the sandbox exactly what `stage` extracts",
        "other_clients --contacts 1000",
        [r"^the vendor's batch.*", r"^.*\d+ differences"],
    ),
)


def shown(proof: Proof) -> tuple[bool, str]:
    """Run a proof; whether it held, and its line of the table."""
    began = time.monotonic()
    done = subprocess.run(  # noqa: S603 - our own commands
        [sys.executable, "-m", *shlex.split(f"benchmarks.{proof.words}")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    minutes = (time.monotonic() - began) / 60
    found = [re.findall(one, done.stdout, re.MULTILINE) for one in proof.results]
    has_held = done.returncode == 0 and all(found)
    if has_held:
        result = " · ".join(" ".join(one.split()) for lines in found for one in lines)
    else:
        result = f"**failed**, exit code {done.returncode}"
        print(f"{proof.words}: {result}\n{done.stdout}\n{done.stderr}", file=sys.stderr)
    command = f"`python -m benchmarks.{proof.words}`"
    text = result.replace("|", "\\|").replace('"', "")
    return has_held, f"| {proof.claim} | {command} | {text} | {max(minutes, 0.1):.1f} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Run them; 1 = one of them failed."""
    args = _parser().parse_args(argv)
    chosen = [one for one in PROOFS if not args.only or one.words.split()[0] in args.only]
    lines = ["| what is proven | command | result | minutes |", "| --- | --- | --- | --- |"]
    have_held = []
    print(*lines, sep="\n", flush=True)
    with ThreadPoolExecutor(args.at_once) as pool:
        for has_held, line in pool.map(shown, chosen):
            print(line, flush=True)
            lines.append(line)
            have_held.append(has_held)
    if args.write:
        write_between(PAGE, "evidence", "\n".join([*lines, "", machine.as_markdown()]))
    return 0 if all(have_held) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = sorted({one.words.split()[0] for one in PROOFS})
    parser.add_argument("--only", action="append", choices=names, help="only those of this one")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="proofs (1)")
    parser.add_argument("--write", action="store_true", help="put the table into docs/")
    return parser


if __name__ == "__main__":
    sys.exit(main())
