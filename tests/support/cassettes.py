"""
The tapes: how tests play them, and the program that records them.

    python -m tests.support.cassettes                              every tape anew, from the sandbox
    python -m tests.support.cassettes --live hubspot/first_page    this one from the real accounts

Tests only play, in one thread: vcrpy lets the requests of other threads out. What is recorded is
scrubbed first, keeping only what is on the lists below, and a tape that still looks as if it held a
secret or a person is not written.
"""

import argparse
import base64
import json
import os
import re
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import vcr  # type: ignore[import-untyped]
import yaml
from vcr.persisters.filesystem import CassetteNotFoundError  # type: ignore[import-untyped]
from vcr.serialize import serialize  # type: ignore[import-untyped]
from vcr.serializers import yamlserializer  # type: ignore[import-untyped]

from migrator.config import Settings, load
from migrator.errors import MigratorError
from migrator.http import HttpClient
from migrator.hubspot import HubSpot
from migrator.leadgenius import Credentials, LeadGenius, Tokens
from migrator.sandbox import Sandbox
from tests import ROOT, at_once

CASSETTES = ROOT / "cassettes"
HUBSPOT_URL = "https://api.hubapi.com"
LEADGENIUS_URL = "https://last.leadgenius.app"

# By default vcrpy plays an answer for whatever body was sent.
MATCH_ON = ("method", "scheme", "host", "port", "path", "query", "body")

PROPERTIES = ("email", "firstname", "lastname", "associatedcompanyid")
COMPANY_PROPERTIES = ("name", "domain")
NOBODY = "1"  # no company has this id

# What stands on a tape instead of the real thing -----------------------------------------------

PORTAL_ID = "99000042"
EMAIL = "ada@example.com"
PASSWORD = "REDACTED"
CURSOR = "bmV4dCBwYWdl/+=="
CLIENT_ID = "client-1"
USER_ID = "00000000-0000-4000-8000-000000000001"
RECORD = f"[HubSpot record: {PORTAL_ID}/1001]"


def fake_jwt(claims: Mapping[str, object]) -> str:
    """It parses, and looks like no JWT: those begin with `eyJ`, each part but the last."""
    middle = base64.urlsafe_b64encode(b" " + json.dumps(claims).encode()).decode()
    return f"fake.{middle.rstrip('=')}.fake"


ACCESS_TOKEN = fake_jwt({"sub": USER_ID, "exp": 4_102_444_800})
ID_TOKEN = "fake-id-token"
REFRESH_TOKEN = "fake-refresh-token"

EXAMPLES: dict[str, str | int] = {
    "portalId": int(PORTAL_ID),
    "username": EMAIL,
    "password": PASSWORD,
    "accessToken": ACCESS_TOKEN,
    "idToken": ID_TOKEN,
    "refreshToken": REFRESH_TOKEN,
    "correlationId": "00000000-0000-4000-8000-000000000000",
    "clientName": "Historic Contacts",
    "description": "Contacts imported from HubSpot",
    **dict.fromkeys(("firstname", "firstName"), "Ada"),
    **dict.fromkeys(("lastname", "lastName"), "Lovelace"),
    **dict.fromkeys(("name", "companyName"), "Analytical Engines"),
    **dict.fromkeys(("domain", "companyUrl"), "engines.example"),
    **dict.fromkeys(("after", "lastKey", "nextToken"), CURSOR),
    "link": f"{HUBSPOT_URL}/crm/v3/objects/contacts?{urlencode({'after': CURSOR})}",
    **dict.fromkeys(
        (
            *("createdAt", "updatedAt", "createdate", "lastmodifieddate", "hs_lastmodifieddate"),
            *("startedAt", "completedAt"),
        ),
        "2026-02-01T09:00:00.000Z",
    ),
}
NUMBERED = {
    **dict.fromkeys(("id", "ids", "hs_object_id", "associatedcompanyid"), "id"),
    **dict.fromkeys(("client_id", "clientId"), "client"),
    "email": "email",
}
KEPT = {
    *("limit", "properties", "associations", "type", "status", "message", "category"),
    *("errorType", "policyName", "requiredScopes", "error", "details", "recommendation"),
    *("accountType", "timeZone", "utcOffset", "companyCurrency", "uiDomain", "dataHostingLocation"),
}
KEPT_HEADERS = {
    *("content-type", "retry-after", "x-hubspot-ratelimit-interval-milliseconds"),
    *("x-ratelimit-limit", "x-ratelimit-remaining"),
}
LONG_LISTS = {"results", "leads", "clients"}
LONGEST_LIST = 2

