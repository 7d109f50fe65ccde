"""A single person taken out of the ledger: nothing of them is left, and nothing comes in again."""

import sqlite3
from contextlib import closing
from functools import partial

import pytest

from migrator.errors import ExitCode
from migrator.ledger import Ledger
from tests.integration.test_query_plans import read_whole
from tests.support.inprocess_cli import PUSH, SETTLE, VERIFY, InProcessCli
from tests.support.journeys import asked_of_sqlite, contact

UNDO = f"undo --yes --rate max --settle {SETTLE} --timeout 2 --retry-for 0"
SECRETS = ("Lovelace-Byron", "augusta.ada@x.example", "+44 20 7946 0018")


@pytest.fixture
def shell(empty: InProcessCli) -> InProcessCli:
    """Three contacts were sent; the second one is the person."""
    sandbox = empty.sandbox
    sandbox.add_contact(contact(1, jobtitle="Analyst"), contact_id="1")
    name, email, phone = SECRETS
    sandbox.add_contact(
        {"firstname": "Ada", "lastname": name, "email": email, "phone": phone}, contact_id="2"
    )
    sandbox.add_contact(contact(3), contact_id="3")
    empty.stage()
    assert empty.type(PUSH).code == 0
    return empty


def erase_in_both(shell: InProcessCli) -> None:
    """The person is erased in HubSpot, and the lead taken back."""
    shell.sandbox.erase_contact("2")
    assert shell.type("stage").code == 0
    assert shell.type(f"{UNDO} --gone 2").code == 0


def files(shell: InProcessCli) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(shell.folder.glob("migrator.db*")))


def others(shell: InProcessCli) -> list[object]:
    """All that the ledger has of the others."""
    return [
        shell.ask("SELECT * FROM contact WHERE hubspot_id <> '2'"),
        shell.ask("SELECT * FROM attempt WHERE contact_key <> 2"),
    ]


def test_nothing_of_the_person_is_left_and_all_of_the_others(shell):
    shell.sandbox.change_contact("2", jobtitle="Countess")
    shell.type("stage")
    assert shell.type(f"update --yes --settle {SETTLE} --rate max").code == 0
    assert shell.ask("SELECT count(*) FROM attempt WHERE before IS NOT NULL") == [(1,)]
    erase_in_both(shell)
    assert all(secret.encode() in files(shell) for secret in SECRETS)
    before = others(shell)
    hashes = shell.ask("SELECT number, kind, payload_hash, outcome FROM attempt")
    done = shell.type("forget 2 --yes")
    assert (done.code, done.out) == (0, "1 contact forgotten\n"), done.err
    assert not [secret for secret in (*SECRETS, "Countess") if secret.encode() in files(shell)]
    assert others(shell) == before
    assert shell.ask("SELECT number, kind, payload_hash, outcome FROM attempt") == hashes
    assert shell.ask("SELECT state, held FROM contact WHERE key = 2") == [("mapped", "gone")]


def test_it_can_be_repeated_and_everything_else_goes_on(shell):
    erase_in_both(shell)
    shell.type("forget 2 --yes")
    assert shell.type("forget 2 --yes").out == "0 contacts forgotten\n"
    for words in ("show 2", "report", "stage", PUSH, f"verify --settle {SETTLE}"):
        assert shell.type(words).code == 0, words
    assert len(shell.sandbox.held) == 2


def test_its_lead_that_comes_back_is_to_be_deleted_and_asks_for_no_push(shell):
    ((lead_id,),) = shell.ask("SELECT lead_id FROM contact WHERE key = 2")
    erase_in_both(shell)
    assert shell.type("forget 2 --yes").code == 0
    shell.sandbox.restore_lead(lead_id)
    verify = f"verify --settle {SETTLE}"
    for words in (verify, PUSH, verify):
        done = shell.type(words)
        assert done.code == (1 if words == verify else 0)
    assert done.out.splitlines()[1:] == [
        f"lead {lead_id} is contact 2's, which was forgotten; delete it in LeadGenius"
    ]
    assert "migrator push" not in shell.type("report").out
    shell.sandbox.add_contact(contact(4), contact_id="4")
    assert shell.type("stage").code == 0
    assert "A push would send 1 lead" in shell.type("plan").out
    assert shell.type(PUSH).out == "1 posted\n"  # after a listing that showed it
    shell.sandbox.delete_lead(lead_id)
    assert shell.type(verify).code == 0
    assert shell.type("audit").code == 0


