"""
The database says no, whoever asks: `schema.sql` alone, through nothing but the driver.

A rule without a violator here is a rule that nobody would miss: the last tests of each part count.
"""

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from migrator.ledger import (
    SCHEMA_VERSION,
    AttemptResult,
    ExcludedContact,
    ExtractedContact,
    ExtractedPage,
    Intent,
    Ledger,
    MappedContact,
    schema,
    statements,
)
from migrator.ledger.database import Database
from migrator.states import MOVES, Hold, Outcome, State
from tests import ROOT

SCHEMA = (ROOT / "schema.sql").read_text(encoding="utf-8")
WORDS_DIFFER = (
    "schema.sql and states.py no longer name the same {}: you changed the words in one of them. "
    "Change them in both."
)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "plain.db", isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")  # the disk is not what is tested here
    connection.executescript(SCHEMA)
    connection.execute("PRAGMA foreign_keys = ON")
    yield connection
    connection.close()


@pytest.fixture
def world(db: sqlite3.Connection) -> sqlite3.Connection:
    """One contact in each kind of place; the name of each is its hubspot_id."""
    db.execute("INSERT INTO run (command, pid, host) VALUES ('push', 1, 'here')")
    db.execute("INSERT INTO company VALUES ('acme', '{}', 1)")
    for number, name in enumerate(
        ("extracted", "free", "posted", "held", "open", "second", "late", "deleted"), start=1
    ):
        db.execute(
            "INSERT INTO contact (key, hubspot_id, source) VALUES (?, ?, '{}')", (number, name)
        )
    to_mapped = (
        "UPDATE contact SET state = 'mapped', lead = '{}', email_key = ? WHERE hubspot_id = ?"
    )
    for name in ("free", "posted", "held", "open"):
        db.execute(to_mapped, (name, name))
    db.execute("UPDATE contact SET held = 'refused', detail = '\"400\"' WHERE hubspot_id = 'held'")
    attempt = (
        "INSERT INTO attempt (contact_key, number, run_id, payload_hash) VALUES (?, 1, 1, 'x')"
    )
    for key in (3, 5):
        db.execute(attempt, (key,))
    created = "outcome = 'created', settled_ms = 1, lead_id = 'L3', answer = 'yes'"
    db.execute(f"UPDATE attempt SET {created} WHERE contact_key = 3")
    db.execute("UPDATE contact SET state = 'posted', lead_id = 'L3' WHERE hubspot_id = 'posted'")
    # Two with an e-mail that is taken: one held for it, one that slipped through.
    db.execute("UPDATE contact SET held = 'duplicate_email' WHERE hubspot_id = 'second'")
    db.execute(to_mapped, ("open", "second"))
    db.execute(to_mapped, ("posted", "late"))
    db.execute("INSERT INTO run (command, pid, host) VALUES ('push', 2, 'here')")
    db.execute(to_mapped, ("deleted", "deleted"))
    db.execute("UPDATE contact SET state = 'posted', lead_id = 'L8' WHERE hubspot_id = 'deleted'")
    db.execute(DELETE + "(8, 1, 2, 'x', 'delete', 'L8')")
    return db


@pytest.fixture
def forgotten(db: sqlite3.Connection) -> sqlite3.Connection:
    """A verified contact, and one that was refused; of both nothing is known any more."""
    db.executescript("""
        INSERT INTO run (command, pid, host) VALUES ('push', 1, '');
        INSERT INTO company VALUES ('acme', '{}', 1);
        UPDATE checkpoint SET scan = 1;
        INSERT INTO contact (key, hubspot_id, source) VALUES (1, '1', '{}'), (2, '2', '{}');
        UPDATE contact SET state = 'mapped', lead = '{}', email_key = key;
        INSERT INTO attempt (contact_key, number, run_id, payload_hash)
            VALUES (1, 1, 1, 'x'), (2, 1, 1, 'y');
        UPDATE attempt SET outcome = 'created', settled_ms = 1, lead_id = 'L' WHERE contact_key = 1;
        UPDATE attempt SET outcome = 'refused', settled_ms = 1 WHERE contact_key = 2;
        UPDATE contact SET state = 'posted', lead_id = 'L' WHERE key = 1;
        UPDATE contact SET state = 'verified' WHERE key = 1;
        UPDATE contact SET held = 'refused' WHERE key = 2;
        UPDATE ledger SET forgotten_ms = 1;
        UPDATE contact SET email_key = '';
    """)
    return db


def everything(db: sqlite3.Connection) -> list[str]:
    return list(db.iterdump())


def refuses(db: sqlite3.Connection, statement: str, why: str) -> None:
    before = everything(db)
    with pytest.raises(sqlite3.IntegrityError, match=re.escape(why)):
        db.execute(statement)
    assert everything(db) == before


def one(db: sqlite3.Connection, question: str) -> Any:
    return db.execute(question).fetchone()


# ── the words ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("table", "words"), [("state", State), ("outcome", Outcome), ("hold", Hold)]
)
def test_sql_and_python_name_the_same_words(
    db: sqlite3.Connection, table: str, words: type[StrEnum]
) -> None:
    rows = {name for (name,) in db.execute(f"SELECT name FROM {table}")}
    assert rows == {word.value for word in words}, WORDS_DIFFER.format(f"{table}s")


