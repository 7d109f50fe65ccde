"""The story of one contact: found however it is named, told whole, and harmless to a terminal."""

import json
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from migrator.errors import LedgerError, UsageError
from migrator.ledger import Intent, Ledger, lookup
from migrator.report.labels import COMPANY_RULES, MADE_UP, OUTCOMES
from migrator.sandbox.contacts import UNLABELED
from migrator.states import Outcome
from tests.support.inprocess_cli import PUSH, RESUME, VERIFY, InProcessCli, stops
from tests.support.journeys import contact


def told(shell: InProcessCli, *words: str) -> dict[str, Any]:
    """The story of the only contact that the words name."""
    done = shell.type(["show", "--json", *words])
    assert done.code == 0, done.err
    lookup = json.loads(done.out)
    assert lookup["found"] == 1
    story: dict[str, Any] = lookup["contacts"][0]
    return story


def flat(text: str) -> str:
    return " ".join(text.split())


# Finding


@pytest.mark.parametrize(
    "named", ["2", " 2 ", "ada2@x.example", " ADA2@X.example ", "ada2\u200b@x.example"]
)
def test_a_contact_is_found_however_it_is_named(three, named):
    assert told(three, named)["contact"] == "2"


@pytest.mark.parametrize(
    "email",
    [
        "Ada at x@",
        "ADA@@x.example",
        "Ädä@@x.example",
        'a"d@a@x',
        "a\\@b@c",
        "a!b@@c",
        "a\x7fda@@x.example",
    ],
)
def test_a_contact_without_a_lead_is_found_by_the_email_that_hubspot_has(empty, email):
    for number in range(3):
        empty.sandbox.add_contact(contact(number))
    empty.sandbox.add_contact({"email": email}, contact_id="77")
    assert empty.type("stage").code == 0
    assert told(empty, email.swapcase().replace("\x7f", ""))["contact"] == "77"


def test_a_search_goes_through_all_contacts(empty, monkeypatch):
    monkeypatch.setattr(lookup, "READ_AT_ONCE", 2)
    for _ in range(7):
        empty.sandbox.add_contact({"email": "ada@@x.example"})
    assert empty.type("stage").code == 0
    assert json.loads(empty.type("show --json ADA@@x.example").out)["found"] == 7
    read: list[str] = []

    def key(text: str) -> str:
        read.append(text)
        return text

    with Ledger.open_read_only(empty.folder / "migrator.db") as ledger:
        assert len(ledger.lookup.find("ada@@x.example", key)) == 7
    assert read == ["ada@@x.example"] * 8  # the one that is looked for, and each contact's once


@pytest.mark.parametrize(
    "named", ["%", "_", "ada_@x.example", "ada%", "@x.example", "99", "", "\udcff"]
)
def test_what_nobody_is_called_is_an_error_that_names_it(three, named):
    done = three.type(["show", "--", named])
    stops(done, UsageError.exit_code, "No contact in the ledger", "migrator stage")
    assert done.out == ""


def test_of_several_with_one_email_the_one_to_be_sent_is_told_first(empty):
    for hubspot_id in ("1", "2", "3"):
        empty.sandbox.add_contact(contact(1), contact_id=hubspot_id)
    assert empty.type("stage").code == 0
    lookup = json.loads(empty.type("show --json ada1@x.example").out)
    assert [one["contact"] for one in lookup["contacts"]] == ["1", "2", "3"]
    assert lookup["contacts"][1]["same_email"]["contacts"] == 2
    page = flat(empty.type("show ADA1@x.example").out)
    assert "3 contacts are found by this e-mail; all of them:" in page
    assert "same e-mail contact 1 (mapped)" in page


def test_of_very_many_with_one_email_some_are_told(empty):
    for _ in range(9):
        empty.sandbox.add_contact(contact(1))
    assert empty.type("stage").code == 0
    lookup = json.loads(empty.type("show --json ada1@x.example").out)
    assert (lookup["found"], len(lookup["contacts"])) == (9, 5)
    page = empty.type("show ada1@x.example").out
    assert "the first of them" in page
    assert "and 3 more contacts" in page


