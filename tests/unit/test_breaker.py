"""Who is at fault, as a table: what came back in order, and what is decided."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from migrator.http import SendOutcome
from migrator.push.breaker import (
    ACCOUNT_SAMPLES,
    MOST_LOST_ROUNDS,
    MOST_SAMPLES,
    SAME_REFUSALS,
    SHORTEST_LONGEST_WAIT_SECONDS,
    Breaker,
    RemainingWork,
    ResultKind,
    SendReport,
    Stop,
    StopReason,
    result_of,
)
from migrator.states import Outcome

WORKERS = 4
SOME = RemainingWork(untried=True)
NONE = RemainingWork()

TAKEN = SendReport(ResultKind.TAKEN)
FAILED = SendReport(ResultKind.FAILED)  # in doubt: a 500, a time-out
DENIED = SendReport(ResultKind.FAILED, "403 owner_mismatch")
REFUSED = SendReport(ResultKind.REFUSED, "400 invalid_format")
UNSENT = SendReport(ResultKind.UNSENT)


def wait(seconds: float | None) -> SendReport:
    return SendReport(ResultKind.WAIT, asked_seconds=seconds)


@dataclass
class Played:
    """A breaker, and all that it decided so far. Contacts are numbered as they come."""

    breaker: Breaker
    now: float = 0.0
    sent: int = 0
    blamed: list[int] = field(default_factory=list)
    pardoned: list[int] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def send(self, *results: SendReport, samples: bool = False) -> "Played":
        for result in results:
            self.sent += 1
            verdict = self.breaker.add(self.sent, result, self.now, is_sample=samples)
            self._note(verdict)
        return self

    def read(self, left: RemainingWork) -> "Played":
        self._note(self.breaker.read_answered(self.now, left))
        return self

    def sample(self, times: int, result: SendReport = FAILED) -> "Played":
        """Waves of samples, with a read that works after each."""
        for number in range(1, times + 1):
            self.send(result, samples=True)
            if number % WORKERS == 0:
                self.read(SOME)
        return self

    def _note(self, verdict) -> None:
        self.blamed += verdict.blamed
        self.pardoned += verdict.pardoned
        self.pauses += [verdict.pause_seconds] if verdict.pause_seconds else []

    def why(self) -> StopReason | None:
        return self.breaker.stop.why if self.breaker.stop else None


def fresh(has_taken: bool = False, outage: float = 0.0) -> Played:
    return Played(Breaker(WORKERS, outage, has_taken=has_taken))


# What an answer is


LEAD = {"email": "ada@x.example", "firstName": "Ada", "lastName": "-", "notes": "Met"}


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (SendOutcome(Outcome.CREATED, 201), ResultKind.TAKEN),
        (SendOutcome(Outcome.REFUSED, 400), ResultKind.REFUSED),
        (SendOutcome(Outcome.DENIED, 400, "<html>"), ResultKind.FAILED),
        (SendOutcome(Outcome.DENIED, 401), ResultKind.FAILED),
        (SendOutcome(Outcome.DENIED, 403), ResultKind.FAILED),
        (SendOutcome(Outcome.DENIED, 404), ResultKind.FAILED),
        (SendOutcome(None, 409), ResultKind.FAILED),
        (SendOutcome(None, 500), ResultKind.FAILED),
        (SendOutcome(None, 500, retry_after_seconds=5.0), ResultKind.FAILED),
        (SendOutcome(None, 503), ResultKind.FAILED),
        (SendOutcome(None, 503, retry_after_seconds=0.0), ResultKind.FAILED),
        (SendOutcome(None, 503, retry_after_seconds=600.0), ResultKind.WAIT),
        (SendOutcome(None), ResultKind.FAILED),
        (SendOutcome(Outcome.UNSENT), ResultKind.UNSENT),
        (SendOutcome(Outcome.THROTTLED, 429), ResultKind.WAIT),
        (SendOutcome(Outcome.THROTTLED, 429, retry_after_seconds=7.0), ResultKind.WAIT),
    ],
)
def test_each_answer_is_of_one_kind(sent, kind):
    assert result_of(sent, LEAD).kind is kind


@pytest.mark.parametrize(
    ("one", "other", "are_the_same"),
    [
        ('{"error": "no"}', '{"error": "no"}', True),
        ('{"error": "no", "id": "a1-b2"}', '{"error": "no", "id": "77-c"}', True),
        ("ada@x.example is taken", "bob@x.example is taken", True),
        ("request 4711: no", "request 4712: no", True),
        ("A NAME IS WRONG: Ada", "A name is wrong: Bob", True),
        ("no", "never", False),
        ("", "no", False),
    ],
)
def test_refusals_are_told_apart_by_their_words(one, other, are_the_same):
    ada = result_of(SendOutcome(Outcome.DENIED, 403, one), LEAD)
    bob = result_of(
        SendOutcome(Outcome.DENIED, 403, other), {"email": "bob@x.example", "firstName": "Bob"}
    )
    assert (ada.words == bob.words) is are_the_same
    assert ada.words != result_of(SendOutcome(Outcome.DENIED, 404, one), LEAD).words


def test_the_services_own_word_for_a_refusal_goes_before_the_others():
    one, other = (
        result_of(SendOutcome(None, 409, answer, error_type="conflict"), LEAD)
        for answer in ("a", "b")
    )
    assert one.words == other.words == "409 conflict"


@pytest.mark.parametrize(
    "sent", [SendOutcome(None, 500, "no"), SendOutcome(None, None, "time-out")]
)
def test_what_is_no_refusal_has_no_words(sent):
    assert result_of(sent, LEAD).words is None


# 1: a wait that was asked for


@pytest.mark.parametrize(
    ("outage", "asked", "stops"),
    [
        (0.0, None, False),
        (0.0, SHORTEST_LONGEST_WAIT_SECONDS, False),
        (0.0, SHORTEST_LONGEST_WAIT_SECONDS + 1, True),
        (7_200.0, 2_400.0, False),
        (7_200.0, 7_201.0, True),
    ],
)
def test_a_wait_is_kept_as_long_as_it_is_short_enough(outage, asked, stops):
    played = fresh(outage=outage).send(wait(asked))
    assert (played.why() is StopReason.BUSY) is stops
    if stops:
        assert played.breaker.stop == Stop(StopReason.BUSY, asked)


def test_waits_in_a_row_are_one_and_a_lead_between_them_makes_them_two():
    in_a_row, apart = fresh(outage=7_200.0), fresh(outage=7_200.0)
    for now in (0.0, 3_600.0, 7_200.0):
        in_a_row.now = apart.now = now
        in_a_row.send(wait(3_600.0))
        apart.send(wait(3_600.0), TAKEN)
    assert (in_a_row.why(), apart.why()) == (StopReason.BUSY, None)


def test_a_wait_is_nobodys_failure_and_opens_no_sampling():
    played = fresh().send(*[wait(1.0)] * 3 * WORKERS)
    assert not played.breaker.wants_read
    assert played.breaker.capacity(0, 0) == WORKERS
    assert played.send(TAKEN).blamed == []


# 2: down


def test_as_many_failures_as_workers_want_a_read_and_nothing_is_sent_before():
    played, wants = fresh(), []
    for left in range(WORKERS - 1, -1, -1):
        played.send(FAILED)
        wants.append(played.breaker.wants_read)
        assert played.breaker.capacity(0, WORKERS) == left
    assert wants == [False] * (WORKERS - 1) + [True]


def test_those_in_flight_are_of_the_row_too():
    assert fresh().send(FAILED).breaker.capacity(WORKERS - 1, WORKERS) == 0


def test_a_lead_between_two_failures_breaks_the_row_and_a_refusal_does_not():
    assert not fresh().send(*[FAILED] * 3, TAKEN, FAILED).breaker.wants_read
    assert fresh().send(*[FAILED] * 3, REFUSED, FAILED).breaker.wants_read


def test_nothing_that_failed_while_the_service_was_down_counts():
    played = fresh(has_taken=True).send(*[FAILED] * WORKERS)
    played.breaker.recovered(0.0)
    assert played.send(TAKEN).read(NONE).blamed == []


def test_a_service_that_is_down_whenever_it_is_to_decide_ends_the_run_and_nothing_counts():
    played, reasons = fresh(has_taken=True), []
    for _ in range(MOST_LOST_ROUNDS):
        played.send(*[FAILED] * WORKERS)._note(played.breaker.recovered(played.now))
        reasons.append(played.why())
    assert reasons == [None] * (MOST_LOST_ROUNDS - 1) + [StopReason.UNREACHABLE]
    assert played.blamed == []


def test_an_outage_between_gives_no_more_samples():
    played = fresh().send(*[FAILED] * WORKERS).read(SOME).sample(MOST_SAMPLES - 1)
    played.breaker.recovered(0.0)
    played.send(*[FAILED] * WORKERS).read(SOME)
    assert played.breaker.capacity(0, 0) == 1


def test_those_that_failed_while_the_service_was_down_are_excused_before_a_lead():
    played = fresh()
    for played.now in (1.0, 2.0, 4.0):
        played.send(FAILED)
    assert played.breaker.failing == (1.0, 4.0)
    played.breaker.drop_undecided()
    assert not played.breaker.is_undecided
    assert played.send(TAKEN).blamed == []


def test_what_never_leaves_although_reads_work_is_tried_slower_and_slower_and_blames_nobody():
    played = fresh(has_taken=True)
    for number in range(1, MOST_LOST_ROUNDS + 1):
        assert played.why() is None
        played.send(*[UNSENT] * WORKERS).read(NONE)
        assert len(played.pauses) == number
    assert (played.why(), played.blamed) == (StopReason.UNREACHABLE, [])
    assert played.pauses[:3] == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    "left", [NONE, SOME, RemainingWork(tried=True), RemainingWork(in_doubt=True)]
)
def test_what_never_leaves_ends_a_run_although_an_earlier_failure_is_undecided(left):
    played = fresh(has_taken=True).send(FAILED, *[UNSENT] * (WORKERS - 1)).read(SOME)
    for _ in range(MOST_LOST_ROUNDS):
        assert played.why() is None
        played.send(*[UNSENT] * WORKERS).read(left)
    assert (played.why(), played.blamed) == (StopReason.UNREACHABLE, [])


def test_what_never_leaves_is_tried_for_as_long_as_patience_lasts():
    played = fresh(outage=100.0)
    for _ in range(2 * MOST_LOST_ROUNDS):
        played.now += 5.0
        played.send(*[UNSENT] * WORKERS).read(NONE)
    assert played.why() is None
    played.now += 100.0
    assert played.send(*[UNSENT] * WORKERS).read(NONE).why() is StopReason.UNREACHABLE


# 4: the same refusal again and again


@pytest.mark.parametrize("refusal", [REFUSED, DENIED])
def test_ten_from_elsewhere_who_hear_the_same_prove_that_it_is_the_accounts(refusal):
    played = fresh(has_taken=True)
    refuse(played, refusal, SAME_REFUSALS)
    assert played.breaker.is_sampling
    refuse(played, refusal, ACCOUNT_SAMPLES - 1, samples=True)
    assert played.why() is None
    refuse(played, refusal, 1, samples=True)
    assert (played.why(), played.blamed) == (StopReason.ACCOUNT, [])
    assert played.pardoned == list(range(1, played.sent + 1))


def refuse(played: Played, refusal: SendReport, times: int, *, samples: bool = False) -> None:
    for _ in range(times):
        played.send(refusal, samples=samples)
        if played.breaker.wants_read:
            played.read(SOME)


def test_who_was_in_flight_when_it_was_found_out_is_pardoned_too():
    played = fresh().send(*[REFUSED] * SAME_REFUSALS)
    played.send(*[REFUSED] * ACCOUNT_SAMPLES, samples=True).send(REFUSED)
    assert played.pardoned == list(range(1, played.sent + 1))


def test_no_more_are_sent_to_find_out_than_are_needed():
    played = fresh().send(*[REFUSED] * SAME_REFUSALS)
    many = Breaker(64, 0.0, has_taken=False)
    for key in range(SAME_REFUSALS):
        many.add(key, REFUSED, 0.0)
    assert many.capacity(0, 0) == ACCOUNT_SAMPLES
    assert many.capacity(3, 0) == ACCOUNT_SAMPLES - 3
    assert played.breaker.capacity(0, WORKERS) == WORKERS


def test_one_that_is_taken_proves_that_it_is_not_and_a_row_twice_as_long_asks_again():
    played = fresh()
    for times in (1, 2, 4):
        played.send(*[REFUSED] * (times * SAME_REFUSALS - 1))
        assert not played.breaker.is_sampling
        assert played.send(REFUSED).breaker.is_sampling
        assert not played.send(TAKEN, samples=True).breaker.is_sampling


def test_the_account_may_refuse_everybody_later_in_the_words_that_were_once_about_a_contact():
    played = fresh().send(*[REFUSED] * SAME_REFUSALS).send(TAKEN, samples=True)
    played.send(*[REFUSED] * 2 * SAME_REFUSALS).send(*[REFUSED] * ACCOUNT_SAMPLES, samples=True)
    assert played.why() is StopReason.ACCOUNT
    assert len(played.pardoned) == 2 * SAME_REFUSALS + ACCOUNT_SAMPLES


def test_a_short_row_of_refused_ones_tells_nothing_of_the_account():
    played = fresh().send(*[REFUSED] * (SAME_REFUSALS - 1), TAKEN, *[REFUSED] * SAME_REFUSALS)
    assert played.breaker.is_sampling


def test_who_is_not_held_at_once_for_it_is_compared_no_more_once_a_lead_is_taken():
    played = fresh().send(DENIED, TAKEN)
    refuse(played, DENIED, SAME_REFUSALS + ACCOUNT_SAMPLES, samples=True)
    assert played.why() is None


def test_other_words_between_begin_the_row_anew():
    other = SendReport(ResultKind.REFUSED, "400 missing_required_field")
    row = [REFUSED] * (SAME_REFUSALS - 1)
    assert not fresh().send(*row, other, *row).breaker.is_sampling
    assert not fresh().send(*row, FAILED, REFUSED).breaker.is_sampling
    assert fresh().send(*row, wait(1.0), UNSENT, REFUSED).breaker.is_sampling


def test_those_who_failed_before_prove_nothing_of_the_account():
    played = fresh(has_taken=True).send(*[REFUSED] * SAME_REFUSALS)
    played.send(*[REFUSED] * 2 * ACCOUNT_SAMPLES)
    assert played.why() is None
    assert played.breaker.refuses_all_alike


# 5: samples


def test_where_reads_work_others_are_tried_and_the_first_lead_ends_it():
    played = fresh().send(*[FAILED] * WORKERS).read(SOME)
    is_sampling = [played.breaker.is_sampling]
    assert played.breaker.capacity(0, WORKERS) == WORKERS
    played.send(FAILED, TAKEN, samples=True)
    is_sampling.append(played.breaker.is_sampling)
    assert is_sampling == [True, False]
    assert played.blamed == list(range(1, WORKERS + 2))


@pytest.mark.parametrize("has_taken", [False, True])
def test_sampling_in_vain_ends_after_a_hundred_and_nothing_counts(has_taken):
    played = fresh(has_taken).send(*[FAILED] * WORKERS).read(SOME).sample(MOST_SAMPLES - 1)
    assert played.why() is None
    assert played.breaker.capacity(0, 0) == 1
    played.sample(1)
    assert played.breaker.wants_read
    assert (played.read(SOME).why(), played.blamed) == (StopReason.IN_VAIN, [])


def test_a_lead_that_is_taken_gives_a_hundred_more():
    played = fresh().send(*[FAILED] * WORKERS).read(SOME).sample(MOST_SAMPLES - 1).send(TAKEN)
    played.send(*[FAILED] * WORKERS).read(SOME).sample(MOST_SAMPLES - 1)
    assert played.why() is None


# (has a lead ever been taken, in this push, who is left after the read) -> (stops, all count)
VERDICTS = [
    (False, False, NONE, StopReason.IN_VAIN, False),
    (False, False, RemainingWork(out_of_reach=True), StopReason.IN_VAIN, False),
    (False, False, RemainingWork(in_doubt=True), None, False),
    (False, False, RemainingWork(tried=True), None, False),
    (True, False, NONE, None, True),
    (True, False, RemainingWork(tried=True), None, True),
    (True, False, RemainingWork(in_doubt=True), None, False),
    (True, False, RemainingWork(out_of_reach=True), StopReason.IN_VAIN, False),
    (True, True, RemainingWork(out_of_reach=True), None, True),
    (True, True, NONE, None, True),
    (True, True, SOME, None, False),
]


@pytest.mark.parametrize(("has_taken", "now", "left", "why", "counts"), VERDICTS)
def test_where_nobody_is_left_to_find_out_with_it_hangs_on_what_was_taken_before(
    has_taken, now, left, why, counts
):
    played = fresh(has_taken).send(*[TAKEN] * now).send(*[FAILED] * WORKERS).read(left)
    assert played.why() is why
    assert len(played.blamed) == WORKERS * counts


@pytest.mark.parametrize("left", [NONE, RemainingWork(out_of_reach=True)])
def test_a_few_that_fail_where_nothing_was_taken_yet_stop_nothing_and_do_not_count(left):
    played = fresh().send(*[FAILED] * (WORKERS - 1)).read(left)
    assert (played.why(), played.breaker.is_undecided) == (None, False)
    assert played.send(TAKEN).blamed == []


# 6: what counts


def test_a_failure_counts_once_it_is_followed_by_a_lead():
    played = fresh().send(FAILED, DENIED, REFUSED, UNSENT, wait(1.0), TAKEN)
    assert played.blamed == [1, 2]
    assert played.send(TAKEN).blamed == [1, 2]


def test_one_in_doubt_that_is_found_is_not_blamed_and_clears_the_service():
    played = fresh().send(FAILED, FAILED)
    played._note(played.breaker.add(1, TAKEN, 0.0))
    assert played.blamed == [2]


@pytest.mark.parametrize(
    ("has_taken", "results", "rounds"),
    [(False, [], 2), (True, [], 2), (True, [TAKEN, FAILED], None), (False, [TAKEN], None)],
)
def test_how_often_one_is_sent_in_a_push(
    has_taken: bool, results: Iterable[SendReport], rounds: int | None
):
    assert fresh(has_taken).send(*results).breaker.rounds == rounds


def test_who_has_stopped_sends_nothing():
    played = fresh().send(SendReport(ResultKind.WAIT, asked_seconds=10 * 3600.0))
    assert played.why() is StopReason.BUSY
    assert played.breaker.capacity(0, WORKERS) == 0


def test_where_nothing_fails_all_workers_and_those_ahead_are_used():
    assert fresh().send(*[TAKEN, REFUSED] * 5).breaker.capacity(1, 3) == WORKERS + 3 - 1
