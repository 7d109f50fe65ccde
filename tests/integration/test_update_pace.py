"""How an update looks at leads right before it writes them: pages, pace, and what they show."""

import time

import pytest

from migrator.errors import Declined
from migrator.push import loop as push_loop
from migrator.push import seen_leads
from migrator.push.destination import Destination
from migrator.rate_limit import RateLimiter, RateState
from migrator.update.changes import LeadUpdates
from tests.integration.test_update import hubspot_ids, run
from tests.support.journeys import Journey


@pytest.fixture
def paged(sandbox, ledger):
    """A journey in a client of several pages, whose leads are all to change."""
    journey = Journey(sandbox(contacts=12, page_limit=4), ledger)
    journey.stage()
    journey.push()
    journey.verify()
    for each in hubspot_ids(journey):
        journey.sandbox.change_contact(each, jobtitle="Countess")
    journey.stage()
    return journey


def test_the_loop_rests_and_asks_for_nothing_while_a_page_is_read(paged, monkeypatch):
    turns: list[float] = []
    claimed: list[int] = []
    claim, limit, page = push_loop.PushLoop._claim, RateLimiter.claim, Destination.page

    def counted(limiter, now, at_most):
        claimed.append(limit(limiter, now, at_most))
        return claimed[-1]

    def turn(loop):
        turns.append(time.monotonic())
        return claim(loop)

    def slow(client, cursor):
        time.sleep(0.3)
        return page(client, cursor)

    monkeypatch.setattr(push_loop.PushLoop, "_claim", turn)
    monkeypatch.setattr(RateLimiter, "claim", counted)
    monkeypatch.setattr(Destination, "page", slow)
    before = len(paged.sandbox.received)
    assert run(paged, workers=1).updated == len(hubspot_ids(paged))
    assert len(turns) < 150
    assert sum(claimed) <= len(paged.sandbox.received) - before + 3


def test_at_a_slow_pace_a_write_follows_its_look_at_once(paged, monkeypatch):
    """The times are scaled: a request takes longer than a look lasts."""
    monkeypatch.setattr(push_loop, "LONGEST_INTERVAL_SECONDS", 0.02)
    monkeypatch.setattr(seen_leads, "LONGEST_LOOK_AT_CLAIM_SECONDS", 0.1)
    began, before = time.monotonic(), len(paged.sandbox.received)
    assert run(paged, limit=3, limiter=RateLimiter(RateState.fixed(240))).updated == 3
    requests = len(paged.sandbox.received) - before
    assert time.monotonic() - began > 0.25 * (requests - 5)


def test_a_lead_that_a_listing_showed_is_not_missing_if_its_update_was_throttled(
    paged, monkeypatch
):
    run(paged, limit=5)
    pages, add = Destination.pages, LeadUpdates.add

    def slowly(client):
        for page in pages(client):
            yield page
            time.sleep(0.1)

    def moved(updates, key, lead_id, cursor):
        add(updates, key, lead_id, cursor, is_moved=True)

    monkeypatch.setattr(Destination, "pages", slowly)
    monkeypatch.setattr(LeadUpdates, "add", moved)
    paged.sandbox.fault("update:throttle", times=2)
    assert run(paged).missing == 0
    assert paged.ask("SELECT 1 FROM contact WHERE held = 'missing'") == []


def test_the_client_is_listed_again_once_a_cursor_has_expired(paged, monkeypatch):
    page = Destination.page

    def expired(client, cursor):
        if cursor is not None:
            raise Declined("LeadGenius rejected /api/leads with 400: no such cursor", "")
        return page(client, cursor)

    monkeypatch.setattr(Destination, "page", expired)
    assert run(paged).updated == len(hubspot_ids(paged))


def test_all_pages_are_written_when_few_leads_of_each_are_due(paged):
    assert run(paged, workers=16).updated == len(hubspot_ids(paged))
