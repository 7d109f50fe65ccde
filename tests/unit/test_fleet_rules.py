"""The rules of a fleet: its file, its environment, its schedule, its pace."""

import itertools
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.errors import ExitCode, MigratorError, NotReady, UsageError, worst
from migrator.fleet import (
    FleetOrder,
    JourneyStatus,
    SharedRateLimiter,
    Supervisor,
    read_fleet,
    shared_pace,
)
from migrator.fleet.environment import environment_of
from migrator.fleet.schedule import exit_code_of, retry_delay_minutes, shell_code
from migrator.fleet.shared_pace import LoginPace
from tests.support.processes import eventually

# The file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("acme", "globex"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".env").touch(mode=0o600)
    return tmp_path


def journey(name: str = "acme", **more: object) -> str:
    values = {"name": name, "folder": name, "login": "agency", **more}
    return "[[journey]]\n" + "".join(f"{key} = {json.dumps(one)}\n" for key, one in values.items())


def written(folder: Path, text: str) -> Path:
    file = folder / "fleet.toml"
    file.write_text(text)
    return file


def test_relative_paths_are_relative_to_the_file(folder: Path) -> None:
    text = journey(mapping="ours.toml", options=["--rate", "200"], client_id="hist") + journey(
        "globex", folder=str(folder / "globex")
    )
    acme, globex = read_fleet(written(folder, text))
    assert (acme.folder, acme.mapping) == (folder / "acme", folder / "ours.toml")
    assert (acme.options, acme.client_id) == (("--rate", "200"), "hist")
    assert (globex.folder, globex.mapping, globex.options) == (folder / "globex", None, ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no [[journey]] table"),
        ("[[journey]", "is not valid TOML"),
        ("[[journeys]]\n", "unknown key 'journeys'"),
        ("journey = [1]\n", "journey 1 is not a [[journey]] table"),
        (journey(fodler="x"), "journey 'acme': unknown key 'fodler'; did you mean folder?"),
        ('[[journey]]\nname = "acme"\nlogin = "a"\n', "journey 'acme': folder is missing"),
        (journey(login=""), "journey 'acme': login is not a text, or is empty"),
        (journey(options="--update"), "journey 'acme': options is not a list of texts"),
        (journey(name="a/b"), "journey 'a/b': name has other characters"),
        (journey() + journey(folder="globex"), "'acme': journey 2 has the name of another one"),
        (journey() + journey("globex", folder="acme/."), "its folder is also that of 'acme'"),
        (journey(folder="initech"), "journey 'acme': its folder"),
        (journey(folder="~no-such-user/x"), "'~no-such-user/x': ~ is no known user's home"),
        (journey(mapping="~no-such-user/x"), "'~no-such-user/x': ~ is no known user's home"),
        (journey(mapping="a\0b"), "journey 'acme': mapping contains a null character"),
        (journey(options=["--rate", "a\0b"]), "'acme': options contains a null character"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(folder: Path, text: str, words: str) -> None:
    file = written(folder, text)
    with pytest.raises(UsageError) as caught:
        read_fleet(file)
    assert words in caught.value.message
    assert str(file) in caught.value.message
    assert str(file) in caught.value.hint


def test_a_file_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"no\.toml: cannot be read"):
        read_fleet(folder / "no.toml")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o700])
def test_an_env_that_others_may_read_is_refused(folder: Path, mode: int) -> None:
    (folder / "acme" / ".env").chmod(mode)
    refused(folder, f"Journey 'acme': {folder}/acme/.env has the mode {mode:04o}", "chmod 600 ")


def test_an_env_that_is_not_there_is_named(folder: Path) -> None:
    (folder / "acme" / ".env").unlink()
    refused(folder, "Journey 'acme': ", "chmod 600 ")


def refused(folder: Path, message: str, hint: str) -> None:
    with pytest.raises(MigratorError) as caught:
        read_fleet(written(folder, journey()))
    assert isinstance(caught.value, NotReady)
    assert caught.value.message.startswith(message)
    assert hint in caught.value.hint


# The environment


def test_a_child_gets_the_variables_of_the_contract_and_no_others(folder: Path) -> None:
    handed = {
        **dict.fromkeys(["PATH", "HOME", "LANG", "LC_ALL", "LC_TIME", "TZ", "TMPDIR"], "x"),
        **dict.fromkeys(["XDG_STATE_HOME", "MIGRATOR_FENCE", "HTTPS_PROXY", "no_proxy"], "x"),
        **dict.fromkeys(["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"], "x"),
    }
    kept_back = ["HUBSPOT_ACCESS_TOKEN", "LGP_API_KEY", "LEADGENIUS_AUTH_FILE", "MIGRATOR_LEDGER"]
    kept_back += ["PYTHONPATH", "LD_PRELOAD", "AWS_SECRET_ACCESS_KEY", "LCX", "PROXY"]
    (acme,) = read_fleet(written(folder, journey()))
    own = {"LEADGENIUS_AUTH_FILE": f"{folder}/acme/.leadgenius_auth.json"}
    assert environment_of(acme, {**handed, **dict.fromkeys(kept_back, "x")}) == handed | own
    # Where its own file names one, the child reads that.
    (folder / "acme" / ".env").write_text("LEADGENIUS_AUTH_FILE=mine.json\n")
    assert environment_of(acme, handed) == handed


# The schedule


def test_words_that_no_process_can_get_stop_no_other_journey(folder: Path) -> None:
    journeys = read_fleet(written(folder, journey() + journey("globex")))
    statuses = [JourneyStatus(one) for one in journeys]
    words = {"acme": ["\0"], "globex": ["--version"]}
    orders = {name: FleetOrder(words[name], folder / "no.db", sends=False) for name in words}
    fleet = Supervisor(
        statuses, orders, os.environ, at_once=2, retry_for_minutes=0, on_change=lambda _: None
    )
    assert fleet.run() == ExitCode.NOT_READY
    acme, globex = statuses
    assert (acme.code, globex.code) == (3, 0)
    assert acme.why() == f"No process can be started in {folder}/acme: embedded null byte."


