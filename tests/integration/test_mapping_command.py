"""`migrator mapping` and `stage --mapping`, as they are typed."""

import json
from pathlib import Path

import pytest

from migrator.errors import ExitCode
from migrator.mapping import DEFAULT, FIELDS, parse
from migrator.mapping.parser import REQUIRED
from tests.support.inprocess_cli import PUSH, InProcessCli, stops
from tests.support.journeys import contact

GOOD = """\
# mine
[fields]
firstName = "firstname"
lastName = "lastname"
email = "email"
title = "city"
"""


@pytest.fixture
def shell(sandbox, tmp_path, monkeypatch, capsys) -> InProcessCli:
    return InProcessCli(tmp_path, sandbox(contacts=12), monkeypatch, capsys)


def write(name: str, text: str) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def titles(shell: InProcessCli) -> set[str | None]:
    leads = shell.ask("SELECT lead FROM contact WHERE lead IS NOT NULL")
    return {json.loads(lead).get("title") for (lead,) in leads}


# Printed


def test_without_a_ledger_the_guides_mapping_is_printed(shell):
    done = shell.type("mapping")
    assert (done.code, done.out) == (ExitCode.DONE, DEFAULT.text)
    assert "built in" in done.err


def test_what_is_printed_is_a_mapping_file(shell):
    write("mine.toml", shell.type("mapping --builtin").out)
    assert shell.type("mapping --check mine.toml").code == ExitCode.DONE


def test_the_mapping_in_force_is_the_ledgers(shell):
    assert shell.type(f"stage --mapping {write('mine.toml', GOOD)}").code == ExitCode.DONE
    Path("mine.toml").unlink()
    done = shell.type("mapping")
    assert done.out == GOOD
    assert "the mapping of the ledger" in done.err
    assert shell.type("mapping --builtin").out == DEFAULT.text


def test_machines_get_the_whole_of_it(shell):
    told = json.loads(shell.type("mapping --json").out)
    assert told == {"builtin": True, "hash": DEFAULT.hash, "text": DEFAULT.text}
    shell.type(f"stage --mapping {write('mine.toml', GOOD)}")
    told = json.loads(shell.type("mapping --json").out)
    assert told == {"builtin": False, "hash": parse(GOOD).hash, "text": GOOD}


# Checked


def test_a_good_file_is_compared_with_the_portal(shell):
    done = shell.type(f"mapping --check {write('mine.toml', GOOD)}")
    assert done.code == ExitCode.DONE
    assert done.out == f"mine.toml is a valid mapping ({parse(GOOD).hash})\n"
    assert "HubSpot has every property" in done.err
    assert not Path("migrator.db").exists()


def test_properties_that_the_portal_lacks_are_named_with_the_nearest(shell):
    file = GOOD.replace('"city"', '["jobtitel", "company.nmae"]')
    done = shell.type(f"mapping --check {write('mine.toml', file)}")
    stops(
        done,
        ExitCode.USAGE,
        "jobtitel: HubSpot's contacts have no such property; did you mean jobtitle?",
        "company.nmae: HubSpot's companies have no such property; did you mean company.name?",
        "migrator mapping --check mine.toml",
    )


@pytest.mark.parametrize("words", ["mapping --check {}", "stage --mapping {}"])
def test_a_field_that_leadgenius_does_not_document_is_a_warning(shell, words):
    done = shell.type(words.format(write("mine.toml", GOOD + 'citi = "city"\n')))
    assert done.code == ExitCode.DONE
    warning = "warning: mine.toml: fields.citi: LeadGenius does not document this field"
    assert done.err.count(warning) == 1
    assert "did you mean city?" in done.err
    assert "warning" not in shell.type(words.format(write("good.toml", GOOD))).err


def test_machines_get_the_warnings_one_by_one(shell):
    file = write("mine.toml", GOOD + 'citi = "city"\n')
    told = json.loads(shell.type(f"mapping --json --check {file}").out)
    assert (told["good"], told["faults"]) == (True, [])
    assert [one["where"] for one in told["warnings"]] == ["fields.citi"]


def test_every_fault_is_named_and_each_in_a_line(shell):
    done = shell.type(f"mapping --check {write('mine.toml', GOOD + 'phone = 1' + chr(10))}")
    stops(done, ExitCode.USAGE, "mine.toml is not a valid mapping:\n  fields.phone: LeadGenius")
    assert done.out == ""


def test_machines_get_the_faults_one_by_one(shell):
    done = shell.type(f"mapping --json --check {write('mine.toml', GOOD + 'phone = 1')}")
    told = json.loads(done.out)
    assert done.code == ExitCode.USAGE
    assert (told["good"], told["hash"], told["file"]) == (False, None, "mine.toml")
    assert told["faults"][0]["where"] == "fields.phone"
    told = json.loads(shell.type(f"mapping --json --check {write('mine.toml', GOOD)}").out)
    assert (told["good"], told["hash"]) == (True, parse(GOOD).hash)
    assert told["properties_unchecked"] is None


def test_without_a_token_the_portal_is_not_asked_and_that_is_said(shell, monkeypatch):
    monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN")
    done = shell.type(f"mapping --check {write('mine.toml', GOOD)}")
    assert done.code == ExitCode.DONE
    assert "not compared with HubSpot's: HUBSPOT_ACCESS_TOKEN is not set" in done.err
    assert shell.sandbox.received == []


