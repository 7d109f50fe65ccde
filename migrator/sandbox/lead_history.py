"""
The history of all leads: every creation, change, deletion and restoration, and who made it.

Times are taken from the monotonic clock, except for `at`.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from migrator.sandbox.messages import Lead


@dataclass(frozen=True, slots=True)
class Author:
    """
    Who changes a lead.

    Args:
        name: `tool`, for all requests to the API, or `person`.
        request: The number of the request in the log; None = there was no request.
        sent: When the request arrived; None = when it took effect.
        looked: When a listing or a search last served the lead before that; None = never.
    """

    name: str
    request: int | None = None
    sent: float | None = None
    looked: float | None = None


TOOL = Author("tool")
PERSON = Author("person")


@dataclass(frozen=True, slots=True)
class RecordedChange:
    """
    One entry of the history.

    Args:
        at: When it took effect, in seconds since the epoch.
        moment: The same on the monotonic clock.
        visible: When reads begin to show it, on the monotonic clock.
        kind: `create`, `change`, `delete` or `restore`.
        before: The JSON of the lead before; None = there was none.
        after: The JSON of the lead after; None = there is none.
    """

    at: float
    moment: float
    visible: float
    lead_id: str
    kind: str
    author: Author
    before: bytes | None
    after: bytes | None

    @property
    def is_of_tool(self) -> bool:
        """Whether a request made it, not a person."""
        return self.author.name == TOOL.name

    @property
    def sent(self) -> float:
        """When the request arrived; for a person, when it took effect."""
        return self.moment if self.author.sent is None else self.author.sent

    def leads(self) -> tuple[Lead, Lead]:
        """The parsed lead before and after; empty = there was or is none."""
        before, after = (json.loads(body) if body else {} for body in (self.before, self.after))
        return before, after

    def as_json(self) -> dict[str, Any]:
        """For other processes: who, when, what, before and after."""
        before, after = self.leads()
        return {
            "at": self.at,
            "lead": self.lead_id,
            "kind": self.kind,
            "author": self.author.name,
            "request": self.author.request,
            "before": before or None,
            "after": after or None,
        }


def written_clients(history: Iterable[RecordedChange]) -> set[str]:
    """The `client_id` of all leads that requests created, changed or deleted."""
    leads = (lead for change in history if change.is_of_tool for lead in change.leads())
    return {str(lead["client_id"]) for lead in leads if lead}


def notes_of(lead: Lead) -> list[str]:
    """The lines of a lead's notes."""
    return str(lead.get("notes") or "").splitlines()
