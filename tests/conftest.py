"""
What every test stands on: an environment without anybody's settings, a folder of its own, and no
way out of this machine.
"""

import gc
import importlib
import ipaddress
import os
import platform
import shutil
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from migrator.ledger import Ledger
from tests import ROOT

# Compiled modules are kept even where the environment says not to: rewriting the assertions of all
# tests takes ten seconds, and each worker would do it again, in every run.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell sets it so for what it runs in the background, and every process of a test would keep it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Thousands of tests are no garbage: to look through them again and again costs a tenth of a run.
gc.set_threshold(10_000)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()


def pytest_configure() -> None:
    """
    Put the tests' folders into memory, where there is enough: each commit of a ledger is synced.

    No power fails in a test run: to sync to a disk proves nothing more, and takes most of its time.
    """
    memory = Path("/dev/shm")  # noqa: S108
    if memory.is_dir() and shutil.disk_usage(memory).free > ENOUGH_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def pytest_runtest_teardown() -> None:
    """`cli.main` has Ctrl-C end its process at once; pytest wants to hear of it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


ENOUGH_BYTES = 1 << 30
OURS = ("HUBSPOT_", "LEADGENIUS_", "LGP_", "MIGRATOR_")
OTHERS = {
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NO_COLOR", "FORCE_COLOR", "NETRC"),
    "XDG_STATE_HOME",
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"),
}


def pytest_report_header() -> str:
    return (
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"SQLAlchemy {sqlalchemy.__version__}"
    )


def pytest_xdist_auto_num_workers() -> int:
    """Most tests here wait for somebody's time-out: twice as many as there are cores can."""
    return 2 * (os.cpu_count() or 1)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the tests once in a first whole run, before all workers would."""
    config = session.config
    is_worker = hasattr(config, "workerinput")
    if is_worker or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    for path in (ROOT / "tests").glob("*/test_*.py"):
        compiled = f"__pycache__/{path.stem}.{sys.implementation.cache_tag}-pytest-*.pyc"
        if not any(path.parent.glob(compiled)):
            importlib.import_module(f"tests.{path.parent.name}.{path.stem}")


@pytest.fixture(autouse=True)
def scrubbed_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.upper().startswith(OURS) or name.upper() in OTHERS:
            monkeypatch.delenv(name)
    home = tmp_path.with_name(f"{tmp_path.name}-home")
    home.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    # Lines that wrap, or colours, would make what is printed depend on who runs the tests.
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    # A .env or a ledger in the working directory is read by default.
    monkeypatch.chdir(tmp_path)


def is_loopback(host: Any) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def no_way_out() -> Iterator[None]:
    """For the whole session: a thread that outlives its test does not get out either."""
    connect, connect_ex, getaddrinfo = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )

    def check(one: socket.socket, address: Any) -> None:
        if one.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(address[0]):
            raise RuntimeError(f"a test tried to leave this machine: connect to {address[0]}")

    def guarded_connect(one: socket.socket, address: Any) -> None:
        check(one, address)
        connect(one, address)

    def guarded_connect_ex(one: socket.socket, address: Any) -> int:
        check(one, address)
        return connect_ex(one, address)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(host, str) and host.endswith(".invalid"):
            # What DNS says of every such name (RFC 6761), without asking it.
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if not is_loopback(host):
            raise RuntimeError(f"a test tried to leave this machine: look up {host}")
        return getaddrinfo(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
        yield


class Clock:
    """A monotonic clock that only moves when somebody sleeps on it; threads may share it."""

    def __init__(self, now: float = 1_000.0) -> None:
        self._now = now
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> float:
        with self._lock:
            return self._now

    def sleep(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        with self._lock:
            self._now += seconds
            self.slept.append(seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def new_ledger(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a ledger that nothing is in: to write the schema costs more than most tests."""
    path = tmp_path_factory.mktemp("ledger") / "migrator.db"
    with Ledger.open_for_work(path):
        pass
    return path.read_bytes()


@pytest.fixture
def ledger(tmp_path: Path, new_ledger: bytes) -> Iterator[Ledger]:
    (tmp_path / "migrator.db").touch(mode=0o600)
    (tmp_path / "migrator.db").write_bytes(new_ledger)
    with Ledger.open_for_work(tmp_path / "migrator.db") as ledger:
        yield ledger


@pytest.fixture
def sandbox() -> Iterator[Callable[..., Any]]:
    """A factory: `sandbox(**options)` starts one; all of them stop with the test."""
    from migrator.sandbox import Sandbox

    with ExitStack() as started:
        yield lambda **options: started.enter_context(Sandbox(**options))


@pytest.fixture
def empty(sandbox: Any, tmp_path: Path, monkeypatch: Any, capsys: Any) -> Any:
    """A shell with an empty portal, for contacts of the test's own."""
    from tests.support.inprocess_cli import InProcessCli

    return InProcessCli(tmp_path, sandbox(contacts=0), monkeypatch, capsys)


@pytest.fixture
def three(empty: Any) -> Any:
    """A shell with three contacts, staged."""
    from tests.support.journeys import contact

    for number in range(1, 4):
        empty.sandbox.add_contact(contact(number), contact_id=str(number))
    empty.stage()
    return empty


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mix the folders, so that tests that wait and tests that compute run at the same time."""
    items.sort(key=lambda item: item.path.name)
