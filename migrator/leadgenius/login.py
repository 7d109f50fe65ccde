"""
Obtains an access token: from the credentials file, by a refresh token, or by a login.
"""

import base64
import binascii
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from migrator.errors import (
    Declined,
    MigratorError,
    NotReady,
    ServiceDown,
    StoppedEarly,
    Unauthorized,
)
from migrator.http import HttpClient, Response
from migrator.leadgenius.challenge import KEY_INSTEAD, challenge_of, challenged

# Renewed this long before it ends, or after three quarters of its life if that is sooner.
RENEW_BEFORE_SECONDS = 120.0
RENEW_AFTER_SHARE = 0.75

# Said by a server that is not LeadGenius, or under a path that is not its own.
_NO_LOGIN_HERE = {404, 405, 410, 501}

_HINT = "migrator auth, or set LEADGENIUS_EMAIL and LEADGENIUS_PASSWORD"


class CredentialsStore(Protocol):
    """Where tokens are kept between runs: the credentials file that the vendor's scripts share."""

    def read(self) -> Mapping[str, Any]: ...

    def update(self, **changes: str | None) -> None: ...


@dataclass(frozen=True)
class Credentials:
    """E-mail and password. It is never printed; the password's owner is the configuration."""

    email: str
    password: Callable[[], str]


@dataclass(frozen=True)
class Token:
    """A token and the moment (monotonic clock, seconds) from which it should be renewed."""

    value: str
    renew_at: float

    def __repr__(self) -> str:
        return "Token(****)"


class Login:
    """
    The ways to a token.

    Args:
        http: The client for the requests.
        store: The credentials file; `None` = it is neither read nor written.
        credentials: `None` = there is no password.
    """

    def __init__(
        self,
        http: HttpClient,
        store: CredentialsStore | None,
        credentials: Credentials | None,
    ) -> None:
        self._http = http
        self._store = store
        self._credentials = credentials

    def stored(self) -> Token | None:
        """The file's token, if it still holds; its own `exp` and `iat` tell."""
        value = str((self._store.read() if self._store else {}).get("token") or "")
        self._http.redactor.add(value)
        expires = claims(value).get("exp")
        if not isinstance(expires, int | float):
            return None
        left = expires - time.time()
        life = expires - _seconds(claims(value).get("iat"), expires - 3600)
        return _token(value, life, left) if left > _margin(life) else None

    def fetch(self) -> Token:
        """A new token: by the refresh token if there is one, else by e-mail and password."""
        refresh_token = (self._store.read() if self._store else {}).get("refresh_token")
        if not refresh_token:
            return self.by_password()
        if self._credentials is None:
            return self._by_refresh_token(str(refresh_token))
        try:
            # Asked once: with a password at hand, nothing has to wait for it.
            return self._by_refresh_token(str(refresh_token), is_patient=False, most_tries=1)
        except (NotReady, StoppedEarly):
            # A refresh token dies too, after some weeks; the password may still be good.
            return self.by_password()

    def _by_refresh_token(self, refresh_token: str, **retries: Any) -> Token:
        self._http.redactor.add(refresh_token)
        try:
            return self._ask("/api/auth/refresh", {"refreshToken": refresh_token}, **retries)
        except Declined as error:
            raise self._challenge("the stored login", error) or Unauthorized(
                "LeadGenius rejected the stored login: it has expired.", _HINT
            ) from None

    def by_password(self) -> Token:
        if self._credentials is None:
            raise NotReady("There is no login for LeadGenius.", _HINT)
        email, password = self._credentials.email, self._credentials.password()
        self._http.redactor.add(password)
        try:
            return self._ask("/api/auth", {"username": email, "password": password})
        except Declined as error:
            # Its own message may quote the answer, and that the login.
            raise self._refused(email, error) from None

    def _refused(self, email: str, error: Declined) -> NotReady:
        if error.status in _NO_LOGIN_HERE or 300 <= (error.status or 0) < 400:
            return NotReady(
                f"There is no login of LeadGenius at {self._http.base_url}/api/auth: "
                f"it answered {error.status}.",
                "check LEADGENIUS_BASE_URL (without /api)",
            )
        return self._challenge(f"the login of {email}", error) or Unauthorized(
            f"LeadGenius rejected the login of {email}.",
            "check LEADGENIUS_EMAIL and LEADGENIUS_PASSWORD; an account that signs in with Google "
            f"has no password: {KEY_INSTEAD}",
            status=error.status,
        )

    def _challenge(self, login: str, error: Declined) -> NotReady | None:
        challenge = challenge_of(error.data)
        return None if challenge is None else challenged(login, challenge, self._http.base_url)

    def _ask(self, path: str, payload: Mapping[str, str], **retries: Any) -> Token:
        reply = self._http.read("POST", path, headers={}, payload=payload, is_login=True, **retries)
        found = reply.data.get("tokens")
        tokens: Mapping[str, Any] = found if isinstance(found, dict) else {}
        value = tokens.get("accessToken")
        if not isinstance(value, str) or not _is_header_safe(value):
            raise _without_token(reply)
        self._http.redactor.add(*(one for one in tokens.values() if isinstance(one, str)))
        self._keep(tokens, value)
        life = _seconds(tokens.get("expiresIn"), 3600)
        return _token(value, life, life)

    def _keep(self, tokens: Mapping[str, Any], value: str) -> None:
        if self._store is None:
            return
        changes: dict[str, str | None] = {"token": value, "base_url": self._http.base_url}
        if self._credentials is not None:
            changes["email"] = self._credentials.email
            kept = self._store.read().get("email")
            if kept is not None and str(kept).lower() != self._credentials.email.lower():
                # What the file held of another account must not travel with this one's name.
                changes |= dict.fromkeys(("api_key", "id_token", "refresh_token", "user_id"))
        for key, name in (("id_token", "idToken"), ("refresh_token", "refreshToken")):
            if isinstance(tokens.get(name), str):
                changes[key] = tokens[name]
        if isinstance(claims(value).get("sub"), str):
            changes["user_id"] = claims(value)["sub"]
        self._store.update(**changes)


def _without_token(reply: Response) -> MigratorError:
    """What an answer means that is a success by its status, and gives no token."""
    if reply.data.get("success") is False or challenge_of(reply.data) is not None:
        return Declined("LeadGenius gave no token.", _HINT, reply.data, reply.status)
    return ServiceDown(
        "LeadGenius answered a login without an access token.", "check LEADGENIUS_BASE_URL"
    )


def claims(token: str) -> Mapping[str, Any]:
    """What a JWT says of itself, unverified (its times and whose it is); `{}` = it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        data = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return {}
    return data if isinstance(data, dict) else {}


def _seconds(value: object, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else otherwise


def _token(value: str, life: float, left: float) -> Token:
    # On the monotonic clock: the wall clock may jump while a run lasts.
    return Token(value, time.monotonic() + left - _margin(life))


def _margin(life: float) -> float:
    return min(RENEW_BEFORE_SECONDS, life * (1 - RENEW_AFTER_SHARE))


def _is_header_safe(value: str) -> bool:
    return value != "" and value.isascii() and value.isprintable() and " " not in value
