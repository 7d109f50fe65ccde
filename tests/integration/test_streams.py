"""
Signals, streams, folders and limits that a shell, a cron job or a closing terminal may bring.

Whatever becomes of the output, the exit code tells how the work went.
"""

import json
import re
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.judge import judge, posts
from migrator.errors import ExitCode, LedgerError, MigratorError, NotReady, StoppedEarly
from tests.support.hostile_process import afflicted, deceived
from tests.support.processes import Operator, Result, ended, eventually

SETTLE = 1.0
OPTIONS = f"--rate max --settle {SETTLE:g} --timeout 5 --canary 0"
PUSH = f"push --workers 4 {OPTIONS}"
WRITE = f"--workers 4 --rate max --settle {SETTLE:g} --timeout 5"


@pytest.fixture
def operator(sandbox, tmp_path):
    operator = Operator(tmp_path / "work", sandbox(contacts=24, slow_seconds=0.5))
    operator.folder.mkdir()
    operator.stage()
    return operator


def suffering(operator: Operator, setup: str) -> Operator:
    return replace(operator, command=afflicted(setup))


def overtaken(operator: Operator, setup: str) -> Operator:
    """As if it had begun before, for what Python takes as it comes."""
    return replace(operator, command=deceived(setup))


def assert_ends_well(operator: Operator) -> None:
    operator.sandbox.calm()
    resumed = operator.run(f"push --resume {OPTIONS}")
    assert resumed.code == 0, resumed.err
    judge(operator.sandbox, operator.ledger, SETTLE)


def assert_fails(result: Result, error: type[MigratorError], *words: str) -> None:
    assert result.code == error.exit_code, result
    assert "Traceback" not in result.err
    for word in (*words, "next: "):
        assert word in result.err


# Signals


