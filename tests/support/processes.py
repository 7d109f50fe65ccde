"""The real command in a real process, against a sandbox in this one."""

import atexit
import functools
import json
import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pytest

from migrator import cli
from migrator.sandbox import Sandbox
from tests import ROOT
from tests.support.fork_server import NUMBER, read

LONGEST_SECONDS = 60.0
ORDINARY = (sys.executable, "-m", "migrator")
PIPES = (subprocess.DEVNULL, subprocess.PIPE, subprocess.PIPE)
# Ledgers that were staged once and bound to no destination yet, by what was staged.
_staged: dict[tuple[str, ...], bytes] = {}


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


class Forked:
    """A process of the command, forked by `fork_server`, with what tests use of `Popen`."""

    def __init__(
        self, words: Sequence[str], folder: Path, environment: dict[str, str], *streams: int
    ) -> None:
        """
        Args:
            words: `-m migrator` and its words, or `-c` and lines that import the package.
            streams: The descriptors of its stdin, stdout and stderr, or `subprocess.PIPE` and
                `subprocess.DEVNULL`.
        """
        self.args = words
        self.returncode: int | None = None
        self._answers, theirs = socket.socketpair()
        order = {"words": words, "folder": str(folder), "environment": environment}
        ours: list[TextIO | None] = []
        with ExitStack() as here:
            here.enter_context(theirs)
            descriptors = []
            for stream in streams:
                ours.append(None)
                if stream == subprocess.DEVNULL:
                    stream = os.open(os.devnull, os.O_RDWR)
                    here.callback(os.close, stream)
                elif stream == subprocess.PIPE:
                    end, stream = os.pipe()
                    here.callback(os.close, stream)
                    ours[-1] = open(end)  # noqa: SIM115, PTH123
                descriptors.append(stream)
            _order(json.dumps(order).encode(), [*descriptors, theirs.fileno()])
        _, self.stdout, self.stderr = ours
        (self.pid,) = NUMBER.unpack(read(self._answers, NUMBER.size))

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        if (code := self._look(timeout)) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        with ThreadPoolExecutor() as pool:
            streams = (self.stdout, self.stderr)
            said = [pool.submit(one.read if one is not None else str) for one in streams]
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        for one in streams:
            if one is not None:
                one.close()
        out, err = (one.result() for one in said)
        return out, err

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended, and its answer is on the way
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._answers], [], [], timeout)[0]:
            (self.returncode,) = NUMBER.unpack(read(self._answers, NUMBER.size))
            self._answers.close()
        return self.returncode


@functools.cache
def _server() -> socket.socket:
    """Where the server takes its orders; it lives as long as this process."""
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno())]
        server = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=ROOT)
    atexit.register(server.wait)
    atexit.register(ours.close)
    return ours


def _order(content: bytes, descriptors: list[int]) -> None:
    orders = _server()
    socket.send_fds(orders, [NUMBER.pack(len(content))], descriptors)
    orders.sendall(content)


Process = Forked | subprocess.Popen[str]


@dataclass(frozen=True)
class Operator:
    """Types commands in a folder of its own, with a sandbox's credentials in the environment."""

    folder: Path
    sandbox: Sandbox
    command: tuple[str, ...] = ORDINARY

    @property
    def ledger(self) -> Path:
        return self.folder / "migrator.db"

    def environment(self, **more: str) -> dict[str, str]:
        return {
            **os.environ,
            **self.sandbox.environment(),
            "LEADGENIUS_AUTH_FILE": str(self.folder / "auth.json"),
            **more,
        }

    def stage(self) -> None:
        """Type `stage`, or put down what it made for another sandbox with the same contacts."""
        portal = tuple(one.contact_id for one in self.sandbox.expected())
        if portal not in _staged:
            result = self.run("stage -q")
            assert result.code == 0, result.err
            _staged[portal] = self.ledger.read_bytes()
        self.ledger.write_bytes(_staged[portal])

    def start(
        self,
        words: str,
        stream: int = subprocess.PIPE,
        stdin: int = subprocess.DEVNULL,
        /,
        **more: str,
    ) -> Process:
        """Type a command; what it prints goes to a stream, which may be a terminal."""
        return start(
            [*self.command, *words.split()],
            cwd=self.folder,
            env=self.environment(**more),
            streams=(stdin, stream, stream),
            may_fork=self.command[1] in ("-m", "-c"),
        )

    def run(self, words: str, **more: str) -> Result:
        return ended(self.start(words, **more))

    def type(self, words: str) -> int:
        """The same command typed in this process, for where the process is not the point."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            for name, value in self.environment().items():
                patch.setenv(name, value)
            return cli.main(words.split())

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """What the ledger says, read as anybody could."""
        ledger = sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)
        try:
            return ledger.execute(sql).fetchall()
        finally:
            ledger.close()

    @contextmanager
    def held_lock(self) -> Iterator[None]:
        """Nobody else can commit to the ledger meanwhile."""
        ledger = sqlite3.connect(self.ledger, isolation_level=None)
        try:
            ledger.execute("BEGIN IMMEDIATE")
            yield
        finally:
            ledger.close()


class Gate:
    """
    Holds a request of one kind, from a moment on, until it is opened.

    Meanwhile the sandbox answers no other request either.
    """

    def __init__(
        self, operator: Operator, kind: str, since: Callable[[], bool] = lambda: True
    ) -> None:
        self._since = since
        self._is_reached = threading.Event()
        self._is_open = threading.Event()
        operator.sandbox.fault(kind, where=self._hold)

    def _hold(self, _: object) -> bool:
        if self._since():
            self._is_reached.set()
            self._is_open.wait(LONGEST_SECONDS)
        return False  # no fault strikes

    def wait(self) -> None:
        """Wait until the request has come."""
        assert self._is_reached.wait(LONGEST_SECONDS)

    def open(self) -> None:
        """Let it be answered."""
        self._is_open.set()


def start(
    command: Sequence[str],
    cwd: Path,
    env: dict[str, str],
    streams: tuple[int, int, int] = PIPES,
    *,
    may_fork: bool = True,
) -> Process:
    """
    Start Python. It is forked from a process that has imported the package, unless something is
    told to Python itself, or `may_fork` is false.

    Args:
        streams: Descriptors of stdin, stdout and stderr, or `subprocess.PIPE` and `DEVNULL`.
    """
    told_python = any(env[one] != os.environ.get(one) for one in env if one.startswith("PYTHON"))
    if may_fork and not told_python:
        return Forked(command[1:], cwd, env, *streams)
    stdin, stdout, stderr = streams
    return subprocess.Popen(
        command, cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr, text=True
    )


def ended(process: Process, seconds: float = LONGEST_SECONDS) -> Result:
    """Wait until it ends by itself, so long at most, and what it said."""
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        kill(process)
    return Result(process.wait(), out, err)


def kill(process: Process) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def eventually(condition: Callable[[], bool], what: str) -> None:
    """For what no sandbox can signal: a state of a file, looked at again and again."""
    until = time.monotonic() + LONGEST_SECONDS
    while not condition():
        assert time.monotonic() < until, f"never came: {what}"
        time.sleep(0.01)
