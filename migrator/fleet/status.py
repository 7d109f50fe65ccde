"""How far each journey of a fleet is, for the live table, the page and the JSON."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from migrator.errors import LedgerError
from migrator.fleet.definition import FleetJourney
from migrator.ledger import Ledger
from migrator.states import State
from migrator.text import duration, one_line, utc_time

_ENDINGS = {
    0: "done",
    1: "done, needs attention",
    2: "wrong options",
    3: "not ready",
    4: "stopped early",
    5: "ledger",
    6: "busy",
    70: "a bug",
    130: "interrupted",
    143: "interrupted",
}


class Phase(StrEnum):
    """What a journey does now."""

    WAITING = "waiting"  # for one of the others to end
    RUNNING = "running"
    RETRYING = "retrying"  # waits for its next try
    ENDED = "ended"


@dataclass
class JourneyStatus:
    """
    How far a journey is.

    Args:
        tries: Child processes that were started for it.
        code: Of the newest try that ended, as a shell gives it, but 70 instead of a 0 or 1 without
            a result; `None` = none has ended.
        retry_at: When it is tried again, in seconds on the monotonic clock; `None` = it is not.
        began, ended: Of the newest try, in seconds since the epoch.
        progress: The newest progress object of its child, see `progress.state.as_json`.
        result: The result object of its newest try that ended; {} = it printed none.
        said: The last lines of its child's messages, if it printed no result.
        states: Contacts of its ledger by state; {} = not known.
        held, in_doubt: Contacts of its ledger.
    """

    journey: FleetJourney
    phase: Phase = Phase.WAITING
    tries: int = 0
    code: int | None = None
    retry_at: float | None = None
    began: float | None = None
    ended: float | None = None
    progress: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    said: str = ""
    states: Mapping[str, int] = field(default_factory=dict)
    held: int = 0
    in_doubt: int = 0

    def words(self, now: float) -> str:
        """
        What it does or how it ended, in words.

        Args:
            now: Seconds on the monotonic clock.
        """
        ending = "" if self.code is None else _ENDINGS.get(self.code, f"killed ({self.code})")
        if self.phase is Phase.RUNNING:
            return str(self.progress.get("command", "starting"))
        if self.retry_at is not None:
            return f"{ending}; again in {duration(max(0.0, self.retry_at - now))}"
        return ending or ("waiting" if self.phase is Phase.WAITING else "not started")

    def why(self) -> str:
        """What its newest error said, on one line; "" = there is none."""
        message = str(self.result.get("message") or self.said.strip().rpartition("\n")[2])
        return one_line(message) if self.code not in (None, 0, 1) else ""

    def next_step(self) -> str:
        """What its newest error said to type in its folder; "" = nothing, or it is tried again."""
        following = self.result.get("next") if self.phase is Phase.ENDED and self.why() else None
        return one_line(str(following or ""))

    def take_progress(self, progress: Mapping[str, Any]) -> None:
        """Keep a progress object, and the sums that it has."""
        self.progress = progress
        if states := progress.get("states"):
            self.states = states
            self.held, self.in_doubt = progress["held"], progress["in_doubt"]

    def read_sums(self, ledger: Path) -> None:
        """Read the sums from the ledger; one that cannot be read changes nothing."""
        try:
            with Ledger.open_read_only(ledger) as opened, opened.transaction():
                sums = opened.counts.sums()
        except LedgerError:
            return
        states = {str(state): 0 for state in State}
        for one in sums:
            states[one.state] += one.contacts
        self.states, self.in_doubt = states, sum(one.in_doubt for one in sums)
        self.held = sum(one.contacts - one.in_doubt for one in sums if one.held)


def totals(statuses: Iterable[JourneyStatus]) -> dict[str, Any]:
    """The sums of all journeys: `states`, `held`, `in_doubt`, in contacts."""
    every = list(statuses)
    return {
        "states": {str(state): sum(one.states.get(state, 0) for one in every) for state in State},
        "held": sum(one.held for one in every),
        "in_doubt": sum(one.in_doubt for one in every),
    }


def as_json(statuses: Iterable[JourneyStatus], command: str) -> dict[str, Any]:
    """
    The result of a fleet as JSON values, besides `event`, `command` ("fleet") and `exit_code`.

        verb      the command of each journey
        totals    {states: {extracted, mapped, posted, verified}, held, in_doubt}: contacts
        journeys  [{name, login, folder, exit_code, tries, began, ended, states, held, in_doubt,
                  result}]; exit_code: of its last try, 128 and the number for a signal, 70 for
                  a 0 or 1 without a result, null = never started; began and ended: ISO 8601, UTC,
                  null = not yet; states: {} = there is no ledger to read; result: what the last try
                  printed, {} = nothing
    """
    every = list(statuses)
    return {
        "verb": command,
        "totals": totals(every),
        "journeys": [
            {
                "name": one.journey.name,
                "login": one.journey.login,
                "folder": str(one.journey.folder),
                "exit_code": one.code,
                "tries": one.tries,
                "began": None if one.began is None else utc_time(one.began),
                "ended": None if one.ended is None else utc_time(one.ended),
                "states": dict(one.states),
                "held": one.held,
                "in_doubt": one.in_doubt,
                "result": dict(one.result),
            }
            for one in every
        ],
    }
