"""The plan: what a push would do is what it then does, and planning writes nothing."""

import io
import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from rich.console import Console

from migrator.errors import LedgerError, LedgerForgotten, NotReady, UsageError, WrongJourney
from migrator.leadgenius.api import LEADS_PER_PAGE
from migrator.ledger import Intent, LeadIdentity, Ledger
from migrator.push.loop import LEADS_BETWEEN_CHECKS
from migrator.report import contact as contact_report
from migrator.report import contact_page, destination_scan, plan_page, request_estimate
from migrator.report.plan import read as read_plan
from migrator.sandbox import Sandbox
from migrator.sandbox.contacts import UNLABELED
from migrator.text import readable_json
from tests.support.inprocess_cli import PUSH, VERIFY, InProcessCli, stops
from tests.support.journeys import contact, digest

NOWHERE = "http://127.0.0.1:9"


def planned(shell: InProcessCli, words: str = "") -> dict[str, Any]:
    done = shell.type(f"plan --json {words}")
    assert done.code == 0, done.err
    what: dict[str, Any] = json.loads(done.out)
    return what


def ours(sandbox: Sandbox, hubspot_id: str, **more: str) -> dict[str, str]:
    line = f"[HubSpot record: {sandbox.portal_id}/{hubspot_id}]"
    return {"email": f"ada{hubspot_id}@x.example", "notes": line, **more}


# What would be sent


def test_a_lead_that_is_marked_as_deleted_keeps_nobody_back(three):
    three.sandbox.add_lead(ours(three.sandbox, "1", status="to_be_deleted"))
    three.sandbox.add_lead({"email": "ada2@x.example", "deletedAt": "2026-01-05T10:00:00Z"})
    assert planned(three)["would_send"] == 3
    assert three.type(PUSH).out.startswith("3 posted")


def test_of_two_contacts_that_one_lead_names_one_is_kept_back_as_foreign(three):
    lead = ours(three.sandbox, "1")
    line = ours(three.sandbox, "2")["notes"]
    three.sandbox.add_lead({"email": "else@x.example", "notes": f"{lead['notes']}\n{line}"})
    there = planned(three)
    assert there["would_send"] == 1
    assert three.type(PUSH).out.startswith("1 posted · 1 adopted")
    assert three.count("held = 'already_in_destination'") == 1


def test_what_is_planned_is_what_is_sent(three):
    samples = planned(three, "--show 5")["samples"]
    assert planned(three)["would_send"] == len(samples) == 3
    assert three.type(PUSH).code == 0
    bodies = [json.dumps(one["payload"], separators=(",", ":")).encode() for one in samples]
    sent = three.ask("SELECT payload_hash FROM attempt ORDER BY contact_key")
    assert sent == [(digest(body),) for body in bodies]


def test_planning_writes_nothing(three):
    before = (three.folder / "migrator.db").read_bytes()
    seen = len(three.sandbox.received)
    planned(three, "--show 2")
    assert three.type("plan 1").code == 0
    assert (three.folder / "migrator.db").read_bytes() == before
    asked = {(one.method, one.path) for one in three.sandbox.received[seen:]}
    assert asked == {("POST", "/api/auth"), ("GET", "/api/clients"), ("GET", "/api/leads")}


def test_what_was_made_up_is_counted(empty):
    for properties in (
        {"email": "grace.hopper@navy.example"},
        {"email": "grace@gmail.com", "lastname": "."},
        {"email": "ada@x.example", "firstname": "Ada", "lastname": "L"},
    ):
        empty.sandbox.add_contact(properties)
    assert empty.type("stage").code == 0
    what = planned(empty)
    assert what["made_up"] == {
        "company_name_from_email": 2,
        "first_name_from_email": 2,
        "last_name_dash": 1,
        "last_name_from_email": 1,
    }
    assert what["without_company_name"] == 1
    page = empty.type("plan").out
    assert "companyName: guessed from the e-mail's domain" in page
    assert "lastName: a dash" in page


