"""What a push, a stage and a verify tell of themselves on the way, here and to another terminal."""

import json
import sqlite3
import time
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from migrator import connections
from migrator.counters import PushCounters
from migrator.errors import ExitCode
from migrator.push.progress import ProgressRecorder
from migrator.push.stops import rest
from migrator.rate_limit import RateLimiter, RateState
from migrator.stage import stage
from migrator.verify import verify
from tests.support.inprocess_cli import PUSH, VERIFY, InProcessCli
from tests.support.journeys import SETTLE, Journey

CONTACTS = 12


@pytest.fixture
def journey(sandbox, ledger):
    journey = Journey(sandbox(contacts=CONTACTS, late_seconds=0.2, slow_seconds=0.3), ledger)
    journey.stage()
    return journey


# The total


@pytest.mark.parametrize("canary", [0, 2])
def test_a_push_that_may_send_a_few_counts_those_only(journey, canary):
    totals: set[int] = set()
    journey.push(limit=4, canary=canary, notice=lambda now: totals.add(now.total))
    assert totals == {4}


def test_what_is_refused_is_not_posted_later(journey):
    journey.sandbox.fault("refuse", times=1)
    done = journey.push(limit=4)
    assert (done.posted, done.refused, done.total) == (3, 1, 3)


def test_without_a_limit_all_that_is_free_counts(journey):
    free = journey.ledger.counts.to_send()
    done = journey.push(limit=None)
    assert (done.posted, done.total, done.to_send) == (free, free, 0)


# What keeps it


def test_a_push_says_until_when_it_rests_and_why():
    limiter = RateLimiter(RateState.automatic())
    assert rest(limiter, now=5.0) == (None, None)
    limiter.pause_for(5.0, 30.0)
    assert rest(limiter, now=6.0) == ("the rate limit of LeadGenius", 29.0)


def test_a_slow_pace_is_no_rest():
    limiter = RateLimiter(RateState.fixed(6.0))
    limiter.claim(5.0, 1)
    assert rest(limiter, now=5.0) == (None, None)


def test_a_push_says_that_it_waits_for_doubts_and_for_how_long(journey):
    journey.sandbox.fault("drop_before_saving", times=1)
    waits: dict[str | None, float | None] = {}
    journey.push(notice=lambda now: waits.setdefault(now.waiting_for, now.waiting_seconds))
    seconds = waits["contacts in doubt to settle"]
    assert seconds is not None
    assert 0 < seconds <= SETTLE
    assert {"a listing of the client before the first send", None} <= set(waits)


# For another terminal


def test_a_push_writes_down_what_keeps_it(journey):
    journey.sandbox.fault("drop_before_saving", times=1)
    seen: list[Any] = []
    journey.push(notice=lambda now: seen.append(journey.ledger.runs.newest(1)[0].now))
    waits = [now for now in seen if now.get("waiting_for") == "contacts in doubt to settle"]
    assert waits[0]["waiting_until_ms"] > 1_000 * (time.time() - 60)


def test_how_far_it_was_is_in_the_row_of_a_run_and_what_kept_it_ends_with_it(ledger):
    run_id = ledger.runs.begin_run("push")
    ledger.runs.note_run(run_id, {"posted": 3}, {"waiting_for": "it"})
    (run,) = ledger.runs.newest(1)
    assert (run.counters, run.now) == ({"posted": 3}, {"waiting_for": "it"})
    ledger.runs.end_run(run_id, 0, {"posted": 4})
    (run,) = ledger.runs.newest(1)
    assert (run.counters, run.now) == ({"posted": 4}, {})


def test_a_long_wait_does_not_write_to_the_disk_all_the_time(ledger, monkeypatch):
    clock = SimpleNamespace(time=lambda: 1e9, monotonic=lambda: 0.0)
    monkeypatch.setattr("migrator.push.progress.time", clock)
    run_id = ledger.runs.begin_run("push")
    recorder = ProgressRecorder(
        ledger, run_id, PushCounters(), ledger.counts.to_send, lambda _: None, limit=None
    )
    commits: list[int] = []
    with closing(sqlite3.connect(ledger.path)) as other:
        for passed in (0.0, 0.503, 1.001, 1.498, 2.004):
            clock.time = lambda passed=passed: 1e9 + 0.25 + passed
            recorder.say("what is in doubt to settle", 60.0 - passed - passed / 1000)
            commits += other.execute("PRAGMA data_version").fetchone()
    assert len(set(commits)) == 1
    recorder.say("LeadGenius to allow more", 60.0)
    assert ledger.runs.newest(1)[0].now["waiting_for"] == "LeadGenius to allow more"


