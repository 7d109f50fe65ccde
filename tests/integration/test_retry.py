"""Retry: who is freed, who stays and why, and all of the named or none."""

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from migrator.errors import UsageError
from migrator.ledger import holds
from migrator.states import Hold
from tests.support.inprocess_cli import PUSH, VERIFY, InProcessCli, stops
from tests.support.journeys import contact


@pytest.fixture
def refused(sandbox, tmp_path, monkeypatch, capsys):
    """Three that were refused, one posted, one without an e-mail, and a duplicate of the first."""
    shell = InProcessCli(tmp_path, sandbox(contacts=0), monkeypatch, capsys)
    for number in range(1, 5):
        shell.sandbox.add_contact(contact(number), contact_id=str(number))
    shell.sandbox.add_contact({"firstname": "No"}, contact_id="5")
    shell.sandbox.add_contact(contact(1), contact_id="6")
    shell.stage()
    shell.sandbox.fault("refuse", times=3)
    assert shell.type(f"{PUSH} --workers 1").code == 1
    assert held(shell) == {"1": "refused", "2": "refused", "3": "refused", **STAYING}
    return shell


STAYING = {"5": "no_email", "6": "duplicate_email"}


def held(shell: InProcessCli) -> dict[str, str]:
    return dict(shell.ask("SELECT hubspot_id, held FROM contact WHERE held IS NOT NULL"))


def freed(shell: InProcessCli, words: str) -> dict[str, Any]:
    done = shell.type(f"retry --json {words}")
    assert done.code == 0, done.err
    result: dict[str, Any] = json.loads(done.out)
    said = {"event": "result", "command": "retry", "exit_code": 0}
    assert {name: result.pop(name) for name in said} == said
    return result


def test_all_with_a_reason_are_freed_and_the_next_command_is_said(refused):
    done = refused.type("retry --reason refused")
    assert (done.out, done.err) == ("3 contacts freed\n", "next: migrator push\n")
    assert held(refused) == STAYING


@pytest.mark.parametrize("named", ["2", " 2", "ADA2@x.example"])
def test_one_is_freed_by_its_id_or_its_email(refused, named):
    assert refused.type(["retry", named]).out == "1 contact freed\n"
    assert held(refused) == {"1": "refused", "3": "refused", **STAYING}


def test_one_that_is_named_twice_is_freed_once(refused):
    assert freed(refused, "2 2 ada2@x.example") == {
        "freed": 1,
        "meant": 1,
        "stayed": [],
        "next": "migrator push",
    }


def test_of_those_that_stay_it_says_why(refused):
    result = freed(refused, "4 5 6 2")
    assert (result["freed"], result["meant"]) == (1, 4)
    why = {one["contact"]: one["why"] for one in result["stayed"]}
    assert why["4"] == "it is not held; it is posted"
    assert "`migrator stage`" in why["5"]
    assert "contact 1 has the same e-mail" in why["6"]
    assert held(refused) == {"1": "refused", "3": "refused", **STAYING}


def test_those_that_stay_are_counted_for_people_too(refused):
    lines = refused.type("retry 4 2").out.splitlines()
    assert lines == ["1 contact freed of 2", "4 stays: it is not held; it is posted"]


def test_a_name_that_nobody_has_frees_nobody(refused):
    stops(refused.type("retry 1 2 99"), UsageError.exit_code, "'99'")
    assert held(refused) == {"1": "refused", "2": "refused", "3": "refused", **STAYING}


def test_a_reason_and_names_mean_those_that_are_both(refused):
    result = freed(refused, "--reason gave_up 1")
    assert result["freed"] == 0
    assert result["stayed"][0]["why"] == "it is held as refused, not as gave_up"


@pytest.mark.parametrize("reason", [Hold.NO_EMAIL, Hold.DUPLICATE_EMAIL])
def test_what_the_rules_exclude_stays_whoever_asks(refused, reason):
    result = freed(refused, f"--reason {reason}")
    assert (result["freed"], result["meant"], len(result["stayed"])) == (0, 1, 1)
    assert held(refused).items() >= STAYING.items()
    assert refused.ask("SELECT count(*) FROM event WHERE contact_key = 5") == [(2,)]


def test_nothing_to_free_is_no_failure(refused):
    assert refused.type("retry --reason gave_up").out == "0 contacts freed\n"


