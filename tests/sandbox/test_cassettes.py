"""What a tape may hold, that it plays for its own requests only, and that the sandbox agrees."""

import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from urllib3 import HTTPSConnectionPool
from vcr.errors import CannotOverwriteExistingCassetteException  # type: ignore[import-untyped]

from migrator.http import HttpClient
from tests import ROOT, at_once
from tests.support import cassettes
from tests.support.cassettes import (
    ACCESS_TOKEN,
    CASSETTES,
    HUBSPOT_URL,
    LEAD,
    LEADGENIUS_URL,
    SCENES,
    NotWritten,
    Scrubber,
    body_of,
    faults,
    playing,
)

TAPES = sorted(
    path.relative_to(CASSETTES).with_suffix("").as_posix() for path in CASSETTES.rglob("*.yaml")
)
JWT = re.compile(r"[\w-]{4,}\.[\w-]{16,}\.[\w-]{4,}")
ADDRESS = re.compile(r"[\w.+'-]+@([\w.-]+)")
WEB_ADDRESS = re.compile(r"\bhttps?://([^/\s\"']*)")

every_tape = pytest.mark.parametrize("name", TAPES)


def text_of(name: str) -> str:
    return (CASSETTES / f"{name}.yaml").read_text("utf-8")


def interactions(name: str, folder: Path = CASSETTES) -> list[Any]:
    found = yaml.safe_load((folder / f"{name}.yaml").read_text("utf-8"))["interactions"]
    assert isinstance(found, list) and found
    return found


def bodies(name: str) -> Iterator[Any]:
    for one in interactions(name):
        for body in (one["request"]["body"], one["response"]["body"]["string"]):
            if body:
                yield json.loads(body)


def values(data: Any, name: str) -> Iterator[Any]:
    """Every value of this name, however deep."""
    if isinstance(data, dict):
        for key, inner in data.items():
            if key.lower() == name.lower():
                yield inner
            yield from values(inner, name)
    elif isinstance(data, list):
        for inner in data:
            yield from values(inner, name)


def shape(data: Any) -> Any:
    """The names in some JSON and the kinds of their values; of a list, what all its members are."""
    if isinstance(data, dict):
        return {key: shape(inner) for key, inner in sorted(data.items())}
    if isinstance(data, list):
        return sorted({json.dumps(shape(one), sort_keys=True) for one in data})
    return type(data).__name__


def shape_of(interaction: Any) -> Any:
    request, response = interaction["request"], interaction["response"]
    address = urlsplit(request["uri"])
    return (
        (request["method"], address.path, sorted(name for name, _ in parse_qsl(address.query))),
        shape(json.loads(request["body"] or "null")),
        sorted(request["headers"]),
        response["status"],
        sorted(response["headers"]),
        shape(json.loads(response["body"]["string"])),
    )


def send(body: bytes, path: str = "/api/leads") -> None:
    http = HttpClient("LeadGenius", LEADGENIUS_URL, timeout_seconds=5)
    try:
        headers = {"Authorization": "Bearer fake"}
        http.send(path, body, headers=headers, created_id=lambda data: "1", may_leave=at_once)
    finally:
        http.close()


