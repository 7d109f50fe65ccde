"""Every contact out of the portal, mapped or held for a reason, whatever happens on the way."""

import json
import math
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from typing import Any, cast

import pytest

from benchmarks.judge import posts
from migrator.completeness import Completeness
from migrator.errors import Forbidden, Interrupted, ServiceBusy, ServiceDown, Unauthorized
from migrator.hubspot import ContactPage, HubSpot
from migrator.ledger import Intent, Ledger
from migrator.mapping import record_line
from migrator.report import as_json, next_step, summary
from migrator.stage import prefetch, stage
from migrator.states import Hold
from tests.support.journeys import Journey, contact

PRIMARY = "contact_to_company"
UNLABELED = "contact_to_company_unlabeled"
SEVERAL_PAGES = 330


class Scripted:
    """A portal that gives what it is told to, junk too."""

    def __init__(self, *pages: Sequence[Any], companies: Any = None) -> None:
        self._pages = pages
        self._companies = companies or {}
        self.asked_to_count = 0

    def pages(self, properties: Sequence[str], after: str | None) -> Iterator[ContactPage]:
        for number, page in enumerate(self._pages[int(after or 0) :], int(after or 0) + 1):
            following = str(number) if number < len(self._pages) else None
            yield ContactPage(page, following, str(number - 1) if number > 1 else None)

    def contact_count(self, *, is_patient: bool) -> int:
        self.asked_to_count += 1
        return len({contact["id"] for page in self._pages for contact in page})

    def companies(self, company_ids: Sequence[str], properties: Sequence[str]) -> Any:
        return {one: self._companies.get(one) for one in company_ids}


class StopAfter:
    """Somebody who wants to stop at the n-th look."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interrupted("stopped", "go on", 2)


def staged(sandbox, ledger) -> Journey:
    journey = Journey(sandbox, ledger)
    journey.stage()
    return journey


@pytest.fixture
def journey(sandbox, ledger) -> Journey:
    """An empty portal, for contacts of the test's own."""
    return Journey(sandbox(contacts=0), ledger)


@pytest.fixture
def page_by_page(monkeypatch) -> None:
    """No page waits for another one, so that somebody can stop after each of them."""
    monkeypatch.setattr(prefetch, "MOST_PAGES_WAITING", 1)
    monkeypatch.setattr(prefetch, "PAGES_AHEAD", 1)


def stage_scripted(ledger: Ledger, *pages: Sequence[Any], companies: Any = None) -> None:
    portal: Any = Scripted(*pages, companies=companies)
    stage(ledger, portal, portal_id="42")


def row(journey: Journey, hubspot_id: str) -> dict[str, Any]:
    found = journey.ask(
        "SELECT state, held, detail, lead, company_id, company_rule, changed_ms FROM contact "
        f"WHERE hubspot_id = '{hubspot_id}'"
    )
    names = ("state", "held", "detail", "lead", "company_id", "company_rule", "changed_ms")
    values = dict(zip(names, found[0], strict=True))
    return {**values, "lead": json.loads(values["lead"]) if values["lead"] else None}


def standing(journey: Journey, hubspot_id: str) -> tuple[str, str | None]:
    found = row(journey, hubspot_id)
    return found["state"], found["held"]


def rename_company(sandbox, company_id: str, name: str) -> None:
    sandbox._portal.company(company_id).properties["name"] = name


def write(ledger: Ledger, sql: str) -> None:
    with closing(sqlite3.connect(ledger.path)) as connection, connection:
        connection.execute(sql)


def contact_pages(sandbox) -> list[Any]:
    return [one for one in sandbox.received if one.path.endswith("/contacts")]


def company_reads(sandbox) -> list[Any]:
    return [one for one in sandbox.received if one.path.endswith("/companies/batch/read")]


def assert_complete(journey: Journey, contacts: int) -> None:
    """Every contact of the portal once, each as the sandbox's own reading of the guide has it."""
    assert journey.ask("SELECT count(*), count(DISTINCT hubspot_id) FROM contact") == [
        (contacts, contacts)
    ]
    assert journey.ask(
        "SELECT contacts_seen, complete FROM checkpoint WHERE name = 'extraction'"
    ) == [(contacts, 1)]
    found = {
        hubspot_id: (held, json.loads(lead) if lead else None)
        for hubspot_id, held, lead in journey.ask("SELECT hubspot_id, held, lead FROM contact")
    }
    for expected in journey.sandbox.expected():
        held, lead = found.pop(expected.contact_id)
        assert held == expected.reason
        if expected.lead is not None:
            assert lead == expected.lead
    assert not found


# What becomes of a contact ---------------------------------------------------------------------


def test_every_contact_is_mapped_or_held_for_the_right_reason(sandbox, ledger):
    journey = staged(sandbox(contacts=SEVERAL_PAGES), ledger)
    assert_complete(journey, SEVERAL_PAGES)
    reasons = {reason for (reason,) in journey.ask("SELECT held FROM contact GROUP BY 1")}
    assert reasons == {None, "no_email", "invalid_email", "duplicate_email"}


def test_an_empty_portal_is_staged_completely(journey):
    assert journey.stage().given == 0
    assert_complete(journey, 0)


