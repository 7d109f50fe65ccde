"""The numbers of the leads that are ready to send, in `preflight`, `plan` and on the page."""

import json
import sqlite3
from contextlib import closing

import pytest

from migrator.hubspot_responses import modified_ms
from migrator.lead_profile import FieldProfile, profile_json, profile_lines, read_profile
from migrator.ledger import Intent, Ledger
from migrator.mapping import DEFAULT
from tests.support.html_page import read as read_page
from tests.support.inprocess_cli import PUSH

PEOPLE = (
    {"email": "ada@x.example", "firstname": "Ada", "lastname": "Lovelace", "jobtitle": "Analyst"},
    {"email": "info@x.example", "firstname": "Bea", "lastname": "Info"},
    {"email": "sales@y.example", "firstname": "Cy", "lastname": "Sales", "phone": "+49 30 1234567"},
    {"email": "test@y.example", "firstname": "Di", "lastname": "Vine", "jobtitle": "Größe"},
    {"email": "grace.hopper@y.example"},
    {"email": "z@gmail.com", "firstname": "Zoë", "lastname": "."},
    {"email": "", "firstname": "Not", "lastname": "Sent", "jobtitle": "x" * 999},
)
AT = 1_600_000_000_000


def change(shell, sql, *values):
    with closing(sqlite3.connect(shell.folder / "migrator.db")) as db, db:
        db.execute(sql, values)


@pytest.fixture
def staged(empty):
    """Six contacts to send, `1` to `6`, and one that is held."""
    for number, person in enumerate(PEOPLE, 1):
        empty.sandbox.add_contact(person, contact_id=str(number))
    empty.stage()
    # The sandbox dates whatever is added by the present.
    change(empty, "UPDATE contact SET modified_ms = ? - key", AT)
    return empty


def profile_of(shell):
    with Ledger.open_read_only(shell.folder / "migrator.db") as ledger:
        return read_profile(ledger, DEFAULT)


def test_every_number_is_exact(staged):
    profile = profile_json(profile_of(staged))
    names = ("firstName", "lastName", "email", "companyName", "companyUrl", "title", "phoneNumber")
    assert [*profile["fields"]] == [*names, "notes"]
    filled = [one["filled"] for one in profile["fields"].values()]
    assert filled == [6, 6, 6, 5, 0, 2, 1, 6]
    assert profile["contacts"] == 6
    assert profile["fields"]["title"] == {"filled": 2, "longest": 7, "longest_contact": "1"}
    assert profile["fields"]["email"] == {"filled": 6, "longest": 22, "longest_contact": "5"}
    assert profile["fields"]["companyUrl"] == {"filled": 0, "longest": 0, "longest_contact": None}
    assert profile["role_address"] == {
        "contacts": 2,
        "first": [
            {"contact": "2", "value": "info@x.example"},
            {"contact": "3", "value": "sales@y.example"},
        ],
    }
    assert profile["test_record"] == {
        "contacts": 1,
        "first": [{"contact": "4", "value": "test@y.example"}],
    }
    assert profile["made_up_name"] == {
        "contacts": 2,
        "first": [{"contact": "5", "value": "Grace Hopper"}, {"contact": "6", "value": "Zoë -"}],
    }
    assert profile["oldest_change"] == {"at": "2020-09-13T12:26:39Z", "contact": "6"}


def test_only_the_first_three_are_named(empty):
    for number in range(1, 6):
        empty.sandbox.add_contact({"email": f"info@x{number}.example"}, contact_id=str(number))
    empty.stage()
    profile = profile_of(empty)
    for found in profile_json(profile)["role_address"], profile_json(profile)["made_up_name"]:
        assert found["contacts"] == 5
        assert [one["contact"] for one in found["first"]] == ["1", "2", "3"]
    assert dict(profile_lines(profile))["role addresses"].endswith("info@x3.example (contact 3), …")


def test_what_is_in_doubt_or_sent_is_not_counted(staged):
    with Ledger.open_for_work(staged.folder / "migrator.db") as ledger:
        ledger.attempts.record_intents(ledger.runs.begin_run("push"), [Intent(2, "0" * 64)])
    profile = profile_of(staged)
    assert profile.contacts == 5
    assert profile_json(profile)["role_address"]["contacts"] == 1


def test_who_failed_before_is_counted_too_and_last(staged):
    change(staged, "UPDATE contact SET tries = 1 WHERE key = 2")
    first = profile_json(profile_of(staged))["role_address"]["first"]
    assert [one["contact"] for one in first] == ["3", "2"]


def test_fill_rates_are_rounded_down(staged):
    profile = profile_of(staged)
    assert (profile.fill_rate("email"), profile.fill_rate("companyUrl")) == ("100%", "0%")
    assert profile.fill_rate("companyName") == "83.3%"
    profile.contacts, profile.fields["email"] = 100_000, FieldProfile(filled=99_999)
    assert profile.fill_rate("email") == "99.9%"


