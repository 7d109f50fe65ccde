"""A rehearsal: it says what the real push will do, touches nothing, and leaves nothing behind."""

import json
import os
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from benchmarks.rehearse import processes_in
from migrator import cli
from migrator.child_process import environment
from migrator.findings import Findings, ProbeRecord
from migrator.probe_records import keep_probe
from migrator.rehearse.folder import remove_abandoned, temporary_folder
from migrator.state_folder import state_folder
from tests.support.inprocess_cli import PUSH, RESUME, VERIFY, InProcessCli, stops
from tests.support.journeys import contact
from tests.support.processes import Operator, Process, eventually, kill

TOO_LONG = "https://linkedin.example/in/".ljust(2_049, "x")
# A send that is never answered keeps the push busy until it is stopped.
FOR_EVER = "rehearse -q --fault hang_after_saving=1"


@pytest.fixture
def some(empty: InProcessCli, monkeypatch: pytest.MonkeyPatch) -> InProcessCli:
    """Twelve staged contacts, of which LeadGenius refuses two."""
    monkeypatch.setattr("migrator.cli.rehearse._SETTLE_SECONDS", 0.3)
    for number in range(1, 13):
        more = {"website": TOO_LONG} if number in (3, 8) else {}
        empty.sandbox.add_contact(contact(number, **more), contact_id=str(number))
    mapping = empty.type("mapping --builtin").out
    assert "\ntitle" in mapping
    mine = mapping.replace("\ntitle", '\nlinkedinUrl = "website"\ntitle')
    (empty.folder / "mine.toml").write_text(mine)
    done = empty.type("stage --mapping mine.toml")
    assert done.code == 0, done.err
    return empty


def rehearsed(shell: InProcessCli, words: str = "") -> dict[str, Any]:
    done = shell.type(f"rehearse --json {words}")
    result: dict[str, Any] = json.loads(done.out.splitlines()[-1])
    assert result["exit_code"] == done.code
    return result


def files(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}


def state() -> Path:
    return state_folder(os.environ)


def remains() -> list[Path]:
    return [*state().glob("rehearsals/*")]


# What it says


def test_it_names_exactly_the_contacts_that_the_real_push_is_refused(some):
    result = rehearsed(some)
    assert result["exit_code"] == 1
    assert [one["contact"] for one in result["refused"]] == ["3", "8"]
    assert "linkedinUrl" in result["refused"][0]["why"]
    assert (result["contacts"], result["sendable"], result["created"]) == (12, 12, 10)
    assert (result["verified"], result["missing"], result["doubled"]) == (10, 0, 0)
    assert result["audit"] == {"holds": True, "faults": 0}
    assert some.type(PUSH).code == 1
    refused = some.ask("SELECT hubspot_id FROM contact WHERE held = 'refused' ORDER BY key")
    assert refused == [("3",), ("8",)]


def test_it_touches_neither_the_services_nor_the_ledger_nor_a_fence(some, monkeypatch):
    monkeypatch.setenv("MIGRATOR_FENCE", "postgresql://127.0.0.1:9/none")
    monkeypatch.setenv("LGP_API_KEY", "lgp_of_the_user")
    before, asked = files(some.folder), len(some.sandbox.received)
    assert rehearsed(some)["created"] == 10
    assert files(some.folder) == before
    assert len(some.sandbox.received) == asked
    assert remains() == []
    assert not [*state().glob("journeys/*"), *state().glob("ledgers/*")]


def test_the_report_is_marked_as_a_rehearsal_and_says_how_long_the_real_push_takes(some):
    done = some.type("rehearse")
    assert done.code == 1
    assert done.out.startswith("REHEARSAL: nothing was sent to LeadGenius. The sandbox behaves as ")
    assert "LeadGenius was not probed yet" in done.out
    assert "at 400 a minute" in done.out
    assert "Not created: 2. Verify: 10 newly verified" in done.out
    assert "Audit: the promise holds." in done.out
    assert "refused  LeadGenius refused the lead" in done.out
    assert "Next: migrator rehearse --json" in done.out


def test_what_nothing_is_wrong_with_ends_with_0_and_the_push_as_next(three):
    done = three.type("rehearse")
    assert done.code == 0, done.err
    assert "Next: migrator push " in done.out


def test_a_push_that_is_killed_again_and_again_comes_to_the_same(some, monkeypatch):
    killed = []
    end = subprocess.Popen.kill

    def noted(process: subprocess.Popen[str]) -> None:
        if isinstance(process.args, list) and "push" in process.args:
            killed.append(process.poll())
        end(process)

    monkeypatch.setattr(subprocess.Popen, "kill", noted)
    result = rehearsed(some, "--kills 2")
    assert killed == [None, None]  # both were at work
    assert [one["contact"] for one in result["refused"]] == ["3", "8"]
    assert (result["created"], result["doubled"], result["audit"]["holds"]) == (10, 0, True)