@pytest.fixture
def hangups() -> Iterator[None]:
    """Processes that are started hear SIGHUP, also where the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_a_terminal_that_closes_is_heard_like_sigterm(operator, hangups):
    operator.sandbox.fault("slow", times=24)
    push = operator.start(PUSH)
    operator.sandbox.wait_until(lambda: len(operator.sandbox.held) >= 4, timeout=30)
    push.send_signal(signal.SIGHUP)
    push.send_signal(signal.SIGHUP)  # the shell's, and the kernel's
    result = ended(push)
    assert result.code == ExitCode.SIGTERM
    assert re.search(r"Interrupted: \d+ posted, 0 in doubt\.", result.err)
    assert_ends_well(operator)


def test_nohup_is_obeyed(operator):
    operator.sandbox.fault("slow", times=4)
    push = overtaken(operator, "signal.signal(signal.SIGHUP, signal.SIG_IGN)").start(PUSH)
    operator.sandbox.wait_until(lambda: len(operator.sandbox.held) == 4, timeout=30)
    push.send_signal(signal.SIGHUP)
    assert ended(push).code == 0
    judge(operator.sandbox, operator.ledger, SETTLE)


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_while_waiting_for_what_is_in_flight_leaves_doubts_only(operator, second):
    operator.sandbox.fault("hang_after_saving", times=4)
    push = operator.start(f"{PUSH} --json")
    operator.sandbox.wait_until(lambda: len(operator.sandbox.held) == 4, timeout=30)
    push.send_signal(signal.SIGINT)
    # Two of a kind that come too fast are one.
    eventually(lambda: push.poll() is not None or push.send_signal(second), "its end")
    result = ended(push)
    assert result.code in (128 + second, ExitCode.SIGINT)
    assert "Interrupted" not in result.err
    told = [json.loads(line) for line in result.out.splitlines()]
    (last,) = [one for one in told if one["event"] == "result"]
    assert last == told[-1]
    assert (last["command"], last["exit_code"]) == ("push", result.code)
    assert last["next"] == "migrator push --resume"
    assert operator.ask("SELECT count(*) FROM attempt WHERE outcome IS NULL") == [(4,)]
    assert_ends_well(operator)


# Streams

NOBODY_READS = "r, w = os.pipe(); os.close(r); os.dup2(w, {})"
FULL = "os.dup2(os.open('/dev/full', os.O_WRONLY), {})"
CLOSED = "os.close({})"


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("trouble", [NOBODY_READS, CLOSED])
def test_a_stream_that_nobody_reads_changes_nothing_of_a_push(operator, trouble, number):
    operator.sandbox.fault("refuse")
    # Python has no stream at all where its descriptor was closed before it began.
    befallen = suffering if trouble == CLOSED else overtaken
    result = befallen(operator, trouble.format(number)).run(PUSH)
    assert result.code == ExitCode.NEEDS_ATTENTION
    assert "Traceback" not in result.err
    assert operator.ask("SELECT exit_code FROM run ORDER BY id DESC LIMIT 1") == [(1,)]
    assert len(operator.sandbox.held) == 23


def test_without_any_stream_the_work_is_done(operator):
    assert suffering(operator, "os.closerange(0, 3)").run(PUSH).code == 0
    judge(operator.sandbox, operator.ledger, SETTLE)


@pytest.mark.parametrize("words", [PUSH, "report"])
def test_a_result_that_finds_no_room_is_told(operator, words):
    result = overtaken(operator, FULL.format(1)).run(words)
    assert_fails(result, StoppedEarly, "The output could not be written: No space left", "report")
    if words == PUSH:
        judge(operator.sandbox, operator.ledger, SETTLE)


def test_progress_that_finds_no_room_stops_nothing(operator):
    assert overtaken(operator, FULL.format(2)).run(PUSH).code == 0


def push_and_change(operator: Operator) -> None:
    assert operator.run(PUSH).code == 0
    ((contact,),) = operator.ask("SELECT hubspot_id FROM contact WHERE lead_id <> '' LIMIT 1")
    operator.sandbox.change_contact(contact, jobtitle="Countess")
    assert operator.run("stage -q").code == 0


@pytest.mark.parametrize("trouble", [NOBODY_READS, FULL])
@pytest.mark.parametrize("how", ["--yes", "--dry-run"])
@pytest.mark.parametrize("verb", ["update", "undo --all"])
def test_a_table_that_cannot_be_shown_stops_nothing(operator, verb, how, trouble):
    push_and_change(operator)
    done = overtaken(operator, trouble.format(2)).run(f"{verb} -q {how} {WRITE}")
    assert done.code == 0, done
    written = operator.ask("SELECT count(*) > 0 FROM attempt WHERE kind <> 'create'")
    assert written == [(how == "--yes",)]


def test_a_table_is_talk_that_quiet_leaves_out_unless_it_is_asked(operator):
    push_and_change(operator)
    assert "Countess" in operator.run(f"update -q --dry-run {WRITE}").err
    assert operator.run(f"update -q --yes {WRITE}").err == ""


# Folders


def test_a_folder_that_is_gone_is_named(operator):
    vanish = "os.mkdir('x'); os.chdir('x'); os.rmdir('../x')"
    assert_fails(suffering(operator, vanish).run("report"), NotReady, "is gone", "next: cd to one")


def test_a_push_outlives_the_folder_that_it_was_typed_in(operator):
    typed_in = operator.folder / "x"
    typed_in.mkdir()
    operator.sandbox.fault("refuse", where=lambda _: typed_in.exists() and typed_in.rmdir())
    push = overtaken(operator, "os.chdir('x')").run(f"{PUSH} --ledger ../migrator.db")
    assert push.code == 0, push.err
    assert not typed_in.exists()
    judge(operator.sandbox, operator.ledger, SETTLE)


@pytest.mark.parametrize("how", ["moved", "replaced"])
def test_a_ledger_that_goes_away_under_a_push_ends_it(operator, how):
    away = operator.folder.with_name("away")

    def take_away(_: object) -> bool:
        if away.exists():
            return False
        shutil.copytree(operator.folder, away)
        if how == "moved":
            operator.ledger.rename(operator.folder / "moved.db")
        else:
            shutil.rmtree(operator.folder)
        if how == "replaced":
            shutil.copytree(away, operator.folder)
        return False  # no fault strikes

    operator.sandbox.fault("refuse", where=take_away)
    result = operator.run(PUSH)
    assert_fails(result, LedgerError, "was moved, deleted or replaced while it was in use")
    assert len(posts(operator.sandbox)) <= 4  # no more than were on their way


def test_a_missing_home_is_no_trouble(operator):
    assert overtaken(operator, "os.environ.pop('HOME')").run(PUSH).code == 0


# Limits


def test_too_few_open_files_only_slow_a_push_down(operator):
    few = "resource.setrlimit(resource.RLIMIT_NOFILE, (14, 14))"
    result = suffering(operator, few).run(f"push --workers 16 {OPTIONS}")
    assert result.code in (0, StoppedEarly.exit_code), result
    assert "Traceback" not in result.err
    assert_ends_well(operator)


def test_no_more_threads_stop_a_push_resumably(operator):
    # Each thread wants a stack, and there is room for a few of them only.
    stacks = (
        "resource.setrlimit(resource.RLIMIT_STACK, (1 << 29, resource.RLIM_INFINITY))\n"
        "resource.setrlimit(resource.RLIMIT_AS, (3 << 29, resource.RLIM_INFINITY))"
    )
    result = suffering(operator, stacks).run(f"push --workers 16 {OPTIONS}")
    assert_fails(result, StoppedEarly, "This process cannot get more threads", "--workers")
    assert operator.ask("SELECT exit_code FROM run ORDER BY id DESC LIMIT 1") == [(4,)]
    assert_ends_well(operator)
