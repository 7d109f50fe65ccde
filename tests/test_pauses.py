"""
A process that is stopped for longer than `settle` and goes on: a closed lid, a paused container.

It holds its lock all the while, so nobody settles its doubts or sends in its place; and what it
waits for counts from when it is awake to see it.
"""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.judge import judge, posts
from migrator.errors import LedgerBusy
from tests.processes import Operator, ended, eventually, kill

SETTLE = 0.5
WORKERS = 4
OPTIONS = f"--rate max --workers {WORKERS} --settle {SETTLE:g} --timeout 5 --canary 0"
PUSH = f"push {OPTIONS}"
RESUME = f"push --resume {OPTIONS}"


@pytest.fixture
def operator(sandbox, tmp_path):
    operator = Operator(tmp_path, sandbox(contacts=24, slow_seconds=0.2, late_seconds=0.2))
    assert operator.run("stage -q").code == 0
    return operator


@contextmanager
def stopped(push: subprocess.Popen[str], operator: Operator) -> Iterator[None]:
    """Stop it for longer than `settle`, and let another one try meanwhile."""
    push.send_signal(signal.SIGSTOP)
    until = time.monotonic() + 2 * SETTLE
    try:
        second = operator.run(RESUME)
        assert second.code == LedgerBusy.exit_code
        assert f"Another process works on the ledger {operator.ledger}: `migrator push`, " in (
            second.err
        )
        assert f"process {push.pid}" in second.err
        assert operator.run("report").code == 0
        yield
        eventually(lambda: time.monotonic() > until, "more than settle")
    finally:
        push.send_signal(signal.SIGCONT)


def arrived(operator: Operator, misfortune: str) -> int:
    return sum(one.misfortune == misfortune for one in operator.sandbox.received)


def open_attempts(operator: Operator) -> int:
    return int(operator.ask("SELECT count(*) FROM attempt WHERE outcome IS NULL")[0][0])


def assert_ends_well(push: subprocess.Popen[str], operator: Operator) -> None:
    result = ended(push)
    assert result.code == 0, result
    judge(operator.sandbox, operator.ledger, SETTLE)


def test_between_the_commit_and_the_send(operator):
    # The port is open and nobody answers there: it can go no further than to connect.
    operator.sandbox.stop()
