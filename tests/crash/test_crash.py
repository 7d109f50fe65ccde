"""
kill -9 at every gap, then resume: nothing lost, nothing twice, by the sandbox's own record.

The product has no hooks for this. A sandbox that hangs, or a ledger that somebody else keeps
locked, holds the process exactly where it is to die.
"""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from benchmarks.judge import posts
from migrator.errors import ExitCode
from tests.support.journeys import contact
from tests.support.processes import Operator, Process, eventually, kill

CONTACTS = 24
WORKERS = 4
OPTIONS = f"--rate max --workers {WORKERS} --settle 1 --timeout 3 --canary 0"
PUSH = f"push {OPTIONS}"
RESUME = f"push --resume {OPTIONS}"


@pytest.fixture
def operator(sandbox, tmp_path):
    return Operator(tmp_path, sandbox(contacts=CONTACTS, late_seconds=0.5, slow_seconds=1.0))


@contextmanager
def doomed(process: Process) -> Iterator[None]:
    """The process dies by SIGKILL where this ends, and was alive until then."""
    try:
        yield
        assert process.poll() is None, process.communicate()
    finally:
        kill(process)


def arrived(operator: Operator, fault: str, times: int = 1) -> None:
    """Wait until the process is held up by so many of these."""
    operator.sandbox.wait_until(
        lambda: sum(one.fault == fault for one in operator.sandbox.received) >= times,
        timeout=30,
    )


def open_attempts(operator: Operator) -> int:
    return int(operator.ask("SELECT count(*) FROM attempt WHERE outcome IS NULL")[0][0])


def assert_ends_well(operator: Operator) -> None:
    operator.sandbox.calm()
    assert operator.type("stage") == 0
    resumed = operator.run(RESUME)
    assert resumed.code == 0, resumed.err
    assert operator.type("verify --settle 1") == 0
    verdict = operator.sandbox.verdict()
    assert verdict.ok, verdict
    assert open_attempts(operator) == 0
    given = operator.ask("SELECT contacts_seen FROM checkpoint WHERE name = 'extraction'")
    assert operator.ask("SELECT count(*) FROM contact") == given
    assert operator.ask("SELECT sum(contacts) FROM state_count") == given


def test_before_the_first_page_is_written(operator):
    operator.sandbox.fault("hubspot_hang")
    with doomed(operator.start("stage")):
        arrived(operator, "hubspot_hang")
    assert_ends_well(operator)


def test_in_the_middle_of_a_page(operator):
    operator.sandbox.fault("companies_hang")
    with doomed(operator.start("stage")):
        arrived(operator, "companies_hang")
    assert operator.ask("SELECT count(*) FROM contact") == [(0,)]
    assert_ends_well(operator)


def test_between_two_pages(sandbox, tmp_path):
    operator = Operator(tmp_path, sandbox(contacts=0))
    for number in range(650):  # without companies, so that no page waits for another one
        operator.sandbox.add_contact(contact(number))
    operator.sandbox.fault("hubspot_hang", where=lambda query: staged(operator) >= 100)
    with doomed(operator.start("stage")):
        arrived(operator, "hubspot_hang")
    assert staged(operator) in range(100, 600, 100)
    operator.sandbox.calm()
    assert operator.run("stage").code == 0
    assert staged(operator) == 650
    assert operator.ask("SELECT contacts_seen FROM checkpoint WHERE name = 'extraction'") == [
        (650,)
    ]


def staged(operator: Operator) -> int:
    try:
        return int(operator.ask("SELECT count(*) FROM contact")[0][0])
    except sqlite3.OperationalError:  # there is no ledger yet, or no table in it
        return 0


def test_page_fetched_and_not_written(operator):
    operator.sandbox.fault("hubspot_error", where=lambda query: not query)
    stage = operator.start("stage")
    arrived(operator, "hubspot_error")  # it has asked for companies, and will ask again
    with operator.held_lock(), doomed(stage):
        operator.sandbox.wait_until(lambda: batches(operator) >= 2, timeout=30)
    assert staged(operator) == 0
    assert_ends_well(operator)


def batches(operator: Operator) -> int:
    return sum(one.path.endswith("/batch/read") for one in operator.sandbox.received)


def test_before_the_intent(operator):
    operator.stage()
    operator.sandbox.fault("list_hang")
    with doomed(operator.start(PUSH)):
        arrived(operator, "list_hang")
    assert operator.ask("SELECT count(*) FROM attempt") == [(0,)]
    assert_ends_well(operator)


