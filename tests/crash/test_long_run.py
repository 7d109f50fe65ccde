"""
A run that lasts a day, in accelerated form: what goes away meanwhile, and what must not grow.

Time is a world's own where hours are to pass; files, processes and terminals are real where they
are what is tested.
"""

import os
import pty
import termios
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from threading import Event
from typing import Any

import pytest

from benchmarks.judge import posts, reading
from migrator.cli.watch import look
from migrator.counters import PushCounters
from migrator.ledger import Ledger
from migrator.ledger.opening import LONGEST_LOG_BYTES
from migrator.sandbox import Sandbox
from tests.integration.test_terminal import read
from tests.support.processes import Operator, eventually
from tests.support.simulation import LATENCY, Habits, World, world

HOUR = 3600.0
WORKERS = 3
PUSH = "push --rate max --settle 1 --timeout 5 --canary 0"
LEFT = "SELECT count(*) FROM contact WHERE state = 'mapped' AND held IS NULL"
# SQLite's own measure of 1,000 pages.
ORDINARY_LOG_BYTES = 1_000 * (4096 + 24)


def outcomes(one: World) -> dict[str | None, int]:
    with reading(one.ledger) as ledger:
        return dict(ledger.execute("SELECT outcome, count(*) FROM attempt GROUP BY 1"))


def logins(sandbox: Sandbox) -> int:
    return sum(one.path.startswith("/api/auth") for one in sandbox.received)


# A name that cannot be resolved for an hour


def test_an_hour_without_a_network_costs_a_push_nothing_but_the_hour():
    with world(Habits(contacts=12, workers=WORKERS, outage=2 * HOUR)) as one:

        def lose_the_network() -> None:
            one.is_offline = True
            one.crew.at(one.crew.now + HOUR, find_it_again)

        def find_it_again() -> None:
            one.is_offline = False

        one.stage()
        began = one.crew.now
        one.when("received", 4, lose_the_network)
        assert isinstance(one.push(), PushCounters)
        assert HOUR < one.crew.now - began < HOUR + 60
        there = outcomes(one)
        # Those that were in flight when it went away are found; nothing else was in doubt.
        # As many again may have waited for a worker, and were taken back.
        assert there.pop("unsent") <= 3 * WORKERS
        assert there.keys() <= {"created", "found"}
        assert len(posts(one.sandbox)) == sum(there.values())


# Tokens


def test_a_token_is_renewed_once_in_its_life_for_all_workers():
    life = 20 * LATENCY
    with world(Habits(contacts=120, workers=WORKERS, token_seconds=life)) as one:
        one.stage()
        began = one.crew.now
        assert isinstance(one.push(), PushCounters)
        assert outcomes(one).keys() == {"created"}
        # From three quarters of its life on, by whoever needs one next.
        took = one.crew.now - began
        assert took / life < logins(one.sandbox) <= ceil(took / (0.75 * life))


# The ledger's log


@pytest.fixture
def busy(ledger: Ledger) -> Callable[[int], Iterator[int]]:
    """Commits so many times, some 100 KB each, and tells after each how long the log is."""
    run_id = ledger.runs.begin_run("push")
    log = ledger.path.with_name(f"{ledger.path.name}-wal")

    def commit(times: int) -> Iterator[int]:
        for number in range(times):
            with ledger.transaction():
                ledger.runs.note_run(run_id, {}, {"waiting_for": f"{number}" * 50_000})
            yield log.stat().st_size

    return commit


def test_a_second_terminal_that_looks_all_the_time_lets_the_log_be_written_back(ledger, busy):
    is_over, looks = Event(), list[Any]()

    def watch() -> None:
        while not is_over.wait(0.002):
            looks.append(look(ledger.path))

    with ThreadPoolExecutor(1) as terminal:
        watching = terminal.submit(watch)
        longest = max(busy(150))
        while len(looks) <= 10 and not watching.done():
            longest = max(longest, *busy(10))
        is_over.set()
        watching.result()
    assert longest < 2 * ORDINARY_LOG_BYTES


def test_a_log_that_a_reader_kept_for_long_is_cut_down_when_it_leaves(ledger, busy):
    with reading(ledger.path) as snapshot:
        snapshot.execute("BEGIN")
        snapshot.execute("SELECT count(*) FROM run").fetchone()
        kept = max(busy(250))
        snapshot.execute("COMMIT")
    *_, last = busy(2)
    assert last <= LONGEST_LOG_BYTES < kept


def test_at_the_end_no_log_is_left(tmp_path):
    with Ledger.open_for_work(tmp_path / "one.db") as ledger:
        ledger.runs.begin_run("push")
    assert not ledger.path.with_name("one.db-wal").exists()


# The terminal


def test_a_terminal_that_is_stopped_keeps_no_push_from_its_work(sandbox, tmp_path):
    operator = Operator(tmp_path, sandbox(contacts=40, latency_seconds=0.05))
    operator.stage()
    ours, theirs = pty.openpty()
    push = operator.start(f"{PUSH} --workers 2", theirs, TERM="xterm-256color")
    with ThreadPoolExecutor(1) as reader:
        told = reader.submit(lambda: b"".join(iter(lambda: read(ours), b"")))
        try:
            operator.sandbox.wait_until(lambda: len(operator.sandbox.held) >= 4, timeout=30)
            termios.tcflow(theirs, termios.TCOOFF)  # Ctrl-S
            eventually(lambda: operator.ask(LEFT) == [(0,)], "all of it sent")
            assert push.poll() is None
        finally:
            termios.tcflow(theirs, termios.TCOON)  # Ctrl-Q
            assert push.wait(timeout=30) == 0
            os.close(theirs)
        assert b"posted" in told.result()
    os.close(ours)