@pytest.mark.parametrize("words", ["mapping --check mine.toml", "stage --mapping mine.toml"])
def test_a_token_that_may_not_ask_is_no_fault_of_the_file(shell, words):
    write("mine.toml", GOOD)
    shell.sandbox.fault("properties_forbidden", 3)
    done = shell.type(words)
    assert done.code == ExitCode.DONE
    assert "not compared with HubSpot's: The HubSpot token lacks the scope" in done.err


@pytest.mark.parametrize("words", ["mapping --check {}", "stage --mapping {}"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read: No such file"),
        (b"\xff\xfe", "it is not UTF-8 text"),
        (b"#" * (2 << 20), "it is larger than a mapping can be"),
        (b"[fields", "it is not valid TOML"),
        (b"", "fields.email: it is missing"),
    ],
)
def test_a_file_that_is_no_mapping_stops_the_command(shell, words, content, told):
    if content is not None:
        Path("mine.toml").write_bytes(content)
    stops(shell.type(words.format("mine.toml")), ExitCode.USAGE, told)
    assert not Path("migrator.db").exists()
    assert shell.sandbox.received == []


# Every field


def test_every_field_there_is_can_be_shown_sent_and_amended(shell):
    """Also where it is called as one of HubSpot's properties or as a column of ours."""
    named = ("state", "status", "notes", "held", "detail", "contact", "lead_id", "hubspot_id")
    others = [field for field in FIELDS if field not in (*REQUIRED, *named)]
    of_their_own = "\n".join(f'{field} = "jobtitle"' for field in others)
    lines = ", ".join(f'{{ label = "{name}", source = "{name}" }}' for name in named)
    text = GOOD.replace('title = "city"', f'state = "state"\nstatus = "status"\n{of_their_own}')
    file = write("mine.toml", f"{text}\n[notes]\nlines = [{lines}]")
    values = {name: f"the {name}" for name in named}
    ada = shell.sandbox.add_contact({**contact(1), **values, "jobtitle": "Countess"})
    bob = shell.sandbox.add_contact({**contact(2), **values, "email": "none"})
    assert shell.type(f"stage --mapping {file}").code == ExitCode.DONE
    for words in ("plan --offline --show 3", f"show {ada}", "report", "report --html page.html"):
        assert shell.type(words).code == ExitCode.DONE, words
    assert "state the state status the status" in " ".join(shell.type(f"show {bob}").out.split())
    told = json.loads(shell.type(f"show {ada} --json").out)["contacts"][0]
    assert (told["state"], told["lead"]["state"]) == ("mapped", "the state")
    assert shell.type("report --csv held.csv").code == ExitCode.DONE
    table = Path("held.csv").read_text(encoding="utf-8-sig")
    assert '"extracted","invalid_email"' in table
    table = table.replace('"none"', '"bob@x.example"').replace("the state", "Ohio")
    Path("held.csv").write_text(table, encoding="utf-8-sig")
    assert shell.type("amend held.csv --yes").code == ExitCode.DONE
    assert shell.type(PUSH).code == ExitCode.DONE
    sent = {lead["email"]: lead for lead in shell.sandbox.held}
    assert sent["bob@x.example"]["state"] == "Ohio"
    lead = sent[contact(1)["email"]]
    assert (lead["state"], lead["status"]) == ("the state", "the status")
    assert all(lead[field] == "Countess" for field in others)
    assert all(f"{name}: the {name}" in lead["notes"] for name in named)


# In force


def test_a_forgotten_option_takes_nothing_back(shell):
    shell.type(f"stage --mapping {write('mine.toml', GOOD)}")
    before = titles(shell)
    done = shell.type("stage --json")
    assert json.loads(done.out.splitlines()[-1])["withdrawn"] == 0
    assert titles(shell) == before


def test_the_way_back_is_the_guides_own_file(shell):
    shell.type("stage")
    before = titles(shell)
    shell.type(f"stage --mapping {write('mine.toml', GOOD)}")
    assert titles(shell) != before
    write("guide.toml", shell.type("mapping --builtin").out)
    done = shell.type("stage --mapping guide.toml")
    assert "to be mapped again" in done.out
    assert titles(shell) == before


def test_a_property_that_the_portal_lacks_stops_the_stage_before_anything_changes(shell):
    shell.type("stage")
    before = shell.ask("SELECT key, state, lead, mapping FROM contact")
    file = write("mine.toml", GOOD.replace("city", "ctiy"))
    stops(shell.type(f"stage --mapping {file}"), ExitCode.USAGE, "did you mean city?")
    assert shell.ask("SELECT key, state, lead, mapping FROM contact") == before
    assert shell.type("mapping").out == DEFAULT.text


def test_the_report_names_what_was_posted_under_another_mapping(shell):
    ada = shell.sandbox.add_contact(contact(1))
    shell.type("stage")
    shell.type(PUSH)
    posted = shell.count("state = 'posted'")
    told = json.loads(shell.type("report --json").out)
    assert (told["mapping"], told["posted_by_other_mapping"]["contacts"]) == (DEFAULT.hash, 0)
    assert "mapping that is not active" not in shell.type("report").out
    shell.type(f"stage --mapping {write('mine.toml', GOOD)}")
    told = json.loads(shell.type("report --json").out)
    assert told["mapping"] == parse(GOOD).hash
    assert told["posted_by_other_mapping"]["contacts"] == posted
    assert f"{posted} posted with a mapping that is not active now" in shell.type("report").out
    assert shell.count(f"hubspot_id = '{ada}' AND state = 'posted'") == 1
