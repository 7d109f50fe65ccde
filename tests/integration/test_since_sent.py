"""What became of sent contacts, as people see it: report, page, tables, show, plan, decisions."""

import csv
import io
import json
from typing import Any

import pytest

from tests.integration.test_amend import save, table
from tests.support.html_page import Read, change
from tests.support.inprocess_cli import PUSH, SETTLE, VERIFY, InProcessCli, stops
from tests.support.journeys import contact

UPDATE = f"update --yes --rate max --settle {SETTLE} --timeout 2 --retry-for 0"


@pytest.fixture
def shell(sandbox, tmp_path, monkeypatch, capsys) -> InProcessCli:
    """Four contacts that were sent and verified; then HubSpot and people change things."""
    shell = InProcessCli(tmp_path, sandbox(contacts=0), monkeypatch, capsys)
    for number in range(1, 5):
        who = contact(number, jobtitle="Engineer", phone="+49 30 1")
        shell.sandbox.add_contact(who, contact_id=str(number))
    for words in ("stage -q", f"{PUSH} -q", f"{VERIFY} -q"):
        assert shell.type(words).code == 0
    return shell


def lead(shell: InProcessCli, hubspot_id: str) -> dict[str, Any]:
    ((lead_id,),) = shell.ask(f"SELECT lead_id FROM contact WHERE hubspot_id = '{hubspot_id}'")
    return next(one for one in shell.sandbox.leads() if one["id"] == lead_id)


def edit(shell: InProcessCli, hubspot_id: str, **fields: str) -> None:
    """Somebody changes a lead in LeadGenius."""
    shell.sandbox.change_lead(lead(shell, hubspot_id)["id"], **fields)


def restage(shell: InProcessCli, **jobtitles: str) -> None:
    for hubspot_id, title in jobtitles.items():
        shell.sandbox.change_contact(hubspot_id.lstrip("c"), jobtitle=title)
    assert shell.type("stage -q").code == 0


def in_conflict(shell: InProcessCli, *hubspot_ids: str) -> None:
    """HubSpot says CTO, somebody in LeadGenius said Boss."""
    for hubspot_id in hubspot_ids:
        edit(shell, hubspot_id, title="Boss")
    restage(shell, **dict.fromkeys((f"c{one}" for one in hubspot_ids), "CTO"))
    assert shell.type(UPDATE).code == 1


