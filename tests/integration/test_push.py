"""
Every mapped contact to the destination at most once, whatever the destination does.

The sandbox's own record is the judge; see `Journey.judge`.
"""

import json
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from benchmarks.judge import complete_listings, posts, reading
from migrator.counters import PushCounters
from migrator.errors import (
    ExitCode,
    Interrupted,
    LedgerError,
    ServiceDown,
    StoppedEarly,
    Unauthorized,
)
from migrator.http import SendOutcome
from migrator.leadgenius import Credentials, LeadGenius, LeadPage, Tokens
from migrator.ledger import MAX_ATTEMPTS, Ledger
from migrator.rate_limit import RateState
from migrator.sandbox import lead_store
from migrator.states import Hold, Outcome
from tests import at_once
from tests.support.journeys import (
    SETTLE,
    Journey,
    contact,
    digest,
)

CONTACTS = 12
TIMEOUT = 0.5


@pytest.fixture
def journey(sandbox, ledger):
    return staged(sandbox(contacts=CONTACTS, late_seconds=0.2, slow_seconds=0.3), ledger)


def staged(sandbox, ledger) -> Journey:
    journey = Journey(sandbox, ledger)
    journey.stage()
    return journey


class Stopping:
    """An interruption that comes when it is told to."""

    is_wanted = False

    def stop(self) -> None:
        self.is_wanted = True

    def pause(self, seconds: float) -> None:
        self.check()

    def check(self) -> None:
        if self.is_wanted:
            raise Interrupted("stopped", "go on", 2)

    def cut_off(self) -> AbstractContextManager[None]:
        """It waits for nothing, so nothing needs to be cut off."""
        return nullcontext()


class Watched:
    """The destination, with somebody looking over the sender's shoulder."""

    def __init__(self, real: LeadGenius, look: Callable[[bytes], None]) -> None:
        self._real = real
        self._look = look

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def create_lead(self, body: bytes, may_leave: Callable[[], None]) -> SendOutcome:
        self._look(body)
        return self._real.create_lead(body, may_leave)


def sent_to(email: str) -> Callable[[dict[str, Any]], bool]:
    return lambda lead: bool(lead["email"] == email)


def when(posted: int, act: Callable[[], None]) -> Callable[[PushCounters], None]:
    """Act once, as soon as so many were posted."""
    done: list[bool] = []

    def notice(progress: PushCounters) -> None:
        if progress.posted >= posted and not done:
            done.append(True)
            act()

    return notice


@pytest.fixture
def hurry(monkeypatch):
    """A service in trouble is left alone for a moment only."""
    monkeypatch.setattr("migrator.push.breaker.backoff_seconds", lambda rounds, *bounds: 0.01)


# The table of answers


def test_every_contact_that_can_be_sent_is_sent_once(journey):
    progress = journey.push()
    assert progress.posted == len(posts(journey.sandbox)) > 0
    journey.judge()
    assert journey.push().posted == 0
    journey.judge()


def test_leads_go_one_by_one_and_under_the_client_id(journey):
    journey.push()
    for one in posts(journey.sandbox):
        assert "leads" not in one.lead
        assert one.lead["client_id"] == journey.sandbox.client_id


@pytest.mark.parametrize(
    ("fault", "outcomes"),
    [
        ("forbidden", ["denied", "created"]),
        ("not_found", ["denied", "created"]),
        ("throttle", ["throttled", "created"]),
        ("throttle_silently", ["throttled", "created"]),
        ("expire_token", ["created"]),
        ("slow", ["created"]),
        ("conflict", ["absent", "created"]),
        ("conflict_after_saving", ["found"]),
        ("unavailable", ["absent", "created"]),
        ("error_after_saving", ["found"]),
        ("error_without_saving", ["absent", "created"]),
        ("drop_before_saving", ["absent", "created"]),
        ("drop_after_saving", ["found"]),
        ("reset_after_saving", ["found"]),
        ("hang_before_saving", ["absent", "created"]),
        ("hang_after_saving", ["found"]),
        ("save_late", ["found"]),
        ("truncated", ["found"]),
        ("html", ["absent", "created"]),
        ("html_after_saving", ["found"]),
        ("no_id", ["found"]),
        ("empty_answer", ["found"]),
        ("redirect", ["absent", "created"]),
        ("moved", ["absent", "created"]),
    ],
)
def test_each_answer_ends_with_one_lead(journey, fault, outcomes):
    journey.sandbox.fault(fault)
    journey.push(timeout=TIMEOUT)
    journey.judge()
    struck = next(one.key for one in posts(journey.sandbox) if one.fault == fault)
    # On a busy machine a connection can take too long: what never left is not what struck it.
    assert journey.ask(
        f"SELECT outcome FROM attempt WHERE payload_hash = '{struck}' "
        "AND outcome IS NOT 'unsent' ORDER BY number"
    ) == [(outcome,) for outcome in outcomes]