@pytest.mark.parametrize(
    ("rows", "named", "rule"),
    [
        ([("other", UNLABELED), ("mine", UNLABELED), ("mine", PRIMARY)], None, "primary"),
        ([("other", UNLABELED), ("mine", PRIMARY)], "other", "primary"),
        ([("other", UNLABELED), ("mine", UNLABELED)], "mine", "associatedcompanyid"),
        ([("mine", UNLABELED), ("other", UNLABELED)], None, "first"),
    ],
)
def test_the_company_that_counts_wins_and_its_rule_is_kept(journey, rows, named, rule):
    ids = {name: journey.sandbox.add_company(name=name) for name in ("other", "mine")}
    more = {"associatedcompanyid": ids[named]} if named else {}
    companies = [(ids[name], kind) for name, kind in rows]
    ada = journey.sandbox.add_contact(contact(1, **more), companies)
    journey.stage()
    found = row(journey, ada)
    assert (found["company_id"], found["company_rule"]) == (ids["mine"], rule)
    assert found["lead"]["companyName"] == "mine"


def test_a_contact_without_a_company_names_no_rule(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    assert row(journey, ada)["company_rule"] is None
    assert not company_reads(journey.sandbox)


def test_a_company_that_is_not_given_is_no_company_and_stops_nobody(journey):
    given = journey.sandbox.add_company(name="Given")
    ada = journey.sandbox.add_contact(contact(1), [("123456", PRIMARY), (given, UNLABELED)])
    bob = journey.sandbox.add_contact(contact(2), [(given, PRIMARY)])
    journey.stage()
    assert standing(journey, ada) == standing(journey, bob) == ("mapped", None)
    assert row(journey, bob)["lead"]["companyName"] == "Given"
    assert journey.ask("SELECT properties FROM company WHERE company_id = '123456'") == [(None,)]


@pytest.mark.parametrize(
    ("rows", "named", "chosen", "rule"),
    [
        ([("gone", PRIMARY), ("there", UNLABELED)], None, "there", "first"),
        ([("gone", PRIMARY)], "there", "there", "associatedcompanyid"),
        ([("gone", PRIMARY), ("gone2", UNLABELED), ("there", UNLABELED)], None, "there", "first"),
        ([("gone2", UNLABELED), ("there", UNLABELED)], "gone", "there", "first"),
        ([("gone", UNLABELED)], "gone2", "gone2", "associatedcompanyid"),
        ([], "gone", "gone", "associatedcompanyid"),
    ],
)
def test_a_company_that_is_gone_hides_none_that_is_listed(journey, rows, named, chosen, rule):
    ids = {"gone": "123456", "gone2": "123457", "there": journey.sandbox.add_company(name="There")}
    more = {"associatedcompanyid": ids[named]} if named else {}
    companies = [(ids[name], kind) for name, kind in rows]
    ada = journey.sandbox.add_contact(contact(1, **more), companies)
    for _ in range(2):
        journey.stage()
        found = row(journey, ada)
        assert (found["company_id"], found["company_rule"]) == (ids[chosen], rule)
        name = "There" if chosen == "there" else "X"  # of x.example
        assert found["lead"]["companyName"] == name
    assert_complete(journey, 1)


def test_a_second_choice_costs_one_batch_more_for_all_of_them(journey):
    there = [journey.sandbox.add_company(name=f"Firm {number}") for number in range(60)]
    for number, company in enumerate(there):
        rows = [(f"9{number:05}", PRIMARY), (company, UNLABELED)]
        journey.sandbox.add_contact(contact(number), rows)
    journey.stage()
    assert len(company_reads(journey.sandbox)) == 2
    assert_complete(journey, 60)


def test_a_lead_carries_the_line_that_tells_its_contact(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    line = record_line(journey.sandbox.portal_id, ada)
    assert line in row(journey, ada)["lead"]["notes"].splitlines()


def test_of_two_contacts_with_one_email_the_first_wins_and_is_named(journey):
    ada = journey.sandbox.add_contact(contact(1))
    twin = journey.sandbox.add_contact(contact(2, email=" ADA1@X.example "))
    journey.stage()
    assert standing(journey, ada) == ("mapped", None)
    assert standing(journey, twin) == ("mapped", "duplicate_email")
    assert ada in row(journey, twin)["detail"]


def test_a_contact_that_gets_anothers_email_later_comes_second(journey):
    late = journey.sandbox.add_contact(contact(1, email=""))
    first = journey.sandbox.add_contact(contact(2))
    journey.stage()
    journey.sandbox.change_contact(late, email="ada2@x.example")
    journey.stage()
    assert standing(journey, late) == ("mapped", "duplicate_email")
    assert standing(journey, first) == ("mapped", None)


# Requests --------------------------------------------------------------------------------------


def test_requests_are_few(sandbox, ledger):
    journey = staged(sandbox(contacts=SEVERAL_PAGES), ledger)
    pages, reads = contact_pages(journey.sandbox), company_reads(journey.sandbox)
    assert len(pages) == 4
    assert len(reads) <= 4
    assert len(journey.sandbox.received) <= len(pages) + len(reads) + 2  # the account, the count


def test_a_company_is_asked_for_once_in_a_scan(sandbox, ledger, monkeypatch):
    asked: list[str] = []
    real = HubSpot.companies

    def companies(self: HubSpot, company_ids: Any, properties: Any) -> Any:
        asked.extend(company_ids)
        return real(self, company_ids, properties)

    monkeypatch.setattr(HubSpot, "companies", companies)
    journey = staged(sandbox(contacts=SEVERAL_PAGES), ledger)
    assert len(asked) == len(set(asked)) > 0
    journey.stage()
    assert len(asked) == 2 * len(set(asked))  # they may have changed since the last scan


@pytest.mark.usefixtures("page_by_page")
def test_the_next_page_is_fetched_while_this_one_is_written(sandbox, ledger, monkeypatch):
    journey = Journey(sandbox(contacts=SEVERAL_PAGES), ledger)
    real = ledger.contacts.write_page
    written: list[Any] = []

    def write_page(page: Any, scan: int) -> int:
        wanted = min(len(written) + 2, 4)
        # The writing waits for the fetching: without a fetcher of its own, it would wait for ever.
        journey.sandbox.wait_until(lambda: len(contact_pages(journey.sandbox)) >= wanted)
        written.append(page)
        return int(real(page, scan))

    monkeypatch.setattr(ledger.contacts, "write_page", write_page)
    journey.stage()
    assert len(written) == 4


@pytest.mark.usefixtures("page_by_page")
def test_no_more_pages_are_fetched_ahead_than_were_meant_to(sandbox, ledger):
    journey = Journey(sandbox(contacts=SEVERAL_PAGES), ledger)
    with pytest.raises(Interrupted):
        journey.stage(check=StopAfter(1))
    assert len(contact_pages(journey.sandbox)) == 2


class Busy(Scripted):
    """A portal that says how far it was asked, and is slow with companies."""

    def __init__(self, *pages: Sequence[Any], until_page: int) -> None:
        super().__init__(*pages)
        self.asked: list[str] = []
        self.pages_before: list[int] = []
        self._page = 0
        self._until_page = until_page
        self._is_there = threading.Event()

    def pages(self, properties: Sequence[str], after: str | None) -> Iterator[ContactPage]:
        for self._page, page in enumerate(super().pages(properties, after), 1):
            if self._page >= self._until_page:
                self._is_there.set()
            yield page

    def companies(self, company_ids: Sequence[str], properties: Sequence[str]) -> Any:
        self.pages_before.append(self._page)
        assert self._is_there.wait(30)
        self.asked += company_ids
        return super().companies(company_ids, properties)


def page_of(number: int, firms: Sequence[str]) -> list[Any]:
    """A page of a contact for each company."""
    return [
        {"id": f"{number}-{place}", "properties": {"associatedcompanyid": firm}}
        for place, firm in enumerate(firms)
    ]


def test_pages_go_on_while_companies_are_read_and_nobody_asks_for_one_of_them_twice(ledger):
    firms = [str(number) for number in range(130)]
    pages = [page_of(number, firms[number * 5 : number * 5 + 100]) for number in range(7)]
    # The companies of the first page come once the last page was asked for: far beyond those that
    # are fetched ahead.
    portal: Any = Busy(*pages, until_page=7)
    stage(ledger, portal, portal_id="42")
    assert sorted(portal.asked) == sorted(firms)
    assert len(portal.pages_before) == 2


def test_only_so_many_pages_wait_for_their_companies(ledger):
    pages = [page_of(1, ["7"]), *(page_of(number, [""]) for number in range(2, 50))]
    portal: Any = Busy(*pages, until_page=1)
    stage(ledger, portal, portal_id="42")
    assert portal.asked == ["7"]
    most = prefetch.MOST_PAGES_WAITING + prefetch.PAGES_AHEAD
    assert portal.pages_before[0] in range(prefetch.MOST_PAGES_WAITING, most + 1)


class Stalling(Scripted):
    """A portal whose second page comes only once the first one is written."""

    is_written = threading.Event()

    def pages(self, properties: Sequence[str], after: str | None) -> Iterator[ContactPage]:
        for number, page in enumerate(super().pages(properties, after)):
            assert number == 0 or self.is_written.wait(30)
            yield page


def test_a_page_that_is_long_in_coming_keeps_no_other_one_waiting(ledger, monkeypatch):
    monkeypatch.setattr(prefetch, "STALLED_AFTER_SECONDS", 0.01)
    portal: Any = Stalling(page_of(1, ["7"]), page_of(2, ["8"]))
    stage(ledger, portal, portal_id="42", notice=lambda counters: portal.is_written.set())
    assert ledger.runs.checkpoint("extraction").contacts_seen == 2


def test_who_wants_to_stop_is_heard_while_pages_wait_for_their_companies(ledger):
    pages = [page_of(1, ["7"]), *(page_of(number, [""]) for number in range(2, 50))]
    portal: Any = Busy(*pages, until_page=1)
    with pytest.raises(Interrupted):
        stage(ledger, portal, portal_id="42", check=StopAfter(3))
    assert ledger.runs.checkpoint("extraction").contacts_seen == 0


def test_companies_are_asked_for_by_the_hundred(sandbox, ledger):
    journey = staged(sandbox(contacts=1_000), ledger)
    ((companies,),) = journey.ask("SELECT count(*) FROM company")
    assert companies > 200
    assert len(company_reads(journey.sandbox)) == math.ceil(companies / 100)
    assert len(contact_pages(journey.sandbox)) == 10
    assert_complete(journey, 1_000)


@pytest.mark.parametrize(("table", "texts"), [("contact", "source"), ("company", "properties")])
def test_what_hubspot_does_not_know_takes_no_room_in_the_ledger(sandbox, ledger, table, texts):
    journey = staged(sandbox(contacts=100), ledger)
    assert journey.ask(f"SELECT count(*) > 9 FROM {table}") == [(1,)]
    assert journey.ask(f"SELECT {texts} FROM {table} WHERE {texts} LIKE '%:null%'") == []


def test_a_crash_in_a_batch_of_companies_loses_only_the_pages_that_wait_for_it(ledger):
    firms = [str(number) for number in range(200)]
    portal: Any = Busy(page_of(1, firms[:100]), page_of(2, firms[100:]), until_page=2)
    real = portal.companies

    def companies(company_ids: Sequence[str], properties: Sequence[str]) -> Any:
        if "150" in company_ids:
            raise ServiceDown("it is down", "later")
        return real(company_ids, properties)

    portal.companies = companies
    with pytest.raises(ServiceDown):
        stage(ledger, portal, portal_id="42")
    assert ledger.runs.checkpoint("extraction").pages == 1
    assert ledger.counts.to_map() == 100


# Stopped in the middle -------------------------------------------------------------------------


@pytest.mark.usefixtures("page_by_page")
@pytest.mark.parametrize("looks", [1, 2, 3, 4, 5])
def test_a_stage_that_was_stopped_goes_on_and_repeats_one_page_at_most(sandbox, ledger, looks):
    journey = Journey(sandbox(contacts=SEVERAL_PAGES), ledger)
    with pytest.raises(Interrupted):
        journey.stage(check=StopAfter(looks))
    written = min(100 * looks, SEVERAL_PAGES)
    assert journey.ask("SELECT count(*) FROM contact") == [(written,)]
    assert journey.ask("SELECT contacts_seen FROM checkpoint WHERE name = 'extraction'") == [
        (written,)
    ]
    before = contact_pages(journey.sandbox)
    journey.stage()
    assert_complete(journey, SEVERAL_PAGES)
    if looks < 4:  # else there was nothing left to extract, and a new scan began
        after = [one.query.get("after") for one in contact_pages(journey.sandbox)[len(before) :]]
        assert len(after) == 4 - looks
        assert len({one.query.get("after") for one in before} & set(after)) <= 1


@pytest.mark.usefixtures("page_by_page")
def test_a_stage_stopped_after_every_page_arrives_all_the_same(sandbox, ledger):
    journey = Journey(sandbox(contacts=SEVERAL_PAGES), ledger)
    for _ in range(3):
        with pytest.raises(Interrupted):
            journey.stage(check=StopAfter(1))
    journey.stage()
    assert_complete(journey, SEVERAL_PAGES)
    assert len(contact_pages(journey.sandbox)) <= 4 + 3


@pytest.mark.parametrize(
    "fault",
    ["hubspot_error", "hubspot_drop", "hubspot_throttle", "hubspot_secondly", "hubspot_locked"],
)
@pytest.mark.parametrize("times", [1, 5])
def test_trouble_that_passes_is_sat_out(sandbox, ledger, fault, times):
    box = sandbox(contacts=150)
    box.fault(fault, times, where=lambda query: "after" in query)
    assert_complete(staged(box, ledger), 150)


@pytest.mark.parametrize(
    ("fault", "times", "error"),
    [
        ("hubspot_error", 7, ServiceDown),
        ("hubspot_drop", 7, ServiceDown),
        ("hubspot_html", 7, ServiceDown),
        ("hubspot_daily", 1, ServiceBusy),
        ("hubspot_unauthorized", 3, Unauthorized),
        ("missing_scopes", 3, Forbidden),
    ],
)
def test_a_portal_that_fails_in_the_middle_keeps_what_was_read(
    sandbox, ledger, fault, times, error
):
    journey = Journey(sandbox(contacts=250), ledger)
    journey.sandbox.fault(fault, times, where=lambda query: "after" in query)
    with pytest.raises(error):
        journey.stage()
    assert journey.ask("SELECT count(*) FROM contact") == [(100,)]
    journey.sandbox.calm()
    assert journey.stage().new == 150
    assert_complete(journey, 250)


@pytest.mark.parametrize("fault", ["hubspot_unauthorized", "missing_scopes"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_stray_denial_in_the_middle_does_not_end_a_stage(sandbox, ledger, fault, times):
    box = sandbox(contacts=150)
    box.fault(fault, times, where=lambda query: "after" in query)
    assert_complete(staged(box, ledger), 150)


@pytest.mark.usefixtures("page_by_page")
@pytest.mark.parametrize("fault", ["hubspot_unauthorized", "missing_scopes"])
def test_a_declined_token_is_not_taken_for_a_forgotten_cursor(sandbox, ledger, fault):
    journey = Journey(sandbox(contacts=250), ledger)
    with pytest.raises(Interrupted):
        journey.stage(check=StopAfter(1))
    cursor = journey.ask("SELECT cursor FROM checkpoint WHERE name = 'extraction'")
    journey.sandbox.fault(fault, 3)
    with pytest.raises((Unauthorized, Forbidden)):
        journey.stage()
    assert journey.ask("SELECT cursor FROM checkpoint WHERE name = 'extraction'") == cursor
    assert "after" in contact_pages(journey.sandbox)[-1].query


def test_a_page_whose_companies_fail_is_not_written(sandbox, ledger):
    journey = Journey(sandbox(contacts=150), ledger)
    journey.sandbox.fault("hubspot_error", 7, where=lambda query: not query)
    with pytest.raises(ServiceDown):
        journey.stage()
    assert journey.ask("SELECT count(*) FROM contact") == [(0,)]
    journey.sandbox.calm()
    journey.stage()
    assert_complete(journey, 150)


@pytest.mark.parametrize("fault", ["hubspot_short_page", "hubspot_empty_page"])
def test_a_short_page_does_not_end_the_list(sandbox, ledger, fault):
    box = sandbox(contacts=150)
    box.fault(fault, 2)
    assert_complete(staged(box, ledger), 150)


@pytest.mark.usefixtures("page_by_page")
def test_a_forgotten_cursor_begins_again_and_doubles_nothing(sandbox, ledger):
    journey = Journey(sandbox(contacts=250), ledger)
    with pytest.raises(Interrupted):
        journey.stage(check=StopAfter(2))
    write(ledger, "UPDATE checkpoint SET cursor = 'forgotten' WHERE name = 'extraction'")
    counters = journey.stage()
    assert (counters.given, counters.new, counters.changed) == (50, 50, 0)
    assert_complete(journey, 250)


def test_a_cursor_that_comes_back_stops_the_stage_and_it_can_go_on(sandbox, ledger):
    journey = Journey(sandbox(contacts=250), ledger)
    journey.sandbox.fault("hubspot_repeat_cursor")
    with pytest.raises(ServiceDown, match="a second time"):
        journey.stage()
    assert journey.ask("SELECT complete FROM checkpoint WHERE name = 'extraction'") == [(0,)]
    journey.stage()
    assert_complete(journey, 250)


# Again -----------------------------------------------------------------------------------------


def test_a_second_stage_of_the_same_portal_changes_nothing(sandbox, ledger):
    journey = staged(sandbox(contacts=150), ledger)
    what_stands = (
        "SELECT key, state, held, detail, source, company_id, company_rule, email_key, lead, "
        "derived_fields, lead_id, foreign_lead_id, changed_ms, attempts_reset_at, mapping, amended "
        "FROM contact"
    )
    before = journey.ask(what_stands)
    events = journey.ask("SELECT count(*) FROM event")
    counters = journey.stage()
    assert (counters.given, counters.new, counters.changed, counters.changed_since_sent) == (
        150,
        0,
        0,
        0,
    )
    assert journey.ask(what_stands) == before
    assert journey.ask("SELECT count(*) FROM event") == events


def test_a_second_stage_brings_only_what_is_new(sandbox, ledger):
    journey = staged(sandbox(contacts=150), ledger)
    journey.sandbox.add_contact(contact(1))
    counters = journey.stage()
    assert (counters.new, counters.changed, counters.mapped) == (1, 0, 1)
    assert_complete(journey, 151)


def test_a_changed_contact_that_was_not_sent_is_mapped_anew(journey):
    ada, bob = (journey.sandbox.add_contact(contact(number)) for number in (1, 2))
    journey.stage()
    journey.sandbox.change_contact(ada, jobtitle="Countess")
    counters = journey.stage()
    assert (counters.changed, counters.mapped) == (1, 1)
    assert row(journey, ada)["lead"]["title"] == "Countess"
    assert "title" not in row(journey, bob)["lead"]


def test_a_change_that_no_lead_shows_is_no_change(journey):
    ada = journey.sandbox.add_contact(contact(1, city="Berlin"))
    journey.stage()
    journey.sandbox.change_contact(ada, city="Paris")
    assert journey.stage().changed == 0


def test_a_changed_company_changes_its_contacts(journey):
    firm = journey.sandbox.add_company(name="Old name")
    ada = journey.sandbox.add_contact(contact(1), [(firm, PRIMARY)])
    bob = journey.sandbox.add_contact(contact(2))
    journey.stage()
    rename_company(journey.sandbox, firm, "New name")
    assert journey.stage().changed == 1
    assert row(journey, ada)["lead"]["companyName"] == "New name"
    assert standing(journey, ada) == standing(journey, bob) == ("mapped", None)


def test_a_contact_that_loses_its_email_is_not_sent_any_more(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    journey.sandbox.change_contact(ada, email=None)
    journey.stage()
    assert standing(journey, ada) == ("extracted", "no_email")
    assert journey.push().posted == 0


@pytest.mark.parametrize("email", [None, "", "nobody", "a b@x.example"])
def test_an_excluded_contact_that_gets_an_email_is_sent(journey, email):
    ada = journey.sandbox.add_contact({**contact(1), "email": email})
    journey.stage()
    reason = "invalid_email" if email else "no_email"
    assert standing(journey, ada) == ("extracted", reason)
    journey.sandbox.change_contact(ada, email="ada@x.example")
    journey.stage()
    assert standing(journey, ada) == ("mapped", None)
    assert journey.push().posted == 1


# After the sending -----------------------------------------------------------------------------


def test_a_change_after_the_sending_is_noted_and_sends_nothing(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    journey.push()
    sent = row(journey, ada)
    journey.sandbox.change_contact(ada, jobtitle="Countess")
    assert journey.stage().changed_since_sent == 1
    found = row(journey, ada)
    assert found["changed_ms"] is not None
    assert {**found, "changed_ms": None} == sent
    assert journey.push().posted == 0
    assert len(posts(journey.sandbox)) == 1


def test_a_changed_company_is_noted_at_its_sent_contacts(journey):
    firm = journey.sandbox.add_company(name="Old name")
    ada = journey.sandbox.add_contact(contact(1), [(firm, PRIMARY)])
    journey.stage()
    journey.push()
    rename_company(journey.sandbox, firm, "New name")
    journey.stage()
    assert row(journey, ada)["changed_ms"] is not None
    assert row(journey, ada)["lead"]["companyName"] == "Old name"


def test_a_change_that_is_undone_is_forgotten(journey):
    ada = journey.sandbox.add_contact(contact(1, jobtitle="Engineer"))
    journey.stage()
    journey.push()
    for title in ("Countess", "Engineer"):
        journey.sandbox.change_contact(ada, jobtitle=title)
        journey.stage()
    assert row(journey, ada)["changed_ms"] is None
    assert standing(journey, ada) == ("posted", None)


def test_a_sent_contact_without_an_email_any_more_stays_sent(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    journey.push()
    journey.sandbox.change_contact(ada, email=None)
    assert journey.stage().changed_since_sent == 1
    assert standing(journey, ada) == ("posted", None)


def test_a_contact_with_an_open_attempt_is_left_alone(journey, ledger):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    (sendable,) = ledger.sendable.untried(1)
    ledger.attempts.record_intents(ledger.runs.begin_run("push"), [Intent(sendable.key, "0" * 64)])
    before = row(journey, ada)
    journey.sandbox.change_contact(ada, jobtitle="Countess")
    counters = journey.stage()
    assert (counters.changed, counters.changed_since_sent) == (0, 1)
    assert {**row(journey, ada), "changed_ms": None} == before


# Duplicates ------------------------------------------------------------------------------------


@pytest.mark.parametrize("email", ["ada.new@x.example", None, "nobody"])
def test_a_duplicate_is_freed_when_the_first_has_that_email_no_more(journey, email):
    first, second, third = (
        journey.sandbox.add_contact(contact(number, email="one@x.example")) for number in (1, 2, 3)
    )
    journey.stage()
    journey.sandbox.change_contact(first, email=email)
    assert journey.stage().freed == 1
    assert standing(journey, second) == ("mapped", None)
    assert standing(journey, third) == ("mapped", "duplicate_email")


def test_a_duplicate_of_a_sent_contact_stays_held(journey):
    first, second = (
        journey.sandbox.add_contact(contact(number, email="one@x.example")) for number in (1, 2)
    )
    journey.stage()
    journey.push()
    journey.sandbox.change_contact(first, email="new@x.example")
    assert journey.stage().freed == 0
    assert standing(journey, second) == ("mapped", "duplicate_email")


def test_a_duplicate_that_gets_an_email_of_its_own_is_sent(journey):
    first, second = (
        journey.sandbox.add_contact(contact(number, email="one@x.example")) for number in (1, 2)
    )
    journey.stage()
    journey.sandbox.change_contact(second, email="two@x.example")
    journey.stage()
    assert standing(journey, first) == standing(journey, second) == ("mapped", None)
    assert journey.push().posted == 2
    journey.judge()


def test_a_first_contact_that_changes_otherwise_stays_the_first(journey):
    first, second = (
        journey.sandbox.add_contact(contact(number, email="one@x.example")) for number in (1, 2)
    )
    journey.stage()
    journey.sandbox.change_contact(first, jobtitle="Countess")
    journey.stage()
    assert standing(journey, first) == ("mapped", None)
    assert standing(journey, second) == ("mapped", "duplicate_email")


# What the next push must look at ---------------------------------------------------------------


def test_a_freed_duplicate_is_looked_for_before_it_is_sent(journey):
    first, second = (
        journey.sandbox.add_contact(contact(number, email="one@x.example")) for number in (1, 2)
    )
    journey.sandbox.add_lead({"email": "one@x.example", "firstName": "F", "lastName": "G"})
    journey.stage()
    journey.push()
    assert standing(journey, first) == ("mapped", "already_in_destination")
    journey.sandbox.change_contact(first, email=None)
    assert journey.stage().freed == 1
    assert journey.push().posted == 0
    assert standing(journey, second) == ("mapped", "already_in_destination")


# A list that ends too early --------------------------------------------------------------------


class Forgetful(Scripted):
    """A portal whose list ends after some pages, until it was asked for its end so often."""

    def __init__(self, *pages: Sequence[Any], shown: int, until: int, counted: Any = None) -> None:
        super().__init__(*pages)
        self._shown, self._until, self._counted = shown, until, counted
        self.ends = 0

    def pages(self, properties: Sequence[str], after: str | None) -> Iterator[ContactPage]:
        for page in super().pages(properties, after):
            if page.asked == (str(self._shown - 1) if self._shown > 1 else None):
                self.ends += 1
                if self.ends <= self._until:
                    yield replace(page, after=None)
                    return
            yield page

    def contact_count(self, *, is_patient: bool) -> int:
        assert not is_patient
        count = super().contact_count(is_patient=is_patient)
        if isinstance(self._counted, Exception):
            raise self._counted
        return count if self._counted is None else self._counted


def people(first: int, number: int) -> list[Any]:
    return [{"id": str(one), "properties": {}} for one in range(first, first + number)]


@pytest.mark.parametrize("shown", [1, 2])
def test_a_list_that_loses_its_paging_once_is_read_to_its_end(ledger, shown):
    portal: Any = Forgetful(people(1, 5), people(6, 5), people(11, 5), shown=shown, until=1)
    counters = stage(ledger, portal, portal_id="42")
    assert sum(one.contacts for one in ledger.counts.sums()) == 15
    assert counters.completeness == Completeness(15, 0, 15)
    assert (portal.ends, portal.asked_to_count) == (2, 2)
    assert ledger.runs.checkpoint("extraction").complete


def test_a_list_that_stays_short_is_not_whole_and_what_came_is_mapped(ledger):
    ada = {"id": "1", "properties": ADA}
    portal: Any = Forgetful([ada, *people(2, 4)], people(6, 5), shown=1, until=9)
    scan = stage(ledger, portal, portal_id="42").completeness
    assert scan == Completeness(5, 0, 10)
    assert not scan.is_whole
    assert (portal.ends, portal.asked_to_count) == (2, 2)
    assert len(ledger.sendable.untried(9)) == 1


def test_a_list_that_stayed_short_is_known_until_a_scan_is_whole(ledger):
    portal: Any = Forgetful(people(1, 5), people(6, 5), shown=1, until=2)
    stage(ledger, portal, portal_id="42")
    report = summary.read(ledger)
    why = "HubSpot counts 10 contacts, 5 more than its list gave"
    assert next_step(report) == ("migrator stage", why)
    assert as_json(report)["extraction"] == {
        "complete": False,
        "pages": 2,
        "met": 5,
        "counted": 10,
    }
    stage(ledger, portal, portal_id="42")
    assert as_json(summary.read(ledger))["extraction"]["complete"]


def test_a_new_scan_knows_no_count_of_the_one_before(ledger):
    stage(ledger, cast("Any", Forgetful(people(1, 5), shown=1, until=0)), portal_id="42")
    assert ledger.runs.checkpoint("extraction").counted == 5
    assert ledger.runs.begin_scan("extraction").counted is None


def test_where_the_counts_agree_nothing_is_asked_twice(ledger):
    portal: Any = Forgetful(people(1, 5), shown=1, until=0)
    assert stage(ledger, portal, portal_id="42").completeness == Completeness(5, 0, 5)
    assert (portal.ends, portal.asked_to_count) == (1, 1)


@pytest.mark.parametrize(
    "error", [ServiceDown("It is down.", ""), Forbidden("No.", ""), ServiceBusy("Tomorrow.", "")]
)
def test_a_count_that_cannot_be_had_is_no_failure_and_is_said(ledger, error):
    portal: Any = Forgetful(people(1, 5), shown=1, until=0, counted=error)
    scan = stage(ledger, portal, portal_id="42").completeness
    assert scan == Completeness(5, 0, None, error.message)
    assert scan.is_whole


def test_a_scan_in_two_parts_is_compared_as_a_whole(ledger, monkeypatch):
    monkeypatch.setattr(prefetch, "MOST_PAGES_WAITING", 1)
    portal: Any = Scripted(people(1, 5), people(4, 5), people(9, 2))
    with pytest.raises(Interrupted):
        stage(ledger, portal, portal_id="42", check=StopAfter(2))
    assert stage(ledger, portal, portal_id="42").completeness == Completeness(10, 0, 10)


SCANS = [
    (100, 0, 100, True, ""),
    (99, 1, 100, True, ""),
    (0, 0, 0, True, ""),
    (100, 0, 90, True, "HubSpot counts 90 contacts, 10 fewer than its list gave"),
    (9, 0, 5, True, "HubSpot counts 5 contacts, 4 fewer than its list gave"),
    (100_000, 0, 100_010, True, "HubSpot counts 100,010 contacts, 10 more than its list gave"),
    (100_000, 0, 100_011, False, "11 more"),
    (91, 0, 100, True, "9 more"),
    (90, 0, 100, False, "10 more"),
    (0, 0, 1, False, "HubSpot counts 1 contact, 1 more"),
    (2, 1, 3, True, ""),
    (0, 10, 10, True, ""),
    (0, 11, 11, False, ""),
    (110, 11, 121, True, ""),
    (99, 11, 110, False, ""),
    (5, 0, None, True, "not compared with HubSpot's own count: why"),
]


@pytest.mark.parametrize(("met", "odd", "counted", "is_whole", "words"), SCANS)
def test_a_scan_beside_hubspots_count(met, odd, counted, is_whole, words):
    scan = Completeness(met, odd, counted, "why")
    assert (scan.is_whole, words in scan.words()) == (is_whole, True)
    assert words or not scan.words()
    assert bool(scan.why_not_whole()) is not is_whole


@pytest.mark.parametrize(("met", "odd", "counted", "is_whole", "words"), SCANS)
def test_a_ledger_is_forgotten_only_where_its_scan_is_whole(
    ledger, met, odd, counted, is_whole, words
):
    sums = f"met = {met}, odd = {odd}, counted = {'NULL' if counted is None else counted}"
    write(ledger, f"UPDATE checkpoint SET scan = 1, {sums} WHERE name = 'extraction'")
    assert (ledger.erasure.unfinished() is None) is is_whole
    with nullcontext() if is_whole else pytest.raises(sqlite3.IntegrityError, match="finished"):
        write(ledger, "UPDATE ledger SET forgotten_ms = 1")


def test_rows_that_are_no_contacts_are_counted_named_and_left_out(ledger):
    odd = ["a row that is null", "a row with the id 17", "a row without an id", "a row with the id"]

    class Odd(Scripted):
        def pages(self, properties: Sequence[str], after: str | None) -> Iterator[ContactPage]:
            first = ContactPage(people(1, 5), "1", None, odd[:1])
            yield from [first, ContactPage(people(6, 5), None, "1", odd[1:])][int(after or 0) :]

        def contact_count(self, *, is_patient: bool) -> int:
            return 15  # one is lacking, so the last page is read once more

    counters = stage(ledger, cast("Any", Odd()), portal_id="42")
    assert (counters.given, counters.odd, counters.odd_examples) == (10, 4, odd[:3])
    assert counters.completeness == Completeness(10, 4, 15)


# Odd JSON --------------------------------------------------------------------------------------

ODD = [
    {"properties": None},
    {"properties": []},
    {"properties": {"email": None, "firstname": None}},
    {"properties": {"email": 7, "firstname": ["x"], "lastname": {"x": 1}}},
    {"associations": None},
    {"associations": {"companies": None}},
    {"associations": {"companies": {"results": [None, 5, {}, {"id": None}, {"id": ["x"]}]}}},
]
ADA = {"email": "ada@x.example", "firstname": "Ada", "lastname": "Byron"}


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_an_odd_contact_does_not_stop_the_others(ledger, odd):
    stage_scripted(ledger, [{"id": "1", **odd}, {"id": "2", "properties": ADA}])
    assert ledger.contacts.stored(["1", "2"])["2"].state == "mapped"
    assert ledger.contacts.stored(["1", "2"])["1"].state == "extracted"
    stage_scripted(ledger, [{"id": "1", **odd}, {"id": "2", "properties": ADA}])


# JSON can hold half a surrogate pair; neither UTF-8 nor SQLite can.
@pytest.mark.parametrize("field", ["firstname", "jobtitle", "lifecyclestage", "email", "city"])
def test_half_a_surrogate_pair_stops_nothing(ledger, field):
    half = {**ADA, field: "half\ud83d@x.example"}
    page = [{"id": "1", "properties": half}, {"id": "2", "properties": {**ADA, "email": "b@x.ex"}}]
    stage_scripted(ledger, page)
    known = ledger.contacts.stored(["1", "2"])
    assert known["2"].state == "mapped"
    assert "\\ud83d" not in (known["1"].lead or "")
    stage_scripted(ledger, page)
    assert ledger.contacts.stored(["1", "2"]) == known


@pytest.mark.parametrize("company_id", ["junk", "\ud800", "a/b?c", "-1", "9" * 400, "\x00", " "])
def test_a_company_id_that_is_junk_stops_nobody(ledger, company_id):
    rows = {"companies": {"results": [{"id": company_id, "type": PRIMARY}]}}
    for _ in range(2):
        stage_scripted(ledger, [{"id": "1", "properties": ADA, "associations": rows}])
        assert ledger.contacts.stored(["1"])["1"].state == "mapped"


def test_an_odd_company_stops_nobody(ledger):
    rows = [{"id": "7", "type": PRIMARY}]
    ada = {"id": "1", "properties": ADA, "associations": {"companies": {"results": rows}}}
    odd = {"name": "F\udc00rm", "domain": None, "industry": ["x"], "more": {"x": 1}}
    stage_scripted(ledger, [ada], companies={"7": odd})
    (sendable,) = ledger.sendable.untried(1)
    assert sendable.lead["companyName"] == "Frm"


def test_a_contact_that_a_page_or_the_next_one_repeats_is_one_contact(ledger):
    ada = {"id": "1", "properties": ADA}
    stage_scripted(ledger, [ada, ada], [ada], [])
    assert ledger.runs.checkpoint("extraction").contacts_seen == 1
    assert len(ledger.sendable.untried(9)) == 1


def test_a_hold_of_a_person_is_lifted_by_a_change(journey, ledger):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    (sendable,) = ledger.sendable.untried(1)
    ledger.holds.hold(sendable.key, Hold.REFUSED, "422: no")
    assert journey.stage().changed == 0
    assert standing(journey, ada) == ("mapped", "refused")
    journey.sandbox.change_contact(ada, jobtitle="Countess")
    journey.stage()
    assert standing(journey, ada) == ("mapped", None)
