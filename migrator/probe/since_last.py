"""What a probe found otherwise than the one before, in words. Pure."""

from collections.abc import Collection, Iterator
from typing import Any

from migrator.findings import Findings, ProbeRecord

# Smaller changes of a measured time are noise.
_FACTOR = 2.0
_LEAST_SECONDS = 2.0

_SETS = {
    "listing_fields": ("the listing no longer shows", "the listing also shows"),
    "fields_kept": ("LeadGenius no longer keeps", "LeadGenius also keeps"),
}
_TIMES = {
    "list_lag_s": "until a new lead is listed",
    "late_s": "until a request that was given up lands",
}
_VALUES = {
    "notes_kept": "what is kept of the notes",
    "page_limit": "the leads on a page",
    "cursor": "the name of the cursor",
    "total_is_page_size": "whether `total` is the size of the page",
    "batch_saves": "whether the batch call saves",
    "phone": "what a field called phone comes to",
    "empty_string": "what an empty text comes to",
    "dot_last_name": 'what "." as the last name comes to',
    "same_email": "what a second lead with an e-mail is",
    "rate_limit": "the requests a minute",
    "delete": "what a deleted lead is",
}
_UPDATE = {
    "partial": "whether an update leaves other fields alone",
    "null_clears": "whether null clears a field",
    "empty_clears": "whether an empty text clears a field",
}


def since_last(before: ProbeRecord, now: Findings) -> list[str]:
    """Sentences such as "since 2026-03-01 the listing no longer shows notes"; [] = no change."""
    return [f"since {before.date} {change}" for change in _changes(before.findings, now)]


def _changes(before: Findings, now: Findings) -> Iterator[str]:
    """What was not measured by one of the two did not change."""
    for name, (fewer, more) in _SETS.items():
        former, new = getattr(before, name), getattr(now, name)
        if former is not None and new is not None:
            yield from _in_words(fewer, former, new)
            yield from _in_words(more, new, former)
    for name, what in _TIMES.items():
        if _is_measured(before, name) and _is_measured(now, name):
            yield from _of_time(what, getattr(before, name), getattr(now, name))
    for name, what in _VALUES.items():
        # Some are None where they were measured, too.
        if _is_measured(before, name) and _is_measured(now, name):
            yield from _of_value(what, getattr(before, name), getattr(now, name))
    for name, what in _UPDATE.items():
        former, new = (before.update or {}).get(name), (now.update or {}).get(name)
        if former is not None and new is not None:
            yield from _of_value(what, former, new)


def _is_measured(findings: Findings, name: str) -> bool:
    experiment = _EXPERIMENTS.get(name, name)
    return experiment not in findings.not_measured


# The experiment of a finding, where it is called otherwise.
_EXPERIMENTS = {
    "notes_kept": "notes",
    "late_s": "late",
    "list_lag_s": "list_lag",
    "batch_saves": "batch",
    **dict.fromkeys(("page_limit", "cursor", "total_is_page_size"), "pages"),
}


def _in_words(what: str, some: Collection[str], others: Collection[str]) -> Iterator[str]:
    if names := [name for name in some if name not in others]:
        yield f"{what} {', '.join(names)}"


def _of_time(what: str, before: float | None, now: float | None) -> Iterator[str]:
    low, high = sorted((before or 0.0, now or 0.0))
    if high - low >= _LEAST_SECONDS and high >= _FACTOR * low:
        yield f"the time {what} is {_seconds(now)}, and no longer {_seconds(before)}"


def _seconds(value: float | None) -> str:
    return "not seen" if value is None else f"{value:.1f} s"


def _of_value(what: str, before: Any, now: Any) -> Iterator[str]:
    if before != now:
        yield f"{what} is {_shown(now)}, and no longer {_shown(before)}"


def _shown(value: Any) -> str:
    if value is None:
        return "not stated"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
