"""The view of what a probe found: question, answer, and what it means for this tool."""

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from migrator.findings import Findings
from migrator.mapping import FIELDS
from migrator.report.layout import print_to

Row = tuple[str, str, str]

_NOT_MEASURED = "not measured"
_ODD_VALUES = {
    "error": ("an error", "it is never sent"),
    "kept": ("kept", "it is never sent all the same"),
    "dropped": ("left out", "it is never sent"),
}
_SAME_EMAIL = {
    "second_lead": ("a second lead", "only this tool prevents duplicates"),
    "refused": ("refused", "an e-mail that is there already is held"),
    "updated": ("the first lead is changed", "a second send would overwrite what people edited"),
}
_DELETES = {
    "hard": ("removed", "it cannot be brought back"),
    "marked": ("listed with a mark", "a lead with a mark counts as deleted"),
    "hidden": ("hidden", "it is not listed, but can still be read by its id"),
}


def render(findings: Findings, console: Console | None = None) -> None:
    """Print the table; `console=None` = stdout."""
    print_to(lambda is_utf8: _parts(findings), console)


def _parts(findings: Findings) -> Iterable[RenderableType]:
    table = Table(box=SIMPLE)
    for title in ("question", "answer", "what it means"):
        table.add_column(title, overflow="fold")
    for row in rows(findings):
        table.add_row(*map(Text, row))
    yield table


def rows(found: Findings) -> Sequence[Row]:
    """Question, answer, meaning."""
    return [
        ("How long does a create take?", _latency(found), "how many workers a fast push needs"),
        (
            "When is a new lead listed?",
            _seconds(found.list_lag_s),
            "an earlier listing does not prove that a lead is absent",
        ),
        (
            "When does a request that was given up land?",
            _late(found),
            f"--settle {found.settle_s} is used for doubts",
        ),
        (
            "Which fields does the listing show?",
            _names(found.listing_fields),
            "verify compares only these",
        ),
        ("Which fields of a mapping are kept?", _kept(found), "others are lost"),
        ("Are notes kept?", _notes(found), "our record line stands in them, at their beginning"),
        ("How many leads does a page have?", _page(found), "how many requests a listing takes"),
        (
            "Does the batch call save?",
            _answer(found.batch_saves),
            "it is not used in any case",
        ),
        ("What is a field called phone?", *_words(found.phone, _ODD_VALUES)),
        ("What is an empty text?", *_words(found.empty_string, _ODD_VALUES)),
        ('What is "." as the last name?', *_words(found.dot_last_name, _ODD_VALUES)),
        ("What is a second lead with an e-mail?", *_words(found.same_email, _SAME_EMAIL)),
        ("How many requests a minute?", _limit(found), "the pace of a push"),
        ("Does an update leave other fields alone?", _update(found, "partial"), _partial(found)),
        (
            "Does null clear a field?",
            _update(found, "null_clears"),
            "how update clears a value that is empty in HubSpot",
        ),
        (
            "Does an empty text clear a field?",
            _update(found, "empty_clears"),
            "how update clears a value that is empty in HubSpot",
        ),
        ("What is a deleted lead?", *_words(found.delete, _DELETES)),
    ]


def _words(value: str | None, known: dict[str, tuple[str, str]]) -> tuple[str, str]:
    return (_NOT_MEASURED, "") if value is None else known.get(value, (value, ""))


def _answer(value: bool | None) -> str:
    return _NOT_MEASURED if value is None else "yes" if value else "no"


def _seconds(value: float | None) -> str:
    return _NOT_MEASURED if value is None else f"after {value:.1f} s at most"


def _latency(found: Findings) -> str:
    if found.latency_ms is None:
        return _NOT_MEASURED
    return "{median} ms, at most {max} ms".format_map(found.latency_ms)


def _late(found: Findings) -> str:
    if found.late_s is None:
        return _NOT_MEASURED if "late" in found.not_measured else "none did"
    return _seconds(found.late_s)


def _names(names: Sequence[str] | None) -> str:
    return _NOT_MEASURED if names is None else ", ".join(names) or "none"


def _kept(found: Findings) -> str:
    return "all" if found.fields_kept == FIELDS else _names(found.fields_kept)


def _notes(found: Findings) -> str:
    kept = found.notes_kept
    if kept is None or isinstance(kept, bool):
        return _answer(kept)
    return f"the first {kept:,} characters"


def _page(found: Findings) -> str:
    if "pages" in found.not_measured:
        return _NOT_MEASURED
    cursor = f" (cursor: {found.cursor})" if found.cursor else ""
    if found.page_limit is None:
        return f"more than the probe made{cursor}"
    return f"{found.page_limit:,} at most{cursor}"


def _limit(found: Findings) -> str:
    return "no header says so" if found.rate_limit is None else f"{found.rate_limit:,}"


def _update(found: Findings, name: str) -> str:
    return _answer((found.update or {}).get(name))


def _partial(found: Findings) -> str:
    if (found.update or {}).get("partial") is False:
        return "update sends the whole lead"
    return "update sends only what changed"
