"""The ledger, all that lies beside it and the credentials file are their owner's alone."""

import errno
import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from migrator import private_files
from migrator.config import AuthFile
from migrator.errors import LedgerError
from migrator.ledger import Ledger, is_locked, opening
from tests.support.processes import Operator, eventually, kill

SUFFIXES = ("", "-wal", "-shm", ".lock")
OWNER_ONLY = {f"migrator.db{suffix}": 0o600 for suffix in SUFFIXES}


def modes(folder: Path) -> dict[str, int]:
    return {one.name: stat.S_IMODE(one.stat().st_mode) for one in folder.glob("migrator.db*")}


@pytest.fixture
def operator(sandbox: Callable[..., Any], tmp_path: Path) -> Iterator[Operator]:
    """Somebody whose umask takes nothing away: whatever is narrow was made so."""
    before = os.umask(0)
    yield Operator(tmp_path, sandbox(contacts=150))
    os.umask(before)


@contextmanager
def held_at_work(operator: Operator) -> Iterator[None]:
    """A stage that has asked for its first page, and waits."""
    before = struck(operator)
    operator.sandbox.fault("hubspot_hang")
    process = operator.start("stage")
    try:
        operator.sandbox.wait_until(lambda: struck(operator) > before, timeout=30)
        yield
    finally:
        kill(process)
        operator.sandbox.calm()


def struck(operator: Operator) -> int:
    return sum(one.fault is not None for one in operator.sandbox.received)


def test_a_new_ledger_is_its_owners_alone_while_it_is_worked_on(operator):
    with held_at_work(operator):
        assert modes(operator.folder) == OWNER_ONLY


def test_files_that_were_there_and_wide_are_closed(operator):
    for name in OWNER_ONLY:
        (operator.folder / name).touch(mode=0o666)
    with held_at_work(operator):
        assert modes(operator.folder) == OWNER_ONLY


def test_a_ledger_that_was_copied_wide_with_its_log_is_closed(operator):
    operator.sandbox.fault("hubspot_hang", where=lambda query: bool(query.get("after")))
    killed = operator.start("stage")
    eventually(lambda: rows(operator) > 0, "a page")
    kill(killed)
    operator.sandbox.calm()
    assert (operator.folder / "migrator.db-wal").stat().st_size > 0
    for one in operator.folder.glob("migrator.db*"):
        one.chmod(0o666)
    with held_at_work(operator):
        assert modes(operator.folder) == OWNER_ONLY


def rows(operator: Operator) -> int:
    try:
        return int(operator.ask("SELECT count(*) FROM contact")[0][0])
    except Exception:
        return 0


def test_it_is_closed_before_sqlite_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "migrator.db"
    with Ledger.open_for_work(path):
        pass
    path.chmod(0o666)
    connect, seen = opening._connect, []

    def noted(path: Path, mode: str) -> Any:
        seen.append(stat.S_IMODE(path.stat().st_mode))
        return connect(path, mode)

    monkeypatch.setattr(opening, "_connect", noted)
    with Ledger.open_for_work(path):
        assert set(seen) == {0o600}


def test_every_file_is_made_narrow_and_not_narrowed_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, int] = {}
    real = os.open

    def noted(path: Any, flags: int, mode: int = 0o777, **rest: Any) -> int:
        if flags & os.O_CREAT and not Path(path).exists():
            made[Path(path).name.partition("auth")[0] or "auth"] = mode
        return real(path, flags, mode, **rest)

    monkeypatch.setattr(os, "open", noted)
    before = os.umask(0)
    with Ledger.open_for_work(tmp_path / "migrator.db"):
        AuthFile(tmp_path / "auth.json").update(token="t")
    os.umask(before)
    assert made == {"migrator.db": 0o600, "migrator.db.lock": 0o600, ".": 0o600}


def test_a_lock_deleted_during_the_work_is_not_made_anew_by_its_holder(tmp_path: Path) -> None:
    with Ledger.open_for_work(tmp_path / "migrator.db") as ledger:
        ledger.runs.begin_run("stage")
        (tmp_path / "migrator.db.lock").unlink()
        with pytest.raises(LedgerError):
            ledger.runs.begin_run("stage")
        assert not (tmp_path / "migrator.db.lock").exists()


@pytest.mark.parametrize("content", ["[[package]]\n", "4711\n", f"{'files 1':63}\n[]\n"])
def test_a_lock_of_somebody_else_is_refused_and_left_as_it_is(tmp_path: Path, content: str) -> None:
    theirs = tmp_path / "poetry.lock"
    theirs.write_text(content)
    theirs.chmod(0o644)
    with (
        pytest.raises(LedgerError, match=r"poetry\.lock is not a migrator lock file"),
        Ledger.open_for_work(tmp_path / "poetry"),
    ):
        pass
    with theirs.open() as at_work:
        fcntl.flock(at_work, fcntl.LOCK_EX)
        assert not is_locked(tmp_path / "poetry")  # it says nothing of a ledger
    assert (theirs.read_text(), stat.S_IMODE(theirs.stat().st_mode)) == (content, 0o644)
    assert [one.name for one in tmp_path.iterdir()] == ["poetry.lock"]


def test_a_wide_file_of_somebody_else_is_not_written_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "migrator.db"
    path.touch()
    path.chmod(0o666)
    somebody = os.geteuid() + 1

    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chmod", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: somebody)
    with (
        pytest.raises(LedgerError, match="Operation not permitted") as error,
        Ledger.open_for_work(path),
    ):
        pass
    assert "owner" in error.value.hint
    assert path.read_bytes() == b""


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_where_the_kernel_has_no_locks_there_is_no_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(LedgerError, match=r"cannot be locked") as error,
        Ledger.open_for_work(tmp_path / "migrator.db"),
    ):
        pass
    assert "local disk" in error.value.hint
    assert not (tmp_path / "migrator.db").exists()


# The credentials file


def test_a_credentials_file_that_another_script_left_open_is_closed_when_it_is_read(operator):
    file = operator.folder / "auth.json"
    service = operator.sandbox
    file.write_text(json.dumps({"api_key": service.api_key, "user_id": service.user_id}))
    file.chmod(0o644)
    assert operator.run("clients").code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_it_is_closed_before_a_byte_of_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "auth.json"
    file.write_text('{"token": "t"}')
    file.chmod(0o644)
    seen: list[int] = []
    narrow = private_files.restrict_to_owner

    def noted(descriptor: Any) -> None:
        seen.append(os.lseek(descriptor, 0, os.SEEK_CUR))
        narrow(descriptor)

    monkeypatch.setattr("migrator.config.auth_file.restrict_to_owner", noted)
    assert AuthFile(file).read() == {"token": "t"}
    assert seen == [0]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_new_credentials_file_is_its_owners_alone_under_any_umask(operator):
    assert operator.run("auth").code == 0
    file = operator.folder / "auth.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in operator.folder.iterdir()] == ["auth.json"]
