"""
Who is at fault when sends come to nothing: the service, the account, or the contacts sent.

A result and a time go in; out come how many sends may be in flight, whether to probe, what to stop
for, and which attempts count against their contacts. There is no clock, no ledger and no thread in
here. The rules, in order (design, section 6):

1. A wait that was asked for is kept, as long as it is short enough. It is nobody's failure.
2. `workers` sends in a row that came to nothing want a read. While it is awaited nothing is sent.
   If reads fail too, be it once, the service was down: nothing that failed meanwhile counts.
3. A 401 is a failure as others are. `Tokens` stops the run where it is about the login.
4. The same refusal `SAME_REFUSALS` times in a row may be the account's. Contacts from elsewhere in
   the ledger, `ACCOUNT_PROBES` at most, tell: if all of them are refused likewise, it stops. If one
   is taken, a row of the same words must be twice as long to ask again.
5. Reads work and sends do not: probe with contacts from elsewhere, in waves of `workers`, until a
   lead is taken or `MOST_PROBES` were not.
6. A lead that is taken tells that the service works: every failure before it counts. So it does
   when nobody is left to probe with, if the service ever took a lead. Otherwise nothing counts.

Failures wait in `_undecided` until one of these decides. A process that dies meanwhile decides
nothing, so they never count.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from migrator.http import SendOutcome
from migrator.rate_limit import backoff_seconds
from migrator.states import Outcome

SAME_REFUSALS = 25
ACCOUNT_PROBES = 10
MOST_PROBES = 100
# Rounds in a row that tell nothing, where nobody is patient: reads work, but no send left or the
# service was down while they failed.
MOST_LOST_ROUNDS = 9
# A limit a minute must be waited for by everyone, however impatient.
SHORTEST_LONGEST_WAIT_SECONDS = 300.0
# So often in one push is a contact tried while no lead is taken in it.
ROUNDS_WITHOUT_A_LEAD = 2


class ResultKind(Enum):
    """What became of a send, as far as it tells who is at fault."""

    TAKEN = auto()  # a lead was created
    WAIT = auto()  # asked to wait: 429, or a 503 that says for how long
    UNSENT = auto()  # it never left
    REFUSED = auto()  # 400, 413, 422 in the service's own words: held at once
    FAILED = auto()  # all else: in doubt, or turned away by something that may be anybody


@dataclass(frozen=True)
class SendReport:
    """
    What became of a send.

    Args:
        words: What tells one refusal from another; `None` = it was none.
        asked_seconds: How long the service asks to wait; `None` = it does not say.
    """

    kind: ResultKind
    words: str | None = None
    asked_seconds: float | None = None

    @property
    def is_failure(self) -> bool:
        """Whether the contact was tried in vain."""
        return self.kind in (ResultKind.REFUSED, ResultKind.FAILED)


def result_of(sent: SendOutcome, lead: Mapping[str, Any]) -> SendReport:
    """What became of a send of this lead (JSON)."""
    asked = sent.retry_after_seconds
    if sent.outcome is Outcome.THROTTLED or (sent.status == 503 and asked):
        return SendReport(ResultKind.WAIT, asked_seconds=asked)
    words = _refusal(sent, lead) if sent.status and 400 <= sent.status < 500 else None
    kinds = {
        Outcome.CREATED: ResultKind.TAKEN,
        Outcome.UNSENT: ResultKind.UNSENT,
        Outcome.REFUSED: ResultKind.REFUSED,
    }
    return SendReport(
        kinds.get(sent.outcome, ResultKind.FAILED) if sent.outcome else ResultKind.FAILED, words
    )


def _refusal(sent: SendOutcome, lead: Mapping[str, Any]) -> str:
    """Status and error type, else the words without digits, ids and the contact's own values."""
    if sent.error_type:
        return f"{sent.status} {sent.error_type}"
    words = (sent.answer or "").casefold()
    values = {value.casefold() for value in _texts(lead) if len(value) > 2}
    for value in sorted(values, key=len, reverse=True):
        words = words.replace(value, "")
    return f"{sent.status} {' '.join(_WITH_A_DIGIT.sub('', words).split())}"


_WITH_A_DIGIT = re.compile(r"[\w-]*\d[\w-]*")


def _texts(lead: Mapping[str, Any]) -> list[str]:
    return [value for value in lead.values() if isinstance(value, str)]


