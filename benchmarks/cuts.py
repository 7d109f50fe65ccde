"""
A cut at every effect: `python -m benchmarks.cuts` kills a journey wherever it touches the world.

A small journey, with every kind of fault among its contacts, runs once to count its effects;
then once for each of them, killed right there, resumed to its end, and judged. It owns the journeys
and the counting; where a victim dies, `gate` knows, and whether all is well, `judge`.
"""

import argparse
import multiprocessing
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.journey import SETTLE, Journey, Stuck
from benchmarks.judge import Broken, judge
from benchmarks.situations import met, table, unmet

VERBS = ("stage", "push", "settle", "verify", "update", "replace", "undo")
# Those that send, and how long they live.
SENDERS = {"push": 3.0, "settle": 2.5}
# What a verb does to a journey that was moved already; the rest moves one.
AFTERWARDS = ("update", "replace")
# Threads do not keep step: a run may have some effects more than the one that was counted.
MARGIN = 1.15
# The rare situations that its journeys lead to; some of them only where a command is killed.
TO_BE_MET = (
    "a create in doubt was found",
    "a create in doubt had not arrived",
    "a contact was settled twice",
    "an attempt of a process that died was settled",
    "a contact was created by a second attempt",
    "a create was refused",
    "a create was throttled",
    "a create never left",
    "a contact changed at HubSpot after it was sent",
    "a conflict",
    "an update in doubt was found",
    "an update in doubt had not arrived",
    "a lead was updated twice",
    "a delete in doubt was found",
    "a delete in doubt had not arrived",
    "a command took over from one that died",
    "a command stopped early",
    "a late create was found and kept",
    "a token was renewed in mid-flight",
    "a person's edit outlived the updates",
    "a create landed late",
    "an update landed late",
    "a delete landed late",
    "a create was saved, and answered as a failure",
    "a create was saved, and its answer lost",
    "a page of leads was cut short",
    "a page of leads failed",
    "HubSpot failed",
)


@dataclass(frozen=True)
class Cut:
    """
    Where to kill: the verb, the effect, and the effect of the recovery; 0 = there not.

    Args:
        seconds: Kill the verb after this time, instead of at an effect.
    """

    verb: str
    first: int
    second: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        where = f"after {self.seconds:.2f} s" if self.seconds else f"at {self.first}"
        return f"{self.verb} {where}" + (f", then at {self.second}" if self.second else "")


@dataclass(frozen=True)
class Result:
    """
    What came of a cut.

    Args:
        where: The kinds of effect at which it was killed; fewer than asked = never came so far.
        effects: How many effects the verb had.
        resumed: The exit code of the plain `push --resume` right after the kills; None = none ran.
        fault: In words; None = all is well.
        situations: The rare situations that the journey met.
    """

    cut: Cut
    where: Sequence[str]
    effects: int
    resumed: int | None
    fault: str | None
    situations: Mapping[str, int]

    @property
    def is_killed(self) -> bool:
        """Whether it died as often as it was to."""
        return len(self.where) == 1 + bool(self.cut.second)


def run(cut: Cut) -> Result:
    """Play one journey, killed as told, to its end, and judge it."""
    quirks = ["replacing_update"] if cut.verb == "replace" else []
    with (
        tempfile.TemporaryDirectory(prefix="cuts-") as folder,
        Journey(Path(folder), quirks) as journey,
    ):
        where: list[str] = []
        effects, resumed = 0, None
        try:
            _prepare(journey, cut.verb)
            for number, seconds in ((cut.first, cut.seconds), (cut.second, 0.0)):
                if number or not effects:
                    words = _words(cut.verb, again=bool(effects))
                    victim = journey.play(words, cut=number, seconds=seconds)
                    effects = effects or len(victim.names)
                    where += ["nothing yet", *victim.names][-1:] if victim.is_cut else []
            if cut.verb in SENDERS:
                journey.play("push --resume")
                resumed = journey.code
            if cut.verb in AFTERWARDS:
                journey.end_updates()
            elif cut.verb == "undo":
                journey.end_deletes()
            else:
                journey.end()
            judge(journey.sandbox, journey.ledger, SETTLE)
            early = journey.gate.unannounced
            fault = f"writes that left before their intent: {early}" if early else None
        except (Broken, Stuck) as error:
            fault = f"{type(error).__name__}: {error}"
        if fault is not None:
            kept = Path(tempfile.mkdtemp(prefix="cut-kept-"))
            shutil.copytree(folder, kept, dirs_exist_ok=True)
            fault += f" (kept in {kept})"
        situations = met(journey.sandbox, journey.ledger)
    return Result(cut, where, effects, resumed, fault, situations)


