"""
What a probe found out is used: the same sandbox and the same commands, without it and with it.

Without it each command is right, too, but says more than is so, or cannot do what it could.
"""

import json
import os
import time
from typing import Any

import pytest

from migrator.config import load
from migrator.findings import Findings, ProbeRecord
from migrator.ledger import Ledger
from migrator.mapping import FIELDS
from migrator.probe_records import keep_probe
from tests.support.inprocess_cli import PUSH, SETTLE, VERIFY, InProcessCli
from tests.support.journeys import contact
from tests.support.processes import Result

UPDATE = f"update --yes --rate max --settle {SETTLE} --timeout 2 --retry-for 0 --json"
UNDO = f"undo --yes --rate max --settle {SETTLE} --timeout 2 --retry-for 0 --json"
AUDIT = "audit --settle 0.3"
CONTACTS = 3
LONG = "a sentence that goes on for a while, because somebody had much to say " * 3


def told(result: Result) -> dict[str, Any]:
    assert result.out, result.err
    found: dict[str, Any] = json.loads(result.out.splitlines()[-1])
    return found


def url_of(shell: InProcessCli) -> str:
    return str(shell.sandbox.environment()["LEADGENIUS_BASE_URL"])


def probed(shell: InProcessCli, *, days_ago: float = 0, **found: Any) -> None:
    """A probe was made with this ledger."""
    at = int((time.time() - days_ago * 86_400) * 1000)
    with Ledger.open_for_work(shell.folder / "migrator.db") as ledger:
        ledger.probes.add(ProbeRecord(url_of(shell), at, Findings(**found)))


@pytest.fixture
def start(sandbox, tmp_path, monkeypatch, capsys):
    """Stages contacts for a sandbox with these quirks."""

    def make(*quirks: str, lag: float = 0.0, **more: str) -> InProcessCli:
        stand_in = sandbox(contacts=0, quirks=quirks, read_lag_seconds=lag)
        shell = InProcessCli(tmp_path, stand_in, monkeypatch, capsys)
        for number in range(CONTACTS):
            shell.sandbox.add_contact(
                contact(number, jobtitle="Engineer", **more), contact_id=f"{number + 1}"
            )
        assert shell.type("stage").code == 0
        return shell

    return make


def sent(shell: InProcessCli) -> InProcessCli:
    done = shell.type(PUSH)
    assert done.code == 0, done.err
    return shell


def changed(shell: InProcessCli, **properties: str) -> None:
    for number in range(CONTACTS):
        shell.sandbox.change_contact(f"{number + 1}", **properties)
    assert shell.type("stage").code == 0


# A field that LeadGenius drops

NOT_PHONE = tuple(name for name in FIELDS if name != "phoneNumber")


def listed_as_null(shell: InProcessCli) -> None:
    """A person emptied the field of another lead, so the listing has shown it."""
    shell.sandbox.add_lead({"email": "other@x.example", "phoneNumber": "+49 1"})


def test_a_field_that_is_dropped_is_not_different(start):
    shell = sent(start("dropped_fields=phoneNumber", phone="+49 30 1234567"))
    listed_as_null(shell)
    assert told(shell.type(f"{VERIFY} --json"))["different"] == CONTACTS
    probed(shell, fields_kept=NOT_PHONE)
    now = told(shell.type(f"{VERIFY} --json"))
    assert (now["different"], now["not_kept"]) == (0, ["phoneNumber"])


def test_a_lead_without_a_field_that_is_dropped_is_as_we_left_it(start):
    shell = sent(start("dropped_fields=phoneNumber", phone="+49 30 1234567"))
    listed_as_null(shell)
    assert [one["why"] for one in told(shell.type(f"{UNDO} --all"))["kept"]] == ["edited"] * 3
    probed(shell, fields_kept=NOT_PHONE)
    (first, *_) = shell.sandbox.leads()
    shell.sandbox.change_lead(first["id"], phoneNumber="+49 30 7654321")  # by a person, and kept
    done = told(shell.type(f"{UNDO} --all"))
    assert (done["deleted"], [one["lead"] for one in done["kept"]]) == (2, [first["id"]])
    assert shell.type(AUDIT).code == 0