@pytest.mark.parametrize("code", [4, 6, 70, 130, 137, 139, 143])
def test_what_can_go_on_later_is_tried_after_1_2_4_minutes(code: int) -> None:
    since, waits = 0.0, []
    for failures in itertools.count(1):
        delay = retry_delay_minutes(code, failures, since, 120)
        if delay is None:
            break
        waits.append(delay)
        since += delay
    assert waits == [1, 2, 4, 8, 16, 32]
    assert retry_delay_minutes(code, 1, 0, 0) is None
    assert retry_delay_minutes(code, 40, 0, 43_200) == 64


@pytest.mark.parametrize("code", [0, 1, 2, 3, 5])
def test_what_needs_a_person_is_not_tried_again(code: int) -> None:
    assert retry_delay_minutes(code, 1, 0, 120) is None


@pytest.mark.parametrize(
    ("returncode", "code", "counts_as"),
    [
        (0, 0, 0),
        (6, 6, 6),
        (-signal.SIGKILL, 137, 4),
        (-signal.SIGSEGV, 139, 4),
        (-signal.SIGTERM, 143, 143),
        (-signal.SIGINT, 130, 130),
        (99, 99, 70),
    ],
)
def test_how_a_process_ended_is_a_code_of_ours(returncode: int, code: int, counts_as: int) -> None:
    assert shell_code(returncode) == code
    assert exit_code_of(code) == counts_as


def test_the_worst_code_is_the_contracts() -> None:
    order = (70, 5, 3, 2, 4, 6, 143, 130, 1, 0)
    for worse, better in itertools.combinations(order, 2):
        assert worst([ExitCode(better), ExitCode(worse)]) == worse
    assert {*map(int, ExitCode)} == {*order}


# The pace of a login


class Login:
    """A parent that keeps the pace of a login, on a clock of the test."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pace = LoginPace()
        self.is_silent = threading.Event()
        self._ours: list[socket.socket] = []
        self.children: list[SharedRateLimiter] = []

    def child(self, asked: str | float = "auto", found: float | None = None) -> SharedRateLimiter:
        ours, theirs = socket.socketpair()
        self._ours.append(ours)
        threading.Thread(target=self._serve, args=[ours], daemon=True).start()
        self.children.append(SharedRateLimiter(theirs.detach(), asked, found))
        return self.children[-1]

    def _serve(self, ours: socket.socket) -> None:
        with ours.makefile("rwb") as stream:
            for line in stream:
                answer = self.pace.answer(json.loads(line), self.now)
                if answer is not None and not self.is_silent.is_set():
                    stream.write(json.dumps(answer).encode() + b"\n")
                    stream.flush()

    def end(self) -> None:
        for one in self._ours:
            one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._ours.clear()


@pytest.fixture
def login() -> Iterator[Login]:
    login = Login()
    yield login
    login.end()
    for child in login.children:
        child.close()


def test_a_wait_that_was_asked_for_outlasts_a_lower_rate() -> None:
    pace = LoginPace()
    pace.answer(["begin", "auto", None], 100.0)
    pace.answer(["throttled", 30.0], 100.0)
    pace.answer(["begin", 60.0, None], 101.0)
    assert pace.answer(["claim", 1], 102.0) == [0, 28.0, 60.0, None]


def test_what_one_process_sends_the_others_do_not(login: Login) -> None:
    one, other = login.child(60.0), login.child(60.0)
    assert [one.claim(0, 5), other.claim(0, 5)] == [1, 0]
    assert other.wait_seconds(0) == pytest.approx(1)
    assert other.interval_seconds == 1
    login.now += 1
    assert [other.claim(0, 5), one.claim(0, 5)] == [1, 0]


def test_what_one_process_is_told_holds_for_all(login: Login) -> None:
    one, other = login.child(6_000.0), login.child(6_000.0)
    one.on_throttled(0, 30)
    assert one.claim(0, 1) == 0
    assert other.claim(0, 1) == 0
    assert other.wait_seconds(0) == pytest.approx(30)


def test_the_lowest_rate_that_a_journey_asks_for_holds_for_its_login(login: Login) -> None:
    one, other = login.child("auto", 900.0), login.child(60.0)
    assert other.claim(0, 1) == 1
    assert one.claim(0, 1) == 0
    assert login.child(600.0).claim(0, 1) == 0


def test_a_login_begins_with_the_limit_that_a_journey_has_found(login: Login) -> None:
    one = login.child("auto", 900.0)
    assert one.claim(0, 1) == 1
    assert one.limit == 900


def test_a_parent_that_is_silent_lets_nothing_leave(login: Login) -> None:
    one = login.child("max")
    login.is_silent.set()
    assert one.claim(0, 3) == 0
    login.is_silent.clear()
    # The answer to the first question never comes; a late one is used only as far as it is wanted.
    assert one.claim(0, 3) == 0


def test_a_parent_that_is_gone_lets_nothing_leave(
    login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append(number))
    monkeypatch.setattr(shared_pace, "GRACE_SECONDS", 0.05)
    one = login.child("max")
    assert one.claim(0, 3) == 3
    login.end()
    assert one.claim(0, 3) == 0
    # The kernel's SIGTERM comes first; a second one would not wait for what is in flight.
    assert sent == []
    eventually(lambda: one.claim(0, 3) == 0 and sent != [], "its own SIGTERM")
    one.on_throttled(0, 1)
    assert (one.claim(0, 3), sent) == (0, [signal.SIGTERM])