# Telling


def test_a_lead_is_told_with_what_was_made_up_and_from_what(empty):
    firm = empty.sandbox.add_company("5", name=None, domain="navy.example", industry="SEA")
    empty.sandbox.add_contact({"email": "grace@navy.example"}, [(firm, UNLABELED)], contact_id="1")
    assert empty.type("stage").code == 0
    story = told(empty, "1")
    assert story["source"]["email"] == "grace@navy.example"
    assert (story["company"]["id"], story["company"]["rule"]) == ("5", "first")
    assert story["lead"]["companyUrl"] == "navy.example"
    assert story["made_up"] == [
        "first_name_from_email",
        "last_name_dash",
        "company_name_from_email",
    ]
    page = flat(empty.type("show 1").out)
    assert "firstName Grace (derived from the e-mail)" in page
    assert "companyName Navy (guessed from the e-mail's domain)" in page
    assert "5 (HubSpot lists no primary one; the first of its companies)" in page


def test_each_send_is_told_with_its_answer(three):
    three.sandbox.fault("refuse")
    assert three.type(f"{PUSH} --limit 1").code == 1
    assert three.type("retry 1").code == 0
    assert three.type(PUSH).code == 0
    first, second = told(three, "1")["attempts"]
    assert (first["outcome"], first["status"]) == ("refused", 400)
    assert "invalid_format" in first["answer"]
    assert (second["outcome"], second["number"]) == ("created", 2)
    assert second["lead_id"] == told(three, "1")["lead_id"]
    page = flat(three.type("show 1").out)
    assert "refused by LeadGenius: nothing was done" in page
    assert "invalid_format" in page


def test_the_history_goes_from_birth_to_where_it_stands(three):
    for words in (PUSH, VERIFY):
        assert three.type(words).code == 0
    history = [(one["from"], one["to"]) for one in told(three, "1")["history"]]
    states = [None, "extracted", "mapped", "posted", "verified"]
    assert history == list(pairwise(states))
    assert "posted → verified" in three.type("show 1").out


def test_what_holds_a_contact_is_told_with_what_to_do(three):
    three.sandbox.add_lead({"email": "ada1@x.example"})
    three.sandbox.give_lead_ids("theirs")
    assert three.type(PUSH).code == 0
    story = told(three, "1")
    assert story["held"] == "already_in_destination"
    assert story["same_email"]["lead"] in story["detail"]
    page = flat(three.type("show 1").out)
    assert "LeadGenius has a lead with this e-mail." in page
    assert "`migrator retry --reason already_in_destination`" in page
    assert "not sent by this ledger" in page


def test_what_changed_after_it_was_posted_is_told(three):
    assert three.type(PUSH).code == 0
    three.sandbox.change_contact("1", jobtitle="Countess")
    assert three.type("stage").code == 0
    assert told(three, "1")["changed_after_posting"]
    assert "HubSpot differs, last seen to change" in three.type("show 1").out
    assert told(three, "2")["changed_after_posting"] is None


def test_what_was_edited_after_it_was_verified_is_told(three):
    assert three.type(PUSH).code == 0
    assert three.type(VERIFY).code == 0
    [(lead_id,)] = three.ask("SELECT lead_id FROM contact WHERE hubspot_id = '1'")
    three.sandbox._store.change(lead_id, {"firstName": "Eva", "notes": "mine"})
    edited = three.type(VERIFY)
    assert (edited.code, "1 contact edited in LeadGenius" in edited.out) == (0, True)
    assert told(three, "1")["edited_after_verifying"] == ["firstName", "notes"]
    assert "in LeadGenius since it was verified: firstName, notes" in flat(three.type("show 1").out)
    assert told(three, "2")["edited_after_verifying"] == []


