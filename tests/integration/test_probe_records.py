"""Findings of probes: kept in the ledger if there is one, else in the state folder."""

from pathlib import Path

import pytest

from migrator.findings import Findings, ProbeRecord
from migrator.ledger import Ledger
from migrator.probe_records import keep_probe, newest_probe

URL = "https://leadgenius.example"
OLD = ProbeRecord(URL, 1_000, Findings(page_limit=25, listing_fields=("id", "email")))
NEW = ProbeRecord(URL, 2_000, Findings(late_s=45.5, update={"partial": False}))


def test_a_ledger_keeps_its_own(tmp_path: Path) -> None:
    with Ledger.open_for_work(tmp_path / "migrator.db", creates=True) as ledger:
        keep_probe(tmp_path / "state", OLD, ledger)
        assert newest_probe(tmp_path / "state", URL, ledger) == OLD
        assert newest_probe(tmp_path / "state", "https://other.example", ledger) is None
        assert not (tmp_path / "state").exists()


def test_a_new_ledger_uses_what_the_state_folder_has_of_its_host(tmp_path: Path) -> None:
    keep_probe(tmp_path, OLD, None)
    with Ledger.open_for_work(tmp_path / "migrator.db", creates=True) as ledger:
        assert newest_probe(tmp_path, URL, ledger) == OLD
        keep_probe(tmp_path, NEW, ledger)
        assert newest_probe(tmp_path, URL, ledger) == NEW
    assert newest_probe(tmp_path, URL, None) == OLD


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"url": 1}',
        f'{{"url": "{URL}", "probed_ms": 1, "findings": []}}',
        f'{{"url": "{URL}", "probed_ms": 1e999, "findings": {{}}}}',
        f'{{"url": "{URL}", "probed_ms": {10**18}, "findings": {{}}}}',
        '{"url": "https://other.example", "probed_ms": 1, "findings": {}}',
        "[" * 100_000,
    ],
)
def test_a_file_that_is_none_of_ours_counts_as_none(tmp_path: Path, text: str) -> None:
    keep_probe(tmp_path, OLD, None)
    (kept,) = (tmp_path / "probes").iterdir()
    kept.write_text(text)
    assert newest_probe(tmp_path, URL, None) is None


def test_a_probe_overrules_what_an_update_found_out(tmp_path: Path) -> None:
    with Ledger.open_for_work(tmp_path / "migrator.db", creates=True) as ledger:
        ledger.runs.bind(leadgenius_url=URL)
        ledger.updates.set_replaces(does=False)
        ledger.probes.add(OLD)
        assert ledger.updates.replaces() is False
        ledger.probes.add(NEW)
        assert ledger.updates.replaces() is True


def test_settle_is_raised_and_never_lowered() -> None:
    assert Findings(late_s=2.0).settle_s == 60
    assert NEW.findings.settle_s == 91
