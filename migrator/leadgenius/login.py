"""Obtains an access token: from the credentials file, by a refresh token, or by a login."""

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

# A token is renewed this long before it expires, but not before three quarters of its life.
RENEW_BEFORE_SECONDS = 120.0
RENEW_AFTER_SHARE = 0.75

# The answers of a server that is not LeadGenius, or of a wrong path.
_NO_LOGIN_HERE = {404, 405, 410, 501}

_HINT = "migrator auth, or set LEADGENIUS_EMAIL and LEADGENIUS_PASSWORD"


class CredentialsStore(Protocol):
    """The store of tokens between runs: the credentials file, shared with the vendor's scripts."""

    def read(self) -> Mapping[str, Any]: ...

    def update(self, **changes: str | None) -> None: ...


@dataclass(frozen=True)
class Credentials:
    """E-mail and password, which is a function so that it is never printed."""

    email: str
    password: Callable[[], str]


@dataclass(frozen=True)
class Token:
    """A token, and the time from which to renew it, in seconds on a monotonic clock."""

    value: str
    renew_at: float

    def __repr__(self) -> str:
        return "Token(****)"


class Login:
    """
    Gets tokens for one account.

    Args:
        http: The client for the requests.
        store: The credentials file; `None` = it is neither read nor written.
        credentials: E-mail and password; `None` = there are none.
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
        """The token in the credentials file, unless it is about to expire by its own claims."""
        value = str((self._store.read() if self._store else {}).get("token") or "")
        self._http.redactor.add(value)
        expires = claims(value).get("exp")
        if not isinstance(expires, int | float):
            return None
        left = expires - time.time()
        life = expires - _seconds(claims(value).get("iat"), expires - 3600)
        return _token(value, life, left) if left > _margin(life) else None

    def fetch(self) -> Token:
        """Get a token by the refresh token if there is one, else by e-mail and password."""
        refresh_token = (self._store.read() if self._store else {}).get("refresh_token")
        if not refresh_token:
            return self.by_password()
        if self._credentials is None:
            return self._by_refresh_token(str(refresh_token))
        try:
            # One try: with a password, there is no need to wait.
            return self._by_refresh_token(str(refresh_token), is_patient=False, most_tries=1)
        except (NotReady, StoppedEarly):
            # A refresh token expires too, after some weeks; the password may still be valid.
            return self.by_password()

    def _by_refresh_token(self, refresh_token: str, **retries: Any) -> Token:
        self._http.redactor.add(refresh_token)
        try:
            return self._request("/api/auth/refresh", {"refreshToken": refresh_token}, **retries)
        except Declined as error:
            raise self._challenge("the stored login", error) or Unauthorized(
                "LeadGenius rejected the stored login: it has expired.", _HINT
            ) from None

    def by_password(self) -> Token:
        """Get a token by e-mail and password."""
        if self._credentials is None:
            raise NotReady("There is no login for LeadGenius.", _HINT)
        email, password = self._credentials.email, self._credentials.password()
        self._http.redactor.add(password)
        try:
            return self._request("/api/auth", {"username": email, "password": password})
        except Declined as error:
            # The original message may quote the answer, and the answer the password.
            raise self._login_error(email, error) from None

    def _login_error(self, email: str, error: Declined) -> NotReady:
        if error.status in _NO_LOGIN_HERE or 300 <= (error.status or 0) < 400:
            return NotReady(
                f"There is no LeadGenius login at {self._http.base_url}/api/auth: it answered "
                f"{error.status}.",
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

    def _request(self, path: str, payload: Mapping[str, str], **retries: Any) -> Token:
        response = self._http.read(
            "POST", path, headers={}, payload=payload, is_login=True, **retries
        )
        found = response.data.get("tokens")
        tokens: Mapping[str, Any] = found if isinstance(found, dict) else {}
        value = tokens.get("accessToken")
        if not isinstance(value, str) or not _is_header_safe(value):
            raise _no_token(response)
        self._http.redactor.add(*(one for one in tokens.values() if isinstance(one, str)))
        self._save(tokens, value)
        life = _seconds(tokens.get("expiresIn"), 3600)
        return _token(value, life, life)

    def _save(self, tokens: Mapping[str, Any], value: str) -> None:
        if self._store is None:
            return
        changes: dict[str, str | None] = {"token": value, "base_url": self._http.base_url}
        if self._credentials is not None:
            changes["email"] = self._credentials.email
            stored = self._store.read().get("email")
            if stored is not None and str(stored).lower() != self._credentials.email.lower():
                # Credentials of another account must not remain under this one's name.
                changes |= dict.fromkeys(("api_key", "id_token", "refresh_token", "user_id"))
        for key, name in (("id_token", "idToken"), ("refresh_token", "refreshToken")):
            if isinstance(tokens.get(name), str):
                changes[key] = tokens[name]
        if isinstance(claims(value).get("sub"), str):
            changes["user_id"] = claims(value)["sub"]
        self._store.update(**changes)


def _no_token(response: Response) -> MigratorError:
    """The error for an answer with a status of success, but without a token."""
    data = response.data
    if data.get("success") is False or challenge_of(data) is not None:
        return Declined("LeadGenius issued no token.", _HINT, data, response.status)
    return ServiceDown(
        "LeadGenius answered a login without an access token.", "check LEADGENIUS_BASE_URL"
    )


def claims(token: str) -> Mapping[str, Any]:
    """The claims of a JWT, unverified; `{}` = it is not one."""
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
    # On the monotonic clock, because the wall clock may jump during a run.
    return Token(value, time.monotonic() + left - _margin(life))


def _margin(life: float) -> float:
    return min(RENEW_BEFORE_SECONDS, life * (1 - RENEW_AFTER_SHARE))


def _is_header_safe(value: str) -> bool:
    return value != "" and value.isascii() and value.isprintable() and " " not in value
