"""
Very many contacts with one e-mail: one lead, and nothing that grows with their square.

By hand, for a hundred thousand: `python -m benchmarks.one_email --contacts 100000`.
"""

import sqlite3

import pytest

from migrator.ledger import LeadIdentity, Ledger
from tests.support.inprocess_cli import PUSH, VERIFY, InProcessCli

MANY = 1_000


@pytest.fixture
def shared(sandbox, tmp_path, monkeypatch, capsys):
    shell = InProcessCli(tmp_path, sandbox(contacts=0), monkeypatch, capsys)
    for number in range(MANY):
        email = "info@shared.example" if number % 2 else " INFO@Shared.example "
        shell.sandbox.add_contact({"firstname": f"A{number}", "email": email})
    assert shell.type("stage").code == 0
    return shell


def test_exactly_one_of_them_is_posted_and_the_others_name_it(shared):
    assert shared.type(PUSH).code == 0
    assert shared.type(VERIFY).code == 0
    [(first,)] = shared.ask("SELECT hubspot_id FROM contact WHERE state = 'verified'")
    named = f"json_extract(detail, '$.contact') = '{first}'"
    assert shared.count(f"held = 'duplicate_email' AND {named}") == MANY - 1
    report = shared.type("report").out
    assert f"{MANY - 1:,}" in report
    assert f"contact {first} has the same e-mail" in report
    shared.ends_well()


def test_when_the_first_ones_email_changes_exactly_one_other_is_freed(shared):
    [(first,)] = shared.ask("SELECT hubspot_id FROM contact WHERE held IS NULL")
    shared.sandbox.change_contact(first, email="own@shared.example")
    assert shared.type("stage").code == 0
    assert shared.count("state = 'mapped' AND held IS NULL") == 2
    assert shared.count("held = 'duplicate_email'") == MANY - 2
    assert shared.type(PUSH).out.startswith("2 posted")
    shared.ends_well()


def test_no_question_about_an_email_walks_through_all_who_have_it(shared):
    """Counted in steps of SQLite, not in seconds: a scan of all of them takes thousands."""
    assert shared.type(PUSH).code == 0
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    with Ledger.open_for_work(shared.folder / "migrator.db") as ledger:
        connection = ledger._database._connection.connection.driver_connection
        assert isinstance(connection, sqlite3.Connection)
        connection.set_progress_handler(step, 100)
        stranger = LeadIdentity("lead", frozenset(), "info@shared.example")
        ledger.reconciliation.adopt([stranger])
        ledger.verification.owners([stranger])
        connection.set_progress_handler(None, 0)
    assert steps < 10


def test_spellings_of_one_address_are_one_lead_and_two_addresses_are_two(empty):
    one = ("<Ada@münchen.example>;", "mailto:ada@xn--mnchen-3ya.example", "ADA@MÜNCHEN.example")
    others = ("ada@straße.example", "ada@strasse.example")
    for email in (*one, *others):
        empty.sandbox.add_contact({"firstname": "Ada", "email": email})
    # somebody else's, sent with the marks around it
    empty.sandbox.add_lead(
        {
            "client_id": empty.sandbox.client_id,
            "firstName": "A",
            "lastName": "B",
            "email": "'ada@strasse.example';",
        }
    )
    for words in ("stage", "plan --offline", PUSH):
        assert empty.type(words).code == 0
    assert empty.count("held = 'duplicate_email'") == 2
    assert empty.count("held = 'already_in_destination'") == 1
    sent = {lead["email"] for lead in empty.sandbox.held}
    assert sent == {"Ada@münchen.example", "ada@straße.example", "'ada@strasse.example';"}
    assert "cleaned: HubSpot has marks or a name around it" in empty.type(["show", one[2]]).out