@pytest.mark.parametrize("fault", ["refuse", "unprocessable", "too_large"])
def test_what_is_refused_is_held_with_the_answer_and_the_others_go_on(journey, fault):
    journey.sandbox.fault(fault)
    progress = journey.push()
    assert (progress.refused, progress.left_for_a_person) == (1, 1)
    held, detail = journey.ask("SELECT held, detail FROM contact WHERE held NOT LIKE '%mail%'")[0]
    assert held == Hold.REFUSED
    assert "success" in detail
    assert len(journey.sandbox.verdict().lost) == 1
    assert journey.ledger.holds.release(Hold.REFUSED, None) == 1
    journey.push()
    journey.judge()


def test_nothing_is_sent_where_a_redirect_leads(journey):
    journey.sandbox.fault("redirect")
    journey.push()
    assert not [one for one in journey.sandbox.received if "moved" in one.path]


# Doubt (I3)


@pytest.mark.parametrize("fault", ["error_without_saving", "hang_before_saving"])
def test_no_second_send_before_a_complete_listing_begun_after_settle(journey, fault):
    journey.sandbox.fault(fault, times=3)
    journey.push(timeout=TIMEOUT)
    received = journey.sandbox.received
    struck = [one for one in received if one.fault == fault]
    assert len(struck) == 3
    for first in struck:
        again = next(one for one in received if one.key == first.key and one is not first)
        listings = [
            one
            for one in received[first.number : again.number]
            if one.path == "/api/leads" and one.method == "GET" and one.status == 200
        ]
        assert any(one.at >= first.at + SETTLE for one in listings)
    journey.judge()


def test_a_doubt_that_arises_before_a_listing_and_ripens_in_it_waits_for_the_next(
    sandbox, ledger, monkeypatch
):
    journey = staged(sandbox(contacts=CONTACTS, latency_seconds=SETTLE / 4), ledger)
    first, _, third, *_ = posted_emails(journey)
    for email in (first, third):
        journey.sandbox.fault("error_without_saving", where=sent_to(email))
    real = LeadGenius.lead_pages

    def lead_pages(self: LeadGenius, client_id: str) -> Iterator[LeadPage]:
        yield from real(self, client_id)
        time.sleep(
            SETTLE
        )  # a listing may take long; what becomes ripe meanwhile was not looked for

    monkeypatch.setattr(LeadGenius, "lead_pages", lead_pages)
    assert journey.push(workers=1, max_in_doubt=3).absent == 2
    journey.judge()


def test_what_an_earlier_push_left_in_doubt_waits_a_whole_settle_again(journey):
    begin_in_doubt(journey, "drop_before_saving")
    began = time.time()
    journey.push()
    assert complete_listings(journey.sandbox)[-1][0].at >= began + SETTLE
    journey.judge()


@pytest.mark.parametrize("fault", ["drop_before_saving", "drop_after_saving"])
def test_a_stop_leaves_a_doubt_in_doubt_and_does_not_wait_for_it(journey, fault):
    began = time.monotonic()
    begin_in_doubt(journey, fault, settle_seconds=60)
    assert time.monotonic() - began < 30
    assert journey.outcomes()[None] == 1
    settled = journey.push()
    assert (settled.found, settled.posted) == ((1, 0) if "after" in fault else (0, 1))
    journey.judge()


def begin_in_doubt(journey: Journey, fault: str, **options: Any) -> None:
    """A push that is stopped when nothing is left to do but to settle a doubt."""
    stopping = Stopping()
    journey.sandbox.fault(fault)

    def stop(progress: PushCounters) -> None:
        stopping.is_wanted = bool(progress.in_doubt) and not progress.in_flight

    with pytest.raises(Interrupted):
        journey.push(signals=stopping, notice=stop, **options)


