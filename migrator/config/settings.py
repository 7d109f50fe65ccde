"""Builds one frozen `Settings` from options, environment, `.env` and the credentials file."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream

from migrator.config.auth_file import AuthFile
from migrator.config.secret import Secret
from migrator.config.validation import problem, remedy
from migrator.errors import NotReady
from migrator.loopback import is_loopback
from migrator.private_files import exposed
from migrator.state_folder import state_folder

_Options = Mapping[str, str | None]

_HUBSPOT_URL = "https://api.hubapi.com"
_LEADGENIUS_URL = "https://last.leadgenius.app"
SERVICES = ("hubspot", "leadgenius")
# The default base URL of each service, and the credentials that are sent to it.
_CREDENTIALS = {
    "HUBSPOT": (_HUBSPOT_URL, ("HUBSPOT_ACCESS_TOKEN",)),
    "LEADGENIUS": (_LEADGENIUS_URL, ("LEADGENIUS_PASSWORD", "LGP_API_KEY")),
}

# Characters around pasted values: blanks, quotes, invisible marks.
_WRAPPING = " \t\r\n\v\f\"'“”‘’\xa0\u200b\ufeff"


@dataclass(frozen=True)
class Settings:
    """The settings of a run; `None` = not given. Its repr shows no secret."""

    ledger: Path
    hubspot_token: Secret | None
    hubspot_url: str  # without a trailing slash
    hubspot_version: str  # "v3", or a date such as "2026-03"
    hubspot_portal_id: str | None  # only for tokens that may not read the account
    leadgenius_url: str  # without /api
    leadgenius_email: str | None
    leadgenius_password: Secret | None
    api_key: Secret | None
    user_id: str | None
    auth_file: Path  # need not exist
    client_id: str | None
    state_folder: Path  # need not exist
    fence: Secret | None  # the URL of a PostgreSQL
    # False: the credentials file is for another host or account, so nothing of it may be used.
    auth_file_applies: bool = True

    def secrets(self) -> list[str]:
        """All secrets, to be redacted from what is stored or shown."""
        return [one.reveal() for one in vars(self).values() if isinstance(one, Secret)]


@dataclass(frozen=True)
class SettingProblem:
    """
    A missing or invalid setting.

    Args:
        about: The variable or file.
        message: What is wrong, without the value.
        hint: What to do about it.
    """

    about: str
    message: str
    hint: str


@dataclass(frozen=True)
class SettingsReport:
    """
    The settings with their problems and origins.

    Args:
        settings: Reliable as far as there are no faults.
        faults: In the order found.
        origins: Where each variable is set, for people.
        dotenv: Path of the `.env`, which need not exist.
        exposed: Those of `.env` and the credentials file that other users could read.
    """

    settings: Settings
    faults: Sequence[SettingProblem]
    origins: Mapping[str, str]
    dotenv: Path
    exposed: Sequence[Path] = ()


def load(
    options: _Options,
    environ: Mapping[str, str],
    cwd: Path,
    needs: Collection[str] = (),
    uses: Collection[str] = SERVICES,
) -> Settings:
    """
    Load the settings; a blank value counts as not given.

    Args:
        options: `ledger` and `client_id` of the command line; None or absent = not given.
        environ: The environment; `~` is its HOME.
        cwd: The folder of `.env` and of relative paths.
        needs: Services whose credentials are required: "hubspot", "leadgenius".
        uses: Services whose settings must be valid if given, besides those of `needs`. Problems of
            other services are ignored, and nothing may be sent to them.

    Raises:
        NotReady: a setting is missing or invalid; the message has a line for each.
    """
    found = survey(options, environ, cwd, needs, uses)
    if found.faults:
        hints = dict.fromkeys(fault.hint for fault in found.faults)
        raise NotReady("\n".join(fault.message for fault in found.faults), "; ".join(hints))
    return found.settings


def survey(
    options: _Options,
    environ: Mapping[str, str],
    cwd: Path,
    needs: Collection[str] = (),
    uses: Collection[str] = SERVICES,
) -> SettingsReport:
    """Like `load`, but returns the problems instead of raising."""
    sources = _Sources(environ, cwd)
    settings = _gather(options, sources)
    _refuse_redirects(sources)
    if "hubspot" in needs and settings.hubspot_token is None:
        sources.fault(
            "HUBSPOT_ACCESS_TOKEN",
            f"HUBSPOT_ACCESS_TOKEN is not set, neither in the environment nor in "
            f"{sources.told_dotenv()}",
            f"put HUBSPOT_ACCESS_TOKEN=… into {sources.dotenv}",
        )
    if "leadgenius" in needs:
        _require_leadgenius(settings, sources)
    used = {None, *needs, *uses}
    faults = [one for one in sources.faults.values() if _service_of(one.about) in used]
    return SettingsReport(settings, faults, sources.origins, sources.dotenv, sources.exposed)


def ledger_path(option: str | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """The path of the ledger; reads no credentials file, and keeps no other setting."""
    return _Sources(environ, cwd).ledger(option)


def dotenv_names(file: Path) -> frozenset[str]:
    """The variables to which a `.env` gives a value; none if it cannot be read."""
    try:
        with file.open(encoding="utf-8-sig") as stream:
            # Of several lines with one name, the last one counts.
            values = {one.key: one.value or "" for one in parse_stream(stream)}
    except (OSError, UnicodeDecodeError):
        return frozenset()
    return frozenset(key for key, value in values.items() if key and value.strip(_WRAPPING))


def _service_of(about: str) -> str | None:
    """The service of a variable; `None` = it concerns every command."""
    if about.startswith("HUBSPOT_"):
        return "hubspot"
    return "leadgenius" if about.startswith(("LEADGENIUS_", "LGP_")) else None


class _Sources:
    """The sources of settings, in order of precedence, and the problems found in them."""

    def __init__(self, environ: Mapping[str, str], cwd: Path) -> None:
        self.faults: dict[str, SettingProblem] = {}  # by message, in the order found
        self.origins: dict[str, str] = {}
        self.dotenv = cwd / ".env"
        self.environ = environ
        self._home = environ.get("HOME")
        self._cwd = cwd
        self._layers = {"the environment": environ, str(self.dotenv): self._dotenv()}
        self.auth_file = self.path("LEADGENIUS_AUTH_FILE", "~/.leadgenius_auth.json")
        self.exposed = exposed(self.dotenv, self.auth_file)  # before reading restricts the latter

    def fault(self, about: str, message: str, hint: str) -> None:
        """Record a problem, once."""
        self.faults.setdefault(message, SettingProblem(about, message, hint))

    def told_dotenv(self) -> str:
        """The path of the `.env`, for messages."""
        return f"{self.dotenv}{'' if self.dotenv.exists() else ' (there is no such file)'}"

    def raw(self, name: str, option: str | None = None) -> str | None:
        """The first value that is not blank, exactly as given."""
        layers = {place: layer.get(name) for place, layer in self._layers.items()}
        for place, value in {"the command line": option, **layers}.items():
            if value and value.strip(_WRAPPING):
                self.origins[name] = place
                return value
        return None

    def is_of_dotenv(self, name: str) -> bool:
        """Whether a value came from the `.env`."""
        return self.origins.get(name) == str(self.dotenv)

    def text(self, name: str, option: str | None = None) -> str | None:
        """The first value that is not blank, unwrapped; records its problem if it has one."""
        value = (self.raw(name, option) or "").strip(_WRAPPING)
        if value and (words := problem(name, value)):
            self.fault(name, f"{name} {words}", remedy(name))
        return value or None

    def path(self, name: str, default: str, option: str | None = None) -> Path:
        given = self.raw(name, option)
        value = (given or default).strip()
        if not value.startswith("~/"):
            return self._cwd / value
        home = self._home or os.path.expanduser("~")  # noqa: PTH111
        if home != "~":  # the user of a container may have no home
            return Path(home) / value.removeprefix("~/")
        if given:
            words = f"{name} begins with ~, and this user has no home folder"
            self.fault(name, words, f"set HOME, or {name} to a path without ~")
        return Path(value)

    def ledger(self, option: str | None) -> Path:
        return self.path("MIGRATOR_LEDGER", "migrator.db", option)

    @cached_property
    def saved(self) -> dict[str, Any]:
        """The content of the credentials file; to be set to {} if it must not be used."""
        try:
            return AuthFile(self.auth_file).read()
        except NotReady as error:
            self.fault("LEADGENIUS_AUTH_FILE", error.message, error.hint)
            return {}

    def _dotenv(self) -> Mapping[str, str | None]:
        try:
            # utf-8-sig: a byte order mark would become part of the first name.
            with self.dotenv.open(encoding="utf-8-sig") as stream:
                bindings = list(parse_stream(stream))
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError):
            path = self.dotenv
            self.fault(".env", f"{path}: cannot be read as UTF-8", f"save {path} as readable UTF-8")
            return {}
        for one in bindings:
            if one.error:
                # The line is not quoted: it may be a secret without its name.
                where = f"{self.dotenv}, line {one.original.line}"
                self.fault(".env", f"{where} is not NAME=value", f"correct {where}")
        return {one.key: one.value for one in bindings if one.key is not None}


def _gather(options: _Options, sources: _Sources) -> Settings:
    saved = sources.saved
    given_url, own_url = sources.text("LEADGENIUS_BASE_URL"), saved.get("base_url")
    if given_url and sources.is_of_dotenv("LEADGENIUS_BASE_URL") and not is_loopback(given_url):
        # A credentials file without a host is not for one that the working directory chooses.
        own_url = own_url or _LEADGENIUS_URL
    other_host = given_url and own_url and _origin(given_url) != _origin(own_url)
    email, password = sources.text("LEADGENIUS_EMAIL"), _password(sources)
    other_account = email and password and saved.get("email", email).lower() != email.lower()
    if other_host or other_account:
        saved = sources.saved = {}
    return Settings(
        ledger=sources.ledger(options.get("ledger")),
        hubspot_token=_secret(sources.text("HUBSPOT_ACCESS_TOKEN")),
        hubspot_url=_tidy(sources.text("HUBSPOT_BASE_URL") or _HUBSPOT_URL),
        hubspot_version=sources.text("HUBSPOT_API_VERSION") or "v3",
        hubspot_portal_id=sources.text("HUBSPOT_PORTAL_ID"),
        leadgenius_url=_tidy(given_url or own_url or _LEADGENIUS_URL, cut="/api"),
        leadgenius_email=email or saved.get("email"),
        leadgenius_password=_secret(password),
        api_key=_secret(sources.text("LGP_API_KEY") or _saved_key(sources)),
        user_id=sources.text("LGP_USER_ID") or saved.get("user_id"),
        auth_file=sources.auth_file,
        client_id=sources.text("LEADGENIUS_CLIENT_ID", options.get("client_id")),
        state_folder=state_folder(sources.environ),
        fence=_secret(sources.text("MIGRATOR_FENCE")),
        auth_file_applies=not (other_host or other_account),
    )


def _saved_key(sources: _Sources) -> str | None:
    """The file's API key; without a user id (older keys need one), only if it has no login."""
    saved: Mapping[str, str] = sources.saved
    has_others = saved.keys() & {"token", "refresh_token"} or sources.raw("LEADGENIUS_PASSWORD")
    is_whole = saved.get("user_id") or sources.raw("LGP_USER_ID")
    return saved.get("api_key") if is_whole or not has_others else None