@pytest.mark.parametrize("how", ["lead", "open", "free"])
def test_not_yet(shell, how):
    following = "migrator undo 2"
    if how == "open":
        # From the delete on nothing can be listed, so it stays in doubt.
        cut = partial(shell.sandbox.outage, "/api/leads", method="GET")
        shell.sandbox.fault("delete:drop_after_saving", where=lambda lead: cut() is None)
        shell.type(f"{UNDO} 2")
        following = "migrator push --resume"
    if how == "free":
        shell.type(f"{UNDO} 2")
        shell.type("retry 2")
        following = "erase it in HubSpot, then migrator stage"
    held = files(shell)
    refused = shell.type("forget 2 --yes")
    assert refused.code == 4
    assert f"next: {following}" in refused.err
    assert all(secret.encode() in held for secret in SECRETS[:1])
    assert shell.ask("SELECT erased_ms FROM contact WHERE key = 2") == [(None,)]


def test_with_the_gone_option_where_hubspot_has_it_no_more(shell):
    shell.sandbox.erase_contact("2")
    shell.type("stage")
    assert "next: migrator undo --gone 2" in shell.type("forget 2 --yes").err


def test_all_or_none(shell):
    erase_in_both(shell)
    assert shell.type("forget 2 1 --yes").code == 4
    assert SECRETS[0].encode() in files(shell)


def test_the_records_that_were_merged_into_it_are_the_same_person(shell):
    """HubSpot makes a new record of two; the ledger still has what it read of both."""
    merged = shell.sandbox.merge_contacts("2", "3")
    shell.type("stage")
    shell.sandbox.erase_contact(merged)
    shell.type("stage")
    assert "next: migrator undo --gone 3" in shell.type(f"forget {merged} --yes").err
    assert shell.type(f"{UNDO} --gone").code == 0
    assert shell.type(f"forget {merged} --yes").out == "3 contacts forgotten\n"
    assert not [one for one in (*SECRETS, "ada3@") if one.encode() in files(shell)]


@pytest.fixture
def passed_on(shell: InProcessCli) -> InProcessCli:
    """Contact 4 waited with the e-mail of the person, and has the lead now."""
    shell.sandbox.add_contact(contact(4, email=SECRETS[1]), contact_id="4")
    shell.sandbox.erase_contact("2")
    shell.type("stage")
    assert shell.ask("SELECT state FROM contact WHERE hubspot_id = '4'") == [("posted",)]
    return shell


def test_nothing_of_the_person_is_left_with_the_contact_that_has_the_lead_now(passed_on):
    shell, (name, _, phone) = passed_on, SECRETS
    early = shell.type("forget 2 --yes")
    assert early.code == 4
    assert "next: migrator update 4, then migrator verify" in early.err
    shell.sandbox.change_contact("4", phone="+1 555 0100")
    shell.type("stage")
    assert shell.type(f"update 4 --yes --settle {SETTLE} --rate max").code == 0
    assert shell.type("forget 2 --yes").code == 4
    assert shell.type(VERIFY).code == 0
    assert shell.type("forget 2 --yes").code == 0
    assert not [one for one in (name, phone) if one.encode() in files(shell)]
    assert shell.type(f"audit --settle {SETTLE}").code == 0
    shell.ends_well()


def test_nothing_is_left_where_that_lead_was_taken_back(passed_on):
    shell, (name, _, phone) = passed_on, SECRETS
    assert "contact 4 has its lead now" in shell.type("show 2").out
    assert shell.type(f"{UNDO} 4").code == 0
    assert "contact 4 has its lead now" not in shell.type("show 2").out
    assert shell.type("forget 2 --yes").code == 0
    assert not [one for one in (name, phone) if one.encode() in files(shell)]
    assert shell.type(f"audit --settle {SETTLE}").code == 0
    assert shell.type("retry 4").code == 0
    shell.ends_well()
    assert [lead["lastName"] for lead in shell.sandbox.held if "/4]" in lead["notes"]] == ["No4"]


