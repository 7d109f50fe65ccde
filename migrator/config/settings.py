"""Options, environment, `.env` and the credentials file become one frozen `Settings`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from dotenv.parser import parse_stream

from migrator.config.auth_file import AuthFile
from migrator.config.shapes import problem, remedy
from migrator.errors import NotReady

_Options = Mapping[str, str | None]

_HUBSPOT_URL = "https://api.hubapi.com"
_LEADGENIUS_URL = "https://last.leadgenius.app"

# What clings to a value that was pasted: blanks, quotes of every kind, marks that nobody sees.
_WRAPPING = " \t\r\n\v\f\"'“”‘’\xa0\u200b\ufeff"


class Secret:
    """A text that only `reveal` shows. Equal by value; cannot be pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself, for a header or the body of a request and nothing else."""
        return self._value

    def __repr__(self) -> str:
        return "****"

    def __format__(self, spec: str) -> str:
        return "****"  # without the spec: padding would tell nothing, slicing might

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Secret":
        return self  # `dataclasses.asdict` copies deeply, and would pickle otherwise

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


@dataclass(frozen=True)
class Settings:
    """Everything that a run was told, checked; `None` = not given. Its repr shows no secret."""

    ledger: Path
    hubspot_token: Secret | None
    hubspot_url: str  # without a trailing slash, as the other one
    hubspot_version: str  # "v3", or a date such as "2026-03"
    hubspot_portal_id: str | None  # only for keys that may not read the account
    leadgenius_url: str  # without /api
    leadgenius_email: str | None
    leadgenius_password: Secret | None
    api_key: Secret | None
    user_id: str | None
    auth_file: Path  # need not exist
    client_id: str | None
    # False: the file's credentials are for another host, or for another account than the e-mail
    # and password that were given. Then nothing of the file may be used, its token least of all.
    auth_file_applies: bool = True


@dataclass(frozen=True)
class Fault:
    """
    Something that is missing or wrong.

    Args:
        about: The variable, or the file, that it is about.
        message: What is wrong, without the value.
        hint: What to do about it.
    """

    about: str
    message: str
    hint: str


@dataclass(frozen=True)
class Survey:
    """
    What was found where, right or wrong.

    Args:
        settings: They can be relied on as far as there are no faults.
        faults: In the order found.
        origins: Of each variable that is set: where, in words.
        dotenv: The `.env` that was looked for; need not exist.
    """

    settings: Settings
    faults: Sequence[Fault]
    origins: Mapping[str, str]
    dotenv: Path


def load(
    options: _Options, environ: Mapping[str, str], cwd: Path, needs: Collection[str] = ()
) -> Settings:
    """
    Gather the settings; a blank value counts as not given.

    Args:
        options: `ledger` and `client_id` of the command line; None or absent means not given.
        environ: The environment. Its HOME is what `~` means.
        cwd: Where `.env` is, and what relative paths are relative to.
        needs: Services whose credentials must be there: "hubspot", "leadgenius".

    Raises:
        NotReady: Something is missing or wrong. The message has one line for each fault.
    """
    found = survey(options, environ, cwd, needs)
    if found.faults:
        hints = dict.fromkeys(fault.hint for fault in found.faults)
        raise NotReady("\n".join(fault.message for fault in found.faults), "; ".join(hints))
    return found.settings


def survey(
    options: _Options, environ: Mapping[str, str], cwd: Path, needs: Collection[str] = ()
) -> Survey:
    """As `load`, but with the faults as a part of what is found."""
    sources = _Sources(environ, cwd)
    settings = _gather(options, sources)
    if "hubspot" in needs and settings.hubspot_token is None:
        sources.fault(
            "HUBSPOT_ACCESS_TOKEN",
            f"HUBSPOT_ACCESS_TOKEN is not set, neither in the environment nor in "
            f"{sources.told_dotenv()}",
            f"put HUBSPOT_ACCESS_TOKEN=… into {sources.dotenv}",
        )
    if "leadgenius" in needs:
        _require_leadgenius(settings, sources)
    return Survey(settings, list(sources.faults.values()), sources.origins, sources.dotenv)


class _Sources:
    """The places to look in, first one first, and every fault found on the way."""

    def __init__(self, environ: Mapping[str, str], cwd: Path) -> None:
        self.faults: dict[str, Fault] = {}  # by message, in the order found
        self.origins: dict[str, str] = {}
        self.dotenv = cwd / ".env"
        self._home = environ.get("HOME")
        self._cwd = cwd
        self._layers = {"the environment": environ, str(self.dotenv): self._dotenv()}
        self.auth_file = self.path("LEADGENIUS_AUTH_FILE", "~/.leadgenius_auth.json")
        self.saved = self._saved()  # emptied when it may not be used

    def fault(self, about: str, message: str, hint: str) -> None:
        """Remember a fault, once."""
        self.faults.setdefault(message, Fault(about, message, hint))

    def told_dotenv(self) -> str:
        """The `.env` by its path, and whether it is there."""
        return f"{self.dotenv}{'' if self.dotenv.exists() else ' (there is no such file)'}"

    def raw(self, name: str, option: str | None = None) -> str | None:
        """The first value that is not blank, exactly as given."""
        layers = {place: layer.get(name) for place, layer in self._layers.items()}
        for place, value in {"the command line": option, **layers}.items():
            if value and value.strip(_WRAPPING):
                self.origins[name] = place
                return value
        return None

    def text(self, name: str, option: str | None = None) -> str | None:
        """The first value that is not blank, without its wrapping; a bad one is a fault too."""
        value = (self.raw(name, option) or "").strip(_WRAPPING)
        if value and (words := problem(name, value)):
            self.fault(name, f"{name} {words}", remedy(name))
        return value or None

    def path(self, name: str, default: str, option: str | None = None) -> Path:
        given = self.raw(name, option)
        value = (given or default).strip()
        if not value.startswith("~/"):
            return self._cwd / value
        if (home := self._home or _home_of_user()) is not None:
            return Path(home) / value.removeprefix("~/")
        if given:
            words = f"{name} begins with ~, and this user has no home folder"
            self.fault(name, words, f"set HOME, or {name} to a path without ~")
        return Path(value)

    def _saved(self) -> dict[str, Any]:
        try:
            return AuthFile(self.auth_file).read()
        except NotReady as error:
            self.fault("LEADGENIUS_AUTH_FILE", error.message, error.hint)
            return {}

    def _dotenv(self) -> Mapping[str, str | None]:
        try:
            # utf-8-sig: some editors begin a file with a mark that would join the first name.
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
                # Not the line itself: it may be a secret that lost its name.
                where = f"{self.dotenv}, line {one.original.line}"
                self.fault(".env", f"{where} is no NAME=value", f"correct {where}")
        return {one.key: one.value for one in bindings if one.key is not None}


def _gather(options: _Options, sources: _Sources) -> Settings:
    saved = sources.saved
    given_url, own_url = sources.text("LEADGENIUS_BASE_URL"), saved.get("base_url")
    other_host = given_url and own_url and _origin(given_url) != _origin(own_url)
    email, password = sources.text("LEADGENIUS_EMAIL"), _password(sources)
    other_account = email and password and saved.get("email", email).lower() != email.lower()
    if other_host or other_account:
        saved = sources.saved = {}
    return Settings(
        ledger=sources.path("MIGRATOR_LEDGER", "migrator.db", options.get("ledger")),
        hubspot_token=_secret(sources.text("HUBSPOT_ACCESS_TOKEN")),
        hubspot_url=_tidy(sources.text("HUBSPOT_BASE_URL") or _HUBSPOT_URL),
        hubspot_version=sources.text("HUBSPOT_API_VERSION") or "v3",
        hubspot_portal_id=sources.text("HUBSPOT_PORTAL_ID"),
        leadgenius_url=_tidy(given_url or own_url or _LEADGENIUS_URL, cut="/api"),
        leadgenius_email=email or saved.get("email"),
        leadgenius_password=_secret(password),
        api_key=_secret(sources.text("LGP_API_KEY") or saved.get("api_key")),
        user_id=sources.text("LGP_USER_ID") or saved.get("user_id"),
        auth_file=sources.auth_file,
        client_id=sources.text("LEADGENIUS_CLIENT_ID", options.get("client_id")),
        auth_file_applies=not (other_host or other_account),
    )


def _password(sources: _Sources) -> str | None:
    sources.text("LEADGENIUS_PASSWORD")
    # Blanks and quotes may be part of it; the newline that ends a file is not.
    return (sources.raw("LEADGENIUS_PASSWORD") or "").strip("\r\n") or None


def _require_leadgenius(settings: Settings, sources: _Sources) -> None:
    email, password = settings.leadgenius_email, settings.leadgenius_password
    if password and not email:
        _incomplete(sources, "LEADGENIUS_PASSWORD is set without an e-mail", "LEADGENIUS_EMAIL")
    elif sources.text("LEADGENIUS_EMAIL") and not password:
        _incomplete(sources, "LEADGENIUS_EMAIL is set without a password", "LEADGENIUS_PASSWORD")
    elif password or sources.saved.keys() & {"token", "refresh_token", "api_key"}:
        return
    elif settings.api_key and not settings.user_id:
        _incomplete(sources, "LGP_API_KEY is set without a user id", "LGP_USER_ID")
    elif not settings.api_key and settings.auth_file_applies:
        _require_login(sources)
    elif not settings.api_key:
        sources.fault(
            "LEADGENIUS_AUTH_FILE",
            f"{settings.auth_file}: its credentials are for another host",
            "set LEADGENIUS_AUTH_FILE to a path of its own, then: migrator auth",
        )


def _incomplete(sources: _Sources, message: str, missing: str) -> None:
    sources.fault(missing, message, f"set {missing}")


def _require_login(sources: _Sources) -> None:
    file = sources.auth_file
    sources.fault(
        "LEADGENIUS_EMAIL",
        "there are no LeadGenius credentials: LEADGENIUS_EMAIL and LEADGENIUS_PASSWORD are set "
        f"neither in the environment nor in {sources.told_dotenv()}, and {file} "
        f"{'holds no token' if file.exists() else 'does not exist'}",
        "migrator auth",
    )


def _home_of_user() -> Path | None:
    """A container may run as a user that nobody has entered anywhere."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def _secret(value: str | None) -> Secret | None:
    return Secret(value) if value else None


def _tidy(url: str, cut: str = "") -> str:
    """The URL without trailing slashes and `cut`, in lower case up to its path."""
    origin = _origin(url)
    return (origin + url[len(origin) :].rstrip("/").removesuffix(cut)).rstrip("/")


def _origin(url: str) -> str:
    return "/".join(url.split("/")[:3]).lower()
