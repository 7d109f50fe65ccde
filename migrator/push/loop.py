"""
The push loop: one thread writes the ledger, worker threads send.

Each turn of `PushLoop.run` does four things:

1. Collect: wait briefly for events, which are results of sends and findings of the reading thread.
2. Commit: one transaction records those events, claims the contacts to send next and records an
   intent for each (contact, attempt number, SHA-256 of the body).
3. Submit: after that commit, and never before, the claimed contacts go to the workers (design, I1).
   So a crash leaves open attempts behind, but never a send without a record.
4. Read: start a listing, a page or a probing read in the reading thread, if one is due.

What is written is a `Writes`: leads to create, to update or to delete. The words "send" and "lead"
below stand for all three.

How many contacts a turn claims is the smallest of several limits (`_capacity`): free workers plus a
small prefetch, the circuit breaker, `max_in_doubt`, and the leads still wanted. The queue chooses
the contacts; the rate limiter says how many may leave now. `_news` counts the results that may ask
for a pause or a stop, which are all but leads and refusals: a worker hands back unsent an intent
that is older than the newest of them, or than half of `settle`.

The canary is this loop, run until a few leads exist; the caller reads them back and runs the loop
again for the rest.

A send without a conclusive answer is a doubt. Its attempt stays open, and a listing settles it
while other sends continue (I3, `doubts`): found, or absent and sent again. Attempts that an earlier
process left open are doubts from the start. Whether a failure is the fault of the service, the
account or the contact is decided by the breaker alone; the loop applies its verdicts.

A run ends when nothing is in flight and either it has to stop (an error, a signal, enough leads),
or nothing is left to send, no listing could settle a doubt, and no failure is undecided. An error
is raised only after everything in flight was awaited and recorded.
"""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from migrator.clock import awake_or_asleep
from migrator.doubts import LeadsFound, ListingComplete, ListingFailed, OpenDoubts
from migrator.errors import ForeignSender
from migrator.http import OutageBudget, SendOutcome
from migrator.journey.sender import Sender
from migrator.leadgenius import LeadGenius
from migrator.ledger import AttemptResult, HoldsChanged, LeadIdentity, Ledger
from migrator.push.breaker import Breaker, BreakerVerdict, ResultKind, SendReport, result_of
from migrator.push.destination import Destination, StopSignal
from migrator.push.looks import SENDS_BEFORE_THE_FIRST_LOOK, LookSchedule, foreign_sender
from migrator.push.progress import ProgressRecorder, PushOptions
from migrator.push.queue import ClaimedContact, SendQueue
from migrator.push.reader import (
    ClientGone,
    ContactsFound,
    LeadsListed,
    ListingReader,
    PageFailed,
    ServiceRecovered,
)
from migrator.push.seen_leads import LONGEST_LOOK_AT_CLAIM_SECONDS
from migrator.push.stops import busy, error_of, rest, unfinished, unsettled
from migrator.push.workers import NotSentAfterAll, SendResult, WorkerPool
from migrator.push.writes import Writes
from migrator.rate_limit import RateLimiter
from migrator.states import DONE, Outcome, WriteKind

# The longest wait for events; signals are checked at least this often.
LONGEST_NAP_SECONDS = 0.5
# Check after this many leads that the client still exists: half a percent more requests.
LEADS_BETWEEN_CHECKS = 200
# At a slower pace, a look would be too old once the next request may leave. So one write may follow
# it at once, and the next request waits for two.
LONGEST_INTERVAL_SECONDS = LONGEST_LOOK_AT_CLAIM_SECONDS / 2