def _prepare(journey: Journey, verb: str) -> None:
    """Bring the journey to where the verb begins."""
    if verb == "stage":
        journey.trouble_hubspot()
    elif verb in AFTERWARDS:
        journey.play_to_changes()
    elif verb == "undo":
        journey.play_to_deletes()
    else:
        journey.must("stage")
    if verb == "settle":
        journey.play_into_doubt()
    if verb == "verify":
        journey.end(but_verify=True)


def _words(verb: str, *, again: bool) -> str:
    if verb == "push":
        return "push --resume" if again else "push"
    words = {
        "settle": "push --resume",
        "undo": "undo --all --yes",
        **dict.fromkeys(AFTERWARDS, "update --yes"),
    }
    return words.get(verb, verb)


def count(verb: str) -> int:
    """How many effects the verb has when nobody kills it."""
    result = run(Cut(verb, 0))
    if result.fault is not None:
        raise SystemExit(f"{verb} goes wrong when nobody kills it: {result.fault}")
    return result.effects


def singles(verb: str, effects: int, every: int) -> list[Cut]:
    """A cut at every so-manieth effect of the verb."""
    return [Cut(verb, number) for number in range(1, int(effects * MARGIN) + 1, every)]


def pairs(effects: dict[str, int], how_many: int, seed: int) -> list[Cut]:
    """Cuts of a verb and of its recovery, drawn evenly."""
    dice = random.Random(seed)
    verbs = dice.choices(list(effects), weights=list(effects.values()), k=how_many)
    return [
        Cut(verb, dice.randint(1, effects[verb]), dice.randint(1, effects[verb])) for verb in verbs
    ]


def kills(effects: dict[str, int], how_many: int, seed: int) -> list[Cut]:
    """Cuts of what sends, at an effect and after any time in turn."""
    dice = random.Random(seed)
    verbs = dice.choices(list(SENDERS), k=how_many)
    return [
        Cut(verb, 0, seconds=dice.uniform(0.01, SENDERS[verb]))
        if number % 2
        else Cut(verb, dice.randint(1, effects[verb]))
        for number, verb in enumerate(verbs)
    ]


def results(cuts: Sequence[Cut], jobs: int) -> Iterator[Result]:
    """The results of all cuts, in order, several journeys at a time."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn) as pool:
        yield from pool.map(run, cuts)


def main() -> int:
    """Cut everywhere, print a line for each verb and one for the pairs; 1 = something broke."""
    args = _parser().parse_args()
    effects = {verb: count(verb) for verb in args.verbs.split(",")}
    print(f"seed {args.seed}; effects counted: {effects}", flush=True)
    batches = {verb: singles(verb, number, args.every) for verb, number in effects.items()}
    if args.kills:
        batches = {"kills": kills(effects, args.kills, args.seed)}
    else:
        batches["pairs"] = pairs(effects, args.pairs, args.seed)
    failed, situations = 0, Counter[str]()
    for name, cuts in batches.items():
        killed, places, codes = 0, Counter[str](), Counter[str]()
        for result in results(cuts, args.jobs):
            killed += result.is_killed
            places.update(result.where)
            situations.update(result.situations)
            codes[str(result.resumed)] += result.is_killed
            if result.fault is not None:
                failed += 1
                print(f"FAILED {result.cut}: {result.fault}", file=sys.stderr, flush=True)
                if args.first_fault:
                    return 1
        planned = effects.get(name, len(cuts))
        print(f"{name}: {planned} counted, {killed} killed · {_listed(places)}", flush=True)
        if args.kills:
            print(f"push --resume right after a kill ended with: {_listed(codes)}", flush=True)
    print(f"{failed} failed", *table(situations), sep="\n", flush=True)
    is_whole = args.verbs == ",".join(VERBS) and args.every == 1 and not args.kills
    missing = unmet(situations, TO_BE_MET) if is_whole else []
    if missing:
        print(f"Never met in these cuts: {'; '.join(missing)}", file=sys.stderr)
    return 1 if failed or missing else 0


def _listed(places: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(places.items()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--verbs", default=",".join(VERBS), help="comma-separated")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="at each N-th effect")
    parser.add_argument("--pairs", type=int, default=150, help="pairs of cuts to draw")
    parser.add_argument(
        "--kills",
        type=int,
        default=0,
        help="only so many kills of what sends, at an effect and at a random time in turn",
    )
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10**6), help="of what is drawn"
    )
    parser.add_argument("--first-fault", action="store_true", help="stop at the first one")
    parser.add_argument("--jobs", type=int, default=4, help="journeys at a time")
    return parser


if __name__ == "__main__":
    sys.exit(main())
