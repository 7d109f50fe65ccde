"""The first updates of a ledger, when processes die or people act before they were read back."""

from typing import Any

import pytest

from migrator.errors import StoppedEarly
from migrator.update import trial
from tests.integration.test_update import hubspot_ids, lead_of, puts, run
from tests.support.journeys import Journey


@pytest.fixture
def replacing(sandbox, ledger):
    """A journey whose service empties what an update does not name; all leads are to change."""
    journey = Journey(sandbox(contacts=12, quirks=["replacing_update"]), ledger)
    journey.stage()
    journey.push()
    journey.verify()
    for each in hubspot_ids(journey):
        journey.sandbox.change_contact(each, jobtitle="Countess")
    journey.stage()
    return journey


def first_lead(journey: Journey) -> dict[str, Any]:
    """The lead that was updated first."""
    ((lead_id,),) = journey.ask("SELECT DISTINCT lead_id FROM attempt WHERE kind = 'update'")
    return next(one for one in journey.sandbox.leads() if one["id"] == lead_id)


def die_after_the_first(journey: Journey, patch: pytest.MonkeyPatch) -> None:
    """Die when the first update was taken, before it is read back."""

    def die(*about: Any) -> None:
        raise KeyboardInterrupt

    with patch.context() as now:
        now.setattr(trial, "_read_back", die)
        with pytest.raises(KeyboardInterrupt):
            run(journey)
    assert puts(journey) == 1


def test_a_lead_that_was_deleted_before_it_was_read_back_proves_nothing(replacing, monkeypatch):
    die_after_the_first(replacing, monkeypatch)
    replacing.sandbox.delete_lead(first_lead(replacing)["id"])
    before = {one["id"]: one for one in replacing.sandbox.leads()}
    with pytest.raises(StoppedEarly, match="were put back"):
        run(replacing)
    run(replacing)
    for lead in replacing.sandbox.leads():
        assert before[lead["id"]].keys() <= lead.keys() | {"updatedAt"}
        assert lead["title"] == "Countess"


def test_a_first_update_that_a_person_took_back_does_not_stop_all_others(replacing, monkeypatch):
    was = {one["id"]: one for one in replacing.sandbox.leads()}
    die_after_the_first(replacing, monkeypatch)
    first = first_lead(replacing)["id"]
    replacing.sandbox.change_lead(first, **was[first])
    with pytest.raises(StoppedEarly, match="were put back"):
        run(replacing)
    assert run(replacing).updated == len(hubspot_ids(replacing)) - 2


def test_what_a_person_empties_after_it_was_put_back_stays_empty(replacing):
    with pytest.raises(StoppedEarly, match="were put back"):
        run(replacing)
    lead = first_lead(replacing)
    replacing.sandbox.change_lead(lead["id"], companyName="")
    run(replacing)
    (now,) = [one for one in replacing.sandbox.leads() if one["id"] == lead["id"]]
    assert not now.get("companyName")


def test_a_first_update_that_hubspot_takes_back_is_no_update_that_changed_nothing(sandbox, ledger):
    journey = Journey(sandbox(contacts=12, quirks=["replacing_update"]), ledger)
    journey.stage()
    journey.push()
    journey.verify()
    one = next(each for each in hubspot_ids(journey) if lead_of(journey, each).get("title"))
    was = lead_of(journey, one)["title"]
    journey.sandbox.change_contact(one, jobtitle="Countess")
    journey.stage()
    with pytest.raises(StoppedEarly, match="were put back"):
        run(journey)
    journey.sandbox.change_contact(one, jobtitle=was)
    journey.stage()
    assert run(journey).updated == 1
    assert lead_of(journey, one)["title"] == was
