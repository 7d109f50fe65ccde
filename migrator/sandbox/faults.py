"""
The faults that can be injected: their names, where each may strike, and whether one strikes now.

Faults of writes are called alike for all three: `refuse` strikes a POST, `update:refuse` a PUT of
one lead, and `delete:refuse` a DELETE of one lead.

`FaultInjector` only names the fault of a request; the endpoint that suffers it defines the effect.
`Outages` answer all requests under a path alike, before any service looks at them.
"""

import difflib
import random
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from migrator.sandbox.messages import HANG, Answer, Call, ConnectionEnd

# Places. A page asked for with a cursor is a place of its own: only there can a cursor repeat.
POST = "POST /api/leads"
PUT = "PUT /api/leads"
DELETE = "DELETE /api/leads?id="
LIST = "GET /api/leads"
LIST_ON = "GET /api/leads with a cursor"
AUTH = "POST /api/auth"
CONTACTS = "GET contacts"
CONTACTS_ON = "GET contacts with a cursor"
COMPANIES = "POST companies/batch/read"
ACCOUNT = "GET account-info"
PROPERTIES = "GET properties"

# Of a write, "saving" is what it does: to create, change or delete a lead.
_OF_WRITES = """
    refuse unprocessable forbidden not_found too_large throttle throttle_silently conflict
    conflict_after_saving unavailable error_after_saving error_without_saving
    drop_before_saving drop_after_saving reset_after_saving hang_before_saving
    hang_after_saving save_late slow truncated html html_after_saving no_id empty_answer
    redirect moved expire_token"""
# A success that did nothing; for a POST there is no such fault.
_IGNORE = "ignore"


def _prefixed(prefix: str) -> str:
    return " ".join(f"{prefix}:{name}" for name in [*_OF_WRITES.split(), _IGNORE])


_NAMES: dict[tuple[str, ...], str] = {
    (POST,): _OF_WRITES,
    (PUT,): _prefixed("update"),
    (DELETE,): _prefixed("delete"),
    (LIST,): "list_error list_drop list_hang short_page empty_page",
    (LIST_ON,): "repeat_cursor overlap_page",
    (AUTH,): "auth_error",
    (CONTACTS, COMPANIES): """
        hubspot_error hubspot_drop hubspot_throttle hubspot_secondly hubspot_daily hubspot_locked
        hubspot_migrating hubspot_unauthorized missing_scopes missing_granular_scopes
        hubspot_html hubspot_hang""",
    (CONTACTS,): "hubspot_short_page hubspot_empty_page",
    (CONTACTS_ON,): "hubspot_repeat_cursor hubspot_overlap_page hubspot_cursor_expired",
    (COMPANIES,): "companies_hang",
    (ACCOUNT,): "account_forbidden",
    (PROPERTIES,): "properties_forbidden",
}
FAULTS: dict[str, tuple[str, ...]] = {
    name: places for places, names in _NAMES.items() for name in names.split()
}

Where = Callable[[dict[str, Any]], bool]


@dataclass(slots=True)
class _Armed:
    name: str
    times: int
    where: Where | None


class FaultInjector:
    """
    Chooses the fault of each request: a scripted one if there is any, else a random one.

    Args:
        probabilities: By name of the fault; at most 1 in total for faults of the same request.

    Raises:
        ValueError: A name is unknown, or a total is above 1.
    """

    def __init__(self, seed: int, probabilities: Mapping[str, float]) -> None:
        _check_odds(probabilities)
        self._probabilities = dict(probabilities)
        self._random = random.Random(seed)
        self._queue: list[_Armed] = []
        self._lock = threading.Lock()

    def arm(self, name: str, times: int = 1, where: Where | None = None) -> None:
        """
        Let `name` strike the next `times` requests of its place that satisfy `where`.

        Args:
            where: Receives the lead of a write (of a POST as it was sent, of a PUT as it would
                become, of a DELETE as it is), or the query of any other request.

        Raises:
            ValueError: The name is unknown, or `times` is less than 1.
        """
        _check(name)
        if times < 1:
            raise ValueError(f"{name}: it cannot strike {times} times")
        with self._lock:
            self._queue.append(_Armed(name, times, where))

    def calm(self) -> None:
        """Drop all scripted and random faults."""
        with self._lock:
            self._queue.clear()
            self._probabilities.clear()

    def strike(self, places: Collection[str], subject: dict[str, Any]) -> str | None:
        """The fault of a request, or None; scripted faults take precedence over random ones."""
        if not self._queue and not self._probabilities:
            return None
        with self._lock:
            return self._armed(places, subject) or self._thrown(places)

    def _armed(self, places: Collection[str], subject: dict[str, Any]) -> str | None:
        for armed in self._queue:
            if _fits(armed.name, places) and (armed.where is None or armed.where(subject)):
                armed.times -= 1
                if armed.times <= 0:
                    self._queue.remove(armed)
                return armed.name
        return None

    def _thrown(self, places: Collection[str]) -> str | None:
        names = [name for name in self._probabilities if _fits(name, places)]
        if not names:
            return None
        face = self._random.random()
        for name in names:
            face -= self._probabilities[name]
            if face < 0:
                return name
        return None


class Outages:
    """The current outages."""

    def __init__(self) -> None:
        self._lasting: list[tuple[str, str, Answer]] = []

    def begin(
        self,
        method: str,
        path: str,
        status: int | None,
        body: bytes,
        headers: Mapping[str, str],
        ending: ConnectionEnd,
    ) -> None:
        """Answer all requests under a path like this; a status of None = never answer."""
        answer = Answer(status or 0, body, tuple(headers.items()), ending=ending)
        if status is None:
            answer = HANG
        self._lasting.append((method, path, answer))

    def clear(self) -> None:
        """End all of them."""
        self._lasting.clear()

    def answer(self, call: Call) -> Answer | None:
        """The answer to a call during an outage; None = there is none."""
        for method, path, answer in self._lasting:
            if call.method.startswith(method) and call.path.startswith(path):
                call.fault = "outage"
                return answer
        return None


def _fits(name: str, places: Iterable[str]) -> bool:
    return any(place in FAULTS[name] for place in places)


def _check_odds(probabilities: Mapping[str, float]) -> None:
    together: dict[str, float] = defaultdict(float)
    for name, probability in probabilities.items():
        _check(name)
        if not 0 <= probability <= 1:
            raise ValueError(f"{name}: {probability} is not a probability")
        for place in FAULTS[name]:
            together[place] += probability
    for place, sum_ in together.items():
        if sum_ > 1:
            raise ValueError(f"{place}: the probabilities of its faults add up to {sum_:g}")


def _check(name: str) -> None:
    if name in FAULTS:
        return
    near = difflib.get_close_matches(name, FAULTS, n=4, cutoff=0.4)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    raise ValueError(f"no fault is called {name!r}{hint}")