def test_sql_and_python_name_the_same_moves(db: sqlite3.Connection) -> None:
    rows = set(db.execute("SELECT source, target FROM move"))
    assert rows == {(source.value, target.value) for source, target in MOVES}, WORDS_DIFFER.format(
        "moves"
    )


def test_the_file_says_what_it_is(db: sqlite3.Connection) -> None:
    assert one(db, "PRAGMA user_version") == (SCHEMA_VERSION,)
    assert one(db, "PRAGMA application_id")[0].to_bytes(4, "big") == b"mgrt"


def test_every_table_is_strict(db: sqlite3.Connection) -> None:
    tables = db.execute("PRAGMA table_list").fetchall()
    loose = [name for _, name, type_, _, _, strict in tables if type_ != "view" and not strict]
    assert [name for name in loose if not name.startswith("sqlite_")] == []


def test_the_package_carries_this_schema_and_cuts_it_where_the_driver_does(
    db: sqlite3.Connection,
) -> None:
    assert schema() == SCHEMA
    with sqlite3.connect(":memory:") as other:
        for statement in statements(SCHEMA):
            other.execute(statement)
        whole = "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name"
        assert other.execute(whole).fetchall() == db.execute(whole).fetchall()
    other.close()


# ── the moves ────────────────────────────────────────────────────────────────────────────────────

# How a contact comes to each state, by legal moves only.
MAPPED = "UPDATE contact SET state = 'mapped', lead = '{}', email_key = 'e' WHERE key = 1"
POSTED = "UPDATE contact SET state = 'posted', lead_id = 'L' WHERE key = 1"
VERIFIED = "UPDATE contact SET state = 'verified' WHERE key = 1"
WAY = {
    State.EXTRACTED: [],
    State.MAPPED: [MAPPED],
    State.POSTED: [MAPPED, POSTED],
    State.VERIFIED: [MAPPED, POSTED, VERIFIED],
}
# All columns are made to fit the target, so that nothing but the move itself can be refused.
MOVE = """
    UPDATE contact SET state = :target, email_key = 'e',
        lead = iif(:target = 'extracted', NULL, '{}'),
        lead_id = iif(:target IN ('posted', 'verified'), 'L', NULL)
"""


@pytest.mark.parametrize(("source", "target"), list(product(State, State)))
def test_a_move_lands_or_changes_nothing(
    db: sqlite3.Connection, source: State, target: State
) -> None:
    db.execute("INSERT INTO contact (hubspot_id, source) VALUES ('1', '{}')")
    for step in WAY[source]:
        db.execute(step)
    before = everything(db)
    if (source, target) in MOVES:
        db.execute(MOVE, {"target": target})
        assert one(db, "SELECT state FROM contact") == (target,)
    else:
        with pytest.raises(sqlite3.IntegrityError, match="illegal move"):
            db.execute(MOVE, {"target": target})
        assert everything(db) == before


# ── what is never so ─────────────────────────────────────────────────────────────────────────────

NEW = "INSERT INTO contact (hubspot_id, source, state, lead, email_key) VALUES "
SEND = "INSERT INTO attempt (contact_key, number, run_id, payload_hash) VALUES "
UPDATE = SEND.replace("hash)", "hash, kind, lead_id, fields)")
DELETE = SEND.replace("hash)", "hash, kind, lead_id)")
BASE = "INSERT INTO former_base VALUES (3, {}, {}, 'L3', '{{}}', NULL)"
SETTLED = "outcome = 'absent', settled_ms = 1"

