"""
Why a try of a read failed, and whether to try again: pure functions of an answer.

An incomplete, empty or unreadable answer counts like a 5xx, whatever its status.
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
from migrator.http.responses import Response, excerpt, passes, support_mark, wait_asked_seconds
from migrator.http.transport import NeverSent, ResponseLost

# A service that answers this is not away.
THROTTLED = 429

Found = Response | NeverSent | ResponseLost
Judge = Callable[[Response], MigratorError | None]


def no_error(reply: Response) -> MigratorError | None:
    """A check that finds no error."""
    return None


@dataclass(frozen=True)
class ReadFailure:
    """
    A failed try of a read.

    Args:
        asked_seconds: How long the service asks to wait; `None` = not stated.
        is_away: Whether the service may be away. One that throttles is not; if this machine has no
            free socket, it is unknown.
        may_be_size: Whether a smaller page may succeed.
        error: What to raise if the failure persists; `None` = the service is down.
        is_final: Whether a retry is pointless.
        is_denial: Whether the service denied the request; believed once it is repeated.
        fault: The setting of this machine that is the cause if the service never answered; `None`
            = there is none.
    """

    words: str
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
    A read, as far as it decides what an answer means.

    Args:
        service: The name of the service, for messages.
        url: Its base URL, for messages.
        redactor: Removes our secrets from what the answer says.
        hopeless: Detects temporary failures that last too long to wait: the error to raise.
        flaw: Detects unusable answers with a good status: the error to raise if they persist.
        doubted: Statuses of a denial to retry before it is believed.
        is_login: Whether it sends a password, which must not be repeated to a server that may not
            be the service.
    """

    service: str
    url: str
    path: str
    redactor: Redactor
    hopeless: Judge = no_error
    flaw: Judge = no_error
    doubted: Collection[int] = ()
    is_login: bool = False

    def judge(self, found: Found) -> Response | ReadFailure:
        """The answer, or why the try failed."""
        if isinstance(found, NeverSent):
            return ReadFailure(str(found), is_away=not found.is_ours, fault=found.fault)
        if isinstance(found, ResponseLost):
            return ReadFailure(str(found), may_be_size=True)
        if passes(found.status):
            return self._passing(found)
        if not 200 <= found.status < 300:
            return self._denial(self._declined(found), found.status in self.doubted)
        if not found.data:
            return self._unreadable(found.status)
        if (error := self.flaw(found)) is None:
            return found
        error.message = self.redactor.text(error.message)  # it may quote the answer
        if isinstance(error, Declined):
            return self._denial(error, is_doubted=True)
        return ReadFailure(error.message, is_away=False, may_be_size=True, error=error)

    def _passing(self, reply: Response) -> ReadFailure:
        if (error := self.hopeless(reply)) is not None:
            return ReadFailure(error.message, error=error, is_final=True)
        asked = wait_asked_seconds(reply, time.time())
        is_broken = reply.status >= 500 and asked is None
        mark = support_mark(self.redactor.data(reply.data))
        told = f"it answered {reply.status}{mark}"
        return ReadFailure(told, asked, reply.status != THROTTLED, is_broken)

    def _denial(self, error: Declined, is_doubted: bool) -> ReadFailure:
        return ReadFailure(
            error.message, is_away=False, error=error, is_final=not is_doubted, is_denial=True
        )

    def _unreadable(self, status: int) -> ReadFailure:
        # Not quoted: the answer to a login may repeat the password.
        error = ServiceDown(
            f"{self.service} at {self.url} answered {self.path} with something that is no "
            "JSON object.",
            "check the base URL: a login page or a proxy may stand in between",
        )
        told = f"it answered {status}, and no JSON object"
        return ReadFailure(told, may_be_size=True, error=error, is_final=self.is_login)

    def _declined(self, reply: Response) -> Declined:
        if 300 <= reply.status < 400:
            return Declined(
                f"{self.service} at {self.url} redirects {self.path} elsewhere; "
                "credentials are sent to no other host than the configured one.",
                "set the base URL to where the service is now",
                status=reply.status,
            )
        kind = {401: Unauthorized, 403: Forbidden, 404: NotFound}.get(reply.status, Declined)
        # Callers make messages of it, which are shown.
        data = self.redactor.data(reply.data)
        return kind(
            f"{self.service} declined {self.path} with {reply.status}: "
            f"{excerpt(reply.body, self.redactor) or 'no reason given'}{support_mark(data)}",
            "check the credentials and the base URL",
            data,
            reply.status,
        )
