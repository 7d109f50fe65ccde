"""The ledgers that benchmarks are made with: row by row as the real commands leave them."""

import os
import sqlite3
from contextlib import closing

import pytest

from benchmarks.ledgers import Shape, build, copy
from migrator.journey.place import Place, PlaceRecord, is_elsewhere
from migrator.ledger import Ledger
from migrator.state_folder import state_folder
from tests.support.inprocess_cli import InProcessCli

SAME = (
    "SELECT key, hubspot_id, state, held, detail, source, company_id, company_rule, email_key, "
    "lead, derived_fields, mapping, scan FROM contact",
    "SELECT contact_key, number, source, target, held FROM event",
    "SELECT * FROM state_count WHERE contacts > 0",
    "SELECT * FROM company",
    "SELECT scan, complete, contacts_seen, met, odd FROM checkpoint WHERE name = 'extraction'",
    "SELECT name, sql FROM sqlite_schema ORDER BY name",
)


def test_a_ledger_that_was_built_is_the_one_that_stage_makes(
    sandbox, tmp_path, monkeypatch, capsys
):
    shell = InProcessCli(tmp_path, sandbox(contacts=60), monkeypatch, capsys)
    monkeypatch.chdir(tmp_path)
    assert shell.type("stage").code == 0
    build(tmp_path / "built.db", Shape(60, state="mapped"))
    with closing(sqlite3.connect(tmp_path / "built.db")) as built:
        for sql in SAME:
            assert sorted(built.execute(sql), key=repr) == sorted(shell.ask(sql), key=repr), sql


@pytest.mark.parametrize("state", ["posted", "verified"])
def test_a_journey_that_was_killed_has_sums_that_close(tmp_path, state):
    build(tmp_path / "built.db", Shape(60, left=5, in_doubt=2, state=state))
    with closing(sqlite3.connect(tmp_path / "built.db")) as built:
        assert built.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        assert built.execute("PRAGMA foreign_key_check").fetchall() == []
        counts = dict(built.execute("SELECT state, contacts FROM state_count WHERE held = ''"))
        assert counts == {"mapped": 7, state: sum(counts.values()) - 7}
        in_doubt = built.execute("SELECT count(*) FROM attempt WHERE outcome IS NULL").fetchone()
        assert in_doubt == (2,)


def test_a_copy_of_one_is_at_its_place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    build(tmp_path / "built.db", Shape(60, left=5))
    copy(tmp_path / "built.db", tmp_path / "copy.db")
    with Ledger.open_for_work(tmp_path / "copy.db") as ledger:
        origin = ledger.runs.origin()
    recorded = PlaceRecord(state_folder(dict(os.environ)), origin.uid).read()
    assert origin.intents > 0
    assert not is_elsewhere(recorded, Place.of(tmp_path / "copy.db"), origin.intents)