# (the CHECK as SQLite words it, a statement that breaks it and nothing else)
CHECKS = [
    ("pace BETWEEN 0.1 AND 1e6", "UPDATE ledger SET pace = 1e-300"),
    ("intents >= 0", "UPDATE ledger SET intents = -5"),
    ("intents >= 0", "UPDATE run SET intents = -1"),
    ("pid >= 0", "UPDATE run SET pid = -1"),
    ("exit_code BETWEEN 0 AND 255", "UPDATE run SET ended_ms = 1, exit_code = 256"),
    (
        "scan >= 0 AND pages >= 0 AND contacts_seen >= 0 AND met >= 0 AND odd >= 0",
        "UPDATE checkpoint SET odd = -1",
    ),
    ("counted >= 0", "UPDATE checkpoint SET counted = -1"),
    ("key > 0", "INSERT INTO contact (key, hubspot_id, source) VALUES (0, '0', '{}')"),
    ("attempts_reset_at >= 0", "UPDATE contact SET attempts_reset_at = -1"),
    ("tries >= 0", "UPDATE contact SET tries = -1"),
    ("unproven IN (0, 1)", "UPDATE contact SET unproven = 2"),
    ("taken >= 0", "UPDATE ledger SET taken = -1"),
    ("taken >= 0", SEND.replace("hash)", "hash, taken)") + "(2, 1, 2, 'x', -1)"),
    ("counts IN (0, 1)", "UPDATE attempt SET counts = 2 WHERE contact_key = 5"),
    ("status BETWEEN 100 AND 999", "UPDATE attempt SET status = 7 WHERE contact_key = 5"),
    ("id = 1", "INSERT INTO ledger (id) VALUES (2)"),
    ("(ended_ms IS NULL) = (exit_code IS NULL)", "UPDATE run SET ended_ms = 1"),
    ("name IN ('extraction', 'verification')", "INSERT INTO checkpoint (name) VALUES ('mapping')"),
    ("complete IN (0, 1)", "UPDATE checkpoint SET complete = 2"),
    ("complete = 0 OR cursor IS NULL", "UPDATE checkpoint SET cursor = '100'"),
    (
        "company_rule IN ('primary', 'associatedcompanyid', 'first')",
        "UPDATE contact SET company_id = 'acme', company_rule = 'last'",
    ),
    ("(company_id IS NULL) = (company_rule IS NULL)", "UPDATE contact SET company_id = 'acme'"),
    ("(state = 'extracted') = (lead IS NULL)", "UPDATE contact SET lead = '{}', email_key = 'e'"),
    (
        "lead IS NULL OR email_key IS NOT NULL",
        "UPDATE contact SET state = 'mapped', lead = '{}' WHERE key = 1",
    ),
    (
        "(state IN ('posted', 'verified')) = (lead_id IS NOT NULL)",
        "UPDATE contact SET state = 'posted' WHERE hubspot_id = 'free'",
    ),
    (
        "iif(json_valid(detail), json_type(detail) IN ('text', 'object'), detail IS NULL)",
        "UPDATE contact SET detail = '400' WHERE hubspot_id = 'held'",
    ),
    ("held IS NOT NULL OR detail IS NULL", "UPDATE contact SET detail = '\"why\"' WHERE key = 1"),
    (
        "held IS NULL OR held NOT IN ('missing', 'different', 'doubled', 'conflict')\n"
        "        OR lead_id IS NOT NULL",
        "UPDATE contact SET held = 'conflict' WHERE hubspot_id = 'free'",
    ),
    (
        "held IS NULL OR held <> 'gone' OR (gone IS NOT NULL AND lead_id IS NULL)",
        "UPDATE contact SET held = 'gone' WHERE hubspot_id = 'free'",
    ),
    (
        "held IS NULL OR held <> 'undone' OR state = 'mapped'",
        "UPDATE contact SET held = 'undone' WHERE hubspot_id = 'posted'",
    ),
    (
        "gone IN ('merged', 'archived', 'unknown')",
        "UPDATE contact SET gone = 'away' WHERE hubspot_id = 'free'",
    ),
    (
        "new_lead IS NULL OR (changed_ms IS NOT NULL AND lead_id IS NOT NULL)",
        "UPDATE contact SET new_lead = '{}' WHERE hubspot_id = 'posted'",
    ),
    (
        "merged_into IS NULL OR gone = 'merged'",
        "UPDATE contact SET gone = 'archived', merged_into = '9' WHERE hubspot_id = 'free'",
    ),
    (
        "succeeded_by IS NULL OR (gone IS NOT NULL AND lead_id IS NULL)",
        "UPDATE contact SET succeeded_by = 3 WHERE hubspot_id = 'free'",
    ),
    ("put_replaces IN (0, 1)", "UPDATE ledger SET put_replaces = 2"),
    (
        "kind IN ('create', 'update', 'delete')",
        SEND.replace("hash)", "hash, kind)") + "(3, 2, 2, 'x', 'move')",
    ),
    (
        "kind = 'update' OR (fields IS NULL AND base IS NULL)",
        SEND.replace("hash)", "hash, fields)") + "(2, 1, 2, 'x', '{}')",
    ),
    (
        "kind <> 'create' OR (before IS NULL AND overrode IS NULL)",
        SEND.replace("hash)", "hash, overrode)") + "(2, 1, 2, 'x', '{}')",
    ),
    ("attempt >= 0", BASE.format(1, -1)),
    ("kind = 'create' OR lead_id IS NOT NULL", f"{DELETE}(3, 2, 2, 'x', 'delete', NULL)"),
    (
        "outcome IS NULL OR outcome <> 'created' OR kind = 'create'",
        "UPDATE attempt SET outcome = 'created', settled_ms = 1 WHERE contact_key = 8",
    ),
    (
        "outcome IS NULL OR outcome NOT IN ('updated', 'edited') OR kind = 'update'",
        "UPDATE attempt SET outcome = 'updated', settled_ms = 1 WHERE contact_key = 8",
    ),
    (
        "outcome IS NULL OR outcome <> 'deleted' OR kind = 'delete'",
        "UPDATE attempt SET outcome = 'deleted', settled_ms = 1 WHERE contact_key = 5",
    ),
    ("(written_boot IS NULL) = (written_at IS NULL)", "UPDATE ledger SET written_at = 1"),
    (
        "edited IS NULL OR state = 'verified'",
        "UPDATE contact SET edited = 'title' WHERE hubspot_id = 'free'",
    ),
    (
        "erased_ms IS NULL OR (lead_id IS NULL AND held IS NOT NULL)",
        "UPDATE contact SET erased_ms = 1 WHERE hubspot_id = 'free'",
    ),
    ("unclaimed >= 0", "UPDATE ledger SET unclaimed = -1"),
    (
        "removed IN (0, 1)",
        "INSERT INTO seen_lead (lead_id, contact_key, removed) VALUES ('L', 1, 2)",
    ),
    (
        "edits IN (0, 1)",
        "INSERT INTO seen_lead (lead_id, contact_key, edits) VALUES ('L', 1, 2)",
    ),
    (
        "contact_key IS NOT NULL OR record IS NOT NULL",
        "INSERT INTO seen_lead (lead_id) VALUES ('L')",
    ),
    (
        "held IS NULL OR held NOT IN ('no_email', 'invalid_email') OR state = 'extracted'",
        "UPDATE contact SET held = 'no_email' WHERE hubspot_id = 'free'",
    ),
    ("number > 0", SEND + "(2, 0, 2, 'x')"),
    (
        "(outcome IS NULL) = (settled_ms IS NULL)",
        "UPDATE attempt SET outcome = 'absent' WHERE contact_key = 5",
    ),
    (
        "kind <> 'create'\n        OR (outcome IS NOT NULL AND outcome IN ('created', 'found')) "
        "= (lead_id IS NOT NULL)",
        "UPDATE attempt SET outcome = 'found', settled_ms = 1 WHERE contact_key = 5",
    ),
    ("contacts >= 0", "UPDATE state_count SET contacts = -1"),
]

