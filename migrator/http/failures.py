"""
Why a try of a read failed, and whether to retry: pure functions of an answer.

An incomplete, empty or unreadable answer counts like a 5xx, even if its status is 200.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from migrator.errors import (
    Declined,
    Forbidden,
    MigratorError,
    NotFound,
    ServiceDown,
    Unauthorized,
)
from migrator.http.redaction import Redactor
from migrator.http.responses import (
    Response,
    correlation_note,
    excerpt,
    is_temporary,
    wait_asked_seconds,
)
from migrator.http.transport import NeverSent, ResponseLost

# A service that answers with this status is not away.
THROTTLED = 429

TryResult = Response | NeverSent | ResponseLost
ErrorCheck = Callable[[Response], MigratorError | None]


def no_error(response: Response) -> MigratorError | None:
    """A check that finds no error."""
    return None


@dataclass(frozen=True)
class ReadFailure:
    """
    A failed try of a read.

    Args:
        message: What went wrong, within a sentence.
        asked_seconds: How long the service asks to wait; `None` = not stated.
        is_away: Whether the service may be away. One that throttles is not, and if this machine has
            no free socket, it is unknown.
        may_be_size: Whether a smaller page may succeed.
        error: What to raise if the failure persists; `None` = the service is down.
        is_final: Whether a retry is pointless.
        is_denial: Whether the service denied the request.
        fault: The setting of this machine that is the cause if the service never answered; `None`
            = none is.
    """

    message: str
    asked_seconds: float | None = None
    is_away: bool = True
    may_be_size: bool = False
    error: MigratorError | None = None
    is_final: bool = False
    is_denial: bool = False
    fault: MigratorError | None = None


@dataclass(frozen=True)
class ReadRequest:
    """
    What decides the meaning of an answer to a read.

    Args:
        service: The name of the service, for messages.
        url: Its base URL, for messages.
        redactor: Removes our secrets from texts of the answer.
        fatal: Detects temporary failures that last too long to wait: the error to raise.
        flaw: Detects unusable answers with a status of success: the error to raise if they persist.
        retried_statuses: Denials to retry before they are believed.
        is_login: Whether it sends a password, which is not sent again to a server that may not be
            the service.
    """

    service: str
    url: str
    path: str
    redactor: Redactor
    fatal: ErrorCheck = no_error
    flaw: ErrorCheck = no_error
    retried_statuses: Collection[int] = ()
    is_login: bool = False

    def evaluate(self, found: TryResult) -> Response | ReadFailure:
        """Return the answer, or why the try failed."""
        if isinstance(found, NeverSent):
            return ReadFailure(str(found), is_away=not found.is_ours, fault=found.fault)
        if isinstance(found, ResponseLost):
            return ReadFailure(str(found), may_be_size=True)
        if is_temporary(found.status):
            return self._temporary(found)
        if not 200 <= found.status < 300:
            return self._denial(self._denied(found), found.status in self.retried_statuses)
        if not found.data:
            return self._unreadable(found.status)
        if (error := self.flaw(found)) is None:
            return found
        error.message = self.redactor.text(error.message)  # it may quote the answer
        if isinstance(error, Declined):
            return self._denial(error, is_doubted=True)
        return ReadFailure(error.message, is_away=False, may_be_size=True, error=error)

    def _temporary(self, response: Response) -> ReadFailure:
        if (error := self.fatal(response)) is not None:
            return ReadFailure(error.message, error=error, is_final=True)
        asked = wait_asked_seconds(response, time.time())
        is_broken = response.status >= 500 and asked is None
        note = correlation_note(self.redactor.data(response.data))
        what = f"it answered {response.status}{note}"
        return ReadFailure(what, asked, response.status != THROTTLED, is_broken)

    def _denial(self, error: Declined, is_doubted: bool) -> ReadFailure:
        return ReadFailure(
            error.message, is_away=False, error=error, is_final=not is_doubted, is_denial=True
        )

    def _unreadable(self, status: int) -> ReadFailure:
        # Not quoted: the answer to a login may repeat the password.
        error = ServiceDown(
            f"{self.service} at {self.url} answered {self.path} with something other than a JSON "
            "object.",
            "check the base URL: a login page or a proxy may answer in its place",
        )
        what = f"it answered {status}, but without a JSON object"
        return ReadFailure(what, may_be_size=True, error=error, is_final=self.is_login)

    def _denied(self, response: Response) -> Declined:
        if 300 <= response.status < 400:
            return Declined(
                f"{self.service} at {self.url} redirects {self.path} elsewhere; "
                "credentials are sent only to the configured host.",
                "set the base URL to the new address of the service",
                status=response.status,
            )
        kind = {401: Unauthorized, 403: Forbidden, 404: NotFound}.get(response.status, Declined)
        # Callers quote it in messages.
        data = self.redactor.data(response.data)
        return kind(
            f"{self.service} rejected {self.path} with {response.status}: "
            f"{excerpt(response.body, self.redactor) or 'no reason given'}{correlation_note(data)}",
            "check the credentials and the base URL",
            data,
            response.status,
        )
