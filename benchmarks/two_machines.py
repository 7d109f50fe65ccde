"""
A host dies, or freezes, in the middle of a push, and another one takes its journey over.

    python -m benchmarks.two_machines --dead 20 --frozen 20

Each round pushes from one folder, makes a replica of the ledger at a random moment, as Litestream
would have it somewhere else, and kills the push or stops it with SIGSTOP. Another folder with
another state folder, the second host, then resumes with the replica: without `--take-over` it has
to leave with 5. A frozen host has a fence; it is woken once the other one has ended, and has to
leave with 6. The sandbox's own record is the judge: no contact lost, none twice.
"""

import argparse
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path

from benchmarks.judge import Broken
from migrator.errors import ExitCode
from migrator.sandbox import Sandbox
from tests.support.hostile_process import deceived
from tests.support.postgres import server
from tests.support.processes import LONGEST_SECONDS, Operator, ended, kill

CONTACTS = 60
SETTLE = 1.0
LEASE_SECONDS = 1.0
OPTIONS = f"--rate 1800 --workers 4 --settle {SETTLE:g} --timeout 5 --canary 0"
PUSH, RESUME = f"push {OPTIONS}", f"push --resume {OPTIONS}"
# Ten seconds of a lease, for each round, would prove nothing more.
SHORT_LEASE = (
    "from migrator.journey.fence import Fence\n"
    f"Fence.hold.__func__.__kwdefaults__['lease_seconds'] = {LEASE_SECONDS}"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Play the rounds; 0 = in none of them was a contact lost or sent twice."""
    args = _parser().parse_args(argv)
    chance = random.Random(args.seed)
    try:
        for number in range(args.dead):
            _round(chance, _dead)
            print(f"dead host: {number + 1} of {args.dead} rounds, 0 lost, 0 twice", flush=True)
        with server() if args.frozen else nullcontext("") as fence:
            for number in range(args.frozen):
                _round(chance, lambda first, second, chance: _frozen(first, second, chance, fence))
                told = f"{number + 1} of {args.frozen} rounds, 0 lost, 0 twice"
                print(f"frozen host with a fence: {told}", flush=True)
    except Broken as error:
        print(f"seed {args.seed}: {error}", file=sys.stderr)
        return 1
    return 0


def _round(
    chance: random.Random, play: Callable[[Operator, Operator, random.Random], None]
) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="two-machines-") as place,
        Sandbox(contacts=CONTACTS, latency_seconds=0.02, seed=chance.randrange(1_000)) as sandbox,
    ):
        first, second = (Operator(Path(place, name), sandbox) for name in ("first", "second"))
        for host in (first, second):
            host.folder.mkdir()
        _expect(first.run("stage -q", **_state(first)).code, 0, "stage")
        play(first, second, chance)
        _judge(sandbox, second)


def _dead(first: Operator, second: Operator, chance: random.Random) -> None:
    push = first.start(PUSH, **_state(first))
    time.sleep(chance.uniform(0.3, 2.5))
    _replicate(first.ledger, second.ledger)
    time.sleep(chance.uniform(0.0, 0.2))  # what is sent now, the replica does not know
    kill(push)
    if _intents(second.ledger):
        _expect(second.run(RESUME, **_state(second)).code, ExitCode.LEDGER, "not taken over")
    _expect(second.run(f"{RESUME} --take-over", **_state(second)).code, 0, "taken over")


def _frozen(first: Operator, second: Operator, chance: random.Random, fence: str) -> None:
    first, second = (replace(one, command=deceived(SHORT_LEASE)) for one in (first, second))
    push = first.start(PUSH, **_state(first), MIGRATOR_FENCE=fence)
    time.sleep(chance.uniform(0.5, 2.5))
    _replicate(first.ledger, second.ledger)
    push.send_signal(signal.SIGSTOP)
    until = time.monotonic() + LONGEST_SECONDS
    code: int = ExitCode.BUSY
    while code == ExitCode.BUSY:  # until the lease of the frozen host is over
        if time.monotonic() > until:
            raise Broken("the fence never came free")
        code = second.run(RESUME, **_state(second), MIGRATOR_FENCE=fence).code
    push.send_signal(signal.SIGCONT)
    _expect(code, 0, "the second host's push")
    if (code := ended(push).code) not in (ExitCode.DONE, ExitCode.BUSY, ExitCode.STOPPED_EARLY):
        raise Broken(f"the frozen host's push ended with {code}")


def _state(host: Operator) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(host.folder / "state")}


def _replicate(ledger: Path, into: Path) -> None:
    with closing(sqlite3.connect(ledger)) as source, closing(sqlite3.connect(into)) as target:
        source.backup(target)
    into.chmod(0o600)


def _intents(ledger: Path) -> int:
    with closing(sqlite3.connect(ledger)) as replica:
        return int(replica.execute("SELECT intents FROM ledger").fetchone()[0])


def _judge(sandbox: Sandbox, host: Operator) -> None:
    leads = Counter(one["email"] for one in sandbox.held)
    twice = sorted(email for email, number in leads.items() if number > 1)
    verdict = sandbox.verdict()
    if twice or verdict.lost:
        raise Broken(f"{len(twice)} contacts twice ({twice[:3]}), {verdict.lost} lost")
    code = host.run(f"verify --settle {SETTLE:g}", **_state(host)).code
    _expect(code, 0, "verify")


def _expect(code: int, wanted: int, what: str) -> None:
    if code != wanted:
        raise Broken(f"{what} ended with {code}, not {wanted}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.two_machines")
    parser.add_argument("--dead", type=int, default=20, help="rounds of a host that dies")
    parser.add_argument("--frozen", type=int, default=20, help="rounds of a host that freezes")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    return parser


if __name__ == "__main__":
    sys.exit(main())
