"""`migrator update`, end to end: HubSpot changes, people edit leads, the sandbox keeps record."""

from collections.abc import Callable
from typing import Any

import pytest

from migrator import connections
from migrator.counters import UpdateCounters
from migrator.errors import StoppedEarly
from migrator.push import PushOptions
from migrator.rate_limit import RateLimiter, RateState
from migrator.signals import Signals
from migrator.update import Preference, UpdateChoice, UpdatePlan, update
from tests.support.journeys import SETTLE, Journey

CONTACTS = 12


@pytest.fixture
def sent(sandbox, ledger):
    """A journey whose contacts were sent and verified."""
    journey = Journey(sandbox(contacts=CONTACTS), ledger)
    journey.stage()
    journey.push()
    journey.verify()
    return journey


def run(
    journey: Journey,
    *,
    prefer: Preference = Preference.ASK,
    confirm: Callable[[UpdatePlan], bool] = lambda plan: True,
    **options: Any,
) -> UpdateCounters:
    chosen = {
        "portal_id": journey.sandbox.portal_id,
        "client_id": journey.sandbox.client_id,
        "settle_seconds": SETTLE,
        "workers": 4,
        **options,
    }
    service = journey.leadgenius()
    to = connections.BoundDestination(service, chosen["client_id"], chosen["portal_id"])
    try:
        with connections.hold_sender(journey.ledger, journey.settings(), to, "update") as sender:
            return update(
                journey.ledger,
                service,
                RateLimiter(RateState.unlimited()),
                PushOptions(**chosen),
                UpdateChoice(prefer=prefer),
                run_id=journey.ledger.runs.begin_run("update"),
                signals=Signals(),
                confirm=confirm,
                sender=sender,
            )
    finally:
        journey.close()


def hubspot_ids(journey: Journey) -> list[str]:
    rows = journey.ask("SELECT hubspot_id FROM contact WHERE lead_id IS NOT NULL ORDER BY key")
    return [one for (one,) in rows]


def lead_of(journey: Journey, hubspot_id: str) -> dict[str, Any]:
    ((lead_id,),) = journey.ask(f"SELECT lead_id FROM contact WHERE hubspot_id = '{hubspot_id}'")
    (lead,) = [one for one in journey.sandbox.leads() if one["id"] == lead_id]
    return lead


def place(journey: Journey, hubspot_id: str) -> tuple[Any, ...]:
    ((state, held, new, changed),) = journey.ask(
        "SELECT state, held, new_lead, changed_ms IS NOT NULL FROM contact "
        f"WHERE hubspot_id = '{hubspot_id}'"
    )
    return state, held, new, changed


def puts(journey: Journey) -> int:
    return sum(one.method == "PUT" for one in journey.sandbox.received)


def test_a_change_at_hubspot_is_written_once_and_verified_again(sent):
    one, *_ = hubspot_ids(sent)
    sent.sandbox.change_contact(one, jobtitle="Countess")
    sent.stage()
    assert place(sent, one)[0] == "verified" and place(sent, one)[3]
    done = run(sent)
    assert (done.updated, done.conflicts, done.already) == (1, 0, 0)
    assert lead_of(sent, one)["title"] == "Countess"
    assert place(sent, one) == ("posted", None, None, 0)
    assert puts(sent) == 1
    assert run(sent).updated == 0
    assert puts(sent) == 1
    assert sent.verify().verified == 1


def test_what_people_changed_is_a_conflict_with_its_three_values(sent):
    one, two, *_ = hubspot_ids(sent)
    was = lead_of(sent, one).get("title", "")
    sent.sandbox.change_contact(one, jobtitle="Countess")
    sent.sandbox.change_contact(two, jobtitle="Duke")
    sent.sandbox.change_lead(lead_of(sent, one)["id"], title="Boss")
    sent.stage()
    done = run(sent)
    assert (done.updated, done.conflicts) == (1, 1)
    assert lead_of(sent, one)["title"] == "Boss"
    assert place(sent, one)[:2] == ("verified", "conflict")
    ((detail,),) = sent.ask(f"SELECT detail FROM contact WHERE hubspot_id = '{one}'")
    assert f'"title": {{"sent": "{was}", "there": "Boss", "new": "Countess"}}' in detail
    assert run(sent, prefer=Preference.HUBSPOT).updated == 1
    assert lead_of(sent, one)["title"] == "Countess"
    assert place(sent, one) == ("posted", None, None, 0)


def test_nothing_is_written_without_a_yes(sent):
    one, *_ = hubspot_ids(sent)
    sent.sandbox.change_contact(one, jobtitle="Countess")
    sent.stage()
    plans: list[UpdatePlan] = []

    def refuse(plan: UpdatePlan) -> bool:
        plans.append(plan)
        return False

    run(sent, confirm=refuse)
    (row,) = plans[0].rows
    assert (row.hubspot_id, row.name, row.what, row.new) == (one, "title", "change", "Countess")
    assert puts(sent) == 0
    assert place(sent, one)[3] == 1


@pytest.mark.parametrize(
    "fault",
    ["update:hang_after_saving", "update:drop_before_saving", "update:error_after_saving"],
)
def test_an_update_in_doubt_is_settled_by_looking(sent, fault):
    one, two, *_ = hubspot_ids(sent)
    for each in (one, two):
        sent.sandbox.change_contact(each, jobtitle="Countess")
    sent.stage()
    sent.sandbox.fault(fault, times=1)
    assert run(sent).updated == 2
    assert [lead_of(sent, each)["title"] for each in (one, two)] == ["Countess"] * 2
    assert sent.ledger.counts.in_doubt() == 0
    assert sent.verify().different == 0


def test_an_answered_update_that_changes_nothing_stops_the_run(sent):
    for each in hubspot_ids(sent):
        sent.sandbox.change_contact(each, jobtitle="Countess")
    sent.stage()
    sent.sandbox.fault("update:ignore", times=99)
    with pytest.raises(StoppedEarly, match="shows the values of before"):
        run(sent)
    assert puts(sent) == 1


def test_a_service_whose_update_replaces_gets_whole_leads(sandbox, ledger):
    journey = Journey(sandbox(contacts=CONTACTS, quirks=["replacing_update"]), ledger)
    journey.stage()
    journey.push()
    journey.verify()
    before = {one["id"]: one for one in journey.sandbox.leads()}
    for each in hubspot_ids(journey):
        journey.sandbox.change_contact(each, jobtitle="Countess")
    journey.stage()
    with pytest.raises(StoppedEarly, match="were put back"):
        run(journey)
    assert run(journey).updated == len(hubspot_ids(journey)) - 1
    for lead in journey.sandbox.leads():
        assert lead["title"] == "Countess"
        rest = {"title", "updatedAt"}
        assert {k: v for k, v in lead.items() if k not in rest} == {
            k: v for k, v in before[lead["id"]].items() if k not in rest
        }