def test_a_stage_notes_each_page_and_each_batch_with_it(sandbox, ledger, monkeypatch):
    monkeypatch.setattr("migrator.hubspot.CONTACTS_PER_PAGE", 5)
    monkeypatch.setattr("migrator.stage.prefetch.MOST_PAGES_WAITING", 1)
    journey = Journey(sandbox(contacts=CONTACTS), ledger)
    noted: list[Any] = []

    def note(told: Any) -> None:
        noted.append(dict(told))
        raise_if_alone(ledger)

    hubspot = journey.hubspot()
    portal_id = connections.bind_source(ledger, hubspot)
    stage(ledger, hubspot, portal_id=portal_id, note=note)
    journey.close()
    assert [one["given"] for one in noted] == [5, 10, 12, 12]
    assert noted[-1]["total"] == CONTACTS == noted[-1]["mapped"] + noted[-1]["rejected"]


def raise_if_alone(ledger: Any) -> None:
    """A statement outside of a transaction is refused."""
    ledger._database.run("SELECT 1")


def test_a_verify_counts_the_leads_that_it_knows_of_and_says_what_it_waits_for(journey):
    posted = journey.push().posted
    journey.sandbox.delete_lead(journey.sandbox.held[0]["id"])
    told: list[Any] = []
    verify(
        journey.ledger,
        journey.leadgenius(),
        client_id=journey.sandbox.client_id,
        portal_id=journey.sandbox.portal_id,
        settle_seconds=SETTLE,
        pause=lambda seconds: None,
        notice=lambda now: told.append(dict(now)),
        note=lambda now: raise_if_alone(journey.ledger),
    )
    journey.close()
    waits = [one for one in told if "waiting_for" in one]
    assert [(one["leads"], one["total"]) for one in told] == [(posted - 1, posted)] * 3
    assert [one["waiting_seconds"] for one in waits] == [SETTLE]


# For a program


@pytest.fixture
def shell(sandbox, tmp_path, monkeypatch, capsys):
    return InProcessCli(tmp_path, sandbox(contacts=CONTACTS), monkeypatch, capsys)


def test_every_command_of_a_journey_ends_with_its_result_as_an_object(shell):
    push = PUSH.replace("--canary 0", "--canary 5")  # without one it warns
    for words, name in (("stage", "given"), (push, "posted"), (VERIFY, "verified")):
        result = shell.type(f"{words} --json")
        *before, last = [json.loads(line) for line in result.out.splitlines()]
        assert result.err == ""
        assert (last["event"], last["command"], last["exit_code"]) == (
            "result",
            words.split()[0],
            0,
        )
        assert last[name] > 0
        assert before, words
        assert {one["event"] for one in before} == {"progress"}
        assert sum(before[0]["states"].values()) == CONTACTS


def test_a_command_that_fails_says_so_in_an_object_too(shell):
    shell.type("stage -q")
    shell.sandbox.fault("refuse")
    result = shell.type(f"{PUSH} --json")
    last = json.loads(result.out.splitlines()[-1])
    assert last["exit_code"] == result.code == ExitCode.NEEDS_ATTENTION
    shell.sandbox.stop()
    try:
        result = shell.type(f"{VERIFY} --json")
    finally:
        shell.sandbox.start()
    last = json.loads(result.out.splitlines()[-1])
    assert last["exit_code"] == result.code == ExitCode.STOPPED_EARLY
    assert "error: " in result.err


def test_quiet_leaves_the_result_only(shell):
    result = shell.type("stage --json -q")
    (line,) = result.out.splitlines()
    assert json.loads(line)["event"] == "result"
