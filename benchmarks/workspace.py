"""
Where commands are typed and measured: a folder, a ledger, and a stand-in in a process of its own.

Owns the other end of `stand`, and the environment of all that is measured. It must never import the
sandbox: see `measuring`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks import measuring
from benchmarks.measuring import Cost, Running

ROOT = Path(__file__).parent.parent
_REFERENCES = Path(__file__).parent / "reference"


class Stand:
    """
    Both services on one loopback port, without limits; use it as a context.

    Args:
        latency: Of each answer, in seconds: drawn evenly from between the two.
    """

    def __init__(self, contacts: int, latency: tuple[float, float] = (0.0, 0.0)) -> None:
        words = ["--contacts", contacts, "--latency", *latency]
        self._process = subprocess.Popen(  # noqa: S603 - our own module, with numbers
            [sys.executable, "-m", "benchmarks.sandbox_process", *map(str, words)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        told = self._answer()
        self.url: str = told["url"]
        self.environment: dict[str, str] = told["environment"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if sys.exc_info()[0] is not None:
            self._process.kill()
        self._process.communicate()

    def ask(self, question: str) -> dict[str, Any]:
        """One of the questions in `stand`, and what it asks about."""
        if self._process.stdin is None:
            raise RuntimeError("the stand-in cannot be asked")
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError("the stand-in is gone")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Workplace:
    """A folder with one ledger, and what is typed there."""

    def __init__(self, folder: Path, stand: Stand) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.ledger = folder / "migrator.db"
        self._environment = _environment(folder, stand)

    def start(self, words: str, more: Mapping[str, str] | None = None) -> Running:
        """Start a command of the migrator and return at once."""
        command = [sys.executable, "-m", "migrator", *words.split()]
        return Running(command, self.folder, {**self._environment, **(more or {})})

    def migrator(
        self, words: str, more: Mapping[str, str] | None = None, allowed: tuple[int, ...] = (0,)
    ) -> Cost:
        """Run a command of the migrator to its end."""
        return self.start(words, more).ended(allowed)

    def reference(self, name: str, *words: object) -> Cost:
        """Run one of the bare forms to its end."""
        return self.script(sys.executable, _REFERENCES / f"{name}.py", *words)

    def script(self, python: str, path: Path, *words: object) -> Cost:
        """Run any script to its end, with the same credentials."""
        return self.start_script(python, path, *words).ended()

    def start_script(self, python: str, path: Path, *words: object) -> Running:
        """Start any script and return at once."""
        command = [python, str(path), *map(str, words)]
        return Running(command, self.folder, self._environment)

    def take_ledger(self, staged: Path) -> None:
        """Begin with a copy of a ledger, which is trusted as if it had always been there."""
        # In a process of its own: a child's peak memory begins with that of who starts it.
        words = ["-c", _COPY, str(staged), str(self.ledger)]
        measuring.run([sys.executable, *words], ROOT, self._environment)

    def bytes_on_disk(self) -> int:
        """The ledger and what SQLite keeps beside it."""
        files = self.folder.glob(f"{self.ledger.name}*")
        return sum(file.stat().st_size for file in files if file.is_file())


def build_ledger(path: Path, stand: Stand, *words: object) -> None:
    """Make a ledger by `benchmarks.ledgers`, with its options, bound to a stand-in's client."""
    bound = ["--leadgenius-url", stand.url, "--client-id"]
    bound.append(stand.environment["LEADGENIUS_CLIENT_ID"])
    command = [sys.executable, "-m", "benchmarks.ledgers", str(path), *map(str, words), *bound]
    measuring.run(command, ROOT, own_environment())


_COPY = (
    "import sys\nfrom pathlib import Path\nfrom benchmarks.ledgers import copy\n"
    "copy(*map(Path, sys.argv[1:]))"
)


def own_environment() -> dict[str, str]:
    """Of the user's environment, nothing that names an account or a ledger."""
    ours = ("HUBSPOT_", "LEADGENIUS_", "LGP_", "MIGRATOR_")
    rest = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**rest, "PYTHONPATH": str(ROOT)}


def _environment(folder: Path, stand: Stand) -> dict[str, str]:
    return {
        **own_environment(),
        **stand.environment,
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
        "LEADGENIUS_AUTH_FILE": str(folder / "auth.json"),
    }