LEAD = {
    "client_id": CLIENT_ID,
    "firstName": "Ada",
    "lastName": "Lovelace",
    "email": EMAIL,
    "notes": f"Historic Contact imported from HubSpot\n{RECORD}",
}
OTHER_LEAD = {**LEAD, "email": "ada+2@example.com", "notes": "A note"}


class Scrubber:
    """Makes everybody Ada, every id a small number, and of everything else what is on the lists."""

    def __init__(self, amendment: tuple[str, str] = ("", "")) -> None:
        self._amendment = amendment
        self._numbers: dict[str, dict[str, int]] = defaultdict(dict)

    def request(self, request: Any) -> Any:
        parts = urlsplit(request.uri)
        home = urlsplit(LEADGENIUS_URL if parts.path.startswith("/api/") else HUBSPOT_URL)
        query = [(name, self.scrubbed(value, name)) for name, value in parse_qsl(parts.query)]
        request.uri = urlunsplit((*home[:2], parts.path, urlencode(query, safe=","), ""))
        request.headers = _only(KEPT_HEADERS, request.headers)
        request.body = self._body(request.body)
        return request

    def response(self, response: dict[str, Any]) -> dict[str, Any]:
        body = self._body(response["body"]["string"]) or ""
        body = body.replace(*self._amendment) if any(self._amendment) else body
        return {
            "status": response["status"],
            "headers": _only(KEPT_HEADERS, response["headers"]),
            "body": {"string": body.encode()},
        }

    def scrubbed(self, value: Any, name: str = "") -> Any:
        """What goes on the tape instead of a value of this name, of whatever JSON it is."""
        if isinstance(value, dict):
            return {key: self.scrubbed(inner, key) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.scrubbed(one, name) for one in self._shortened(value, name)]
        if value in (None, "") or isinstance(value, bool):
            return value
        if name in NUMBERED:
            return self._numbered(NUMBERED[name], value)
        if name in EXAMPLES:
            return EXAMPLES[name]
        if name == "notes":
            return LEAD["notes"] if "HubSpot record:" in str(value) else OTHER_LEAD["notes"]
        if isinstance(value, str):
            return SECRETS.sub("scrubbed", value) if name in KEPT else "scrubbed"
        return value

    def _body(self, body: bytes | str | None) -> str | None:
        if not body:
            return None
        try:
            return pretty(self.scrubbed(json.loads(body))) + "\n"
        except ValueError:
            return "no JSON\n"

    def _shortened(self, values: list[Any], name: str) -> list[Any]:
        """A long list's beginning; what the tape speaks of already is the last to be cut away."""
        if name not in LONG_LISTS:
            return values
        return sorted(values, key=lambda value: not self._speaks_of(json.dumps(value)))[
            :LONGEST_LIST
        ]

    def _speaks_of(self, text: str) -> bool:
        seen = (one for numbers in self._numbers.values() for one in numbers)
        return "HubSpot record:" in text or any(f'"{one}"' in text for one in seen)

    def _numbered(self, kind: str, value: str | int) -> str | int:
        numbers = self._numbers[kind]
        number = numbers.setdefault(str(value), len(numbers) + 1)
        if kind == "client":
            return f"client-{number}"
        if kind == "email":
            return _email(str(value), number)
        if isinstance(value, int):
            return 1000 + number
        return str(1000 + number) if value.isdigit() else f"00000000-0000-4000-8000-{number:012}"


def _email(value: str, number: int) -> str:
    if re.fullmatch(r"ada(\+\d+)?@example\.com", value):
        return value
    return EMAIL if number == 1 else EMAIL.replace("@", f"+{number}@")


def _only(names: Collection[str], headers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: headers[name] for name in sorted(headers) if name.lower() in names}


def pretty(value: Any, margin: str = "") -> str:
    """JSON for readers: an object or a list that fits on a line stays on it."""
    line = json.dumps(value)
    if len(margin + line) <= 88 or not isinstance(value, dict | list):
        return line
    deeper = margin + "  "
    pairs = value.items() if isinstance(value, dict) else [(None, one) for one in value]
    inner = [
        deeper + (f"{json.dumps(key)}: " if key is not None else "") + pretty(one, deeper)
        for key, one in pairs
    ]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return "\n".join([opening, ",\n".join(inner), margin + closing])


# What no tape may hold -------------------------------------------------------------------------