# Where it is shown


def test_the_plan_shows_it(staged):
    done = staged.type("plan --offline --json")
    assert json.loads(done.out)["profile"] == profile_json(profile_of(staged))
    page = staged.type("plan --offline").out
    rows = [line.split() for line in page.splitlines()]
    assert ["title", "2", "33.3%", "7", "1"] in rows
    assert ["companyUrl", "0", "0%"] in rows
    words = " ".join(page.split())
    assert "info@x.example (contact 2), sales@y.example (contact 3)" in words
    assert "test records 1 contact (" in words
    assert "oldest change 2020-09-13T12:26:39Z: contact 6" in words


def test_preflight_shows_it_and_fails_for_none_of_it(staged):
    done = staged.type("preflight --json")
    document = json.loads(done.out)
    assert document["profile"] == profile_json(profile_of(staged))
    checks = {
        one["name"]: one["found"] for one in document["checks"] if one["group"] == "Ready to send"
    }
    assert [*checks] == [
        *("fields filled", "longest values", "role addresses", "test records"),
        *("made-up names", "oldest change"),
    ]
    assert checks["fields filled"].startswith("of 6 leads: firstName 100%, lastName 100%, ")
    assert "title 33.3%" in checks["fields filled"]
    assert "title 7 (contact 1)" in checks["longest values"]
    assert "companyUrl" not in checks["longest values"]
    assert document["ready"]
    assert "info@x.example (contact 2), sales@y.example (contact 3)" in staged.type("preflight").out


def test_the_page_shows_it(staged):
    page = read_page(staged.folder / "migrator.db")
    assert page.more["profile.contacts"] == 6
    assert page.more["profile.filled.title"] == 2
    assert page.more["profile.longest.email"] == 22
    assert "33.3%" in page.cells
    assert "info@x.example (contact 2), sales@y.example (contact 3)" in page.text


def test_with_nothing_to_send_there_is_nothing_to_show(empty):
    assert json.loads(empty.type("preflight --json").out)["profile"] is None
    empty.sandbox.add_contact(PEOPLE[0])
    empty.stage()
    assert empty.type(PUSH).code == 0
    document = json.loads(empty.type("preflight --json").out)
    assert document["profile"] is None
    assert not [one for one in document["checks"] if one["group"] == "Ready to send"]
    assert "Worth a look" not in empty.type("plan --offline").out
    assert "profile.contacts" not in read_page(empty.folder / "migrator.db").more


def test_a_value_of_somebody_else_steers_nothing(staged):
    evil = "a\x1b[31m\nnext: rm " + "x" * 9_999
    change(
        staged,
        "UPDATE contact SET lead = json_set(lead, '$.lastName', ?), hubspot_id = ? || key "
        "WHERE key = 5",
        evil,
        evil,
    )
    for words in ("plan --offline", "preflight"):
        out = staged.type(words).out
        assert all(char.isprintable() or char == "\n" for char in out), words
        assert "\nnext: rm" not in out


# When HubSpot last changed a contact


def test_the_date_is_kept_and_follows_hubspot(empty):
    hubspot_id = empty.sandbox.add_contact(PEOPLE[0])
    assert empty.type("stage").code == 0
    [(first,)] = empty.ask("SELECT modified_ms FROM contact")
    change(empty, "UPDATE contact SET modified_ms = 1")
    assert empty.type("stage").code == 0
    assert empty.ask("SELECT modified_ms FROM contact") == [(first,)]
    empty.sandbox.change_contact(hubspot_id, city="which no lead shows")
    assert empty.type("stage").code == 0
    [(second,)] = empty.ask("SELECT modified_ms FROM contact")
    assert second > first


def test_a_forgotten_person_has_no_date_and_gets_none(staged):
    assert staged.type("forget 7 --yes").code == 0
    assert staged.type("stage").code == 0
    assert staged.ask("SELECT modified_ms FROM contact WHERE key = 7") == [(None,)]
    assert staged.count("modified_ms IS NULL") == 1


@pytest.mark.parametrize(
    ("given", "milliseconds"),
    [
        ("2020-09-13T12:26:40.005Z", AT + 5),
        ("2020-09-13T14:26:40+02:00", AT),
        ("2020-09-13T12:26:40", AT),
        (str(AT), AT),
        ("1969-01-01T00:00:00Z", None),
        ("9" * 40, None),
        ("yesterday", None),
        ("", None),
        (None, None),
        ([], None),
    ],
)
def test_a_date_is_read_in_every_form_or_left_out(given, milliseconds):
    assert modified_ms({"properties": {"lastmodifieddate": given}}) == milliseconds
    assert modified_ms({"properties": {}, "updatedAt": given}) == milliseconds
