"""
The report as one HTML page: a single file that runs no script and fetches nothing.

Owns jinja2, which escapes every value. The page's content security policy forbids scripts and
requests in case an escape ever fails. Bars are elements whose width is a percentage; the numbers
stand beside them as text. All times are UTC, so that the page reads the same everywhere.
"""

import stat
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from migrator import __version__, private_files
from migrator.errors import UsageError
from migrator.lead_profile import profile_lines
from migrator.ledger import Arrivals, Ledger, Run
from migrator.report.html_data import HtmlData, Throughput, read
from migrator.report.labels import (
    GONE,
    HOLDS,
    OUTCOMES,
    REASONS,
    STATES,
    STICKY,
    advice,
    counted,
    ending,
    iso,
    quoted,
)
from migrator.report.next_step import next_step
from migrator.report.summary import Report
from migrator.report.summary_json import as_json
from migrator.states import Outcome, State
from migrator.text import duration, one_line

# How an ending is coloured; every other one is "warn".
_TONES = {"done": "good", "running": "calm", "killed": "bad", "ledger": "bad", "bug": "bad"}
_OPENING = "<!doctype html>"
_HINT = "name another file: migrator report --html report.html"


def write_page(ledger: Ledger, target: Path) -> Report:
    """
    Write the page to a file with mode 0600, atomically, but never over a file that is not a page.

    Returns:
        The report that the page shows.

    Raises:
        UsageError: the file exists and is no page, or cannot be written.
    """
    check_target(target)
    data = read(ledger)
    replace_page(target, as_html(data))
    return data.report


def replace_page(target: Path, text: str) -> None:
    """
    Replace a page, which `check_target` has looked at.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        private_files.replace(private_files.without_links(target), text)
    except OSError as error:
        raise UsageError(
            f"{one_line(str(target))}: cannot be written ({error.strerror}).",
            "make its folder writable, or name another file with --html",
        ) from None


def as_html(data: HtmlData) -> str:
    """
    Render the page.

    A number that is also in `as_json` is a `data` element with its path there:
    `<data data-fact="states.posted.total" value="387">387</data>`.
    """
    report = data.report
    command, why = next_step(report)
    page = templates().get_template("page.html")
    return page.render(
        data=data,
        report=report,
        facts=dict(_flat(as_json(report))),
        next_command=command,
        next_why=why,
        states=STATES,
        holds=HOLDS,
        reasons=REASONS,
        gone=GONE,
        advice=advice,
        outcomes={one: words for one, words in OUTCOMES.items() if one is not Outcome.UNSENT},
        record_url=partial(_record_url, report.binding.portal_id),
        moves={(one.source, one.target): one.times for one in data.moves},
        runs=[_run(run, data) for run in data.runs],
        profile=data.profile,
        profile_lines=list(profile_lines(data.profile)),
        shown=quoted,
        throughput=None if data.throughput is None else _throughput(data.throughput),
        State=State,
        version=__version__,
    )


@cache
def templates() -> Environment:
    """The templates, which escape every value."""
    found = Environment(
        loader=PackageLoader("migrator.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "number": lambda value: f"{value:,}",
        "percent": lambda part, of: f"{100 * part / max(of, 1):.1f}%",
        "duration": duration,
        "utc": iso,
        "time": _utc,
    }
    return found


def _utc(milliseconds: int, form: str = "%Y-%m-%d %H:%M") -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime(form)


def _record_url(portal_id: str | None, hubspot_id: str) -> str:
    """The contact's page in HubSpot; "" = not known."""
    if not (portal_id and hubspot_id):
        return ""
    portal, record = quote(portal_id, safe=""), quote(hubspot_id, safe="")
    return f"https://app.hubspot.com/contacts/{portal}/record/0-1/{record}"


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
    return {
        "each": duration(width / 1000),
        "most": max(one.created + one.found for one in stretches),
        "begin_ms": stretches[0].begin_ms,
        "end_ms": stretches[-1].begin_ms + width,
        "created": sum(one.created for one in stretches),
        "found": sum(one.found for one in stretches),
        "rows": list(_rows(stretches, width, _form(throughput))),
    }


def _form(throughput: Throughput) -> str:
    """A time format just fine enough to tell the stretches apart."""
    days = {_utc(one.begin_ms, "%j") for one in throughput.stretches}
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
            yield {"time": _utc(one.begin_ms, form), "arrivals": one, "pause": pause}


# The file


def check_target(target: Path, hint: str = _HINT) -> None:
    """
    Check where a page is to be written.

    Args:
        hint: What to do if it cannot be.

    Raises:
        UsageError: a page cannot be written there, or a file is there that is no page.
    """
    name = one_line(str(target))
    try:
        found = target.stat()
    except FileNotFoundError:
        if not target.parent.is_dir():
            raise UsageError(f"{name}: its folder does not exist.", hint) from None
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{name}: the page cannot be written there ({reason}).", hint) from None
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{name} is not a file, so the page cannot be written there.", hint)
    if found.st_size and not _is_page(target, hint):
        # A mistyped name must not overwrite a ledger or a credentials file.
        raise UsageError(f"{name} exists and is not a page of migrator.", hint)


def _is_page(target: Path, hint: str) -> bool:
    try:
        with target.open("rb") as stream:
            return stream.read(len(_OPENING)) == _OPENING.encode()
    except OSError as error:
        raise UsageError(
            f"{one_line(str(target))}: cannot be read ({error.strerror}).", hint
        ) from None
