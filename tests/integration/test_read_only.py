"""`report` only reads: it takes no lock, and leaves the ledger's files as they are."""

import stat
from pathlib import Path

import pytest

from migrator.errors import ExitCode
from migrator.ledger import Ledger
from tests.support.inprocess_cli import InProcessCli
from tests.support.processes import Operator

WAYS = ["report", "report --json", "report --html page.html", "report --csv held.csv", "show 1"]


def files(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Mode, time of the last change and content of each of the ledger's files."""
    found = {}
    for one in folder.glob("migrator.db*"):
        seen, is_shared = one.stat(), one.name.endswith("-shm")
        # SQLite's readers put their marks into this one, which is shared memory.
        content = (0, b"") if is_shared else (seen.st_mtime_ns, one.read_bytes())
        found[one.name] = (stat.S_IMODE(seen.st_mode), *content)
    return found


@pytest.mark.parametrize("mode", [0o400, 0o444, 0o600, 0o644])
@pytest.mark.parametrize("words", WAYS)
def test_a_report_leaves_the_files_as_they_are(three: InProcessCli, mode: int, words: str) -> None:
    for one in three.folder.glob("migrator.db*"):
        one.chmod(mode)
    before = files(three.folder)
    assert three.type(words).code == ExitCode.DONE
    assert files(three.folder) == before


@pytest.mark.parametrize("words", WAYS)
def test_a_report_waits_for_no_push_and_changes_none_of_its_files(
    three: InProcessCli, words: str
) -> None:
    reader = Operator(three.folder, three.sandbox)  # in a process of its own, as locks are
    with Ledger.open_for_work(three.folder / "migrator.db") as ledger:
        ledger.runs.begin_run("push")
        before = files(three.folder)
        assert reader.run(words).code == ExitCode.DONE
        assert files(three.folder) == before
        ledger.runs.begin_run("push")  # it still holds its lock
