"""An update writes no lead that it saw more than a minute ago; on a simulated clock."""

from migrator.counters import UpdateCounters
from migrator.verify import VerifyResult
from tests.support.simulation import PAGE, Habits, World, world

# A page and two of its leads take longer than a look lasts.
SLOW = 2.0


def moved(at: World) -> list[str]:
    """Move all contacts, and let all change at HubSpot since; their leads, in order."""
    at.stage()
    at.push()
    assert isinstance(at.verify(), VerifyResult)
    for one in list(at.sandbox.expected()):
        at.sandbox.change_contact(one.contact_id, jobtitle="Countess")
    at.stage()
    return [lead["id"] for lead in at.sandbox.leads()]


def updated(at: World) -> UpdateCounters:
    done = at.update(per_minute=SLOW)
    assert isinstance(done, UpdateCounters), done
    return done


def test_a_lead_is_seen_again_before_it_is_written_a_minute_later():
    with world(Habits(contacts=PAGE)) as slow:
        leads = moved(slow)
        assert updated(slow).updated == len(leads)
        assert slow.sandbox.verdict().edits.blind_writes == []


def test_what_was_edited_while_it_waited_is_a_conflict():
    with world(Habits(contacts=PAGE)) as slow:
        leads = moved(slow)
        # After the first write, and long before the next one.
        slow.when("answered", 1, lambda: edit(slow, leads))
        done = updated(slow)
        assert (done.updated, done.conflicts) == (1, len(leads) - 1)
        assert slow.sandbox.verdict().edits.overwritten == []
        assert [lead["title"] for lead in slow.sandbox.leads()] == ["Boss"] * len(leads)


def edit(at: World, leads: list[str]) -> None:
    for lead_id in leads:
        at.sandbox.change_lead(lead_id, title="Boss")
