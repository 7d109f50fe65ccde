"""
The report as one page for a browser: everything in one file, and nothing that runs.

Owns jinja2, which escapes every value; and the page's own policy forbids it to run a script or to
fetch anything, should that ever fail. It decides nothing: the numbers are those of `machine`.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from migrator import __version__
from migrator.ledger import Arrivals, Run
from migrator.report import charts
from migrator.report.details import HtmlData, Throughput
from migrator.report.labels import (
    HOLDS,
    OUTCOMES,
    STATES,
    STICKY,
    advice,
    counted,
    duration,
    ending,
)
from migrator.report.next_step import next_step
from migrator.report.summary import as_json, iso, status
from migrator.states import State

# How an ending looks; every other one wants a look, and no more.
_TONES = {"done": "good", "running": "calm", "killed": "bad", "ledger": "bad", "bug": "bad"}


def as_html(details: HtmlData) -> str:
    """
    The page.

    A number that `as_json` has too stands in a `data` element, under its path there:
    `<data data-fact="states.posted.total" value="387">387</data>`.
    """
    report = details.report
    command, why = next_step(report)
    page = _templates().get_template("page.html")
    return page.render(
        details=details,
        report=report,
        facts=dict(_flat(as_json(report))),
        next_command=command,
        next_why=why,
        states=STATES,
        holds=HOLDS,
        advice=advice,
        outcomes=OUTCOMES,
        moves={(one.source, one.target): one.times for one in details.moves},
        runs=[_run(run, details) for run in details.runs],
        standings=charts.standings(report.states, _standings_title(details)),
        throughput=None if details.throughput is None else _throughput(details.throughput),
        State=State,
        version=__version__,
    )


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("migrator.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "number": lambda value: f"{value:,}",
        "duration": duration,
        "utc": iso,
        "local": _local,
    }
    return templates


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of all that is neither an object nor a list: `runs.0.counters.posted`."""
    pairs: Any = ()
    if isinstance(value, Mapping):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    else:
        yield path, value
    for name, inner in pairs:
        yield from _flat(inner, f"{path}.{name}" if path else str(name))


def _standings_title(details: HtmlData) -> str:
    parts = [f"{state}: {one.total:,}" for state, one in details.report.states.items()]
    return f"Contacts by state. {', '.join(parts)}."


def _run(run: Run, details: HtmlData) -> dict[str, Any]:
    report = details.report
    ended_as = status(run, report)
    until = report.now_ms if ended_as == "running" else run.ended_ms
    return {
        "run": run,
        "tone": _TONES.get(ended_as, "warn"),
        "took": "?" if until is None else duration((until - run.began_ms) / 1000),
        "ended": ending(run, ended_as).replace(STICKY, " "),
        "counted": list(counted(run)),
    }


# Time


def _throughput(throughput: Throughput) -> dict[str, Any]:
    stretches, width = throughput.stretches, throughput.width_ms
    each, form = duration(width / 1000), _form(throughput)
    created, found = [one.created for one in stretches], [one.found for one in stretches]
    most = max(one.created + one.found for one in stretches)
    begin_ms, end_ms = stretches[0].begin_ms, stretches[-1].begin_ms + width
    title = (
        f"Leads that arrived from {_local(begin_ms)} to {_local(end_ms)}, a bar for each {each}: "
        f"{sum(created) + sum(found):,} in all, at most {most:,} in {each}."
    )
    times = [_local(one.begin_ms, form) for one in stretches]
    return {
        "each": each,
        "most": most,
        "begin_ms": begin_ms,
        "end_ms": end_ms,
        "created": sum(created),
        "found": sum(found),
        "rows": list(_rows(stretches, width, form)),
        "chart": charts.throughput(times, created, found, title),
    }


def _form(throughput: Throughput) -> str:
    """How the time of a stretch is written: as exactly as is needed to tell it from the others."""
    days = {_local(one.begin_ms, "%j") for one in throughput.stretches}
    if throughput.width_ms < 60_000:
        return "%H:%M:%S"
    if throughput.width_ms >= 24 * 3_600_000:
        return "%Y-%m-%d"
    return "%H:%M" if len(days) == 1 else "%m-%d %H:%M"


def _rows(stretches: Sequence[Arrivals], width: int, form: str) -> Iterator[dict[str, Any]]:
    """A row for each stretch, and one for each pause: the stretches without a lead, together."""
    for has_leads, alike in groupby(stretches, key=lambda one: one.created + one.found > 0):
        row = list(alike)
        for one in row if has_leads else row[:1]:
            pause = "" if has_leads else duration(len(row) * width / 1000)
            yield {"time": _local(one.begin_ms, form), "arrivals": one, "pause": pause}


def _local(milliseconds: int, form: str = "%Y-%m-%d %H:%M") -> str:
    """The time here."""
    return datetime.fromtimestamp(milliseconds / 1000).astimezone().strftime(form)
