"""Tokens travel to the configured host, encrypted, and nowhere else; `-v` tells nothing of them."""

import ast
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from migrator import cli
from migrator.errors import ExitCode, NotReady
from migrator.http.transport import NeverSent, Transport
from tests import PACKAGE
from tests.support.processes import Operator, Result, ended, start
from tests.support.socket_server import LOOPBACK, Server, Visit, answer, then_close

HUBSPOT_TOKEN = "pat-na1-11111111-hubspot"
API_KEY = "lgp_leadgenius"
ELSEWHERE = "http://127.0.0.1.evil.example"


class Site:
    """A folder to type commands in, with both services at these URLs."""

    def __init__(self, folder: Path, hubspot: str, leadgenius: str) -> None:
        self.folder = folder
        self.environ = {
            "HUBSPOT_ACCESS_TOKEN": HUBSPOT_TOKEN,
            "HUBSPOT_BASE_URL": hubspot,
            "LEADGENIUS_BASE_URL": leadgenius,
            "LEADGENIUS_EMAIL": "",
            "LGP_API_KEY": API_KEY,
            "LGP_USER_ID": "me",
        }

    def run(self, words: str, **more: str) -> Result:
        return self.python("-m", "migrator", *words.split(), **more)

    def send(self, **more: str) -> Result:
        """Send once, without any look before it, which would be tried again and again."""
        return self.python("-c", SENDING, **more)

    def python(self, *words: str, **more: str) -> Result:
        environ = {**os.environ, **self.environ, **more}
        return ended(start([sys.executable, *words], self.folder, environ))


SENDING = """
import os, pathlib, sys
from migrator import config, connections, errors
settings = config.load({}, os.environ, pathlib.Path.cwd())
try:
    connections.open_leadgenius(settings)[0].create_client("Acme", "")
except errors.MigratorError as error:
    sys.exit(error.exit_code)
"""
ACCOUNT = answer(200, b'{"portalId": 1, "timeZone": "UTC"}')
NO_CONTACTS = answer(200, b'{"results": [], "total": 0}')
CLIENTS = answer(200, b'{"clients": [{"id": "1", "client_id": "acme", "clientName": "Acme"}]}')


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("words", ["stage", "clients", "auth"])
def test_a_redirect_to_another_host_is_not_followed(tmp_path, status, words):
    with Server((answer(200, b'{"portalId": 1}'),)) as target:
        there = {"Location": f"{target.url.replace(LOOPBACK, 'localhost')}/there"}
        with Server((answer(status, headers=there),)) as server:
            login = {"LEADGENIUS_EMAIL": "me@x.example", "LEADGENIUS_PASSWORD": "hunter2"}
            site = Site(tmp_path, server.url, server.url)
            result = site.run(words, **(login if words == "auth" else {}))
            assert result.code in (ExitCode.NOT_READY, ExitCode.STOPPED_EARLY), result
            assert len(server.requests) == 1
        assert target.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirected_send_is_not_followed(tmp_path, status):
    with Server((answer(200, b'{"clients": []}'),)) as target:
        there = {"Location": f"{target.url.replace(LOOPBACK, 'localhost')}/there"}
        with Server((answer(status, headers=there),)) as server:
            result = Site(tmp_path, server.url, server.url).send()
            assert result.code == ExitCode.STOPPED_EARLY, result
            assert [one.line.split()[0] for one in server.requests] == ["POST", "GET"]
        assert target.connections == 0


def test_each_service_is_told_its_own_secret_and_not_the_other_ones(tmp_path):
    with Server((ACCOUNT, NO_CONTACTS)) as hubspot, Server((CLIENTS,)) as leadgenius:
        site = Site(tmp_path, hubspot.url, leadgenius.url)
        assert site.run("stage").code == ExitCode.DONE
        assert site.run("clients").code == ExitCode.DONE
        said = {"hubspot": str(hubspot.requests), "leadgenius": str(leadgenius.requests)}
    assert HUBSPOT_TOKEN in said["hubspot"]
    assert API_KEY not in said["hubspot"]
    assert API_KEY in said["leadgenius"]
    assert HUBSPOT_TOKEN not in said["leadgenius"]


def test_a_proxy_is_asked_for_a_tunnel_and_told_no_secret(tmp_path):
    with Server((answer(502),)) as proxy:
        site = Site(tmp_path, "https://hubspot.invalid", "https://leadgenius.invalid")
        site.send(HTTPS_PROXY=proxy.url, https_proxy=proxy.url)
        assert {one.line.split()[0] for one in proxy.requests} == {"CONNECT"}
        assert API_KEY not in str(proxy.requests)


