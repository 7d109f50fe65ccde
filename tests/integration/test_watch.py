"""A second terminal that watches: it shows the command at work, and disturbs nobody."""

import io
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migrator.cli.watch import LOOKS_THAT_MAY_FAIL, look, watch
from migrator.errors import ExitCode, LedgerError
from migrator.ledger import Ledger
from migrator.progress import Display
from migrator.report import Report
from tests.integration.test_report import extract, map_all, ran
from tests.support.inprocess_cli import InProcessCli
from tests.support.processes import LONGEST_SECONDS, Operator, kill

COUNTERS = {"posted": 3, "found": 1, "in_doubt": 2, "total": 9}


@pytest.fixture
def path(ledger: Ledger) -> Path:
    return ledger.path


def at_work(ledger: Ledger, **now: Any) -> int:
    extract(ledger, *map(str, range(9)))
    map_all(ledger)
    run_id = ledger.runs.begin_run("push")
    ledger.runs.note_run(run_id, COUNTERS, now)
    return run_id


def watched(path: Path, *acts: Callable[[], object]) -> tuple[Report, str]:
    """The last look and all that was said, where something happens between two looks each."""
    left, stream = list(acts), io.StringIO()

    def pause(seconds: float) -> None:
        left.pop(0)()

    report = watch(path, Display(stream, environ={"TERM": "dumb"}), pause)
    assert not left
    return report, stream.getvalue()


def test_it_shows_the_command_at_work_until_that_ends(ledger: Ledger, path: Path) -> None:
    run_id = at_work(ledger, allowed_per_minute=400.0, waiting_for="sends in flight")
    report, said = watched(
        path, lambda: None, lambda: ledger.runs.end_run(run_id, 0, COUNTERS | {"posted": 8})
    )
    first, last = said.splitlines()
    assert first.startswith("push: 4 of 9 posted · up to 400 a minute · extracted 0, mapped 9")
    assert first.endswith("2 in doubt · waiting for sends in flight")
    assert last == "push: 9 of 9 posted · 2 in doubt"
    assert report.running is None


def test_it_says_until_when_the_other_one_waits(ledger: Ledger, path: Path) -> None:
    until = int(time.time() * 1000) + 30_000
    run_id = at_work(ledger, waiting_for="the rate limit of LeadGenius", waiting_until_ms=until)
    _, said = watched(path, lambda: ledger.runs.end_run(run_id, 0, {}))
    assert time.strftime("until %H:%M:%S", time.localtime(until / 1000)) in said
    assert "for the rate limit of LeadGenius (" in said


def test_where_nothing_is_at_work_it_says_so_and_ends(ledger: Ledger, path: Path) -> None:
    ran(ledger, "push", 0)
    report, said = watched(path)
    assert said == "No command is running on this ledger.\n"
    assert report.running is None


def test_a_command_that_is_killed_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "killed.db"
    with Ledger.open_for_work(path) as ledger:
        at_work(ledger)
    report, _ = watched(path)
    assert report.running is None


def test_a_ledger_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="There is no ledger at"):
        watched(tmp_path / "none.db")


def test_a_look_that_fails_is_tried_again(ledger: Ledger, path: Path) -> None:
    run_id = at_work(ledger)
    away = path.with_name("away.db")
    report, _ = watched(
        path,
        lambda: path.rename(away),
        lambda: away.rename(path),
        lambda: ledger.runs.end_run(run_id, 0, COUNTERS),
    )
    assert report.running is None


def test_a_ledger_that_stays_away_is_missed(ledger: Ledger, path: Path) -> None:
    at_work(ledger)
    away = path.with_name("away.db")
    with pytest.raises(LedgerError, match="There is no ledger at"):
        watched(path, lambda: path.rename(away), *[lambda: None] * LOOKS_THAT_MAY_FAIL)


def test_between_two_looks_it_holds_nothing(ledger: Ledger, path: Path) -> None:
    run_id, busy = at_work(ledger), []

    def checkpoint() -> None:
        ((is_busy, _, _),) = ledger._database.execute_outside_transaction(
            "PRAGMA wal_checkpoint(TRUNCATE)"
        )
        busy.append(is_busy)
        ledger.runs.end_run(run_id, 0, COUNTERS)

    watched(path, checkpoint)
    assert busy == [0]
    assert path.with_name(f"{path.name}-wal").exists()


def test_a_look_waits_for_nobody_who_writes(ledger: Ledger, path: Path) -> None:
    run_id = at_work(ledger)
    with ledger.transaction():
        ledger.runs.note_run(run_id, COUNTERS | {"posted": 5})
        (run,) = look(path).runs
    assert run.counters["posted"] == 3


@pytest.mark.parametrize(
    "now",
    [
        [],
        {"waiting_for": 7, "waiting_until_ms": "x", "allowed_per_minute": [1]},
        {"waiting_for": "\x1b[31mred", "waiting_until_ms": 10**40, "allowed_per_minute": 1e300},
    ],
)
def test_whatever_the_file_says_it_is_shown_or_left_out(
    ledger: Ledger, path: Path, now: Any
) -> None:
    run_id = at_work(ledger)
    text = json.dumps({**COUNTERS, "now": now})
    with ledger.transaction():
        ledger._database.run("UPDATE run SET counters = :text", {"text": text})
    _, said = watched(path, lambda: ledger.runs.end_run(run_id, 0, COUNTERS))
    assert said.startswith("push: 4 of 9 posted")
    assert "\x1b" not in said


# As it is typed


def test_the_report_follows(sandbox: Any, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    shell = InProcessCli(tmp_path, sandbox(contacts=3), monkeypatch, capsys)
    shell.type("stage -q")
    result = shell.type("report --watch")
    assert (result.code, result.err.count("\n")) == (0, 1)
    assert "= 3 contacts from HubSpot" in result.out
    last = json.loads(shell.type("report --watch --json").out.splitlines()[-1])
    assert (last["event"], last["sums"]["closes"]) == ("result", True)
    missing = shell.type("report --watch --ledger none.db")
    assert missing.code == ExitCode.LEDGER
    assert "next: migrator stage" in missing.err


def test_who_stops_watching_interrupts_nothing_else(sandbox: Any, tmp_path: Path) -> None:
    operator = Operator(tmp_path, sandbox(contacts=8))
    operator.stage()
    operator.sandbox.fault("hang_after_saving", times=8)
    push = operator.start("push --rate max --canary 0 --timeout 600")
    try:
        operator.sandbox.wait_until(lambda: bool(operator.sandbox.held), LONGEST_SECONDS)
        watcher = operator.start("report --watch")
        assert watcher.stderr is not None
        assert watcher.stderr.readline().startswith("push: ")
        watcher.send_signal(signal.SIGINT)
        out, err = watcher.communicate(timeout=LONGEST_SECONDS)
        assert (watcher.returncode, out) == (0, "")
        assert "error" not in err
        assert push.poll() is None
    finally:
        kill(push)
