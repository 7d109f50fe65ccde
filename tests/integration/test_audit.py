"""The judge, against ledgers and listings that somebody has tampered with."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks.judge import contact_of, posts
from migrator.audit import NotALedger, audit, evidence
from migrator.audit.rules import RULES
from migrator.errors import ExitCode
from migrator.ledger import AttemptResult, Intent, LeadIdentity, Ledger
from migrator.sandbox import Sandbox
from migrator.states import Hold, Outcome
from tests.support.journeys import Journey
from tests.support.processes import Operator
from tests.support.proof_checker import as_bytes, said
from tests.support.tampering import meddle

CONTACTS = 12
PUSH = "push --rate max --settle 1 --timeout 5 --canary 0"


@pytest.fixture
def journey(sandbox, ledger):
    return halfway(Journey(sandbox(contacts=CONTACTS), ledger))


def halfway(journey: Journey) -> Journey:
    """Half of what can be sent is sent, one of it found only after a doubt."""
    journey.stage()
    journey.sandbox.fault("drop_after_saving")
    # Alone, so that no other one is taken back for its sake and sent a second time.
    journey.push(limit=1)
    journey.push(limit=4)
    return journey


@pytest.fixture(scope="module")
def left_halfway(tmp_path_factory) -> tuple[Path, list[Any]]:
    """The ledger of such a journey, closed, and the leads that are listed."""
    path = tmp_path_factory.mktemp("halfway") / "migrator.db"
    with Sandbox(contacts=CONTACTS) as sandbox:
        with Ledger.open_for_work(path) as ledger:
            halfway(Journey(sandbox, ledger))
        return path, sandbox.leads()


def proof(journey: Journey, leads: Iterable[Mapping[str, Any]] | None = None) -> list[Any]:
    """What the audit says; the script for strangers agrees with each proof that holds."""
    texts: list[str] = []
    listing = [*(journey.sandbox.leads() if leads is None else leads)]
    verdict = audit(journey.ledger.path, listing, texts.append)
    assert (said(as_bytes(texts), listing) == []) or not verdict.holds, said(
        as_bytes(texts), listing
    )
    return [*map(json.loads, texts)]


def rules(lines: list[Any]) -> set[str]:
    return {line["rule"] for line in lines if line["kind"] == "fault"}


def tamper(path: Path, script: str) -> None:
    """Change what the schema would refuse, as a bug or a hand with `sqlite3` might."""
    with closing(sqlite3.connect(path)) as ledger:
        triggers = ledger.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        ledger.executescript("".join(f"DROP TRIGGER {name};" for (name,) in triggers.fetchall()))
        ledger.executescript(f"PRAGMA ignore_check_constraints = ON; {script}")


# What holds ---------------------------------------------------------------------------------------


def test_an_honest_ledger_is_proven_contact_by_contact(journey):
    journey.push()
    lines = proof(journey)
    assert rules(lines) == set()
    assert lines[-1]["kind"] == "verdict"
    assert lines[-1]["holds"]
    assert lines[-1]["complete"]
    sent = {one["contact"]: one for one in lines if one["kind"] == "send" and one["lead"]}
    assert len(sent) == lines[-1]["with_lead"] == len(journey.sandbox.held)
    keys = {one.key for one in posts(journey.sandbox)}
    assert {one["payload_sha256"] for one in sent.values()} <= keys
    reasons = {one["reason"] for one in lines if one["kind"] == "contact" and not one["lead"]}
    assert reasons <= {"no_email", "invalid_email", "duplicate_email"}


def test_a_ledger_in_the_middle_of_its_journey_holds_and_is_not_complete(journey):
    verdict = proof(journey)[-1]
    assert verdict["holds"]
    assert not verdict["complete"]
    assert verdict["with_lead"] == 5
    assert verdict["waiting"] > 0


def test_a_doubt_is_no_fault_whether_its_lead_is_listed_or_not(journey):
    key, contact = journey.ask(
        "SELECT min(key), hubspot_id FROM contact WHERE lead_id IS NULL AND held IS NULL"
    )[0]
    run_id = journey.ledger.runs.begin_run("push")
    journey.ledger.attempts.record_intents(run_id, [Intent(key, "0" * 64)])
    line = f"[HubSpot record: {journey.sandbox.portal_id}/{contact}]"
    for more in ([], [{"id": "late", "notes": line}]):
        verdict = proof(journey, [*journey.sandbox.leads(), *more])[-1]
        assert verdict["holds"]
        assert verdict["in_doubt"] == 1


def test_a_lead_that_another_ledger_sent_is_traced_by_its_line(sandbox, tmp_path):
    with Ledger.open_for_work(tmp_path / "lost.db") as lost:
        first = Journey(sandbox(contacts=CONTACTS), lost)
        first.stage()
        first.push()
    with Ledger.open_for_work(tmp_path / "new.db") as ledger:
        second = Journey(first.sandbox, ledger)
        second.stage()
        assert second.push().adopted > 0
        assert rules(proof(second)) == set()


def test_a_lead_sent_again_because_the_user_asked_is_no_fault(journey):
    journey.push()
    journey.sandbox.delete_lead(journey.sandbox.leads()[0]["id"])
    journey.verify(pause=lambda seconds: None)
    assert rules(proof(journey)) == set()  # held as missing: that is its reason
    journey.ledger.holds.release(None, None)
    journey.push()
    assert rules(proof(journey)) == set()


def test_leads_of_others_are_counted_and_no_fault(journey):
    line = f"[HubSpot record: {journey.sandbox.portal_id}/404]"
    others: list[Any] = [{"id": "x", "notes": None}, {"id": "y"}, {"id": "z", "notes": line}]
    lines = proof(journey, [*journey.sandbox.leads(), *others])
    assert rules(lines) == set()
    assert (lines[-1]["strangers"], lines[-1]["unknown"]) == (2, 1)


def test_it_writes_nothing_to_the_ledger(journey):
    before = journey.ask("PRAGMA data_version"), journey.ledger.path.read_bytes()
    proof(journey)
    assert (journey.ask("PRAGMA data_version"), journey.ledger.path.read_bytes()) == before


ASKED_OF_A_CONTACT = (
    *(evidence._CONTACTS, evidence._PREDECESSORS, evidence._INHERITED, evidence._LISTED_OF),
    *(evidence._LEFT_BY, evidence._DELETED_BUT_LISTED, evidence._SAME_EMAIL),
)


def test_what_belongs_to_a_contact_is_found_by_an_index(left_halfway):
    with evidence.LedgerEvidence.of(*left_halfway) as found:
        found._database.execute("CREATE TEMP TABLE named_by_another (key INTEGER PRIMARY KEY)")
        asked = [re.sub(r"\?\d?", "1", sql) for sql in ASKED_OF_A_CONTACT]
        plans = [found._rows(f"EXPLAIN QUERY PLAN {sql}") for sql in asked]
        whole = {row[3] for plan in plans for row in plan if row[3].startswith("SCAN")}
    assert whole == {"SCAN contact"}  # by which all contacts are read, once


# What does not ------------------------------------------------------------------------------------

AGAIN = (
    "INSERT INTO attempt (contact_key, payload_hash, sent_ms, settled_ms, number, run_id, "
    "outcome, lead_id) SELECT contact_key, payload_hash, sent_ms, settled_ms,"
)
TAMPERINGS = {
    "UPDATE contact SET state = 'lost' WHERE key = 1": "state",
    "UPDATE contact SET lead_id = NULL WHERE state = 'posted'": "state",
    "UPDATE contact SET lead = NULL WHERE state = 'posted'": "state",
    "UPDATE contact SET held = 'gave_up' WHERE state = 'posted'": "history",
    "DELETE FROM event WHERE number = 2": "history",
    "DELETE FROM event WHERE number = 1": "history",
    "UPDATE event SET target = 'verified' WHERE target = 'posted'": "history",
    "UPDATE attempt SET number = number + 1": "attempts",
    "UPDATE attempt SET outcome = 'perhaps', lead_id = NULL": "attempts",
    "UPDATE attempt SET lead_id = NULL": "attempts",
    "UPDATE attempt SET outcome = NULL": "attempts",
    "UPDATE attempt SET payload_hash = 'x'": "trace",
    "UPDATE contact SET lead = replace(lead, 'firstName', 'lastName') WHERE lead_id > ''": "trace",
    "UPDATE attempt SET outcome = 'absent', lead_id = NULL": "trace:unlined",
    "UPDATE contact SET state = 'mapped', lead_id = NULL WHERE state = 'posted'": "once",
    f"{AGAIN} number + 1, run_id, outcome, 'again' FROM attempt": "once",
    f"{AGAIN} number + 1, 0, 'refused', NULL FROM attempt": "attempts",
    "UPDATE attempt SET kind = 'upsert'": "attempts",
    "UPDATE attempt SET kind = 'update'": "attempts",
    "UPDATE attempt SET kind = 'update', outcome = 'updated'": "values",
    "UPDATE attempt SET kind = 'delete', outcome = 'deleted'": "attempts:payload",
    "UPDATE attempt SET fields = '{}'": "attempts",
    "UPDATE ledger SET intents = intents + 1": "intents",
    "DELETE FROM attempt WHERE contact_key = (SELECT max(contact_key) FROM attempt)": "intents",
    "UPDATE run SET intents = intents + 1": "intents",
    "UPDATE contact SET held = 'gone' WHERE lead_id > ''": "state",
    "UPDATE contact SET succeeded_by = 1 WHERE key = 2": "state",
    "UPDATE contact SET held = 'undone' WHERE lead_id IS NULL": "undone",
    'INSERT INTO former_base SELECT key, 1, 1, lead_id, \'{"title": "x"}\', NULL FROM contact '
    "WHERE lead_id > ''": "base",
    f"{AGAIN.replace('outcome', 'kind, outcome')} 2, run_id, 'delete', 'deleted', 'x' "
    "FROM attempt": "deletes",
    "DELETE FROM run": "orphans",
    "DELETE FROM contact WHERE state = 'posted'": "orphans",
    "DELETE FROM contact WHERE key = (SELECT max(key) FROM contact)": "sums",
    "UPDATE state_count SET contacts = contacts + 1": "sums",
    "UPDATE checkpoint SET contacts_seen = contacts_seen + 1": "sums",
    "UPDATE contact SET email_key = 'one@x.example' WHERE lead_id > ''": "email",
}


@pytest.mark.parametrize(("script", "rule"), TAMPERINGS.items(), ids=str)
def test_a_ledger_that_was_tampered_with_proves_nothing(left_halfway, tmp_path, script, rule):
    ledger, listed = left_halfway
    path = Path(shutil.copy(ledger, tmp_path))
    tamper(path, script)
    rule, _, more = rule.partition(":")
    unlined = more == "unlined"
    texts: list[str] = []
    audit(path, [{**lead, **({"notes": ""} if unlined else {})} for lead in listed], texts.append)
    lines = [*map(json.loads, texts)]
    assert rule in rules(lines)
    assert not lines[-1]["holds"]


@pytest.mark.parametrize(("table", "when"), [("ledger", ""), ("run", " before run 1")])
def test_it_says_which_count_of_intents_is_wrong(left_halfway, tmp_path, table, when):
    ledger, listed = left_halfway
    path = Path(shutil.copy(ledger, tmp_path))
    tamper(path, f"UPDATE {table} SET intents = intents + 1")
    texts: list[str] = []
    audit(path, listed, texts.append)
    said = [one["words"] for one in map(json.loads, texts) if one.get("rule") == "intents"]
    assert re.match(rf"\d+ intents were counted{when}, but \d+ are recorded", said[0])


def test_a_ledger_in_a_folder_whose_name_is_not_utf_8_is_read(left_halfway, tmp_path):
    ledger, listed = left_halfway
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    texts: list[str] = []
    audit(Path(shutil.copy(ledger, folder)), listed, texts.append)
    assert json.loads(texts[-1])["kind"] == "verdict"


def test_every_rule_has_somebody_who_breaks_it():
    broken = {rule.partition(":")[0] for rule in TAMPERINGS.values()} | {"listed"}
    assert set(RULES) <= broken


def doubled(leads: list[Any]) -> list[Any]:
    return [*leads, {**leads[0], "id": "second"}]


def missing(leads: list[Any]) -> list[Any]:
    return leads[1:]


@pytest.mark.parametrize("change", [doubled, missing])
def test_a_listing_with_more_or_fewer_leads_than_sent_is_a_fault(journey, change):
    assert rules(proof(journey, change(journey.sandbox.leads()))) == {"listed"}


def waiting(journey: Journey) -> tuple[int, dict[str, str]]:
    """A contact that waits to be sent, and a lead with its line that somebody sent."""
    key, contact = journey.ask(
        "SELECT key, hubspot_id FROM contact WHERE state = 'mapped' AND held IS NULL LIMIT 1"
    )[0]
    line = f" [HubSpot record: {journey.sandbox.portal_id}/{contact}] "
    return key, {"id": "late", "notes": f"x\n{line}\ny"}


def test_a_lead_that_landed_after_it_was_settled_as_absent_is_a_fault(journey):
    key, late = waiting(journey)
    journey.ledger.attempts.record_intents(
        journey.ledger.runs.begin_run("push"), [Intent(key, "0" * 64)]
    )
    journey.ledger.attempts.record_results([AttemptResult(key, Outcome.ABSENT)])
    assert rules(proof(journey, [*journey.sandbox.leads(), late])) == {"listed"}


def test_a_lead_of_another_ledger_that_the_next_push_takes_over_is_no_fault(journey):
    _, theirs = waiting(journey)
    assert rules(proof(journey, [*journey.sandbox.leads(), theirs])) == set()


def test_a_lead_that_belonged_to_another_contact_is_no_fault_for_ever(journey):
    key, _ = waiting(journey)
    (owned,) = journey.ask("SELECT lead_id FROM contact WHERE lead_id IS NOT NULL LIMIT 1")[0]
    journey.ledger.attempts.record_intents(
        journey.ledger.runs.begin_run("push"), [Intent(key, "0" * 64)]
    )
    journey.ledger.attempts.record_results(
        [AttemptResult(key, Outcome.CREATED, 201, lead_id=owned)]
    )
    assert rules(proof(journey)) == set()
    journey.ledger.holds.release(Hold.ALREADY_IN_DESTINATION, None)
    assert rules(proof(journey)) == set()
    journey.push()
    assert rules(proof(journey)) == set()


def test_an_old_lead_that_is_adopted_after_its_contact_changed_is_no_fault(journey):
    lead = journey.sandbox.leads()[0]
    contact = contact_of(lead)
    journey.sandbox.delete_lead(lead["id"])
    journey.verify(pause=lambda seconds: None)
    journey.ledger.holds.release(Hold.MISSING, None)
    journey.sandbox.change_contact(contact, jobtitle="Queen of Engines")
    journey.stage()
    journey.ledger.reconciliation.adopt([LeadIdentity(lead["id"], frozenset({contact}), None)])
    assert journey.ask(f"SELECT lead_id FROM contact WHERE hubspot_id = '{contact}'") == [
        (lead["id"],)
    ]
    assert rules(proof(journey, [lead, *journey.sandbox.leads()])) == set()


def rewritten(journey: Journey, **fields: Any) -> list[Any]:
    """The listing, with the first contact's lead as somebody changed it."""
    first, *rest = journey.sandbox.leads()
    return [{**first, **fields}, *rest]