def test_of_two_with_one_email_only_one_is_freed(refused):
    with closing(sqlite3.connect(refused.folder / "migrator.db")) as db, db:
        db.execute("UPDATE contact SET held = 'refused' WHERE hubspot_id = '6'")
    result = freed(refused, "--reason refused")
    assert (result["freed"], result["meant"]) == (3, 4)
    assert [one["contact"] for one in result["stayed"]] == ["6"]
    assert "contact 1 has the same e-mail" in result["stayed"][0]["why"]


def test_of_very_many_that_stay_some_are_named(refused, monkeypatch):
    monkeypatch.setattr(holds, "EXAMPLES", 1)
    lines = refused.type("retry 4 5 6").out.splitlines()
    assert lines == [
        "0 contacts freed of 3",
        "4 stays: it is not held; it is posted",
        "and 2 more stay",
    ]


def test_one_with_several_leads_stays_until_they_are_one(refused):
    [(lead_id,)] = refused.ask("SELECT lead_id FROM contact WHERE hubspot_id = '4'")
    copy = next(dict(one) for one in refused.sandbox.held if one["id"] == lead_id)
    second = refused.sandbox.add_lead(copy)
    assert refused.type(VERIFY).code == 1
    for words in ("--reason doubled", "4"):
        result = freed(refused, words)
        assert (result["freed"], result["meant"]) == (0, 1)
        assert "migrator undo --doubled" in result["stayed"][0]["why"]
    assert held(refused)["4"] == "doubled"
    refused.sandbox.delete_lead(second)
    refused.type(VERIFY)
    assert "4" not in held(refused)


def test_missing_is_a_reason_with_a_word_of_its_own(refused):
    [(lead_id,)] = refused.ask("SELECT lead_id FROM contact WHERE hubspot_id = '4'")
    refused.sandbox.delete_lead(lead_id)
    assert refused.type(VERIFY).code == 1
    assert freed(refused, "--missing")["freed"] == 1
    assert refused.type(PUSH).out.startswith("1 posted")
    stops(refused.type("retry"), UsageError.exit_code, "No contact and no reason")
    assert refused.type("retry --missing --reason refused").code == UsageError.exit_code


def test_one_of_a_mapping_that_was_given_up_is_staged_before_it_is_sent(refused):
    (refused.folder / "mine.toml").write_text(
        '[fields]\nfirstName = "firstname"\nlastName = "lastname"\nemail = "email"'
    )
    [(lead_id,)] = refused.ask("SELECT lead_id FROM contact WHERE hubspot_id = '4'")
    refused.sandbox.delete_lead(lead_id)
    assert refused.type(VERIFY).code == 1
    assert refused.type("stage --mapping mine.toml").code == 0
    assert refused.type("retry --missing").err == "next: migrator stage\n"
    assert refused.count("hubspot_id = '4' AND state = 'extracted' AND held IS NULL") == 1


def test_one_that_was_verified_once_is_sent_again_only_on_that_word(refused):
    [(lead_id,)] = refused.ask("SELECT lead_id FROM contact WHERE hubspot_id = '4'")
    assert refused.type(VERIFY).code == 0
    refused.sandbox.delete_lead(lead_id)
    assert refused.type(VERIFY).code == 1
    for words in ("--missing", "4"):
        result = freed(refused, words)
        assert (result["freed"], result["meant"]) == (0, 1)
        assert "verified once" in result["stayed"][0]["why"]
    said = refused.type("retry --missing").out
    assert "4 stays: it was verified once, so its lead was deleted since; to send it again" in said
    assert "migrator retry --recreate 4" in said
    page = " ".join(refused.type("show 4").out.split())
    assert "`migrator retry CONTACT --recreate`" in page
    assert freed(refused, "--recreate 4")["freed"] == 1
    assert refused.type(PUSH).out.startswith("1 posted")
    assert refused.type(VERIFY).code == 0
    assert refused.type("audit").code == 0


def test_one_that_others_were_merged_into_takes_over_the_lead_that_is_left(three):
    for words in (PUSH, VERIFY):
        assert three.type(words).code == 0
    new = three.sandbox.merge_contacts("1", "2")
    for words in ("stage", "update --yes --rate max --settle 0.3", VERIFY):
        three.type(words)
    leads = f"SELECT lead_id FROM contact WHERE hubspot_id IN ('2', '{new}') ORDER BY key DESC"
    lost, left = three.ask(leads)
    three.sandbox.delete_lead(lost[0])
    assert three.type(VERIFY).code == 1
    assert freed(three, "--reason missing --recreate")["next"] == "migrator update"
    assert three.ask(f"SELECT lead_id FROM contact WHERE hubspot_id = '{new}'") == [left]