def test_a_listing_that_fails_settles_nothing(journey):
    journey.sandbox.fault("error_without_saving")
    journey.sandbox.fault("list_error", times=100, where=lambda _: bool(posts(journey.sandbox)))
    with pytest.raises(ServiceDown):
        journey.push()
    assert journey.outcomes()[None] == 1
    journey.sandbox.calm()
    journey.push()
    journey.judge()


def test_a_listing_without_an_end_settles_nothing(sandbox, ledger):
    journey = staged(sandbox(contacts=CONTACTS, page_limit=3), ledger)
    journey.sandbox.fault("error_without_saving")
    journey.sandbox.fault("repeat_cursor", where=lambda query: "lastKey" in query)
    with pytest.raises(ServiceDown, match="second time"):
        journey.push()
    assert journey.outcomes()[None] == 1
    journey.push()
    journey.judge()


@pytest.mark.parametrize("fault", ["short_page", "empty_page", "list_drop"])
def test_odd_pages_of_a_listing_hide_nothing(journey, fault):
    journey.sandbox.fault("drop_after_saving", times=3)
    journey.sandbox.fault(fault, times=2)
    journey.push()
    journey.judge()


def test_reads_that_lag_hide_nothing(sandbox, ledger):
    journey = staged(sandbox(contacts=CONTACTS, read_lag_seconds=SETTLE / 2), ledger)
    journey.sandbox.fault("drop_after_saving", times=4)
    journey.push()
    journey.judge()


def test_a_lead_that_lost_its_line_on_the_way_is_found_by_its_email(journey, monkeypatch):
    keep = lead_store._body
    monkeypatch.setattr(lead_store, "_body", lambda id_, lead: keep(id_, {**lead, "notes": "cut"}))
    journey.sandbox.fault("drop_after_saving", times=2)
    assert journey.push().found == 2
    assert len(posts(journey.sandbox)) == len(journey.sandbox.held)


def test_one_listing_settles_all_doubts(journey):
    journey.sandbox.fault("drop_after_saving", times=8)
    journey.push()
    assert len(complete_listings(journey.sandbox)) == 2  # one before the first send
    journey.judge()


def test_no_more_are_in_doubt_at_once_than_may_be(journey):
    most = []
    journey.sandbox.fault("error_after_saving", times=8)

    def notice(progress: PushCounters) -> None:
        most.append(journey.outcomes().get(None, 0))
        assert progress.in_doubt + progress.in_flight == most[-1]

    journey.push(max_in_doubt=3, notice=notice)
    assert max(most) == 3
    journey.judge()


def test_a_contact_that_the_service_cannot_digest_is_given_up_and_the_others_go_on(journey):
    poor = posted_emails(journey)[2]
    journey.sandbox.fault(
        "error_without_saving", times=99, where=lambda lead: lead["email"] == poor
    )
    progress = journey.push(settle_seconds=0.05)
    assert (progress.gave_up, progress.left_for_a_person) == (1, 1)
    sent = [one for one in posts(journey.sandbox) if one.lead["email"] == poor]
    assert len(sent) == MAX_ATTEMPTS
    assert len(journey.sandbox.verdict().lost) == 1


def posted_emails(journey: Journey) -> list[str]:
    return [
        row[0]
        for row in journey.ask(
            "SELECT json_extract(lead, '$.email') FROM contact "
            "WHERE state = 'mapped' AND held IS NULL ORDER BY key"
        )
    ]


# Intent first (I1)


def test_every_intent_is_on_disk_before_its_send_leaves(journey):
    seen = []

    def look(body: bytes) -> None:
        with reading(journey.ledger.path) as ledger:
            found = ledger.execute(
                "SELECT count(*) FROM attempt WHERE outcome IS NULL AND payload_hash = ?",
                (digest(body),),
            ).fetchone()
        seen.append(found)

    progress = journey.push(leadgenius=Watched(journey.leadgenius(), look))
    assert seen == [(1,)] * progress.posted


