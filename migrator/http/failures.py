"""
Why a try of a read came to nothing, and whether another one may not: pure functions of an answer.

A cut, empty or unreadable answer counts as a 5xx does, whatever its status says.
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

# A service that says so is there, and says for how long not.
THROTTLED = 429

Found = Response | NeverSent | ResponseLost
Judge = Callable[[Response], MigratorError | None]


def no_error(reply: Response) -> MigratorError | None:
    """The judge who finds nothing."""
    return None


@dataclass(frozen=True)
class ReadFailure:
    """
    What a try of a read came to.

    Args:
        asked_seconds: How long the service asks to wait; `None` = it does not say.
        is_away: Whether it may not be there at all; one that throttles is, and where this machine
            has no socket to spare that is unknown.
        may_be_size: Whether a smaller page may fare better.
        error: To be raised where it stays so; `None` = the service is down.
        is_final: Whether it will stay so, and is not asked again.
        is_denial: Whether the service said no, which is believed when it is repeated.
        fault: The setting that is to blame where the service never answered; `None` = none is.
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
    What was asked, as far as it decides what an answer means.

    Args:
        service: Its name, for messages.
        url: Its base URL, for messages.
        redactor: Strikes the secrets in hand out of what the answer says.
        hopeless: Tells a passing failure that will not pass soon: the error to raise.
        flaw: Tells an answer with a good status that cannot be used: the error to raise where it
            stays so.
        doubted: Statuses of a "no" that is asked again before it is believed.
        is_login: A password is not sent again to what may be no login at all.
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
        """The answer, or what is wrong with what a try came to."""
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
        # Not quoted: an answer to a login may repeat what the login said.
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
        # Better words are made of what it holds, and they are shown too.
        data = self.redactor.data(reply.data)
        return kind(
            f"{self.service} declined {self.path} with {reply.status}: "
            f"{excerpt(reply.body, self.redactor) or 'no reason given'}{support_mark(data)}",
            "check the credentials and the base URL",
            data,
            reply.status,
        )
