"""The fence, in a real PostgreSQL: it has one holder, and `check` never passes for another."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from migrator.errors import FenceHeld, FenceLost, NotReady
from migrator.journey.fence import _CREATE, Fence
from tests import ROOT
from tests.support.postgres import PASSWORD, Wire, as_forgetful, as_old, as_pooler, server
from tests.support.processes import eventually

LONG = 60.0
SHORT = 2.0
NUMBERS = itertools.count()
# The sessions of fences; those of the tests themselves have another name.
FENCES = (
    "FROM pg_stat_activity WHERE application_name = 'migrator' AND datname = current_database()"
)


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    with server() as url:
        yield url


@pytest.fixture
def url(cluster: str) -> Iterator[str]:
    """A database of the test's own."""
    name = f"database_{next(NUMBERS)}"
    run(cluster, f"CREATE DATABASE {name}")
    yield cluster.replace("/postgres", f"/{name}")
    run(cluster, f"DROP DATABASE {name} WITH (FORCE)")


def run(url: str, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def port_of(url: str) -> int:
    return urlsplit(url).port or 0


def through(wire: Wire, url: str) -> str:
    return url.replace(f":{port_of(url)}/", f":{wire.port}/")


def hold(url: str, journey: str = "journey", **options: Any) -> Fence:
    return Fence.hold(url, journey, **{"lease_seconds": LONG, **options})


@contextmanager
def wired(url: str, **options: Any) -> Iterator[tuple[Wire, Fence]]:
    """A fence whose connection goes through a wire."""
    with Wire(port_of(url)) as wire, closing(hold(through(wire, url), **options)) as fence:
        yield wire, fence


@contextmanager
def holder(url: str, lease: float) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the fence."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.fence_holder", url, str(lease)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "epoch 1\n"
            yield process
        finally:
            process.kill()


def tell(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdin
    process.stdin.write(f"{word}\n")
    process.stdin.flush()


def heard(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def wait_until_stopped(process: "subprocess.Popen[str]") -> None:
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


# One holder


def test_a_second_one_is_refused_and_told_who_holds_it(url):
    told = pytest.raises(FenceHeld, match=r"journey: the other one\.")
    with closing(hold(url, holder="the other\none")), told as caught:
        hold(url, wait_seconds=0)
    assert caught.value.exit_code == 6


def test_it_says_process_host_and_folder_by_itself(url, tmp_path):
    with closing(hold(url)), pytest.raises(FenceHeld) as caught:
        hold(url, wait_seconds=0)
    assert f"process {os.getpid()} on {os.uname().nodename}, in {tmp_path}" in str(caught.value)


def test_the_next_one_holds_it_in_the_next_epoch(url):
    first = hold(url)
    first.check()
    first.close()
    with closing(hold(url)) as second:
        second.check()
        assert (first.epoch, second.epoch) == (1, 2)
    with pytest.raises(FenceLost, match="closed"):
        first.check()


def test_it_is_tried_for_as_long_as_is_said(url):
    with closing(hold(url)) as first, ThreadPoolExecutor() as pool:
        second = pool.submit(hold, url, wait_seconds=30)
        sql = f"SELECT count(*) {FENCES} AND query LIKE '%try_advisory_lock%'"
        eventually(lambda: run(url, sql) == [(1,)], "one that tries")
        first.close()
        second.result().close()


def test_two_journeys_do_not_know_of_each_other(url):
    with closing(hold(url, "one")) as one, closing(hold(url, "two")) as two:
        one.close()
        two.check()
        assert (one.epoch, two.epoch) == (1, 1)


def test_two_make_the_table_at_the_same_moment(url):
    with ThreadPoolExecutor() as pool, psycopg.connect(url) as other:
        other.execute(_CREATE.encode())
        fence = pool.submit(hold, url)
        sql = f"SELECT count(*) {FENCES} AND wait_event_type = 'Lock'"
        eventually(lambda: run(url, sql) == [(1,)], "a second one that waits for the first")
        other.commit()
        fence.result().close()


# Holders that die, stop, or are cut off


def test_a_killed_holder_leaves_it_at_once(url):
    with holder(url, LONG) as process:
        process.kill()
        with closing(hold(url)) as fence:
            assert fence.epoch == 2


def test_a_stopped_holder_loses_it_after_its_lease_and_knows(url):
    with holder(url, SHORT) as process:
        tell(process, "check")
        assert heard(process) == "held"
        process.send_signal(signal.SIGSTOP)
        with closing(hold(url, wait_seconds=30)) as fence:
            process.send_signal(signal.SIGCONT)
            for _ in range(2):
                tell(process, "check")
                assert heard(process) == "lost"
            fence.check()


def test_a_holder_stopped_between_the_answer_and_its_use_does_not_use_it(url):
    with holder(url, SHORT) as process:
        tell(process, "stop")
        wait_until_stopped(process)
        with closing(hold(url, wait_seconds=30)):
            process.send_signal(signal.SIGCONT)
            assert heard(process) == "lost"


def test_an_answer_of_half_a_lease_ago_is_asked_for_again(url):
    ahead = 0.0

    def clock() -> float:
        nonlocal ahead
        if sys._getframe(1).f_code.co_name == "check" and not ahead:
            ahead = LONG / 2
        return time.monotonic() + ahead

    with wired(url, clock=clock) as (wire, fence):
        before = wire.questions
        fence.check()
        assert wire.questions == before + 2


def test_a_cut_network_is_noticed_within_the_lease(url):
    with wired(url, lease_seconds=SHORT) as (wire, fence):
        fence.check()
        wire.cut()
        began = time.monotonic()
        with pytest.raises(FenceLost, match="no answer within") as caught:
            fence.check()
        assert time.monotonic() - began < SHORT * 4
        assert caught.value.exit_code == 6
        assert "push --resume" in caught.value.hint
        # The server does not know of the cut either, but of the lease.
        hold(url, wait_seconds=30).close()


def test_a_cut_network_while_it_is_taken_is_no_endless_wait(url):
    with Wire(port_of(url)) as wire:
        wire.cut()
        with pytest.raises(NotReady, match="timeout"):
            hold(through(wire, url), lease_seconds=SHORT)


def test_an_idle_holder_keeps_it_for_longer_than_its_lease(url):
    with closing(hold(url, lease_seconds=SHORT)) as fence:
        sql = f"SELECT now() - backend_start > '{1.5 * SHORT} s' {FENCES}"
        eventually(lambda: run(url, sql) != [(False,)], "more than a lease")
        fence.check()


def test_what_is_lost_stays_lost_though_the_server_is_there(url):
    with closing(hold(url)) as fence:
        run(url, f"SELECT pg_terminate_backend(pid) {FENCES}")
        for _ in range(2):
            with pytest.raises(FenceLost, match="terminating connection"):
                fence.check()
        with closing(hold(url)) as another:
            another.check()


@pytest.mark.parametrize(
    "sql", ["UPDATE migrator_fence SET epoch = 2", "DELETE FROM migrator_fence"]
)
def test_another_epoch_is_a_loss(url, sql):
    with closing(hold(url)) as fence:
        fence.check()
        run(url, sql)
        with pytest.raises(FenceLost, match="epoch"):
            fence.check()


def test_another_backend_is_a_loss(url):
    with closing(hold(url)) as fence:
        fence._pid += 1
        with pytest.raises(FenceLost, match="another session"):
            fence.check()


# What it cannot be held in


@pytest.mark.parametrize(
    ("falsify", "words"),
    [(as_pooler, "connection pooler"), (as_forgetful, "pooler"), (as_old, "version 13")],
)
def test_a_server_that_it_cannot_rest_on_is_refused(url, falsify, words):
    with Wire(port_of(url), falsify) as wire, pytest.raises(NotReady, match=words):
        hold(through(wire, url))
    assert run(url, "SELECT to_regclass('migrator_fence')") == [(None,)]


def test_a_user_without_rights_is_told_and_needs_none_where_the_table_is(url):
    run(url, f"CREATE ROLE plain LOGIN PASSWORD '{PASSWORD}'")
    plain = url.replace("boss", "plain")
    try:
        with pytest.raises(NotReady, match="permission denied for schema public") as caught:
            hold(plain)
        assert "migrator_fence" in caught.value.hint
        hold(url).close()
        run(url, "GRANT SELECT, INSERT, UPDATE ON migrator_fence TO plain")
        with closing(hold(plain)) as fence:
            fence.check()
    finally:
        run(url, "DROP OWNED BY plain")
        run(url, "DROP ROLE plain")


def test_a_server_that_may_not_be_written_is_refused(url):
    hold(url).close()
    with pytest.raises(NotReady, match="read-only"):
        hold(f"{url}?options=-c%20default_transaction_read_only%3Don")


def test_a_server_that_is_not_there_is_named(url):
    with pytest.raises(NotReady, match="refused"):
        hold("postgresql://boss:pw@127.0.0.1:1/postgres")


def test_without_psycopg_it_says_what_to_install():
    script = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from migrator.errors import NotReady\n"
        "from migrator.journey.fence import Fence\n"
        "try: Fence.hold('postgresql://127.0.0.1/', 'journey')\n"
        "except NotReady as error: print(int(error.exit_code), error.hint)\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert said.stdout == "3 pip install 'hubspot-to-leadgenius[fence]'\n", said.stderr


def test_psycopg_is_not_imported_before_a_fence_is_held():
    script = "import sys, migrator.journey.fence; print('psycopg' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert said.stdout == "False\n", said.stderr


# Each is misread by libpq, or refused, in a way that could quote the password.
@pytest.mark.parametrize(
    "written",
    [
        "postgresql://boss:{}@127.0.0.1:{port}/postgres",
        "postgresql://boss@127.0.0.1:{port}/postgres?password={}",
        "postgresql://boss:{}@127.0.0.1:1/postgres",
        "postgresql://boss:{}@nowhere.invalid/postgres",
        "postgresql://boss:{}@127.0.0.1:{port}/nowhere?sslmode=require",
        "postgresql://boss:a@{}@127.0.0.1/postgres",
        "postgresql://boss:1/{}@127.0.0.1/postgres",
        "postgresql://boss:1?{}@127.0.0.1/postgres",
        "postgresql://boss:1?{}=2@127.0.0.1/postgres",
        "postgresql://boss:{}%zz@127.0.0.1/postgres",
        "postgresql://boss:{}/postgres",
        "postgresql://boss:{}",
        "postgresql://127.0.0.1:{port}/postgres?{}",
        "postgresql://127.0.0.1:{port}/postgres?x{}=1",
        "mysql://boss:{}@127.0.0.1/postgres",
        "{}",
    ],
)
def test_no_password_is_printed(url, written, caplog):
    secret = "tell-nobody-7"
    with pytest.raises(NotReady) as caught:
        hold(written.replace("{port}", str(port_of(url))).replace("{}", secret))
    told = [caught.value.message, caught.value.hint, caplog.text]
    told += traceback.format_exception(caught.value)
    assert not [one for one in told if secret in one or "nobody-7" in one]


# Many threads


def together(work: Callable[[], object], threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(work) for _ in range(threads)]:
            future.result()


def test_threads_share_their_questions(url):
    def work() -> None:
        for _ in range(50):
            fence.check()

    with wired(url) as (wire, fence):
        before = wire.questions
        together(work, 16)
        assert 50 <= wire.questions - before <= 16 * 50 / 3


def test_no_answer_is_used_that_was_asked_for_before_the_call(url):
    with wired(url) as (wire, fence):
        before = wire.questions
        wire.hold_answers()
        first = threading.Thread(target=fence.check)
        first.start()
        eventually(lambda: wire.questions == before + 1, "the first question")
        later = threading.Thread(target=fence.check)
        later.start()
        eventually(lambda: is_waiting(later), "a second one that waits for an answer")
        wire.release_answers()
        first.join()
        later.join()
        assert wire.questions == before + 2


def is_waiting(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code.co_name == "wait"


def test_all_who_wait_learn_of_the_loss(url):
    with wired(url, lease_seconds=SHORT) as (wire, fence):
        wire.cut()
        with ThreadPoolExecutor(8) as pool:
            checks = [pool.submit(fence.check) for _ in range(8)]
        assert all(isinstance(one.exception(), FenceLost) for one in checks)