@pytest.fixture
def departures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Where anybody tried to connect to."""
    tried: list[Any] = []

    def connect(one: socket.socket, address: Any) -> None:
        tried.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    return tried


# What a tape holds -----------------------------------------------------------------------------


def test_each_scene_has_its_tape_and_each_tape_its_scene():
    assert sorted(SCENES) == TAPES


def test_each_tape_is_played_by_a_test():
    folder = ROOT / "tests" / "integration"
    players = [folder / "test_hubspot.py", folder / "test_leadgenius.py"]
    text = "".join(path.read_text("utf-8") for path in players)
    assert sorted(set(re.findall(r"playing\(\"([\w/]+)\"\)", text))) == TAPES


def test_the_readme_says_of_each_tape_where_it_is_from():
    text = (CASSETTES / "README.md").read_text("utf-8")
    told = re.findall(r"^\| `([\w/]+)` \| (the sandbox|the real service) \|", text, re.M)
    assert sorted(told) == [
        (name, "the real service" if is_live(text_of(name)) else "the sandbox") for name in TAPES
    ]


@every_tape
def test_a_tape_says_where_it_is_from_and_is_short_enough_to_read(name):
    lines = text_of(name).splitlines()
    assert re.match(r"# Recorded from the (sandbox; proves nothing|real service on 20)", lines[0])
    assert len(lines) <= 90


@every_tape
def test_a_tape_holds_nothing_that_looks_like_a_secret(name):
    assert faults(text_of(name)) == []


@every_tape
def test_the_only_token_on_a_tape_is_the_one_that_says_it_is_fake(name):
    tokens = [found for found in JWT.findall(text_of(name)) if found != ACCESS_TOKEN]
    assert not [one for one in tokens if not one.endswith(("hubapi.com", "leadgenius.app"))]
    assert "eyJ" not in text_of(name)
    for body in bodies(name):
        for key in ("accessToken", "idToken", "refreshToken"):
            assert all(value.startswith("fake") for value in values(body, key))


@every_tape
def test_a_tape_holds_no_password(name):
    assert all(one == "REDACTED" for body in bodies(name) for one in values(body, "password"))


@every_tape
def test_everybody_on_a_tape_lives_at_an_example_address(name):
    assert set(ADDRESS.findall(text_of(name))) <= {"example.com"}
    for body in bodies(name):
        for key in ("firstName", "firstname", "lastName", "lastname"):
            assert {*values(body, key)} <= {"Ada", "Lovelace"}


@every_tape
def test_a_tape_speaks_to_the_real_services_only(name):
    home = {"hubspot": HUBSPOT_URL, "leadgenius": LEADGENIUS_URL}[name.partition("/")[0]]
    assert set(WEB_ADDRESS.findall(text_of(name))) == {urlsplit(home).netloc}
    assert not re.search(r"localhost|127\.\d|\[?::1\b|0\.0\.0\.0|sandbox\.", text_of(name))


@every_tape
def test_a_tape_keeps_no_header_that_nobody_reads(name):
    for one in interactions(name):
        for headers in (one["request"]["headers"], one["response"]["headers"]):
            assert {header.lower() for header in headers} <= cassettes.KEPT_HEADERS


def jwt_of_nobody() -> str:
    return ".".join(["eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiIxIn0", "c2lnbmF0dXJl"])


@pytest.mark.parametrize(
    "leak",
    [
        jwt_of_nobody(),
        "pat-na1-0000-of-nobody",
        "lgp_0000000000",
        "Bearer s3cret-of-nobody",
        "sandbox-refresh-7",
        "sandbox-password-of-nobody",
        "grace@navy.mil",
        "ada@example.com.evil.org",
        "Authorization:\n- none",
        "    Set-Cookie:\n    - a=b",
        "x-api-key: nothing",
        '{"password": "hunter2"}',
        '{\\"password\\": \\"hunter2\\"}',
        "https://staging.leadgenius.app/api/leads",
        "https://api.hubapi.com.evil.org/",
        "http://127.0.0.1:8080/api",
        "localhost:8080",
        "abcdefghij0123456789abcdefghij",
    ],
)
def test_what_no_tape_may_hold_is_found_and_not_repeated(leak):
    found = faults(f"body:\n  string: |\n    {leak}\n")
    assert found
    assert leak not in " ".join(found)


def test_what_is_known_to_be_secret_is_found_whatever_it_looks_like():
    assert faults("string: correct horse", known=["correct horse"])
    assert not faults("string: correct horse")


# How a tape plays ------------------------------------------------------------------------------


def test_a_tape_plays_without_recording_and_matches_the_body():
    with pytest.raises(AssertionError, match="never asked for"), playing("leadgenius/created") as t:
        assert t.record_mode.value == "none"
        assert {match.__name__ for match in t._match_on} == set(cassettes.MATCH_ON)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (body_of({**LEAD, "email": "ada+9@example.com"}), "/api/leads"),
        (body_of(LEAD, "client-9"), "/api/leads"),
        (body_of(LEAD), "/api/clients"),
        (b"", "/api/leads"),
    ],
)
def test_a_request_that_is_not_on_the_tape_is_refused_and_nothing_leaves(body, path, departures):
    with (
        pytest.raises(CannotOverwriteExistingCassetteException),
        playing("leadgenius/created"),
    ):
        send(body, path)
    assert departures == []


def test_an_answer_is_played_once(departures):
    with playing("leadgenius/created"):
        send(body_of(LEAD))
        with pytest.raises(CannotOverwriteExistingCassetteException):
            send(body_of(LEAD))
    assert departures == []


def test_a_tape_refuses_other_threads_and_nothing_leaves(departures):
    with playing("leadgenius/created"), ThreadPoolExecutor(1) as pool:
        with pytest.raises(RuntimeError, match="one thread only"):
            pool.submit(send, body_of(LEAD)).result()
        send(body_of(LEAD))
    assert departures == []


def test_an_answer_that_nobody_asked_for_fails_the_test():
    with pytest.raises(AssertionError, match="throttled: 2 answers"), playing("hubspot/throttled"):
        pass


# How a tape is recorded ------------------------------------------------------------------------


@every_tape
def test_the_sandbox_still_answers_as_on_the_tape(name, tmp_path):
    cassettes.record_from_sandbox(name, tmp_path)
    assert agree(interactions(name, tmp_path), interactions(name), is_live(text_of(name)))


def is_live(text: str) -> bool:
    return "from the real service" in text.splitlines()[0]


def agree(anew: list[Any], kept: list[Any], live: bool) -> bool:
    """A real service may know more names than the sandbox, and never fewer."""
    mine, theirs = [shape_of(one) for one in anew], [shape_of(one) for one in kept]
    if not live:
        return mine == theirs
    asked = [one[:2] for one in mine] == [one[:2] for one in theirs]
    return asked and all(names_in(a) <= names_in(b) for a, b in zip(anew, kept, strict=True))


def names_in(interaction: Any) -> set[str]:
    return set(paths(json.loads(interaction["response"]["body"]["string"])))


def paths(data: Any, above: str = "") -> Iterator[str]:
    if isinstance(data, dict):
        for key, inner in data.items():
            yield f"{above}/{key}"
            yield from paths(inner, f"{above}/{key}")
    elif isinstance(data, list):
        for inner in data:
            yield from paths(inner, above)


def test_a_name_that_only_one_of_the_two_knows_is_drift():
    kept, anew = interactions("hubspot/account"), interactions("hubspot/account")
    assert agree(anew, kept, live=False)
    body = kept[0]["response"]["body"]
    body["string"] = '{"unheardOf": 1, ' + body["string"][1:]
    assert not agree(anew, kept, live=False)
    assert agree(anew, kept, live=True)
    assert not agree(kept, anew, live=True)


def test_a_tape_that_would_leak_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(Scrubber, "response", lambda self, response: response)
    old = tmp_path / "leadgenius" / "login.yaml"
    old.parent.mkdir()
    old.write_text("old")
    with pytest.raises(NotWritten, match="login was not written") as caught:
        cassettes.main(["leadgenius/login"], tmp_path)
    assert old.read_text() == "old"
    assert "eyJ" not in str(caught.value)


def test_a_tape_that_is_not_written_leaves_nothing_recording(tmp_path, monkeypatch):
    before = HTTPSConnectionPool.ConnectionCls
    monkeypatch.setattr(cassettes, "_known", lambda settings: ["Europe/Berlin"])
    with pytest.raises(NotWritten):
        cassettes.main(["hubspot/account"], tmp_path)
    assert HTTPSConnectionPool.ConnectionCls is before


def test_a_tape_on_which_nothing_was_answered_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setitem(cassettes.SCENES, "hubspot/account", cassettes.Scene(lambda studio: None))
    with pytest.raises(NotWritten, match="nothing was answered"):
        cassettes.main(["hubspot/account"], tmp_path)
    assert not list(tmp_path.rglob("*.yaml"))


def test_a_tape_with_a_name_of_the_account_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(cassettes, "_known", lambda settings: ["Analytical Engines"])
    with pytest.raises(NotWritten, match="of this account"):
        cassettes.main(["hubspot/companies"], tmp_path)
    assert not list(tmp_path.rglob("*.yaml"))


def test_a_recording_without_the_scrubber_of_requests_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(Scrubber, "request", lambda self, request: request)
    with pytest.raises(NotWritten, match="authenticates"):
        cassettes.main(["hubspot/account"], tmp_path)
    assert not list(tmp_path.rglob("*.yaml"))


def test_a_recording_is_of_the_accounts_in_the_environment(tmp_path, monkeypatch, sandbox):
    stand = sandbox(contacts=3)
    for name, value in stand.environment().items():
        monkeypatch.setenv(name, value)
    assert cassettes.main(["--live", "hubspot/first_page", "leadgenius/login"], tmp_path) == 0
    assert len(stand.received) == 2
    assert interactions("hubspot/first_page", tmp_path)[0]["request"]["uri"].startswith(HUBSPOT_URL)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["hubspot/nothing"], "there is no tape hubspot/nothing"),
        (["--live", "hubspot/throttled"], "no real service can be asked to fail like this"),
    ],
)
def test_what_cannot_be_recorded_is_refused_in_words(arguments, complaint, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        cassettes.main(arguments, tmp_path)
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


def test_without_names_a_recording_of_real_accounts_writes_and_breaks_nothing(monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr(cassettes, "record", lambda name, settings, folder: asked.append(name))
    monkeypatch.setattr(cassettes, "load", lambda *sources: object())
    cassettes.main(["--live"])
    assert asked == [name for name in SCENES if not (SCENES[name].writes or SCENES[name].fault)]


def test_the_scrubber_keeps_the_shape_and_nobody_of_an_answer():
    scrubber = Scrubber()
    answer = {
        "results": [
            {"id": str(number), "properties": {"email": f"{name}@navy.mil", "firstname": name}}
            for number, name in enumerate(("grace", "alan", "edsger"), 77)
        ],
        "unheardOf": "Grace Hopper",
        "archived": False,
    }
    found = scrubber.scrubbed(answer)
    assert shape(found) == shape(answer)
    assert len(found["results"]) == 2
    assert not re.search("(?i)grace|alan|edsger|navy|77|78", json.dumps(found))