SECRETS = re.compile(
    r"eyJ[\w-]{8,}(\.[\w-]*)*|\bpat-\w+-[\w-]+|\blgp_\w+|\bsandbox-(?:refresh|password)[\w-]*"
    r"|(?i:bearer|basic) [\w.~+/=-]{6,}"
    r"|[\w.+'-]+@(?!example\.com(?![\w.]))[\w-]+(?:\.[\w-]+)*"
)
_FORBIDDEN = {
    "a token, a key or an address outside of example.com": SECRETS,
    "a header that authenticates": re.compile(
        r"(?im)^\s*-?\s*['\"]?(authorization|x-api-key|x-user-id|(set-)?cookie)\b"
    ),
    "a password": re.compile(rf"(?i)passw(or)?d\\?['\"]?\s*[:=]\s*\\?['\"]?(?!{PASSWORD})\w"),
    "another host": re.compile(
        rf"https?://(?!({re.escape(HUBSPOT_URL[8:])}|{re.escape(LEADGENIUS_URL[8:])})[/\"'?\s])"
    ),
    "an address of a machine": re.compile(r"\blocalhost\b|\b\d{1,3}(\.\d{1,3}){3}\b|\[?::1\b"),
    "something as long and as odd as a token": re.compile(
        r"(?=[\w+=-]*\d)(?=[\w+=-]*[A-Za-z])[\w+=-]{24,}"
    ),
}
_HARMLESS = (ACCESS_TOKEN, ID_TOKEN, REFRESH_TOKEN, CURSOR)


def faults(text: str, known: Collection[str] = ()) -> list[str]:
    """What a tape holds that it may not, in words that do not repeat it."""
    found = ["a credential or a name of this account" for one in known if one in text]
    text = re.sub(r"\b00000000-0000-4000-8000-\d{12}\b", "", text)
    for one in _HARMLESS:
        text = text.replace(one, "")
    return found + [what for what, pattern in _FORBIDDEN.items() if pattern.search(text)]


class NotWritten(Exception):
    """A tape would have held what no tape may, or nothing; what was there before still is."""


# The recorder ----------------------------------------------------------------------------------


class _Dumper(yaml.SafeDumper):
    """YAML in which a text of several lines stands as it is."""


def _text(dumper: Any, value: str) -> Any:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


class _Serializer:
    deserialize = staticmethod(yamlserializer.deserialize)

    @staticmethod
    def serialize(tape: Any) -> str:
        return str(yaml.dump(tape, Dumper=_Dumper, sort_keys=False, width=1000))


class _Keeper:
    """Holds what is to be written: an error in here would leave vcrpy's patches where they are."""

    text = ""

    def load_cassette(self, path: str, serializer: Any) -> Any:
        raise CassetteNotFoundError  # what was there is to be replaced, not scrubbed once more

    def save_cassette(self, path: str, tape: Any, serializer: Any) -> None:
        self.text = serialize(tape, serializer)


def _recorder(**options: Any) -> Any:
    return vcr.VCR(match_on=MATCH_ON, **options)


def _of_this_thread() -> Callable[[Any], Any]:
    mine = threading.get_ident()

    def check(request: Any) -> Any:
        if threading.get_ident() != mine:
            raise RuntimeError("a tape plays in one thread only")
        return request

    return check


@contextmanager
def playing(name: str, folder: Path = CASSETTES) -> Iterator[Any]:
    """Answer from a tape: a request that is not on it fails, and everything on it must be asked."""
    path = str(folder / f"{name}.yaml")
    player = _recorder(record_mode="none", before_record_request=_of_this_thread())
    with player.use_cassette(path) as tape:
        yield tape
    assert tape.all_played, f"{name}: {len(tape) - tape.play_count} answers were never asked for"


# The scenes ------------------------------------------------------------------------------------


class Memory:
    """A credentials store that leaves nothing behind."""

    def __init__(self, **document: Any) -> None:
        self.document: dict[str, Any] = document

    def read(self) -> Mapping[str, Any]:
        return dict(self.document)

    def update(self, **changes: str | None) -> None:
        kept = {**self.document, **changes}
        self.document = {name: value for name, value in kept.items() if value is not None}