@pytest.mark.parametrize("mark", [{"status": "duplicate"}, {"deletedAt": "2026-01-05T10:00:00Z"}])
def test_a_lead_that_is_marked_as_deleted_is_not_there(journey, mark):
    assert rules(proof(journey, rewritten(journey, **mark))) == {"listed"}
    leads = journey.sandbox.leads()
    assert rules(proof(journey, [*leads, {**leads[0], "id": "second", **mark}])) == set()


def test_a_second_lead_with_the_same_email_and_no_line_is_a_fault(journey):
    leads = journey.sandbox.leads()
    again = {"id": "second", "email": f" {leads[0]['email'].upper()}"}
    lines = proof(journey, [*leads, again])
    assert (rules(lines), lines[-1]["strangers"]) == ({"listed"}, 0)
    tamper(journey.ledger.path, "UPDATE contact SET foreign_lead_id = 'second'")
    assert rules(proof(journey, [*leads, again])) == set()


def test_an_adopted_lead_whose_notes_were_edited_once_it_was_verified_is_no_fault(
    sandbox, tmp_path
):
    with Ledger.open_for_work(tmp_path / "lost.db") as lost:
        first = Journey(sandbox(contacts=CONTACTS), lost)
        first.stage()
        first.push()
    with Ledger.open_for_work(tmp_path / "new.db") as ledger:
        second = Journey(first.sandbox, ledger)
        second.stage()
        second.push()
        edited = rewritten(second, notes="mine")
        assert rules(proof(second, edited)) == {"trace"}
        second.verify()
        assert rules(proof(second, edited)) == set()


