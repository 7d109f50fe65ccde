"""
The access token: from the credentials file, a refresh token or a login; renewed once for everybody.

Guide, section 1: tokens live for one hour. The guide renews every 200 leads; here the token's own
times decide, and a 401 does at any moment.

But no login helps where a new token is declined as well. So a token that was fetched because of a
401, and has worked for nothing yet, is not replaced when it meets another 401: that one is a
refusal, and three refusals of the same request in a row end the run. Where the token works for
others, a body that is refused again is refused for itself: no login is made for it, and it counts
here no more. An API key cannot be renewed; its refusals count likewise.
"""

import base64
import binascii
import json
import threading
import time
from collections import Counter
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

# So many refusals in a row are the account's, and not of what was asked.
MOST_REFUSALS = 3

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
        http: The way to the service.
        store: The credentials file; `None` = nothing of it may be used or written.
        login: `None` = there is no password.
        api_key: (key, user id or `None`: newer keys need none), used instead of tokens; `None` =
            use tokens.
    """

    def __init__(
        self,
        http: HttpClient,
        store: CredentialsStore | None,
        login: Credentials | None,
        api_key: tuple[str, str | None] | None = None,
    ) -> None:
        self._http = http
        self._store = store
        self._login = login
        self._api_key = api_key
        self._lock = threading.Lock()
        self._token: _Token | None = None
        # Whether the token was fetched because of a 401, and has worked for nothing yet.
        self._is_unproven = False
        self._refusals: Counter[str] = Counter()  # in a row, by request
        self._refused_bodies: set[bytes] = set()  # since they were let in last, if they ever were
        self._failure: NotReady | None = None  # why no login is tried any more
        http.redactor.add(api_key and api_key[0])

    def headers(self) -> dict[str, str]:
        """
        The headers of a request made now.

        Raises:
            NotReady: there is nothing to authenticate with, or it was declined.
        """
        if self._api_key is not None:
            key, user_id = self._api_key
            return {"x-api-key": key} | ({"x-user-id": user_id} if user_id else {})
        with self._lock:
            if self._token is None:
                self._token = self._stored() or self._fresh()
            elif time.monotonic() >= self._token.renew_at:
                self._token = self._fresh()
                self._is_unproven = False
            return _bearer(self._token.value)

    @property
    def are_renewable(self) -> bool:
        """Whether a login may help against a 401; against that of an API key none does."""
        return self._api_key is None

    def renewed(self, declined: Mapping[str, str], body: bytes = b"") -> dict[str, str]:
        """
        Headers to use instead of some that were declined; many may ask, one renews.

        Args:
            body: What was declined; b"" = a read.

        Returns:
            The same ones where no login helps: they are of a token that was fetched because of a
            401 and has worked for nothing yet, or this body was declined with a new token before.
            Then this 401 is a refusal.

        Raises:
            Unauthorized: the credentials themselves are declined.
        """
        if self._api_key is not None:
            raise self._declined_key()
        with self._lock:
            is_newest = self._token is None or _bearer(self._token.value) == declined
            is_hopeless = self._is_unproven or body in self._refused_bodies
            if self._token is None or (is_newest and not is_hopeless):
                self._token = self._fresh()
                self._is_unproven = True
            return _bearer(self._token.value)

    def worked(self, headers: Mapping[str, str], request: str, body: bytes = b"") -> None:
        """
        A request of this kind, e.g. "POST /api/leads", was let in with these headers.

        Args:
            body: As for `renewed`.
        """
        if not (self._is_unproven or self._refusals or body in self._refused_bodies):
            return  # all is well, and no thread has to wait for one that renews
        with self._lock:
            self._refused_bodies.discard(body)
            is_newest = self._token is None or _bearer(self._token.value) == headers
            if is_newest:
                self._is_unproven = False
                self._refusals.pop(request, None)

    def refused(self, request: str, words: str, body: bytes = b"") -> None:
        """
        A request of this kind met a 401 that no login helps against.

        A body that is refused again while others are let in is refused for itself: that is its
        sender's to count, and says nothing of the credentials.

        Args:
            words: What LeadGenius said, safe to show.
            body: As for `renewed`.

        Raises:
            Unauthorized: it was the third in a row.
        """
        with self._lock:
            if body in self._refused_bodies and not self._is_unproven:
                return
            if body:
                self._refused_bodies.add(body)
            self._refusals[request] += 1
            if self._refusals[request] >= MOST_REFUSALS:
                if self._api_key is not None:
                    raise self._declined_key()
                raise Unauthorized(
                    f"{words}. It issues new tokens, and rejects them too.",
                    "check in the browser what the account may do; migrator auth --status says "
                    "whose login it is",
                )

    def _declined_key(self) -> Unauthorized:
        return Unauthorized("LeadGenius rejected the API key.", self.key_hint)

    @property
    def key_hint(self) -> str:
        """What to check where the API key is declined; "" = there is none."""
        if self._api_key is None:
            return ""
        if self._api_key[1]:
            return "check LGP_API_KEY and LGP_USER_ID"
        return "check LGP_API_KEY; an older key needs its user id too: set LGP_USER_ID"

    def log_in(self) -> Mapping[str, Any]:
        """
        Log in with e-mail and password and keep what comes in the credentials file.

        Returns:
            The claims of the new token, e.g. `{"sub": ..., "exp": ...}`.
        """
        with self._lock:
            self._token = self._by_login()
            self._is_unproven = False
            return claims(self._token.value)

    def _stored(self) -> _Token | None:
        """The file's token, if it still holds; its own `exp` and `iat` tell."""
        value = str((self._store.read() if self._store else {}).get("token") or "")
        self._http.redactor.add(value)
        expires = claims(value).get("exp")
        if not isinstance(expires, int | float):
            return None
        left = expires - time.time()
        life = expires - _seconds(claims(value).get("iat"), expires - 3600)
        return _token(value, life, left) if left > _margin(life) else None

    def _fresh(self) -> _Token:
        """A new token. A login that is declined is not tried by each thread that waits for it."""
        if self._failure is not None:
            raise self._failure
        try:
            return self._fetch()
        except NotReady as error:
            self._failure = error
            raise

    def _fetch(self) -> _Token:
        """A new token: by the refresh token if there is one, else by e-mail and password."""
        refresh_token = (self._store.read() if self._store else {}).get("refresh_token")
        if not refresh_token:
            return self._by_login()
        if self._login is None:
            return self._by_refresh(str(refresh_token))
        try:
            # Asked once: with a password at hand, nothing has to wait for it.
            return self._by_refresh(str(refresh_token), is_patient=False, most_tries=1)
        except (NotReady, StoppedEarly):
            # A refresh token dies too, after some weeks; the password may still be good.
            return self._by_login()

    def _by_refresh(self, refresh_token: str, **retries: Any) -> _Token:
        self._http.redactor.add(refresh_token)
        try:
            return self._ask("/api/auth/refresh", {"refreshToken": refresh_token}, **retries)
        except Declined as error:
            raise self._challenge("the stored login", error) or Unauthorized(
                "LeadGenius rejected the stored login: it has expired.", _HINT
            ) from None

    def _by_login(self) -> _Token:
        if self._login is None:
            raise NotReady("There is no login for LeadGenius.", _HINT)
        email, password = self._login.email, self._login.password()
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

    def _ask(self, path: str, payload: Mapping[str, str], **retries: Any) -> _Token:
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


def _token(value: str, life: float, left: float) -> _Token:
    # On the monotonic clock: the wall clock may jump while a run lasts.
    return _Token(value, time.monotonic() + left - _margin(life))


def _margin(life: float) -> float:
    return min(RENEW_BEFORE_SECONDS, life * (1 - RENEW_AFTER_SHARE))


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _is_header_safe(value: str) -> bool:
    return value != "" and value.isascii() and value.isprintable() and " " not in value