class Studio:
    """
    The accounts of a scene, and the tape: what happens before it rolls is on no tape.

    Args:
        tape: To be entered once.
        pause: Sleeps; real services need some time to show what they were sent.
    """

    def __init__(self, settings: Settings, tape: Any, pause: Callable[[float], None]) -> None:
        self._settings = settings
        self._opened = ExitStack()
        self.tape = tape
        self.pause = pause
        self.store = Memory()

    def __enter__(self) -> "Studio":
        return self

    def __exit__(self, *failure: object) -> None:
        self._opened.close()

    def hubspot(self) -> HubSpot:
        token = self._settings.hubspot_token
        http = self._http("HubSpot", self._settings.hubspot_url)
        return HubSpot(http, token.reveal() if token else "", "v3")

    def tokens(self, with_password: bool = True) -> Tokens:
        email, password = self._settings.leadgenius_email, self._settings.leadgenius_password
        login = None
        if with_password and email and password:
            login = Credentials(email, password.reveal)
        return Tokens(self._http("LeadGenius", self._settings.leadgenius_url), self.store, login)

    def leadgenius(self) -> LeadGenius:
        if not self.store.document:
            self.tokens().log_in()
        return LeadGenius(
            self._http("LeadGenius", self._settings.leadgenius_url), self.tokens(False)
        )

    def client_id(self) -> str:
        """A client of the scene's own."""
        return self.leadgenius().create_client("Tape", "To be deleted").client_id

    def _http(self, service: str, url: str) -> HttpClient:
        http = HttpClient(service, url, timeout_seconds=30, pause=self.pause)
        self._opened.callback(http.close)
        return http


def account(studio: Studio) -> None:
    hubspot = studio.hubspot()
    with studio.tape:
        hubspot.account()


def first_page(studio: Studio) -> None:
    hubspot = studio.hubspot()
    with studio.tape, suppress(MigratorError):
        next(hubspot.pages(PROPERTIES, None))


def last_page(studio: Studio) -> None:
    after = None
    for page in studio.hubspot().pages(PROPERTIES, None):
        after = page.after or after
    hubspot = studio.hubspot()
    with studio.tape:
        list(hubspot.pages(PROPERTIES, after))


def companies(studio: Studio) -> None:
    some = company_ids(studio)[:2]
    hubspot = studio.hubspot()
    with studio.tape:
        hubspot.companies([*some, NOBODY], COMPANY_PROPERTIES)


def throttled(studio: Studio) -> None:
    some = company_ids(studio)[:1]
    hubspot = studio.hubspot()
    with studio.tape:
        hubspot.companies(some, COMPANY_PROPERTIES)


def company_ids(studio: Studio) -> list[str]:
    page = next(studio.hubspot().pages(("associatedcompanyid",), None))
    found = (contact["properties"]["associatedcompanyid"] for contact in page.contacts)
    return list(dict.fromkeys(filter(None, found)))


def login(studio: Studio) -> None:
    tokens = studio.tokens()
    with studio.tape:
        tokens.log_in()


def refresh(studio: Studio) -> None:
    studio.tokens().log_in()
    tokens = studio.tokens(with_password=False)
    with studio.tape:
        tokens.renew({})


def clients(studio: Studio) -> None:
    studio.client_id()
    leadgenius = studio.leadgenius()
    with studio.tape:
        leadgenius.clients()


def client_created(studio: Studio) -> None:
    leadgenius = studio.leadgenius()
    with studio.tape:
        leadgenius.create_client(str(EXAMPLES["clientName"]), str(EXAMPLES["description"]))


def created(studio: Studio) -> None:
    _send(studio, LEAD)


def refused(studio: Studio) -> None:
    _send(studio, {name: value for name, value in LEAD.items() if name != "lastName"})


def found(studio: Studio) -> None:
    _list(studio, [OTHER_LEAD, LEAD])


def absent(studio: Studio) -> None:
    _list(studio, [OTHER_LEAD])


def _send(studio: Studio, lead: Mapping[str, str]) -> None:
    client_id = studio.client_id()
    leadgenius = studio.leadgenius()
    with studio.tape:
        leadgenius.create_lead(body_of(lead, client_id), at_once)


def _list(studio: Studio, leads: Sequence[Mapping[str, str]]) -> None:
    client_id = studio.client_id()
    for lead in leads:
        studio.leadgenius().create_lead(body_of(lead, client_id), at_once)
    studio.pause(10)
    leadgenius = studio.leadgenius()
    with studio.tape:
        list(leadgenius.lead_pages(client_id))


def body_of(lead: Mapping[str, str], client_id: str = CLIENT_ID) -> bytes:
    return json.dumps({**lead, "client_id": client_id}).encode()


@dataclass(frozen=True)
class Scene:
    """
    What a tape shows.

    Args:
        fault: Of the sandbox, that strikes once. No real service can be asked for it.
        where: Which of the requests that it may strike.
        writes: It leaves a client, or a client with leads, at LeadGenius.
        amendment: A word of the sandbox's answer, and the documented word to have instead.
        limits: Options of the sandbox.
    """

    act: Callable[[Studio], None]
    fault: str | None = None
    where: Callable[[dict[str, Any]], bool] = lambda subject: True
    writes: bool = False
    amendment: tuple[str, str] = ("", "")
    limits: Mapping[str, Any] | None = None


