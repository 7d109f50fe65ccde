"""The journeys of a fleet as one HTML page, made like that of `report`."""

import time
from collections.abc import Sequence
from pathlib import Path

from migrator import __version__
from migrator.fleet import JourneyStatus, Phase, totals
from migrator.report.html import replace_page, templates
from migrator.states import State


def write_fleet_page(statuses: Sequence[JourneyStatus], command: str, target: Path) -> None:
    """
    Write the page (see `html.check_target`), with mode 0600, atomically.

    Raises:
        UsageError: it cannot be written.
    """
    now = time.monotonic()
    page = (
        templates()
        .get_template("fleet.html")
        .render(
            command=command,
            journeys=[(one, one.words(now), _tone(one), one.why()) for one in statuses],
            totals=totals(statuses),
            is_over=all(one.phase is Phase.ENDED for one in statuses),
            states=list(map(str, State)),
            now_ms=int(time.time() * 1000),
            version=__version__,
        )
    )
    replace_page(target, page)


def _tone(one: JourneyStatus) -> str:
    if one.phase is not Phase.ENDED or one.code is None:
        return "calm"
    return {0: "good", 1: "warn"}.get(one.code, "bad")
