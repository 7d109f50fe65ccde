"""Commands that find a write which a killed process left open, of a contact that is held."""

import sqlite3

import pytest

from tests.integration.test_update_command import UPDATE, changed, first
from tests.support.inprocess_cli import VERIFY, InProcessCli

__all__ = ["changed"]


def leave_open(shell: InProcessCli, kind: str, hold: str) -> None:
    """Leave a held contact as a process does that was killed after it committed an intent."""
    fields = '{"title": "Countess"}' if kind == "update" else None
    with sqlite3.connect(shell.folder / "migrator.db") as ledger:
        where = f"hubspot_id = '{first(shell)}'"
        ledger.execute(f"UPDATE contact SET held = '{hold}' WHERE {where}")
        ledger.execute("INSERT INTO run (command, pid, host) VALUES ('update', 1, 'x')")
        ledger.execute(
            "INSERT INTO attempt (contact_key, number, run_id, payload_hash, kind, lead_id, "
            "fields, before, base) SELECT key, 2, (SELECT max(id) FROM run), 'ab', :kind, lead_id, "
            ":fields, '{\"title\": \"Clerk\"}', iif(:kind = 'update', lead, NULL) "
            f"FROM contact WHERE {where}",
            {"kind": kind, "fields": fields},
        )
    ledger.close()


@pytest.mark.parametrize("kind", ["update", "delete"])
@pytest.mark.parametrize("hold", ["different", "missing", "doubled", "refused"])
def test_retry_and_verify_leave_it_as_it_is(changed: InProcessCli, kind: str, hold: str) -> None:
    leave_open(changed, kind, hold)
    for words in (f"retry {first(changed)}", f"retry --reason {hold}", VERIFY):
        assert changed.type(words).code in (0, 1), words
        assert changed.count(f"held = '{hold}'") == 1
    assert changed.type(f"{UPDATE} --yes").code == 0
    assert changed.type(VERIFY).code in (0, 1)
    assert changed.count("key IN open_attempt") == 0