def test_nothing_leaves_when_the_intent_cannot_be_committed(journey):
    with journey.ledger.transaction():
        journey.ledger._database.run(
            "CREATE TRIGGER broken BEFORE INSERT ON attempt BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    with pytest.raises(Exception, match="no"):
        journey.push()
    assert posts(journey.sandbox) == []


def test_when_the_disk_is_full_in_the_middle_nothing_leaves_and_nothing_is_lost(journey):
    sends = []

    def fill(body: bytes) -> None:
        sends.append(body)
        if len(sends) == 3:
            limit_files(journey.ledger.path.with_name(journey.ledger.path.name + "-wal"))

    try:
        with pytest.raises(LedgerError):
            journey.push(leadgenius=Watched(journey.leadgenius(), fill))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, UNLIMITED)
    announced = {one for (one,) in journey.ask("SELECT payload_hash FROM attempt")}
    assert {one.key for one in posts(journey.sandbox)} <= announced
    assert journey.outcomes()[None] > 0
    journey.push()
    journey.judge()


UNLIMITED = resource.getrlimit(resource.RLIMIT_FSIZE)


def limit_files(path: Path) -> None:
    """From here on no file of this process can grow beyond the size that this one has."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, UNLIMITED[1]))


def test_a_sender_that_breaks_before_the_send_leaves_a_doubt_that_is_sent_once(journey):
    def look(body: bytes) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        journey.push(leadgenius=Watched(journey.leadgenius(), look), workers=2)
    assert journey.outcomes().keys() - {"unsent"} == {None}
    assert posts(journey.sandbox) == []
    journey.push()
    journey.judge()


def test_a_sender_that_breaks_leaves_a_doubt_and_no_loss(journey):
    real = journey.leadgenius()
    broken = Watched(real, lambda body: None)

    def break_after_sending(body: bytes, may_leave: Callable[[], None]) -> SendOutcome:
        real.create_lead(body, may_leave)
        raise ZeroDivisionError

    broken.create_lead = break_after_sending  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        journey.push(leadgenius=broken)
    assert journey.outcomes()[None] == len(posts(journey.sandbox))
    assert journey.outcomes().keys() <= {None, "unsent"}
    journey.push()
    journey.judge()


# Look before the first post (I5)


def test_a_rebuilt_ledger_posts_nothing_twice(journey, tmp_path):
    journey.push()
    before = len(posts(journey.sandbox))
    with Ledger.open_for_work(tmp_path / "rebuilt.db") as ledger:
        rebuilt = staged(journey.sandbox, ledger)
        progress = rebuilt.push()
        assert (progress.adopted, progress.posted) == (before, 0)
    assert len(posts(journey.sandbox)) == before
    assert journey.sandbox.verdict().ok


def test_what_the_lost_ledger_sent_last_may_land_late(journey, tmp_path):
    journey.push(limit=4)
    journey.sandbox.fault("save_late", times=4)
    lost = journey.leadgenius(timeout=0.05)
    for contact_lead in journey.ledger.sendable.untried(4):
        lead = {"client_id": journey.sandbox.client_id, **contact_lead.lead}
        lost.create_lead(json.dumps(lead).encode(), at_once)
    with Ledger.open_for_work(tmp_path / "rebuilt.db") as ledger:
        rebuilt = staged(journey.sandbox, ledger)
        assert rebuilt.push().adopted == 8
    assert journey.sandbox.verdict().ok


def test_a_lead_that_is_not_ours_holds_its_contact_until_the_user_says_otherwise(journey):
    email = posted_emails(journey)[0]
    lead = {"client_id": journey.sandbox.client_id, "email": f" {email.upper()} "}
    journey.sandbox.add_lead({**lead, "firstName": "Some", "lastName": "One"})
    journey.push()
    assert email not in [one.lead["email"] for one in posts(journey.sandbox)]
    assert journey.ledger.holds.release(Hold.ALREADY_IN_DESTINATION, None) == 1
    journey.sandbox.fault("error_without_saving")
    journey.push()
    sent = [one for one in posts(journey.sandbox) if one.lead["email"] == email]
    assert [one.lead_id is None for one in sent] == [True, False]


def test_new_contacts_are_looked_for_before_they_are_sent(journey):
    journey.push()
    journey.sandbox.add_contact(contact(1))
    lead = {"client_id": journey.sandbox.client_id, "email": "ada1@x.example"}
    journey.sandbox.add_lead({**lead, "firstName": "A", "lastName": "B"})
    journey.stage()
    assert journey.push().posted == 0
    assert journey.ask("SELECT count(*) FROM contact WHERE held = 'already_in_destination'") == [
        (1,)
    ]


# The canary (guide, bugs 1 and 2)


def test_when_leads_are_created_and_not_to_be_seen_nothing_more_is_sent(journey):
    blind = Watched(journey.leadgenius(), lambda body: None)
    answers = iter(range(99))
    blind.create_lead = lambda body, may_leave: SendOutcome(  # type: ignore[method-assign]
        Outcome.CREATED, 201, created_id=f"nowhere-{next(answers)}"
    )
    with pytest.raises(StoppedEarly, match="do not show up"):
        journey.push(leadgenius=blind, canary=3)
    assert next(answers) == 3
    assert not journey.ledger.runs.is_canary_passed()


def test_what_is_in_doubt_of_a_canary_is_replaced_and_settled(journey):
    journey.sandbox.fault("drop_after_saving", times=2)
    journey.sandbox.fault("error_without_saving")
    assert journey.push(canary=3).absent == 1
    journey.judge()


def test_a_canary_that_was_stopped_is_not_sent_a_second_time(journey):
    stopping = Stopping()
    with pytest.raises(Interrupted):
        journey.push(canary=3, signals=stopping, notice=when(3, stopping.stop))
    assert len(posts(journey.sandbox)) == 3
    assert not journey.ledger.runs.is_canary_passed()
    journey.push(canary=3)
    assert journey.ledger.runs.is_canary_passed()
    journey.judge()


def test_the_canary_passes_once_for_all(journey):
    journey.push(canary=3)
    journey.sandbox.add_contact(contact(1))
    journey.stage()
    before = len(complete_listings(journey.sandbox))
    assert journey.push(canary=3).posted == 1
    assert len(complete_listings(journey.sandbox)) == before + 1  # the look before the first post


def test_the_canary_is_sent_once_and_waits_for_reads_that_lag(sandbox, ledger):
    journey = staged(sandbox(contacts=CONTACTS, read_lag_seconds=SETTLE / 2), ledger)
    in_flight = []
    journey.push(canary=2, notice=lambda now: in_flight.append((now.posted, now.in_flight)))
    assert max(flying for posted, flying in in_flight if posted < 2) == 2
    assert journey.ledger.runs.is_canary_passed()
    journey.judge()


def test_who_fails_in_the_canary_is_replaced_by_others(journey):
    first = posted_emails(journey)[:4]
    journey.sandbox.fault("refuse", 99, where=lambda lead: lead["email"] in first[:2])
    journey.sandbox.fault("forbidden", 99, where=lambda lead: lead["email"] in first[2:])
    most: list[int] = []

    def notice(now: PushCounters) -> None:
        if not journey.ledger.runs.is_canary_passed():
            most.append(now.posted + now.in_flight)

    progress = journey.push(canary=3, notice=notice)
    assert journey.ledger.runs.is_canary_passed()
    assert max(most) == 3
    assert progress.left_for_a_person == len(first)
    assert len(journey.sandbox.held) == len(posted_emails(journey)) + progress.posted


@pytest.mark.parametrize(("limit", "canary"), [(2, 5), (7, 3), (3, 0), (5, 5)])
def test_no_more_than_the_limit_is_sent(journey, limit, canary):
    assert journey.push(limit=limit, canary=canary).posted == limit
    assert len(posts(journey.sandbox)) == limit


def test_those_within_the_limit_are_sent_again_when_they_must(journey):
    journey.sandbox.fault("throttle_silently", times=2)
    journey.sandbox.fault("error_without_saving")
    assert journey.push(limit=3).posted == 3
    assert len({one.key for one in posts(journey.sandbox)}) == 3


# Rate and tokens


def test_a_rate_set_by_hand_is_kept(journey):
    journey.push(rate=RateState.fixed(1200))
    moments = [one.at for one in posts(journey.sandbox)]
    # So many intervals of 50 ms, but for what a busy machine makes of the first one.
    assert moments[-1] - moments[0] >= (len(moments) - 1) * 0.05 * 0.8


def test_a_service_that_throttles_gets_everything_and_its_limit_is_remembered(sandbox, ledger):
    limited = sandbox(contacts=102)
    journey = staged(limited, ledger)
    # Shut for longer than a second, unlike by chance.
    limited.change_rate_limit(100, window_seconds=8.0, headers=False, retry_after=True)
    assert journey.push(rate=RateState.automatic(6_000), canary=0).throttled > 0
    journey.judge()
    assert 0 < (journey.ledger.runs.rate() or 0) < 6_000


def test_what_an_earlier_push_found_stays_remembered(journey):
    for rate in (RateState.automatic(6_000), RateState.unlimited(), RateState.fixed(6_000)):
        journey.push(rate=rate, limit=2)
        assert journey.ledger.runs.rate() == 6_000


def test_tokens_that_expire_all_the_time_cost_nothing(sandbox, ledger):
    journey = staged(sandbox(contacts=CONTACTS, token_seconds=1, latency_seconds=0.1), ledger)
    # A login takes no intent's whole life.
    assert journey.push(workers=1, settle_seconds=10.0).posted > 0
    assert journey.outcomes().keys() == {"created"}
    journey.judge()


def test_credentials_that_are_revoked_midway_stop_the_run_and_lose_nothing(journey):
    http = journey.http("LeadGenius", 5.0)
    password = [journey.sandbox.password]

    def revoke() -> None:
        password[0] = "changed"
        journey.sandbox.expire_tokens()

    tokens = Tokens(http, None, Credentials(journey.sandbox.email, lambda: password[0]))
    with pytest.raises(Unauthorized, match="rejected the login") as stopped:
        journey.push(leadgenius=LeadGenius(http, tokens), workers=2, notice=when(2, revoke))
    assert stopped.value.exit_code == ExitCode.NOT_READY
    assert journey.push().posted > 0
    journey.judge()


# Trouble


def test_a_service_that_goes_away_stops_the_run_and_burns_no_attempt(journey, hurry):
    with pytest.raises(ServiceDown):
        journey.push(workers=2, notice=when(3, journey.sandbox.stop))
    assert journey.ask("SELECT count(*) FROM contact WHERE held = 'gave_up'") == [(0,)]
    journey.sandbox.start()
    journey.push()
    journey.judge()


def test_a_service_that_cannot_be_reached_stops_the_run_and_burns_no_attempt(journey, hurry):
    class GoneBeforeTheFirstSend(LeadGenius):
        def create_lead(self, *send: Any) -> SendOutcome:
            with once:
                if stops:
                    stops.pop()()
            return super().create_lead(*send)

    once, stops = Lock(), [journey.sandbox.stop]
    http = journey.http("LeadGenius", 5.0)
    key = (journey.sandbox.api_key, journey.sandbox.user_id)
    with pytest.raises(ServiceDown):
        journey.push(leadgenius=GoneBeforeTheFirstSend(http, Tokens(http, None, None, key)))
    assert journey.outcomes().keys() == {"unsent"}
    assert journey.ask("SELECT count(*) FROM contact WHERE held = 'gave_up'") == [(0,)]
    journey.sandbox.start()
    journey.push()
    journey.judge()


@pytest.mark.parametrize("fault", ["forbidden", "not_found"])
def test_a_service_that_denies_everybody_stops_the_run_and_burns_no_attempt(journey, hurry, fault):
    journey.sandbox.fault(fault, times=999)
    with pytest.raises(ServiceDown):
        journey.push()
    # What had not left yet when the first answer came was taken back.
    assert journey.outcomes().keys() - {"unsent"} == {"denied"}
    assert journey.ask("SELECT count(*) FROM contact WHERE held = 'gave_up'") == [(0,)]
    journey.sandbox.calm()
    journey.push()
    journey.judge()


def test_a_contact_that_is_denied_while_others_get_through_is_given_up(sandbox, ledger, hurry):
    journey = staged(sandbox(contacts=40), ledger)
    poor = posted_emails(journey)[0]
    journey.sandbox.fault("forbidden", times=999, where=lambda lead: lead["email"] == poor)
    progress = journey.push(workers=2, settle_seconds=0.05)
    assert (progress.refused, progress.denied) == (1, MAX_ATTEMPTS)
    assert len(journey.sandbox.verdict().lost) == 1


def test_a_service_that_fails_for_good_stops_the_run_and_burns_no_attempt(sandbox, ledger, hurry):
    journey = staged(sandbox(contacts=40), ledger)
    journey.sandbox.fault("unavailable", times=999)
    with pytest.raises(ServiceDown, match="503"):
        journey.push()
    # Each of them once: then there is nobody left to find it out with.
    tried = journey.ask("SELECT count(*) FROM contact WHERE tries = 1")
    assert tried == [(len(posts(journey.sandbox)),)]
    assert journey.ask("SELECT sum(counts) FROM attempt") == [(0,)]
    journey.sandbox.calm()
    journey.push()
    journey.judge()


def test_a_stop_awaits_what_is_in_flight_and_sends_nothing_new(journey):
    stopping = Stopping()
    journey.sandbox.fault("slow", times=4)
    with pytest.raises(Interrupted):
        journey.push(signals=stopping, leadgenius=stopped(journey, stopping, 4))
    assert journey.outcomes() == {Outcome.CREATED: 4}
    assert len(posts(journey.sandbox)) == 4
    journey.push()
    journey.judge()


def stopped(journey: Journey, stopping: Stopping, sends: int) -> Any:
    """The destination, and whoever wants to stop as soon as so many sends have begun."""
    begun: list[bytes] = []

    def look(body: bytes) -> None:
        begun.append(body)
        if len(begun) == sends:
            stopping.stop()

    return Watched(journey.leadgenius(), look)


# Intents that wait for a worker


def open_at_each_send(journey: Journey, **options: Any) -> list[int]:
    """How many intents were without an outcome whenever a send began."""
    counts: list[int] = []

    def look(body: bytes) -> None:
        counts.append(journey.outcomes()[None])

    watched: Any = Watched(journey.leadgenius(), look)
    journey.push(leadgenius=watched, **options)
    journey.judge()
    return counts


def test_as_many_intents_wait_for_a_worker_as_there_are_workers_at_the_most(journey):
    assert max(open_at_each_send(journey, workers=2)) in (3, 4)


def test_no_more_intents_wait_for_a_worker_than_may_be_in_doubt(journey):
    assert max(open_at_each_send(journey, workers=2, max_in_doubt=3)) == 3


def test_at_a_pace_no_intent_waits_for_a_worker(journey):
    assert max(open_at_each_send(journey, workers=1, rate=RateState.fixed(60_000))) == 1


def test_an_intent_that_has_become_too_old_is_not_sent_but_claimed_again(journey, monkeypatch):
    now = [0.0]
    for module in ("loop", "workers"):
        monkeypatch.setattr(f"migrator.push.{module}.awake_or_asleep", lambda: now[0])
    sends: list[bytes] = []

    def look(body: bytes) -> None:
        sends.append(body)
        if len(sends) == 3:
            now[0] += 100 * SETTLE  # the machine slept

    watched: Any = Watched(journey.leadgenius(), look)
    progress = journey.push(leadgenius=watched, workers=1, rate=RateState.fixed(60_000))
    assert journey.outcomes() == {Outcome.CREATED: progress.posted, Outcome.UNSENT: 1}
    assert len(posts(journey.sandbox)) == progress.posted == len(sends) - 1
    assert sends[2] in sends[3:]
    journey.judge()


def test_a_stop_takes_back_what_waits_for_a_worker(journey):
    stopping = Stopping()
    destination = stopped(journey, stopping, 2)
    with pytest.raises(Interrupted):
        journey.push(workers=1, signals=stopping, leadgenius=destination)
    # The first one is claimed alone; after its answer a second one, and one that waits for it.
    assert journey.outcomes() == {Outcome.CREATED: 2, Outcome.UNSENT: 1}
    assert len(posts(journey.sandbox)) == 2
    journey.push()
    journey.judge()


def test_a_push_makes_hardly_more_requests_than_it_sends_leads(journey):
    before = len(journey.sandbox.received)
    posted = journey.push().posted
    assert len(journey.sandbox.received) - before <= posted + posted // 100 + 5


def test_a_run_notes_what_it_did_for_others_to_read(journey):
    progress = journey.push()
    (run,) = journey.ledger.runs.newest(1)
    assert run.counters["posted"] == progress.posted
    assert run.counters["to_send"] == 0


def test_a_canary_that_somebody_took_away_does_not_stop_the_push_for_ever(journey):
    journey.push(limit=2)
    for lead in journey.sandbox.leads():
        journey.sandbox.delete_lead(lead["id"])
    assert journey.verify(pause=lambda seconds: None).missing == 2
    assert journey.push(canary=2).posted == len(journey.sandbox.leads()) > 2
