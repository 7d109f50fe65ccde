"""Where a ledger works: as a table of records and places, and the record on a real disk."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from migrator import file_identity as identities
from migrator.errors import LedgerBusy, NotReady
from migrator.file_identity import file_identity, file_system, is_on_network
from migrator.journey.journey_lock import JourneyLock, journey_key
from migrator.journey.place import Place, PlaceRecord, Recorded, is_elsewhere, machine_id

HERE = Place("machine-1", "77 123", "/work/migrator.db", "host-1")
RECORDED = Recorded(HERE, 40, owes_looks=False)


@pytest.mark.parametrize(
    ("recorded", "intents", "expected"),
    [
        (RECORDED, 40, False),
        (RECORDED, 41, False),  # killed between the commit and the record
        (RECORDED, 39, True),  # an older copy was put back
        (None, 40, True),  # another machine's, or its state folder is gone
        (None, 0, False),  # never sent anything
        (RECORDED, 0, False),
        (replace(RECORDED, place=replace(HERE, machine="machine-2")), 40, True),
        (replace(RECORDED, place=replace(HERE, file="78 123")), 40, True),  # a copy
        (replace(RECORDED, place=replace(HERE, file="77 124")), 40, True),  # its inode again
        (replace(RECORDED, place=replace(HERE, file="")), 40, False),  # not known then
        (replace(RECORDED, place=replace(HERE, path="/elsewhere", host="other")), 40, False),
        (replace(RECORDED, owes_looks=True), 40, False),
    ],
)
def test_a_ledger_is_elsewhere(recorded: Recorded | None, intents: int, expected: bool) -> None:
    assert is_elsewhere(recorded, HERE, intents) is expected


def test_a_place_whose_inodes_do_not_last_is_told_by_its_machine_alone() -> None:
    assert not is_elsewhere(RECORDED, replace(HERE, file=""), 40)
    assert is_elsewhere(RECORDED, replace(HERE, file="", machine="machine-2"), 40)


def test_the_record_says_what_was_last_written(tmp_path: Path) -> None:
    record = PlaceRecord(tmp_path / "state", "ledger-1")
    assert record.read() is None
    record.begin(RECORDED)
    assert record.read() == RECORDED
    record.update(41, owes_looks=True)
    assert PlaceRecord(tmp_path / "state", "ledger-1").read() == Recorded(HERE, 41, True)
    assert PlaceRecord(tmp_path / "state", "ledger-2").read() is None
    record.close()


def test_the_state_folder_is_its_owners_alone(tmp_path: Path) -> None:
    PlaceRecord(tmp_path / "state", "ledger-1").begin(RECORDED)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "state").rglob("*")}
    assert modes == {0o700, 0o600}


@pytest.mark.parametrize("text", ["", "40\n{}", "x y\n{}", "40 0\n[]", "40 0\n{", "\xff"])
def test_a_record_that_is_not_ours_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "ledgers").mkdir()
    (tmp_path / "ledgers" / "ledger-1").write_text(text, "latin-1")
    assert PlaceRecord(tmp_path, "ledger-1").read() is None


def test_a_state_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(NotReady, match=r"state folder cannot be used: .*state/ledgers") as caught:
        PlaceRecord(tmp_path / "state", "ledger-1").begin(RECORDED)
    assert "XDG_STATE_HOME" in caught.value.hint


def test_a_file_is_the_same_after_a_rename_and_not_after_a_copy(tmp_path: Path) -> None:
    file, renamed = tmp_path / "a file", tmp_path / "renamed"
    file.write_text("text")
    before = file_identity(file)
    file.rename(renamed)
    assert file_identity(renamed) == before != ""
    shutil.copy2(renamed, file)
    assert file_identity(file) != before
    os.utime(renamed, (1, 1))
    assert file_identity(renamed) == before


def test_an_inode_that_is_used_again_is_another_file() -> None:
    seen = set()
    # On a disk: in memory, where tests have their folders, no inode is used again.
    with tempfile.TemporaryDirectory() as folder:
        for number in range(50):
            file = Path(folder) / "file"
            file.write_text(str(number))
            seen.add(file_identity(file))
            file.unlink()
    assert len(seen) == 50
    assert len({one.split()[0] for one in seen}) < 50, "no inode was used again: proves nothing"


@pytest.mark.parametrize(
    ("mount", "kind", "identity", "network"),
    [
        ("ext4", "ext4", True, False),
        ("vfat", "vfat", False, False),
        ("fuse.sshfs", "fuse.sshfs", False, True),
        ("9p", "9p", False, True),
        ("nfs4", "nfs4", False, True),
    ],
)
def test_where_inodes_do_not_last_a_file_has_no_identity(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mount: str,
    kind: str,
    identity: bool,
    network: bool,
) -> None:
    folder = tmp_path / "with blank"
    folder.mkdir()
    table = tmp_path / "mounts"
    point = str(folder.resolve()).replace(" ", "\\040")
    table.write_text(f"/dev/root / ext4 rw 0 0\nsrc {point} {mount} rw 0 0\n")
    monkeypatch.setattr(identities, "MOUNTS", table)
    assert file_system(folder / "x") == kind
    (folder / "x").write_text("")
    assert bool(file_identity(folder / "x")) is identity
    assert is_on_network(folder / "x") is network
    assert file_system(tmp_path) == "ext4"


def test_the_machine_has_one_id() -> None:
    assert machine_id() == machine_id()


HOLD = """
import sys
from pathlib import Path
from migrator.journey.journey_lock import JourneyLock
lock = JourneyLock(Path(sys.argv[1]), sys.argv[2])
lock.acquire(0)
lock.write_holder("ledger-1", "push", Path("/some/folder"))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_journey_has_one_sender_and_the_second_learns_who_and_where(tmp_path: Path) -> None:
    key = journey_key("4242", "https://host", "acme")
    command = [sys.executable, "-c", HOLD, str(tmp_path), key]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        second = JourneyLock(tmp_path, key)
        with pytest.raises(LedgerBusy, match=rf"push`, process {first.pid}, from /some/folder"):
            second.acquire(0)
        JourneyLock(tmp_path, journey_key("4242", "https://host", "other")).acquire(0)
        first.kill()
    second.acquire(5)
    assert second.last_ledger == "ledger-1"
    assert second.is_in_place()
    next((tmp_path / "journeys").glob("*")).rename(tmp_path / "gone")
    for path in (tmp_path / "journeys").glob("*"):
        path.unlink()
    assert not second.is_in_place()