def test_which_leads_a_doubled_contact_has_is_told(three):
    assert three.type(PUSH).code == 0
    [(lead_id,)] = three.ask("SELECT lead_id FROM contact WHERE hubspot_id = '1'")
    again = three.sandbox.add_lead({"email": "ada1@x.example"})
    assert three.type(VERIFY).code == 1
    story = told(three, "1")
    assert (story["state"], story["held"]) == ("verified", "doubled")
    assert story["detail"] == f"lead {lead_id} is the one to keep; there too: {again}"


def test_a_send_of_a_push_at_work_is_told_from_one_in_doubt(three):
    path = three.folder / "migrator.db"
    with Ledger.open_for_work(path) as ledger:
        ledger.attempts.record_intents(ledger.runs.begin_run("push"), [Intent(1, "0" * 64)])
        assert "a push is running" in flat(three.type("show 1").out)
        assert told(three, "1")["in_doubt"]
    page = flat(three.type("show 1").out)
    assert "a push is running" not in page
    assert "`migrator push --resume` checks before" in page
    assert three.type(f"{RESUME} --take-over").code == 0
    assert not told(three, "1")["in_doubt"]
    assert "a complete listing showed that it was not done" in flat(three.type("show 1").out)


def test_an_amendment_and_the_mapping_are_told(three):
    with Ledger.open_for_work(three.folder / "migrator.db") as ledger, ledger.transaction():
        run = ledger._database.run
        run("INSERT INTO mapping (id, hash, text) VALUES (9, :hash, '')", {"hash": "abc123" * 10})
        run("UPDATE contact SET mapping = 9, amended = :json", {"json": '{"firstname": "Augusta"}'})
    story = told(three, "1")
    assert story["amended"] == {"firstname": "Augusta"}
    assert story["mapping"] == "abc123" * 10
    page = flat(three.type("show 1").out)
    assert "amended firstname Augusta" in page
    assert "mapping abc123abc123 " in page


def test_every_word_that_the_ledger_can_hold_is_explained():
    schema = (Path(lookup.__file__).parent.parent / "schema.sql").read_text(encoding="utf-8")
    assert set(OUTCOMES) == {None, *Outcome}
    assert all(f"'{rule}'" in schema for rule in COMPANY_RULES)
    assert len(MADE_UP) == 6


# What is left, and what must not be shown


def test_of_a_forgotten_contact_the_proof_is_told(three):
    for words in (PUSH, VERIFY, "forget --yes"):
        assert three.type(words).code == 0
    done = three.type("show 1")
    assert "personal data was erased; what follows is the evidence" in flat(done.out)
    assert "answered with the new lead's id" in done.out
    assert "same e-mail" not in done.out
    assert told(three, "1")["lead_id"]
    stops(three.type("show ada1@x.example"), UsageError.exit_code, "contains no e-mails any more")


def test_nothing_in_a_story_steers_a_terminal_or_is_lost_to_a_machine(empty):
    evil = "a\x1b[31m\u202eb\rc"
    empty.sandbox.add_contact(
        {"email": "x@@y", "firstname": evil, "jobtitle": "[bold]"}, contact_id="1"
    )
    assert empty.type("stage").code == 0
    page = empty.type("show 1").out
    assert all(char.isprintable() or char == "\n" for char in page)
    assert "[bold]" in page
    assert told(empty, "1")["source"]["firstname"] == evil


def test_without_a_ledger_stage_comes_first(empty):
    stops(empty.type("show 1"), LedgerError.exit_code, "migrator stage")


def test_a_text_that_rots_is_named_and_not_shown(three):
    with closing(sqlite3.connect(three.folder / "migrator.db")) as db, db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute('UPDATE contact SET source = \'{"id": "hunter2\' WHERE key = 1')
    done = three.type("show 1")
    stops(done, LedgerError.exit_code, "damaged")
    assert "hunter2" not in done.err
