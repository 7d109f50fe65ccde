"""
The options of a push, and the reports of its counters to the terminal and to the ledger.

This module only counts and reports; it decides nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from migrator.counters import WriteCounters
from migrator.findings import Findings
from migrator.ledger import AttemptResult, HoldsChanged, Ledger
from migrator.states import Hold

SAVED_EVERY_SECONDS = 1.0


@dataclass(frozen=True)
class PushOptions:
    """
    The options of a push.

    Args:
        portal_id: The HubSpot portal of the contacts.
        client_id: The LeadGenius client that receives the leads.
        limit: Contacts to send at most; `None` = all.
        workers: Threads that send.
        settle_seconds: How long after a send a listing proves that it did not arrive (`doubts`).
        canary: Leads to send and read back before the rest of a first push; 0 = none.
        max_in_doubt: How many contacts may be in doubt or in flight at once.
        findings: What a probe found out about this LeadGenius.
    """

    portal_id: str
    client_id: str
    limit: int | None = None
    workers: int = 8
    settle_seconds: float = 60.0
    canary: int = 5
    max_in_doubt: int = 50
    findings: Findings = field(default_factory=Findings)


Notice = Callable[[Any], None]  # receives the counters


@dataclass
class ProgressRecorder:
    """
    Counts results, and reports them: to this terminal by `notice`, to others by the run's row.

    Args:
        progress: The counters of the command.
        left: How many contacts are due now.
        limit: Contacts to send at most; `None` = all.
    """

    ledger: Ledger
    run_id: int
    progress: WriteCounters
    left: Callable[[], int]
    notice: Notice
    limit: int | None

    def __post_init__(self) -> None:
        self._saved_at = 0.0
        self._saved_rate: float | None = None
        self._left_behind: dict[int, Hold] = {}

    def count(self, ending: AttemptResult) -> None:
        """Count a result."""
        self.progress.count(ending.outcome)

    @property
    def done(self) -> int:
        """Writes that were done."""
        return self.progress.done

    def report(self) -> None:
        """Report to this terminal."""
        self.notice(self.progress)

    def change(self, changed: HoldsChanged) -> None:
        """Count contacts that were held or freed."""
        self._left_behind |= changed.held
        for key in changed.freed:
            self._left_behind.pop(key, None)
        holds = list(self._left_behind.values())
        self.progress.refused = holds.count(Hold.REFUSED)
        self.progress.gave_up = holds.count(Hold.GAVE_UP)

    def say(self, waiting_for: str, seconds: float | None = None) -> None:
        """Report what the push waits for, outside of the push loop."""
        self.progress.set_waiting(waiting_for, seconds)
        with self.ledger.transaction():
            self.save(is_at_rest=True)
        self.notice(self.progress)

    def save(self, *, is_at_rest: bool) -> None:
        """Store the progress in the current transaction: at most once a second, unless idle."""
        now, progress = time.monotonic(), self.progress
        if not is_at_rest and now - self._saved_at < SAVED_EVERY_SECONDS:
            return
        self._saved_at = now
        progress.to_send = self.left()
        progress.total = progress.done + self._left()
        self.ledger.runs.note_run(self.run_id, progress.counters(), self._rate_and_wait())

    def save_rate(self, found: float | None) -> None:
        """Store the rate limit that was found, if it has changed."""
        if found != self._saved_rate:
            self.ledger.runs.save_rate(found)
            self._saved_rate = found

    def _left(self) -> int:
        if self.limit is None:
            return self.progress.to_send
        progress = self.progress
        over = progress.done + progress.left_for_a_person
        return min(progress.to_send, max(0, self.limit - over))

    def _rate_and_wait(self) -> dict[str, str | int | float | None]:
        progress, seconds = self.progress, self.progress.waiting_seconds
        return {
            "allowed_per_minute": progress.allowed_per_minute,
            "waiting_for": progress.waiting_for,
            # In whole seconds: an unchanged wait is not written again (see `note_run`).
            "waiting_until_ms": None if seconds is None else round(time.time() + seconds) * 1000,
        }
