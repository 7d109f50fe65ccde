"""`migrator run`: stage, push, update and verify as one process, one record, one exit code."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from migrator.cli.failures import as_migrator_error
from migrator.cli.parser import build_parser, subparsers
from migrator.errors import MigratorError
from migrator.ledger import Ledger
from migrator.report import Report, summary
from migrator.sandbox.portal import Portal
from tests.support.inprocess_cli import PUSH, SETTLE, VERIFY, InProcessCli, after_leads
from tests.support.journeys import contact
from tests.support.processes import Operator, Result, ended, kill, start

RUN = f"run --rate max --workers 4 --settle {SETTLE} --timeout 2 --canary 0 --retry-for 0"
STEPS = ("stage", "push", "update", "verify")


def result_of(shell: InProcessCli, words: str) -> dict[str, Any]:
    return only_result(shell.type(f"{words} --json"), "run")


def only_result(done: Result, command: str) -> dict[str, Any]:
    """The one result of all lines, which is the last one."""
    *before, result = [json.loads(line) for line in done.out.splitlines()]
    assert all(one["event"] == "progress" for one in before), done
    assert (result["event"], result["command"]) == ("result", command), done
    assert result["exit_code"] == done.code
    found: dict[str, Any] = result
    return found


def codes_of(result: dict[str, Any]) -> dict[str, int]:
    return {name: result[name]["exit_code"] for name in STEPS if name in result}


@pytest.fixture
def contacts(empty: InProcessCli) -> InProcessCli:
    """A portal of three, and no ledger."""
    for number in (1, 2, 3):
        empty.sandbox.add_contact(contact(number, jobtitle="Clerk"), contact_id=str(number))
    return empty


def test_a_run_does_it_all_and_is_one_record(contacts: InProcessCli) -> None:
    told = result_of(contacts, RUN)
    assert codes_of(told) == {"stage": 0, "push": 0, "verify": 0}
    assert told["stage"]["given"] == told["push"]["posted"] == told["verify"]["verified"] == 3
    assert contacts.ask("SELECT command, exit_code FROM run") == [("run", 0)]
    assert contacts.count("state = 'verified'") == 3
    assert contacts.sandbox.verdict().ok


def test_each_step_says_what_it_did(contacts: InProcessCli) -> None:
    done = contacts.type(RUN)
    assert done.out.startswith("stage: 3 contacts read")
    assert "\npush: 3 posted" in done.out
    assert "\nverify: 3 newly verified" in done.out


def test_the_report_shows_the_record_of_a_run_step_by_step(contacts: InProcessCli) -> None:
    contacts.type(RUN)
    assert "push: 3 posted" in contacts.type("report").out.replace("\n", " ")
    (run,) = json.loads(contacts.type("report --json").out)["runs"]
    assert (run["command"], run["status"], run["counters"]["push"]["posted"]) == ("run", "done", 3)


# What it goes on after, and what stops it


def test_it_goes_on_where_something_needs_attention(contacts: InProcessCli) -> None:
    contacts.sandbox.fault("refuse", where=lambda lead: "/3]" in lead.get("notes", ""))
    told = result_of(contacts, RUN)
    assert told["exit_code"] == 1
    assert codes_of(told) == {"stage": 0, "push": 1, "verify": 0}
    assert told["verify"]["verified"] == 2


def test_attention_ok_makes_a_0_of_a_1_and_of_nothing_else(contacts: InProcessCli) -> None:
    contacts.sandbox.fault("refuse", where=lambda lead: "/3]" in lead.get("notes", ""))
    told = result_of(contacts, f"{RUN} --attention-ok")
    assert (told["exit_code"], codes_of(told)["push"]) == (0, 1)
    contacts.sandbox.stop()
    assert result_of(contacts, f"{RUN} --attention-ok")["exit_code"] == 4


def test_it_goes_on_after_a_count_that_differs_and_ends_with_4(
    contacts: InProcessCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Portal, "size", property(lambda portal: 99))
    told = result_of(contacts, RUN)
    assert told["exit_code"] == 4
    assert codes_of(told) == {"stage": 4, "push": 0, "verify": 0}
    # Nothing was interrupted: the push is done.
    assert contacts.type(PUSH).code == 0


def test_any_other_4_of_stage_stops_it(contacts: InProcessCli) -> None:
    contacts.sandbox.fault("hubspot_error", times=1_000, where=lambda call: True)
    told = result_of(contacts, RUN)
    assert told["exit_code"] == 4
    assert "push" not in told
    assert contacts.sandbox.held == []
    assert told["next"]


def test_a_push_that_stops_is_the_end_and_the_worst_code_counts(
    contacts: InProcessCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Portal, "size", property(lambda portal: 99))
    sandbox = contacts.sandbox
    after_leads(sandbox, 1, lambda: os.kill(os.getpid(), signal.SIGTERM))
    told = result_of(contacts, RUN)
    assert codes_of(told) == {"stage": 4, "push": 143}
    assert told["exit_code"] == 4
    assert contacts.ask("SELECT command, exit_code FROM run") == [("run", 4)]
    # The push is to be resumed, whatever the code of the whole.
    assert contacts.type(PUSH).code == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order_and_the_next_run_resumes(
    contacts: InProcessCli, number: signal.Signals
) -> None:
    after_leads(contacts.sandbox, 1, lambda: os.kill(os.getpid(), number))
    told = result_of(contacts, RUN)
    assert told["exit_code"] == 128 + number
    assert told["message"].startswith("Interrupted: ")
    assert told["next"] == "run the same command again"
    assert codes_of(told) == {"stage": 0, "push": 128 + number}
    assert result_of(contacts, RUN)["exit_code"] == 0
    assert contacts.sandbox.verdict().ok


def test_without_credentials_nothing_is_begun(
    contacts: InProcessCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LEADGENIUS_PASSWORD")
    told = result_of(contacts, RUN)
    assert told["exit_code"] == 3
    assert contacts.sandbox.received == []


def test_a_ledger_that_is_worked_on_is_busy(contacts: InProcessCli) -> None:
    operator = Operator(contacts.folder, contacts.sandbox)
    contacts.sandbox.fault("slow", times=3)
    other = operator.start(RUN)
    try:
        contacts.sandbox.wait_until(lambda: len(contacts.sandbox.held) > 0, 30)
        assert result_of(contacts, RUN)["exit_code"] == 6
    finally:
        kill(other)


# Its record


def test_a_run_that_was_killed_in_its_push_is_to_be_resumed(contacts: InProcessCli) -> None:
    operator = Operator(contacts.folder, contacts.sandbox)
    contacts.sandbox.fault("hang_after_saving", times=3)
    process = operator.start(RUN.replace("--timeout 2", "--timeout 60"))
    contacts.sandbox.wait_until(lambda: len(contacts.sandbox.held) == 3, 30)
    kill(process)
    contacts.sandbox.restore()
    report = json.loads(contacts.type("report --json").out)
    assert report["runs"][0]["status"] == "killed"
    assert report["next"] == "migrator push --resume"
    assert contacts.type(PUSH).code == 4
    assert result_of(contacts, RUN)["push"]["found"] == 3
    assert contacts.sandbox.verdict().ok


def test_an_update_is_written_only_if_asked_for_and_is_known_of_afterwards(
    contacts: InProcessCli,
) -> None:
    assert contacts.type(RUN).code == 0
    contacts.sandbox.change_contact("1", jobtitle="Countess")
    assert "update" not in result_of(contacts, RUN)
    assert {lead["title"] for lead in contacts.sandbox.held} == {"Clerk"}
    assert "Next: migrator update" in contacts.type("report").out
    told = result_of(contacts, f"{RUN} --update")
    assert (told["update"]["updated"], told["verify"]["verified"]) == (1, 1)
    assert [lead["title"] for lead in contacts.sandbox.held].count("Countess") == 1
    # `verify` of the same run has seen it: nothing is left to do.
    assert contacts.type(VERIFY).out.startswith("0 newly verified")
    assert "Next: done" in contacts.type("report").out


def test_a_report_from_elsewhere_shows_the_step_that_is_at_work(contacts: InProcessCli) -> None:
    seen: list[Report] = []

    def look() -> None:
        with Ledger.open_read_only(contacts.folder / "migrator.db") as ledger:
            seen.append(summary.read(ledger))

    after_leads(contacts.sandbox, 2, look)
    assert contacts.type(RUN).code == 0
    (report,) = seen
    assert report.running is not None
    assert (report.running.command, report.runs[0].command) == ("push", "run")
    assert report.speed is not None
    assert [*report.runs[0].steps] == ["stage", "push"]


def test_a_ledger_that_worked_elsewhere_is_named_before_anything_is_read(
    contacts: InProcessCli,
) -> None:
    assert contacts.type(RUN).code == 0
    ledger = contacts.folder / "migrator.db"
    content = ledger.read_bytes()
    ledger.rename(contacts.folder / "before.db")
    ledger.touch(mode=0o600)
    ledger.write_bytes(content)
    contacts.sandbox.add_contact(contact(4), contact_id="4")
    told = result_of(contacts, RUN)
    assert (told["exit_code"], "stage" in told) == (5, False)
    assert "the same command with --take-over" in told["next"]
    told = result_of(contacts, f"{RUN} --take-over")
    assert (told["exit_code"], told["push"]["posted"]) == (0, 1)
    assert contacts.sandbox.verdict().ok


# The process that started it


def test_a_command_ends_with_the_process_that_started_it(contacts: InProcessCli) -> None:
    contacts.sandbox.fault("slow", times=3)
    patient = RUN.replace("--timeout 2", "--timeout 30")
    command = ["-m", "migrator", *patient.split(), "--die-with-parent", "--log-file", "log"]
    starts = f"import subprocess, sys; subprocess.run([sys.executable, *{command!r}])"
    operator = Operator(contacts.folder, contacts.sandbox)
    parent = start(
        [*operator.command[:1], "-c", starts],
        cwd=contacts.folder,
        env=operator.environment(),
        may_fork=False,
    )
    contacts.sandbox.wait_until(lambda: len(contacts.sandbox.held) > 0, 30)
    parent.kill()
    ended(parent)
    log = contacts.folder / "log"
    contacts.sandbox.wait_until(lambda: "ends with exit code 143" in log.read_text(), 30)
    # In order: what was in flight is written.
    assert contacts.ask("SELECT count(*) FROM attempt WHERE outcome IS NULL") == [(0,)]


# Every end is a line of JSON


@pytest.mark.parametrize("words", ["run --json --rate 0", "push --json --bogus", "report --json x"])
def test_a_command_line_that_is_wrong_ends_with_a_result_too(
    empty: InProcessCli, words: str
) -> None:
    result = only_result(empty.type(words), words.split()[0])
    assert result["exit_code"] == 2
    assert result["message"] and result["next"]


# The words that a command wants besides its options.
WORDS = {"fleet": ["fleet.toml", "run"], "show": ["1"], "amend": ["held.csv"]}
JSON = [
    name
    for name, parser in subparsers(build_parser()).items()
    if "--json" in parser._option_string_actions
]


@pytest.mark.parametrize("command", JSON)
def test_a_bug_ends_with_a_result_too(
    empty: InProcessCli, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("migrator.cli.log_setup.begin", bug)
    done = empty.type([command, *WORDS.get(command, []), "--json"])
    assert only_result(done, command)["exit_code"] == 70


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", JSON)
def test_a_signal_before_a_command_listens_ends_with_a_result_too(
    empty: InProcessCli,
    command: str,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    own_signals: None,
) -> None:
    monkeypatch.setattr("migrator.cli.log_setup.begin", lambda args: signal.raise_signal(number))
    result = only_result(empty.type([command, *WORDS.get(command, []), "--json"]), command)
    assert result["exit_code"] == (130 if number == signal.SIGINT else 143)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_before_a_command_listens_ends_it_at_once(tmp_path, number):
    two = f"import signal; [signal.raise_signal({int(number)}) for _ in range(2)]"
    code = f"from migrator.signals import *; interrupt_by_all()\ntry: {two}\nfinally: {two}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (-number, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_that_hangs_up_meanwhile_costs_no_result(
    empty: InProcessCli,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    own_signals: None,
) -> None:
    def hang_up(error: BaseException) -> MigratorError:
        signal.raise_signal(signal.SIGHUP)
        return as_migrator_error(error)

    monkeypatch.setattr("migrator.cli.log_setup.begin", lambda args: signal.raise_signal(number))
    monkeypatch.setattr("migrator.cli.as_migrator_error", hang_up)
    result = only_result(empty.type("verify --json"), "verify")
    assert result["exit_code"] == (130 if number == signal.SIGINT else 143)


@pytest.fixture
def own_signals() -> Iterator[None]:
    """Each as a shell gives them, and as before afterwards."""
    defaults = {signal.SIGINT: signal.default_int_handler}
    before = {
        number: signal.signal(number, defaults.get(number, signal.SIG_DFL))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_ctrl_c_ends_the_watching_with_a_result_too(
    contacts: InProcessCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    contacts.type("stage")
    monkeypatch.setattr("migrator.cli.watch.watch", interrupted)
    result = only_result(contacts.type("report --watch --json"), "report")
    assert (result["exit_code"], result["next"]) == (0, "migrator push")
