"""
No command reads all contacts, sends or moves where an index leads to those that it wants.

SQLite is asked what it makes of each statement of a real journey. What may go through all of them
stands below, with the reason.
"""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.inprocess_cli import PUSH, RESUME, VERIFY
from tests.support.journeys import asked_of_sqlite

JOURNEY = (
    *("stage", f"{PUSH} --limit 1", RESUME, VERIFY, "report", "show 1", "show nobody@x.example"),
    *("plan --offline", "retry --reason refused", "retry 1", "report --csv held.csv", "stage"),
)
# Through an index of a few is through those few.
OF_A_FEW = (
    *("contact_to_map", "contact_to_send", "contact_held", "contact_changed", "contact_amended"),
    *("contact_edited", "contact_unproven", "attempt_open", "contact_gone", "contact_merged"),
    "contact_succeeded",
)
TABLES = "contact|attempt|event|seen_lead|company|own|other|first|mine|old|successor|living"
READS = re.compile(rf"SCAN (?:{TABLES})\b(?: USING (?:COVERING )?INDEX (?P<index>\w+))?")
# From somewhere in an index, or in the table, to its end.
READS_INDEX = re.compile(
    rf"SEARCH (?:{TABLES}) USING .*?(?:INDEX (?P<index>\w+)|PRIMARY KEY) \(\w+>\?\)$"
)
ALLOWED = {
    "FROM seen_lead WHERE EXISTS": "verify counts the leads that are not as they were sent, once",
    "FROM seen_lead WHERE record IS NULL": "verify drops its guesses, once",
    "FROM seen_lead WHERE lacks > ''": "verify asks which fields are not shown, once",
    "UPDATE seen_lead SET lacks = NULL": "verify concludes what is lacking, once",
    "FROM seen_lead JOIN contact ON key = contact_key": "verify names unclaimed leads, once",
    "FROM seen_lead WHERE contact_key IS NULL": "verify names unknown leads, once",
    "FROM contact WHERE lead_id IS NOT NULL LIMIT 1": "the first of them is enough",
}


def read_whole(ledger: sqlite3.Connection, sql: str) -> list[str]:
    """The steps by which a statement goes through nearly all rows of a table that grows."""
    plan = [row[3] for row in ledger.execute(f"EXPLAIN QUERY PLAN {sql}")]
    found = [READS.match(step) or READS_INDEX.match(step) for step in plan]
    return [one[0] for one in found if one is not None and one["index"] not in OF_A_FEW]


@pytest.fixture
def three(three):
    """Looked through already, as a ledger is that was just put down."""
    assert three.type("stage").code == 0
    return three


@pytest.fixture
def asked(monkeypatch):
    """Every statement from now on, with its values in their places."""
    return asked_of_sqlite(monkeypatch)


def test_no_statement_of_a_journey_reads_whole_tables(three, asked, monkeypatch):
    monkeypatch.chdir(three.folder)
    three.sandbox.add_contact({"email": "nobody@@x.example"})
    for words in JOURNEY:
        assert three.type(words).code in (0, 2), words
    questions = [sql for sql in dict.fromkeys(asked) if re.match(r"SELECT|UPDATE|DELETE", sql)]
    assert len(questions) > 100
    with closing(sqlite3.connect(Path("migrator.db"))) as ledger:
        faults = {
            sql: steps
            for sql in questions
            if not any(allowed in sql for allowed in ALLOWED) and (steps := read_whole(ledger, sql))
        }
    assert faults == {}