SCENES: dict[str, Scene] = {
    "hubspot/account": Scene(account),
    "hubspot/first_page": Scene(first_page),
    "hubspot/last_page": Scene(last_page),
    "hubspot/companies": Scene(companies),
    "hubspot/throttled": Scene(
        throttled,
        "hubspot_throttle",
        where=lambda query: not query,  # a batch of companies, not the page before it
        limits={"hubspot_rate_limit": 100},
    ),
    "hubspot/token_expired": Scene(
        first_page,
        "hubspot_unauthorized",
        amendment=("INVALID_AUTHENTICATION", "EXPIRED_AUTHENTICATION"),
    ),
    "hubspot/missing_scope": Scene(first_page, "missing_scopes"),
    "leadgenius/login": Scene(login),
    "leadgenius/refresh": Scene(refresh),
    "leadgenius/clients": Scene(clients, writes=True),
    "leadgenius/client_created": Scene(client_created, writes=True),
    "leadgenius/created": Scene(created, writes=True, limits={"rate_limit": 100}),
    "leadgenius/refused": Scene(refused, writes=True),
    "leadgenius/found": Scene(found, writes=True),
    "leadgenius/absent": Scene(absent, writes=True),
    "leadgenius/gateway_error": Scene(created, "unavailable"),
}


def record(
    name: str, settings: Settings, folder: Path, pause: Callable[[float], None] = time.sleep
) -> Path:
    """
    Record one tape and write it, scrubbed.

    Raises:
        NotWritten: it would hold what no tape may, or nothing at all.
    """
    scene, path = SCENES[name], folder / f"{name}.yaml"
    scrubber, keeper = Scrubber(scene.amendment), _Keeper()
    recorder = _recorder(
        record_mode="all",
        record_on_exception=False,
        decode_compressed_response=True,
        before_record_request=scrubber.request,
        before_record_response=scrubber.response,
        serializer="tape",
    )
    recorder.register_serializer("tape", _Serializer)
    recorder.register_persister(keeper)
    with Studio(settings, recorder.use_cassette(str(path)), pause) as studio:
        scene.act(studio)
    if not keeper.text:
        raise NotWritten(f"{name} was not written; nothing was answered")
    text = f"# {_provenance(scene, settings)}\n{keeper.text}"
    if found := faults(text, _known(settings)):
        raise NotWritten(f"{name} was not written; it would hold {' and '.join(found)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def _provenance(scene: Scene, settings: Settings) -> str:
    if (settings.hubspot_url, settings.leadgenius_url) == (HUBSPOT_URL, LEADGENIUS_URL):
        return f"Recorded from the real service on {datetime.now(UTC):%Y-%m-%d}."
    words = "Recorded from the sandbox; proves nothing about the real service."
    if any(scene.amendment):
        words += f" Its {scene.amendment[1]} is from the service's documentation."
    return words


def _known(settings: Settings) -> list[str]:
    secrets = (settings.hubspot_token, settings.leadgenius_password, settings.api_key)
    return [secret.reveal() for secret in secrets if secret] + [
        one for one in (settings.leadgenius_email, settings.user_id) if one
    ]


def record_from_sandbox(name: str, folder: Path) -> Path:
    """Record one tape from a sandbox of its own."""
    scene = SCENES[name]
    with (
        TemporaryDirectory() as nowhere,
        Sandbox(contacts=103, seed=2, **(scene.limits or {})) as sandbox,
    ):
        settings = load({}, {**sandbox.environment(), "HOME": nowhere}, Path(nowhere))
        if scene.fault:
            sandbox.fault(scene.fault, where=scene.where)
        return record(name, settings, folder, pause=lambda seconds: None)


def main(argv: Sequence[str] | None = None, folder: Path = CASSETTES) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.cassettes", allow_abbrev=False)
    parser.add_argument(
        "--live",
        action="store_true",
        help="from the accounts in the environment or .env; without names, only what just reads",
    )
    parser.add_argument("tapes", nargs="*", metavar="TAPE", help=", ".join(SCENES))
    asked = parser.parse_args(argv)
    names = asked.tapes or [
        name
        for name, scene in SCENES.items()
        if not asked.live or not (scene.writes or scene.fault)
    ]
    for name in names:
        if name not in SCENES:
            parser.error(f"there is no tape {name}")
        if asked.live and SCENES[name].fault:
            parser.error(f"{name}: no real service can be asked to fail like this")
    needs = {name.partition("/")[0] for name in names}
    settings = load({}, os.environ, Path.cwd(), needs) if asked.live else None
    for name in names:
        print(record(name, settings, folder) if settings else record_from_sandbox(name, folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
