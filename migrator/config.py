"""
Options, environment, `.env` and the credentials file, in that order, become one frozen `Settings`.

Owns python-dotenv and `~/.leadgenius_auth.json`. Every fault is reported at once, so that a person
repairs them in one go. It must never change the process's environment, talk to a service, or put
the value of any setting into a message: people paste secrets into the wrong variable.
"""

import contextlib
import ipaddress
import json
import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from dotenv import dotenv_values

from migrator.errors import NotReady
from migrator.privacy import narrow, replace

_Options = Mapping[str, str | None]

_HUBSPOT_URL = "https://api.hubapi.com"
_LEADGENIUS_URL = "https://last.leadgenius.app"
_FILE_KEYS = {"token", "id_token", "refresh_token", "api_key", "user_id", "email", "base_url"}
_URLS = {"HUBSPOT_BASE_URL", "LEADGENIUS_BASE_URL", "base_url"}

# What clings to a value that was pasted: blanks, quotes of every kind, marks that nobody sees.
_WRAPPING = " \t\r\n\v\f\"'“”‘’\xa0\u200b\ufeff"

# Tables over variables and over keys of the credentials file. What travels in a header may have
# nothing inside that would break it, or another header in.
_IN_HEADER = (r"[!-~]+", "has a blank or another foreign character inside")
_SHAPES = {
    "HUBSPOT_API_VERSION": (r"v3|20[0-9]{2}-(0[1-9]|1[0-2])", "is neither v3 nor like 2026-03"),
    "HUBSPOT_PORTAL_ID": (r"[1-9][0-9]*", "is no number"),
    "HUBSPOT_ACCESS_TOKEN": _IN_HEADER,
    "LGP_API_KEY": _IN_HEADER,
    "LGP_USER_ID": _IN_HEADER,
    **dict.fromkeys(_FILE_KEYS - {"email", "base_url"}, _IN_HEADER),
}
_SWAPPED = {
    "HUBSPOT_ACCESS_TOKEN": r"eyJ|lgp_",
    "LGP_API_KEY": r"pat-",
    # A person's own password may well begin with "pat-"; with a region behind it, it is a token.
    "LEADGENIUS_PASSWORD": r"pat-[a-z]+[0-9]+-",
}


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


