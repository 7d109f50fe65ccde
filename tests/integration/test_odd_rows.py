"""Rows without a usable id in a list of either service: counted, named, never taken for absence."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from benchmarks.judge import posts
from migrator.errors import StoppedEarly
from migrator.hold_details import HoldDetail
from migrator.hubspot import ContactPage, HubSpot
from migrator.leadgenius import LeadGenius, LeadPage
from tests.support.inprocess_cli import PUSH, InProcessCli
from tests.support.journeys import Journey, contact

Change = Callable[[dict[str, Any]], Any]
Show = Callable[[Change], None]


def without_id(lead: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in lead.items() if name != "id"}


def nothing(lead: dict[str, Any]) -> None:
    return None


@pytest.fixture
def show(monkeypatch) -> Show:
    """Let listings show each lead as a function makes it; what has no id then is odd."""
    real = LeadGenius.lead_pages

    def shown(change: Change) -> None:
        def lead_pages(self: LeadGenius, client_id: str) -> Iterator[LeadPage]:
            for page in real(self, client_id):
                rows = [change(dict(lead)) for lead in page.leads]
                leads = [row for row in rows if row and "id" in row]
                yield LeadPage(leads, page.cursor, [row for row in rows if row not in leads])

        monkeypatch.setattr(LeadGenius, "lead_pages", lead_pages)

    return shown


def only(email: str, change: Change) -> Change:
    """Change the lead of one person; the others are shown as they are."""
    return lambda lead: change(lead) if lead["email"] == email else lead


@pytest.fixture
def journey(sandbox, ledger) -> Journey:
    journey = Journey(sandbox(contacts=0), ledger)
    for number in range(4):
        journey.sandbox.add_contact(contact(number), contact_id=str(number))
    journey.stage()
    return journey


def standing(journey: Journey) -> list[tuple[Any, ...]]:
    return journey.ask("SELECT state, held FROM contact ORDER BY key")


OF_OTHERS = {"email": "other@elsewhere.example", "firstName": "O", "lastName": "P"}


# A push ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [without_id, nothing])
def test_a_row_of_others_without_an_id_keeps_no_push_back(journey, show, change):
    journey.sandbox.add_lead(OF_OTHERS)
    show(only(OF_OTHERS["email"], change))
    assert journey.push(canary=2).posted == 4
    journey.judge()


def test_a_contact_whose_lead_may_be_an_odd_row_stays_in_doubt_and_the_rest_is_sent(journey, show):
    email = "ada1@x.example"
    show(only(email, without_id))
    where = lambda lead: lead["email"] == email  # noqa: E731
    journey.sandbox.fault("drop_after_saving", where=where)
    for _ in range(2):
        with pytest.raises(StoppedEarly, match=r"1 contact stays in doubt: .* may be its"):
            journey.push()
    assert standing(journey).count(("posted", None)) == 3
    assert journey.outcomes()[None] == 1
    assert len(posts(journey.sandbox)) == 4
    show(lambda lead: lead)
    assert journey.push().found == 1
    journey.judge()


def test_several_contacts_that_stay_in_doubt_are_told_as_several(journey, show):
    show(without_id)
    journey.sandbox.fault("drop_after_saving", times=2)
    with pytest.raises(StoppedEarly, match=r"2 contacts stay in doubt: .* may be theirs"):
        journey.push(canary=0)


def test_a_contact_whose_lead_may_be_a_nameless_row_is_held_by_the_second_push(journey, show):
    email = "ada1@x.example"
    show(only(email, nothing))
    where = lambda lead: lead["email"] == email  # noqa: E731
    journey.sandbox.fault("drop_after_saving", where=where)
    with pytest.raises(StoppedEarly, match="1 contact stays in doubt") as caught:
        journey.push()
    assert f"without an id of the client {journey.sandbox.client_id}" in caught.value.hint
    done = journey.push()
    assert (done.gave_up, done.left_for_a_person) == (1, 1)
    assert standing(journey)[1] == ("mapped", "gave_up")
    ((code,),) = journey.ask(
        "SELECT json_extract(detail, '$.code') FROM contact WHERE held IS NOT NULL"
    )
    assert code == HoldDetail.NAMELESS.name
    assert journey.push().posted == 0
    assert len(posts(journey.sandbox)) == 4
    # Once the lead is readable, the look after a retry finds it.
    show(lambda lead: lead)
    journey.ledger.holds.release(None, ["1"])
    assert journey.push().adopted == 1
    journey.judge()


def test_what_an_odd_row_leaves_in_doubt_counts_as_in_doubt(journey, show):
    show(without_id)
    # The second one is in flight yet when the listing cannot settle the first.
    for most, fault in enumerate(["drop_after_saving", "hang_after_saving"], 1):
        journey.sandbox.fault(fault, 99)
        with pytest.raises(StoppedEarly, match=f"{most} contacts? stays? in doubt"):
            journey.push(max_in_doubt=most, timeout=1.5)
        assert len(posts(journey.sandbox)) == most
        journey.sandbox.calm()


def test_a_doubt_whose_lead_is_no_odd_row_is_settled_all_the_same(journey, show):
    journey.sandbox.add_lead(OF_OTHERS)
    show(only(OF_OTHERS["email"], without_id))
    journey.sandbox.fault("drop_before_saving")
    assert journey.push().absent == 1
    journey.judge()


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_contact_that_an_odd_row_carries_is_held_before_the_first_post(journey, show, is_ours):
    email = "ada2@x.example"
    notes = f"[HubSpot record: {journey.sandbox.portal_id}/2]" if is_ours else "Met at a fair"
    planted = {**OF_OTHERS, "email": "moved@x.example" if is_ours else email, "notes": notes}
    journey.sandbox.add_lead(planted)
    show(only(planted["email"], without_id))
    assert journey.push().posted == 3
    assert standing(journey)[2] == ("mapped", "already_in_destination")
    ((code,),) = journey.ask(
        "SELECT json_extract(detail, '$.code') FROM contact WHERE held IS NOT NULL"
    )
    assert code == HoldDetail.LEAD_WITHOUT_ID.name
    # The user may say that it is to be sent all the same.
    journey.ledger.holds.release(None, ["2"])
    assert journey.push().posted == 1


# A verification --------------------------------------------------------------------------------


def test_a_lead_without_its_id_is_its_contacts_by_line_or_email_and_not_missing(journey, show):
    journey.push()
    show(only("ada1@x.example", without_id))
    found = journey.verify(pause=lambda seconds: None)
    assert (found.verified, found.missing, found.odd, found.unreadable) == (4, 0, 1, 0)
    assert found.odd_examples == ("a row without an id",)
    assert not found.doubled


def test_a_lead_without_its_id_that_differs_is_different(journey, show):
    journey.push()
    show(only("ada1@x.example", lambda lead: without_id({**lead, "lastName": "Else"})))
    assert journey.verify(pause=lambda seconds: None).different == 1


def test_the_row_with_the_id_counts_more_wherever_it_stands(journey, monkeypatch):
    journey.push()
    leads = [dict(lead) for lead in journey.sandbox.held]
    odd = [{**without_id(lead), "lastName": "Else"} for lead in leads]

    def lead_pages(self: LeadGenius, client_id: str) -> Iterator[LeadPage]:
        yield LeadPage(leads[:2], "k", odd)
        yield LeadPage(leads[2:], None)

    monkeypatch.setattr(LeadGenius, "lead_pages", lead_pages)
    found = journey.verify(pause=lambda seconds: None)
    assert (found.verified, found.different) == (4, 0)


def test_an_unreadable_row_is_said_to_be_what_may_be_missing(three: InProcessCli, show):
    three.type("push --settle 0.3")
    show(only("ada1@x.example", nothing))
    typed = three.type("verify --settle 0.1")
    assert typed.code == 1
    assert "1 row without a usable id: a row that is null" in typed.out
    assert "1 row of them may be leads that are missing" in typed.out
    result = json.loads(three.type("verify --settle 0.1 --json").out.splitlines()[-1])
    assert (result["odd"], result["unreadable"], result["odd_rows"]) == (
        1,
        1,
        ["a row that is null"],
    )


# An undo ---------------------------------------------------------------------------------------

UNDO = "undo --yes --rate max --settle 0.3 --timeout 2 --retry-for 0 --json"


@pytest.fixture
def pushed(three: InProcessCli) -> InProcessCli:
    """Three contacts were sent, and no lead can be found by its e-mail alone."""
    assert three.type(PUSH).code == 0
    three.sandbox.outage("/api/find-lead", 404, b"{}")
    return three


def undone(shell: InProcessCli, words: str) -> dict[str, Any]:
    done = shell.type(f"{UNDO} {words}")
    assert done.out, done.err
    result: dict[str, Any] = json.loads(done.out.splitlines()[-1])
    return result


@pytest.mark.parametrize(
    "change",
    [without_id, nothing, lambda lead: without_id({**lead, "notes": "Met at a fair"})],
    ids=["line", "nameless", "email"],
)
def test_a_lead_that_may_be_a_row_without_an_id_is_not_gone(pushed, show, change):
    pushed.sandbox.remove_contact("1")
    assert pushed.type("stage").code == 0
    show(only("ada1@x.example", change))
    result = undone(pushed, "--gone")
    assert (result["exit_code"], result["already_gone"]) == (1, 0)
    assert [(one["contact"], one["why"]) for one in result["kept"]] == [("1", "nameless")]
    assert pushed.ask("SELECT state, gone FROM contact WHERE key = 1") == [("posted", "archived")]
    assert pushed.type("forget 1 --yes").code == 4
    show(lambda lead: lead)
    assert undone(pushed, "--gone")["deleted"] == 1
    assert pushed.type("forget 1 --yes").code == 0
    assert pushed.type("audit").code == 0


def test_a_row_without_an_id_may_be_the_lead_of_each_contact_that_it_names(pushed, show):
    (notes,) = [lead["notes"] for lead in pushed.sandbox.held if lead["email"] == "ada1@x.example"]
    both = "{notes}\n" + notes
    show(only("ada2@x.example", lambda lead: without_id(lead | {"notes": both.format(**lead)})))
    result = undone(pushed, "2")
    assert [(one["contact"], one["why"]) for one in result["kept"]] == [("2", "nameless")]


def test_a_row_without_an_id_that_is_marked_as_deleted_keeps_no_lead(pushed, show):
    show(only("ada1@x.example", lambda lead: without_id({**lead, "status": "deleted"})))
    result = undone(pushed, "1")
    assert (result["already_gone"], result["kept"]) == (1, [])


def test_a_row_without_an_id_of_others_keeps_no_lead(pushed, show):
    pushed.sandbox.delete_lead(pushed.ask("SELECT lead_id FROM contact WHERE key = 1")[0][0])
    show(only("ada2@x.example", without_id))
    result = undone(pushed, "1")
    assert (result["already_gone"], result["kept"]) == (1, [])


def test_no_further_lead_becomes_the_own_one_if_that_may_be_a_row_without_an_id(pushed, show):
    [(own,)] = pushed.ask("SELECT lead_id FROM contact WHERE key = 1")
    (lead,) = [dict(one) for one in pushed.sandbox.held if one["id"] == own]
    further = {pushed.sandbox.add_lead(without_id(lead)) for _ in range(2)}
    show(lambda lead: without_id(lead) if lead["id"] == own else lead)
    result = undone(pushed, "--doubled")
    assert [(one["lead"], one["why"]) for one in result["kept"]] == [(own, "nameless")]
    assert further <= {one["id"] for one in pushed.sandbox.held}
    show(lambda lead: lead)
    assert undone(pushed, "--doubled")["deleted"] == 2
    assert pushed.ask("SELECT lead_id FROM contact WHERE key = 1") == [(own,)]
    assert pushed.type("audit").code == 0


# A stage ---------------------------------------------------------------------------------------


@pytest.fixture
def odd_contacts(monkeypatch) -> None:
    real = HubSpot.pages

    def pages(self: HubSpot, *args: Any) -> Iterator[ContactPage]:
        for page in real(self, *args):
            yield ContactPage(page.contacts[1:], page.after, page.asked, ["a row with the id 17"])

    monkeypatch.setattr(HubSpot, "pages", pages)


@pytest.mark.usefixtures("odd_contacts")
def test_a_stage_names_what_it_left_out_and_ends_well(empty: InProcessCli):
    for number in range(3):
        empty.sandbox.add_contact(contact(number))
    typed = empty.type("stage")
    assert typed.code == 0
    assert "2 contacts read" in typed.out
    assert "1 row without a usable id: a row with the id 17" in typed.out
    result = json.loads(empty.type("stage --json").out.splitlines()[-1])
    assert (result["odd"], result["odd_rows"]) == (1, ["a row with the id 17"])
    assert (result["met"], result["counted"], result["not_counted"]) == (2, 3, None)


def test_a_list_that_stays_shorter_than_the_count_ends_with_4_once_all_is_mapped(
    empty: InProcessCli, monkeypatch
):
    for number in range(3):
        empty.sandbox.add_contact(contact(number))
    monkeypatch.setattr(HubSpot, "contact_count", lambda self, **more: 9)
    typed = empty.type("stage")
    assert typed.code == 4
    assert "3 contacts read" in typed.out
    assert "3 ready to send" in typed.out
    assert "HubSpot counts 9 contacts, 6 more than its list gave" in typed.out
    assert "migrator stage again later" in typed.out
    result = json.loads(empty.type("stage --json").out.splitlines()[-1])
    assert (result["event"], result["exit_code"]) == ("result", 4)
    assert "6 more than its list gave" in result["message"]
    assert result["next"].startswith("migrator stage")


def test_a_count_that_may_not_be_asked_for_is_said_and_no_failure(empty: InProcessCli):
    empty.sandbox.add_contact(contact(1))
    empty.sandbox.outage("/crm/v3/objects/contacts/search", 403, b'{"category": "MISSING_SCOPES"}')
    typed = empty.type("stage")
    assert typed.code == 0
    assert "not compared with HubSpot's own count" in typed.out


def test_a_stage_waits_as_long_for_an_answer_as_it_is_told_to(
    sandbox, tmp_path, monkeypatch, capsys
):
    slow = InProcessCli(tmp_path, sandbox(contacts=1, latency_seconds=0.5), monkeypatch, capsys)
    typed = slow.type("stage --timeout 0.1")
    assert typed.code == 4
    assert "no answer within the time-out" in typed.err
    assert slow.type("stage").code == 0