def test_faults_are_lived_through_as_in_a_push(some):
    result = rehearsed(some, "--fault drop_after_saving=0.3 --fault error_without_saving=0.2")
    assert [one["contact"] for one in result["refused"]] == ["3", "8"]
    assert result["created"] == result["verified"] == 10
    assert result["audit"]["holds"]


def test_what_follows_the_push_waits_for_a_service_as_the_push_does(some):
    result = rehearsed(some, "--fault list_error=0.5")
    assert (result["created"], result["verified"]) == (10, 10)
    assert result["audit"]["holds"]


def test_leads_that_were_sent_are_there_already_and_are_not_sent_again(some):
    assert some.type(f"{PUSH} --limit 4").code in (0, 1)
    sent = some.count("lead_id IS NOT NULL")
    assert 0 < sent < 10
    result = rehearsed(some)
    assert result["created"] == 10 - sent
    assert (result["verified"], result["doubled"], result["missing"]) == (10, 0, 0)
    assert result["audit"]["holds"]
    assert some.type(RESUME).code == 1
    assert some.type(VERIFY).code == 0


def test_it_behaves_as_the_newest_probe_found(three, monkeypatch):
    monkeypatch.setattr("migrator.cli.rehearse._SETTLE_SECONDS", 0.3)
    lagging = Findings(list_lag_s=1.5, page_limit=1, rate_limit=100)
    keep_probe(state(), ProbeRecord(three.sandbox.url, 5_000, lagging), None)
    result = rehearsed(three)
    assert result["as_probed_ms"] == 5_000
    assert result["real_push_per_minute"] == 100
    assert result["seconds"] >= 1.5  # until the first leads are listed
    assert (result["created"], result["verified"]) == (3, 3)
    assert f"found {three.sandbox.url}" in three.type("rehearse").out


# What it refuses


def test_what_cannot_be_rehearsed_is_said_with_the_next_command(empty):
    stops(empty.type("rehearse"), 5, "There is no ledger", "migrator stage")
    stops(empty.type("rehearse --fault nonsense=0.1"), 2, "nonsense", "rehearse --fault list")
    stops(empty.type("rehearse --fault refuse=0.7 --fault conflict=0.6"), 2)
    empty.sandbox.add_contact({"firstname": "Ada"}, contact_id="1")
    empty.stage()
    stops(empty.type("rehearse"), 3, "Nothing is left to send", "migrator report")
    assert remains() == []


def test_a_push_that_stops_ends_the_rehearsal_and_leaves_nothing(three, monkeypatch):
    monkeypatch.setattr("migrator.cli.rehearse._SETTLE_SECONDS", 0.3)
    done = three.type("rehearse --fault forbidden=1")
    stops(done, done.code, "The push of the rehearsal stopped")
    assert done.code in (3, 4)
    assert remains() == []


# Its folder


def test_the_folder_is_the_owners_alone_and_vanishes_after_an_error(tmp_path):
    with suppress(ZeroDivisionError), temporary_folder(tmp_path) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "state").mkdir()
        (folder / "migrator.db").touch()
        remove_abandoned(tmp_path)
        assert (folder / "migrator.db").exists()  # it is held
        1 / 0  # noqa: B018
    assert not folder.exists()
    assert not (tmp_path / "rehearsals").exists()


def started(operator: Operator) -> tuple[Process, int]:
    """A rehearsal in the middle of its push, and the process of its sandbox."""
    process = operator.start(FOR_EVER)
    eventually(lambda: any(state().glob("rehearsals/*/state/migrator/journeys/*")), "a push")
    (sandbox,) = processes_in(state() / "rehearsals")
    return process, sandbox


@pytest.mark.parametrize("told", ["", "{", "{}\n", '{}\n{"id": "1", "lead": {}}\n{"id"'])
def test_a_sandbox_whose_parent_is_killed_ends_without_a_word(told):
    done = subprocess.run(
        [sys.executable, "-m", "migrator.sandbox"],
        input=told,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing(three, tmp_path, number):
    process, _ = started(Operator(tmp_path, three.sandbox))
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.wait() == 128 + number, err
    assert "the rehearsal and its copy of the ledger are gone" in err
    assert remains() == []
    assert processes_in(state()) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_what_a_kill_leaves_the_next_command_of_any_kind_removes(three, tmp_path):
    process, _ = started(Operator(tmp_path, three.sandbox))
    assert cli.main(["report", "-q"]) == 0
    assert remains() != []  # it is at work
    kill(process)
    assert remains() != []
    eventually(lambda: processes_in(state()) == [], "the end of the sandbox")
    assert three.type("--version").code == 0
    assert remains() == []