class AuthFile:
    """The credentials file, which the vendor's own scripts share; `_FILE_KEYS` are ours too."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Any]:
        """
        The whole file; {} when there is none.

        A key of ours is text without surrounding blanks, or absent; one that travels in a header is
        fit for it. Keys of others are as they were written.

        Raises:
            NotReady: It cannot be read, is no JSON object, or a key of ours holds something else.
        """
        document = self._document()
        for key in [key for key in document if key in _FILE_KEYS]:
            if not isinstance(document[key], str | None):
                raise self._damaged(f"its {key} is no text")
            document[key] = (document[key] or "").strip()
            if not document[key]:
                del document[key]
            elif problem := _problem(key, document[key]):
                raise self._damaged(f"its {key} {problem}")
        return document

    def update(self, **changes: str | None) -> None:
        """
        Set the given keys, remove those given as None, and keep all others.

        When it returns, the new file is on disk with mode 0600; until then the old one stands.

        Raises:
            NotReady: The file is damaged (it is left alone), or cannot be written.
        """
        document = {key: value for key, value in self.read().items() if key not in changes}
        document |= {key: value for key, value in changes.items() if value is not None}
        try:
            # Replacing the path itself would turn a link into a file and leave its target stale.
            replace(self.path.resolve(), json.dumps(document, indent=2) + "\n")
        except OSError as error:
            raise NotReady(
                f"{self.path}: cannot be written ({error.strerror})",
                "make it writable, or set LEADGENIUS_AUTH_FILE to another path",
            ) from error

    def _document(self) -> dict[str, Any]:
        document: object = None
        try:
            document = json.loads(self._text())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._damaged(f"cannot be read ({error.strerror})") from error
        except (ValueError, RecursionError):
            pass  # raised below: this error carries the whole file, and must not be chained
        if not isinstance(document, dict):
            raise self._damaged("is no JSON object")
        return document

    def _text(self) -> str:
        with self.path.open(encoding="utf-8-sig") as stream:
            # Another script may have left it open to all. What is somebody else's stays theirs.
            with contextlib.suppress(PermissionError):
                narrow(stream.fileno())
            return stream.read()

    def _damaged(self, fault: str) -> NotReady:
        # It may hold what the vendor's scripts need: its owner sets it aside, we never overwrite.
        name = shlex.quote(str(self.path))
        return NotReady(f"{self.path}: {fault}", f"mv {name} {name}.damaged && migrator auth")


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
    sources = _Sources(environ, cwd)
    settings = _gather(options, sources)
    if "hubspot" in needs and settings.hubspot_token is None:
        sources.faults["HUBSPOT_ACCESS_TOKEN is not set"] = "set HUBSPOT_ACCESS_TOKEN in .env"
    if "leadgenius" in needs:
        _require_leadgenius(settings, sources)
    if sources.faults:
        raise NotReady("\n".join(sources.faults), "; ".join(sources.faults.values()))
    return settings


class _Sources:
    """The places to look in, first one first, and every fault found on the way."""

    def __init__(self, environ: Mapping[str, str], cwd: Path) -> None:
        self.faults: dict[str, str] = {}  # each with what to do about it, in the order found
        self._home = environ.get("HOME")
        self._cwd = cwd
        self._layers = (environ, self._dotenv())
        self.auth_file = self.path("LEADGENIUS_AUTH_FILE", "~/.leadgenius_auth.json")
        self.saved = self._saved()  # emptied when it may not be used

    def raw(self, name: str, option: str | None = None) -> str | None:
        """The first value that is not blank, exactly as given."""
        candidates = (option, *(layer.get(name) for layer in self._layers))
        return next((value for value in candidates if value and value.strip(_WRAPPING)), None)

    def text(self, name: str, option: str | None = None) -> str | None:
        """The first value that is not blank, without its wrapping; a bad one is a fault too."""
        value = (self.raw(name, option) or "").strip(_WRAPPING)
        if value and (problem := _problem(name, value)):
            self.faults[f"{name} {problem}"] = f"set {name} anew"
        return value or None

    def path(self, name: str, default: str, option: str | None = None) -> Path:
        value = (self.raw(name, option) or default).strip()
        if not value.startswith("~/"):
            return self._cwd / value
        return Path(self._home or Path.home()) / value.removeprefix("~/")

    def _saved(self) -> dict[str, Any]:
        try:
            return AuthFile(self.auth_file).read()
        except NotReady as error:
            self.faults[error.message] = error.hint
            return {}

    def _dotenv(self) -> Mapping[str, str | None]:
        path = self._cwd / ".env"
        try:
            # utf-8-sig: some editors begin a file with a mark that would join the first name.
            return dotenv_values(path, interpolate=False, encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            self.faults[f"{path}: cannot be read as UTF-8"] = f"save {path} as readable UTF-8"
            return {}


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
        sources.faults["LEADGENIUS_PASSWORD is set without an e-mail"] = "set LEADGENIUS_EMAIL"
    elif sources.text("LEADGENIUS_EMAIL") and not password:
        sources.faults["LEADGENIUS_EMAIL is set without a password"] = "set LEADGENIUS_PASSWORD"
    elif password or sources.saved.keys() & {"token", "refresh_token", "api_key"}:
        return
    elif settings.api_key and not settings.user_id:
        sources.faults["LGP_API_KEY is set without a user id"] = "set LGP_USER_ID"
    elif not settings.api_key and settings.auth_file_applies:
        sources.faults["there are no LeadGenius credentials"] = "migrator auth"
    elif not settings.api_key:
        hint = "set LEADGENIUS_AUTH_FILE to a path of its own, then: migrator auth"
        sources.faults[f"{settings.auth_file}: its credentials are for another host"] = hint


def _secret(value: str | None) -> Secret | None:
    return Secret(value) if value else None


def _tidy(url: str, cut: str = "") -> str:
    """The URL without trailing slashes and `cut`, in lower case up to its path."""
    origin = _origin(url)
    return (origin + url[len(origin) :].rstrip("/").removesuffix(cut)).rstrip("/")


def _origin(url: str) -> str:
    return "/".join(url.split("/")[:3]).lower()


def _problem(name: str, value: str) -> str | None:
    """What is wrong with it, to be read after its name; None when nothing is."""
    if name in _URLS:
        return _url_problem(value)
    if name in _SWAPPED and re.match(_SWAPPED[name], value):
        return "holds a token or key of the other service: swapped?"
    shape, problem = _SHAPES.get(name, (r"(?s:.*)", ""))
    return None if re.fullmatch(shape, value) else problem


def _url_problem(value: str) -> str | None:
    try:
        parts = urlsplit(value)
        _ = parts.port  # a bad one raises only when asked for
    except ValueError:
        return "is no http(s) URL"
    # urlsplit drops tabs and newlines in silence, and clients disagree about a backslash.
    odd = not value.isprintable() or " " in value or "\\" in value
    if odd or parts.scheme not in ("http", "https") or not parts.hostname:
        return "is no http(s) URL"
    if "@" in parts.netloc or "?" in value or "#" in value:
        return "has a user, a password, a query or a fragment inside"
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        return "is plain http to another machine: credentials would travel in the clear"
    return None


def _is_loopback(host: str) -> bool:
    """Whether it is this machine: a name that only begins like it (127.0.0.1.example) is not."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
