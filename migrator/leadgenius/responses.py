"""
What LeadGenius's answers mean: clients, leads, pages and their cursors.

Pure functions of the JSON in an answer.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrator.errors import MigratorError, RunAgain, ServiceDown
from migrator.http import Response

# With more rows than this without an id, and a tenth of all, the listing is unusable.
MOST_ODD_ROWS = 10

# The next page's cursor is called `lastKey` in the guide and `nextToken` in the vendor's reference.
# It is sent back under the name or names under which it was received.
CURSOR_NAMES = ("lastKey", "nextToken")


@dataclass(frozen=True)
class LeadGeniusClient:
    """
    A client (a workspace for leads).

    Args:
        client_id: The slug for every lead operation (guide, rule 4).
        internal_id: Only for changing or deleting the client; leads sent under it are invisible
            (guide, bug 1).
        description: "" = none.
    """

    client_id: str
    internal_id: str
    name: str
    description: str = ""


@dataclass(frozen=True)
class LeadPage:
    """
    A page of leads.

    Args:
        leads: LeadGenius's JSON objects, each with an `id`.
        cursor: The opaque cursor of the next page; `None` = this is the last page.
        odd: Rows without a usable id, of any type; each may be a lead.
        total: As answered: by the guide the size of the page (bug 7); `None` = not stated.
    """

    leads: Sequence[Mapping[str, Any]]
    cursor: str | None
    odd: Sequence[Any] = ()
    total: object = None

    @property
    def cursor_name(self) -> str | None:
        """The name under which the cursor was received; `None` = there is none."""
        return None if self.cursor is None else str(next(iter(json.loads(self.cursor))))


def client_of(data: Mapping[str, Any]) -> LeadGeniusClient:
    """The client in a JSON object of the listing."""
    values = (data.get(key) for key in ("client_id", "id", "clientName", "description"))
    return LeadGeniusClient(*(str(value or "") for value in values))


def created_client_id(data: Mapping[str, Any]) -> str | None:
    """The client_id in the answer to a creation; `None` = there is none."""
    client = data.get("client")
    found = client.get("client_id") if isinstance(client, dict) else None
    return found if isinstance(found, str) and found else None


def created_lead_id(data: Mapping[str, Any]) -> str | None:
    """The id of the lead in an answer; an answer that reports a failure proves no lead."""
    lead = data.get("lead")
    if data.get("success") is False or not isinstance(lead, dict):
        return None
    return str(lead["id"]) if has_id(lead) else None


def shown_lead(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The lead in an answer; `None` = it shows none with a usable id."""
    lead = data.get("lead")
    return lead if isinstance(lead, dict) and has_id(lead) else None


def is_taken(data: Mapping[str, Any]) -> str | None:
    """Whether the answer to an update or a delete says that it was done; `None` = it does not."""
    return "done" if data.get("success") is True or isinstance(data.get("lead"), dict) else None


def no_leads(response: Response) -> MigratorError | None:
    """The error for a page without a list of leads."""
    if isinstance(response.data.get("leads"), list):
        return None
    return ServiceDown(
        "LeadGenius's page of leads has no list of leads.", "check LEADGENIUS_BASE_URL"
    )


def check_odd_rows(odd: int, rows: int) -> None:
    """
    Check a listing that is read to its end.

    Raises:
        ServiceDown: too many rows have no id for it to prove anything.
    """
    if odd > MOST_ODD_ROWS and 10 * odd >= rows:
        raise ServiceDown(
            f"Of the {rows:,} leads that LeadGenius lists, {odd:,} have no usable id.",
            RunAgain(after=" later; if that persists, contact LeadGenius"),
        )


def has_id(lead: object) -> bool:
    """Whether a row has a usable id."""
    if not isinstance(lead, dict):
        return False
    found = lead.get("id")
    if isinstance(found, str):
        # Half of a surrogate pair, for example, can be neither stored nor printed.
        return found.isprintable() and found != ""
    return isinstance(found, int) and not isinstance(found, bool)


def cursor_of(data: Mapping[str, Any]) -> str | None:
    """The query parameters of the next page, as JSON; `None` = this is the last page."""
    cursors = {name: data.get(name) for name in CURSOR_NAMES}
    params = {
        # DynamoDB's key may be an object; in a query it must be JSON.
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in cursors.items()
        if value not in (None, "", {})
    }
    return json.dumps(params) if params else None
