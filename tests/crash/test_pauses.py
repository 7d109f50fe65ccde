"""
A process that is stopped for longer than `settle` and goes on: a closed lid, a paused container.

It holds its lock all the while, so nobody settles its doubts or sends in its place; and what it
waits for counts from when it is awake to see it.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.judge import judge, posts
from migrator.errors import LedgerBusy
from tests.support.processes import Gate, Operator, Process, ended, eventually

SETTLE = 0.5
WORKERS = 4
OPTIONS = f"--rate max --workers {WORKERS} --settle {SETTLE:g} --timeout 5 --canary 0"
PUSH = f"push {OPTIONS}"
RESUME = f"push --resume {OPTIONS}"


@pytest.fixture
def operator(sandbox, tmp_path):
    operator = Operator(tmp_path, sandbox(contacts=24, slow_seconds=0.2, late_seconds=0.2))
    operator.stage()
    return operator


@contextmanager
def stopped(push: Process, operator: Operator) -> Iterator[None]:
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
        yield
        eventually(lambda: time.monotonic() > until, "more than settle")
    finally:
        push.send_signal(signal.SIGCONT)


def assert_ends_well(push: Process, operator: Operator) -> None:
    result = ended(push)
    assert result.code == 0, result
    judge(operator.sandbox, operator.ledger, SETTLE)


def open_attempts(operator: Operator, over: str = "") -> int:
    rows = operator.ask(f"SELECT count(*) FROM attempt WHERE outcome IS NULL {over}")
    return int(rows[0][0])


def test_between_the_commit_of_the_intent_and_the_send(operator):
    # A declined token created nothing: what follows with a new one is the send of this intent.
    operator.sandbox.fault("expire_token")
    gate = Gate(operator, "auth_error", since=lambda: bool(posts(operator.sandbox)))
    push = operator.start(PUSH.replace(f"--workers {WORKERS}", "--workers 1"))
    gate.wait()
    with stopped(push, operator):
        assert open_attempts(operator) >= 1
        assert operator.sandbox.held == []
        gate.open()
    assert_ends_well(push, operator)


def test_between_the_send_and_its_answer(operator):
    operator.sandbox.fault("slow", times=WORKERS)
    push = operator.start(PUSH)
    operator.sandbox.wait_until(lambda: len(operator.sandbox.held) == WORKERS, timeout=30)
    with stopped(push, operator):
        assert open_attempts(operator) == WORKERS
    assert_ends_well(push, operator)
    assert operator.ask("SELECT DISTINCT outcome FROM attempt") == [("created",)]


def test_in_the_look_before_the_first_post(operator):
    gate = Gate(operator, "list_error")
    push = operator.start(PUSH)
    gate.wait()
    with stopped(push, operator):
        gate.open()
    assert_ends_well(push, operator)


@pytest.mark.parametrize("fault", ["hang_after_saving", "hang_before_saving", "save_late"])
def test_while_it_waits_for_settle(operator, fault):
    operator.sandbox.fault(fault, times=WORKERS)
    push = operator.start(PUSH.replace("--timeout 5", "--timeout 0.3"))
    over = "AND ended_ms IS NOT NULL"
    eventually(lambda: push.poll() is None and open_attempts(operator, over) > 0, "a doubt")
    with stopped(push, operator):
        pass
    assert_ends_well(push, operator)


def test_in_the_listing_that_settles(operator):
    operator.sandbox.fault("hang_after_saving", times=WORKERS)
    gate = Gate(operator, "list_error", since=lambda: len(posts(operator.sandbox)) >= WORKERS)
    push = operator.start(PUSH.replace("--timeout 5", "--timeout 0.3"))
    gate.wait()
    with stopped(push, operator):
        assert open_attempts(operator) > 0
        assert operator.run("report").code == 0
        gate.open()
    assert_ends_well(push, operator)


def test_when_it_wakes_its_connections_are_dead_and_its_token_has_expired(operator):
    operator.sandbox.fault("hang_after_saving", times=WORKERS)
    push = operator.start(PUSH)
    operator.sandbox.wait_until(lambda: len(operator.sandbox.held) == WORKERS, timeout=30)
    with stopped(push, operator):
        operator.sandbox.stop()
        operator.sandbox.expire_tokens()
        operator.sandbox.start()
    assert_ends_well(push, operator)
    assert operator.ask("SELECT count(*) FROM attempt WHERE outcome = 'found'") == [(WORKERS,)]