def test_companies_without_a_primary_are_counted_by_what_chose_them(empty):
    firm = empty.sandbox.add_company("5", name="Acme")
    empty.sandbox.add_contact(contact(1), [(firm, UNLABELED)])
    empty.sandbox.add_contact(contact(2, associatedcompanyid=firm))
    empty.sandbox.add_contact(contact(3))
    assert empty.type("stage").code == 0
    assert planned(empty)["company"] == {"associatedcompanyid": 1, "first": 1, "none": 1}
    assert "HubSpot lists no primary one; the first of its companies" in empty.type("plan").out


def test_contacts_that_are_not_sent_are_counted_by_reason(empty):
    for email in ("", "nonsense", "ada@x.example", "ADA@x.example"):
        empty.sandbox.add_contact({"firstname": "A", "lastname": "B", "email": email})
    assert empty.type("stage").code == 0
    what = planned(empty)
    assert what["held"] == {"no_email": 1, "invalid_email": 1, "duplicate_email": 1}
    assert what["sendable"] == 1


def test_of_two_with_one_email_the_first_one_wins_and_it_says_why(empty):
    for hubspot_id in ("12", "7"):
        empty.sandbox.add_contact(contact(1), contact_id=hubspot_id)
    assert empty.type("stage").code == 0
    [rivalry] = planned(empty)["duplicates"]["first"]
    assert rivalry == {"contact": "7", "winner": "12", "why": "HubSpot returned it first"}
    assert "12 is sent instead of 7: HubSpot returned it first" in empty.type("plan").out
    assert empty.type(PUSH).code == 0
    assert "12 is sent instead of 7: LeadGenius has its lead" in empty.type("plan").out


def test_what_is_in_doubt_is_settled_first_and_not_counted_as_sendable(three):
    with Ledger.open_for_work(three.folder / "migrator.db") as ledger:
        ledger.attempts.record_intents(ledger.runs.begin_run("push"), [Intent(2, "0" * 64)])
    what = planned(three, "--show 9")
    assert (what["in_doubt"], what["sendable"], what["would_send"]) == (1, 2, 2)
    assert what["company"] == {"none": 2}
    assert [one["contact"] for one in what["samples"]] == ["1", "3"]
    assert what["requests"]["settle"] == 2
    assert "Before that it settles 1 in doubt." in three.type("plan --offline").out
    assert "it is in doubt" in three.type("plan 2").out


def test_leads_that_other_rules_built_are_told_apart(three):
    with Ledger.open_for_work(three.folder / "migrator.db") as ledger, ledger.transaction():
        ledger._database.run(
            "INSERT INTO mapping (id, hash, text) SELECT 9, 'abc', text FROM mapping"
        )
        ledger._database.run("UPDATE ledger SET mapping = 9")
        ledger._database.run("UPDATE contact SET mapping = 9 WHERE key = 2")
    assert planned(three, "--offline")["outdated"] == 2
    assert "2 contacts are mapped by another mapping" in three.type("plan --offline").out


def test_what_is_not_mapped_or_not_read_yet_is_said(three):
    with closing(sqlite3.connect(three.folder / "migrator.db")) as db, db:
        db.execute(
            "UPDATE checkpoint SET complete = 0, contacts_seen = 4 WHERE name = 'extraction'"
        )
        db.execute("INSERT INTO contact (hubspot_id, source) VALUES ('4', '{}')")
    what = planned(three, "--offline")
    assert (what["to_map"], what["extracted"], what["next"]) == (1, False, "migrator stage")
    page = three.type("plan --offline").out
    assert "HubSpot has more pages than were read: `migrator stage` first." in page
    assert "1 contact is not mapped yet" in page


# The destination


