"""A mapping put in force: what it maps anew, what it leaves alone, and what it asks HubSpot for."""

import sqlite3
from contextlib import closing

import pytest

from benchmarks.judge import judge_ledger, posts
from migrator.errors import Interrupted, LedgerError
from migrator.ledger import Amendment, AttemptResult, Intent, mappings
from migrator.mapping import DEFAULT, parse
from migrator.states import Hold, Outcome
from tests.integration.test_stage import (
    PRIMARY,
    StopAfter,
    contact_pages,
    page_by_page,
    row,
    standing,
)
from tests.support.journeys import Journey, contact

__all__ = ["page_by_page"]  # a fixture that is used by its name

LEAST = '[fields]\nfirstName = "firstname"\nlastName = "lastname"\nemail = "email"\n'
TITLED = parse(f'{LEAST}title = "role"')  # asks for a property that the guide does not
NARROW = parse(f'{LEAST}title = "jobtitle"')  # asks for nothing that the guide does not


@pytest.fixture
def journey(sandbox, ledger) -> Journey:
    return Journey(sandbox(contacts=0), ledger)


def lead(journey: Journey, hubspot_id: str) -> dict[str, str]:
    found: dict[str, str] = row(journey, hubspot_id)["lead"]
    return found


def built_by(journey: Journey, hubspot_id: str) -> str | None:
    found = journey.ask(
        "SELECT hash FROM contact LEFT JOIN mapping ON mapping.id = contact.mapping "
        f"WHERE hubspot_id = '{hubspot_id}'"
    )
    return None if found[0][0] is None else str(found[0][0])


def asked_for(journey: Journey) -> set[str]:
    return set(contact_pages(journey.sandbox)[-1].query["properties"].split(","))


def leave_in_doubt(journey: Journey) -> int:
    """The only sendable contact is sent, and nobody knows what came of it."""
    (one,) = journey.ledger.sendable.untried(9)
    run = journey.ledger.runs.begin_run("push")
    journey.ledger.attempts.record_intents(run, [Intent(one.key, "0" * 64)])
    return one.key


def write(journey: Journey, sql: str) -> None:
    with closing(sqlite3.connect(journey.ledger.path)) as connection, connection:
        connection.execute(sql)


# What is mapped anew ---------------------------------------------------------------------------