@pytest.mark.parametrize(
    ("fault", "saved"),
    [("hang_before_saving", 0), ("hang_after_saving", WORKERS), ("save_late", 0)],
)
def test_intent_committed_and_no_answer(operator, fault, saved):
    operator.stage()
    operator.sandbox.fault(fault, times=WORKERS)
    with doomed(operator.start(PUSH)):
        arrived(operator, fault, WORKERS)
        held = len(operator.sandbox.held)
    assert open_attempts(operator) == WORKERS
    assert held == saved
    assert_ends_well(operator)


def test_answered_and_not_committed(operator):
    operator.stage()
    operator.sandbox.fault("slow", times=WORKERS)
    push = operator.start(PUSH)
    arrived(operator, "slow", WORKERS)
    with operator.held_lock(), doomed(push):
        operator.sandbox.wait_until(lambda: answered(operator) == WORKERS, timeout=30)
    assert open_attempts(operator) == WORKERS
    assert len(operator.sandbox.held) == WORKERS
    assert_ends_well(operator)


def answered(operator: Operator) -> int:
    sends = (one for one in operator.sandbox.received if one.fault == "slow")
    return sum(one.status == 201 for one in sends)


def test_in_the_middle_of_settling(operator):
    operator.stage()
    operator.sandbox.fault("hang_after_saving", times=WORKERS)
    with doomed(operator.start(PUSH)):
        arrived(operator, "hang_after_saving", WORKERS)
    operator.sandbox.fault("list_hang")
    with doomed(operator.start(RESUME)):
        arrived(operator, "list_hang")
    assert open_attempts(operator) == WORKERS
    assert_ends_well(operator)


def test_in_the_middle_of_verifying(operator):
    operator.stage()
    assert operator.run(PUSH).code == 0
    operator.sandbox.fault("list_hang")
    with doomed(operator.start("verify")):
        arrived(operator, "list_hang")
    assert operator.ask("SELECT count(*) FROM contact WHERE state = 'verified'") == [(0,)]
    assert_ends_well(operator)


def test_again_and_again_at_random_with_every_fault(sandbox, tmp_path):
    dice = random.Random(7)
    names = (
        "drop_after_saving hang_after_saving save_late error_after_saving error_without_saving "
        "truncated expire_token"
    )
    faults = dict.fromkeys(names.split(), 0.05)
    operator = Operator(
        tmp_path, sandbox(contacts=120, faults=faults, late_seconds=0.5, token_seconds=2)
    )
    operator.stage()
    for _ in range(6):
        want = len(operator.sandbox.held) + dice.randint(1, 12)
        process = operator.start(RESUME.replace("--timeout 3", "--timeout 0.5"))

        def is_far_enough(process=process, want=want) -> bool:
            return len(operator.sandbox.held) >= want or process.poll() is not None

        eventually(is_far_enough, "some more leads")
        kill(process)
    assert_ends_well(operator)


def test_a_second_push_says_who_holds_the_ledger(operator):
    operator.stage()
    operator.sandbox.fault("hang_before_saving", times=WORKERS)
    first = operator.start(PUSH)
    with doomed(first):
        arrived(operator, "hang_before_saving", WORKERS)
        second = operator.run(RESUME)
        assert second.code == 6
        assert f"process {first.pid}" in second.err
    assert_ends_well(operator)


def test_a_ledger_that_is_lost_posts_nothing_twice(operator):
    operator.stage()
    operator.sandbox.fault("save_late", times=WORKERS)
    with doomed(operator.start(PUSH)):
        operator.sandbox.wait_until(lambda: len(operator.sandbox.held) >= 8, timeout=30)
    for path in operator.folder.glob("migrator.db*"):
        path.unlink()
    assert_ends_well(operator)


def test_a_copy_made_in_the_middle_of_a_run_and_put_back_posts_nothing_twice(operator):
    operator.stage()
    copied: list[Path] = []

    def copy(lead):
        if len(operator.sandbox.held) == 8 and not copied:
            copied.append(backup(operator.ledger, operator.folder / "copy.db"))
        return False

    operator.sandbox.fault("slow", where=copy)
    assert operator.run(PUSH).code == 0
    for path in operator.folder.glob("migrator.db*"):
        if not path.name.endswith(".lock"):
            path.unlink()
    copied[0].rename(operator.ledger)
    assert operator.ask("SELECT count(*) FROM contact WHERE state = 'posted'")[0][0] <= 8
    before = len(posts(operator.sandbox))
    refused = operator.run(RESUME)
    assert (refused.code, len(posts(operator.sandbox))) == (ExitCode.LEDGER, before)
    assert f"was last worked on in {operator.folder} on " in refused.err
    assert "the same command with --take-over" in refused.err
    assert operator.run(f"{RESUME} --take-over").code == 0
    assert_ends_well(operator)


def backup(ledger: Path, into: Path) -> Path:
    with closing(sqlite3.connect(ledger)) as source, closing(sqlite3.connect(into)) as target:
        source.backup(target)
    return into
