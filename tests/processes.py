"""The real command in a real process, against a sandbox in this one."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from migrator import cli
from migrator.sandbox import Sandbox

LONGEST_SECONDS = 60.0
# Ledgers that were staged once and bound to no destination yet, by what was staged.
_staged: dict[tuple[str, ...], bytes] = {}


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Operator:
    """Types commands in a folder of its own, with a sandbox's credentials in the environment."""

    folder: Path
    sandbox: Sandbox
    command: tuple[str, ...] = (sys.executable, "-m", "migrator")

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
        self, words: str, stream: int = subprocess.PIPE, /, **more: str
    ) -> subprocess.Popen[str]:
        """Type a command; what it prints goes to a stream, which may be a terminal."""
        return subprocess.Popen(
            [*self.command, *words.split()],
            cwd=self.folder,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            text=True,
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


def ended(process: subprocess.Popen[str]) -> Result:
    """Wait until it ends by itself, and what it said."""
    try:
        out, err = process.communicate(timeout=LONGEST_SECONDS)
    finally:
        kill(process)
    return Result(process.returncode, out, err)


def kill(process: subprocess.Popen[str]) -> None:
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
