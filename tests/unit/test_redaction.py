"""What services say, without the secrets that they were told: exact texts first, then looks."""

import json
from typing import Any

import pytest

from migrator.errors import Forbidden
from migrator.http import HttpClient
from migrator.http.redaction import LONGEST_TEXT, Redactor, proxy_passwords
from migrator.http.responses import EXCERPT_CHARACTERS, excerpt
from tests import at_once
from tests.support.socket_server import Server, answer

SECRET = "sk-live-7f3a9c0d"


def knowing(*secrets: str | None) -> Redactor:
    redactor = Redactor()
    redactor.add(*secrets)
    return redactor


ODD = 's3"c ret/<ü>&x'  # written otherwise in URLs, JSON and HTML


@pytest.mark.parametrize(
    "written",
    [
        ODD,
        json.dumps(ODD),
        json.dumps(ODD, ensure_ascii=False),
        json.dumps(ODD).replace("/", "\\/"),
        json.dumps(json.dumps({"password": ODD})),
        "https://x.example/?p=s3%22c%20ret%2F%3C%C3%BC%3E%26x",
        "https://x.example/?p=s3%22c%20ret/%3c%c3%bc%3e%26x",
        "p=s3%22c+ret%2F%3C%C3%BC%3E%26x",
        "<p>s3&quot;c ret/&lt;ü&gt;&amp;x</p>",
        '<p>s3"c ret/&lt;ü&gt;&amp;x</p>',
    ],
)
def test_a_secret_in_hand_is_struck_out_however_it_is_written(written: str) -> None:
    shown = excerpt(f"no: {written} is not good".encode(), knowing(ODD))
    assert shown.startswith("no: ")
    assert "[redacted]" in shown
    assert shown.endswith(" is not good")
    assert not [part for part in ("s3", "ret", "x<") if part in shown]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("the password test is wrong", "the password [redacted] is wrong"),
        (
            '{"error": "no user", "password": "test"}',
            '{"error": "no user", "password": "[redacted]"}',
        ),
        ('{"error": "no:\\ntest"}', '{"error": "no:\\n[redacted]"}'),
        ("?password%3Dtest%26x", "?password%3D[redacted]%26x"),
        ("the latest tests of a contest", "the latest tests of a contest"),
        ("attestation failed", "attestation failed"),
    ],
)
def test_a_short_secret_is_struck_out_only_where_it_stands_by_itself(said: str, shown: str) -> None:
    assert excerpt(said.encode(), knowing("test")) == shown


def test_a_long_secret_is_struck_out_inside_of_words_too() -> None:
    assert excerpt(b"key:xlongenoughy", knowing("longenough")) == "key:x[redacted]y"


def test_of_two_secrets_the_longer_one_goes_first() -> None:
    assert (
        excerpt(b"a secret-one-two b", knowing("secret-one", "secret-one-two")) == "a [redacted] b"
    )


def test_a_missing_secret_strikes_out_nothing() -> None:
    redactor = knowing(None, "")
    assert redactor.text("as it was") == "as it was"


def test_a_secret_that_is_no_unicode_is_one_all_the_same() -> None:
    redactor = knowing("p\udcffssword-of-bytes")
    assert redactor.text("a p\udcffssword-of-bytes b") == "a [redacted] b"


def test_a_secret_that_the_cut_goes_through_is_not_shown() -> None:
    shown = excerpt(b"x" * (EXCERPT_CHARACTERS - 8) + b" sk-live-7f3a9c0d", knowing(SECRET))
    assert "sk-live" not in shown
    text = "x" * (LONGEST_TEXT - 3) + "secret-one"
    redactor = knowing("secret-one")
    assert "sec" not in redactor.text(text)


def test_the_data_of_an_error_keeps_its_keys_and_loses_its_secrets() -> None:
    redactor = knowing("error", SECRET)
    data = {"error": [{"context": {"ids": [SECRET, 7, None]}}], "ok": False}
    kept = {"error": [{"context": {"ids": ["[redacted]", 7, None]}}], "ok": False}
    assert redactor.data(data) == kept


def test_data_that_is_nested_without_end_is_no_reason_to_fail() -> None:
    deep: Any = SECRET
    for _ in range(900):
        deep = [deep]
    assert "sk-live" not in str(Redactor().data(deep))


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://me:p%40ss-word@proxy.example:8080", ["p%40ss-word", "p@ss-word"]),
        ("me:hunter22@proxy.example:8080", ["hunter22", "hunter22"]),
        ("http://proxy.example:8080", []),
        ("http://[::1", []),
    ],
)
def test_the_password_of_a_proxy_is_a_secret_as_written_and_as_sent(
    monkeypatch: pytest.MonkeyPatch, url: str, found: list[str]
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    assert proxy_passwords() == found


def test_no_answer_that_repeats_a_secret_is_kept_or_raised() -> None:
    body = json.dumps({"message": f"{SECRET} may not", "context": [SECRET]}).encode()
    with Server((answer(403, body),)) as server:
        http = HttpClient("LeadGenius", server.url, timeout_seconds=5)
        http.redactor.add(SECRET)
        sent = http.send("/", b"{}", headers={}, created_id=lambda data: None, may_leave=at_once)
        assert sent.answer == '{"message": "[redacted] may not", "context": ["[redacted]"]}'
        with pytest.raises(Forbidden) as caught:
            http.read("GET", "/", headers={})
        http.close()
    assert SECRET not in f"{caught.value} {vars(caught.value)}"
    assert caught.value.data["message"] == "[redacted] may not"
