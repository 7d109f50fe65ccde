"""
The circuit breaker of a push: whether the service, the account or the contact is at fault.

Input is the result of each send or read, with its time. Output is how many sends may be in flight,
whether to choose samples (contacts from elsewhere in the ledger), whether to stop, and which failed
attempts count against their contacts. There is no clock, no ledger and no thread in here.

A failure whose cause is unknown stays undecided (`_undecided`) until a rule below decides it. If
the process dies first, it never counts. The rules, in order (design, section 6):

1. A wait that the service asks for is not a failure. If it is short enough, it is granted.
2. `workers` sends in a row without a lead or a refusal call for a read; until it is answered,
   nothing is sent. If even one read failed too, the service was down: all undecided failures are
   dropped.
3. A 401 is a failure like any other. `Tokens` stops the run if the login is the cause.
4. The same refusal `SAME_REFUSALS` times in a row may be about the account. Up to `ACCOUNT_SAMPLES`
   samples are sent: if all of them are refused in the same words, the run stops, and none of these
   refusals counts. If a lead is created instead, the next such row must be twice as long.
5. If reads succeed and sends fail, samples are sent in waves of `workers`, until a lead is created
   or `MOST_SAMPLES` samples have failed.
6. A created lead proves that the service works: every undecided failure before it counts. So does
   having no contact left to sample, if the service has ever created a lead. Otherwise none
   counts, and the run stops.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from migrator.http import SendOutcome, backoff_seconds
from migrator.states import Outcome

SAME_REFUSALS = 25
ACCOUNT_SAMPLES = 10
MOST_SAMPLES = 100
# Rounds in a row without information after which the run stops (unless `--retry-for` lasts longer):
# reads succeed, but no send left, or the service was down while the sends failed.
MOST_LOST_ROUNDS = 9
# Rate limits are counted by the minute, so a wait of this length is always granted.
SHORTEST_LONGEST_WAIT_SECONDS = 300.0
# Attempts per contact in one push, as long as that push has created no lead.
ROUNDS_WITHOUT_A_LEAD = 2


class ResultKind(Enum):
    """The result of a send, by what it says about the fault."""

    TAKEN = auto()  # a lead was created, updated or deleted
    WAIT = auto()  # asked to wait: 429, or a 503 that says for how long
    UNSENT = auto()  # it never left
    REFUSED = auto()  # 400, 413 or 422 in LeadGenius's own JSON: the contact is held at once
    FAILED = auto()  # anything else: in doubt, or denied


@dataclass(frozen=True)
class SendReport:
    """
    The result of a send.

    Args:
        words: Identifies the kind of refusal; `None` = not a refusal.
        asked_seconds: How long the service asks to wait; `None` = not stated.
    """

    kind: ResultKind
    words: str | None = None
    asked_seconds: float | None = None

    @property
    def is_failure(self) -> bool:
        """Whether the contact was tried without success."""
        return self.kind in (ResultKind.REFUSED, ResultKind.FAILED)


def result_of(sent: SendOutcome, lead: Mapping[str, Any]) -> SendReport:
    """Classify the outcome of sending this lead."""
    asked = sent.retry_after_seconds
    if sent.outcome is Outcome.THROTTLED or (sent.status == 503 and asked):
        return SendReport(ResultKind.WAIT, asked_seconds=asked)
    words = _refusal(sent, lead) if sent.status and 400 <= sent.status < 500 else None
    kinds = {
        Outcome.CREATED: ResultKind.TAKEN,
        Outcome.UPDATED: ResultKind.TAKEN,
        Outcome.DELETED: ResultKind.TAKEN,
        Outcome.UNSENT: ResultKind.UNSENT,
        Outcome.REFUSED: ResultKind.REFUSED,
    }
    return SendReport(
        kinds.get(sent.outcome, ResultKind.FAILED) if sent.outcome else ResultKind.FAILED, words
    )


def _refusal(sent: SendOutcome, lead: Mapping[str, Any]) -> str:
    """Status and error type, or else the text without words with digits and the lead's values."""
    if sent.error_type:
        return f"{sent.status} {sent.error_type}"
    words = (sent.answer or "").casefold()
    texts = [value for value in lead.values() if isinstance(value, str)]
    values = {value.casefold() for value in texts if len(value) > 2}
    for value in sorted(values, key=len, reverse=True):
        words = words.replace(value, "")
    return f"{sent.status} {' '.join(_WITH_A_DIGIT.sub('', words).split())}"