def test_a_change_of_a_field_that_is_dropped_is_named_and_not_sent(start):
    shell = sent(start("dropped_fields=phoneNumber", phone="+49 30 1234567"))
    listed_as_null(shell)
    probed(shell, fields_kept=NOT_PHONE)
    changed(shell, phone="+49 30 1111111")
    done = told(shell.type(UPDATE))
    assert {one["what"] for one in done["plan"]} == {"not_kept"}
    assert done["exit_code"] == done["conflicts"] == done["updated"] == 0
    assert told(shell.type(UPDATE))["plan"] == [], "it counts as told"


def test_without_the_probe_it_is_a_conflict(start):
    shell = sent(start("dropped_fields=phoneNumber", phone="+49 30 1234567"))
    listed_as_null(shell)
    changed(shell, phone="+49 30 1111111")
    assert told(shell.type(UPDATE))["conflicts"] == CONTACTS


# What a listing shows


def test_a_field_that_no_lead_has_is_empty_if_the_listing_is_known_to_show_it(start):
    shell = sent(start("listed_fields=email,notes,firstName,lastName,companyName"))
    now = told(shell.type(f"{VERIFY} --json"))
    assert (now["edited"], now["not_compared"]) == (0, ["title"])
    probed(shell, listing_fields=("id", "email", "notes", "title"))
    now = told(shell.type(f"{VERIFY} --json"))
    assert (now["edited"], now["not_compared"]) == (CONTACTS, [])


def test_a_whole_lead_is_not_sent_on_the_word_of_a_probe_alone(start):
    """The listing has changed since: what it does not show any more would be lost."""
    shell = sent(start("replacing_update", "listed_fields=email,notes,firstName,lastName"))
    probed(shell, listing_fields=(*FIELDS, "notes"), update={"partial": False})
    changed(shell, firstname="Grace")
    done = shell.type(UPDATE)
    assert done.code == 3, done.out
    assert "its listing does not show" in told(done)["message"]


# Notes that are cut


def cut(start: Any, at: int) -> InProcessCli:
    shell: InProcessCli = sent(start(f"notes_limit={at}", hs_lead_status=LONG, message=LONG))
    (first, *_) = shell.sandbox.leads()
    assert len(first["notes"]) == at
    return shell


def test_lines_beyond_the_cut_are_no_difference_but_the_record_line_is(start):
    shell = cut(start, 120)
    assert told(shell.type(f"{VERIFY} --json"))["different"] == CONTACTS
    assert told(shell.type(f"{UNDO} 1"))["kept"][0]["why"] == "edited"
    probed(shell, notes_kept=120)
    assert told(shell.type(f"{VERIFY} --json"))["different"] == 0
    assert told(shell.type(f"{UNDO} 1"))["deleted"] == 1
    (lead, *_) = [one for one in shell.sandbox.leads() if one["email"].startswith("ada1")]
    kept = "\n".join(lead["notes"].splitlines()[:1])
    shell.sandbox.change_lead(lead["id"], notes=kept)
    assert told(shell.type(f"{VERIFY} --json"))["edited"] == 1
    assert told(shell.type(f"{UNDO} 2"))["kept"][0]["why"] == "no_record_line"


def test_a_change_within_the_cut_is_written_and_one_beyond_it_rests(start):
    shell = cut(start, 120)
    probed(shell, notes_kept=120)
    changed(shell, message="short", lifecyclestage="customer")
    done = told(shell.type(UPDATE))
    assert (done["conflicts"], done["exit_code"], done["updated"]) == (0, 0, CONTACTS)
    for lead in shell.sandbox.leads():
        _, record, lifecycle, status = lead["notes"].splitlines()
        assert (lifecycle, len(lead["notes"])) == ("Lifecycle: customer", 120)
        assert status == f"Status: {LONG}"[: len(status)], "what is stored of a line that is cut"
        assert record.startswith("[HubSpot record: ")
    assert told(shell.type(f"{VERIFY} --json"))["different"] == 0
    assert told(shell.type(f"{UNDO} --all"))["deleted"] == CONTACTS
    assert shell.type(AUDIT).code == 0


def test_a_change_that_would_cut_lines_of_others_is_a_conflict(start):
    shell = sent(start("notes_limit=120", lifecyclestage="lead"))
    for lead in shell.sandbox.leads():
        shell.sandbox.append_note(lead["id"], "By a person".rjust(119 - len(lead["notes"])))
    probed(shell, notes_kept=120)
    changed(shell, lifecyclestage="opportunity")
    before = [lead["notes"] for lead in shell.sandbox.leads()]
    for prefer in ("ask", "hubspot"):
        done = told(shell.type(f"{UPDATE} --prefer {prefer}"))
        assert (done["conflicts"], done["updated"]) == (CONTACTS, 0)
    assert [lead["notes"] for lead in shell.sandbox.leads()] == before


