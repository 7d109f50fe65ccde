"""
HubSpot's search: which contacts a body asks for, and in which order.

Owns the meaning of filters and sorts, by HubSpot's reference: groups are joined by OR, filters of a
group by AND. It reads no portal; an operator that it does not know is an error, never a match.
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
    A search as it was asked for.

    Args:
        start: How many matches the pages before have given.
        is_all: Whether there is no filter.
        matches: Tells whether a contact fits.
    """

    start: int
    limit: int
    properties: tuple[str, ...]
    is_all: bool
    matches: Callable[[Contact], bool]
    sort_by: str | None
    descending: bool

    def in_order(self, people: Iterable[Contact]) -> Iterable[Contact]:
        """The matches, sorted where that was asked for; without a value comes last."""
        found = (person for person in people if self.matches(person))
        if self.sort_by is None:
            return found
        name = self.sort_by
        have = [(_value(person.properties.get(name)), person) for person in found]
        ranked = [(value, person) for value, person in have if value is not None]
        ranked.sort(key=lambda one: _rank(one[0]), reverse=self.descending)
        return [person for _, person in ranked] + [p for value, p in have if value is None]


def search_of(body: Any) -> Search:
    """
    Read the body of a search.

    Raises:
        Invalid: HubSpot would answer it with 400.
    """
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be an object.")
    if body.get("query"):
        raise InvalidRequest("This stand-in does not search for words.")
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
        lambda person: not groups or any(_fits(person.properties, group) for group in groups),
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
    if isinstance(one, str):  # the short form: "-" turns it round
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
            raise InvalidRequest(f"This stand-in knows only {', '.join(_OPERATORS)}.")
    return filters


def _fits(properties: Properties, filters: list[dict[str, Any]]) -> bool:
    return all(
        _OPERATORS[one["operator"]](_value(properties.get(one["propertyName"])), one)
        for one in filters
    )


def _value(given: Any) -> Value | None:
    """A number or a moment as a number (milliseconds since the epoch), else text; None = none."""
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
    """An operator on values of one kind; a contact without a value never fits."""

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
