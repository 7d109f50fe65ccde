"""
The invented people that a probe sends, and the marks by which a probe's things are recognised.

Pure functions. A lead is a probe's by its e-mail, or, where a listing shows none, by its last name;
a client by the end of its description.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from migrator.http import SendOutcome
from migrator.states import Outcome
from migrator.text import utc_time

_EMAIL = re.compile(r"migrator-probe\.[0-9a-f]{8}\.[0-9]{3}@example\.com")
_LAST_NAME = re.compile(r"Probe-[0-9a-f]{8}-[0-9]{3}")
_MARK = re.compile(r"\[migrator probe: (\S{10}T\S{8}Z) ([0-9a-f]{8})\]")


def person(token: str, number: int) -> dict[str, str]:
    """The required fields of an invented person; `token` is the probe's."""
    return {
        "firstName": "Ada",
        "lastName": f"Probe-{token}-{number:03}",
        "email": f"migrator-probe.{token}.{number:03}@example.com",
    }


def is_invented(row: Mapping[str, Any]) -> bool:
    """Whether a listed lead is one of a probe's invented people."""
    if row.get("email") is not None:
        return bool(_EMAIL.fullmatch(str(row["email"])))
    return bool(_LAST_NAME.fullmatch(str(row.get("lastName"))))


def client_name(token: str, wall: float) -> str:
    """The name of a probe's client; `wall` is in seconds since 1970."""
    return f"migrator probe {utc_time(wall)[:10]} {token}"


def client_description(token: str, wall: float) -> str:
    """Its description, which ends with the mark."""
    return (
        "Made by `migrator probe` to measure what LeadGenius does; it removes it again. "
        f"[migrator probe: {utc_time(wall)} {token}]"
    )


def client_mark(description: str) -> tuple[str, str] | None:
    """The time (ISO 8601, UTC) and the token of a probe's mark; `None` = there is none."""
    found = _MARK.search(description)
    return None if found is None else (found[1], found[2])


@dataclass
class ProbeLead:
    """
    A lead that the probe sent, and what is seen of it. Times are on the monotonic clock.

    Args:
        fields: As they were sent.
        sent: What the answer proves.
        sent_at, answered_at: When the request began and ended.
        answer: The lead in the answer; `{}` = none.
        row: As the newest complete listing shows it; `None` = it does not.
        listed_at: When the listing ended that was the first to show it; `None` = none did.
        lag_s: From the answer to being listed, where a listing came soon enough to tell.
    """

    fields: Mapping[str, Any]
    sent: SendOutcome
    sent_at: float
    answered_at: float
    answer: Mapping[str, Any] = field(default_factory=dict)
    row: Mapping[str, Any] | None = None
    listed_at: float | None = None
    lag_s: float | None = None

    @property
    def id(self) -> str | None:
        """Its id, from the answer or a listing; `None` = not known."""
        if self.sent.created_id is not None:
            return self.sent.created_id
        return None if self.row is None else str(self.row["id"])

    @property
    def is_created(self) -> bool:
        """Whether the answer proves it."""
        return self.sent.created_id is not None

    @property
    def is_answered(self) -> bool:
        """Whether any answer came, so that the service is done with it."""
        return self.sent.status is not None

    @property
    def is_ruled_out(self) -> bool:
        """Whether it is certain that it was not created (design, I2)."""
        return self.sent.outcome not in (None, Outcome.CREATED)
