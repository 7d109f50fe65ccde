"""
Probes that are killed at random moments: the next one has to leave nothing behind.

    python -m benchmarks.probe --kills 50

Each round starts `migrator probe` against a sandbox that commits late what was given up, kills it
with SIGKILL after a random time, and lets another probe run to its end. The sandbox's own record is
the judge: no client and no lead of a probe is left, and no request wrote to a client that no
request created. A client of the user's that looks like a probe's is there all the time.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.judge import Broken
from migrator.sandbox import Sandbox
from tests.support.processes import Operator, ended, kill

LATE_SECONDS = 1.0
WAIT_SECONDS = 3.0
# How long a probe takes, so that kills are spread over all of it, the removal too.
PROBE_SECONDS = 7.0
PROBE = "probe --yes --timeout 5"
# The pace follows the headers, so a probe of this limit does not wait for its turn.
FAST = 100_000
USERS_NAME, USERS_EMAIL = "migrator probe 2026-01-01", "ada@example.com"
_USERS_CLIENTS = {USERS_NAME, "Historic Contacts"}


def users_client(sandbox: Sandbox) -> str:
    """A client of the user's that looks like a probe's, with a lead; its client_id."""
    client = sandbox.create_client(USERS_NAME, description="our own tests of the migrator probe")
    lead = {"firstName": "Ada", "lastName": "Probe", "email": USERS_EMAIL}
    sandbox.add_lead({**lead, "client_id": client})
    return client


def left_by_probes(sandbox: Sandbox) -> list[str]:
    """The ids of clients and leads that are left, but for the user's."""
    users = {one["client_id"] for one in sandbox.clients if one["clientName"] in _USERS_CLIENTS}
    clients = [one["client_id"] for one in sandbox.clients if one["client_id"] not in users]
    alive = [lead for lead in sandbox.held if not lead.get("deletedAt")]
    return clients + [str(lead["id"]) for lead in alive if lead["client_id"] not in users]


def is_users_own_there(sandbox: Sandbox) -> bool:
    """Whether the user's clients and their lead are as they were, and no request wrote there."""
    names = {one["clientName"] for one in sandbox.clients}
    emails = [lead["email"] for lead in sandbox.held if lead.get("email") == USERS_EMAIL]
    return names >= _USERS_CLIENTS and emails == [USERS_EMAIL] and sandbox.foreign_writes == []


def kill_and_probe(operator: Operator, seconds: float) -> str:
    """Kill a probe after so many seconds, and run another one; what the killed one left."""
    first = operator.start(f"{PROBE} --wait {WAIT_SECONDS}")
    time.sleep(seconds)
    kill(first)
    left = left_by_probes(operator.sandbox)
    second = ended(operator.start(f"{PROBE} --wait {WAIT_SECONDS}"))
    if second.code != 0:
        raise Broken(f"killed after {seconds:.2f} s, then: {second}")
    # What was under way at the end would land by now.
    time.sleep(LATE_SECONDS)
    if still := left_by_probes(operator.sandbox):
        raise Broken(f"killed after {seconds:.2f} s, and left: {still}")
    if not is_users_own_there(operator.sandbox):
        raise Broken(f"killed after {seconds:.2f} s: the user's own was touched")
    return f"{len(left)} things left, then none"


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(words)
    random_seconds = random.Random(args.seed)
    began, met = time.monotonic(), 0
    with (
        tempfile.TemporaryDirectory() as folder,
        Sandbox(contacts=0, rate_limit=FAST, quirks=[f"late_commit={LATE_SECONDS}"]) as sandbox,
    ):
        users_client(sandbox)
        operator = Operator(Path(folder), sandbox)
        for number in range(1, args.kills + 1):
            seconds = random_seconds.uniform(0, PROBE_SECONDS)
            left = kill_and_probe(operator, seconds)
            met += not left.startswith("0")
            print(f"{number}: killed after {seconds:.2f} s: {left}", flush=True)
    minutes = (time.monotonic() - began) / 60
    print(f"{args.kills} kills in {minutes:.1f} minutes: {met} left something, and none stayed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
