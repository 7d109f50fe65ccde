"""`migrator fleet`: many journeys on one machine, and what may go wrong with some of them."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.judge import judge
from migrator import cli
from migrator.errors import ExitCode
from migrator.fleet import supervisor
from migrator.sandbox import Sandbox
from tests import PACKAGE
from tests.support.inprocess_cli import SETTLE, after_leads, when
from tests.support.journeys import contact
from tests.support.processes import ORDINARY, Process, ended, eventually, kill, start
from tests.support.processes import Result as Ended

OPTIONS = ["--settle", str(SETTLE), "--canary", "0", "--timeout", "20", "--workers", "2"]
MAY_HAVE = {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "XDG_STATE_HOME", "MIGRATOR_FENCE"}
MAY_HAVE |= {"LEADGENIUS_AUTH_FILE", "LC_CTYPE", "LC_ALL", "no_proxy", "NO_PROXY"}
MAY_HAVE |= {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"}


class Fleet:
    """A fleet file, with a sandbox and a folder for each journey."""

    def __init__(
        self, folder: Path, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self._capsys = folder, capsys
        self.file = folder / "fleet.toml"
        self.sandboxes: dict[str, Sandbox] = {}
        patch.setattr(supervisor, "MINUTE_SECONDS", 0.01)
        for name in ("LEADGENIUS_AUTH_FILE", "MIGRATOR_LEDGER"):
            patch.delenv(name, raising=False)

    def add(
        self, name: str, sandbox: Sandbox, *more: str, login: str = "agency", lacks: str = ""
    ) -> Sandbox:
        """A journey; `lacks` is a variable that its `.env` does not have."""
        (self.folder / name).mkdir()
        env = self.folder / name / ".env"
        env.touch(mode=0o600)
        # The last one is no variable of ours: it tells one journey's file from another's.
        variables = {**sandbox.environment(), "SECRET": f"the-secret-of-{name}"}
        env.write_text("".join(f"{k}={v}\n" for k, v in variables.items() if k != lacks))
        told = {"name": name, "folder": name, "login": login, "options": [*OPTIONS, *more]}
        with self.file.open("a") as stream:
            lines = [f"{key} = {json.dumps(value)}" for key, value in told.items()]
            print("[[journey]]", *lines, sep="\n", file=stream)
        self.sandboxes[name] = sandbox
        return sandbox

    def type(self, *words: str) -> tuple[dict[str, Any], str]:
        """Type the command in this process; its result, and what it said."""
        code = cli.main(["fleet", str(self.file), *words, "--json"])
        out, err = self._capsys.readouterr()
        result: dict[str, Any] = json.loads(out)
        assert (result["event"], result["exit_code"]) == ("result", code), err
        return result, err

    def start(self, *words: str) -> Process:
        """Type it in a process of its own."""
        script = (
            "import sys; from migrator.fleet import supervisor; supervisor.MINUTE_SECONDS = 0.01; "
            "from migrator.cli import main; sys.exit(main(sys.argv[1:]))"
        )
        command = [ORDINARY[0], "-c", script, "fleet", str(self.file), *words]
        return start(command, self.folder, {**os.environ})

    def judge(self) -> None:
        for name, sandbox in self.sandboxes.items():
            judge(sandbox, self.folder / name / "migrator.db", SETTLE)


@pytest.fixture
def fleet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Fleet:
    return Fleet(tmp_path, monkeypatch, capsys)


def codes(result: dict[str, Any]) -> dict[str, int]:
    return {one["name"]: one["exit_code"] for one in result["journeys"]}


def children(parent: int) -> list[int]:
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [pid for pid in map(int, found) if is_alive(pid)]


def journey_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cwd").resolve().name


# What it does


def test_each_journey_ends_in_its_own_way_and_sees_nothing_of_the_others(
    fleet: Fleet, sandbox: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "the-secret-of-the-parent")
    fine = fleet.add("acme", sandbox(contacts=0), "--rate", "600")
    held = fleet.add("globex", sandbox(contacts=0), "--rate", "900")
    fleet.add("initech", sandbox(contacts=1), lacks="LEADGENIUS_PASSWORD")
    for number in range(8):
        fine.add_contact(contact(number), contact_id=f"1{number}")
        held.add_contact(contact(number), contact_id=f"2{number}")
    held.fault("refuse", where=lambda lead: "/27]" in lead.get("notes", ""))
    # A folder cannot replace modules.
    (fleet.folder / "acme" / "json.py").write_text("raise SystemExit(99)\n")
    seen: dict[str, tuple[dict[str, str], bytes]] = {}

    def look() -> None:
        for pid in children(os.getpid()):
            variables = Path(f"/proc/{pid}/environ").read_bytes()
            pairs = [one.partition("=") for one in os.fsdecode(variables).split("\0") if one]
            memory = variables + Path(f"/proc/{pid}/cmdline").read_bytes()
            assert os.getpgid(pid) == pid  # Ctrl-C of a terminal is not for it
            seen[journey_of(pid)] = ({name: value for name, _, value in pairs}, memory)
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                where = str(descriptor.readlink()) if descriptor.is_symlink() else ""
                assert not where.startswith(f"{fleet.folder}/") or journey_of(pid) in where

    after_leads(fine, 4, look)
    after_leads(held, 4, look)
    notified = fleet.folder / "notified.json"
    result, _ = fleet.type("run", "--notify", f"tee {notified}")

    assert codes(result) == {"acme": 0, "globex": 1, "initech": 3}
    assert result["exit_code"] == 3
    assert [one["tries"] for one in result["journeys"]] == [1, 1, 1]
    acme, globex, initech = result["journeys"]
    assert (acme["states"]["verified"], globex["states"]["verified"], globex["held"]) == (8, 7, 1)
    assert acme["result"]["push"]["posted"] == 8
    assert "without a password" in initech["result"]["message"]
    assert result["totals"]["states"]["verified"] == 15
    assert json.loads(notified.read_text()) == result

    # Nothing of another one, in its environment, its words, or its files.
    assert {*seen} == {"acme", "globex"}
    for name, (variables, memory) in seen.items():
        assert {*variables} <= MAY_HAVE
        assert b"the-secret-of-" not in memory
        assert variables["LEADGENIUS_AUTH_FILE"].startswith(str(fleet.folder / name))
        for file in (fleet.folder / name).iterdir():
            others = [b"the-secret-of-" + one.encode() for one in (*seen, "the-parent")]
            content = file.read_bytes()
            assert not any(one in content for one in others if not one.endswith(name.encode()))

    # One pace: the lower of the two rates, a request each tenth of a second at most, for both.
    times = sorted(
        one.at
        for box in (fine, held)
        for one in box.received
        if one.method == "POST" and one.path == "/api/leads"
    )
    assert len(times) == 16
    assert times[-1] - times[0] >= 15 * 0.1 * 0.9
    assert max(fine.received[-1].at, held.received[-1].at) > min(times)

    # One page, without a link to outside.
    page = Path(result["page"]).read_text()
    assert Path(result["page"]).stat().st_mode & 0o777 == 0o600
    assert all(name in page for name in ("acme", "globex", "initech", "without a password"))
    assert "http://" not in page and "https://" not in page


def test_a_page_that_cannot_be_written_any_more_loses_no_result(
    fleet: Fleet, sandbox: Callable[..., Sandbox]
) -> None:
    fleet.add("acme", sandbox(contacts=1), lacks="LEADGENIUS_PASSWORD")
    page = fleet.file.with_suffix(".html")

    def put_a_folder_there() -> None:
        eventually(page.exists, "the first page")
        page.unlink()
        (page / "full").mkdir(parents=True)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(put_a_folder_there)
        result, err = fleet.type("run")
        done.result()
    assert (codes(result), result["page"]) == ({"acme": 3}, None)
    assert page.name in err and "cannot be written" in err


def test_a_journey_that_cannot_be_started_stops_no_other(
    fleet: Fleet, sandbox: Callable[..., Sandbox]
) -> None:
    first = fleet.add("acme", sandbox(contacts=1))
    for name in ("globex", "initech"):
        fleet.add(name, sandbox(contacts=1))
    gone = fleet.folder / "globex"

    def remove(_: object) -> bool:
        shutil.rmtree(gone, ignore_errors=True)
        return False  # no fault strikes

    first.fault("account_forbidden", where=remove)
    result, err = fleet.type("stage", "--at-once", "1")
    assert codes(result) == {"acme": 0, "globex": 3, "initech": 0}
    why = f"No process can be started in {gone}: No such file or directory."
    assert f"globex: not ready: {why}\nnext, in {gone}: check the folder" in err
    assert result["journeys"][1]["result"]["message"] == why


@pytest.mark.parametrize("names_it", [False, True])
def test_the_credentials_files_of_journeys_are_not_read(
    fleet: Fleet, sandbox: Callable[..., Sandbox], names_it: bool
) -> None:
    fleet.add("acme", sandbox(contacts=0))
    auth_file = fleet.folder / "acme" / ".leadgenius_auth.json"
    auth_file.touch()
    auth_file.chmod(0o644)
    if names_it:
        with (fleet.folder / "acme" / ".env").open("a") as env:
            env.write(f"LEADGENIUS_AUTH_FILE={auth_file}\n")
    (fleet.folder / "fleet.html").write_text("mine")  # so that no journey is started
    result, _ = fleet.type("stage")
    assert result["exit_code"] == 2
    # To read one restricts it.
    assert auth_file.stat().st_mode & 0o777 == 0o644


def test_a_page_of_somebody_else_is_to_be_moved_away(
    fleet: Fleet, sandbox: Callable[..., Sandbox]
) -> None:
    fleet.add("acme", sandbox(contacts=0))
    (fleet.folder / "fleet.html").write_text("mine")
    result, _ = fleet.type("stage")
    assert result["exit_code"] == 2
    assert result["next"].startswith("move it away")


def test_ctrl_c_stops_all_and_the_same_command_resumes_all(
    fleet: Fleet, sandbox: Callable[..., Sandbox]
) -> None:
    # Slow enough that the first one still sends when the other one has begun, on a busy machine.
    one = fleet.add("acme", sandbox(contacts=12), "--rate", "150")
    other = fleet.add("globex", sandbox(contacts=12), "--rate", "150")
    fleet.add("initech", sandbox(contacts=2))
    sent = [False]

    def both_at_work() -> bool:
        return len(one.held) >= 2 and len(other.held) >= 2

    def interrupt() -> None:
        if not sent[0]:
            sent[0] = True
            os.kill(os.getpid(), signal.SIGINT)

    for box in (one, other):
        when(box, both_at_work, interrupt)
    result, _ = fleet.type("run", "--at-once", "2")
    assert result["exit_code"] == 130
    # Stopped in order, or not started at all.
    assert codes(result) == {"acme": 130, "globex": 130, "initech": None}
    assert [each["in_doubt"] for each in result["journeys"]] == [0, 0, 0]
    assert len(one.held) < 12
    assert children(os.getpid()) == []
    result, _ = fleet.type("run", "--retry-for", "0")
    assert result["exit_code"] == 0
    fleet.judge()


def test_a_second_ctrl_c_kills_all(fleet: Fleet, sandbox: Callable[..., Sandbox]) -> None:
    box = fleet.add("acme", sandbox(contacts=4))
    box.fault("hang_after_saving", times=4)
    parent = fleet.start("run", "--json")
    try:
        box.wait_until(lambda: len(box.held) >= 2, 60)
        (child,) = children(parent.pid)
        while parent.poll() is None:
            parent.send_signal(signal.SIGINT)
        done = ended(parent)
        result = json.loads(done.out)  # one line
        assert (result["event"], result["exit_code"], done.code) == ("result", 130, 130)
        eventually(lambda: not is_alive(child), "the end of the child")
    finally:
        kill(parent)


# Kills


@pytest.mark.parametrize("end", ["raise SystemExit(0)", "import no_such_module"])
def test_a_child_that_ends_without_a_result_is_not_done(
    fleet: Fleet,
    sandbox: Callable[..., Sandbox],
    monkeypatch: pytest.MonkeyPatch,
    end: str,
) -> None:
    fleet.add("acme", sandbox(contacts=0))
    python = fleet.folder / "python"
    python.write_text(f"#!{sys.executable}\n{end}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    result, err = fleet.type("run", "--retry-for", "2")
    assert (codes(result), result["exit_code"]) == ({"acme": 70}, 70)
    assert result["journeys"][0]["tries"] == 2
    assert ("No module named 'no_such_module'" in err) == ("import" in end)


def test_an_installation_without_its_modules_says_so(tmp_path: Path) -> None:
    package = tmp_path / "migrator"
    package.mkdir()
    shutil.copy(PACKAGE / "__main__.py", package)
    (package / "__init__.py").touch()
    words = [sys.executable, "-S", "-m", "migrator", "report"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.BUG
    assert done.stderr.startswith("error: This installation of migrator is not complete: cannot")
    assert len(done.stderr.splitlines()) == 2


def test_a_child_that_is_killed_is_tried_again_and_a_killed_fleet_is_resumed(
    fleet: Fleet, sandbox: Callable[..., Sandbox]
) -> None:
    one = fleet.add("acme", sandbox(contacts=16), "--rate", "400")
    other = fleet.add("globex", sandbox(contacts=16), "--rate", "400")
    parent = fleet.start("run")
    log: list[Ended] = []
    try:
        one.wait_until(lambda: len(one.held) >= 2, 60)
        (victim,) = [pid for pid in children(parent.pid) if journey_of(pid) == "acme"]
        os.kill(victim, signal.SIGKILL)
        # Its second try sends, too.
        before = len(one.held)
        one.wait_until(lambda: len(one.held) > before + 1 and len(other.held) >= 2, 60)
        orphans = children(parent.pid)
        assert victim not in orphans
        parent.kill()
        log.append(ended(parent))
        eventually(lambda: not any(map(is_alive, orphans)), "the end of the children")
    finally:
        kill(parent)
    assert len(one.held) + len(other.held) < 32
    result, _ = fleet.type("run")
    assert result["exit_code"] == 0, result
    fleet.judge()


def is_alive(pid: int) -> bool:
    try:
        return b"--json" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


# The command line


def test_a_name_that_is_not_there_is_named(fleet: Fleet, sandbox: Callable[..., Sandbox]) -> None:
    fleet.add("acme", sandbox(contacts=0))
    result, _ = fleet.type("run", "--only", "acne")
    assert result["exit_code"] == 2
    assert "did you mean acme?" in result["message"]


@pytest.mark.parametrize(
    "option", ["--bogus", "--json", "--take-over", "--rate", "acme", "-vv", "-vh"]
)
def test_an_option_that_is_not_for_a_journey_is_named(
    fleet: Fleet, sandbox: Callable[..., Sandbox], option: str
) -> None:
    fleet.add("acme", sandbox(contacts=0), option)
    result, _ = fleet.type("run")
    assert result["exit_code"] == 2
    assert "journey 'acme': options: " in result["message"]


def test_a_command_that_cannot_be_told_is_refused_before_anything_is_started(
    fleet: Fleet, sandbox: Callable[..., Sandbox]
) -> None:
    box = fleet.add("acme", sandbox(contacts=1))
    result, _ = fleet.type("run", "--notify", "no-such-command-here")
    assert result["exit_code"] == 2
    assert box.received == []


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_reader_that_is_gone_changes_neither_the_code_nor_the_notification(
    fleet: Fleet, sandbox: Callable[..., Sandbox], more: list[str]
) -> None:
    fleet.add("acme", sandbox(contacts=0))
    notified = fleet.folder / "notified.json"
    reader, writer = os.pipe()
    os.close(reader)
    words = [*ORDINARY, "fleet", str(fleet.file), "report", "--notify", f"tee {notified}", *more]
    parent = start(words, fleet.folder, {**os.environ}, (subprocess.DEVNULL, writer, writer))
    os.close(writer)
    assert ended(parent).code == ExitCode.LEDGER
    assert json.loads(notified.read_text())["exit_code"] == ExitCode.LEDGER


def test_another_command_gets_those_of_the_options_that_it_has(
    fleet: Fleet, sandbox: Callable[..., Sandbox]
) -> None:
    box = fleet.add("acme", sandbox(contacts=2), "--update", "--rate=300", "--attention-ok")
    result, _ = fleet.type("stage")
    assert (result["exit_code"], result["verb"]) == (0, "stage")
    assert result["journeys"][0]["result"]["given"] == 2
    assert box.held == []
    result, _ = fleet.type("report")
    assert result["journeys"][0]["result"]["next"] == "migrator push"
