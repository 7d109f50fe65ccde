"""
The credentials of each request: one access token for all threads, or an API key.

A token lives for one hour (guide, section 1). The guide renews it every 200 leads; here it is
renewed before it expires by its own times, and on a 401.

If a new token is rejected as well, another login does not help. So a token that was fetched because
of a 401, and has not been accepted yet, is not replaced on the next 401: that one is a refusal, and
three refusals of the same request in a row end the run. While the token is accepted for other
requests, a body that is refused again causes no login, and no longer counts here: it is refused for
its content. An API key cannot be renewed; its refusals count in the same way.
"""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from migrator.errors import NotReady, Unauthorized
from migrator.http import HttpClient
from migrator.leadgenius.login import Credentials, CredentialsStore, Login, Token, claims

# After so many refusals in a row, the account is the cause and not the requests.
MOST_REFUSALS = 3


class Tokens:
    """
    The headers that authenticate requests. Any thread may use it.

    Args:
        http: The client for logins.
        store: The credentials file; `None` = it is neither read nor written.
        login: E-mail and password; `None` = there are none.
        api_key: A key, and its user id (`None` = a newer key, which needs none), used instead of
            tokens; `None` = use tokens.
    """

    def __init__(
        self,
        http: HttpClient,
        store: CredentialsStore | None,
        login: Credentials | None,
        api_key: tuple[str, str | None] | None = None,
    ) -> None:
        self._login = Login(http, store, login)
        self._api_key = api_key
        self._lock = threading.Lock()
        self._token: Token | None = None
        # Whether the token was fetched because of a 401, and has not been accepted yet.
        self._is_unproven = False
        self._refusals: Counter[str] = Counter()  # in a row, by request
        self._refused_bodies: set[bytes] = set()  # and not accepted since
        self._failure: NotReady | None = None  # why logins are no longer tried
        http.redactor.add(api_key and api_key[0])

    def headers(self) -> dict[str, str]:
        """
        The headers of a request made now.

        Raises:
            NotReady: there are no credentials, or they were rejected.
        """
        if self._api_key is not None:
            key, user_id = self._api_key
            return {"x-api-key": key} | ({"x-user-id": user_id} if user_id else {})
        with self._lock:
            if self._token is None:
                self._token = self._login.stored() or self._new()
            elif time.monotonic() >= self._token.renew_at:
                self._token = self._new()
                self._is_unproven = False
            return _bearer(self._token.value)

    @property
    def are_renewable(self) -> bool:
        """Whether a login may help after a 401; an API key cannot be renewed."""
        return self._api_key is None

    def renew(self, rejected: Mapping[str, str], body: bytes = b"") -> dict[str, str]:
        """
        Get headers to use instead of rejected ones; threads that share a token renew it once.

        Args:
            body: The body that was rejected; b"" = a read.

        Returns:
            The same headers if no login helps: the token was fetched because of a 401 and has not
            been accepted yet, or this body was rejected with a new token before. Then this 401 is
            a refusal.

        Raises:
            Unauthorized: the credentials themselves are rejected.
        """
        if self._api_key is not None:
            raise self._rejected_key()
        with self._lock:
            is_newest = self._token is None or _bearer(self._token.value) == rejected
            is_hopeless = self._is_unproven or body in self._refused_bodies
            if self._token is None or (is_newest and not is_hopeless):
                self._token = self._new()
                self._is_unproven = True
            return _bearer(self._token.value)

    def on_accepted(self, headers: Mapping[str, str], request: str, body: bytes = b"") -> None:
        """
        Record that a request, e.g. "POST /api/leads", was accepted with these headers.

        Args:
            body: As for `renew`.
        """
        if not (self._is_unproven or self._refusals or body in self._refused_bodies):
            return  # nothing to reset, so do not wait for a thread that renews
        with self._lock:
            self._refused_bodies.discard(body)
            is_newest = self._token is None or _bearer(self._token.value) == headers
            if is_newest:
                self._is_unproven = False
                self._refusals.pop(request, None)

    def on_refused(self, request: str, reason: str, body: bytes = b"") -> None:
        """
        Record that a request got a 401 against which no login helps.

        A body that is refused again while other requests are accepted is refused for its content:
        the caller counts that, and it says nothing about the credentials.

        Args:
            reason: LeadGenius's message, safe to show.
            body: As for `renew`.

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
                    raise self._rejected_key()
                raise Unauthorized(
                    f"{reason}. It issues new tokens, and rejects them too.",
                    "check in the browser what the account may do; migrator auth --status shows "
                    "whose login it is",
                )

    def _rejected_key(self) -> Unauthorized:
        return Unauthorized("LeadGenius rejected the API key.", self.key_hint)

    @property
    def key_hint(self) -> str:
        """What to check if the API key is rejected; "" = no key is used."""
        if self._api_key is None:
            return ""
        if self._api_key[1]:
            return "check LGP_API_KEY and LGP_USER_ID"
        return "check LGP_API_KEY; an older key needs its user id too: set LGP_USER_ID"

    def log_in(self) -> Mapping[str, Any]:
        """
        Log in with e-mail and password, and store the tokens in the credentials file.

        Returns:
            The claims of the new token, e.g. `{"sub": ..., "exp": ...}`.
        """
        with self._lock:
            self._token = self._login.by_password()
            self._is_unproven = False
            return claims(self._token.value)

    def _new(self) -> Token:
        """Get a new token; after a rejected login, threads that waited for it do not try again."""
        if self._failure is not None:
            raise self._failure
        try:
            return self._login.fetch()
        except NotReady as error:
            self._failure = error
            raise


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