# (a column of times, a statement that puts a value into it)
TIMES = [
    ("first_ms", "INSERT INTO mapping (hash, text, first_ms) VALUES ({0}, '', {0})"),
    *((f"{one}_ms", f"UPDATE ledger SET {one}_ms = {{}}") for one in ("canary", "update_canary")),
    ("forgotten_ms", "UPDATE ledger SET forgotten_ms = {}"),
    ("probed_ms", "INSERT INTO probe VALUES ('http://a', {}, '{{}}')"),
    ("began_ms", "UPDATE run SET began_ms = {}"),
    ("ended_ms", "UPDATE run SET exit_code = 0, ended_ms = {}"),
    ("modified_ms", "UPDATE contact SET modified_ms = {}"),
    ("changed_ms", "UPDATE contact SET changed_ms = {}"),
    ("erased_ms", "UPDATE contact SET erased_ms = {} WHERE hubspot_id = 'held'"),
    ("sent_ms", SEND.replace("hash)", "hash, sent_ms)") + "(2, 1, 2, 'x', {})"),
    ("ended_ms", "UPDATE attempt SET ended_ms = {} WHERE contact_key = 5"),
    ("settled_ms", "UPDATE attempt SET outcome = 'absent', settled_ms = {} WHERE contact_key = 5"),
    ("at_ms", "UPDATE event SET at_ms = {}"),
]
# (a column of JSON objects, the rest of its CHECK, a statement that puts a value into it)
OBJECTS = [
    ("counters", "0", "UPDATE run SET counters = {}"),
    ("findings", "0", "INSERT INTO probe VALUES ('http://a', 1, {})"),
    ("properties", "properties IS NULL", "UPDATE company SET properties = {}"),
    ("source", "0", "UPDATE contact SET source = {}"),
    ("lead", "lead IS NULL", "UPDATE contact SET lead = {} WHERE hubspot_id = 'free'"),
    ("amended", "amended IS NULL", "UPDATE contact SET amended = {} WHERE key = 1"),
    (
        "new_lead",
        "new_lead IS NULL",
        "UPDATE contact SET changed_ms = 1, new_lead = {} WHERE key = 3",
    ),
    ("decided", "decided IS NULL", "UPDATE contact SET decided = {} WHERE key = 3"),
    ("fields", "fields IS NULL", f"{UPDATE}(3, 2, 2, 'x', 'update', 'L3', {{}})"),
    (
        "base",
        "base IS NULL",
        f"{UPDATE.replace('fields', 'base')}(3, 2, 2, 'x', 'update', 'L3', {{}})",
    ),
    (
        "before",
        "before IS NULL",
        f"{UPDATE.replace('fields', 'before')}(3, 2, 2, 'x', 'update', 'L3', {{}})",
    ),
    (
        "overrode",
        "overrode IS NULL",
        f"{UPDATE.replace('fields', 'overrode')}(3, 2, 2, 'x', 'update', 'L3', {{}})",
    ),
    (
        "there",
        "there IS NULL",
        "INSERT INTO seen_lead (lead_id, contact_key, there) VALUES ('L', 1, {})",
    ),
    ("lead", "0", BASE.replace("'{{}}'", "{}").replace("{}, {}, 'L3'", "1, 1, 'L3'")),
    (
        "new_lead",
        "new_lead IS NULL",
        BASE.format(1, 1).replace("NULL", "{}").replace("'{}'", "'{{}}'"),
    ),
]
TOO_DEEP = f"""'{{"a": {"[" * 3000}{"]" * 3000}}}'"""
NO_OBJECTS = ["'[]'", "'null'", "'{'", "''", """'{"a": NaN}'""", TOO_DEEP]