class StopReason(Enum):
    """Why to stop."""

    BUSY = auto()  # it asks to wait for too long
    UNREACHABLE = auto()  # nothing leaves, although reads work
    ACCOUNT = auto()  # it refuses everybody in the same words
    IN_VAIN = auto()  # it takes no leads, whoever is sent


@dataclass(frozen=True)
class Stop:
    """
    To end the run; `until` = the moment that the service asks to be left alone to, if it does.
    """

    why: StopReason
    until: float | None = None


@dataclass(frozen=True)
class BreakerVerdict:
    """
    What was decided.

    Args:
        blamed: Contacts whose last attempt counts.
        pardoned: Contacts that were refused for something that is not about them, once for each
            time: it was no try.
        pause_seconds: To send nothing for so long.
    """

    blamed: tuple[int, ...] = ()
    pardoned: tuple[int, ...] = ()
    pause_seconds: float = 0.0


NOTHING = BreakerVerdict()


@dataclass(frozen=True)
class RemainingWork:
    """
    Whom there is to try yet.

    Args:
        untried: Whether an untried contact may be sent.
        out_of_reach: Whether there are untried ones that may not, because of a limit.
        tried: Whether contacts that failed before may be sent.
        in_doubt: Whether something is in doubt yet: it may turn out that leads were taken.
    """

    untried: bool = False
    out_of_reach: bool = False
    tried: bool = False
    in_doubt: bool = False