def test_a_lead_sent_again_because_it_was_deleted_is_no_fault(journey):
    journey.push()
    journey.verify()
    journey.sandbox.delete_lead(journey.sandbox.leads()[0]["id"])
    journey.verify(pause=lambda seconds: None)
    journey.ledger.holds.release(Hold.MISSING, None, recreate=True)
    assert journey.push().posted == 1
    assert rules(proof(journey)) == set()


def test_odd_notes_of_strangers_and_a_lead_that_rotted_break_nothing(journey):
    odd = {"id": "odd", "notes": f"[HubSpot record: {journey.sandbox.portal_id}/\ud83d]"}
    assert rules(proof(journey, [*journey.sandbox.leads(), odd])) == set()
    tamper(journey.ledger.path, "UPDATE contact SET lead = '{' WHERE lead_id IS NOT NULL")
    assert rules(proof(journey)) == {"trace"}


def test_two_leads_of_a_contact_in_doubt_are_a_fault(journey):
    key, contact = journey.ask(
        "SELECT key, hubspot_id FROM contact WHERE state = 'mapped' AND held IS NULL LIMIT 1"
    )[0]
    journey.ledger.attempts.record_intents(
        journey.ledger.runs.begin_run("push"), [Intent(key, "0" * 64)]
    )
    notes = f"[HubSpot record: {journey.sandbox.portal_id}/{contact}]"
    more = [{"id": "one", "notes": notes}, {"id": "two", "notes": notes}]
    assert rules(proof(journey, [*journey.sandbox.leads(), *more])) == {"listed"}


