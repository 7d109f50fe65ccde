"""
The demo command: a whole migration with stage, push, a kill, a resume, verify and report.

It runs the real commands as processes against the built-in sandbox, which then gives its verdict.
It needs no account. Ledger, credentials and working directory are temporary.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO, cast

from rich.console import Console
from rich.rule import Rule

from migrator.child_process import environment
from migrator.sandbox import Sandbox
from migrator.streams import SafeStream

# Shares of the sends that fail, in the ways that lead to duplicates if handled wrongly. None is
# throttled: that creates nothing, and a push that is throttled seems to stand still.
FAULTS = {
    "drop_after_saving": 0.02,
    "drop_before_saving": 0.02,
    "error_after_saving": 0.02,
    "error_without_saving": 0.02,
    "save_late": 0.01,
    "truncated": 0.02,
    "expire_token": 0.01,
}
SETTLE_SECONDS = 3.0
PUSH = (
    *("push", "--rate", "3000", "--workers", "8"),
    *("--timeout", "1", "--settle", str(SETTLE_SECONDS)),
)
LONGEST_STEP_SECONDS = 120.0


def demo(contacts: int, seed: int, stream: TextIO) -> bool:
    """
    Run the demo.

    Args:
        contacts: The number of contacts in the sandbox's portal.
        seed: Determines the contacts and the faults.

    Returns:
        Whether the sandbox holds exactly one lead, with the right fields, for each contact that
        can be sent, and every command succeeded.
    """
    console = Console(file=cast(TextIO, SafeStream(stream)), highlight=False)
    with (
        tempfile.TemporaryDirectory(prefix="migrator-demo-") as folder,
        Sandbox(contacts=contacts, seed=seed, faults=FAULTS) as sandbox,
    ):
        console.print(
            f"A simulated HubSpot with {contacts:,} contacts and a simulated LeadGenius that fails "
            f"in about one of ten sends, both at {sandbox.url}.",
        )
        player = _Player(console, Path(folder), sandbox)
        player.play(
            "stage", "Read all contacts from HubSpot into the ledger, and map them to leads."
        )
        player.play_and_kill("Send the leads, and kill the process halfway: kill -9.")
        player.play("report", "The ledger shows which contacts are posted or in doubt.")
        player.play(
            (*PUSH, "--resume"),
            "Resume: contacts in doubt are looked up before anything is sent again.",
        )
        player.play("verify", "Compare every lead in LeadGenius with what was sent.")
        player.play("report", "Every contact is accounted for.")
        return _judge(console, sandbox, player.is_good)


class _Player:
    """Runs commands as separate processes, as a user would type them."""

    def __init__(self, console: Console, folder: Path, sandbox: Sandbox) -> None:
        self._console = console
        self._folder = folder
        self._sandbox = sandbox
        self._environment = _environment(folder, sandbox.environment())
        self.is_good = True

    def play(self, words: str | Sequence[str], why: str) -> None:
        """Run a command and wait for it."""
        process = self._start(words, why)
        try:
            code = process.wait(LONGEST_STEP_SECONDS)
        finally:
            _kill(process)
        if code != 0:
            self.is_good = False
            self._console.print(f"It ended with exit code {code}.", style="bold red")

    def play_and_kill(self, why: str) -> None:
        """Run a push, and kill it when about half of the contacts have arrived."""
        half = sum(1 for one in self._sandbox.expected() if one.lead is not None) // 2
        process = self._start(PUSH, why)
        try:
            until = time.monotonic() + LONGEST_STEP_SECONDS
            while process.poll() is None and time.monotonic() < until:
                with suppress(TimeoutError):
                    self._sandbox.wait_until(lambda: len(self._sandbox.held) >= half, timeout=1.0)
                    break
        finally:
            _kill(process)
        held = len(self._sandbox.held)
        self._console.print(f"\nKilled. The sandbox holds {held:,} leads by now.", style="bold")

    def _start(self, words: str | Sequence[str], why: str) -> subprocess.Popen[bytes]:
        words = [words] if isinstance(words, str) else list(words)
        self._console.print()
        self._console.print(Rule(style="dim"))
        self._console.print(why, style="dim")
        self._console.print(f"[bold]$ migrator {' '.join(words)}[/]")
        self._console.file.flush()
        return subprocess.Popen(  # noqa: S603 - our own command, with our own words
            [sys.executable, "-m", "migrator", *words],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
        )


def _environment(folder: Path, sandbox: Mapping[str, str]) -> dict[str, str]:
    return {
        **environment(),
        **sandbox,
        "MIGRATOR_LEDGER": str(folder / "migrator.db"),
        "XDG_STATE_HOME": str(folder / "state"),
        "LEADGENIUS_AUTH_FILE": str(folder / "leadgenius_auth.json"),
    }


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _judge(console: Console, sandbox: Sandbox, are_commands_good: bool) -> bool:
    verdict = sandbox.verdict()
    console.print()
    console.print(Rule(style="dim"))
    console.print(
        f"The sandbox's own record: {verdict.sendable:,} contacts can be sent, "
        f"{verdict.held_leads:,} leads are held; {len(verdict.lost):,} lost, "
        f"{len(verdict.duplicated):,} twice, {len(verdict.wrong):,} with a wrong field."
    )
    if verdict.ok and are_commands_good:
        console.print("Exactly one lead for each contact.", style="bold green")
        return True
    console.print("That is not one lead for each contact.", style="bold red")
    return False
