"""
The loop of a push: take what came back, claim what may leave, commit both, hand the claimed out.

One scribe: the thread that drives alone writes the ledger. The others send and hand back values.
Nothing leaves before the transaction with its intent is committed (design, I1), and doubts are
settled by listings while the sends go on (I3).
"""

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from migrator.errors import Interrupted, StoppedEarly
from migrator.leadgenius import LeadGenius
from migrator.ledger import MAX_ATTEMPTS, Ending, Ledger, Sendable
from migrator.pacing import Pacer, Patience, is_troubled, trouble_pause_seconds
from migrator.push.client import Client, Interruption
from migrator.push.denials import Denials
from migrator.push.patience import (
    LONGEST_WAIT_SECONDS,
    Setbacks,
    busy,
    down,
    is_wait_too_long,
    rest,
)
from migrator.push.progress import Notice, Options, Telling
from migrator.push.senders import Moment, Returned, Senders, TakenBack
from migrator.settle import Complete, Doubts, Failed, Seen
from migrator.states import Hold, Outcome
from migrator.wire import Sent

# The longest that the scribe looks away: a signal is heard at least this often.
LONGEST_NAP_SECONDS = 0.5
# After so many leads it is looked whether their client is still there: one request in a hundred
# would not be noticed, and it takes a half of that.
LEADS_BETWEEN_CHECKS = 200
# What is sent no more: whoever may send a few only is done with it.
_OVER = (Outcome.CREATED, Outcome.FOUND, Outcome.REFUSED)


@dataclass(frozen=True)
class _Unfit:
    """The client is gone."""

    error: BaseException


@dataclass(frozen=True)
class _Back:
    """The service answers a read again; `error` = why it never will, or nobody waits longer."""

    error: BaseException | None = None