def test_what_is_there_already_is_not_sent(three):
    three.sandbox.add_lead(ours(three.sandbox, "1"))
    three.sandbox.add_lead({"email": " ADA2@x.example "})
    three.sandbox.add_lead({"email": "somebody@else.example"})
    what = planned(three, "--show 9")
    assert what["destination"] == {
        "looked": True,
        "why_not": None,
        "leads": 3,
        "requests": 1,
        "adopted": 1,
        "duplicates": 0,
        "held": 1,
    }
    assert (what["sendable"], what["would_send"]) == (3, 1)
    assert [one["contact"] for one in what["samples"]] == ["3"]
    pushed = three.type(PUSH)
    assert pushed.out == "1 posted · 1 adopted (already in LeadGenius)\n"


def test_a_duplicate_whose_lead_is_there_takes_the_place_of_the_first(empty):
    for hubspot_id in ("1", "2"):
        empty.sandbox.add_contact(contact(1), contact_id=hubspot_id)
    assert empty.type("stage").code == 0
    empty.sandbox.add_lead(ours(empty.sandbox, "2", email="ada1@x.example"))
    what = planned(empty)
    assert (what["destination"]["adopted"], what["destination"]["duplicates"]) == (1, 1)
    assert what["would_send"] == 0
    assert empty.type(PUSH).out.startswith("0 posted · 1 adopted")


def test_a_lead_is_counted_once_however_often_it_is_there(three):
    for _ in range(3):
        three.sandbox.add_lead(ours(three.sandbox, "1"))
        three.sandbox.add_lead({"email": "ada1@x.example"})
    destination = planned(three)["destination"]
    assert (destination["adopted"], destination["held"]) == (1, 0)


def test_what_is_ours_on_one_page_is_not_held_for_another_page(three):
    look = destination_scan.DestinationScan()
    with Ledger.open_read_only(three.folder / "migrator.db") as ledger:
        for page in (
            LeadIdentity("L1", frozenset({"1"}), None),
            LeadIdentity("L2", frozenset(), "ada1@x.example"),
        ):
            look.take(ledger, [page])
    assert (look.ours, look.foreign, look.kept_back) == (1, 0, 1)


def test_one_that_is_to_be_sent_all_the_same_is_planned_to_be(three):
    three.sandbox.add_lead({"email": "ada1@x.example"})
    assert three.type(f"{PUSH} --limit 1").code == 0
    assert three.type("retry 1").code == 0
    what = planned(three)
    assert what["destination"]["leads"] == 2
    assert (what["destination"]["held"], what["would_send"]) == (0, 2)


def test_every_page_of_the_destination_is_looked_at(three):
    for number in range(LEADS_PER_PAGE):
        three.sandbox.add_lead({"email": f"{number}@else.example"})
    three.sandbox.add_lead(ours(three.sandbox, "3"))
    what = planned(three)
    assert (what["destination"]["leads"], what["destination"]["adopted"]) == (1_001, 1)
    assert what["destination"]["requests"] == 2


def test_offline_nobody_is_asked(three):
    seen = len(three.sandbox.received)
    what = planned(three, "--offline")
    assert len(three.sandbox.received) == seen
    assert what["destination"]["looked"] is False
    assert what["would_send"] == 3


def test_a_service_that_is_down_leaves_a_plan_that_says_so(three, monkeypatch):
    monkeypatch.setenv("LEADGENIUS_BASE_URL", NOWHERE)
    done = three.type("plan")
    assert done.code == 0
    assert "A push would send 3 leads." in done.out
    assert "not looked at: LeadGenius" in done.out


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        (["LEADGENIUS_CLIENT_ID"], "no client is chosen"),
        (["LEADGENIUS_EMAIL", "LEADGENIUS_PASSWORD"], "there are no LeadGenius credentials"),
    ],
)
def test_what_is_lacking_for_a_look_is_said(three, monkeypatch, gone, words):
    for name in gone:
        monkeypatch.delenv(name)
    assert words in planned(three)["destination"]["why_not"]


def test_the_client_that_is_chosen_in_the_ledger_is_the_one(three, monkeypatch):
    monkeypatch.delenv("LEADGENIUS_CLIENT_ID")
    with Ledger.open_for_work(three.folder / "migrator.db") as ledger, ledger.transaction():
        client_id = {"client_id": three.sandbox.client_id}
        ledger._database.run("UPDATE ledger SET chosen_client_id = :client_id", client_id)
    what = planned(three)
    assert what["journey"]["client_id"] == three.sandbox.client_id
    assert what["destination"]["looked"]