_WITH_A_DIGIT = re.compile(r"[\w-]*\d[\w-]*")


class StopReason(Enum):
    """Why the run must stop."""

    BUSY = auto()  # the service asks for too long a wait
    UNREACHABLE = auto()  # no send leaves, although reads succeed
    ACCOUNT = auto()  # every contact is refused in the same words
    IN_VAIN = auto()  # no lead is created, whichever contact is sent


@dataclass(frozen=True)
class Stop:
    """The decision to end the run; `until` = when the service may be asked again, if it says so."""

    why: StopReason
    until: float | None = None


@dataclass(frozen=True)
class BreakerVerdict:
    """
    The decisions that follow from one result.

    Args:
        blamed: Contacts whose last attempt counts.
        pardoned: Contacts refused for a reason that is not theirs, once per refusal: those attempts
            do not count.
        pause_seconds: How long to send nothing.
    """

    blamed: tuple[int, ...] = ()
    pardoned: tuple[int, ...] = ()
    pause_seconds: float = 0.0


NOTHING = BreakerVerdict()


@dataclass(frozen=True)
class RemainingWork:
    """
    Which contacts are left to send.

    Args:
        untried: Whether an untried contact may be sent.
        out_of_reach: Whether there are untried contacts that `--limit` excludes.
        tried: Whether contacts that failed before may be sent.
        in_doubt: Whether contacts are in doubt: leads may have been created.
    """

    untried: bool = False
    out_of_reach: bool = False
    tried: bool = False
    in_doubt: bool = False