def _refuse_redirects(sources: _Sources) -> None:
    """Refuse to send credentials of the environment to a host that `.env` chooses."""
    file_url = None if sources.text("LEADGENIUS_BASE_URL") else sources.saved.get("base_url")
    for about, url in (
        ("HUBSPOT_BASE_URL", sources.text("HUBSPOT_BASE_URL")),
        ("LEADGENIUS_BASE_URL", sources.text("LEADGENIUS_BASE_URL")),
        ("LEADGENIUS_AUTH_FILE", file_url),
    ):
        own_url, names = _CREDENTIALS[about.partition("_")[0]]
        if not url or not sources.is_of_dotenv(about):
            continue
        if is_loopback(url) or _origin(url) == own_url:
            continue
        for name in names:
            if sources.raw(name) and not sources.is_of_dotenv(name):
                _refuse_redirect(sources, about, name)


def _refuse_redirect(sources: _Sources, about: str, name: str) -> None:
    sources.fault(
        about,
        f"{about} is set in {sources.dotenv}, but {name} in the environment: credentials are not "
        "sent to a host that the working directory chooses",
        f"set {about} in the environment, or set {name} in {sources.dotenv} only",
    )


def _password(sources: _Sources) -> str | None:
    sources.text("LEADGENIUS_PASSWORD")
    # Blanks and quotes may be part of it, a trailing newline is not.
    return (sources.raw("LEADGENIUS_PASSWORD") or "").strip("\r\n") or None


