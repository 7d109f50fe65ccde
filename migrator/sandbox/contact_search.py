"""
HubSpot's contact search: parses a request and filters and sorts contacts, as HubSpot documents it.

Filter groups are joined by OR, the filters of a group by AND. Unknown operators are errors.
"""

import contextlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from migrator.sandbox.contacts import Contact, Properties
from migrator.sandbox.hubspot_errors import InvalidRequest

LARGEST_PAGE = 200
MOST_RESULTS = 10_000  # of one query; a page beyond them is answered 400
_MOST_GROUPS, _MOST_FILTERS = 5, 6
_PAGE = 10

Value = float | str


@dataclass(frozen=True, slots=True)
class Search:
    """
    A parsed search request.

    Args:
        start: The number of matches on earlier pages.
        is_all: Whether there is no filter.
        matches: Whether a contact matches.
    """

    start: int
    limit: int
    properties: tuple[str, ...]
    is_all: bool
    matches: Callable[[Contact], bool]
    sort_by: str | None
    descending: bool

    def in_order(self, contacts: Iterable[Contact]) -> Iterable[Contact]:
        """The matches, sorted if requested; contacts without a value come last."""
        found = (contact for contact in contacts if self.matches(contact))
        if self.sort_by is None:
            return found
        name = self.sort_by
        have = [(_value(contact.properties.get(name)), contact) for contact in found]
        ranked = [(value, contact) for value, contact in have if value is not None]
        ranked.sort(key=lambda one: _rank(one[0]), reverse=self.descending)
        return [contact for _, contact in ranked] + [p for value, p in have if value is None]


def search_of(body: Any) -> Search:
    """
    Parse the body of a search.

    Raises:
        InvalidRequest: HubSpot would answer it with 400.
    """
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be an object.")
    if body.get("query"):
        raise InvalidRequest("The sandbox does not support full-text search.")
    limit = body.get("limit", _PAGE)
    if type(limit) is not int or not 0 <= limit <= LARGEST_PAGE:
        raise InvalidRequest(f"limit must be an integer of at most {LARGEST_PAGE}")
    groups = [_filters(group) for group in _list(body, "filterGroups", _MOST_GROUPS)]
    sort_by, descending = _sort(_list(body, "sorts", 1))
    return Search(
        _start(body.get("after")),
        limit,
        tuple(map(str, _list(body, "properties"))),
        not groups,
        lambda contact: not groups or any(_fits(contact.properties, group) for group in groups),
        sort_by,
        descending,
    )


def _list(body: dict[str, Any], key: str, most: int | None = None) -> list[Any]:
    value = body.get(key) or []
    if not isinstance(value, list) or (most is not None and len(value) > most):
        raise InvalidRequest(f"{key} must be a list" + (f" of at most {most}" if most else ""))
    return value


def _start(after: Any) -> int:
    text = str(after or 0)
    if not text.isdecimal():
        raise InvalidRequest("Invalid paging cursor.")
    if int(text) >= MOST_RESULTS:
        raise InvalidRequest(f"A search gives at most {MOST_RESULTS:,} results.")
    return int(text)


def _sort(sorts: list[Any]) -> tuple[str | None, bool]:
    if not sorts:
        return None, False
    [one] = sorts
    if isinstance(one, str):  # the short form: "-" = descending
        return one.removeprefix("-"), one.startswith("-")
    if not isinstance(one, dict) or "propertyName" not in one:
        raise InvalidRequest("A sort needs a propertyName.")
    return str(one["propertyName"]), one.get("direction") == "DESCENDING"


def _filters(group: Any) -> list[dict[str, Any]]:
    filters = _list(group, "filters", _MOST_FILTERS) if isinstance(group, dict) else []
    if not filters:
        raise InvalidRequest("A filter group needs filters.")
    for one in filters:
        if not isinstance(one, dict) or "propertyName" not in one:
            raise InvalidRequest("A filter needs a propertyName.")
        if one.get("operator") not in _OPERATORS:
            raise InvalidRequest(f"The sandbox supports only {', '.join(_OPERATORS)}.")
    return filters


def _fits(properties: Properties, filters: list[dict[str, Any]]) -> bool:
    return all(
        _OPERATORS[one["operator"]](_value(properties.get(one["propertyName"])), one)
        for one in filters
    )


def _value(given: Any) -> Value | None:
    """A number or a time as a number (milliseconds since the epoch), else text; None = empty."""
    text = "" if given is None else str(given)
    if not text:
        return None
    if re.fullmatch(r"-?\d+(\.\d+)?", text, re.ASCII):
        return float(text)
    with contextlib.suppress(ValueError):
        if re.match(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            return float(round(datetime.fromisoformat(text).timestamp() * 1000))
    return text.casefold()


def _rank(value: Value) -> tuple[bool, Value]:
    return isinstance(value, str), value


def _compares(holds: Callable[[Any, Any], bool]) -> Callable[[Value | None, dict[str, Any]], bool]:
    """An operator on two values of the same type; a contact without a value never matches."""

    def fits(value: Value | None, asked: dict[str, Any]) -> bool:
        other = _value(asked.get("value"))
        return type(value) is type(other) and value is not None and holds(value, other)

    return fits


def _among(value: Value | None, asked: dict[str, Any]) -> bool:
    return value is not None and value in [_value(one) for one in asked.get("values") or []]


def _between(value: Value | None, asked: dict[str, Any]) -> bool:
    low, high = _value(asked.get("value")), _value(asked.get("highValue"))
    if isinstance(value, float) and isinstance(low, float) and isinstance(high, float):
        return low <= value <= high
    return False


_OPERATORS: dict[str, Callable[[Value | None, dict[str, Any]], bool]] = {
    "EQ": _compares(lambda value, other: bool(value == other)),
    "NEQ": lambda value, asked: value is not None and value != _value(asked.get("value")),
    "LT": _compares(lambda value, other: bool(value < other)),
    "LTE": _compares(lambda value, other: bool(value <= other)),
    "GT": _compares(lambda value, other: bool(value > other)),
    "GTE": _compares(lambda value, other: bool(value >= other)),
    "BETWEEN": _between,
    "IN": _among,
    "NOT_IN": lambda value, asked: value is not None and not _among(value, asked),
    "HAS_PROPERTY": lambda value, asked: value is not None,
    "NOT_HAS_PROPERTY": lambda value, asked: value is None,
}