# (the trigger, what it says, a statement that it refuses)
TRIGGERS = [
    ("contact_is_born_extracted", "born extracted", NEW + "('8', '{}', 'mapped', '{}', 'e')"),
    ("contact_moves_legally", "illegal move", "UPDATE contact SET state = state WHERE key = 1"),
    (
        "contact_in_doubt_stands_still",
        "the contact has an open attempt",
        "UPDATE contact SET state = 'posted', lead_id = 'L5' WHERE hubspot_id = 'open'",
    ),
    (
        "contact_in_doubt_stands_still",
        "the contact has an open attempt",
        "UPDATE contact SET held = 'gave_up' WHERE hubspot_id = 'open'",
    ),
    (
        "contact_in_doubt_stands_still",
        "the contact has an open attempt",
        "UPDATE contact SET lead = '{\"a\":1}' WHERE hubspot_id = 'open'",
    ),
    (
        "contact_in_doubt_stands_still",
        "the contact has an open attempt",
        "UPDATE contact SET amended = '{}' WHERE hubspot_id = 'open'",
    ),
    (
        "contact_is_amended_before_it_is_sent",
        "the contact was sent",
        "UPDATE contact SET amended = '{}' WHERE hubspot_id = 'posted'",
    ),
    ("contact_is_never_deleted", "contacts are never deleted", "DELETE FROM contact WHERE key = 1"),
    ("attempt_needs_a_sendable_contact", "not free to be sent", SEND + "(1, 1, 2, 'x')"),
    ("attempt_needs_a_sendable_contact", "not free to be sent", SEND + "(4, 1, 2, 'x')"),
    ("attempt_needs_a_sendable_contact", "not free to be sent", SEND + "(3, 2, 2, 'x')"),
    (
        "attempt_needs_a_sendable_contact",
        "not free to be sent",
        "INSERT INTO attempt (contact_key, number, run_id, payload_hash, outcome, settled_ms) "
        "VALUES (2, 1, 2, 'x', 'absent', 1)",
    ),
    (
        "attempt_is_the_only_one_for_its_email",
        "another contact with this e-mail was sent",
        SEND + "(7, 1, 2, 'x')",
    ),
    (
        "attempt_is_about_its_own_lead",
        "the lead is not the contact's",
        f"{UPDATE}(3, 2, 2, 'x', 'update', 'L4', '{{}}')",
    ),
    (
        "attempt_is_about_its_own_lead",
        "the lead is not the contact's",
        f"{UPDATE}(2, 1, 2, 'x', 'delete', 'L3', NULL)",
    ),
    (
        "attempt_values_are_kept_or_forgotten",
        "the attempt is settled",
        "UPDATE attempt SET fields = NULL WHERE contact_key = 5",
    ),
    ("attempt_is_of_the_newest_run", "another process has taken over", SEND + "(2, 1, 99, 'x')"),
    ("attempt_is_of_the_newest_run", "another process has taken over", SEND + "(2, 2, 1, 'x')"),
    (
        "attempt_answer_is_kept_or_forgotten",
        "the answer is settled",
        "UPDATE attempt SET answer = NULL WHERE contact_key = 3",
    ),
    *(
        ("ledger_is_forgotten_when_finished", "only a finished ledger", one)
        for one in ("UPDATE ledger SET forgotten_ms = 1", "UPDATE ledger SET forgotten_ms = NULL")
    ),
    (
        "attempt_is_settled_once",
        "the attempt is settled",
        f"UPDATE attempt SET {SETTLED}, lead_id = NULL WHERE contact_key = 3",
    ),
    (
        "attempt_is_settled_once",
        "the attempt is settled",
        "UPDATE attempt SET payload_hash = 'y' WHERE contact_key = 5",
    ),
    (
        "attempt_is_settled_once",
        "the attempt is settled",
        "UPDATE attempt SET sent_ms = 1 WHERE contact_key = 5",
    ),
    (
        "attempt_is_settled_once",
        "the attempt is settled",
        "UPDATE attempt SET overrode = '{}' WHERE contact_key = 8",
    ),
    (
        "attempt_is_settled_once",
        "the attempt is settled",
        "UPDATE attempt SET number = 2 WHERE contact_key = 5",
    ),
    (
        "attempt_is_settled_once",
        "the attempt is settled",
        "UPDATE attempt SET contact_key = 2 WHERE contact_key = 5",
    ),
    (
        "attempt_is_never_deleted",
        "attempts are never deleted",
        "DELETE FROM attempt WHERE outcome IS NULL",
    ),
]

# The same of a ledger that is forgotten: nobody comes in, and nothing moves.
ERASED = [
    "erased_ms = 2",
    "hubspot_id = 'another'",
    "state = 'extracted', lead = NULL",
    "held = NULL, state = 'posted', lead_id = 'L4', erased_ms = NULL",
    "source = '{\"a\": 1}'",
    "lead = '{\"a\": 1}'",
    "email_key = 'ada@x.example'",
    "amended = '{}'",
    "decided = '{}'",
]
FORGOTTEN = [
    ("contact_is_not_born_forgotten", NEW + "('8', '{}', 'extracted', NULL, NULL)"),
    ("company_is_not_born_forgotten", "INSERT INTO company VALUES ('other', NULL, 1)"),
    ("company_stays_forgotten", """UPDATE company SET properties = '{"name": "Ada & Co"}'"""),
    ("checkpoint_stays_forgotten", "UPDATE checkpoint SET complete = 0, cursor = 'ada@x.example'"),
    ("attempt_answer_is_kept_or_forgotten", "UPDATE attempt SET answer = 'ada@x.example'"),
    ("ledger_is_forgotten_when_finished", "UPDATE ledger SET forgotten_ms = 2"),
    *(
        ("contact_stays_forgotten", f"UPDATE contact SET {change} WHERE key = 2")
        for change in (
            "held = NULL",
            "detail = json_quote('ada@x.example')",
            "source = '{\"a\":1}'",
            "amended = '{}'",
            "decided = '{}'",
            "lead = '{\"a\":1}'",
            "email_key = 'ada@x.example'",
            "hubspot_id = '3'",
            "state = 'extracted', lead = NULL",
            "state = 'posted', lead_id = 'M'",
        )
    ),
    ("contact_stays_forgotten", "UPDATE contact SET lead_id = 'M' WHERE key = 1"),
]

