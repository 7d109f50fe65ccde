"""Lists that change, repeat or never end while somebody reads them."""

import json

import pytest

from benchmarks.judge import posts
from migrator.errors import ExitCode
from tests.support.inprocess_cli import PUSH, VERIFY, InProcessCli, stops, when

NO_END = "returned a page cursor a second time; its list would never end."


@pytest.fixture
def shell(sandbox, tmp_path, monkeypatch, capsys):
    box = sandbox(contacts=40, page_limit=10)
    shell = InProcessCli(tmp_path, box, monkeypatch, capsys)
    shell.stage()
    return shell


@pytest.fixture
def portal(sandbox, tmp_path, monkeypatch, capsys):
    return InProcessCli(tmp_path, sandbox(contacts=310), monkeypatch, capsys)


def later_pages(shell: InProcessCli, cursor_name: str) -> int:
    return sum(cursor_name in one.query for one in shell.sandbox.received)


# Cursors that come back


@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_list_of_contacts_without_end_is_an_error(portal, page):
    portal.sandbox.fault(
        "hubspot_repeat_cursor", where=lambda query: later_pages(portal, "after") == page
    )
    result = portal.type("stage")
    stops(
        result, ExitCode.STOPPED_EARLY, "HubSpot returned the page cursor", "next: migrator stage"
    )
    assert portal.ask("SELECT complete FROM checkpoint WHERE name = 'extraction'") == [(0,)]
    assert portal.type("stage").code == 0
    assert portal.count("TRUE") == 310


@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_list_of_leads_without_end_is_never_taken_for_complete(shell, page):
    for number in range(35):
        shell.sandbox.add_lead({"email": f"stranger{number}@else.example"})
    shell.sandbox.fault("repeat_cursor", where=lambda query: later_pages(shell, "lastKey") == page)
    stops(shell.type(PUSH), ExitCode.STOPPED_EARLY, NO_END)
    assert not posts(shell.sandbox)
    shell.ends_well()


@pytest.mark.parametrize("page", [1, 3])
def test_a_list_without_end_settles_no_doubt(shell, page):
    shell.sandbox.fault("drop_before_saving", times=2)
    shell.sandbox.fault("repeat_cursor", where=lambda query: later_pages(shell, "lastKey") == page)
    stops(shell.type(PUSH), ExitCode.STOPPED_EARLY, NO_END)
    assert shell.ask("SELECT count(*) FROM attempt WHERE outcome IS NULL") == [(2,)]
    shell.ends_well()


@pytest.mark.parametrize("page", [1, 3])
def test_a_list_without_end_verifies_nothing(shell, page):
    assert shell.type(PUSH).code == 0
    page += later_pages(shell, "lastKey")
    shell.sandbox.fault("repeat_cursor", where=lambda query: later_pages(shell, "lastKey") == page)
    stops(shell.type(VERIFY), ExitCode.STOPPED_EARLY, NO_END)
    assert shell.count("state = 'verified' OR held = 'missing'") == 0
    shell.ends_well()


@pytest.mark.parametrize("after", [{"id": 7}, ["7"], True, 1.5, "\ud800", "a\nb"])
def test_a_cursor_of_contacts_that_cannot_be_read_is_not_the_end(portal, after):
    page = {"results": [], "paging": {"next": {"after": after}}}
    portal.sandbox.outage("/crm/v3/objects/contacts", 200, json.dumps(page).encode())
    words = "HubSpot's page has a cursor that cannot be read."
    stops(portal.type("stage"), ExitCode.STOPPED_EARLY, words, "next: migrator stage")


# Lists that change meanwhile


def test_a_contact_that_slips_behind_the_cursor_comes_with_the_next_stage(portal):
    slipping = next(one.contact_id for one in portal.sandbox.expected() if one.lead)
    portal.sandbox.remove_contact(slipping)
    when(
        portal.sandbox,
        lambda: later_pages(portal, "after") == 1,
        lambda: portal.sandbox.restore_contact(slipping),
    )
    assert portal.type("stage").code == 0
    assert portal.count(f"hubspot_id = '{slipping}'") == 0
    portal.ends_well(PUSH)
    assert portal.count(f"hubspot_id = '{slipping}' AND state = 'verified'") == 1


def test_a_contact_that_vanishes_while_others_are_read_is_lost_by_nobody(portal):
    *_, last = portal.sandbox.expected()
    when(
        portal.sandbox,
        lambda: later_pages(portal, "after") == 2,
        lambda: portal.sandbox.remove_contact(last.contact_id),
    )
    assert portal.type("stage").code == 0
    assert portal.count("TRUE") == 309


def test_a_contact_on_two_pages_is_one_contact(portal):
    portal.sandbox.fault("hubspot_overlap_page", times=2)
    assert portal.type("stage").code == 0
    assert portal.count("TRUE") == 310


@pytest.mark.parametrize("name", ["hubspot_short_page", "hubspot_empty_page"])
def test_a_short_page_of_contacts_is_not_the_last_one(portal, name):
    portal.sandbox.fault(name, times=3)
    assert portal.type("stage").code == 0
    assert portal.count("TRUE") == 310


@pytest.mark.parametrize("name", ["short_page", "empty_page", "overlap_page"])
def test_pages_of_leads_may_be_short_or_empty_or_say_things_twice(shell, name):
    shell.sandbox.fault("drop_after_saving", times=2)
    shell.sandbox.fault(name, times=4)
    assert shell.type(PUSH).code == 0
    shell.sandbox.fault(name, times=4)
    verified = shell.type(VERIFY)
    assert "0 missing · 0 different · 0 doubled · 0 leads of others" in verified.out
    shell.ends_well()


def test_a_lead_that_lands_before_the_cursor_is_found_by_the_next_look(sandbox, tmp_path, request):
    box = sandbox(contacts=40, page_limit=5, late_seconds=0.1, read_lag_seconds=0.2)
    patch, capsys = request.getfixturevalue("monkeypatch"), request.getfixturevalue("capsys")
    shell = InProcessCli(tmp_path, box, patch, capsys)
    assert shell.type("stage").code == 0
    box.fault("save_late", times=6)
    assert shell.type(PUSH.replace("--timeout 2", "--timeout 0.05")).code == 0
    shell.ends_well()


def test_a_lead_that_is_deleted_while_others_are_verified_is_missing_the_next_time(shell):
    assert shell.type(PUSH).code == 0
    first = shell.sandbox.leads()[0]["id"]
    when(
        shell.sandbox,
        lambda: later_pages(shell, "lastKey") > 1,
        lambda: shell.sandbox.delete_lead(first),
    )
    assert shell.type(VERIFY).code == 0
    again = shell.type(VERIFY)
    assert again.code == ExitCode.NEEDS_ATTENTION
    assert "1 missing" in again.out
    assert shell.ask(
        "SELECT json_extract(detail, '$.lead') FROM contact WHERE held = 'missing'"
    ) == [(first,)]


def test_both_names_of_a_cursor_go_back_where_both_came(shell):
    page = {"leads": [], "lastKey": {"pk": "a b"}, "nextToken": "t/+="}
    shell.sandbox.outage("/api/leads", 200, json.dumps(page).encode(), method="GET")
    stops(shell.type(PUSH), ExitCode.STOPPED_EARLY, NO_END)
    asked = [one.query for one in shell.sandbox.received if one.path == "/api/leads"]
    assert asked[1]["lastKey"] == '{"pk": "a b"}'
    assert asked[1]["nextToken"] == "t/+="
    assert len(asked) == 2
