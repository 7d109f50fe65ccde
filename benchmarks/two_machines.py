"""
A host dies, or freezes, in the middle of a push, and another one takes its journey over.

    python -m benchmarks.two_machines --dead 20 --frozen 200
    python -m benchmarks.two_machines --dead 0 --frozen 20 --no-fence

Each round pushes from one folder, makes a replica of the ledger at a random moment, as Litestream
would have it somewhere else, and kills the push or freezes it with SIGSTOP: at a random moment, or
at a named place before its last look at the fence (`freezing`). The second host, which has another
folder, state folder and machine id, then resumes with the replica. Without `--take-over` or a fence
it has to leave with 5. A frozen host is woken while the other one sends, or once it has ended. The
sandbox's own record is the judge: no contact lost, none twice. A round in which the freeze found
threads between their last look and the last byte of a send is counted apart, and another one is
played: each of them may send one contact twice, and that is the limit.

In every second round with a fence only the fence can stop the frozen host: the age of an intent and
the rest before a look are made endless there. Without a fence they are so in each round, and with
nothing to stop it the frozen host has to send contacts twice: otherwise the rounds prove nothing.
"""

import argparse
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.freezing import (
    PLACES,
    WITHOUT_A_FENCE,
    stopping_at,
    threads_behind,
    wait_until_stopped,
    watched,
)
from benchmarks.judge import Broken, posts
from migrator.errors import ExitCode
from migrator.sandbox import Sandbox
from tests.support.hostile_process import deceived
from tests.support.postgres import server
from tests.support.processes import LONGEST_SECONDS, Operator, Process, ended, eventually, kill

CONTACTS = 60
SETTLE = 1.0
OPTIONS = f"--rate 1800 --workers 4 --settle {SETTLE:g} --timeout 5 --canary 0"
PUSH, RESUME = f"push {OPTIONS}", f"push --resume {OPTIONS}"
MACHINE = "from migrator.journey import place\nplace.machine_id = lambda: {!r}"
# Ten seconds of a lease, for each round, would prove nothing more.
SHORT_LEASE = """
from migrator.journey.fence import Fence
Fence.hold.__func__.__kwdefaults__['lease_seconds'] = 1.0"""
ONLY_THE_FENCE = """
from migrator.push import looks, workers
workers.SHORTEST_LIFE_SECONDS = looks.SHORTEST_REST_SECONDS = 3600"""
AT_RANDOM = "at a random moment"
# It had ended before the other one was let in; or the fence, or a foreign lead, stopped it.
ENDS_OF_A_FROZEN_HOST = (ExitCode.DONE, ExitCode.BUSY)


@dataclass(frozen=True)
class Freeze:
    """
    How the first host freezes.

    Args:
        place: One of `PLACES`, or `AT_RANDOM`.
        fence: The URL of its PostgreSQL; "" = none.
        is_alone: Whether nothing but the fence can stop it.
        is_met: Whether it is woken while the second host sends, not after that.
    """

    place: str
    fence: str
    is_alone: bool
    is_met: bool

    @classmethod
    def draw(cls, number: int, chance: random.Random, fence: str) -> "Freeze":
        """The places take turns, the rest is drawn."""
        places = [*(PLACES if fence else WITHOUT_A_FENCE), AT_RANDOM]
        is_alone = not fence or chance.random() < 0.5
        return cls(places[number % len(places)], fence, is_alone, chance.random() < 0.5)


def main(argv: Sequence[str] | None = None) -> int:
    """Play the rounds; 0 = no contact was lost or sent twice or, without a fence, some were."""
    args = _parser().parse_args(argv)
    try:
        _play_dead(args.dead, random.Random(args.seed))
        with server() if args.has_fence and args.frozen else nullcontext("") as fence:
            _play_frozen(args.frozen, random.Random(args.seed), fence)
    except Broken as error:
        print(f"seed {args.seed}: {error}", file=sys.stderr)
        return 1
    return 0


def _play_dead(rounds: int, chance: random.Random) -> None:
    for number in range(rounds):
        with _round(chance) as (first, second):
            _dead(first, second, chance)
            _require_once(second)
        print(f"dead host: {number + 1} of {rounds} rounds, 0 lost, 0 twice", flush=True)


def _play_frozen(rounds: int, chance: random.Random, fence: str) -> None:
    figures = Counter[str]()
    number = doubled = 0
    while number < rounds:
        freeze = Freeze.draw(number, chance, fence)
        with _round(chance) as (first, second):
            behind, code = _frozen(first, second, chance, freeze)
            if fence:
                _require_once(second, but=behind)
            twice = len(_twice(second.sandbox))
        if fence and behind:
            print(f"  behind the last look: {behind} threads, {twice} contacts twice", flush=True)
            continue
        number += 1
        doubled += twice > 0
        figures.update((freeze.place, f"woken, it ended with {code}"))
        told = "0 lost, 0 twice" if fence else f"contacts twice in {doubled}"
        print(f"frozen host: {number} of {rounds} rounds, {told}", flush=True)
    if rounds:
        print(f"  {dict(figures)}")
    if rounds and not fence and not doubled:
        raise Broken("without a fence nothing was sent twice, so the rounds prove nothing")


