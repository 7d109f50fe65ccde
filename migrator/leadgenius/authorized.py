"""Requests to LeadGenius with credentials, which are renewed on a 401."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from migrator.errors import Forbidden, Unauthorized
from migrator.http import HttpClient, Response, SendOutcome
from migrator.leadgenius.tokens import Tokens
from migrator.states import Outcome

CreatedId = Callable[[Mapping[str, Any]], str | None]


# The service read the request, so the credentials are good.
_UNDERSTOOD = (Outcome.CREATED, Outcome.UPDATED, Outcome.DELETED, Outcome.REFUSED)


class AuthorizedHttp:
    """An HTTP client that adds credentials to each request."""

    def __init__(self, http: HttpClient, tokens: Tokens) -> None:
        self._http = http
        self._tokens = tokens
        self._has_answered = False

    def read(self, method: str, path: str, **request: Any) -> Response:
        """As `HttpClient.read`; after a 401, with a new token."""
        headers, is_renewed = self._tokens.headers(), False
        while True:
            try:
                response = self._read_with(headers, method, path, **request)
            except Forbidden as error:
                hint = self._tokens.key_hint or error.hint
                raise Forbidden(error.message, hint, error.data, error.status) from None
            except Unauthorized as error:
                rejected = headers
                if not is_renewed:
                    headers, is_renewed = self._tokens.renew(rejected), True
                if headers == rejected:
                    self._tokens.on_refused(f"{method} {path}", error.message)
            else:
                self._tokens.on_accepted(headers, f"{method} {path}")
                return response

    def _read_with(
        self, headers: Mapping[str, str], method: str, path: str, **request: Any
    ) -> Response:
        # Until these credentials were accepted once, a denial is believed at once. A token's 401
        # is not retried, because it is renewed.
        retried = ({401, 403} if "x-api-key" in headers else {403}) if self._has_answered else ()
        response = self._http.read(
            method, path, headers=headers, retried_statuses=retried, **request
        )
        self._has_answered = True
        return response

    def send(
        self,
        path: str,
        body: bytes | None,
        created_id: CreatedId,
        may_leave: Callable[[], None],
        method: str = "POST",
        **how: Any,
    ) -> SendOutcome:
        """
        As `HttpClient.send`; after a 401, which wrote nothing, once more with a new token.

        `may_leave` is called for each of the two: a login in between may have taken long.

        A 401 that is returned is a refusal that no new token prevents: one was rejected as well, or
        this body had been rejected with a new one before, or an API key is used, which has worked.
        """
        request = {"created_id": created_id, "may_leave": may_leave, "method": method, **how}
        send = partial(self._http.send, path, body, **request)
        what = f"{method} {path}"
        identity = str(how.get("params")).encode() if body is None else body
        rejected = headers = self._tokens.headers()
        sent = send(headers=headers)
        if sent.is_unauthorized and (self._tokens.are_renewable or not self._has_answered):
            headers = self._tokens.renew(rejected, identity)
        if headers != rejected:
            # A 401 wrote nothing, so this is still the one send of its attempt.
            sent = send(headers=headers)
        if sent.is_unauthorized:
            reason = f"LeadGenius rejected {path} with 401: {sent.answer or 'no reason given'}"
            self._tokens.on_refused(what, reason, identity)
        elif sent.outcome in _UNDERSTOOD:
            self._tokens.on_accepted(headers, what, identity)
        return sent