@dataclass
class PushLoop:
    """
    The state of a push between two commits; see the module. Only the thread in `run` writes.

    Args:
        writes: What to write.
        recorder: Counts, and reports after each turn.
        signals: The stop flag.
        outage: How long to wait for a service that is away.
        sender: The right to send for this journey.

    Attributes:
        client: The destination; its requests count against the same rate limit as the sends.
    """

    ledger: Ledger
    leadgenius: LeadGenius
    writes: Writes
    recorder: ProgressRecorder
    limiter: RateLimiter
    options: PushOptions
    signals: StopSignal
    outage: OutageBudget
    sender: Sender

    def __post_init__(self) -> None:
        options, now = self.options, time.monotonic()
        self._worker_pool = WorkerPool(
            options.workers,
            self.writes,
            self._check_sender,
            self._is_still_valid,
            options.settle_seconds,
        )
        self._breaker = Breaker(
            options.workers, self.outage.seconds, has_taken=self.writes.has_taken()
        )
        self._queue = SendQueue(self.writes, options.settle_seconds, now)
        self._doubts = OpenDoubts(options.settle_seconds, max(1, options.max_in_doubt // 2))
        # Nothing is in flight yet: every open attempt is a doubt, and its settle time begins now.
        for doubt in self.ledger.attempts.in_doubt():
            self._doubts.add(doubt, now, is_inherited=True)
        self._in_flight: dict[int, ClaimedContact] = {}
        self._limit: int | None = None
        self._most_leads: int | None = None
        self.client = Destination(
            self.leadgenius,
            options.client_id,
            self.limiter,
            self.signals,
            self._breaker.longest_wait_seconds,
        )
        self._reader = ListingReader(
            self.client, options.portal_id, self.outage, self._worker_pool.put_event
        )
        self.looks = LookSchedule(options.settle_seconds, awake_or_asleep(), was_owed=False)
        self._newest_emails = deque[str](maxlen=SENDS_BEFORE_THE_FIRST_LOOK)
        self._is_exhausted = self._has_read = self._has_looked = False
        self._news = 0
        self._last = SendOutcome(None)
        self._failure: BaseException | None = None

    def close(self) -> None:
        """
        Wait for the threads to end.

        After an unexpected error, sends may still be in flight. The ledger's lock must not be
        released before they end, or another process would settle them too early.
        """
        self.client.close()
        with self.signals.cut_off():
            self._worker_pool.close()
            self._reader.close()

    @property
    def unsettled(self) -> int:
        """Contacts that stay in doubt, because a lead without an id may be theirs."""
        return self._doubts.unsettled

    def refuse_to_end_in_doubt(self) -> None:
        """Raise if contacts stay in doubt; everything else was written."""
        if self.unsettled:
            raise unsettled(self.unsettled, self.options.client_id)

    # The loop

    def run(self, limit: int | None, leads: int | None = None) -> None:
        """
        Send until nothing is left to send and nothing is in doubt.

        Args:
            limit: Contacts to send at most, including those of earlier calls; `None` = all.
            leads: Stop after this many more leads; leads in flight or in doubt count, so there are
                never more. `None` = no such limit.

        Raises:
            MigratorError: the run must stop; everything in flight was awaited and recorded.
        """
        self._limit, self._is_exhausted = limit, False
        self._most_leads = None if leads is None else self.recorder.done + leads
        while not self._is_done():
            events = self._worker_pool.events(self._nap_seconds(), len(self._in_flight))
            self._turn_at = awake_or_asleep()
            self.looks.turn(self._turn_at, is_sending=bool(self._in_flight))
            with self.ledger.transaction():
                self._record_unsent([one for one in events if isinstance(one, NotSentAfterAll)])
                self._record_results([one for one in events if isinstance(one, SendResult)])
                for event in events:
                    self._on_event(event)
                claimed = self._claim()
                self.recorder.save(is_at_rest=not self._in_flight)
                self.recorder.save_rate(self.limiter.limit)
            self._submit(claimed)
            self._start_reads()
            self._report_progress()
        if self._failure is not None:
            raise self._failure
        self.signals.check()
        if leads is None and self._queue.is_unfinished(limit):
            raise unfinished(self.writes.noun)

    def _is_stopping(self) -> bool:
        return self._failure is not None or self.signals.is_wanted

    def _is_done(self) -> bool:
        if self._in_flight:
            return False
        if self._is_stopping() or (self._most_leads is not None and self._leads_left() <= 0):
            return True
        return self._is_at_rest() and not self._queue.has_another_round(
            self._breaker.rounds, self._limit
        )

    def _is_at_rest(self) -> bool:
        """Whether everything that was begun has ended, and its meaning is decided."""
        is_over = self._is_exhausted and not self._in_flight and not self._doubts
        return is_over and not self._breaker.is_undecided

    def _is_stuck(self) -> bool:
        """Whether nothing can be sent until doubts are settled or the breaker has decided."""
        return not self._in_flight and (self._is_exhausted or self._capacity() <= 0)

    def _nap_seconds(self) -> float:
        now = time.monotonic()
        is_waiting = self._is_exhausted or self.writes.has_to_look()
        if self._is_stopping() or self._capacity() <= 0 or is_waiting:
            until = self._doubts.wait_seconds(now) or self._queue.rest_seconds(now)
            return min(LONGEST_NAP_SECONDS, until or LONGEST_NAP_SECONDS)
        return min(LONGEST_NAP_SECONDS, self.limiter.wait_seconds(now))

    # Recording results

    def _record_unsent(self, unsent: Sequence[NotSentAfterAll]) -> None:
        """These were handed back unsent; they may be claimed again."""
        why = "recalled before it was sent"
        keys = [one.contact.key for one in unsent]
        kind = self.writes.kind
        self._record([AttemptResult(key, Outcome.UNSENT, answer=why, kind=kind) for key in keys])
        for key in keys:
            del self._in_flight[key]

    def _record_results(self, returned: Sequence[SendResult]) -> None:
        now = time.monotonic()
        results = [(one, result_of(one.sent, one.contact.lead)) for one in returned]
        kind = self.writes.kind
        self._record([one.attempt_result(kind, result.is_failure) for one, result in results])
        self._add_doubts([one.contact.key for one in returned if one.sent.outcome is None], now)
        for one, result in results:
            claim = self._in_flight.pop(one.contact.key)
            if result.is_failure:
                self._queue.failed(one.contact.key, now)
            self._on_result(one, result, now)
            if result.kind is ResultKind.TAKEN and self._was_away():
                self._breaker.drop_undecided()
            verdict = self._breaker.add(one.contact.key, result, now, is_sample=claim.is_sample)
            self._apply_verdict(verdict, now)
        is_smooth = all(one.kind in (ResultKind.TAKEN, ResultKind.REFUSED) for _, one in results)
        is_smooth &= self.limiter.state.per_minute is None
        self._worker_pool.set_prefetch(len(results), is_smooth=is_smooth)

    def _record(self, results: Sequence[AttemptResult]) -> None:
        self._apply_holds(self.ledger.attempts.record_results(results))
        checked = self.recorder.done // LEADS_BETWEEN_CHECKS
        for ending in results:
            if ending.kind is self.writes.kind:
                self.recorder.count(ending)
            self.writes.on_result(ending)
            if ending.outcome in DONE:
                self._queue.finish(ending.key)
            elif ending.outcome is not None:
                self._is_exhausted = False  # the contact may be claimed again
                if not ending.is_failure:
                    is_unsent = ending.outcome is Outcome.UNSENT
                    self._queue.again(ending.key, is_unsent=is_unsent)
        if self.recorder.done // LEADS_BETWEEN_CHECKS > checked:
            self._reader.check_client()

    def _apply_holds(self, changed: HoldsChanged) -> None:
        self.recorder.change(changed)
        for key, hold in changed.held.items():
            self.writes.on_held(key, hold)
            self._queue.finish(key)
        if changed.freed:
            self._is_exhausted = False

    def _add_doubts(self, keys: Sequence[int], now: float) -> None:
        for doubt in self.ledger.attempts.in_doubt(keys) if keys else ():
            self._doubts.add(doubt, now)

    def _on_result(self, returned: SendResult, result: SendReport, now: float) -> None:
        """Adapt the rate to a result, and recall intents that have not left yet if needed."""
        sent = self._last = returned.sent
        if returned.error is not None:
            self._fail(returned.error)
        elif result.kind in (ResultKind.TAKEN, ResultKind.REFUSED):
            told = sent.rate_limit_info
            self.limiter.on_response(now, told.limit, told.remaining, told.reset_in_seconds)
            return
        elif sent.outcome is Outcome.THROTTLED:
            self.limiter.on_throttled(now, sent.retry_after_seconds)
        elif result.kind is ResultKind.WAIT:
            self.limiter.pause_for(now, sent.retry_after_seconds or 0.0)
        elif sent.status == 404:
            self._reader.check_client()
        self._news += 1

    def _apply_verdict(self, verdict: BreakerVerdict, now: float) -> None:
        if verdict.blamed:
            self._apply_holds(self.ledger.attempts.blame(verdict.blamed))
        if verdict.pardoned:
            self.ledger.attempts.pardon(verdict.pardoned)
            self.recorder.change(HoldsChanged(freed=list(verdict.pardoned)))
        if verdict.pause_seconds:
            self.limiter.pause_for(now, verdict.pause_seconds)
        if self._breaker.stop is not None:
            self._fail(error_of(self._breaker.stop, self._last, now, self.writes.noun))

    def _on_event(self, event: Any) -> None:
        """Process a finding of the reading thread."""
        self._reader.on_event(event)
        if isinstance(event, LeadsListed):
            if event.page is not None:
                self.writes.on_page(event.page, event.cursor, event.began_at)
                self._has_looked = self.writes.kind is not WriteKind.CREATE
            try:
                self.check_foreign(event.leads)
            except ForeignSender as error:
                self._fail(error)
        elif isinstance(event, LeadsFound):
            self._record_found(
                [(key, lead_id) for key, lead_id in event.leads if self._doubts.remove(key)]
            )
        elif isinstance(event, ListingComplete):
            self._on_listing_complete(event)
        elif isinstance(event, (ListingFailed, ClientGone, PageFailed)):
            self._fail(event.error)
        elif isinstance(event, ServiceRecovered):
            self._on_recovered(event)
        elif isinstance(event, ContactsFound) and event.is_proof:
            self.looks.looked(awake_or_asleep(), is_listing=False)

    def _on_listing_complete(self, listing: ListingComplete) -> None:
        """Settle the doubts that a complete listing settles at its end."""
        self.looks.looked(awake_or_asleep())
        self.writes.on_listing_complete(listing.looked_at)
        self._record(self._doubts.settle(listing))

    def _record_found(self, found: Sequence[tuple[int, str]]) -> None:
        self._record([AttemptResult(key, Outcome.FOUND, lead_id=lead_id) for key, lead_id in found])
        now = time.monotonic()
        if self._was_away():
            self._breaker.drop_undecided()
        for key, _ in found:
            if not self._doubts.is_inherited(key):
                verdict = self._breaker.add(key, SendReport(ResultKind.TAKEN), now)
                self._apply_verdict(verdict, now)

    def _on_recovered(self, read: ServiceRecovered) -> None:
        """Process the outcome of the read that the breaker asked for."""
        self._has_read = True
        now = time.monotonic()
        if read.error is not None:
            self._fail(read.error)
        elif read.was_down or self._was_away():
            self._apply_verdict(self._breaker.recovered(now), now)
        else:
            left = self._queue.left(self._limit, in_doubt=bool(self._doubts))
            self._apply_verdict(self._breaker.read_answered(now, left), now)

    def _was_away(self) -> bool:
        """Whether reads also failed while the undecided sends did."""
        failing = self._breaker.failing
        return failing is not None and self.outage.was_away(*failing)

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error

    # Claiming and sending

    def _capacity(self) -> int:
        """How many more contacts may be claimed."""
        if self._reader.is_reading:
            return 0
        in_flight = len(self._in_flight)
        room = self._breaker.capacity(in_flight, self._worker_pool.prefetch)
        in_doubt = len(self._doubts) + self.unsettled
        room = min(room, self.options.max_in_doubt - in_doubt - in_flight)
        room = int(min(room, self.looks.sends_left(awake_or_asleep())))
        if self._most_leads is None:
            return room
        # A doubt may turn out to be a lead, even one of an earlier push.
        return min(room, self._leads_left() - len(self._doubts) - in_flight)

    def _leads_left(self) -> int:
        return (self._most_leads or 0) - self.recorder.done

    def _claim(self) -> list[tuple[ClaimedContact, bytes]]:
        """Choose what may leave now, and record the intents."""
        now = time.monotonic()
        if not (self._in_flight or self._doubts) and self.unsettled >= self.options.max_in_doubt:
            self._fail(unsettled(self.unsettled, self.options.client_id))
        if self._is_at_rest() and self._queue.begin_round(now, self._breaker.rounds, self._limit):
            self._is_exhausted = False
        if self._is_stopping() or self._is_exhausted or self._capacity() <= 0:
            return []
        if self.writes.has_to_look():  # what the limit allows is for the page
            return []
        allowed = self.limiter.claim(now, self._capacity())
        is_slow = self.limiter.interval_seconds > LONGEST_INTERVAL_SECONDS
        if allowed == 0 and is_slow and self._has_looked:
            allowed = self.limiter.claim_ahead(now)
        self._has_looked = False
        if allowed == 0:
            self._stop_if_limit_far(now)
            return []
        is_spread = self._breaker.is_sampling
        claims = self._queue.take(allowed, self._limit, spread=is_spread)
        is_short = not claims or (len(claims) < allowed and not is_spread)
        claimed = [(claim, self.writes.body(claim.contact)) for claim in claims]
        self.ledger.attempts.record_intents(
            self.recorder.run_id,
            [self.writes.intent(claim.contact, body) for claim, body in claimed],
        )
        for claim, _ in claimed:
            self.writes.on_claim(claim.contact)
        self._is_exhausted = is_short and self.writes.page_to_read() is None
        self.looks.sent(len(claimed))
        if self.writes.kind is WriteKind.CREATE:
            self._newest_emails.extend(claim.contact.lead["email"] for claim in claims)
        self._has_read = False
        return claimed

    def _stop_if_limit_far(self, now: float) -> None:
        """Stop if something is left to send and the next rate-limit window is too far away."""
        if rest(self.limiter, now)[1] is None:
            return
        self._is_exhausted = not self._queue.has_next(self._limit)
        if not self._is_exhausted and self.client.is_too_long():
            self._fail(busy(self.limiter.wait_seconds(now)))

    def _submit(self, claimed: Sequence[tuple[ClaimedContact, bytes]]) -> None:
        for claim, body in claimed:
            self._in_flight[claim.contact.key] = claim
            self._worker_pool.submit(claim.contact, body, self._news, self._turn_at)

    def _check_sender(self) -> None:
        """
        Raise unless this process may still send. Runs in a worker, right before each first byte.

        Since the commit the process may have been suspended, or have waited for a token, and
        another one may work on the ledger by now.
        """
        self.client.check_open()
        self.sender.check()

    def _is_still_valid(self, news: int) -> bool:
        """Whether no pause or stop was asked for since the intent was recorded. In a worker."""
        return self._news == news and not self._is_stopping()

    def _start_reads(self) -> None:
        """Start a read if the breaker wants one, else a listing if it can settle enough doubts."""
        reader = self._reader
        if reader.is_listing or reader.is_reading or reader.is_paging or self._is_stopping():
            return
        is_stuck = self._is_stuck()
        is_undecided = is_stuck and self._breaker.is_undecided and not self._doubts
        is_look_next = self._is_look_next(awake_or_asleep())
        # Before a look that holds the sends back, one read is enough: the sends that could decide
        # come after the look.
        if self._breaker.wants_read or (is_undecided and not (is_look_next and self._has_read)):
            self._reader.start_read()
        elif self._doubts.is_worth_a_listing(
            time.monotonic(), is_pressing=is_stuck
        ) or self._is_look_due(awake_or_asleep()):
            self._reader.start_listing(self._doubts.matcher(self.options.portal_id))
        elif is_look_next and (emails := self._emails_to_find()):
            self._reader.start_search(emails)
        elif is_look_next:
            self._reader.start_listing(self._doubts.matcher(self.options.portal_id))
        elif (page := self.writes.page_to_read()) is not None:
            if page.is_whole:
                self._reader.start_listing(self._doubts.matcher(self.options.portal_id))
            else:
                self._reader.start_page(page.cursor)

    def _is_look_next(self, now: float) -> bool:
        """Whether the next send has to wait for a listing, and nothing is in flight any more."""
        is_held = not self._is_exhausted and self.looks.sends_left(now) == 0
        return is_held and not self._in_flight

    def _is_look_due(self, now: float) -> bool:
        """Whether to list the client for foreign leads beside the sends."""
        return not self._is_exhausted and self.looks.is_due(now, self.client.listing_pages)

    def _emails_to_find(self) -> list[str]:
        """The e-mails to look for instead of listing the client; none = list it."""
        if not self._reader.can_find or self.writes.kind is not WriteKind.CREATE:
            return []
        left = self.ledger.counts.to_send()
        following = self.writes.untried(SENDS_BEFORE_THE_FIRST_LOOK)
        return self.looks.emails_to_find(
            awake_or_asleep(),
            self.client.listing_pages,
            left,
            list(self._newest_emails),
            [contact.lead["email"] for contact in following],
        )

    def check_foreign(self, leads: Sequence[LeadIdentity]) -> None:
        """
        Check the listed leads for new foreign ones.

        Raises:
            ForeignSender: there are some, so another sender is at work; looks are owed.
        """
        if foreign := self.ledger.foreign.among(leads):
            self.sender.owe_looks(True)
            raise foreign_sender(foreign)

    # Progress

    def _report_progress(self) -> None:
        progress = self.recorder.progress
        progress.in_flight = len(self._in_flight)
        progress.in_doubt = len(self._doubts) + self.unsettled
        progress.allowed_per_minute = self.limiter.state.per_minute
        progress.are_alike = self._breaker.refuses_all_alike
        progress.set_waiting(*self._waiting_for())
        self.recorder.report()

    def _waiting_for(self) -> tuple[str | None, float | None]:
        """What the push waits for (for people), and for how long; `None` = nothing, unknown."""
        now = time.monotonic()
        if self._is_stopping():
            return "sends in flight", None
        if self._reader.is_away:
            return self.outage.waiting_for("LeadGenius", now), None
        if self._reader.is_reading:
            return "a read that shows if LeadGenius works", None
        if self._doubts and self._is_stuck():
            if self._reader.is_listing:
                return "a listing that settles contacts in doubt", None
            return "contacts in doubt to settle", self._doubts.wait_seconds(now)
        if self._is_at_rest():
            return "the next round of failed contacts", self._queue.rest_seconds(now)
        return rest(self.limiter, now)
