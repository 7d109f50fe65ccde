"""
The report as one HTML page: a single file, with charts, that runs no script and fetches nothing.

Owns jinja2, which escapes every value, and pygal. The page's content security policy forbids
scripts and requests in case an escape ever fails. Charts are SVG inside the page; they get only
numbers and texts of ours, take their colours from the page's style sheet, and the page has the same
numbers as a table.
"""

import stat
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import pygal
from jinja2 import Environment, PackageLoader, StrictUndefined
from pygal.style import Style

from migrator import __version__, private_files
from migrator.errors import UsageError
from migrator.ledger import Arrivals, Ledger, Run
from migrator.report.html_data import HtmlData, Throughput, read
from migrator.report.labels import (
    HOLDS,
    OUTCOMES,
    STATES,
    STICKY,
    advice,
    counted,
    duration,
    ending,
    iso,
    local,
)
from migrator.report.next_step import next_step
from migrator.report.summary import Report, StateCounts, as_json
from migrator.states import State
from migrator.text import one_line

# How an ending is coloured; every other one is "warn".
_TONES = {"done": "good", "running": "calm", "killed": "bad", "ledger": "bad", "bug": "bad"}
_OPENING = "<!doctype html>"
_HINT = "name another file: migrator report --html report.html"
_CHART_WIDTH = 960
_INK, _MUTED, _LINE = "var(--ink)", "var(--muted)", "var(--line)"


def write_page(ledger: Ledger, target: Path) -> Report:
    """
    Write the page to a file with mode 0600, atomically, and never over a file that is no page.

    Returns:
        The report that the page shows.

    Raises:
        UsageError: the file exists and is no page, or cannot be written.
    """
    _check(target)
    data = read(ledger)
    try:
        # Resolved, because replacing a link would turn it into a file and leave its target stale.
        private_files.replace(target.resolve(), as_html(data))
    except OSError as error:
        raise UsageError(
            f"{one_line(str(target))}: cannot be written ({error.strerror}).",
            "make its folder writable, or name another file with --html",
        ) from None
    return data.report