def test_a_dropped_field_does_not_keep_whole_leads_from_being_sent(start):
    shell = sent(start("replacing_update", "dropped_fields=phoneNumber", phone="+49 30 1234567"))
    probed(shell, fields_kept=NOT_PHONE, update={"partial": False})
    changed(shell, firstname="Grace")
    done = told(shell.type(UPDATE))
    assert (done["exit_code"], done["updated"]) == (0, CONTACTS)
    assert all(one["title"] == "Engineer" for one in shell.sandbox.leads())


def test_the_plan_and_the_preflight_count_the_notes_that_will_be_cut(start):
    shell = start("notes_limit=120", hs_lead_status=LONG, message=LONG)
    assert told_whole(shell, "plan --json --offline")["notes_cut"] == 0
    probed(shell, notes_kept=120)
    assert told_whole(shell, "plan --json --offline")["notes_cut"] == CONTACTS
    assert "3 mapped contacts with notes that will be cut" in probe_check(shell)["found"]


@pytest.mark.parametrize("kept", [False, 40])
def test_nothing_is_sent_where_the_record_line_is_not_stored(start, kept):
    shell = start("dropped_fields=notes" if kept is False else f"notes_limit={kept}")
    probed(shell, notes_kept=kept)
    assert probe_check(shell)["ok"] is False
    done = shell.type(PUSH)
    assert done.code == 3
    assert "does not store the line in the notes by which leads are recognised" in done.err
    assert not shell.sandbox.leads()


# Clearing


@pytest.mark.parametrize(
    ("quirks", "update"),
    [
        ([], {"partial": True, "null_clears": True, "empty_clears": False}),
        (
            ["null_ignored", "empty_clears"],
            {"partial": True, "null_clears": False, "empty_clears": True},
        ),
        (["replacing_update"], {"partial": False, "null_clears": True, "empty_clears": True}),
    ],
)
def test_what_became_empty_is_cleared_in_the_way_that_was_found(start, quirks, update):
    shell = sent(start(*quirks))
    shell.sandbox.add_lead({"email": "other@x.example", "title": "Other"})
    assert shell.type(VERIFY).code == 0
    changed(shell, jobtitle="")
    done = told(shell.type(UPDATE))
    assert (done["not_cleared"], done["updated"]) == (CONTACTS, 0)
    probed(shell, update=update)
    done = told(shell.type(UPDATE))
    assert (done["not_cleared"], done["updated"], done["exit_code"]) == (0, CONTACTS, 0)
    ours = [one for one in shell.sandbox.leads() if one["email"] != "other@x.example"]
    assert not any(one.get("title") for one in ours)
    assert all(one["companyName"] and one["notes"] for one in ours)
    now = told(shell.type(f"{VERIFY} --json"))
    assert (now["exit_code"], now["verified"], now["edited"]) == (0, CONTACTS, 0)
    assert shell.type("audit --settle 0.1").code == 0


def test_a_ledger_that_was_never_probed_uses_the_probe_of_its_host(start):
    """The first update would find out by itself that it replaces, after it had emptied a lead."""
    shell = start("replacing_update")
    found = Findings(update={"partial": False, "null_clears": True, "empty_clears": True})
    folder = load({}, os.environ, shell.folder).state_folder
    keep_probe(folder, ProbeRecord(url_of(shell), 1_000, found), None)
    sent(shell)
    changed(shell, jobtitle="Countess")
    done = told(shell.type(UPDATE))
    assert (done["exit_code"], done["updated"]) == (0, CONTACTS)
    assert all(one["title"] == "Countess" and one["companyName"] for one in shell.sandbox.leads())


def test_a_probe_without_the_ledger_does_not_overrule_what_an_update_found_to_be_dangerous(start):
    shell = sent(start("replacing_update"))
    url = url_of(shell)
    with Ledger.open_for_work(shell.folder / "migrator.db") as ledger:
        ledger.updates.set_replaces(does=True)
        ledger.probes.adopt(ProbeRecord(url, 1_000, Findings(update={"partial": True})))
        assert ledger.updates.replaces() is True
        ledger.probes.add(ProbeRecord(url, 2_000, Findings(update={"partial": True})))
        assert ledger.updates.replaces() is False


# Settle