class Breaker:
    """
    The one place that decides it.

    Args:
        workers: Sends that may be in flight at once.
        patience_seconds: How long to wait for a service.
        has_taken: Whether the service ever took a lead of this ledger.
    """

    def __init__(self, workers: int, retry_for_seconds: float, *, has_taken: bool) -> None:
        self._workers = workers
        self._retry_for_seconds = retry_for_seconds
        self.longest_wait_seconds = max(retry_for_seconds, SHORTEST_LONGEST_WAIT_SECONDS)
        self._has_taken = has_taken
        self._has_taken_now = False
        self._longer_rows: dict[str, float] = {}
        self.stop: Stop | None = None
        self._start_over()

    def _start_over(self) -> None:
        self._row = self._failed_in_row = 0
        self._undecided: dict[int, None] = {}
        self._failing = (0.0, 0.0)
        self._is_probing = False
        self._probes = 0
        self._words: str | None = None
        self._same = self._same_probes = 0
        self._alike: list[int] = []
        self._is_held_for_it = False
        self._lost_rounds = 0
        self._lost_since: float | None = None
        self._waits_since: float | None = None

    # What to do

    @property
    def is_probing(self) -> bool:
        """Whether the next ones are to come from elsewhere in the ledger."""
        return self._is_probing or self._may_be_account

    @property
    def is_undecided(self) -> bool:
        """Whether contacts failed of which nobody knows yet whose fault that was."""
        return bool(self._undecided)

    @property
    def failing(self) -> tuple[float, float] | None:
        """When the first and the last of those failed; `None` = there are none."""
        return self._failing if self._undecided else None

    @property
    def wants_read(self) -> bool:
        """Whether a read is to tell if the service is there."""
        return self._row >= self._workers or (self._row > 0 and self._probes >= MOST_PROBES)

    @property
    def rounds(self) -> int | None:
        """So often may a contact be sent in this run; `None` = as often as it takes."""
        return None if self._has_taken_now else ROUNDS_WITHOUT_A_LEAD

    @property
    def refuses_all_alike(self) -> bool:
        """Whether so many were refused in the same words that it may be the account's doing."""
        return self._may_be_account

    def room(self, in_flight: int, ahead: int) -> int:
        """How many more may be claimed; `ahead` = so many may wait for a worker."""
        if self.stop is not None:
            return 0
        if not self._row and not self.is_probing:
            return self._workers + ahead - in_flight
        room = self._workers - self._row - in_flight
        if self.is_probing:
            room = min(room, MOST_PROBES - self._probes - in_flight)
        if self._may_be_account:
            room = min(room, ACCOUNT_PROBES - self._same_probes - in_flight)
        return room

    @property
    def _may_be_account(self) -> bool:
        return self._same >= self._long_row

    @property
    def _long_row(self) -> float:
        """So many with the words at hand may be the account's doing."""
        return self._longer_rows.get(self._words or "", SAME_REFUSALS)

    # What was found out

    def add(
        self, key: int, result: SendReport, now: float, *, is_probe: bool = False
    ) -> BreakerVerdict:
        """A send came back. `is_probe`: its contact was chosen from elsewhere in the ledger."""
        match result.kind:
            case ResultKind.TAKEN:
                return self._taken(key)
            case ResultKind.WAIT:
                self._wait(now, result.asked_seconds or 0.0)
            case ResultKind.UNSENT:
                self._row += 1
            case _:
                return self._failed(key, result, now, is_probe)
        return NOTHING

    def _taken(self, key: int) -> BreakerVerdict:
        self._undecided.pop(key, None)
        blamed = tuple(self._undecided)
        # What others are not told was not about the account, so far. Where nobody is held at once
        # for it, probing comes to an end by itself.
        if self._words and not self._is_held_for_it:
            self._longer_rows[self._words] = math.inf
        elif self._words and self._may_be_account:
            self._longer_rows[self._words] = 2 * self._long_row
        self._start_over()
        self._has_taken = self._has_taken_now = True
        return BreakerVerdict(blamed)

    def _wait(self, now: float, asked: float) -> None:
        if self._waits_since is None:
            self._waits_since = now
        if now + asked - self._waits_since > self.longest_wait_seconds:
            self.stop = Stop(StopReason.BUSY, now + asked if asked else None)

    def _failed(self, key: int, result: SendReport, now: float, is_probe: bool) -> BreakerVerdict:
        self._waits_since = None
        self._probes += self._is_probing
        if result.kind is ResultKind.FAILED:
            self._row += 1
            self._failed_in_row += 1
            self._failing = (self._failing[0] if self._undecided else now, now)
            self._undecided[key] = None
        else:
            self._lost_rounds, self._lost_since = 0, None
        self._compare(key, result, is_probe)
        if self._same_probes < ACCOUNT_PROBES:
            return NOTHING
        self.stop = Stop(StopReason.ACCOUNT)
        self._undecided.clear()
        pardoned, self._alike = tuple(self._alike), []
        return BreakerVerdict(pardoned=pardoned)

    def _compare(self, key: int, result: SendReport, is_probe: bool) -> None:
        """Whether it was refused as those before it."""
        words = result.words
        if words is None or words != self._words:
            self._words, self._same, self._same_probes, self._alike = words, 0, 0, []
            self._is_held_for_it = False
        elif is_probe and self._may_be_account:
            self._same_probes += 1
        if words is not None:
            self._same += 1
            self._alike.append(key)
            self._is_held_for_it |= result.kind is ResultKind.REFUSED

    def read(self, now: float, left: RemainingWork) -> BreakerVerdict:
        """The service answers reads."""
        row, self._row = self._row, 0
        failed, self._failed_in_row = self._failed_in_row, 0
        # What never left tells nothing of those that failed before it.
        if row and not failed:
            return self._lose_round(now)
        if not self._undecided:
            return NOTHING
        may_probe = self._probes < MOST_PROBES
        if may_probe and (left.untried or (left.tried and not self._has_taken)):
            self._is_probing = True
        elif left.in_doubt and not left.untried:
            return NOTHING
        elif (
            self._has_taken and not left.untried and (not left.out_of_reach or self._has_taken_now)
        ):
            return self._blame()
        else:
            self._undecided.clear()
            # So few that the next round may be another matter.
            is_bad_luck = not self._is_probing and row < self._workers
            self.stop = None if is_bad_luck else Stop(StopReason.IN_VAIN)
        return NOTHING

    def _blame(self) -> BreakerVerdict:
        """Nobody is left to find it out with, and the service works."""
        blamed = tuple(self._undecided)
        self._undecided.clear()
        self._is_probing = False
        return BreakerVerdict(blamed)

    def _lose_round(self, now: float) -> BreakerVerdict:
        """A round told nothing: it never left, or the service was down meanwhile."""
        self._lost_rounds += 1
        if self._lost_since is None:
            self._lost_since = now
        is_over = now - self._lost_since >= self._retry_for_seconds
        if self._lost_rounds >= MOST_LOST_ROUNDS and is_over:
            self.stop = Stop(StopReason.UNREACHABLE)
        return BreakerVerdict(pause_seconds=backoff_seconds(self._lost_rounds, 1.0, 8.0))

    def back(self, now: float) -> BreakerVerdict:
        """The service was down, and is there again: nothing that failed was a contact's fault."""
        kept = self._probes, self._lost_rounds, self._lost_since
        self._start_over()
        self._probes, self._lost_rounds, self._lost_since = kept
        return self._lose_round(now)

    def excuse(self) -> None:
        """The service was down while they failed of which nothing is decided."""
        self._undecided.clear()