def as_html(data: HtmlData) -> str:
    """
    Render the page.

    A number that is also in `as_json` is a `data` element with its path there:
    `<data data-fact="states.posted.total" value="387">387</data>`.
    """
    report = data.report
    command, why = next_step(report)
    page = _templates().get_template("page.html")
    return page.render(
        data=data,
        report=report,
        facts=dict(_flat(as_json(report))),
        next_command=command,
        next_why=why,
        states=STATES,
        holds=HOLDS,
        advice=advice,
        outcomes=OUTCOMES,
        moves={(one.source, one.target): one.times for one in data.moves},
        runs=[_run(run, data) for run in data.runs],
        standings=_states_chart(report.states, _standings_title(data)),
        throughput=None if data.throughput is None else _throughput(data.throughput),
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
        "local": local,
    }
    return templates


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of each JSON leaf, with paths such as `runs.0.counters.posted`."""
    pairs: Any = ()
    if isinstance(value, Mapping):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    else:
        yield path, value
    for name, inner in pairs:
        yield from _flat(inner, f"{path}.{name}" if path else str(name))


def _standings_title(data: HtmlData) -> str:
    parts = [f"{state}: {one.total:,}" for state, one in data.report.states.items()]
    return f"Contacts by state. {', '.join(parts)}."


def _run(run: Run, data: HtmlData) -> dict[str, Any]:
    report = data.report
    ended_as = report.status(run)
    return {
        "run": run,
        "tone": _TONES.get(ended_as, "warn"),
        "took": duration(report.seconds(run)),
        "ended": ending(run, ended_as).replace(STICKY, " "),
        "counted": list(counted(run)),
    }


def _throughput(throughput: Throughput) -> dict[str, Any]:
    stretches, width = throughput.stretches, throughput.width_ms
    each, form = duration(width / 1000), _form(throughput)
    created, found = [one.created for one in stretches], [one.found for one in stretches]
    most = max(one.created + one.found for one in stretches)
    begin_ms, end_ms = stretches[0].begin_ms, stretches[-1].begin_ms + width
    title = (
        f"Leads that arrived from {local(begin_ms)} to {local(end_ms)}, a bar for each {each}: "
        f"{sum(created) + sum(found):,} in all, at most {most:,} in {each}."
    )
    times = [local(one.begin_ms, form) for one in stretches]
    return {
        "each": each,
        "most": most,
        "begin_ms": begin_ms,
        "end_ms": end_ms,
        "created": sum(created),
        "found": sum(found),
        "rows": list(_rows(stretches, width, form)),
        "chart": _arrivals_chart(times, created, found, title),
    }


def _form(throughput: Throughput) -> str:
    """A time format just fine enough to tell the stretches apart."""
    days = {local(one.begin_ms, "%j") for one in throughput.stretches}
    if throughput.width_ms < 60_000:
        return "%H:%M:%S"
    if throughput.width_ms >= 24 * 3_600_000:
        return "%Y-%m-%d"
    return "%H:%M" if len(days) == 1 else "%m-%d %H:%M"


def _rows(stretches: Sequence[Arrivals], width: int, form: str) -> Iterator[dict[str, Any]]:
    """A row for each stretch with leads, and one for each run of stretches without."""
    for has_leads, alike in groupby(stretches, key=lambda one: one.created + one.found > 0):
        row = list(alike)
        for one in row if has_leads else row[:1]:
            pause = "" if has_leads else duration(len(row) * width / 1000)
            yield {"time": local(one.begin_ms, form), "arrivals": one, "pause": pause}


# Charts


def _states_chart(states: Mapping[State, StateCounts], title: str) -> str:
    """A bar for each state, split into free, in doubt and held."""
    chart = _chart(pygal.HorizontalStackedBar, "standings", height=210)
    rows = list(STATES)[::-1]  # the first one is drawn at the top
    chart.x_labels = [str(state) for state in rows]
    chart.add("free", [states[state].free for state in rows])
    chart.add("in doubt", [states[state].in_doubt for state in rows])
    chart.add("held", [states[state].held for state in rows])
    return _svg(chart, title)


def _arrivals_chart(
    times: Sequence[str], created: Sequence[int], found: Sequence[int], title: str
) -> str:
    """A bar for each stretch of time, split into leads confirmed at once and found later."""
    chart = _chart(pygal.StackedBar, "throughput", height=270)
    chart.x_labels = times
    chart.x_labels_major_count = min(6, len(times))
    chart.show_minor_x_labels = False
    chart.add("answered at once", created)
    chart.add("in doubt, then found", found)
    return _svg(chart, title)


def _chart(kind: Any, name: str, height: int) -> Any:
    chart = kind(
        style=Style(
            background="none",
            plot_background="none",
            foreground=_MUTED,
            foreground_strong=_INK,
            foreground_subtle=_LINE,
            guide_stroke_color=_LINE,
            major_guide_stroke_color=_LINE,
            colors=("var(--first)", "var(--second)", "var(--third)"),
            value_colors=(_INK,) * 3,
            font_family="inherit",
            opacity="1",
            opacity_hover="1",
            transition="0s",
            label_font_size=13,
            major_label_font_size=13,
        ),
        js=[],
        disable_xml_declaration=True,
        show_legend=False,  # the page has its own
        width=_CHART_WIDTH,
        height=height,
        margin=4,
        spacing=8,
        truncate_label=-1,  # whole
        order_min=0,  # counts are whole numbers
        max_scale=6,
        value_formatter=lambda value: f"{value:,.0f}",
    )
    chart.uuid = name  # random otherwise; the same ledger must give the same page
    return chart


def _svg(chart: Any, title: str) -> str:
    chart.add_xml_filter(lambda root: _without_script(root, title))
    svg: str = chart.render()
    return svg


def _without_script(root: Any, title: str) -> Any:
    """Remove what only a script would use, and label the picture for screen readers."""
    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag == "script" or _is_overlay(child):
                parent.remove(child)
        _use_titles(parent)
    root.find("title").text = title
    root.set("role", "img")
    root.set("aria-label", title)
    return root


def _is_overlay(node: Any) -> bool:
    return "overlay" in node.get("class", "")


def _use_titles(node: Any) -> None:
    """Turn pygal's notes for its script into titles, which browsers show on hover."""
    notes = {note.get("class"): note for note in node.findall("desc")}
    if "value" in notes:
        said = [notes[name].text for name in ("x_label", "value") if name in notes]
        title = notes["value"].makeelement("title", {})
        title.text = ": ".join(said)
        node.insert(0, title)
    for note in notes.values():
        node.remove(note)


# The file


def _check(target: Path) -> None:
    name = one_line(str(target))
    try:
        found = target.stat()
    except FileNotFoundError:
        if not target.parent.is_dir():
            raise UsageError(f"{name}: its folder is not there.", _HINT) from None
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{name}: no page can be put there ({reason}).", _HINT) from None
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{name} is no file, so no page can be put there.", _HINT)
    if found.st_size and not _is_page(target):
        # A mistyped name must not overwrite a ledger or a credentials file.
        raise UsageError(f"{name} is there already, and is no page.", _HINT)


def _is_page(target: Path) -> bool:
    try:
        with target.open("rb") as stream:
            return stream.read(len(_OPENING)) == _OPENING.encode()
    except OSError as error:
        raise UsageError(
            f"{one_line(str(target))}: cannot be read ({error.strerror}).", _HINT
        ) from None
