"""
What HubSpot's answers mean: pure functions of their JSON and headers.

A flaw makes an answer unusable although its status is a success. The request is retried, and the
error is raised if the flaw persists.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from migrator.errors import Declined, Forbidden, MigratorError, ServiceDown, Unauthorized
from migrator.http import Response, correlation_note
from migrator.text import one_line

# A longer cursor does not fit into a URL, and once in the ledger it would block every later run.
LONGEST_CURSOR = 8_000
# The property in which a merged company names its former ids, separated by semicolons.
MERGED_IDS = "hs_merged_object_ids"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_MS = 253_402_300_799_999  # the end of the year 9999

LOGIN_HINT = (
    "set HUBSPOT_ACCESS_TOKEN to the token of a private app or a Service Key "
    "with the scopes crm.objects.contacts.read and crm.objects.companies.read"
)


@dataclass(frozen=True)
class Quota:
    """
    HubSpot's limits, from the headers of an answer; `None` = not stated.

    Args:
        requests: Requests in any `interval_seconds`.
        daily: Requests per day.
        left_today: How many of those are left.
    """

    requests: int | None
    interval_seconds: float | None
    daily: int | None
    left_today: int | None


@dataclass(frozen=True)
class Absence:
    """
    Why HubSpot has a contact no more.

    Args:
        why: `merged`, `archived`, or `unknown`: erased, or merged long ago.
        into: The id of the record that it was merged into; `None` = it was not merged.
    """

    why: str
    into: str | None = None


def absence_of(asked: str, row: Mapping[str, Any] | None, *, is_archive: bool) -> Absence | None:
    """
    What the answer to a read by id says of a contact; `None` = HubSpot has it.

    Args:
        row: What was returned for it; `None` = nothing.
        is_archive: Whether the archive was asked.
    """
    if row is None:
        return Absence("unknown")
    if row["id"] != asked:
        return Absence("merged", row["id"])
    return Absence("archived") if row.get("archived", is_archive) is True else None


def no_record(response: Response) -> MigratorError | None:
    if has_id(response.data):
        return None
    return ServiceDown("HubSpot's contact has no usable id.", "migrator stage")


def has_id(result: object) -> bool:
    found = result.get("id") if isinstance(result, dict) else None
    return isinstance(found, str) and found.isprintable() and found != ""


def no_contacts(response: Response) -> MigratorError | None:
    if isinstance(response.data.get("results"), list):
        return None
    return ServiceDown(
        "HubSpot's page of contacts has no list of results.",
        "check HUBSPOT_BASE_URL and HUBSPOT_API_VERSION",
    )


def no_total(response: Response) -> MigratorError | None:
    total = response.data.get("total")
    if type(total) is int and total >= 0:
        return None
    return ServiceDown("HubSpot's answer to a search has no count of contacts.", "migrator stage")


def batch_flaw(response: Response, objects: str = "companies") -> MigratorError | None:
    """
    Why records missing from a batch may not be gone; `None` = they are gone.

    Args:
        objects: "contacts" or "companies".
    """
    errors = response.data.get("errors")
    errors = errors if isinstance(errors, list) else []
    # The number of errors and their list are separate keys.
    listed = errors or [None] * bool(response.data.get("numErrors"))
    categories = {str(one.get("category")) if isinstance(one, dict) else "None" for one in listed}
    if "MISSING_SCOPES" in categories:
        note = correlation_note(response.data)
        no = f"HubSpot rejected the read of {objects}: MISSING_SCOPES{note}."
        return Forbidden(no, LOGIN_HINT, response.data, response.status)
    status = response.data.get("status") or "COMPLETE"
    if status != "COMPLETE":
        why = f"is {one_line(str(status))[:40]}"
    elif not isinstance(response.data.get("results"), list):
        # As an empty list, it would make every record look deleted.
        why = "has no results"
    elif not all(map(has_id, response.data["results"])):
        # It may be any of the requested records, which would then look deleted.
        why = "has a row without a usable id"
    elif others := sorted(categories - {"OBJECT_NOT_FOUND"}):
        why = f"has errors: {one_line(', '.join(others))[:80]}"
    else:
        return None
    return ServiceDown(
        f"HubSpot's batch of {objects} {why}{correlation_note(response.data)}.",
        "migrator stage again later; everything done so far is kept",
    )


def modified_ms(contact: Mapping[str, Any]) -> int | None:
    """
    When a contact was last changed (ms since the epoch); `None` = HubSpot does not say.

    HubSpot gives the property `lastmodifieddate` unasked, as ISO 8601 or in milliseconds.
    """
    text = str(_properties_of(contact).get("lastmodifieddate") or contact.get("updatedAt") or "")
    try:
        is_number = text.isascii() and text.isdigit()
        found = int(text) if is_number else _milliseconds(datetime.fromisoformat(text))
    except ValueError:
        return None
    return found if 0 <= found <= _LATEST_MS else None


def _milliseconds(time: datetime) -> int:
    known = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (known - _EPOCH) // timedelta(milliseconds=1)


def values_of(row: Mapping[str, Any], properties: Sequence[str]) -> Mapping[str, Any]:
    """The properties of a company, without what was only requested to recognise it."""
    hidden = {MERGED_IDS} - {*properties}
    return {name: value for name, value in _properties_of(row).items() if name not in hidden}


def by_requested_id(
    results: Sequence[Mapping[str, Any]], wanted: Collection[str]
) -> dict[str, Mapping[str, Any]]:
    """
    The rows of a batch by requested id; a merged record comes for each of its former ids.

    If one record was requested and one was returned, it is that one, even under another id.
    """
    found: dict[str, Mapping[str, Any]] = {}
    merged: dict[str, Mapping[str, Any]] = {}
    for row in results:
        if row["id"] in wanted:
            found[row["id"]] = row
        merged |= dict.fromkeys({*_old_ids(row)} & {*wanted}, row)
        if len(wanted) == len(results) == 1:
            merged |= dict.fromkeys(wanted, row)
    return {**merged, **found}


def unclear_ids(results: Sequence[Mapping[str, Any]], wanted: Collection[str]) -> Sequence[str]:
    """The missing records of a batch, if a returned row names none of the requested ids."""
    named = [{row["id"], *_old_ids(row)} & {*wanted} for row in results]
    if len(wanted) == 1 or all(named):
        return ()
    came = set().union(*named)
    return [one for one in wanted if one not in came]


def _properties_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    given = row.get("properties")
    return given if isinstance(given, dict) else {}


def _old_ids(row: Mapping[str, Any]) -> Sequence[str]:
    return merged_ids(_properties_of(row))


def merged_ids(properties: Mapping[str, Any]) -> Sequence[str]:
    """The former ids of the records that were merged into one, in HubSpot's order."""
    named = (one.strip() for one in str(properties.get(MERGED_IDS) or "").split(";"))
    return list(dict.fromkeys(one for one in named if one))