def printed(shell: InProcessCli, words: str) -> Any:
    done = shell.type(f"{words} --json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def shown(shell: InProcessCli, hubspot_id: str) -> dict[str, Any]:
    (story,) = printed(shell, f"show {hubspot_id}")["contacts"]
    return dict(story)


def flat(text: str) -> str:
    return " ".join(text.split())


def page(shell: InProcessCli) -> Read:
    assert shell.type("report --html report.html").code == 0
    return Read.of((shell.folder / "report.html").read_text(encoding="utf-8"))


# Changed


def test_all_that_changed_since_it_was_sent_is_told_with_both_values(shell):
    restage(shell, c1="CTO", c2="CTO", c3="CTO", c4="CTO")
    every = printed(shell, "report")["since_sent"]["changed"]
    assert [one["contact"] for one in every] == ["1", "2", "3", "4"]
    assert every[0]["fields"] == {"title": {"sent": "Engineer", "now": "CTO"}}
    report = flat(shell.type("report").out)
    assert "4 changed in HubSpot after being posted: 1, 2, 3 and 1 more." in report
    assert "Next: migrator update" in report
    assert 'title: "Engineer" → "CTO"' in page(shell).text
    assert shown(shell, "1")["changes"] == {"title": {"sent": "Engineer", "now": "CTO"}}
    assert 'title Engineer now in HubSpot: "CTO"' in flat(shell.type("show 1").out)
    plan = printed(shell, "plan --offline")
    assert plan["update"] == {"changed_since_sent": 4, "conflicts": 0, "gone": 0}
    assert "4 changed in HubSpot since sent" in flat(shell.type("plan --offline").out)


def test_what_changed_is_written_as_a_table_field_by_field(shell):
    shell.sandbox.change_contact("2", jobtitle="CTO", phone="")
    assert shell.type("stage -q").code == 0
    for _ in range(2):  # a table of changes may be written over
        done = shell.type("report --csv changed.csv --changed")
        assert done.out == "1 contact changed, and written to changed.csv\n"
    text = (shell.folder / "changed.csv").read_bytes().decode("utf-8-sig")
    head, *rows = csv.reader(io.StringIO(text, newline=""))
    assert head == ["HubSpot id", "field", "sent", "now at HubSpot"]
    assert ["2", "title", "Engineer", "CTO"] in rows
    assert ["2", "phoneNumber", "'+49 30 1", ""] in rows
    (shell.folder / "mine.csv").write_text("mine")
    stops(shell.type("report --csv mine.csv --changed"), 2, "is not a table of changes")
    stops(shell.type("report --changed"), 2, "--changed needs --csv")


def test_after_the_update_nothing_is_changed_any_more(shell):
    restage(shell, c1="CTO")
    assert shell.type(UPDATE).code == 0
    assert printed(shell, "report")["since_sent"]["changed"] == []
    _, update = shown(shell, "1")["attempts"]
    assert (update["kind"], update["fields"]) == ("update", {"title": "CTO"})
    assert update["overrode"] is None
    story = flat(shell.type("show 1").out)
    assert "2 update" in story
    assert "(title)" in story
    assert "1 updated" in flat(shell.type("report").out)
    assert shell.type(f"audit --settle {SETTLE}").code == 0


# Gone


def test_who_is_gone_is_told_by_reason(shell):
    shell.sandbox.remove_contact("1")
    new = shell.sandbox.merge_contacts("2", "3")
    assert shell.type("stage -q").code == 0
    report = printed(shell, "report")
    assert report["gone"] == {"merged": 2, "archived": 1, "unknown": 0}
    told = {one["contact"]: one for one in report["since_sent"]["gone"]}
    assert (told["1"]["why"], told["2"]["why"], told["2"]["merged_into"]) == (
        "archived",
        "merged",
        new,
    )
    assert "1 (archived)" in flat(shell.type("report").out)
    assert page(shell).facts["gone.merged"] == "2"
    old, heir = shown(shell, "2"), shown(shell, new)
    assert (old["merged_into"], old["successor"]) == (new, new)
    assert heir["predecessors"] == ["2"]
    assert "succeeds 2: it has the lead of that contact" in flat(shell.type(f"show {new}").out)
    assert shell.type(f"audit --settle {SETTLE}").code == 0
    assert shell.type(UPDATE).code == 0  # the lead becomes the successor's own
    assert f"/{new}]" in lead(shell, new)["notes"]
    assert shell.type(f"audit --settle {SETTLE}").code == 0


def test_who_was_taken_back_is_told(shell):
    change(
        shell.folder / "migrator.db",
        "UPDATE contact SET state = 'mapped', lead_id = NULL, held = 'undone' "
        "WHERE hubspot_id IN ('2', '3')",
    )
    report = printed(shell, "report")
    assert report["since_sent"]["undone"] == ["2", "3"]
    assert report["held"]["undone"]["contacts"] == 2
    assert report["sums"]["closes"]
    assert "Taken back" in page(shell).text


def test_an_update_of_some_leaves_the_others_to_the_next_one(shell):
    restage(shell, c1="CTO", c2="CTO", c3="CTO", c4="CTO")
    done = shell.type(f"{UPDATE} --limit 1")
    assert "--limit 1: not all of these 4 leads are written" in done.err
    run = UPDATE.replace("update --yes", "run --update --limit 1")
    for words in (VERIFY, f"{UPDATE} 3", VERIFY, run):
        assert shell.type(words).code == 0
        assert printed(shell, "report")["next"] == "migrator update", words
    for words in (UPDATE, VERIFY):
        assert shell.type(words).code == 0
    assert printed(shell, "report")["next"] is None
    assert {one["title"] for one in shell.sandbox.leads()} == {"CTO"}


# In conflict


def test_a_conflict_is_told_with_its_three_values(shell):
    in_conflict(shell, "1", "2")
    values = {"title": {"sent": "Engineer", "there": "Boss", "new": "CTO"}}
    assert shown(shell, "1")["conflict"] == values
    assert shown(shell, "3")["conflict"] is None
    told = printed(shell, "report")["since_sent"]["conflicts"]
    assert [(one["contact"], one["held"], one["fields"]) for one in told] == [
        ("1", "conflict", values),
        ("2", "conflict", values),
    ]
    words = 'title: sent "Engineer", in LeadGenius "Boss", in HubSpot "CTO"'
    assert words in flat(shell.type("report").out)
    assert words in page(shell).text
    story = flat(shell.type("show 1").out)
    assert 'title Engineer in LeadGenius: "Boss" now in HubSpot: "CTO"' in story
    assert printed(shell, "plan --offline")["update"]["conflicts"] == 2


@pytest.mark.parametrize(
    ("cell", "value"),
    [("(HubSpot)", "CTO"), ("(leadgenius)", "Boss"), ("CTO", "CTO"), ("Head", "Head")],
)
def test_a_decision_comes_back_from_the_table_and_update_writes_it(shell, cell, value):
    in_conflict(shell, "1", "2")
    rows = table(shell)
    assert [rows[0][f"title: {part}"] for part in ("sent", "in LeadGenius", "in HubSpot")] == [
        "Engineer",
        "Boss",
        "CTO",
    ]
    rows[0]["title: decision"] = cell
    save(shell, rows)
    done = shell.type("amend held.csv --yes")
    assert done.code == 0, done.err
    assert "1 conflict decided" in done.out
    assert f'contact 1 · title: "Boss" -> "{value}" · decided' in done.err
    assert shown(shell, "1")["held"] == "conflict"
    assert shown(shell, "1")["decided"] == {"title": {"there": "Boss", "value": value}}
    assert "Next: migrator update" in flat(shell.type("report").out)
    assert shell.type("amend held.csv --yes").out.startswith("0 contacts amended")
    assert shell.type(UPDATE).code == 1  # the other one is still to be decided
    assert lead(shell, "1")["title"] == value
    assert lead(shell, "2")["title"] == "Boss"
    assert shown(shell, "1")["held"] is None
    assert shell.type(f"audit --settle {SETTLE}").code == 0


def test_a_decision_about_another_value_is_dropped_and_asks_for_no_update(shell):
    """Otherwise `report` would name the same next command for ever."""
    edit(shell, "1", phoneNumber="+1")
    shell.sandbox.change_contact("1", phone="+2")
    in_conflict(shell, "1")
    rows = table(shell)
    rows[0]["title: decision"] = rows[0]["phoneNumber: decision"] = "(HubSpot)"
    save(shell, rows)
    assert shell.type("amend held.csv --yes").code == 0
    edit(shell, "1", title="Chief")
    assert shell.type(UPDATE).code == 1  # the title is in conflict anew
    assert (lead(shell, "1")["title"], lead(shell, "1")["phoneNumber"]) == ("Chief", "+2")
    assert shown(shell, "1")["decided"] is None
    assert printed(shell, "report")["next"] != "migrator update"


def decide(shell: InProcessCli, **decisions: str) -> None:
    """Decide fields of the first contact of the table."""
    (row, *_) = table(shell)
    save(shell, [row | {f"{name}: decision": value for name, value in decisions.items()}])
    assert shell.type("amend held.csv --yes").code == 0


def test_a_decision_rests_until_hubspot_gives_the_field_another_value(shell):
    edit(shell, "1", phoneNumber="+1")
    shell.sandbox.change_contact("1", phone="+2")
    in_conflict(shell, "1")
    decide(shell, title="(HubSpot)", phoneNumber="(HubSpot)")
    restage(shell, c1="CEO")
    assert shown(shell, "1")["decided"] == {"phoneNumber": {"there": "+1", "value": "+2"}}
    assert shell.type(UPDATE).code == 1
    assert (lead(shell, "1")["title"], lead(shell, "1")["phoneNumber"]) == ("Boss", "+2")
    assert shown(shell, "1")["conflict"]["title"]["new"] == "CEO"


def test_a_decision_about_what_hubspot_takes_back_is_dropped(shell):
    shell.sandbox.add_contact(contact(9, jobtitle="Engineer"), contact_id="9")
    restage(shell)
    assert shell.type(f"{PUSH} -q").code == 0
    edit(shell, "9", title="Boss")
    assert shell.type(VERIFY).code == 1
    restage(shell, c9="CTO")
    decide(shell, title="(HubSpot)")
    restage(shell, c9="Engineer")
    assert shown(shell, "9")["decided"] is None
    assert shell.type(UPDATE).code == 0
    assert lead(shell, "9")["title"] == "Boss"


def test_a_decision_about_a_contact_that_is_gone_asks_for_no_update(shell):
    in_conflict(shell, "1")
    decide(shell, title="(HubSpot)")
    shell.sandbox.remove_contact("1")
    restage(shell)
    assert printed(shell, "report")["next"] != "migrator update"


def test_an_update_is_next_after_a_refused_one_is_freed(shell):
    restage(shell, c1="CTO", c2="CTO")
    lead_id = lead(shell, "1")["id"]
    shell.sandbox.fault("update:refuse", where=lambda sent: sent["id"] == lead_id)
    assert shell.type(UPDATE).code == 1
    assert shell.type(VERIFY).code == 0
    assert printed(shell, "report")["next"] is None
    assert shell.type("retry --reason refused").code == 0
    assert printed(shell, "report")["next"] == "migrator update"
    assert shell.type(UPDATE).code == 0
    assert shell.type(VERIFY).code == 0
    assert printed(shell, "report")["next"] is None


def test_an_update_is_next_after_another_change_beside_what_is_not_cleared(shell):
    shell.sandbox.change_contact("1", phone="")
    restage(shell)
    assert shell.type(UPDATE).code == 0
    assert printed(shell, "report")["next"] is None
    restage(shell, c1="CTO")
    assert printed(shell, "report")["next"] == "migrator update"


def test_who_is_in_neither_service_any_more_is_not_to_be_sent_again(empty):
    empty.sandbox.add_contact(contact(1), contact_id="1")
    assert empty.type("stage -q").code == 0
    assert empty.type(f"{PUSH} -q").code == 0
    empty.sandbox.delete_lead(lead(empty, "1")["id"])
    empty.sandbox.remove_contact("1")
    assert empty.type(VERIFY).code == 1
    assert printed(empty, "report")["next"] == "migrator retry --reason missing"
    restage(empty)
    assert printed(empty, "report")["next"] is None


def test_an_e_mail_that_another_lead_has_is_said_to_be_and_not_decided(shell):
    """Two contacts exchange their e-mails."""
    for one, other in (("1", "2"), ("2", "1")):
        shell.sandbox.change_contact(one, email=f"ada{other}@x.example")
    restage(shell)
    assert shell.type(f"{UPDATE} --prefer hubspot").code == 1
    why = "not written, as another lead has it: correct it in LeadGenius"
    assert f'in HubSpot "ada2@x.example" ({why})' in flat(shell.type("report").out)
    assert "HubSpot's value is not in LeadGenius: email" in flat(shell.type("show 1").out)
    rows = table(shell)
    rows[0]["email: decision"] = "(HubSpot)"
    save(shell, rows)
    stops(shell.type("amend held.csv --yes"), 2, f"contact 1: email: {why}")
    for one, other in (("1", "2"), ("2", "1")):
        edit(shell, one, email=f"ada{other}@x.example")
    assert shell.type(UPDATE).code == 0
    assert printed(shell, "report")["held"] == {}


def test_a_decision_is_refused_where_there_is_no_conflict_or_another_value(shell):
    in_conflict(shell, "1")
    restage(shell, c2="CTO")
    (row,) = table(shell)
    row["title: decision"] = "(HubSpot)"
    save(shell, [{**row, "phoneNumber: decision": "1"}])
    stops(shell.type("amend held.csv --yes"), 2, "phoneNumber: it is not in conflict")
    save(shell, [{"HubSpot id": "2", "title: decision": "(HubSpot)"}])
    stops(shell.type("amend held.csv --yes"), 2, "contact 2: title: it is not in conflict")
    save(shell, [{**row, "jobtitle": "Head"}])
    stops(shell.type("amend held.csv --yes"), 2, "LeadGenius has its lead")
    edit(shell, "1", title="Chief")
    assert shell.type(UPDATE).code == 1
    save(shell, [row])
    stops(shell.type("amend held.csv --yes"), 2, "its values have changed since the table")
    assert shown(shell, "1")["decided"] is None


def test_a_table_with_a_decision_that_is_not_applied_is_not_overwritten(shell):
    in_conflict(shell, "1")
    (row,) = table(shell)
    save(shell, [{**row, "title: decision": "(HubSpot)"}])
    stops(shell.type("report --csv held.csv"), 2, "has corrections that are not applied yet")
    assert shell.type("amend held.csv --yes").code == 0
    (row,) = table(shell)
    assert row["title: decision"] == "CTO"
    save(shell, [row])
    assert shell.type(UPDATE).code == 0
    # Unedited, it changes nothing, however old it is.
    assert shell.type("amend held.csv --yes").out.startswith("0 contacts amended")


def test_what_verify_holds_as_different_is_decided_in_the_same_way(shell):
    shell.sandbox.add_contact(contact(9, jobtitle="Engineer", phone="+49 30 1"), contact_id="9")
    assert shell.type("stage -q").code == 0
    assert shell.type(f"{PUSH} -q").code == 0
    ours = lead(shell, "9")["notes"]
    edit(shell, "9", title="Boss", notes=ours.partition("\n")[2] + "\nCall her.")
    assert shell.type(VERIFY).code == 1
    assert shown(shell, "9")["conflict"]["title"] == {
        "sent": "Engineer",
        "there": "Boss",
        "new": "Engineer",
    }
    (row,) = table(shell)
    assert "Call her." in row["notes: in HubSpot"]
    save(shell, [{**row, "title: decision": "(HubSpot)", "notes: decision": "(HubSpot)"}])
    assert shell.type("amend held.csv --yes").code == 0
    assert shown(shell, "9")["held"] == "different"
    assert shell.type(UPDATE).code == 0
    assert lead(shell, "9")["title"] == "Engineer"
    assert {*ours.splitlines(), "Call her."} == {*lead(shell, "9")["notes"].splitlines()}
    assert shell.type(f"audit --settle {SETTLE}").code == 0
