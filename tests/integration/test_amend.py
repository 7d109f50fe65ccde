"""Held contacts go out as a table, come back corrected, and are mapped and sent like any other."""

import csv
import io
import json
import os
import pty
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import pytest

from benchmarks.judge import Broken, judge
from migrator.errors import ExitCode, Interrupted
from migrator.ledger import (
    Amendment,
    ExcludedContact,
    ExtractedContact,
    ExtractedPage,
    Intent,
    Ledger,
)
from migrator.mapping import DEFAULT, parse
from migrator.states import Hold
from tests.integration.test_forget import bytes_of
from tests.integration.test_stage import StopAfter, stage_scripted
from tests.support.inprocess_cli import PUSH, SETTLE, VERIFY, InProcessCli, stops
from tests.support.journeys import Journey, contact
from tests.support.processes import ORDINARY, ended, eventually, kill, start

WANDA = {"firstname": "Wanda", "email": "wanda at wherever.example", "phone": "+1 555 0100"}
GOOD = "wanda@wherever.example"


@pytest.fixture
def shell(sandbox, tmp_path, monkeypatch, capsys) -> InProcessCli:
    """An empty portal, for contacts of the test's own."""
    return InProcessCli(tmp_path, sandbox(contacts=0), monkeypatch, capsys)


def staged(shell: InProcessCli, *contacts: Mapping[str, str]) -> list[str]:
    ids = [shell.sandbox.add_contact(one) for one in contacts]
    assert shell.type("stage -q").code == 0
    return ids