def cursor_of(data: Mapping[str, Any]) -> str | None:
    """The cursor of the next page; `None` = the last page, even if `paging` is present."""
    paging = data.get("paging") or {}
    following = paging.get("next") or {} if isinstance(paging, dict) else None
    after = following.get("after") if isinstance(following, dict) else {}
    if after is None or after == "":
        return None
    is_plain = type(after) in (str, int) and str(after).isprintable()
    if not is_plain or len(str(after)) > LONGEST_CURSOR:
        # Taken for the end of the list, it would lose all contacts that follow.
        raise ServiceDown("HubSpot's page has a cursor that cannot be read.", "migrator stage")
    return str(after)


def unauthorized(error: Declined) -> Unauthorized:
    if error.status == 530:
        why = "is malformed: cut short, or with something added, when it was copied"
    elif error.data.get("category") == "EXPIRED_AUTHENTICATION":
        why = "has expired"
    else:
        why = "is not valid"
    return Unauthorized(
        f"HubSpot rejected the access token: it {why}{correlation_note(error.data)}.",
        LOGIN_HINT,
        error.data,
        error.status,
    )


def forbidden(error: Forbidden) -> Forbidden:
    scopes = [*_scopes(error.data, "requiredScopes"), *_scopes(error.data, "missingScopes")]
    choice = _scopes(error.data, "requiredGranularScopes")
    if len(choice) == 1:
        scopes, choice = [*scopes, *choice], []
    scopes = list(dict.fromkeys(scopes))
    lacking = [f"the scope{'s'[: len(scopes) - 1]} {', '.join(scopes)}"] if scopes else []
    if choice:
        lacking.append(f"one of the scopes {', '.join(choice)} (any of them suffices)")
    if not lacking:
        return error
    several = "them" if scopes else "one of them"
    return Forbidden(
        f"The HubSpot token lacks {' and '.join(lacking)}{correlation_note(error.data)}.",
        f"add {'it' if len(scopes + choice) == 1 else several} to the private app or the "
        "Service Key in HubSpot's settings",
        error.data,
        error.status,
    )


def quota_of(headers: Mapping[str, str]) -> Quota | None:
    names = ("max", "interval-milliseconds", "daily", "daily-remaining")
    found = [_count(headers.get(f"x-hubspot-ratelimit-{name}", "")) for name in names]
    if found == [None] * len(names):
        return None
    requests, interval, daily, left = found
    return Quota(requests, None if interval is None else interval / 1000, daily, left)


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 13 else None


def _scopes(data: Mapping[str, Any], key: str) -> list[str]:
    """The distinct scopes under a key of `errors[].context`."""
    errors = data.get("errors")
    scopes: dict[str, None] = {}
    for error in errors if isinstance(errors, list) else []:
        context = error.get("context") if isinstance(error, dict) else None
        named = context.get(key) if isinstance(context, dict) else None
        for scope in named if isinstance(named, list) else [named]:
            if isinstance(scope, str):
                scopes[scope] = None
    return list(scopes)