@dataclass
class Scribe:
    """The only hand that writes, and what it remembers between two commits."""

    ledger: Ledger
    leadgenius: LeadGenius
    pacer: Pacer
    options: Options
    run_id: int
    interruption: Interruption
    notice: Notice
    patience: Patience

    def __post_init__(self) -> None:
        self.telling = Telling(self.ledger, self.run_id, self.notice, self.options.limit)
        self.progress = self.telling.progress
        self._senders = Senders(self.options.workers, self._send, self._may_leave)
        self._lister = ThreadPoolExecutor(1, thread_name_prefix="list")
        self._doubts = Doubts(self.options.settle_seconds, max(1, self.options.max_in_doubt // 2))
        self.unsettled = 0
        # Nobody is sending: every open attempt is a doubt, and its clock begins now.
        for doubt in self.ledger.attempts.open():
            self._doubts.add(doubt, time.monotonic())
        self._flying: dict[int, Sendable] = {}
        self._claimed: set[int] = set()
        self._ahead = 0
        self.client = Client(self.leadgenius, self.options.client_id, self.pacer, self.interruption)
        self._is_listing = False
        self._is_exhausted = False
        self._bad_rounds = self._refusals = 0
        self._setbacks = Setbacks(self.patience)
        self._is_away = False
        self._throttled_since: float | None = None
        self._remembered_pace: float | None = None
        self._denials = Denials()
        self._failure: BaseException | None = None

    def close(self) -> None:
        """
        Wait for the threads to end.

        Where the run failed in an unforeseen way, some may be in flight: whoever closes the ledger
        before they are over lets another process settle what is still on its way.
        """
        self.client.close()
        self.interruption.cut_off()
        self._senders.close()
        self._lister.shutdown(wait=True, cancel_futures=True)

    # The loop

    def drive(self, limit: int | None) -> None:
        """
        Send until nothing is left to send and nothing is in doubt.

        Args:
            limit: At most so many contacts, those of earlier drives included; `None` = all.

        Raises:
            MigratorError: the run must stop; what was in flight was awaited and written.
        """
        self._is_exhausted = False
        while not self._is_done():
            events = self._senders.events(self._nap_seconds(), len(self._flying))
            with self.ledger.transaction():
                self._write_back([one.contact for one in events if isinstance(one, TakenBack)])
                self._write_returned([one for one in events if isinstance(one, Returned)])
                for event in events:
                    self._write(event)
                claimed = self._claim(limit)
                self.telling.note(is_at_rest=not self._flying)
                self._remember_pace()
            self._hand_out(claimed)
            self._look_for_doubts()
            self._tell()
        if self._failure is not None:
            raise self._failure
        self.interruption.check()

    def _is_stopping(self) -> bool:
        return self._failure is not None or self.interruption.is_wanted

    def _is_done(self) -> bool:
        if self._flying:
            return False
        return self._is_stopping() or (self._is_exhausted and not self._doubts)

    def _nap_seconds(self) -> float:
        now = time.monotonic()
        if self._is_stopping() or self._room() <= 0 or self._is_exhausted:
            until_ripe = self._doubts.wait_seconds(now) or LONGEST_NAP_SECONDS
            return min(LONGEST_NAP_SECONDS, until_ripe)
        return min(LONGEST_NAP_SECONDS, self.pacer.wait_seconds(now))

    def _write(self, event: Any) -> None:
        """What is known besides from the sends themselves."""
        if isinstance(event, Seen):
            seen = [(key, lead_id) for key, lead_id in event.leads if self._doubts.remove(key)]
            self._end([Ending(key, Outcome.FOUND, lead_id=lead_id) for key, lead_id in seen])
        elif isinstance(event, Complete):
            self._is_listing = False
            ripe = self._doubts.ripe(event.began_at)
            # Another listing would show the same: it is not waited for, and said at the end.
            for key in event.unsure.intersection(ripe):
                self._doubts.remove(key)
                self.unsettled += 1
            absent = event.looked_for.intersection(ripe)
            for key in absent:
                self._doubts.remove(key)
                self._is_exhausted = False
            self._end([Ending(key, Outcome.ABSENT) for key in sorted(absent)])
        elif isinstance(event, Failed):
            self._is_listing = False
            self._fail(event.error)
        elif isinstance(event, _Unfit):
            self._fail(event.error)
        elif isinstance(event, _Back):
            self._is_away = False
            self._throttled_since = None  # the time away was no throttling
            if event.error is not None:
                self._fail(event.error)

    def _write_back(self, contacts: Sequence[Sendable]) -> None:
        """These did not leave; they may be claimed again."""
        for contact in contacts:
            self._is_exhausted = False
            del self._flying[contact.key]
        why = "taken back before it left"
        self.ledger.attempts.end([Ending(one.key, Outcome.UNSENT, answer=why) for one in contacts])

    def _write_returned(self, returned: Sequence[Returned]) -> None:
        self._end([one.ending() for one in returned])
        self._add_doubts([one.contact.key for one in returned if one.sent.outcome is None])
        for one in returned:
            del self._flying[one.contact.key]
            self._heed(one.contact, one.sent)
            self._learn(one)
        self._look_ahead(returned)

    def _heed(self, contact: Sendable, sent: Sent) -> None:
        """What an answer means for its contact."""
        if sent.outcome is Outcome.CREATED:
            self._denials.got_through(contact.key)
        elif sent.outcome not in (Outcome.REFUSED, None):
            self._is_exhausted = False  # it may be claimed again
        if sent.outcome is Outcome.DENIED and self._denials.are_enough(contact.key):
            answer = f"denied {MAX_ATTEMPTS} times, the last answer was {sent.status}"
            self.ledger.contacts.hold(contact.key, Hold.GAVE_UP, answer)

    def _end(self, endings: Sequence[Ending]) -> None:
        self.ledger.attempts.end(endings)
        checked = self.progress.posted // LEADS_BETWEEN_CHECKS
        for ending in endings:
            self._count(ending)
        if self.progress.posted // LEADS_BETWEEN_CHECKS > checked:
            self._lister.submit(self._check_client_meanwhile)

    def _count(self, ending: Ending) -> None:
        if ending.outcome is not None:
            name = "posted" if ending.outcome is Outcome.CREATED else str(ending.outcome)
            setattr(self.progress, name, getattr(self.progress, name) + 1)
        if ending.outcome in _OVER and ending.key in self._claimed:
            self._claimed.remove(ending.key)
            self.telling.settled += 1

    def _add_doubts(self, keys: Sequence[int]) -> None:
        for doubt in self.ledger.attempts.open() if keys else ():
            if doubt.key in keys:
                self._doubts.add(doubt, time.monotonic())

    def _look_ahead(self, returned: Sequence[Returned]) -> None:
        """
        Decide how many may be claimed that no worker is free for yet.

        They wait, committed, so that a worker that comes back need not wait for a commit. As many
        as came back since the last commit will come back until the next one; twice as many, for it
        may take longer. More would only be more to look for after a crash. A pace spreads what may
        leave, and in trouble whatever can wait shall wait.
        """
        is_smooth = all(one.sent.outcome in (Outcome.CREATED, Outcome.REFUSED) for one in returned)
        if self.pacer.pace.per_minute is not None or not is_smooth:
            self._ahead = 0
        elif returned:
            self._ahead = min(2 * len(returned), self.options.workers)

    def _learn(self, returned: Returned) -> None:
        """What an answer means for the pace, and whether the service is still there."""
        now, sent = time.monotonic(), returned.sent
        if returned.error is not None:
            self._fail(returned.error)
        elif sent.outcome is Outcome.THROTTLED:
            self._slow_down(now, sent.retry_after_seconds)
        elif sent.outcome in (Outcome.CREATED, Outcome.REFUSED):
            self._bad_rounds = 0
            self._setbacks.over()
            self._throttled_since = None
            told = sent.allowance
            self.pacer.answered(now, told.limit, told.remaining, told.reset_in_seconds)
        elif returned.moment.bad_rounds == self._bad_rounds:
            # Those that were in flight together come to nothing together: that is one round.
            self._bad_rounds += 1
            self._setbacks.add(sent, now)
            self.pacer.rest(now, trouble_pause_seconds(self._bad_rounds))
            if sent.status == 404:
                self._lister.submit(self._check_client_meanwhile)
            if self._setbacks.are_too_many(self._bad_rounds, now):
                self._fail(down(sent))
            elif self.patience.seconds and is_troubled(self._bad_rounds):
                self._is_away = True
                self._lister.submit(self._await_service)

    def _slow_down(self, now: float, asked_seconds: float | None) -> None:
        self._refusals += 1
        if self._throttled_since is None:
            self._throttled_since = now
        self.pacer.throttled(now, asked_seconds)
        throttled = now - self._throttled_since + (asked_seconds or 0.0)
        if throttled > LONGEST_WAIT_SECONDS:
            self._fail(busy())

    def _remember_pace(self) -> None:
        if (found := self.pacer.found) != self._remembered_pace:
            self.ledger.journey.remember_pace(found)
            self._remembered_pace = found

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error

    def _room(self) -> int:
        """How many more may be in flight, or wait for a worker."""
        if self._is_away:
            return 0
        workers = 1 if is_troubled(self._bad_rounds) else self.options.workers + self._ahead
        in_doubt = len(self._doubts) + len(self._flying)
        return min(workers - len(self._flying), self.options.max_in_doubt - in_doubt)

    def _claim(self, limit: int | None) -> list[tuple[Sendable, bytes]]:
        """Write the intents to send what may leave now."""
        if self._is_stopping() or self._is_exhausted or self._room() <= 0:
            return []
        allowed = self.pacer.claim(time.monotonic(), self._room())
        if allowed == 0:
            self._give_way(limit)
            return []
        # They come in order, so those claimed before and free again come first.
        contacts = self._within(limit, self.ledger.attempts.sendable(allowed))
        self._is_exhausted = len(contacts) < allowed
        claimed = [(contact, self._body(contact)) for contact in contacts]
        self.ledger.attempts.intend(
            self.run_id,
            [(contact.key, hashlib.sha256(body).hexdigest()) for contact, body in claimed],
        )
        return claimed

    def _give_way(self, limit: int | None) -> None:
        """Stop rather than wait for hours, if anything is left to wait for."""
        if is_wait_too_long(self.pacer):
            self._is_exhausted = not self._within(limit, self.ledger.attempts.sendable(1))
            if not self._is_exhausted:
                self._fail(busy())

    def _within(self, limit: int | None, contacts: Iterable[Sendable]) -> list[Sendable]:
        if limit is None:
            return list(contacts)
        chosen = []
        for contact in contacts:
            begun = self.telling.settled + len(self._claimed)
            if contact.key in self._claimed or begun < limit:
                self._claimed.add(contact.key)
                chosen.append(contact)
        return chosen

    def _body(self, contact: Sendable) -> bytes:
        lead = {"client_id": self.options.client_id, **self.ledger.decoded(contact.lead)}
        return json.dumps(lead, ensure_ascii=False, separators=(",", ":")).encode()

    def _hand_out(self, claimed: Iterable[tuple[Sendable, bytes]]) -> None:
        for contact, body in claimed:
            self._flying[contact.key] = contact
            self._senders.hand_out(contact, body, self._moment())

    def _send(self, body: bytes) -> Sent:
        """In a worker."""
        self.client.check_open()
        # Paused since its intent was committed, it may have lost the ledger meanwhile.
        self.ledger.check_lock()
        return self.leadgenius.create_lead(body)

    def _may_leave(self, moment: Moment) -> bool:
        """In a worker: whether nothing was heard since its intent was written to wait for."""
        is_news = self._refusals > moment.refusals or self._bad_rounds > moment.bad_rounds
        return not (is_news or self._is_stopping())

    def _moment(self) -> Moment:
        return Moment(self._bad_rounds, self._refusals)

    # Doubts

    def _look_for_doubts(self) -> None:
        """Begin a listing when one is worth it; it looks while the sends go on."""
        if self._is_listing or self._is_away or self._is_stopping():
            return
        is_pressing = not self._flying and (self._is_exhausted or self._room() <= 0)
        if self._doubts.is_worth_a_listing(time.monotonic(), is_pressing=is_pressing):
            self._is_listing = True
            lookout = self._doubts.lookout(self.options.portal_id)
            self._lister.submit(lookout.look, self.client.pages, self._senders.tell)

    def _await_service(self) -> None:
        """Ask for what costs nothing until it is answered; no send is to find that out."""
        try:
            self.client.check()
        except BaseException as error:  # it is the main thread's to judge
            self._senders.tell(_Back(error))
        else:
            self._senders.tell(_Back())

    def _check_client_meanwhile(self) -> None:
        try:
            # Doubts are settled in this thread: what is only a precaution is not waited for.
            self.client.check(is_patient=False)
        except (StoppedEarly, Interrupted):
            pass  # nobody can say now; the sends themselves tell whether to go on
        except BaseException as error:  # it is the main thread's to judge
            self._senders.tell(_Unfit(error))

    # What people see

    def _tell(self) -> None:
        progress = self.progress
        progress.in_flight = len(self._flying)
        progress.in_doubt = len(self._doubts) + self.unsettled
        progress.allowed_per_minute = self.pacer.pace.per_minute
        progress.keep(*self._what_keeps_it())
        self.notice(progress)

    def _what_keeps_it(self) -> tuple[str | None, float | None]:
        """In words, and for how long; `None` = nothing does, or nobody knows."""
        if self._is_stopping():
            return "what is in flight", None
        if self._is_away:
            return self.patience.waiting_for("LeadGenius", time.monotonic()), None
        if not self._flying and self._doubts and (self._is_exhausted or self._room() <= 0):
            if self._is_listing:
                return "a look at LeadGenius for what is in doubt", None
            return "what is in doubt to settle", self._doubts.wait_seconds(time.monotonic())
        return rest(self.pacer, self._bad_rounds)