@pytest.mark.parametrize("content", [b"", b"no database", None])
def test_what_is_no_ledger_is_said_to_be_none(tmp_path, content):
    path = tmp_path / "some.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NotALedger, match=r"some\.db"):
        audit(path, [], lambda line: None)


# The command --------------------------------------------------------------------------------------


def audited(operator: Operator) -> tuple[int, list[Any], str]:
    result = operator.run("audit")
    return result.code, [json.loads(line) for line in result.out.splitlines()], result.err


@pytest.fixture
def operator(sandbox, tmp_path):
    operator = Operator(tmp_path, sandbox(contacts=CONTACTS))
    operator.stage()
    return operator


def test_the_command_writes_the_proof_and_the_verdict_last(operator):
    assert operator.run(PUSH).code == ExitCode.DONE
    code, lines, err = audited(operator)
    assert code == ExitCode.DONE
    assert [lines[0]["kind"], lines[-1]["kind"]] == ["ledger", "verdict"]
    assert lines[-1]["holds"]
    assert lines[-1]["complete"]
    assert "the promise holds" in err


def test_the_command_needs_no_destination_where_nothing_was_sent(operator):
    operator.sandbox.stop()
    code, lines, _ = audited(operator)
    assert code == ExitCode.DONE
    assert lines[-1]["waiting"] > 0