class Breaker:
    """
    The state of the circuit breaker; see the module.

    Args:
        workers: Sends that may be in flight at once.
        retry_for_seconds: How long to wait for a service.
        has_taken: Whether the service ever created a lead of this ledger.

    Attributes:
        longest_wait_seconds: The longest wait that is granted to the service.
        stop: The decision to end the run; `None` = go on.
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
        self._is_sampling = False
        self._samples = 0
        self._words: str | None = None
        self._same = self._same_samples = 0
        self._alike: list[int] = []
        self._is_held_for_it = False
        self._lost_rounds = 0
        self._lost_since: float | None = None
        self._waits_since: float | None = None

    # Output

    @property
    def is_sampling(self) -> bool:
        """Whether the next contacts should be samples, chosen from elsewhere in the ledger."""
        return self._is_sampling or self.refuses_all_alike

    @property
    def is_undecided(self) -> bool:
        """Whether there are failures whose cause is not known yet."""
        return bool(self._undecided)

    @property
    def failing(self) -> tuple[float, float] | None:
        """When the first and the last undecided failure happened; `None` = there are none."""
        return self._failing if self._undecided else None

    @property
    def wants_read(self) -> bool:
        """Whether a read is needed, to see if the service is there."""
        return self._row >= self._workers or (self._row > 0 and self._samples >= MOST_SAMPLES)

    @property
    def rounds(self) -> int | None:
        """How often a contact may be sent in this push; `None` = no limit."""
        return None if self._has_taken_now else ROUNDS_WITHOUT_A_LEAD

    @property
    def refuses_all_alike(self) -> bool:
        """Whether so many identical refusals came in a row that the account may be the cause."""
        return self._same >= self._long_row

    @property
    def _long_row(self) -> float:
        """How many refusals in a row, in the current words, put the account in question."""
        return self._longer_rows.get(self._words or "", SAME_REFUSALS)

    def capacity(self, in_flight: int, ahead: int) -> int:
        """How many more contacts may be claimed; `ahead` = how many may wait for a worker."""
        if self.stop is not None:
            return 0
        if not self._row and not self.is_sampling:
            return self._workers + ahead - in_flight
        room = self._workers - self._row - in_flight
        if self.is_sampling:
            room = min(room, MOST_SAMPLES - self._samples - in_flight)
        if self.refuses_all_alike:
            room = min(room, ACCOUNT_SAMPLES - self._same_samples - in_flight)
        return room

    # Input

    def add(
        self, key: int, result: SendReport, now: float, *, is_sample: bool = False
    ) -> BreakerVerdict:
        """Take the result of a send. `is_sample`: its contact was chosen as a sample."""
        match result.kind:
            case ResultKind.TAKEN:
                return self._taken(key)
            case ResultKind.WAIT:
                self._wait(now, result.asked_seconds or 0.0)
            case ResultKind.UNSENT:
                self._row += 1
            case _:
                return self._failed(key, result, now, is_sample)
        return NOTHING

    def _taken(self, key: int) -> BreakerVerdict:
        self._undecided.pop(key, None)
        blamed = tuple(self._undecided)
        # A lead was created, so the last refusal was not about the account. If its words never hold
        # a contact at once, rule 5 ends the sampling, and these words are not compared again.
        if self._words and not self._is_held_for_it:
            self._longer_rows[self._words] = math.inf
        elif self._words and self.refuses_all_alike:
            self._longer_rows[self._words] = 2 * self._long_row
        self._start_over()
        self._has_taken = self._has_taken_now = True
        return BreakerVerdict(blamed)

    def _wait(self, now: float, asked: float) -> None:
        if self._waits_since is None:
            self._waits_since = now
        if now + asked - self._waits_since > self.longest_wait_seconds:
            self.stop = Stop(StopReason.BUSY, now + asked if asked else None)

    def _failed(self, key: int, result: SendReport, now: float, is_sample: bool) -> BreakerVerdict:
        self._waits_since = None
        self._samples += self._is_sampling
        if result.kind is ResultKind.FAILED:
            self._row += 1
            self._failed_in_row += 1
            self._failing = (self._failing[0] if self._undecided else now, now)
            self._undecided[key] = None
        else:
            self._lost_rounds, self._lost_since = 0, None
        self._compare(key, result, is_sample)
        if self._same_samples < ACCOUNT_SAMPLES:
            return NOTHING
        self.stop = Stop(StopReason.ACCOUNT)
        self._undecided.clear()
        pardoned, self._alike = tuple(self._alike), []
        return BreakerVerdict(pardoned=pardoned)

    def _compare(self, key: int, result: SendReport, is_sample: bool) -> None:
        """Count the refusals in the same words in a row."""
        words = result.words
        if words is None or words != self._words:
            self._words, self._same, self._same_samples, self._alike = words, 0, 0, []
            self._is_held_for_it = False
        elif is_sample and self.refuses_all_alike:
            self._same_samples += 1
        if words is not None:
            self._same += 1
            self._alike.append(key)
            self._is_held_for_it |= result.kind is ResultKind.REFUSED

    def read_answered(self, now: float, left: RemainingWork) -> BreakerVerdict:
        """Take a successful read, with what is left to send."""
        row, self._row = self._row, 0
        failed, self._failed_in_row = self._failed_in_row, 0
        # Sends that never left are no evidence about those that failed before.
        if row and not failed:
            return self._lose_round(now)
        if not self._undecided:
            return NOTHING
        may_sample = self._samples < MOST_SAMPLES
        if may_sample and (left.untried or (left.tried and not self._has_taken)):
            self._is_sampling = True
        elif left.in_doubt and not left.untried:
            return NOTHING
        elif (
            self._has_taken and not left.untried and (not left.out_of_reach or self._has_taken_now)
        ):
            return self._blame()
        else:
            self._undecided.clear()
            # Too few failures to stop for; the next round may succeed.
            is_bad_luck = not self._is_sampling and row < self._workers
            self.stop = None if is_bad_luck else Stop(StopReason.IN_VAIN)
        return NOTHING

    def _blame(self) -> BreakerVerdict:
        """No contact is left to sample, and the service works: the failures count."""
        blamed = tuple(self._undecided)
        self._undecided.clear()
        self._is_sampling = False
        return BreakerVerdict(blamed)

    def _lose_round(self, now: float) -> BreakerVerdict:
        """Count a round without information: nothing left, or the service was down meanwhile."""
        self._lost_rounds += 1
        if self._lost_since is None:
            self._lost_since = now
        is_over = now - self._lost_since >= self._retry_for_seconds
        if self._lost_rounds >= MOST_LOST_ROUNDS and is_over:
            self.stop = Stop(StopReason.UNREACHABLE)
        return BreakerVerdict(pause_seconds=backoff_seconds(self._lost_rounds, 1.0, 8.0))

    def recovered(self, now: float) -> BreakerVerdict:
        """Take a read that failed first: the service was down, so no failure counts."""
        kept = self._samples, self._lost_rounds, self._lost_since
        self._start_over()
        self._samples, self._lost_rounds, self._lost_since = kept
        return self._lose_round(now)

    def drop_undecided(self) -> None:
        """Drop the undecided failures: the service was down while they happened."""
        self._undecided.clear()