def test_the_guides_mapping_is_in_force_where_nobody_chose(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    assert journey.ledger.mappings.active().hash == DEFAULT.hash
    assert built_by(journey, ada) == DEFAULT.hash


def test_what_is_not_posted_is_mapped_anew(journey):
    ada = journey.sandbox.add_contact(contact(1, role="Countess"))
    journey.stage()
    counters = journey.stage(TITLED)
    assert (counters.withdrawn, counters.changed, counters.mapped) == (1, 0, 1)
    assert lead(journey, ada)["title"] == "Countess"
    assert "companyName" not in lead(journey, ada)
    assert built_by(journey, ada) == TITLED.hash


def test_a_mapping_stays_in_force_until_another_one_is_put_there(journey):
    ada = journey.sandbox.add_contact(contact(1, role="Countess"))
    journey.stage(TITLED)
    assert journey.stage().withdrawn == 0
    bob = journey.sandbox.add_contact(contact(2, role="Engineer"))
    journey.stage()
    assert [lead(journey, one)["title"] for one in (ada, bob)] == ["Countess", "Engineer"]
    assert journey.stage(DEFAULT).withdrawn == 2
    assert "title" not in lead(journey, ada)


def test_equal_rules_change_nothing_and_the_newest_text_is_kept(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage(TITLED)
    before = journey.ask("SELECT count(*) FROM event")
    commented = parse(f"# mine\n{TITLED.text}")
    assert journey.stage(commented).withdrawn == 0
    assert journey.ask("SELECT count(*) FROM event") == before
    assert journey.ledger.mappings.active().text == commented.text
    assert standing(journey, ada) == ("mapped", None)


@pytest.mark.parametrize("email", [None, "nobody"])
def test_a_contact_without_an_email_is_judged_by_the_new_rules(journey, email):
    # Both read this property, so nothing of the contact seems to have changed.
    ada = journey.sandbox.add_contact({**contact(1), "email": email, "jobtitle": "ada@x.example"})
    journey.stage()
    assert standing(journey, ada)[0] == "extracted"
    counters = journey.stage(parse(LEAST.replace('"email"', '["jobtitle", "email"]')))
    assert (counters.withdrawn, counters.changed) == (1, 0)
    assert lead(journey, ada)["email"] == "ada@x.example"


@pytest.mark.parametrize("held", [Hold.REFUSED, Hold.GAVE_UP, Hold.ALREADY_IN_DESTINATION])
def test_a_hold_that_the_old_lead_came_to_is_lifted(journey, held):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    journey.ledger.holds.hold(1, held, "why")
    assert journey.stage().withdrawn == 0
    assert standing(journey, ada) == ("mapped", held)
    journey.stage(NARROW)
    assert standing(journey, ada) == ("mapped", None)


def test_attempts_at_the_old_lead_count_no_more(journey):
    journey.sandbox.add_contact(contact(1))
    journey.stage()
    key = leave_in_doubt(journey)
    journey.ledger.attempts.record_results([AttemptResult(key, Outcome.REFUSED, 422, "no")])
    journey.stage(NARROW)
    assert journey.ask("SELECT attempts_reset_at FROM contact") == [(1,)]
    assert journey.push(is_taken_over=True).posted == 1
    judge_ledger(journey.sandbox, journey.ledger.path)


def test_of_two_contacts_with_one_email_the_first_stays_the_first(journey):
    first, second = (
        journey.sandbox.add_contact(contact(number, email="one@x.example")) for number in (1, 2)
    )
    journey.stage()
    assert journey.stage(NARROW).withdrawn == 2
    assert standing(journey, first) == ("mapped", None)
    assert standing(journey, second) == ("mapped", "duplicate_email")


# What was sent ---------------------------------------------------------------------------------


def test_what_is_posted_stays_as_it_was_sent_and_is_counted(journey):
    ada = journey.sandbox.add_contact(contact(1, role="Countess"))
    journey.stage()
    journey.push()
    before = row(journey, ada)
    bob = journey.sandbox.add_contact(contact(2))
    journey.stage(TITLED)
    assert row(journey, ada) == before
    assert journey.ledger.mappings.sent_with_other(3) == (1, [ada])
    journey.push()
    assert journey.ledger.mappings.sent_with_other(3) == (1, [ada])
    assert len(posts(journey.sandbox)) == 2
    assert journey.verify().verified == 2
    assert built_by(journey, bob) == TITLED.hash
    judge_ledger(journey.sandbox, journey.ledger.path)


def test_a_change_in_hubspot_is_seen_by_the_rules_that_built_what_was_sent(journey):
    firm = journey.sandbox.add_company(name="Engines")
    ada = journey.sandbox.add_contact(contact(1, jobtitle="Engineer"), [(firm, PRIMARY)])
    journey.stage()
    journey.push()
    assert journey.stage(TITLED).changed_since_sent == 0
    assert row(journey, ada)["changed_ms"] is None
    journey.sandbox.change_contact(ada, jobtitle="Countess")  # the new rules do not read it
    assert journey.stage().changed_since_sent == 1
    assert row(journey, ada)["changed_ms"] is not None


def test_a_contact_in_doubt_stands_still_while_the_mapping_changes(journey):
    ada = journey.sandbox.add_contact(contact(1, role="Countess"))
    journey.stage()
    leave_in_doubt(journey)
    before = row(journey, ada)
    assert journey.stage(TITLED).withdrawn == 0
    assert row(journey, ada) == before
    assert built_by(journey, ada) == DEFAULT.hash


def test_a_doubt_that_is_found_was_posted_under_its_own_mapping(journey):
    ada = journey.sandbox.add_contact(contact(1))
    journey.stage()
    key = leave_in_doubt(journey)
    journey.stage(TITLED)
    journey.ledger.attempts.record_results([AttemptResult(key, Outcome.FOUND, lead_id="L1")])
    assert standing(journey, ada) == ("posted", None)
    assert journey.ledger.mappings.sent_with_other(3) == (1, [ada])


def test_a_doubt_that_is_absent_is_not_sent_by_rules_that_were_given_up(journey):
    ada = journey.sandbox.add_contact(contact(1, role="Countess"))
    journey.stage()
    leave_in_doubt(journey)
    journey.stage(TITLED)
    assert journey.push(is_taken_over=True).posted == 0
    assert standing(journey, ada) == ("extracted", None)
    assert journey.stage().mapped == 1
    assert journey.push().posted == 1
    (sent,) = posts(journey.sandbox)
    assert sent.lead["title"] == "Countess"
    judge_ledger(journey.sandbox, journey.ledger.path)


def test_a_doubt_that_is_absent_is_sent_again_where_its_mapping_is_in_force(journey):
    journey.sandbox.add_contact(contact(1))
    journey.stage(TITLED)
    leave_in_doubt(journey)
    assert journey.push(is_taken_over=True).posted == 1


def test_a_missing_lead_that_is_to_be_sent_again_is_mapped_anew(journey):
    ada = journey.sandbox.add_contact(contact(1, role="Countess"))
    journey.stage()
    journey.push()
    journey.sandbox.delete_lead(journey.sandbox.held[0]["id"])
    journey.verify()
    journey.stage(TITLED)
    journey.ledger.holds.release(Hold.MISSING, None)
    assert standing(journey, ada) == ("extracted", None)
    assert not journey.ledger.runs.checkpoint("extraction").complete
    assert journey.push().posted == 0
    assert journey.stage().mapped == 1
    assert lead(journey, ada)["title"] == "Countess"


def test_a_doubt_that_ends_while_pages_are_read_is_mapped_of_what_was_read_since(journey):
    ada = journey.sandbox.add_contact(contact(1, role="Countess"))
    for number in range(2, 102):
        journey.sandbox.add_contact(contact(number))
    journey.stage()
    key = journey.ledger.sendable.untried(1)[0].key
    journey.ledger.attempts.record_intents(
        journey.ledger.runs.begin_run("push"), [Intent(key, "0" * 64)]
    )
    with pytest.raises(Interrupted):
        journey.stage(TITLED, check=StopAfter(1))
    journey.ledger.attempts.record_results([AttemptResult(key, Outcome.ABSENT)])
    journey.stage()
    assert lead(journey, ada)["title"] == "Countess"


def created_as_anothers(journey: Journey) -> str:
    """A second contact's send ended well, with the lead that the first one has already."""
    journey.sandbox.add_contact(contact(1))
    journey.stage()
    journey.push()
    bob = journey.sandbox.add_contact(contact(2, jobtitle="Engineer"))
    journey.stage()
    key = leave_in_doubt(journey)
    lead_id = journey.sandbox.held[0]["id"]
    journey.ledger.attempts.record_results(
        [AttemptResult(key, Outcome.CREATED, 201, lead_id=lead_id)]
    )
    return bob


def test_what_led_to_another_contacts_lead_is_not_sent_again_by_another_mapping(journey):
    bob = created_as_anothers(journey)
    before = row(journey, bob)
    counters = journey.stage(TITLED)
    assert (counters.withdrawn, counters.changed_since_sent) == (0, 0)
    assert row(journey, bob) == before
    assert journey.push().posted == 0
    journey.ledger.holds.release(Hold.ALREADY_IN_DESTINATION, [bob])
    assert standing(journey, bob) == ("extracted", None)


def test_what_led_to_another_contacts_lead_stands_still_when_it_changes_in_hubspot(journey):
    bob = created_as_anothers(journey)
    journey.sandbox.change_contact(bob, jobtitle="Countess")
    counters = journey.stage()
    assert (counters.changed, counters.changed_since_sent) == (0, 1)
    assert standing(journey, bob) == ("mapped", "already_in_destination")
    assert journey.push().posted == 0
    journey.ledger.contacts.reset_to_extracted([bob])
    assert standing(journey, bob) == ("mapped", "already_in_destination")


def test_an_amendment_that_the_mapping_does_not_heed_is_counted_and_named(journey):
    for number in range(5):
        journey.sandbox.add_contact(contact(number, jobtitle=f"a{number}@x.example"))
    journey.stage()
    ids = [one for (one,) in journey.ask("SELECT hubspot_id FROM contact ORDER BY key")]
    amended = [Amendment(one, {"email": f"b{one}@x.example"}) for one in ids[:4]]
    journey.ledger.amendments.write(amended)
    assert journey.stage().ineffective == 0
    counters = journey.stage(parse(LEAST.replace('"email"', '["jobtitle", "email"]')))
    assert (counters.ineffective, counters.ineffective_examples) == (4, ids[:3])


# What HubSpot is asked for ---------------------------------------------------------------------


def test_a_property_that_is_new_is_asked_for_from_the_first_page_on(sandbox, ledger):
    journey = Journey(sandbox(contacts=250), ledger)
    with pytest.raises(Interrupted):
        journey.stage(check=StopAfter(1))
    before = len(contact_pages(journey.sandbox))
    journey.stage(TITLED)
    pages = contact_pages(journey.sandbox)[before:]
    assert "after" not in pages[0].query
    assert all("role" in one.query["properties"] for one in pages)
    assert journey.ask("SELECT count(*) FROM contact WHERE state = 'extracted'") != [(250,)]


@pytest.mark.usefixtures("page_by_page")
def test_no_page_is_read_again_for_properties_that_every_page_has(sandbox, ledger):
    journey = Journey(sandbox(contacts=250), ledger)
    with pytest.raises(Interrupted):
        journey.stage(check=StopAfter(1))
    before = len(contact_pages(journey.sandbox))
    journey.stage(NARROW)
    assert "after" in contact_pages(journey.sandbox)[before].query


def test_a_property_of_companies_that_is_new_is_fetched_for_all_of_them(journey):
    firm = journey.sandbox.add_company(name="Engines", motto="Steam!")
    ada = journey.sandbox.add_contact(contact(1), [(firm, PRIMARY)])
    journey.stage()
    journey.stage(parse(f'{LEAST}title = "company.motto"'))
    assert lead(journey, ada)["title"] == "Steam!"


def test_only_what_a_rule_in_use_reads_is_asked_for(journey):
    journey.sandbox.add_contact(contact(1))
    journey.stage(TITLED)
    wanted = {"firstname", "lastname", "email", "role", "associatedcompanyid"}
    wanted |= {"hs_merged_object_ids"}
    assert asked_for(journey) == wanted
    journey.push()
    journey.stage(NARROW)
    assert asked_for(journey) == wanted | {"jobtitle"}  # what was sent is still watched


# Stopped in the middle, and older ledgers ------------------------------------------------------


def test_whoever_is_stopped_while_leads_are_taken_back_sends_none_of_either(
    journey, ledger, monkeypatch
):
    monkeypatch.setattr(mappings, "WITHDRAWN_AT_ONCE", 2)
    for number in range(5):
        journey.sandbox.add_contact(contact(number, role="Countess"))
    journey.stage()
    with pytest.raises(Interrupted):
        journey.stage(TITLED, check=StopAfter(2))
    assert ledger.mappings.active().hash == DEFAULT.hash
    (waiting,) = journey.ask("SELECT count(*) FROM contact WHERE state = 'extracted'")[0]
    assert 0 < waiting < 5
    journey.stage(TITLED)
    assert {one.lead["title"] for one in ledger.sendable.untried(9)} == {"Countess"}
    assert journey.push().posted == 5
    judge_ledger(journey.sandbox, ledger.path)


def test_a_mapping_that_rots_in_the_ledger_is_named(journey):
    journey.stage(TITLED)
    write(journey, "UPDATE mapping SET text = 'x'")
    with pytest.raises(LedgerError, match=r"cannot be used: it is not valid TOML"):
        journey.stage()


def test_a_lead_that_has_other_fields_is_verified_field_by_field(journey):
    ada = journey.sandbox.add_contact(contact(1, web="https://x.example/ada"))
    journey.stage(parse(f'{LEAST}linkedinUrl = "web"'))
    journey.push()
    lead_id, sent = journey.sandbox.held[0]["id"], journey.sandbox.held[0]["linkedinUrl"]
    journey.sandbox.change_lead(lead_id, linkedinUrl="https://x.example/bob")
    assert journey.verify().different == 1
    assert row(journey, ada)["detail"] == '"linkedinUrl"'
    journey.sandbox.change_lead(lead_id, linkedinUrl=sent)
    assert journey.verify().verified == 1