# What it takes


def test_the_requests_that_are_planned_are_those_that_are_made(three):
    requests_planned = planned(three)["requests"]
    seen = len(three.sandbox.received)
    assert three.type("push --rate max --settle 0.3 --timeout 2").code == 0
    made = [one for one in three.sandbox.received[seen:] if one.path != "/api/auth"]
    assert len(made) == requests_planned["push"]
    seen = len(three.sandbox.received)
    assert three.type(VERIFY).code == 0
    made = [one for one in three.sandbox.received[seen:] if one.path != "/api/auth"]
    assert len(made) == requests_planned["verification"]


def test_the_time_is_that_of_the_pace(three):
    what = planned(three, "--rate 60")
    assert what["seconds"] == what["requests"]["push"]
    assert planned(three)["per_minute"] == 400


def test_a_pace_that_was_found_is_planned_with(three):
    with Ledger.open_for_work(three.folder / "migrator.db") as ledger:
        ledger.runs.save_rate(1_000)
    assert planned(three)["per_minute"] == 1_000
    assert "at 1,000 a minute, the rate found before" in three.type("plan").out.replace("\n", " ")
    assert planned(three, "--rate 60")["per_minute"] == 60
    assert "found before" not in three.type("plan --rate 60").out


def test_a_push_begins_with_the_pace_that_was_found(three):
    with Ledger.open_for_work(three.folder / "migrator.db") as ledger:
        ledger.runs.save_rate(60)
    assert three.type(PUSH.replace("--rate max", "--limit 1")).code == 0
    look, _, lead = [one.at for one in three.sandbox.received if one.path != "/api/auth"][-3:]
    # A second between each two, but for the half that may be caught up with.
    assert lead - look > 1.4


@pytest.mark.parametrize(
    ("leads", "there", "look", "checks", "logins"),
    [(0, 0, 2, 1, 1), (200, 1_000, 2, 3, 1), (24_000, 1_001, 3, 122, 2)],
)
def test_requests_are_reckoned_in_pages_and_hours(leads, there, look, checks, logins):
    takes = request_estimate.estimate(
        leads=leads, there=there, looks=1, in_doubt=0, canary=True, per_minute=400
    )
    assert (takes.look, takes.checks, takes.logins) == (look, checks, logins)


def test_requests_are_reckoned_by_the_numbers_of_those_who_make_them():
    assert request_estimate.LEADS_PER_PAGE == LEADS_PER_PAGE
    assert request_estimate.LEADS_BETWEEN_CHECKS == LEADS_BETWEEN_CHECKS


# One contact


def test_the_payload_of_one_contact_is_shown_as_it_is(empty):
    # A line separator moves a cursor; an emoji does not.
    empty.sandbox.add_contact(contact(1, lastname="Müller 😀", jobtitle="a\u202eb"), contact_id="1")
    assert empty.type("stage").code == 0
    out = empty.type(["plan", " ADA1@x.example"]).out
    assert '"lastName": "Müller 😀"' in out
    assert json.loads(out[out.index("{") :])["client_id"] == empty.sandbox.client_id


@pytest.mark.parametrize("char", ["\u202e", "\x1b", "\x7f", "\ud800", "\U000e0001", "é", "😀"])
def test_json_for_people_is_harmless_and_loses_nothing(char):
    text = readable_json({"name": char})
    assert all(one.isprintable() or one == "\n" for one in text)
    assert json.loads(text) == {"name": char}
    assert (char in text) == char.isprintable()


