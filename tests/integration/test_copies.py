"""A copy of a ledger, for a rehearsal: all of it, as of one moment, and bound to nothing."""

import stat
from contextlib import ExitStack

import pytest

from migrator.errors import LedgerBusy
from migrator.ledger import Ledger
from tests.support.inprocess_cli import PUSH


def test_a_copy_is_of_one_moment_however_often_the_ledger_is_written(three, tmp_path, monkeypatch):
    monkeypatch.setattr("migrator.ledger.copies._PAGES_AT_ONCE", 5)
    path, begun = tmp_path / "migrator.db", list[int]()
    with Ledger.open_for_work(path) as working, Ledger.open_read_only(path) as reading:
        last = working.runs.begin_run("stage")
        reading.copy_to(tmp_path / "copy.db", lambda: begun.append(working.runs.begin_run("stage")))
    assert len(begun) > 3
    with Ledger.open_for_work(tmp_path / "copy.db", creates=False) as copy:
        assert copy.runs.newest(1)[0].id == last


def test_a_copy_is_of_one_moment_and_bound_to_nothing(three, tmp_path):
    assert three.type(f"{PUSH} --limit 1").code == 0
    path = tmp_path / "migrator.db"
    with Ledger.open_for_work(path) as working, Ledger.open_read_only(path) as reading:
        with working.transaction():
            working.runs.begin_run("stage")
            reading.copy_to(tmp_path / "copy.db")
        run = working.runs.newest(1)[0]
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    with Ledger.open_for_work(tmp_path / "copy.db", creates=False) as copy:
        assert copy.runs.newest(1)[0].id < run.id
        binding = copy.runs.binding()
        assert (binding.leadgenius_url, binding.client_id) == (None, None)
        assert binding.portal_id == three.sandbox.portal_id
        copy.runs.bind(leadgenius_url="http://127.0.0.1:9", client_id="other")
        with pytest.raises(Exception, match="bound to another"), copy.transaction():
            copy._database.run("UPDATE ledger SET client_id = 'third'")


def test_a_ledger_that_is_written_while_it_is_copied_is_refused(three, tmp_path):
    path = tmp_path / "migrator.db"

    def work() -> None:
        if not (tmp_path / "migrator.db-wal").exists():
            with ExitStack() as stack:
                stack.enter_context(Ledger.open_for_work(path)).runs.begin_run("stage")

    with Ledger.open_read_only(path) as ledger, pytest.raises(LedgerBusy):
        ledger.copy_to(tmp_path / "copy.db", work)