def _require_leadgenius(settings: Settings, sources: _Sources) -> None:
    if settings.api_key:
        return
    email, password = settings.leadgenius_email, settings.leadgenius_password
    if password and not email:
        _incomplete(sources, "LEADGENIUS_PASSWORD is set without an e-mail", "LEADGENIUS_EMAIL")
    elif sources.text("LEADGENIUS_EMAIL") and not password:
        _incomplete(sources, "LEADGENIUS_EMAIL is set without a password", "LEADGENIUS_PASSWORD")
    elif password or sources.saved.keys() & {"token", "refresh_token"}:
        return
    elif settings.auth_file_applies:
        file = sources.auth_file
        sources.fault(
            "LEADGENIUS_EMAIL",
            "there are no LeadGenius credentials: LEADGENIUS_EMAIL and LEADGENIUS_PASSWORD are set "
            f"neither in the environment nor in {sources.told_dotenv()}, and {file} "
            f"{'holds no token' if file.exists() else 'does not exist'}",
            "migrator auth",
        )
    else:
        sources.fault(
            "LEADGENIUS_AUTH_FILE",
            f"{settings.auth_file}: its credentials are for another host",
            "set LEADGENIUS_AUTH_FILE to another path, then: migrator auth",
        )


def _incomplete(sources: _Sources, message: str, missing: str) -> None:
    sources.fault(missing, message, f"set {missing}")


def _secret(value: str | None) -> Secret | None:
    return Secret(value) if value else None


def _tidy(url: str, cut: str = "") -> str:
    """The URL without trailing slashes and `cut`; scheme and host in lower case."""
    path = "".join(f"/{part}" for part in url.split("/")[3:])
    return _origin(url) + path.rstrip("/").removesuffix(cut).rstrip("/")


def _origin(url: str) -> str:
    """Scheme, host and port in lower case, without a default port."""
    origin = "/".join(url.split("/")[:3]).lower()
    return origin.removesuffix(":443" if origin.startswith("https:") else ":80")