def table(shell: InProcessCli) -> list[dict[str, str]]:
    assert shell.type("report --csv held.csv").code == 0
    text = (shell.folder / "held.csv").read_bytes().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def save(shell: InProcessCli, rows: list[dict[str, str]], columns: list[str] | None = None) -> None:
    """As a spreadsheet would: UTF-8, semicolons, no mark, no needless quotes."""
    with (shell.folder / "held.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns or list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)


def corrected(shell: InProcessCli, **by_id: dict[str, str]) -> None:
    """The held contacts go out, and lie there corrected."""
    rows = table(shell)
    for row in rows:
        row.update(by_id.get(f"c{row['HubSpot id']}", {}))
    save(shell, rows)


def amend(shell: InProcessCli, more: str = "--yes") -> str:
    done = shell.type(f"amend held.csv {more}")
    assert done.code == 0, done
    return done.out


def standing(shell: InProcessCli, hubspot_id: str) -> tuple[Any, ...]:
    (row,) = shell.ask(f"SELECT state, held FROM contact WHERE hubspot_id = '{hubspot_id}'")
    return row


def lead(shell: InProcessCli, hubspot_id: str) -> Any:
    ((text,),) = shell.ask(f"SELECT lead FROM contact WHERE hubspot_id = '{hubspot_id}'")
    return json.loads(text)


# The whole journey


def test_a_contact_with_a_bad_e_mail_is_corrected_sent_and_verified(shell):
    (wanda, _) = staged(shell, WANDA, contact(1))
    (row,) = table(shell)
    assert (row["HubSpot id"], row["(reason)"], row["email"]) == (
        wanda,
        "invalid_email",
        WANDA["email"],
    )
    save(shell, [{**row, "email": GOOD}])
    done = shell.type("amend held.csv --yes")
    assert done.out == "1 contact amended · 1 mapped · 0 still held\n"
    assert f'contact {wanda} · email: "wanda at wherever.example" -> "{GOOD}"' in done.err
    assert "will be sendable" in done.err
    assert "next: migrator push" in done.err
    assert shell.type(PUSH).out == "2 posted\n"
    assert shell.type(VERIFY).out.startswith("2 newly verified · 0 missing")
    assert shell.type(f"audit --settle {SETTLE}").code == 0


def test_the_sandbox_finds_it_strange_until_its_portal_is_corrected_too(shell):
    """Its judge knows the portal alone. Told what the person typed, it demands that very lead."""
    company = shell.sandbox.add_company(domain="fish.example")
    wanda = shell.sandbox.add_contact(WANDA, [(company, "contact_to_company")])
    shell.type("stage")
    corrected(shell, **{f"c{wanda}": {"email": GOOD, "jobtitle": "Owner", "company.name": "Fish"}})
    for words in ("amend held.csv --yes", PUSH, VERIFY):
        assert shell.type(words).code == 0
    assert len(shell.sandbox.verdict().strange) == 1
    with pytest.raises(Broken, match="1 strange"):
        judge(shell.sandbox, shell.folder / "migrator.db", SETTLE)
    shell.sandbox.change_contact(wanda, email=GOOD, jobtitle="Owner")
    shell.sandbox._portal.company(company).properties["name"] = "Fish"
    judge(shell.sandbox, shell.folder / "migrator.db", SETTLE)


def test_what_was_refused_is_corrected_and_goes_again(shell):
    (ada,) = staged(shell, contact(1))
    shell.sandbox.fault("refuse")
    shell.type(PUSH)
    assert standing(shell, ada) == ("mapped", "refused")
    corrected(shell, **{f"c{ada}": {"lastname": "Byron"}})
    assert amend(shell) == "1 contact amended · 1 mapped · 0 still held\n"
    assert shell.type(PUSH).out == "1 posted\n"
    assert shell.sandbox.leads()[0]["lastName"] == "Byron"
    assert shell.ask("SELECT attempts_reset_at FROM contact") == [(1,)]
    assert shell.type(f"audit --settle {SETTLE}").code == 0


def test_one_of_two_with_one_e_mail_gets_its_own_and_both_are_sent(shell):
    first, second = staged(shell, contact(1), contact(1))
    corrected(shell, **{f"c{second}": {"email": "own@x.example"}})
    amend(shell)
    assert {standing(shell, one) for one in (first, second)} == {("mapped", None)}


def test_a_duplicate_is_freed_when_the_first_one_gets_another_e_mail(shell):
    first, second = staged(shell, contact(1), contact(1))
    save(shell, [{"HubSpot id": first, "email": "own@x.example"}])
    assert amend(shell).endswith(" · 1 duplicate freed\n")
    assert standing(shell, second) == ("mapped", None)


# What stands in the table


def test_it_has_every_value_that_a_lead_is_made_of(shell):
    company = shell.sandbox.add_company(name="Fish", domain="fish.example", industry="FOOD")
    wanda = shell.sandbox.add_contact(WANDA, [(company, "contact_to_company")])
    shell.type("stage")
    (row,) = table(shell)
    read = [name for name in DEFAULT.contact_properties if name != "associatedcompanyid"]
    firm = ["company.name", "company.domain", "company.industry"]
    assert list(row) == [
        "HubSpot id",
        "(state)",
        "(reason)",
        "(detail)",
        *read,
        *firm,
        "(as written)",
    ]
    assert (row["HubSpot id"], row["(state)"], row["phone"]) == (wanda, "extracted", "'+1 555 0100")
    assert (row["company.name"], row["company.industry"]) == ("Fish", "FOOD")


def test_a_property_that_only_a_mapping_file_names_can_be_amended(shell):
    wanda = shell.sandbox.add_contact({**WANDA, "department": "Fisch"})
    extra = DEFAULT.text.replace('title = "jobtitle"', 'title = "department"')
    (shell.folder / "extra.toml").write_text(extra, "utf-8")
    shell.type("stage --mapping extra.toml")
    (row,) = table(shell)
    assert (row["HubSpot id"], row["department"], "jobtitle" in row) == (wanda, "Fisch", False)
    save(shell, [{**row, "email": GOOD, "department": "Fish"}])
    amend(shell)
    assert lead(shell, wanda)["title"] == "Fish"


def test_properties_are_not_taken_for_what_is_said_of_the_contact(shell):
    names = ("contact", "state", "reason", "detail")
    wanda = shell.sandbox.add_contact({**WANDA, **{name: f"own {name}" for name in names}})
    read = ", ".join(f'"{name}"' for name in names)
    extra = DEFAULT.text.replace('title = "jobtitle"', f"title = [{read}]")
    (shell.folder / "extra.toml").write_text(extra, "utf-8")
    shell.type("stage --mapping extra.toml")
    (row,) = table(shell)
    assert [row[name] for name in names] == [f"own {name}" for name in names]
    assert (row["HubSpot id"], row["(state)"]) == (wanda, "extracted")
    save(shell, [{**row, "email": GOOD, "contact": "Fish"}])
    amend(shell)
    assert lead(shell, wanda)["title"] == "Fish"


def test_it_has_every_held_contact_and_no_other(sandbox, tmp_path, monkeypatch, capsys):
    shell = InProcessCli(tmp_path, sandbox(contacts=1_300), monkeypatch, capsys)
    shell.type("stage")
    found = sorted((row["HubSpot id"], row["(reason)"]) for row in table(shell))
    assert found == sorted(shell.ask("SELECT hubspot_id, held FROM contact WHERE held IS NOT NULL"))
    assert len(found) > 50


def test_its_pages_follow_each_other_without_a_gap(ledger, tmp_path, monkeypatch):
    monkeypatch.setattr("migrator.ledger.amendments.READ_AT_ONCE", 3)
    hold_many(ledger, 10)
    assert [one.key for one in ledger.amendments.held()] == list(range(1, 11))


def test_without_held_contacts_there_is_a_header_alone(shell):
    staged(shell, contact(1))
    done = shell.type("report --csv held.csv")
    assert done.out == "0 contacts held, and written to held.csv\n"
    assert table(shell) == []
    assert json.loads(shell.type("report --csv held.csv --json").out)["held"] == 0


def test_it_does_not_take_the_ledger_s_place(shell):
    staged(shell, WANDA)
    for name in ("migrator.db", "migrator.db-wal", "migrator.db.lock", "./migrator.db"):
        stops(shell.type(f"report --csv {name}"), ExitCode.USAGE, "a file of the ledger")
    assert len(table(shell)) == 1


def test_what_was_amended_stands_in_the_next_one(shell):
    (wanda,) = staged(shell, WANDA)
    corrected(shell, **{f"c{wanda}": {"email": "still none", "phone": ""}})
    assert amend(shell) == "1 contact amended · 0 mapped · 1 still held\n"
    (row,) = table(shell)
    assert (row["email"], row["phone"], row["firstname"]) == ("still none", "", "Wanda")


# What changes


def test_a_table_that_nobody_edited_changes_nothing(sandbox, tmp_path, monkeypatch, capsys):
    shell = InProcessCli(tmp_path, sandbox(contacts=300), monkeypatch, capsys)
    for text in ("=1+1", "'x", "a\r\nb", "\x00", "007", "\u200b ", "x;=1", "\ud800"):
        shell.sandbox.add_contact({"firstname": text, "phone": text, "email": "no"})
    shell.type("stage")
    shell.type("report --csv held.csv")
    done = shell.type("amend held.csv")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("0 contacts amended: nothing in held.csv is other than")
    told = json.loads(shell.type("amend held.csv --json").out)
    assert (told["event"], told["command"], told["amended"]) == ("result", "amend", 0)
    assert shell.ask("SELECT count(*) FROM run WHERE command = 'amend'") == [(0,)]


def test_only_the_contact_s_column_is_needed(shell):
    (wanda,) = staged(shell, WANDA)
    save(shell, [{"email": GOOD, "HubSpot id": wanda}])
    amend(shell)
    assert (lead(shell, wanda)["email"], lead(shell, wanda)["firstName"]) == (GOOD, "Wanda")


def test_state_reason_and_detail_are_only_to_be_read(shell):
    (wanda,) = staged(shell, WANDA)
    corrected(shell, **{f"c{wanda}": {"(state)": "verified", "(reason)": "", "(detail)": "x"}})
    assert amend(shell).startswith("0 contacts amended")


def test_an_emptied_cell_counts_as_missing(shell):
    (wanda,) = staged(shell, WANDA)
    corrected(shell, **{f"c{wanda}": {"email": GOOD, "phone": "  "}})
    amend(shell)
    assert "phoneNumber" not in lead(shell, wanda)
    ((amended,),) = shell.ask("SELECT amended FROM contact")
    assert json.loads(amended) == {"email": GOOD, "phone": None}


def test_a_short_row_changes_only_what_it_has(shell):
    (wanda,) = staged(shell, WANDA)
    table(shell)
    path = shell.folder / "held.csv"
    path.write_text(f"HubSpot id,email,firstname,phone\n{wanda},{GOOD}\n")
    amend(shell)
    ((amended,),) = shell.ask("SELECT amended FROM contact")
    assert json.loads(amended) == {"email": GOOD}
    sent = lead(shell, wanda)
    assert (sent["firstName"], sent["phoneNumber"]) == (WANDA["firstname"], WANDA["phone"])


def test_a_contact_without_a_company_gets_one(shell):
    (wanda,) = staged(shell, WANDA)
    corrected(shell, **{f"c{wanda}": {"email": GOOD, "company.name": "Fish"}})
    amend(shell)
    assert lead(shell, wanda)["companyName"] == "Fish"


def test_what_is_turned_back_to_hubspot_s_value_is_amended_no_more(shell):
    (wanda,) = staged(shell, WANDA)
    save(shell, [{"HubSpot id": wanda, "email": GOOD}])
    amend(shell)
    save(shell, [{"HubSpot id": wanda, "email": WANDA["email"]}])
    amend(shell)
    assert standing(shell, wanda) == ("extracted", "invalid_email")
    assert shell.ask("SELECT amended FROM contact") == [(None,)]


def test_what_becomes_of_each_is_said_before_it_is_done(shell):
    ada, wanda, other, none = staged(shell, contact(1), WANDA, WANDA, {"firstname": "No"})
    emails = {wanda: "no", other: "ada1@x.example", none: "yes@x.example"}
    corrected(shell, **{f"c{one}": {"email": email} for one, email in emails.items()})
    before = shell.ask("SELECT * FROM contact")
    done = shell.type("amend held.csv")
    stops(done, ExitCode.USAGE, "no terminal to ask on whether to amend 3 contacts")
    assert "next: migrator amend held.csv --yes" in done.err
    assert "still held: invalid_email ('no' has no @)" in done.err
    assert f"will be held: duplicate_email (contact {ada} has the same e-mail)" in done.err
    assert "3 contacts to amend: 1 will be sendable · 1 held: duplicate_email" in done.err
    assert shell.ask("SELECT * FROM contact") == before
    assert json.loads(amend(shell, "--yes --json"))["still_held"][0]["contact"] == wanda


def test_of_many_contacts_the_first_are_shown_and_the_others_counted(shell):
    ids = staged(shell, *[WANDA] * 23)
    save(shell, [{"HubSpot id": one, "firstname": "W"} for one in ids])
    done = shell.type("amend held.csv --yes")
    assert done.err.count("contact ") == 20
    assert "and 3 more\n" in done.err


def test_no_log_names_the_people_whose_table_comes_back(shell):
    (wanda,) = staged(shell, WANDA)
    new = {"firstname": "Vanda", "phone": "+1 555 0199", "email": "vanda at nowhere"}
    corrected(shell, **{f"c{wanda}": new})
    assert '"Wanda" -> "Vanda"' in shell.type("amend held.csv --yes --log-file run.log").err
    save(shell, [{"HubSpot id": "Wanda Fish"}])
    assert "'Wanda Fish' is no" in shell.type("amend held.csv --yes --log-file run.log").err
    kept = (shell.folder / "run.log").read_text()
    assert "1 contact to amend" in kept
    assert "held.csv has errors" in kept
    assert not [one for one in (*WANDA.values(), *new.values(), "anda") if one in kept]


def test_the_page_shows_what_was_amended_and_not_what_was_given_up(shell):
    (wanda,) = staged(shell, WANDA)
    corrected(shell, **{f"c{wanda}": {"firstname": "Vanda", "email": "still none"}})
    amend(shell)
    assert shell.type("report --html page.html").code == 0
    page = (shell.folder / "page.html").read_text()
    assert "Vanda" in page
    assert "still none" in page
    assert not [one for one in ("Wanda", WANDA["email"]) if one in page]


# A table that is older than what it tells


def test_an_old_row_that_nobody_edited_turns_nothing_back(shell):
    ada, bob = staged(shell, {"firstname": "Ada"}, {"firstname": "Bob", "email": "bob at x"})
    rows = table(shell)
    shell.sandbox.change_contact(bob, email="bob@x.example", firstname="Robert")
    shell.type("stage")
    save(shell, [{**row, "email": row["email"] or GOOD} for row in rows])
    assert amend(shell).startswith("1 contact amended")
    assert lead(shell, ada)["email"] == GOOD
    assert (lead(shell, bob)["email"], lead(shell, bob)["firstName"]) == (
        "bob@x.example",
        "Robert",
    )


def test_an_old_row_that_was_edited_is_to_be_taken_anew(shell):
    (wanda,) = staged(shell, WANDA)
    (row,) = table(shell)
    shell.sandbox.change_contact(wanda, firstname="Vanda")
    shell.type("stage")
    save(shell, [{**row, "email": GOOD}])
    words = f"row 2: contact {wanda}: its values have changed since the table was written; copy its"
    stops(shell.type("amend held.csv --yes"), ExitCode.USAGE, words, "nothing was changed")
    assert shell.ask("SELECT amended FROM contact") == [(None,)]
    save(shell, [{**row, "email": GOOD, "(as written)": ""}])  # a person answers for all of it
    amend(shell)
    assert lead(shell, wanda)["firstName"] == "Wanda"


def test_columns_that_were_taken_out_are_none_that_were_edited(shell):
    (wanda,) = staged(shell, WANDA)
    (row,) = table(shell)
    kept = {name: row[name] for name in ("HubSpot id", "email", "(as written)")}
    save(shell, [kept])
    assert amend(shell).startswith("0 contacts amended")
    save(shell, [{**kept, "email": GOOD}])
    amend(shell)
    assert lead(shell, wanda)["email"] == GOOD


def test_a_table_can_be_corrected_further_after_it_was_taken_back(shell):
    (wanda,) = staged(shell, WANDA)
    (row,) = table(shell)
    save(shell, [{**row, "email": "still none", "jobtitle": "Owner"}])
    amend(shell)
    save(shell, [{**row, "email": GOOD}])
    amend(shell)
    assert (lead(shell, wanda)["email"], lead(shell, wanda)["title"]) == (GOOD, "Owner")


# What a new table takes the place of


def test_a_table_with_corrections_is_not_written_over_until_they_are_taken_back(shell):
    (wanda,) = staged(shell, WANDA)
    corrected(shell, **{f"c{wanda}": {"email": "still none"}})
    mine = (shell.folder / "held.csv").read_bytes()
    again = shell.type("report --csv held.csv")
    stops(again, ExitCode.USAGE, "has corrections that are not applied yet")
    assert "next: migrator amend held.csv, or name another file" in again.err
    assert (shell.folder / "held.csv").read_bytes() == mine
    amend(shell)
    assert table(shell)[0]["email"] == "still none"


@pytest.mark.parametrize("text", ["my mapping", '{"token": "x"}', "HubSpot id,email\n1,x\n", " "])
def test_what_is_no_such_table_is_not_written_over(shell, text):
    staged(shell, WANDA)
    (shell.folder / "mine.txt").write_text(text)
    stops(shell.type("report --csv mine.txt"), ExitCode.USAGE, "is not overwritten")
    assert (shell.folder / "mine.txt").read_text() == text


# What cannot be done


def test_every_fault_is_named_by_its_row_and_nothing_is_changed(shell):
    wanda, ada = staged(shell, WANDA, contact(1))
    shell.type(PUSH)
    before = shell.ask("SELECT * FROM contact")
    ids = [wanda, wanda, "999", "", "1.23457E+17", ada]
    save(shell, [{"HubSpot id": one, "email": GOOD} for one in ids])
    done = shell.type("amend held.csv --yes")
    stops(done, ExitCode.USAGE, "nothing was changed", "migrator amend held.csv")
    for words in (
        f"row 3: contact {wanda} is in row 2 already",
        "row 4: '999' is not a contact of this ledger",
        "row 5: it has no contact id",
        "row 6: 1.23457E+17 may be an id that the spreadsheet rounded",
        f"row 7: contact {ada}: it is posted: LeadGenius has its lead; correct it there",
    ):
        assert words in done.err
    assert shell.ask("SELECT * FROM contact") == before


@pytest.mark.parametrize(
    ("hubspot_id", "damaged", "words"),
    [
        ("123456789012345678", "123456789012345680", "may be an id that the spreadsheet rounded"),
        ("0123", "123", "123 may be 0123 without its zeros"),
    ],
)
def test_an_id_that_a_spreadsheet_damaged_finds_nobody(shell, hubspot_id, damaged, words):
    for one in (hubspot_id, "123456789012345680"):
        shell.sandbox.add_contact(WANDA, contact_id=one)
    shell.type("stage")
    assert {row["HubSpot id"] for row in table(shell)} == {
        f"'{hubspot_id}",
        "'123456789012345680",
    }
    save(shell, [{"HubSpot id": damaged, "email": GOOD}])
    stops(shell.type("amend held.csv --yes"), ExitCode.USAGE, words)


def test_a_phone_number_that_a_spreadsheet_rounded_is_not_taken(shell):
    (wanda,) = staged(shell, WANDA)
    corrected(shell, **{f"c{wanda}": {"phone": "4.42079E+11"}})
    stops(shell.type("amend held.csv --yes"), ExitCode.USAGE, "phone: 4.42079E+11 is a number")


def test_a_missing_one_is_retried_first(shell):
    (ada,) = staged(shell, contact(1))
    shell.type(PUSH)
    shell.sandbox.delete_lead(shell.sandbox.leads()[0]["id"])
    shell.type(VERIFY)
    assert amend_unedited(shell).startswith("0 contacts amended")
    corrected(shell, **{f"c{ada}": {"lastname": "Byron"}})
    done = shell.type("amend held.csv --yes")
    stops(done, ExitCode.USAGE, f"first: migrator retry --reason missing {ada}")
    shell.type(f"retry --reason missing {ada}")
    assert amend(shell) == "1 contact amended · 1 mapped · 0 still held\n"


def amend_unedited(shell: InProcessCli) -> str:
    table(shell)
    return amend(shell)


def test_one_in_doubt_is_settled_first(shell):
    (ada,) = staged(shell, contact(1))
    with Ledger.open_for_work(shell.folder / "migrator.db") as ledger:
        ledger.attempts.record_intents(ledger.runs.begin_run("push"), [Intent(1, "hash")])
    save(shell, [{"HubSpot id": ada, "email": GOOD}])
    done = shell.type("amend held.csv --yes")
    stops(done, ExitCode.USAGE, "it is in doubt; first: migrator push --resume")


def test_the_ledger_itself_refuses_to_amend_what_was_sent(shell):
    (ada,) = staged(shell, contact(1))
    shell.type(PUSH)
    with (
        Ledger.open_for_work(shell.folder / "migrator.db") as ledger,
        pytest.raises(RuntimeError, match="that was sent"),
    ):
        ledger.amendments.write([Amendment(ada, {})])


def test_a_ledger_into_which_nothing_was_staged_says_so(shell):
    with Ledger.open_for_work(shell.folder / "migrator.db"):
        pass
    save(shell, [{"HubSpot id": "1"}])
    done = shell.type("amend held.csv")
    stops(done, ExitCode.NOT_READY, "Nothing was staged", "next: migrator stage")


def test_a_ledger_at_work_is_left_alone(shell):
    (wanda,) = staged(shell, WANDA)
    save(shell, [{"HubSpot id": wanda, "email": GOOD}])
    with Ledger.open_for_work(shell.folder / "migrator.db"):
        stops(shell.type("amend held.csv --yes"), ExitCode.BUSY)


def test_a_ledger_that_changed_while_it_was_asked_for_is_looked_at_again(shell, monkeypatch):
    (wanda,) = staged(shell, WANDA)
    save(shell, [{"HubSpot id": wanda, "email": GOOD}])

    def stage_meanwhile(*words: str) -> None:
        shell.sandbox.change_contact(wanda, email="other@x.example")
        shell.type("stage")

    monkeypatch.setattr("migrator.cli.amend.confirm", stage_meanwhile)
    done = shell.type("amend held.csv")
    stops(done, ExitCode.STOPPED_EARLY, "has changed since", "next: migrator amend held.csv")
    assert shell.ask("SELECT amended FROM contact") == [(None,)]


@pytest.mark.parametrize(("answer", "code"), [("yes", 0), ("no", 3)])
def test_on_a_terminal_it_asks_and_takes_only_yes_for_yes(shell, answer, code):
    (wanda,) = staged(shell, WANDA)
    save(shell, [{"HubSpot id": wanda, "email": GOOD}])
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    done = ended(
        start(
            [*ORDINARY, "amend", "held.csv"],
            shell.folder,
            dict(os.environ),
            (theirs, subprocess.PIPE, subprocess.PIPE),
        )
    )
    os.close(theirs)
    os.close(ours)
    assert done.code == code, done
    assert "Type yes to amend 1 contact: " in done.err
    assert standing(shell, wanda)[1] == (None if code == 0 else "invalid_email")


def test_without_a_stdin_there_is_nobody_to_ask(shell, monkeypatch):
    (wanda,) = staged(shell, WANDA)
    save(shell, [{"HubSpot id": wanda, "email": GOOD}])
    monkeypatch.setattr("sys.stdin", None)
    stops(shell.type("amend held.csv"), ExitCode.USAGE, "no terminal")


# What comes after


def test_a_later_stage_leaves_what_was_amended(shell):
    (wanda,) = staged(shell, WANDA)
    save(shell, [{"HubSpot id": wanda, "email": GOOD}])
    amend(shell)
    shell.sandbox.change_contact(wanda, email="third@x.example", jobtitle="Owner")
    assert "1 ready to send" in shell.type("stage").out
    assert (lead(shell, wanda)["email"], lead(shell, wanda)["title"]) == (GOOD, "Owner")
    assert "0 changed" in shell.type("stage").out


def test_one_that_was_amended_and_sent_is_not_taken_for_changed(shell):
    (wanda,) = staged(shell, WANDA)
    save(shell, [{"HubSpot id": wanda, "email": GOOD}])
    amend(shell)
    shell.type(PUSH)
    shell.sandbox.change_contact(wanda, email="third@x.example")
    shell.type("stage")
    assert shell.count("changed_ms IS NOT NULL") == 0
    shell.sandbox.change_contact(wanda, jobtitle="Owner")
    shell.type("stage")
    assert shell.count("changed_ms IS NOT NULL") == 1


def test_what_was_amended_is_forgotten_with_the_people(shell):
    (wanda,) = staged(shell, WANDA)
    save(shell, [{"HubSpot id": wanda, "email": GOOD, "jobtitle": "Fishmonger"}])
    amend(shell)
    assert b"Fishmonger" in bytes_of(shell.folder / "migrator.db")
    for words in (PUSH, VERIFY, "forget --yes"):
        assert shell.type(words).code == 0
    assert b"Fishmonger" not in bytes_of(shell.folder / "migrator.db")
    stops(shell.type("amend held.csv --yes"), ExitCode.LEDGER, "is forgotten")
    assert shell.type("report --csv other.csv").code == 0


def test_an_amendment_without_effect_is_said(shell):
    (ada,) = staged(shell, {**WANDA, "role": GOOD})
    corrected(shell, **{f"c{ada}": {"email": "w@x.example"}})
    assert "without effect" not in amend(shell)
    names = 'firstName = "firstname"\nlastName = "lastname"\nemail = ["role", "email"]'
    (shell.folder / "mine.toml").write_text(f"[fields]\n{names}")
    done = shell.type("stage --mapping mine.toml")
    assert " · 1 amended without effect\n" in done.out
    assert f"migrator show {ada}" in done.err


def test_one_whose_verified_lead_was_deleted_is_retried_first(shell):
    (ada,) = staged(shell, contact(1))
    shell.type(PUSH)
    shell.type(VERIFY)
    shell.sandbox.delete_lead(shell.sandbox.leads()[0]["id"])
    shell.type(VERIFY)
    corrected(shell, **{f"c{ada}": {"lastname": "Byron"}})
    done = shell.type("amend held.csv --yes")
    stops(done, ExitCode.USAGE, f"first: migrator retry --recreate {ada}")


def test_what_led_to_another_contacts_lead_is_freed_by_a_person_first(shell):
    _, bob = staged(shell, contact(1), contact(2))
    shell.sandbox.give_lead_ids("same", "same")
    shell.type(f"{PUSH} --workers 1")
    assert standing(shell, bob) == ("mapped", "already_in_destination")
    corrected(shell, **{f"c{bob}": {"email": "new@x.example"}})
    retry = f"migrator retry --reason already_in_destination {bob}"
    stops(shell.type("amend held.csv --yes"), ExitCode.USAGE, retry)


def test_nothing_is_mapped_of_pages_that_were_not_read_for_the_mapping_in_force(shell):
    staged(shell, WANDA, *(contact(number, role="Countess") for number in range(100)))
    names = 'firstName = "firstname"\nlastName = "lastname"\nemail = "email"'
    titled = parse(f'[fields]\n{names}\ntitle = "role"')
    with (
        Ledger.open_for_work(shell.folder / "migrator.db") as ledger,
        pytest.raises(Interrupted),
    ):
        Journey(shell.sandbox, ledger).stage(titled, StopAfter(1))
    table(shell)
    done = shell.type("amend held.csv --yes")
    stops(done, ExitCode.NOT_READY, "Not every page", "next: migrator stage")
    assert shell.count("state = 'mapped'") == 0
    assert shell.type(PUSH).out.startswith("0 posted")


MANY = 1_500


def source_of(number: int) -> dict[str, Any]:
    return {"id": str(number), "properties": {"email": "no", "firstname": "Ada"}}


def hold_many(ledger: Ledger, number: int) -> None:
    scan = ledger.runs.begin_scan("extraction").scan
    ledger.runs.bind(portal_id="42")
    new = [
        ExtractedContact(str(one), json.dumps(source_of(one)), None, None)
        for one in range(1, number + 1)
    ]
    ledger.contacts.write_page(ExtractedPage({}, new, [], [], [], None), scan)
    held = [ExcludedContact(one, Hold.INVALID_EMAIL, "no") for one in range(1, number + 1)]
    ledger.contacts.write_mapped([], held)


@pytest.fixture(scope="module")
def killed_at_large(tmp_path_factory):
    """A folder with a ledger whose `amend` was killed after its commit, with much left to map."""
    folder = tmp_path_factory.mktemp("killed")
    with Ledger.open_for_work(folder / "migrator.db") as ledger:
        hold_many(ledger, MANY)
    rows = [f"{one},ada{one}@x.example" for one in range(1, MANY + 1)]
    (folder / "held.csv").write_text("\n".join(["HubSpot id,email", *rows]))
    process = start([*ORDINARY, "amend", "held.csv", "--yes", "-q"], folder, dict(os.environ))
    with closing(sqlite3.connect(folder / "migrator.db", isolation_level=None)) as db:

        def is_amended() -> bool:
            # The first look that finds it done keeps the next commit from being made.
            db.execute("BEGIN IMMEDIATE")
            (done,) = db.execute(
                "SELECT count(*) FROM contact WHERE amended IS NOT NULL"
            ).fetchone()
            if not done:
                db.execute("ROLLBACK")
            return bool(done)

        eventually(is_amended, "the commit of what was amended")
        assert process.poll() is None
        kill(process)
    return folder


@pytest.fixture
def killed(killed_at_large, shell):
    shutil.copytree(killed_at_large, shell.folder, dirs_exist_ok=True)
    assert shell.count("amended IS NOT NULL") == MANY
    assert shell.count("state = 'extracted' AND held IS NULL") > 0
    return shell


def test_killed_before_it_was_mapped_the_next_amend_maps_it(killed):
    assert amend(killed).startswith("0 contacts amended · ")
    assert killed.count("state = 'mapped' AND held IS NULL") == MANY


def test_killed_before_it_was_mapped_the_next_stage_maps_it(killed):
    with Ledger.open_for_work(killed.folder / "migrator.db") as ledger:
        stage_scripted(ledger, [source_of(one) for one in range(1, MANY + 1)])
    assert killed.count("state = 'mapped' AND held IS NULL") == MANY
