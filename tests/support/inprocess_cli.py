"""Commands typed in this process, as they are, but for back-offs that nobody waits for."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.judge import judge, reading
from migrator import cli
from migrator.sandbox import Sandbox
from tests.support.processes import Result

SETTLE = 0.3
PUSH = f"push --rate max --workers 4 --settle {SETTLE} --timeout 2 --canary 0 --retry-for 0"
RESUME = PUSH.replace("push", "push --resume")
VERIFY = f"verify --settle {SETTLE} --timeout 2 --retry-for 0"
# Ledgers that were staged once and bound to no destination yet, by what was staged.
_staged: dict[str, list[bytes]] = {}


@dataclass(frozen=True)
class InProcessCli:
    """Types commands in a folder, with a sandbox's credentials in the environment."""

    folder: Path
    sandbox: Sandbox
    patch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __post_init__(self) -> None:
        modules = ("http.retries", "push", "push.breaker")
        for module in [f"{room}.backoff_seconds" for room in modules]:
            self.patch.setattr(f"migrator.{module}", lambda tries, *bounds, **more: 0.01)
        environment = self.sandbox.environment()
        environment["LEADGENIUS_AUTH_FILE"] = str(self.folder / "auth.json")
        # Only where the test has not named another service.
        for name, value in environment.items():
            self.patch.setenv(name, os.environ.get(name, value))

    def stage(self) -> None:
        """Type `stage`, or put down what it made of a portal with the same contacts."""
        portal = repr([*self.sandbox.expected()])
        # The lock's file too: a ledger that comes without it is taken for a copy put back.
        files = [self.folder / name for name in ("migrator.db", "migrator.db.lock")]
        if portal not in _staged:
            done = self.type("stage")
            assert done.code == 0, done.err
            _staged[portal] = [one.read_bytes() for one in files]
        for file, content in zip(files, _staged[portal], strict=True):
            file.touch(mode=0o600)
            file.write_bytes(content)

    def type(self, words: str | list[str]) -> Result:
        try:
            code = cli.main(words.split() if isinstance(words, str) else words)
        except SystemExit as left:
            code = int(left.code or 0)
        return Result(code, *self.capsys.readouterr())

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with reading(self.folder / "migrator.db") as ledger:
            return ledger.execute(sql).fetchall()

    def count(self, condition: str) -> int:
        return int(self.ask(f"SELECT count(*) FROM contact WHERE {condition}")[0][0])

    def ends_well(self, push: str = RESUME) -> None:
        """Everything works again; the journey ends as the judge demands."""
        self.sandbox.calm()
        self.sandbox.restore()
        for words in ("stage", push, VERIFY):
            done = self.type(words)
            assert done.code == 0, done
        judge(self.sandbox, self.folder / "migrator.db", SETTLE)
        assert self.count("held IN ('gave_up', 'refused', 'missing', 'different')") == 0


def when(sandbox: Sandbox, is_time: Callable[[], bool], act: Callable[[], object]) -> None:
    """Do something to a sandbox while a request is under way, once it is time for that."""
    acts = [act]

    def watch(subject: dict[str, Any]) -> bool:
        if is_time() and acts:
            acts.pop()()
        return False

    # They never strike: each is only asked whether it would.
    for name in ("refuse", "list_error", "hubspot_error"):
        sandbox.fault(name, where=watch)


def after_leads(sandbox: Sandbox, number: int, act: Callable[[], object]) -> None:
    """Do something when so many leads are there."""
    when(sandbox, lambda: len(sandbox.held) >= number, act)


def stops(result: Result, code: int, *words: str) -> None:
    """It stopped with this exit code and in these words, and no traceback."""
    assert result.code == code, result
    assert "Traceback" not in result.err
    assert "error: " in result.err
    assert "next: " in result.err
    for one in words:
        assert one in result.err, result.err