@dataclass
class Telltale:
    """A LeadGenius that quotes, in each refusal, whatever it was ever told or has given."""

    words: str = ""
    server: Server = field(init=False)

    def __post_init__(self) -> None:
        self.server = Server((self.answer,))

    def answer(self, visit: Visit) -> None:
        request = self.server.requests[-1]
        said = {"POST /api/auth": {"tokens": GIVEN}, "GET /api/clients": ONE_CLIENT}
        said["GET /api/leads"] = {"leads": []}
        body = said.get(" ".join(request.line.partition("?")[0].split()[:2]))
        refusal = {"success": False, "error": f"may not: {self.words}"}
        visit.say(answer(400 if body is None else 200, json.dumps(body or refusal).encode()))


GIVEN = {"accessToken": "opaque-access-1", "refreshToken": "opaque-refresh-1"}
ONE_CLIENT = {"clients": [{"id": "1", "client_id": "acme", "clientName": "Acme"}]}


@pytest.mark.parametrize("way", ["login", "key"])
def test_no_secret_that_a_refusal_quotes_is_stored_or_shown(three, monkeypatch, way):
    password, key = 'pass "wörd"', "sk-live-7f3a9c0d"
    for name, value in {
        "HUBSPOT_ACCESS_TOKEN": "CJ-service-key-0123",
        "LEADGENIUS_PASSWORD": password,
        "LEADGENIUS_CLIENT_ID": "acme",
        **({"LGP_API_KEY": key} if way == "key" else {}),
    }.items():
        monkeypatch.setenv(name, value)
    there = Telltale(
        " | ".join([password, quote(password), key, *GIVEN.values(), "CJ-service-key-0123"])
    )
    monkeypatch.setenv("LEADGENIUS_BASE_URL", there.server.url)
    said = ""
    with there.server:
        for words in (
            "push --workers 1 --settle 0.1 --canary 0 --json -v --log-file run.log",
            "report",
            "report --json",
            "show 1",
            "show 1 --json",
            "report --html r.html",
            "report --csv r.csv",
        ):
            done = three.type(words)
            said += done.out + done.err
    assert three.count("held = 'refused'") == 3
    files = {path.name: path.read_bytes() for path in three.folder.iterdir() if path.is_file()}
    assert {"migrator.db", "run.log", "r.html", "r.csv"} <= files.keys()
    files["what was said"] = said.encode()
    assert b"may not: [redacted]" in files["what was said"]
    hidden = [
        "CJ-service",
        "w\u00f6rd",
        "w\\u00f6rd",
        "w%C3%B6rd",
        *([key] if way == "key" else GIVEN.values()),
    ]
    for name, content in files.items():
        assert not [one for one in hidden if one.encode() in content], name


# Plain HTTP


@pytest.mark.parametrize("where", ["environment", "dotenv", "credentials file"])
@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://leadgenius.example", "plain http"),
        (ELSEWHERE, "plain http"),
        ("http://localhost.evil.example", "plain http"),
        ("http://127.999.0.1", "plain http"),
        ("http://localhost@evil.example", "a user"),
        ("https://me:hunter2@leadgenius.example", "a user"),
    ],
)
def test_a_url_that_would_show_a_secret_is_refused_wherever_it_stands(tmp_path, where, url, fault):
    site = Site(tmp_path, "https://hubspot.invalid", url)
    file = tmp_path / "auth.json"
    site.environ["LEADGENIUS_AUTH_FILE"] = str(file)
    if where != "environment":
        del site.environ["LEADGENIUS_BASE_URL"]
    if where == "dotenv":
        (tmp_path / ".env").write_text(f"LEADGENIUS_BASE_URL={url}\n")
    if where == "credentials file":
        file.write_text(json.dumps({"base_url": url, "api_key": API_KEY}))
    result = site.run("clients")
    assert result.code == NotReady.exit_code
    assert fault in result.err
    assert "hunter2" not in result.err


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_plain_http_to_this_machine_is_spoken(tmp_path, name):
    with Server((CLIENTS,)) as server:
        url = f"http://{name}:{server.port}"
        result = Site(tmp_path, url, url).run("clients")
        assert result.code == ExitCode.DONE, result.err


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A certificate for a name that only whoever trusts this file vouches for."""
    folder = tmp_path_factory.mktemp("tls")

    def made(name: str) -> Path:
        key, path = folder / "key.pem", folder / f"{name}.pem"
        openssl = shutil.which("openssl")
        assert openssl, "these tests want openssl"
        curve = (
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "1",
        )
        about = ("-subj", f"/CN={name}", "-addext", f"subjectAltName={name}")
        files = ("-keyout", str(key), "-out", str(path))
        subprocess.run(
            [openssl, "req", "-x509", *curve, *about, *files], check=True, capture_output=True
        )
        path.write_text(path.read_text() + key.read_text())
        return path

    return made


def tls(path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


# What people set to make a certificate's error go away.
HUSHED = [
    {},
    {"CURL_CA_BUNDLE": "", "REQUESTS_CA_BUNDLE": ""},
    {"CURL_CA_BUNDLE": "0"},
    {"REQUESTS_CA_BUNDLE": "0"},
    {"REQUESTS_CA_BUNDLE": "/nonsense"},
    {"SSL_CERT_FILE": ""},
    {"SSL_CERT_FILE": "/nonsense", "SSL_CERT_DIR": "0"},
    {"PYTHONHTTPSVERIFY": "0"},
]


@pytest.mark.parametrize("environ", HUSHED)
def test_a_certificate_that_nobody_vouches_for_is_told_nothing(tmp_path, certificate, environ):
    with Server((CLIENTS,), tls=tls(certificate(f"IP:{LOOPBACK}"))) as server:
        result = Site(tmp_path, server.url, server.url).send(**environ)
        assert result.code == ExitCode.STOPPED_EARLY
        assert server.connections == 1
        assert server.requests == []


def exchange(url: str) -> None:
    """As with a service that is not on this machine: the environment's certificates count."""
    transport = Transport(5.0, use_environment=True)
    try:
        transport.exchange(
            "POST", url, headers={"Authorization": "Bearer x"}, body=b"{}", longest_bytes=1 << 20
        )
    finally:
        transport.close()


