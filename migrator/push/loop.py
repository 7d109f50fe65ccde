"""
The loop of a push: take what came back, claim what may leave, commit both, hand the claimed out.

One scribe: the thread that drives alone writes the ledger. The others send and hand back values.
Nothing leaves before the transaction with its intent is committed (design, I1), and doubts are
settled by listings while the sends go on (I3). What a failure means `breaker` decides, which
contact comes next `queue` knows, and how fast they leave the pacer.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from migrator.doubts import LeadsFound, ListingComplete, ListingFailed, OpenDoubts
from migrator.http import SendOutcome
from migrator.leadgenius import LeadGenius
from migrator.ledger import AttemptResult, HoldsChanged, Ledger
from migrator.push.breaker import Breaker, BreakerVerdict, ResultKind, SendReport, result_of
from migrator.push.destination import Destination, StopSignal
from migrator.push.progress import Notice, ProgressRecorder, PushOptions
from migrator.push.queue import ClaimedContact, SendQueue
from migrator.push.reader import ClientGone, ListingReader, ServiceRecovered
from migrator.push.stops import NAMELESS, busy, error_of, rest, unfinished, unsettled
from migrator.push.workers import NotSentAfterAll, SendResult, WorkerPool
from migrator.rate_limit import OutageBudget, RateLimiter
from migrator.states import Outcome

# The longest that the scribe looks away: a signal is heard at least this often.
LONGEST_NAP_SECONDS = 0.5
# After so many leads it is looked whether their client is still there: one request in a hundred
# would not be noticed, and it takes a half of that.
LEADS_BETWEEN_CHECKS = 200


@dataclass
class PushLoop:
    """The only hand that writes, and what it remembers between two commits."""

    ledger: Ledger
    leadgenius: LeadGenius
    limiter: RateLimiter
    options: PushOptions
    run_id: int
    signals: StopSignal
    notice: Notice
    outage: OutageBudget

    def __post_init__(self) -> None:
        options, now = self.options, time.monotonic()
        attempts = self.ledger.attempts
        self.recorder = ProgressRecorder(self.ledger, self.run_id, self.notice, options.limit)
        self.progress = self.recorder.progress
        self._worker_pool = WorkerPool(options.workers, self._send, self._may_leave)
        self._breaker = Breaker(
            options.workers, self.outage.seconds, has_taken=attempts.has_taken()
        )
        self._queue = SendQueue(attempts, options.settle_seconds, now)
        self._doubts = OpenDoubts(options.settle_seconds, max(1, options.max_in_doubt // 2))
        # When these were sent is not known: they tell nothing of the service today.
        self._inherited: set[int] = set()
        # No send is under way: every open attempt is a doubt, and its clock begins now.
        for doubt in self.ledger.attempts.in_doubt():
            self._doubts.add(doubt, now)
            self._inherited.add(doubt.key)
        self._flying: dict[int, ClaimedContact] = {}
        self._limit: int | None = None
        self._most_leads: int | None = None
        self._ahead = 0
        self.client = Destination(
            self.leadgenius,
            options.client_id,
            self.limiter,
            self.signals,
            self._breaker.longest_wait_seconds,
        )
        self._reader = ListingReader(self.client, self.outage, self._worker_pool.tell)
        self._is_exhausted = False
        self._news = 0
        self._last = SendOutcome(None)
        self._remembered_pace: float | None = None
        self._failure: BaseException | None = None

    def close(self) -> None:
        """
        Wait for the threads to end.

        Where the run failed in an unforeseen way, some may be in flight: whoever closes the ledger
        before they are over lets another process settle what is still on its way.
        """
        self.client.close()
        self.signals.cut_off()
        self._worker_pool.close()
        self._reader.close()

    @property
    def unsettled(self) -> int:
        """How many stay in doubt, because an odd row of the list may be their lead."""
        return self._doubts.unsettled

    # The loop

    def run(self, limit: int | None, leads: int | None = None) -> None:
        """
        Send until nothing is left to send and nothing is in doubt.

        Args:
            limit: At most so many contacts, those of earlier drives included; `None` = all.
            leads: Until so many more leads were created; never more are, with those in flight and
                in doubt.
                `None` = as many as there are contacts.

        Raises:
            MigratorError: the run must stop; what was in flight was awaited and written.
        """
        self._limit, self._is_exhausted = limit, False
        self._most_leads = None if leads is None else self._leads() + leads
        while not self._is_done():
            events = self._worker_pool.events(self._nap_seconds(), len(self._flying))
            with self.ledger.transaction():
                self._write_back([one for one in events if isinstance(one, NotSentAfterAll)])
                self._write_returned([one for one in events if isinstance(one, SendResult)])
                for event in events:
                    self._write(event)
                claimed = self._claim()
                self.recorder.note(is_at_rest=not self._flying)
                self._remember_pace()
            self._hand_out(claimed)
            self._look()
            self._tell()
        if self._failure is not None:
            raise self._failure
        self.signals.check()
        if leads is None and self._queue.is_unfinished(limit):
            raise unfinished()

    def _leads(self) -> int:
        return self.progress.posted + self.progress.found

    def _is_stopping(self) -> bool:
        return self._failure is not None or self.signals.is_wanted

    def _is_done(self) -> bool:
        if self._flying:
            return False
        if self._is_stopping() or (self._most_leads is not None and self._leads_left() <= 0):
            return True
        return self._is_at_rest() and not self._queue.has_another_round(
            self._breaker.rounds, self._limit
        )

    def _is_at_rest(self) -> bool:
        """Whether all that was begun is over, and it is known what it means."""
        is_over = self._is_exhausted and not self._flying and not self._doubts
        return is_over and not self._breaker.is_undecided

    def _is_stuck(self) -> bool:
        """Whether nothing goes on until doubts are settled, or a read tells whose fault it is."""
        return not self._flying and (self._is_exhausted or self._room() <= 0)

    def _nap_seconds(self) -> float:
        now = time.monotonic()
        if self._is_stopping() or self._room() <= 0 or self._is_exhausted:
            until = self._doubts.wait_seconds(now) or self._queue.rest_seconds(now)
            return min(LONGEST_NAP_SECONDS, until or LONGEST_NAP_SECONDS)
        return min(LONGEST_NAP_SECONDS, self.limiter.wait_seconds(now))

    # What came back

    def _write_back(self, taken_back: Sequence[NotSentAfterAll]) -> None:
        """These did not leave; they may be claimed again."""
        why = "taken back before it left"
        keys = [one.contact.key for one in taken_back]
        self._end([AttemptResult(key, Outcome.UNSENT, answer=why) for key in keys])
        for key in keys:
            del self._flying[key]

    def _write_returned(self, returned: Sequence[SendResult]) -> None:
        now = time.monotonic()
        results = [(one, result_of(one.sent, one.contact.lead)) for one in returned]
        self._end([one.ending(result.is_failure) for one, result in results])
        self._add_doubts([one.contact.key for one in returned if one.sent.outcome is None], now)
        for one, result in results:
            claim = self._flying.pop(one.contact.key)
            if result.is_failure:
                self._queue.failed(one.contact.key, now)
            self._learn(one, result, now)
            if result.kind is ResultKind.TAKEN and self._was_away():
                self._breaker.excuse()
            verdict = self._breaker.add(one.contact.key, result, now, is_probe=claim.is_probe)
            self._obey(verdict, one.sent, now)
        self._look_ahead([result for _, result in results])

    def _end(self, endings: Sequence[AttemptResult]) -> None:
        self._change(self.ledger.attempts.record_results(endings))
        checked = self.progress.posted // LEADS_BETWEEN_CHECKS
        for ending in endings:
            self.recorder.count(ending)
            if ending.outcome in (Outcome.CREATED, Outcome.FOUND):
                self._queue.is_over(ending.key)
            elif ending.outcome is not None:
                self._is_exhausted = False  # it may be claimed again
                if not ending.is_failure:
                    self._queue.again(ending.key)
        if self.progress.posted // LEADS_BETWEEN_CHECKS > checked:
            self._reader.check_client()

    def _change(self, changed: HoldsChanged) -> None:
        self.recorder.change(changed)
        for key in changed.held:
            self._queue.is_over(key)
        if changed.freed:
            self._is_exhausted = False

    def _add_doubts(self, keys: Sequence[int], now: float) -> None:
        for doubt in self.ledger.attempts.in_doubt() if keys else ():
            if doubt.key in keys:
                self._doubts.add(doubt, now)

    def _learn(self, returned: SendResult, result: SendReport, now: float) -> None:
        """What an answer means for the pace, and for what has not left yet."""
        sent = self._last = returned.sent
        if returned.error is not None:
            self._fail(returned.error)
        elif result.kind in (ResultKind.TAKEN, ResultKind.REFUSED):
            told = sent.allowance
            self.limiter.answered(now, told.limit, told.remaining, told.reset_in_seconds)
            return
        elif sent.outcome is Outcome.THROTTLED:
            self.limiter.on_throttled(now, sent.retry_after_seconds)
        elif result.kind is ResultKind.WAIT:
            self.limiter.pause_for(now, sent.retry_after_seconds or 0.0)
        elif sent.status == 404:
            self._reader.check_client()
        self._news += 1

    def _obey(self, verdict: BreakerVerdict, sent: SendOutcome, now: float) -> None:
        if verdict.blamed:
            self._change(self.ledger.attempts.blame(verdict.blamed))
        if verdict.pardoned:
            self.ledger.attempts.pardon(verdict.pardoned)
            self.recorder.change(HoldsChanged(freed=list(verdict.pardoned)))
        if verdict.pause_seconds:
            self.limiter.pause_for(now, verdict.pause_seconds)
        if self._breaker.stop is not None:
            self._fail(error_of(self._breaker.stop, sent, now))

    def _write(self, event: Any) -> None:
        """What is known besides from the sends themselves."""
        self._reader.heard(event)
        if isinstance(event, LeadsFound):
            self._find([(key, lead_id) for key, lead_id in event.leads if self._doubts.remove(key)])
        elif isinstance(event, ListingComplete):
            self._settle(event)
        elif isinstance(event, (ListingFailed, ClientGone)):
            self._fail(event.error)
        elif isinstance(event, ServiceRecovered):
            self._heed(event)

    def _settle(self, listing: ListingComplete) -> None:
        """End the doubts that this listing did not show."""
        ripe = frozenset(self._doubts.ripe(listing.began_at))
        absent = listing.looked_for & ripe
        # An earlier push asked to mend the list, and that was not done: a person decides now.
        undecidable = listing.maybe_nameless & ripe & self._inherited
        for key in absent | undecidable:
            self._doubts.remove(key)
        self._doubts.set_aside((listing.unsure | listing.maybe_nameless) & ripe - undecidable)
        self._inherited -= absent
        endings = [AttemptResult(key, Outcome.ABSENT) for key in sorted(absent)]
        held = [AttemptResult(key, Outcome.ABSENT, detail=NAMELESS) for key in sorted(undecidable)]
        self._end(endings + held)

    def _find(self, found: Sequence[tuple[int, str]]) -> None:
        self._end([AttemptResult(key, Outcome.FOUND, lead_id=lead_id) for key, lead_id in found])
        now = time.monotonic()
        if self._was_away():
            self._breaker.excuse()
        for key, _ in found:
            if key not in self._inherited:
                self._obey(
                    self._breaker.add(key, SendReport(ResultKind.TAKEN), now), self._last, now
                )

    def _heed(self, read: ServiceRecovered) -> None:
        """The read that was to tell whose fault it is was answered."""
        now = time.monotonic()
        if read.error is not None:
            self._fail(read.error)
        elif read.was_down or self._was_away():
            self._obey(self._breaker.back(now), self._last, now)
        else:
            left = self._queue.left(self._limit, in_doubt=bool(self._doubts))
            self._obey(self._breaker.read(now, left), self._last, now)

    def _was_away(self) -> bool:
        """Whether other reads missed the service while sends failed of which nothing is decided."""
        failing = self._breaker.failing
        return failing is not None and self.outage.was_away(*failing)

    def _look_ahead(self, results: Sequence[SendReport]) -> None:
        """
        Decide how many may be claimed that no worker is free for yet.

        They wait, committed, so that a worker that comes back need not wait for a commit. As many
        as came back since the last commit will come back until the next one; twice as many, for it
        may take longer. More would only be more to look for after a crash. A pace spreads what may
        leave, and in trouble whatever can wait shall wait.
        """
        is_smooth = all(one.kind in (ResultKind.TAKEN, ResultKind.REFUSED) for one in results)
        if self.limiter.pace.per_minute is not None or not is_smooth:
            self._ahead = 0
        elif results:
            self._ahead = min(2 * len(results), self.options.workers)

    def _remember_pace(self) -> None:
        if (found := self.limiter.found) != self._remembered_pace:
            self.ledger.runs.save_rate(found)
            self._remembered_pace = found

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error

    # What leaves

    def _room(self) -> int:
        """How many more may be in flight, or wait for a worker."""
        if self._reader.is_asking:
            return 0
        flying = len(self._flying)
        room = self._breaker.room(flying, self._ahead)
        in_doubt = len(self._doubts) + self.unsettled
        room = min(room, self.options.max_in_doubt - in_doubt - flying)
        if self._most_leads is None:
            return room
        # What is in doubt may be a lead too, be it an earlier push's.
        return min(room, self._leads_left() - len(self._doubts) - flying)

    def _leads_left(self) -> int:
        return (self._most_leads or 0) - self._leads()

    def _claim(self) -> list[tuple[ClaimedContact, bytes]]:
        """Write the intents to send what may leave now."""
        now = time.monotonic()
        if not (self._flying or self._doubts) and self.unsettled >= self.options.max_in_doubt:
            self._fail(unsettled(self.unsettled, self.options.client_id))
        if self._is_at_rest() and self._queue.begin_round(now, self._breaker.rounds, self._limit):
            self._is_exhausted = False
        if self._is_stopping() or self._is_exhausted or self._room() <= 0:
            return []
        allowed = self.limiter.claim(now, self._room())
        if allowed == 0:
            self._wait_or_stop(now)
            return []
        is_spread = self._breaker.is_probing
        claims = self._queue.take(allowed, self._limit, spread=is_spread)
        self._is_exhausted = not claims or (len(claims) < allowed and not is_spread)
        claimed = [(claim, self._body(claim)) for claim in claims]
        self.ledger.attempts.record_intents(
            self.run_id,
            [(claim.contact.key, hashlib.sha256(body).hexdigest()) for claim, body in claimed],
        )
        return claimed

    def _wait_or_stop(self, now: float) -> None:
        """Wait for the next window, if anything is left to send and it is not too far away."""
        if rest(self.limiter, now)[1] is None:
            return
        self._is_exhausted = not self._queue.has_next(self._limit)
        if not self._is_exhausted and self.client.is_too_long():
            self._fail(busy(self.limiter.wait_seconds(now)))

    def _body(self, claim: ClaimedContact) -> bytes:
        lead = {"client_id": self.options.client_id, **claim.contact.lead}
        return json.dumps(lead, ensure_ascii=False, separators=(",", ":")).encode()

    def _hand_out(self, claimed: Sequence[tuple[ClaimedContact, bytes]]) -> None:
        for claim, body in claimed:
            self._flying[claim.contact.key] = claim
            self._worker_pool.hand_out(claim.contact, body, self._news)

    def _send(self, body: bytes) -> SendOutcome:
        """In a worker."""
        self.client.check_open()
        # Paused since its intent was committed, it may have lost the ledger meanwhile.
        self.ledger.check_lock()
        return self.leadgenius.create_lead(body)

    def _may_leave(self, news: int) -> bool:
        """In a worker: whether nothing was heard since its intent was written to wait for."""
        return self._news == news and not self._is_stopping()

    def _look(self) -> None:
        """Begin a read when one is worth it; the sends go on meanwhile, if they may."""
        if self._reader.is_listing or self._reader.is_asking or self._is_stopping():
            return
        is_stuck = self._is_stuck()
        is_undecided = is_stuck and self._breaker.is_undecided and not self._doubts
        if self._breaker.wants_read or is_undecided:
            self._reader.ask()
        elif self._doubts.is_worth_a_listing(time.monotonic(), is_pressing=is_stuck):
            self._reader.list(self._doubts.matcher(self.options.portal_id))

    # What people see

    def _tell(self) -> None:
        progress = self.progress
        progress.in_flight = len(self._flying)
        progress.in_doubt = len(self._doubts) + self.unsettled
        progress.allowed_per_minute = self.limiter.pace.per_minute
        progress.are_alike = self._breaker.refuses_all_alike
        progress.keep(*self._what_keeps_it())
        self.notice(progress)

    def _what_keeps_it(self) -> tuple[str | None, float | None]:
        """In words, and for how long; `None` = nothing does, or nobody knows."""
        now = time.monotonic()
        if self._is_stopping():
            return "what is in flight", None
        if self._reader.is_away:
            return self.outage.waiting_for("LeadGenius", now), None
        if self._reader.is_asking:
            return "a read to tell whether LeadGenius works", None
        if self._doubts and self._is_stuck():
            if self._reader.is_listing:
                return "a look at LeadGenius for what is in doubt", None
            return "what is in doubt to settle", self._doubts.wait_seconds(now)
        if self._is_at_rest():
            return "what failed, to be sent again", self._queue.rest_seconds(now)
        return rest(self.limiter, now)
