"""
The access token: from the credentials file, a refresh token or a login; renewed once for everybody.

Guide, section 1: tokens live for one hour. The guide renews every 200 leads; here the token's own
times decide, and a 401 does at any moment.
"""

import base64
import binascii
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from migrator.errors import Declined, NotReady, ServiceDown, Unauthorized
from migrator.wire import Wire

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
class Login:
    """E-mail and password. It is never printed; the password's owner is the configuration."""

    email: str
    password: Callable[[], str]


@dataclass(frozen=True)
class _Token:
    """A token and the moment (monotonic clock, seconds) from which it should be renewed."""

    value: str
    renew_at: float

    def __repr__(self) -> str:
        return "_Token(****)"


class Tokens:
    """
    Headers that LeadGenius accepts, for any number of threads.

    Args:
        wire: The way to the service.
        store: The credentials file; `None` = nothing of it may be used or written.
        login: `None` = there is no password.
        api_key: (key, user id), used instead of tokens; `None` = use tokens.
    """

    def __init__(
        self,
        wire: Wire,
        store: CredentialsStore | None,
        login: Login | None,
        api_key: tuple[str, str] | None = None,
    ) -> None:
        self._wire = wire
        self._store = store
        self._login = login
        self._api_key = api_key
        self._lock = threading.Lock()
        self._token: _Token | None = None

    def headers(self) -> dict[str, str]:
        """
        The headers of a request made now.

        Raises:
            NotReady: there is nothing to authenticate with, or it was declined.
        """
        if self._api_key is not None:
            key, user_id = self._api_key
            return {"x-api-key": key, "x-user-id": user_id}
        with self._lock:
            if self._token is None:
                self._token = self._stored() or self._fetch()
            elif time.monotonic() >= self._token.renew_at:
                self._token = self._fetch()
            return _bearer(self._token.value)

    def renewed(self, declined: Mapping[str, str]) -> dict[str, str]:
        """
        Headers to use instead of some that were declined; many may ask, one renews.

        Raises:
            Unauthorized: the credentials themselves are declined.
        """
        if self._api_key is not None:
            raise Unauthorized(
                "LeadGenius declined the API key.", "check LGP_API_KEY and LGP_USER_ID"
            )
        with self._lock:
            if self._token is None or _bearer(self._token.value) == declined:
                self._token = self._fetch()
            return _bearer(self._token.value)

    def log_in(self) -> Mapping[str, Any]:
        """
        Log in with e-mail and password and keep what comes in the credentials file.

        Returns:
            The claims of the new token, e.g. `{"sub": ..., "exp": ...}`.
        """
        with self._lock:
            self._token = self._by_login()
            return claims(self._token.value)

    def _stored(self) -> _Token | None:
        """The file's token, if it still holds; its own `exp` and `iat` tell."""
        value = str((self._store.read() if self._store else {}).get("token") or "")
        expires = claims(value).get("exp")
        if not isinstance(expires, int | float):
            return None
        left = expires - time.time()
        life = expires - _seconds(claims(value).get("iat"), expires - 3600)
        return _token(value, life, left) if left > _margin(life) else None

    def _fetch(self) -> _Token:
        """A new token: by the refresh token if there is one, else by e-mail and password."""
        refresh_token = (self._store.read() if self._store else {}).get("refresh_token")
        if refresh_token:
            try:
                return self._by_refresh(str(refresh_token))
            except Declined:
                # A refresh token dies too, after some weeks; the password may still be good.
                if self._login is None:
                    raise Unauthorized(
                        "LeadGenius declined the stored login: it has expired.", _HINT
                    ) from None
        return self._by_login()

    def _by_refresh(self, refresh_token: str) -> _Token:
        return self._ask("/api/auth/refresh", {"refreshToken": refresh_token})

    def _by_login(self) -> _Token:
        if self._login is None:
            raise NotReady("There is no login for LeadGenius.", _HINT)
        password = self._login.password()
        try:
            return self._ask("/api/auth", {"username": self._login.email, "password": password})
        except Declined as error:
            # Its own message may quote the answer, and that the login.
            raise self._refused(self._login.email, error.status) from None

    def _refused(self, email: str, status: int | None) -> NotReady:
        if status in _NO_LOGIN_HERE or 300 <= (status or 0) < 400:
            return NotReady(
                f"There is no login of LeadGenius at {self._wire.base_url}/api/auth: "
                f"it answered {status}.",
                "check LEADGENIUS_BASE_URL (without /api)",
            )
        return Unauthorized(
            f"LeadGenius declined the login of {email}.",
            "check LEADGENIUS_EMAIL and LEADGENIUS_PASSWORD",
            status=status,
        )

    def _ask(self, path: str, payload: Mapping[str, str]) -> _Token:
        data = self._wire.read("POST", path, headers={}, payload=payload, is_login=True).data
        found = data.get("tokens")
        tokens: Mapping[str, Any] = found if isinstance(found, dict) else {}
        value = tokens.get("accessToken")
        if not isinstance(value, str) or not _is_header_safe(value):
            raise ServiceDown(
                "LeadGenius answered a login without an access token.", "check LEADGENIUS_BASE_URL"
            )
        self._keep(tokens, value)
        life = _seconds(tokens.get("expiresIn"), 3600)
        return _token(value, life, life)

    def _keep(self, tokens: Mapping[str, Any], value: str) -> None:
        if self._store is None:
            return
        changes: dict[str, str | None] = {"token": value, "base_url": self._wire.base_url}
        if self._login is not None:
            changes["email"] = self._login.email
            kept = self._store.read().get("email")
            if kept is not None and str(kept).lower() != self._login.email.lower():
                # What the file held of another account must not travel with this one's name.
                changes |= dict.fromkeys(("api_key", "id_token", "refresh_token", "user_id"))
        for key, name in (("id_token", "idToken"), ("refresh_token", "refreshToken")):
            if isinstance(tokens.get(name), str):
                changes[key] = tokens[name]
        if isinstance(claims(value).get("sub"), str):
            changes["user_id"] = claims(value)["sub"]
        self._store.update(**changes)


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


def _token(value: str, life: float, left: float) -> _Token:
    # On the monotonic clock: the wall clock may jump while a run lasts.
    return _Token(value, time.monotonic() + left - _margin(life))


def _margin(life: float) -> float:
    return min(RENEW_BEFORE_SECONDS, life * (1 - RENEW_AFTER_SHARE))


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _is_header_safe(value: str) -> bool:
    return value != "" and value.isascii() and value.isprintable() and " " not in value