def test_the_last_ones_of_a_company_take_it_along(empty):
    company = empty.sandbox.add_company(name="Analytical Engines", domain="engines.example")
    for number in (1, 2, 3):
        empty.sandbox.add_contact(contact(number), [(company, "contact_to_company")], str(number))
    empty.stage()
    assert empty.type(PUSH).code == 0
    for named, is_there in [("1", True), ("2 3", False)]:
        assert empty.type(f"{UNDO} {named}").code == 0
        assert empty.type(f"forget {named} --yes").code == 0
        assert (b"Analytical" in files(empty)) is is_there


def test_however_many_are_taken_out_all_contacts_are_read_once(empty, monkeypatch):
    numbers = range(1, 5)
    for number in numbers:
        company = empty.sandbox.add_company(name=f"Engines {number}", domain=f"e{number}.example")
        empty.sandbox.add_contact(contact(number), [(company, "contact_to_company")], str(number))
    empty.stage()
    assert empty.type(PUSH).code == 0
    assert empty.type(f"{UNDO} --all").code == 0
    asked = asked_of_sqlite(monkeypatch)
    named = " ".join(map(str, numbers))
    assert empty.type(f"forget {named} --yes").code == 0
    asked = [sql for sql in asked if sql.startswith(("SELECT", "UPDATE", "DELETE"))]
    with closing(sqlite3.connect(empty.folder / "migrator.db")) as ledger:
        scans = {sql for sql in asked if "company" in sql and read_whole(ledger, sql)}
    assert len(scans) == 1
    assert b"Engines" not in files(empty)


@pytest.mark.parametrize("words", ["forget --yes", "forget 2 --yes"])
def test_who_works_on_the_ledger_is_asked_before_what_is_unfinished(shell, words):
    with Ledger.open_for_work(shell.folder / "migrator.db", creates=False):
        assert shell.type(words).code == ExitCode.BUSY


def test_a_forgotten_contact_is_said_to_be_and_has_no_next_command(shell):
    assert shell.type(f"{UNDO} 2").code == 0
    shell.type("forget 2 --yes")
    told = shell.type("show 2").out
    assert "personal data was erased" in told
    assert "retry" not in told
    assert "2 stays: it was forgotten, so it is never sent again" in shell.type("retry 2").out
    assert "contact 2 would not be sent: it was forgotten" in shell.type("plan 2").out


def test_it_is_asked_first(shell):
    erase_in_both(shell)
    assert shell.type("forget 2").code == 2
    assert SECRETS[0].encode() in files(shell)


def test_what_hubspot_gives_again_is_said_and_not_filled(shell):
    assert shell.type(f"{UNDO} 2").code == 0
    assert shell.type("forget 2 --yes").code == 0
    again = shell.type("stage")
    assert again.code == 0
    assert "1 contact forgotten, but still in HubSpot" in again.out
    shell.sandbox.change_contact("2", lastname="Lovelace-King")
    for words in ("stage", "retry --reason undone", "retry 2", PUSH):
        shell.type(words)
    assert b"Lovelace" not in files(shell)
    assert len(shell.sandbox.held) == 2
    assert shell.ask("SELECT source, lead, email_key FROM contact WHERE key = 2") == [
        ("{}", "{}", "")
    ]


def test_a_new_mapping_leaves_the_person_out(shell, tmp_path):
    assert shell.type(f"{UNDO} 2").code == 0
    shell.type("forget 2 --yes")
    mapping = shell.type("mapping").out.replace("jobtitle", "job_function")
    (tmp_path / "mine.toml").write_text(mapping)
    shell.type("stage --mapping mine.toml")
    assert shell.ask("SELECT state, held, source FROM contact WHERE key = 2") == [
        ("mapped", "undone", "{}")
    ]


def test_a_lead_that_arrives_late_is_not_the_person_s(shell):
    erase_in_both(shell)
    shell.type("forget 2 --yes")
    line = f"[HubSpot record: {shell.sandbox.portal_id}/2]"
    shell.sandbox.add_lead({"firstName": "Ada", "lastName": "L", "notes": f"Hello\n{line}"})
    shell.sandbox.add_contact(contact(4), contact_id="4")
    shell.type("stage")
    assert shell.type(PUSH).code == 0
    assert shell.ask("SELECT lead_id FROM contact WHERE key = 2") == [(None,)]