@pytest.mark.parametrize("command", [PUSH, VERIFY, UPDATE, f"{UNDO} 1", AUDIT])
def test_settle_is_raised_and_said_once(start, command):
    shell = sent(start())
    probed(shell, late_s=0.2, list_lag_s=0.45)
    said = shell.type(command).err
    assert said.count("--settle 0.3 is raised to 1: the probe of ") == 1


def test_settle_is_never_lowered(start):
    shell = sent(start())
    probed(shell, late_s=0.2)
    assert "is raised" not in shell.type(f"{VERIFY} --settle 2").err


def test_verify_right_after_an_update_waits_until_it_must_be_listed(start):
    shell = sent(start(lag=0.6))
    probed(shell, list_lag_s=0.6)
    assert shell.type(VERIFY).code == 0
    for title in ("Countess", "Duchess"):  # the first updates of a ledger are read back
        changed(shell, jobtitle=title)
        assert told(shell.type(UPDATE))["updated"] == CONTACTS
    now = told(shell.type(f"{VERIFY} --json"))
    assert (now["exit_code"], now["different"], now["verified"]) == (0, 0, CONTACTS)
    assert now["pages"] == 2


# E-mails


def test_a_lead_of_others_is_not_overwritten(start):
    shell = start("updating_email")
    shell.sandbox.add_lead({"email": contact(0)["email"], "title": "theirs"})
    assert shell.type(PUSH).code == 0
    assert shell.count("held = 'already_in_destination'") == 1
    assert shell.type("retry --reason already_in_destination").code == 0
    probed(shell, same_email="updated")
    done = shell.type(PUSH)
    assert done.code == 0
    assert "1 contact held again (already_in_destination)" in done.err
    for words in ("--reason already_in_destination", "1"):
        done = shell.type(f"retry {words}")
        assert done.code == 3
        assert "would overwrite the leads of others. None was freed" in done.err
    (theirs,) = [one for one in shell.sandbox.leads() if one["email"] == contact(0)["email"]]
    assert theirs["title"] == "theirs"


# Pages and pace


def test_the_plan_uses_the_page_and_the_pace_that_were_found(start):
    shell = start("page_limit=2")
    for number in range(5):
        shell.sandbox.add_lead({"email": f"other{number}@x.example"})
    before = told_whole(shell, "plan --json")
    probed(shell, page_limit=2, rate_limit=90)
    now = told_whole(shell, "plan --json")
    assert now["requests"]["look"] == before["requests"]["look"] + 2
    assert (before["per_minute"], now["per_minute"]) == (400, 90)


# Shown


def told_whole(shell: InProcessCli, words: str) -> dict[str, Any]:
    done = shell.type(words)
    found: dict[str, Any] = json.loads(done.out)
    return found


def probe_check(shell: InProcessCli) -> dict[str, Any]:
    checks = told_whole(shell, "preflight --json")["checks"]
    found: dict[str, Any] = next(one for one in checks if one["name"] == "probe")
    return found


def test_preflight_names_the_probe_with_its_age(start):
    shell = start()
    never = probe_check(shell)
    assert (never["ok"], never["is_warning"], never["next"]) == (True, False, "migrator probe")
    probed(shell, days_ago=100, page_limit=25)
    old = probe_check(shell)
    assert (old["ok"], old["is_warning"], old["next"]) == (True, True, "migrator probe")
    assert old["found"].startswith("100 days old, of ")
    probed(shell, days_ago=3, page_limit=25, rate_limit=90)
    new = probe_check(shell)
    assert (new["ok"], new["is_warning"], new["next"]) == (True, False, None)
    assert "A page of leads has at most 25, not 1,000." in new["found"]
    assert "3 leads take 2 s or more at that rate" in new["found"]


def test_the_report_has_the_day_and_what_differs_from_the_guide(start):
    shell = start()
    assert told_whole(shell, "report --json")["probe"] is None
    assert "probed" not in shell.type("report").out
    probed(shell, delete="marked", cursor="lastKey")
    probe = told_whole(shell, "report --json")["probe"]
    assert probe["differs"] == ["A deleted lead stays listed, with a mark."]
    assert f"{probe['at'][:10]}: A deleted lead stays listed" in shell.type("report").out
    assert shell.type("report --html page.html").code == 0
    page = (shell.folder / "page.html").read_text("utf-8")
    assert f"<dt>Probed</dt><dd>{probe['at'][:10]}: A deleted lead" in page