@contextmanager
def _round(chance: random.Random) -> Iterator[tuple[Operator, Operator]]:
    """Two hosts, and a sandbox; the first one has staged."""
    with (
        tempfile.TemporaryDirectory(prefix="two-machines-") as place,
        Sandbox(contacts=CONTACTS, latency_seconds=0.02, seed=chance.randrange(1_000)) as sandbox,
    ):
        hosts = [_host(Path(place, name), sandbox) for name in ("first", "second")]
        _expect(hosts[0].run("stage -q", **_state(hosts[0])).code, 0, "stage")
        yield hosts[0], hosts[1]


def _host(folder: Path, sandbox: Sandbox) -> Operator:
    folder.mkdir()
    return Operator(folder, sandbox, deceived(MACHINE.format(folder.name)))


def _with(host: Operator, setup: str) -> Operator:
    """The host, in whose processes this happens too."""
    return replace(host, command=deceived(f"{MACHINE.format(host.folder.name)}\n{setup}"))


def _dead(first: Operator, second: Operator, chance: random.Random) -> None:
    push = first.start(PUSH, **_state(first))
    time.sleep(chance.uniform(0.3, 2.5))
    _replicate(first.ledger, second.ledger)
    time.sleep(chance.uniform(0.0, 0.2))  # what is sent now, the replica does not know
    kill(push)
    if _intents(second.ledger):
        _expect(second.run(RESUME, **_state(second)).code, ExitCode.LEDGER, "not taken over")
    _expect(second.run(f"{RESUME} --take-over", **_state(second)).code, 0, "taken over")


def _frozen(
    first: Operator, second: Operator, chance: random.Random, freeze: Freeze
) -> tuple[int, int]:
    """How many threads froze behind their last look, and the exit code of the woken host."""
    window = first.folder / "threads"
    setup = SHORT_LEASE + (ONLY_THE_FENCE if freeze.is_alone else "")
    if freeze.place != AT_RANDOM:
        setup += stopping_at(freeze.place, chance.randint(2, 30))
    setup += watched(window)
    more = {"MIGRATOR_FENCE": freeze.fence} if freeze.fence else {}
    push = _with(first, setup).start(PUSH, **_state(first), **more)
    if freeze.place == AT_RANDOM:
        time.sleep(chance.uniform(0.5, 2.5))
        _replicate(first.ledger, second.ledger)
        push.send_signal(signal.SIGSTOP)
    is_frozen = wait_until_stopped(push)
    behind = threads_behind(window) if is_frozen else 0
    if freeze.place != AT_RANDOM:
        _replicate(first.ledger, second.ledger)
    _take_over(_with(second, SHORT_LEASE), push, freeze, more)
    push.send_signal(signal.SIGCONT)
    if (code := ended(push).code) not in ENDS_OF_A_FROZEN_HOST:
        raise Broken(f"{freeze}: the frozen host's push ended with {code}")
    return behind, code


def _take_over(second: Operator, push: Process, freeze: Freeze, more: dict[str, str]) -> None:
    """Let the second host work, and wake the first one meanwhile if it is to meet it."""
    words = RESUME if freeze.fence else f"{RESUME} --take-over"
    until = time.monotonic() + LONGEST_SECONDS
    code: int = ExitCode.BUSY
    while code == ExitCode.BUSY:  # until the lease of the frozen host is over
        if time.monotonic() > until:
            raise Broken(f"{freeze}: the fence never came free")
        sent = len(posts(second.sandbox))
        work = second.start(words, **_state(second), **more)
        if freeze.is_met and _sends_more(second, sent, work):
            push.send_signal(signal.SIGCONT)
        code = ended(work).code
    _expect(code, 0, f"{freeze}: the second host's push")


def _sends_more(host: Operator, sent: int, work: Process) -> bool:
    """Wait until a process sends or has ended; whether it sends."""
    eventually(lambda: len(posts(host.sandbox)) > sent or work.poll() is not None, "a send")
    return work.poll() is None


def _state(host: Operator) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(host.folder / "state")}


def _replicate(ledger: Path, into: Path) -> None:
    with closing(sqlite3.connect(ledger)) as source, closing(sqlite3.connect(into)) as target:
        source.backup(target)
    into.chmod(0o600)


def _intents(ledger: Path) -> int:
    with closing(sqlite3.connect(ledger)) as replica:
        return int(replica.execute("SELECT intents FROM ledger").fetchone()[0])


def _twice(sandbox: Sandbox) -> list[str]:
    leads = Counter(one["email"] for one in sandbox.held)
    return sorted(email for email, number in leads.items() if number > 1)


def _require_once(host: Operator, but: int = 0) -> None:
    twice, verdict = _twice(host.sandbox), host.sandbox.verdict()
    if len(twice) > but or verdict.lost:
        raise Broken(f"{len(twice)} contacts twice ({twice[:3]}), {len(verdict.lost)} lost")
    code = host.run(f"verify --settle {SETTLE:g}", **_state(host)).code
    _expect(code, ExitCode.NEEDS_ATTENTION if twice else 0, "verify")


def _expect(code: int, wanted: int, what: str) -> None:
    if code != wanted:
        raise Broken(f"{what} ended with {code}, not {wanted}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.two_machines")
    parser.add_argument("--dead", type=int, default=20, help="rounds of a host that dies")
    parser.add_argument("--frozen", type=int, default=20, help="rounds of a host that freezes")
    parser.add_argument(
        "--no-fence",
        action="store_false",
        dest="has_fence",
        help="the frozen hosts have no fence, and have to send contacts twice",
    )
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    return parser


if __name__ == "__main__":
    sys.exit(main())