# (what SQLite says, a statement that would make two of what there is one of)
UNIQUE = [
    ("contact.hubspot_id", NEW + "('free', '{}', 'extracted', NULL, NULL)"),
    ("contact.lead_id", "UPDATE contact SET state = 'posted', lead_id = 'L3' WHERE key = 2"),
    (
        "contact.email_key",
        "UPDATE contact SET state = 'mapped', lead = '{}', email_key = 'free' WHERE key = 1",
    ),
    ("attempt.contact_key", SEND + "(5, 2, 2, 'x')"),
]

FOREIGN = [
    "UPDATE contact SET held = 'lost' WHERE key = 1",
    "UPDATE contact SET company_id = 'nobody', company_rule = 'first' WHERE key = 1",
    f"UPDATE attempt SET {SETTLED}, outcome = 'maybe' WHERE contact_key = 5",
    "INSERT INTO seen_lead (lead_id, contact_key) VALUES ('L', 99)",
    "INSERT INTO former_lead VALUES ('L', 99)",
    "INSERT INTO event VALUES (99, 1, 1, NULL, 'extracted', NULL)",
    "INSERT INTO move VALUES ('mapped', 'lost')",
    "INSERT OR REPLACE INTO contact (hubspot_id, source) VALUES ('free', '{}')",
]


@pytest.mark.parametrize(("check", "statement"), CHECKS)
def test_a_check_refuses_its_violator(
    world: sqlite3.Connection, check: str, statement: str
) -> None:
    refuses(world, statement, f"CHECK constraint failed: {check}")


@pytest.mark.parametrize(("trigger", "words", "statement"), TRIGGERS)
def test_a_trigger_refuses_its_violator(
    world: sqlite3.Connection, trigger: str, words: str, statement: str
) -> None:
    refuses(world, statement, words)
    world.execute(f"DROP TRIGGER {trigger}")
    world.execute("PRAGMA foreign_keys = OFF")
    changes = world.total_changes
    world.execute(statement)
    assert world.total_changes > changes, "something else refuses it too: it proves nothing"


@pytest.mark.parametrize(("trigger", "statement"), FORGOTTEN)
def test_a_forgotten_ledger_is_not_filled_again(
    forgotten: sqlite3.Connection, trigger: str, statement: str
) -> None:
    before = everything(forgotten)
    with pytest.raises(sqlite3.IntegrityError, match=r"forgotten|is settled"):
        forgotten.execute(statement)
    assert everything(forgotten) == before
    forgotten.execute(f"DROP TRIGGER {trigger}")
    forgotten.execute(statement)


@pytest.mark.parametrize("change", ERASED)
def test_an_erased_contact_is_not_filled_moved_or_freed(
    world: sqlite3.Connection, change: str
) -> None:
    world.execute("UPDATE contact SET erased_ms = 1, email_key = '', detail = NULL WHERE key = 4")
    statement = f"UPDATE contact SET {change} WHERE key = 4"
    assert world.execute(statement).rowcount == 0
    assert world.execute("UPDATE contact SET held = NULL WHERE key = 4").rowcount == 0
    assert world.execute("UPDATE contact SET scan = 7 WHERE key = 4").rowcount == 1
    world.execute("DROP TRIGGER contact_stays_erased")
    assert world.execute(statement).rowcount == 1


@pytest.mark.parametrize(
    "left",
    [
        "UPDATE checkpoint SET scan = 0",
        "UPDATE checkpoint SET complete = 0",
        "UPDATE checkpoint SET met = 5, counted = 105",
        "INSERT INTO contact (hubspot_id, source) VALUES ('2', '{}')",
        MAPPED.replace("WHERE key = 1", ""),
        f"{MAPPED}; {POSTED}",
        f"{MAPPED}; {SEND} (1, 1, 1, 'x')",
    ],
)
def test_only_a_finished_ledger_is_forgotten(db: sqlite3.Connection, left: str) -> None:
    db.executescript("""
        UPDATE checkpoint SET scan = 1;
        INSERT INTO run (command, pid, host) VALUES ('push', 1, 'here');
        INSERT INTO contact (key, hubspot_id, source, held) VALUES (1, '1', '{}', 'no_email');
    """)
    if "contact" in left:
        db.execute("UPDATE contact SET held = NULL")
    db.executescript(left)
    refuses(db, "UPDATE ledger SET forgotten_ms = 1", "only a finished ledger is forgotten")


