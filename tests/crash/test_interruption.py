"""The first signal asks, the second one leaves: shown by real signals to real processes."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from migrator.errors import StoppedEarly
from migrator.signals import Signals
from tests import ROOT

SIGNALS = [signal.SIGINT, signal.SIGTERM]
PATIENT_SECONDS = 30.0

PAUSING = """
    try:
        signals.pause(60)
    except Interrupted as error:
        say("interrupted", error.exit_code, signals.is_wanted)
        sys.exit(error.exit_code)
"""

WORKING = """
    while not signals.is_wanted:
        threading.Event().wait(0.01)
    try:
        signals.check()
    except Interrupted as error:
        say("interrupted", error.exit_code)
        sys.exit(error.exit_code)
"""

# It hears the first signal, and then waits for a thread that never ends.
STUCK = """
    threading.Thread(target=threading.Event().wait).start()
    while not signals.is_wanted:
        threading.Event().wait(0.01)
    say("asked")
    threading.Event().wait()
"""

# A signal comes at each of the lines in turn that a pause runs through, whatever they belong to.
AT_EVERY_LINE = """
    def tracer(until):
        lines = 0

        def trace(frame, event, arg):
            nonlocal lines
            lines += event == "line"
            if lines == until:
                lines += 1
                signal.raise_signal(signal.SIGINT)
            return trace

        return trace

    heard = 0
    for line in range(1, 40):
        signals = Signals()
        signals.listen()
        try:
            sys.settrace(tracer(line))
            signals.pause(0.01)
            sys.settrace(None)
        except Interrupted:
            sys.settrace(None)
            heard += 1
        else:
            heard += signals.is_wanted
            if not signals.is_wanted:
                break
    say("heard", heard == line - 1, heard > 3)
"""


# Born with its signals ignored, as what a shell runs in the background is.
IGNORING = """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Signals().listen()
    say([signal.getsignal(one) is signal.SIG_IGN for one in (signal.SIGINT, signal.SIGTERM)])
"""


@contextmanager
def child(work: str) -> Iterator[tuple["subprocess.Popen[str]", IO[str]]]:
    """A process that listens, says "ready" and then does this; and what it says."""
    script = """
    import signal, sys, threading
    from migrator.errors import Interrupted
    from migrator.signals import Signals

    def say(*words):
        print(*words, flush=True)

    signals = Signals("migrator push --resume")
    signals.listen()
    say("ready")
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script) + textwrap.dedent(work)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process, process.stdout
        finally:
            process.kill()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_pause_with_its_own_exit_code(number: signal.Signals) -> None:
    with child(PAUSING) as (process, said):
        process.send_signal(number)
        assert process.wait(PATIENT_SECONDS) == 128 + number
        assert said.read() == f"interrupted {128 + number} True\n"


@pytest.mark.parametrize("number", SIGNALS)
def test_work_looks_up_and_lays_itself_down(number: signal.Signals) -> None:
    with child(WORKING) as (process, said):
        process.send_signal(number)
        assert process.wait(PATIENT_SECONDS) == 128 + number
        assert said.read() == f"interrupted {128 + number}\n"


@pytest.mark.parametrize("second", SIGNALS)
@pytest.mark.parametrize("first", SIGNALS)
def test_a_second_signal_leaves_at_once_whatever_hangs(
    first: signal.Signals, second: signal.Signals
) -> None:
    with child(STUCK) as (process, said):
        process.send_signal(first)
        assert said.readline() == "asked\n"
        assert process.poll() is None
        process.send_signal(second)
        assert process.wait(PATIENT_SECONDS) == 128 + second
        assert said.read() == ""
        assert process.stderr is not None
        assert process.stderr.read().splitlines() == [
            "",
            "Stopped at once; what was committed is kept.",
            "next: migrator push --resume",
        ]


def test_a_signal_that_is_ignored_from_birth_stays_ignored() -> None:
    with child(IGNORING) as (process, said):
        assert process.wait(PATIENT_SECONDS) == 0
        assert said.read() == "[True, False]\n"


def test_a_signal_is_heard_at_every_line_of_a_pause() -> None:
    with child(AT_EVERY_LINE) as (process, said):
        process.wait(PATIENT_SECONDS)
        assert said.read() == "heard True True\n"


def test_a_signal_before_a_pause_ends_it_before_it_begins() -> None:
    work = "signal.raise_signal(signal.SIGTERM)\n" + textwrap.dedent(PAUSING)
    began = time.monotonic()
    with child(work) as (process, _):
        assert process.wait(PATIENT_SECONDS) == 143
    assert time.monotonic() - began < PATIENT_SECONDS


def test_a_pause_that_nobody_ends_is_as_long_as_it_says() -> None:
    signals = Signals()
    began = time.monotonic()
    signals.pause(0.05)
    assert 0.05 <= time.monotonic() - began < PATIENT_SECONDS


def test_nobody_wants_to_stop_unasked() -> None:
    signals = Signals()
    signals.check()
    signals.pause(0)
    assert not signals.is_wanted


def test_nobody_touches_signals_before_being_told_to_listen() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    Signals()
    assert [signal.getsignal(number) for number in SIGNALS] == before


LOADING = """
import signal, sys

class Interrupting:
    def find_spec(self, name, *more):
        if name == "migrator.cli":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from migrator.__main__ import main
main()
"""


def test_who_interrupts_before_the_command_is_loaded_sees_no_traceback() -> None:
    done = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


def test_when_the_work_is_over_whoever_pauses_is_cut_off():
    signals = Signals()
    ended = []

    def wait() -> None:
        try:
            signals.pause(60)
        except StoppedEarly as error:
            ended.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    with signals.cut_off():
        waiting.join(10)
    assert len(ended) == 1
    assert not signals.is_wanted
    signals.pause(0.01)  # as the next command of the same process does
