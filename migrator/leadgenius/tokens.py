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

import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from migrator.errors import NotReady, Unauthorized
from migrator.http import HttpClient
from migrator.leadgenius.login import Credentials, CredentialsStore, Login, Token, claims

# So many refusals in a row are the account's, and not of what was asked.
MOST_REFUSALS = 3


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
        self._login = Login(http, store, login)
        self._api_key = api_key
        self._lock = threading.Lock()
        self._token: Token | None = None
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
                self._token = self._login.stored() or self._fresh()
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
            self._token = self._login.by_password()
            self._is_unproven = False
            return claims(self._token.value)

    def _fresh(self) -> Token:
        """A new token. A login that is declined is not tried by each thread that waits for it."""
        if self._failure is not None:
            raise self._failure
        try:
            return self._login.fetch()
        except NotReady as error:
            self._failure = error
            raise


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