def test_the_command_says_when_the_promise_does_not_hold(operator):
    assert operator.run(PUSH).code == ExitCode.DONE
    operator.sandbox.add_lead(operator.sandbox.leads()[0])
    code, lines, err = audited(operator)
    assert code == ExitCode.NEEDS_ATTENTION
    assert rules(lines) == {"listed"}
    assert "1 faults: it does not hold" in err


def test_the_command_looks_again_where_reads_lag(sandbox, tmp_path):
    operator = Operator(tmp_path, sandbox(contacts=CONTACTS, read_lag_seconds=8))
    assert operator.run("stage").code == ExitCode.DONE
    assert operator.run(PUSH).code == ExitCode.DONE
    result = operator.run("audit --settle 8")
    assert result.code == ExitCode.DONE
    assert "are not listed yet: looking again in 8 s" in result.err
    assert "the promise holds" in result.err


@pytest.mark.parametrize("words", ["audit --settle 0.1", "report"])
def test_a_verdict_that_nobody_reads_to_its_end_is_still_the_exit_code(operator, words):
    assert operator.run(PUSH).code == ExitCode.DONE
    operator.sandbox.add_lead(operator.sandbox.leads()[0])
    meddle(operator.ledger, "UPDATE checkpoint SET contacts_seen = contacts_seen + 1")
    typed = f"{sys.executable} -m migrator {words} | head -n 1; exit ${{PIPESTATUS[0]}}"
    process = subprocess.run(
        ["/bin/bash", "-c", typed],
        cwd=operator.folder,
        env=operator.environment(),
        capture_output=True,
        check=False,
    )
    wanted = ExitCode.LEDGER if words == "report" else ExitCode.NEEDS_ATTENTION
    assert process.returncode == wanted, process.stderr


def test_the_command_leaves_a_ledger_alone_that_is_at_work(operator):
    with Ledger.open_for_work(operator.ledger):
        result = operator.run("audit")
    assert result.code == ExitCode.BUSY
    assert "Another process works on the ledger" in result.err
    assert result.out == ""


def test_the_command_names_a_ledger_that_is_damaged(operator):
    with closing(sqlite3.connect(operator.ledger)) as ledger:
        ledger.execute("DROP TABLE state_count")
    result = operator.run("audit")
    assert result.code == ExitCode.LEDGER
    assert "it is damaged" in result.err
    assert "Traceback" not in result.err


def test_the_command_refuses_the_settings_of_another_journey(operator):
    assert operator.run(PUSH).code == ExitCode.DONE
    result = operator.run("audit", LEADGENIUS_CLIENT_ID="another")
    assert result.code == ExitCode.LEDGER
    assert "belongs to the client_id" in result.err