@pytest.mark.parametrize("environ", HUSHED)
def test_the_environment_does_not_turn_verification_off(monkeypatch, certificate, environ):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with Server((CLIENTS,), tls=tls(certificate(f"IP:{LOOPBACK}"))) as server:
        with pytest.raises(NeverSent):
            exchange(server.url)
        assert server.requests == []


@pytest.mark.parametrize(("name", "is_right"), [(f"IP:{LOOPBACK}", True), ("DNS:other", False)])
def test_a_certificate_for_another_host_is_told_nothing(monkeypatch, certificate, name, is_right):
    path = certificate(name)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    with Server((CLIENTS,), tls=tls(path)) as server:
        if is_right:
            exchange(server.url)
        else:
            with pytest.raises(NeverSent):
                exchange(server.url)
        assert len(server.requests) == is_right


def test_no_code_says_that_a_certificate_does_not_matter() -> None:
    words = {"verify", "check_hostname", "verify_mode", "cert_reqs", "assert_hostname"}
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            named = getattr(node, "arg", None) if isinstance(node, ast.keyword) else None
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                named = node.attr
            assert named not in words, path
            assert getattr(node, "attr", "") not in ("CERT_NONE", "_create_unverified_context")


# The log

LOUD = """
import http.client, logging, sys
for name in ("urllib3", "requests", "http"):
    logging.getLogger(name).setLevel(logging.DEBUG)
from migrator.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("words", ["stage -v", "push -v --rate max --settle 1", "verify -v"])
def test_a_log_names_nobody_however_loud_the_libraries_are(sandbox, tmp_path, words):
    operator = Operator(tmp_path, sandbox(contacts=120))
    for before in ("stage", "push --rate max --settle 1", "verify --settle 1"):
        if before.split()[0] == words.split()[0]:
            break
        assert operator.type(before) == 0
    command = [sys.executable, "-c", LOUD, *words.split(), "--log-file", "run.log"]
    done = ended(start(command, tmp_path, operator.environment()))
    assert "migrator.http: " in done.err
    assert "urllib3" not in done.err
    kept = (tmp_path / "run.log").read_text()
    assert "migrator.http: " in kept
    assert "urllib3" not in kept
    service, said = operator.sandbox, done.out + done.err + kept
    for secret in (service.hubspot_token, service.password, service.email, "eyJ", "Bearer"):
        assert secret not in said
    contacts = operator.ask("SELECT source FROM contact")
    emails = {json.loads(one)["properties"].get("email") for (one,) in contacts} - {None}
    assert [one for one in emails if one.strip() and one in said] == []


def test_what_a_library_warns_of_an_answer_is_not_shown(tmp_path):
    broken = b"HTTP/1.1 200 OK\r\nNo colon\x1b[31m ada@x.example\r\nContent-Length: 2\r\n\r\n{}"
    with Server((then_close(broken), CLIENTS)) as server:
        result = Site(tmp_path, server.url, server.url).run("clients --create Acme -v")
        assert server.requests
    assert "migrator.http: " in result.err
    assert "Traceback" not in result.err
    assert "ada@x.example" not in result.err
    assert "urllib3" not in result.err


def test_a_bug_says_where_it_is_and_not_what_its_error_says(monkeypatch, capsys):
    somebody = "ada" + "@x.example"  # the line itself is logged, and may be

    def broken(*_: Any) -> int:
        raise KeyError(somebody)

    monkeypatch.setattr("migrator.cli.report.settings_of", broken)
    assert cli.main(["report", "-v"]) == ExitCode.BUG
    err = capsys.readouterr().err
    assert "KeyError (test_secrets_on_the_way.py, line " in err
    assert somebody not in err