def test_of_a_contact_that_is_not_sent_it_says_why(empty):
    empty.sandbox.add_contact({"firstname": "A"}, contact_id="1")
    empty.sandbox.add_contact(contact(2), contact_id="2")
    empty.sandbox.add_contact(contact(2), contact_id="3")
    assert empty.type("stage").code == 0
    assert "would not be sent: it is held as no_email" in empty.type("plan 1").out
    assert "contact 2 has the same e-mail" in empty.type("plan 3").out
    assert empty.type(PUSH).code == 0
    assert "it was sent: LeadGenius has it as lead" in empty.type("plan 2").out


# What cannot be planned


def test_an_unknown_contact_is_named(three):
    stops(three.type("plan 99"), UsageError.exit_code, "'99'", "migrator stage")


def test_without_a_ledger_and_without_contacts_stage_comes_first(empty):
    stops(empty.type("plan"), LedgerError.exit_code, "migrator stage")
    with Ledger.open_for_work(empty.folder / "migrator.db"):
        pass
    stops(empty.type("plan"), NotReady.exit_code, "Nothing is staged", "migrator stage")


def test_another_client_and_another_service_are_refused(three, monkeypatch):
    assert three.type(f"{PUSH} --limit 1").code == 0
    stops(three.type("plan --client-id other"), WrongJourney.exit_code, "other")
    three.sandbox.add_contact(contact(9))
    assert three.type("stage").code == 0
    monkeypatch.setenv("LEADGENIUS_BASE_URL", NOWHERE)
    stops(three.type("plan"), WrongJourney.exit_code, NOWHERE)


def test_an_internal_id_of_a_client_is_refused(three):
    done = three.type(f"plan --client-id {three.sandbox.client_internal_id}")
    stops(done, UsageError.exit_code, three.sandbox.client_id)


def test_a_forgotten_ledger_has_nothing_to_plan(three):
    for words in (PUSH, VERIFY, "forget --yes"):
        assert three.type(words).code == 0
    stops(three.type("plan"), LedgerForgotten.exit_code, "forgotten")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_plan_and_a_story_fit_on_a_narrow_terminal_of_any_encoding(empty, encoding):
    empty.sandbox.add_contact(contact(1, jobtitle="Größe " * 30), contact_id="1" * 100)
    empty.sandbox.add_contact(contact(1))
    empty.sandbox.add_contact({"lastname": "日本語"})
    assert empty.type("stage").code == 0
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=stream, width=80, highlight=False, _environ={"TERM": "dumb"})
    with Ledger.open_read_only(empty.folder / "migrator.db") as ledger:
        contact_page.render(contact_report.read(ledger, "ada1@x.example"), console)
        options: dict[str, Any] = {
            **{"leadgenius_url": NOWHERE, "client_id": "x" * 200, "look": None},
            **{"not_looked": "é " * 100, "per_minute": 400, "samples": 0},
        }
        plan_page.render(read_plan(ledger, **options), console)
    page = stream.buffer.getvalue().decode(encoding)
    assert "A push would send 1 leads." in page
    assert max(map(len, page.splitlines())) <= 80


def test_a_ledger_that_somebody_tampered_with_steers_nothing(three):
    evil = "a\x1b[31mb\u202e\nnext: rm"
    with closing(sqlite3.connect(three.folder / "migrator.db")) as db, db:
        db.execute("UPDATE contact SET derived_fields = ?, hubspot_id = ? || key", (evil, evil))
        db.execute(
            "UPDATE contact SET held = 'refused', detail = json_quote(?) WHERE key > 1", (evil,)
        )
        db.execute("UPDATE ledger SET client_id = ?, leadgenius_url = ?", (evil, evil))
    three.patch.delenv("LEADGENIUS_CLIENT_ID")
    for words in (["plan", "--offline", "--show", "2"], ["plan", evil + "2"], ["show", evil + "2"]):
        done = three.type(words)
        assert done.code == 0, done
        assert all(char.isprintable() or char == "\n" for char in done.out + done.err), words
        assert "\nnext: rm" not in done.out
    done = three.type(["retry", evil + "2", evil + "1"])
    assert all(char.isprintable() or char == "\n" for char in done.out + done.err)
    assert "stays: it is not held" in done.out
    assert "\nnext: rm" not in done.out
