"""
What the HTML page shows besides the report: held people, all runs, state changes and sends.

It is read in one transaction with the report, so that all numbers are of one moment. Control
characters in what services returned are removed here, as in `summary`. It changes nothing.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from migrator.lead_profile import LeadProfile, read_profile
from migrator.ledger import Arrivals, HeldSource, Ledger, MoveCount, Run, Sends
from migrator.mapping import overlay, values
from migrator.mapping_versions import active_rules
from migrator.report.labels import quoted
from migrator.report.since_sent import change_words, conflict_words, gone_words
from migrator.report.summary import Report, clean_run, killed_run, snapshot
from migrator.states import Hold, State

MOST_PEOPLE = 200  # for each reason; `report --csv` writes all of them
MOST_RUNS = 50
MOST_BARS = 30

_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
# The lengths of time that one bar may cover.
WIDTHS_MS = (
    *(_SECOND, 2 * _SECOND, 5 * _SECOND, 10 * _SECOND, 30 * _SECOND),
    *(_MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE),
    *(_HOUR, 2 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 7 * _DAY, 30 * _DAY, 365 * _DAY),
)


@dataclass(frozen=True)
class PersonRow:
    """A person on the page; "" = not in HubSpot, or erased from the ledger."""

    hubspot_id: str
    name: str
    email: str
    state: State
    detail: str


@dataclass(frozen=True)
class Throughput:
    """
    Leads that arrived over time.

    Args:
        width_ms: Length of a stretch.
        stretches: All stretches from the first lead to the last, including those without leads.
    """

    width_ms: int
    stretches: Sequence[Arrivals]


@dataclass(frozen=True)
class HtmlData:
    """Everything that the page shows; `throughput=None` = no lead has arrived yet."""

    report: Report
    people: Mapping[Hold, Sequence[PersonRow]]
    changed: Sequence[PersonRow]
    gone: Sequence[PersonRow]
    edited: Sequence[PersonRow]
    runs: Sequence[Run]
    moves: Sequence[MoveCount]
    throughput: Throughput | None
    sends: Sends
    profile: LeadProfile


def read(ledger: Ledger, now: Callable[[], float] = time.time) -> HtmlData:
    """Read the page's data in one transaction; it scans all sends, which takes a while."""
    killed = killed_run(ledger)
    with ledger.transaction():
        report = snapshot(ledger, killed, now)
        knows_people = report.forgotten_ms is None
        held = [waiting.held for waiting in report.held if knows_people]
        changed = ledger.counts.people_changed(MOST_PEOPLE) if knows_people else []
        versions = ledger.since_sent.changed(MOST_PEOPLE) if knows_people else []
        gone = ledger.since_sent.gone_after_posting(MOST_PEOPLE) if knows_people else []
        words = {one.hubspot_id: change_words(one) for one in versions}
        edited = ledger.counts.people_edited(MOST_PEOPLE) if knows_people else []
        sends = ledger.counts.sends()
        return HtmlData(
            report=report,
            people={hold: [_shown(one) for one in _held(ledger, hold)] for hold in held},
            changed=[_shown(replace(one, detail=words[one.hubspot_id])) for one in changed],
            gone=[
                _shown(replace(one, detail=gone_words(why)))
                for one, why in zip(ledger.counts.people_gone(MOST_PEOPLE), gone, strict=False)
            ],
            edited=[_shown(one) for one in edited],
            runs=[clean_run(run) for run in ledger.runs.newest(MOST_RUNS)],
            moves=ledger.counts.moves(),
            throughput=_throughput(ledger, sends),
            sends=sends,
            profile=read_profile(ledger, active_rules(ledger)),
        )


def _held(ledger: Ledger, hold: Hold) -> list[HeldSource]:
    """The first people with a hold; what is to be decided has its three values as its detail."""
    found = ledger.since_sent.conflicts() if hold in (Hold.CONFLICT, Hold.DIFFERENT) else []
    values = {
        one.hubspot_id: conflict_words(one.conflict, one.decided) for one in found if one.conflict
    }
    return [
        replace(one, detail=values.get(one.hubspot_id, one.detail))
        for one in ledger.counts.people_held(hold, MOST_PEOPLE)
    ]


def _shown(person: HeldSource) -> PersonRow:
    counts = values(
        *overlay(person.source, None, person.amended), ("firstname", "lastname", "email")
    )
    names = (_text(counts["firstname"]), _text(counts["lastname"]))
    return PersonRow(
        hubspot_id=_text(person.hubspot_id),
        name=" ".join(filter(None, names)),
        email=_text(counts["email"]),
        state=person.state,
        detail=_text(person.detail),
    )


def _text(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else ""


def _throughput(ledger: Ledger, sends: Sends) -> Throughput | None:
    if sends.arrived_ms is None:
        return None
    first, last = sends.arrived_ms
    width = width_ms(last - first)
    return Throughput(width, list(_without_holes(ledger.counts.arrivals(width), width)))


def width_ms(span_ms: int) -> int:
    """The shortest length of which at most `MOST_BARS` cover the span."""
    for width in WIDTHS_MS:
        # One more than the quotient, because the first stretch begins before the first lead.
        if span_ms // width + 2 <= MOST_BARS:
            return width
    return span_ms // (MOST_BARS - 2) + 1  # years: only with wrong clocks


def _without_holes(arrivals: Sequence[Arrivals], width: int) -> Iterator[Arrivals]:
    """The arrivals, with empty stretches inserted so that a pause can be seen."""
    yield from arrivals[:1]
    for before, one in pairwise(arrivals):
        for begin_ms in range(before.begin_ms + width, one.begin_ms, width):
            yield Arrivals(begin_ms, 0, 0)
        yield one
