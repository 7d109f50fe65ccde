"""
Real commands as real processes: started, paused, killed, and looked at closely when they are over.

Every process must end with one of the exit codes that its command may have, and none may print a
traceback. It must never judge what is at the destination; that is the judge's.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import migrator
from benchmarks.judge import Broken
from migrator.sandbox import LoggedRequest, Sandbox

NAP_SECONDS = 0.01
# A second signal, or SIGKILL, leaves a process no time at all; this is for a busy machine.
SECONDS_TO_VANISH = 30.0

# How each command may end while anything may go wrong: 1 = refused, given up or in conflict, 3 = a
# service declined the credentials, 4 = stopped early. A verification may end with 1 only where
# people edit leads: else nothing is ever missing, different or doubled.
BUSY = 6
ALLOWED = {
    "auth": {0, 4},
    "stage": {0, 3, 4},
    "push": {0, 1, 3, 4},
    "verify": {0, 3, 4},
    "update": {0, 1, 3, 4},
    "retry": {0},
    # A ledger at rest is read as it is; a command that begins meanwhile is busy with it.
    "report": {0, BUSY},
}
# Before a command listens for it, SIGTERM ends Python itself.
TERMINATED = {128 + signal.SIGTERM, -signal.SIGTERM}
SIGNS_OF_A_BUG = ("Traceback (most recent call last)", "This is a bug in migrator", "do not close")


@dataclass
class Command:
    """A command that was started. Its output goes to files: nobody reads along."""

    words: str
    process: subprocess.Popen[bytes]
    output: Path
    received_before: int
    began: float = field(default_factory=time.monotonic)
    allowed: set[int] = field(default_factory=set)

    @property
    def verb(self) -> str:
        """Which command it is."""
        return self.words.split()[0]

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Return when it ends, something else is so, or the time is up; whether it is alive."""
        deadline = time.monotonic() + seconds
        while self.is_alive and time.monotonic() < deadline and not until():
            time.sleep(NAP_SECONDS)
        return self.is_alive

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.allowed.add(-signal.SIGKILL)

    def terminate(self, patience_seconds: float) -> bool:
        """SIGTERM, and a second one when it takes too long; whether that was needed."""
        self.process.terminate()
        self.allowed |= TERMINATED
        if not self.wait(patience_seconds):
            return False
        self.process.terminate()
        return True

    def pause(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT later."""
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)


class Operator:
    """
    Types commands in a folder of its own, with a sandbox's credentials in the environment.

    Args:
        folder: For everything: ledger, credentials file, what was printed.
        is_edited: Whether people edit leads, so that `verify` may find some that differ.
    """

    def __init__(self, folder: Path, sandbox: Sandbox, *, is_edited: bool = False) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self._also_allowed = {"verify": {1}} if is_edited else {}
        self.ledger = folder / "migrator.db"
        self._environment = _environment(folder, sandbox)
        self._alive: list[Command] = []
        self._started = 0

    def start(self, words: str) -> Command:
        """Start a command and return at once."""
        self._started += 1
        output = self.folder / f"output-{self._started}"
        with output.open("wb") as out:
            process = subprocess.Popen(  # noqa: S603 - our own command, with our own words
                [sys.executable, "-m", "migrator", *words.split()],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        command = Command(words, process, output, len(self.sandbox.received))
        command.allowed |= ALLOWED[command.verb] | self._also_allowed.get(command.verb, set())
        self._alive.append(command)
        return command

    def since(self, command: Command) -> list[LoggedRequest]:
        """What the sandbox received since this command was started."""
        return self.sandbox.received[command.received_before :]

    def end(self, command: Command) -> int:
        """
        Wait for a command that is to end now, and look at how it did.

        Raises:
            Broken: it did not end, or with a code or words that it may not have.
        """
        if command.wait(SECONDS_TO_VANISH):
            raise Broken(f"`{command.words}` (process {command.process.pid}) does not end")
        code = command.process.wait()
        printed = self._log(command, code)
        self._alive.remove(command)
        if code not in command.allowed or any(sign in printed for sign in SIGNS_OF_A_BUG):
            raise Broken(f"`{command.words}` ended with {code}: {printed.strip()[-600:]}")
        return code

    def run(self, words: str, longest_seconds: float) -> int:
        """Run a command to its end."""
        command = self.start(words)
        command.wait(longest_seconds)
        return self.end(command)

    def _log(self, command: Command, code: int) -> str:
        printed = command.output.read_text(encoding="utf-8", errors="replace")
        command.output.unlink()
        took = time.monotonic() - command.began
        with (self.folder / "log.txt").open("a", encoding="utf-8") as log:
            log.write(f"$ {command.words}   [{command.process.pid}: {code}, {took:.2f} s]\n")
            log.write(printed)
        return printed

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Nothing that was started here outlives this."""
        try:
            yield
        finally:
            for command in self._alive:
                with suppress(ProcessLookupError):
                    command.process.kill()
                command.process.wait()


def _environment(folder: Path, sandbox: Sandbox) -> dict[str, str]:
    """Of the user's environment, nothing that names an account, a ledger or a home."""
    ours = ("HUBSPOT_", "LEADGENIUS_", "LGP_", "MIGRATOR_")
    rest = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    source = str(Path(migrator.__file__).parent.parent)
    return {
        **rest,
        **sandbox.environment(),
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
        "LEADGENIUS_AUTH_FILE": str(folder / "auth.json"),
        "PYTHONPATH": os.pathsep.join(filter(None, (source, rest.get("PYTHONPATH")))),
    }