@pytest.mark.parametrize(("columns", "statement"), UNIQUE)
def test_there_is_one_of_each(world: sqlite3.Connection, columns: str, statement: str) -> None:
    refuses(world, statement, f"UNIQUE constraint failed: {columns}")


@pytest.mark.parametrize("statement", FOREIGN)
def test_nothing_points_nowhere(world: sqlite3.Connection, statement: str) -> None:
    refuses(world, statement, "FOREIGN KEY constraint failed")


def test_an_attempt_finds_the_other_open_one_even_without_the_index(
    world: sqlite3.Connection,
) -> None:
    world.execute("DROP INDEX contact_sendable_by_email")
    world.execute("UPDATE contact SET held = NULL WHERE hubspot_id = 'second'")
    refuses(world, SEND + "(6, 1, 2, 'x')", "another contact with this e-mail was sent")


@pytest.mark.parametrize("column", ["portal_id", "leadgenius_url", "client_id"])
@pytest.mark.parametrize("value", ["'other'", "NULL"])
def test_a_ledger_is_bound_once(db: sqlite3.Connection, column: str, value: str) -> None:
    db.execute(f"UPDATE ledger SET {column} = 'mine'")
    db.execute(f"UPDATE ledger SET {column} = 'mine', canary_ms = 1")
    refuses(db, f"UPDATE ledger SET {column} = {value}", "bound to another journey")


@pytest.mark.parametrize(("column", "statement"), TIMES)
def test_a_time_is_one_that_a_calendar_has(
    world: sqlite3.Connection, column: str, statement: str
) -> None:
    world.execute("DROP TRIGGER ledger_is_forgotten_when_finished")
    for moment in (-1, 253_402_300_800_000):
        refuses(world, statement.format(moment), f"{column} BETWEEN 0 AND 253402300799999")
    world.execute(statement.format(253_402_300_799_999))


@pytest.mark.parametrize(("column", "otherwise", "statement"), OBJECTS)
def test_what_is_kept_as_a_json_object_is_one(
    world: sqlite3.Connection, column: str, otherwise: str, statement: str
) -> None:
    check = f"iif(json_valid({column}), json_type({column}) = 'object', {otherwise})"
    for text in NO_OBJECTS:
        refuses(world, statement.format(text), check)
    world.execute(statement.format("'{}'"))


def test_each_former_lead_of_a_sent_contact_is_kept_with_what_hubspot_gave_then(
    world: sqlite3.Connection,
) -> None:
    world.execute("UPDATE contact SET lead = '{\"a\": 1}' WHERE key = 2")  # not sent yet
    world.execute("UPDATE contact SET changed_ms = 1, new_lead = '{\"a\": 2}' WHERE key = 3")
    world.execute("UPDATE contact SET lead = new_lead, new_lead = NULL WHERE key = 3")
    world.execute("UPDATE contact SET lead = lead WHERE key = 3")
    world.execute("UPDATE contact SET lead = '{}' WHERE key = 3")  # erased
    kept = world.execute("SELECT * FROM former_base").fetchall()
    assert kept == [(3, 1, 1, "L3", "{}", '{"a": 2}')]
    seen = "INSERT INTO seen_lead (lead_id, contact_key, there) VALUES ('L3', 3, '{\"a\": 1}')"
    world.execute(seen)
    world.execute("UPDATE contact SET source = '{}' WHERE key = 3")
    assert one(world, "SELECT count(*) FROM former_base") == (0,)
    assert one(world, "SELECT there FROM seen_lead") == (None,)


def test_every_check_has_a_violator() -> None:
    bare = re.sub(r"--.*", "", SCHEMA)
    # `number > 0` stands three times.
    violated = len(CHECKS) + len(TIMES) + len(OBJECTS) + 2
    assert len(re.findall(r"\bCHECK \(", bare)) == violated


def test_every_trigger_has_a_violator(db: sqlite3.Connection) -> None:
    rows = db.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND sql LIKE '%RAISE%'"
    )
    assert {name for (name,) in rows} == {name for name, *_ in (*TRIGGERS, *FORGOTTEN)} | {
        "ledger_is_bound_once",
        "contact_stays_erased",
    }


def test_every_unique_index_has_a_violator(db: sqlite3.Connection) -> None:
    rows = db.execute("SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE UNIQUE INDEX%'")
    # And contact.hubspot_id, whose index SQLite names by itself.
    assert len(rows.fetchall()) + 1 == len(UNIQUE)


# ── history and sums ─────────────────────────────────────────────────────────────────────────────


def history(db: sqlite3.Connection, key: int) -> list[tuple[Any, ...]]:
    question = (
        "SELECT number, source, target, held FROM event WHERE contact_key = ? ORDER BY number"
    )
    return db.execute(question, (key,)).fetchall()


def test_history_is_written_by_a_trigger(world: sqlite3.Connection) -> None:
    world.execute("UPDATE contact SET held = 'missing' WHERE hubspot_id = 'posted'")
    world.execute(
        "UPDATE contact SET detail = json_quote('not listed') WHERE hubspot_id = 'posted'"
    )
    assert history(world, 3) == [
        (1, None, "extracted", None),
        (2, "extracted", "mapped", None),
        (3, "mapped", "posted", None),
        (4, "posted", "posted", "missing"),
    ]


def test_a_refused_move_leaves_no_history(world: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        world.execute("UPDATE contact SET state = 'verified' WHERE key = 1")
    assert history(world, 1) == [(1, None, "extracted", None)]


def test_sums_follow_every_birth_hold_and_move(world: sqlite3.Connection) -> None:
    for held in ("'refused'", "'refused'", "'gave_up'", "NULL"):
        world.execute(f"UPDATE contact SET held = {held} WHERE hubspot_id = 'free'")
    world.execute("UPDATE contact SET state = 'extracted', lead = NULL WHERE hubspot_id = 'free'")
    counted = "SELECT state, ifnull(held, ''), count(*) FROM contact GROUP BY 1, 2 ORDER BY 1, 2"
    kept = "SELECT state, held, contacts FROM state_count WHERE contacts > 0 ORDER BY 1, 2"
    assert world.execute(kept).fetchall() == world.execute(counted).fetchall()


def test_a_rolled_back_birth_is_neither_told_nor_counted(db: sqlite3.Connection) -> None:
    db.execute("BEGIN")
    db.execute("INSERT INTO contact (hubspot_id, source) VALUES ('1', '{}')")
    db.execute("ROLLBACK")
    assert one(db, "SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM state_count)") == (
        0,
    )


def test_times_are_milliseconds_since_the_epoch(world: sqlite3.Connection) -> None:
    now = time.time() * 1_000
    for column in ("began_ms FROM run", "sent_ms FROM attempt", "at_ms FROM event"):
        assert one(world, f"SELECT {column}")[0] == pytest.approx(now, abs=10_000)


# ── what must not grow with the ledger ───────────────────────────────────────────────────────────

SMALL = {"contact_to_map", "contact_to_send", "contact_held", "contact_changed", "attempt_open"}


def work(ledger: Ledger) -> list[Callable[[], Any]]:
    """The questions and moves that a stage or a push repeats all day."""
    run = ledger.runs.begin_run("push")
    built, rejected = (
        MappedContact(1, "{}", "e1", None),
        ExcludedContact(2, Hold.NO_EMAIL, "it has none"),
    )
    return [
        lambda: ledger.contacts.to_map(1),
        lambda: ledger.contacts.stored(["1"]),
        lambda: ledger.contacts.write_mapped([built], [rejected]),
        ledger.holds.release_orphaned_duplicates,
        lambda: ledger.holds.discard_mapping(1),
        ledger.mappings.used_by_sent,
        lambda: ledger.mappings.sent_with_other(1),
        lambda: ledger.sendable.untried(1),
        lambda: ledger.sendable.to_send(0, 1),
        lambda: ledger.attempts.record_intents(run, [Intent(1, "x")]),
        ledger.counts.in_doubt,
        lambda: ledger.attempts.record_results([AttemptResult(1, Outcome.DENIED, status=401)]),
        lambda: ledger.holds.release(None, None),
        lambda: ledger.counts.held(Hold.REFUSED, 1),
        lambda: ledger.counts.changed(1),
        ledger.counts.sums,
        ledger.counts.to_send,
    ]


def test_claiming_counting_and_settling_do_not_grow_with_the_ledger(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.runs.begin_scan("extraction")
    new = [ExtractedContact(name, "{}", None, None) for name in ("1", "2")]
    ledger.contacts.write_page(ExtractedPage({}, new, [], [], [], None), 1)
    asked: set[str] = set()
    run, each = Database.run, Database.execute_values

    def noted(self: Database, sql: str, params: Any = None) -> Any:
        asked.add(sql)
        return run(self, sql, params)

    def noted_for_each(self: Database, sql: str, rows: Any) -> int:
        asked.update(sql.format(rows=str((1,) * len(row))) for row in rows)
        return each(self, sql, rows)

    monkeypatch.setattr(Database, "run", noted)
    monkeypatch.setattr(Database, "execute_values", noted_for_each)
    for act in work(ledger):
        act()
    assert [sql for sql in asked if grows(ledger.path, sql)] == []


def grows(path: Path, sql: str) -> bool:
    """Whether SQLite would walk through a whole table that grows with the portal."""
    with closing(sqlite3.connect(path)) as db:
        values = dict.fromkeys(re.findall(r":(\w+)", sql))
        steps = [step for *_, step in db.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    scans = re.findall(
        r"^(?:SCAN|SEARCH(?=.* PRIMARY KEY \(\w+>\?\)$)) (?:contact|attempt|company|event)\b"
        r"(?: USING.* INDEX (\w+))?",
        "\n".join(steps),
        re.M,
    )
    return not SMALL.issuperset(scans)


def test_a_walk_through_a_whole_table_is_seen(ledger: Ledger) -> None:
    assert grows(ledger.path, "SELECT count(*) FROM contact WHERE state = 'mapped'")
    assert grows(ledger.path, "SELECT * FROM attempt ORDER BY sent_ms")
    assert grows(ledger.path, "SELECT key FROM contact WHERE key > 0 AND tries > 0 ORDER BY key")
    assert not grows(ledger.path, "SELECT * FROM attempt WHERE outcome IS NULL")
