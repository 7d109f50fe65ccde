"""The HTML page read as any program could, and a ledger with something of everything to show."""

import json
import sqlite3
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from migrator.ledger import (
    AttemptResult,
    ExcludedContact,
    ExtractedContact,
    ExtractedPage,
    Intent,
    Ledger,
    MappedContact,
)
from migrator.report import html_data
from migrator.report.html import as_html
from migrator.states import Hold, Outcome

VOID = {"meta", "link", "img", "br", "hr", "input", "rect", "path", "line", "circle", "col"}


@dataclass
class Read(HTMLParser):
    """
    A page's elements, numbers and text.

    Args:
        elements: (name, attributes) of all, in their order.
        facts: `data-fact` -> value; those that stand there twice were equal.
        more: `data-more` -> value.
        cells: The text of each table cell.
    """

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    more: dict[str, int] = field(default_factory=dict)
    cells: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    text: str = ""

    @classmethod
    def of(cls, html: str) -> "Read":
        read = cls()
        HTMLParser.__init__(read)
        read.feed(html)
        read.close()
        assert read.open == [], "an element is not closed"
        return read

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.elements.append((tag, named))
        if tag in ("td", "th"):
            self.cells.append("")
        if "data-fact" in named:
            value = self.facts.setdefault(named["data-fact"], named["value"])
            assert value == named["value"], "the page contradicts itself"
        if "data-more" in named:
            self.more[named["data-more"]] = int(named["value"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
        if {"td", "th"} & {*self.open}:
            self.cells[-1] += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def read(path: Path) -> Read:
    return Read.of(page(path))


def page(path: Path) -> str:
    with Ledger.open_read_only(path) as ledger:
        return as_html(html_data.read(ledger))


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """`{"states.posted.free": 2, ...}` of what JSON holds."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        inner = [leaves(one, f"{path}.{name}".lstrip(".")) for name, one in pairs]
        return {key: one for leaf in inner for key, one in leaf.items()}
    return {path: value}


def numbers(report: dict[str, Any]) -> dict[str, str]:
    """What of `report --json` the page must have, as it must have it."""
    wanted = {name: report[name] for name in ("states", "sums", "in_doubt")}
    wanted["held"] = {
        reason: {"contacts": one["contacts"]} for reason, one in report["held"].items()
    }
    for name in ("changed_after_posting", "edited_after_verifying"):
        if report[name]["contacts"]:
            wanted[name] = {"contacts": report[name]["contacts"]}
    if report["unclaimed_leads"]:
        wanted["unclaimed_leads"] = report["unclaimed_leads"]
    wanted["runs"] = [{"exit_code": one["exit_code"]} for one in report["runs"]]
    found = {path: value for path, value in leaves(wanted).items() if value is not None}
    return {path: json.dumps(value) for path, value in found.items()}


# A ledger to show


def extract(ledger: Ledger, *people: dict[str, str | None], cursor: str | None = None) -> None:
    """Extract contacts, numbered by their order."""
    if ledger.runs.checkpoint("extraction").complete:
        ledger.runs.begin_scan("extraction")
    first = ledger.runs.checkpoint("extraction").contacts_seen + 1
    new = [
        ExtractedContact(
            str(number), json.dumps({"id": str(number), "properties": person}), None, None
        )
        for number, person in enumerate(people, first)
    ]
    ledger.contacts.write_page(ExtractedPage({}, new, [], [], [], cursor), scan=1)


def map_all(ledger: Ledger) -> None:
    built = [
        MappedContact(one.key, "{}", f"{one.key}@example.com", None)
        for one in ledger.contacts.to_map(999)
    ]
    ledger.contacts.write_mapped(built, [])


def hold_all(ledger: Ledger, hold: Hold, detail: str | None = None) -> None:
    waiting = ledger.contacts.to_map(999)
    ledger.contacts.write_mapped(
        [], [ExcludedContact(one.key, hold, detail or "") for one in waiting]
    )


def send(ledger: Ledger, *outcomes: Outcome | None, exit_code: int = 0) -> None:
    """A push that sends the next contacts, with these outcomes; `None` = in doubt."""
    run = ledger.runs.begin_run("push")
    sendable = ledger.sendable.untried(len(outcomes))
    for one, outcome in zip(sendable, outcomes, strict=True):
        ledger.attempts.record_intents(run, [Intent(one.key, "0" * 64)])
        has_lead = outcome in (Outcome.CREATED, Outcome.FOUND)
        lead_id = f"lead-{one.key}" if has_lead else None
        ledger.attempts.record_results([AttemptResult(one.key, outcome, 500, "said so", lead_id)])
    ledger.runs.end_run(run, exit_code, {"posted": sum(one is not None for one in outcomes)})


def person(number: int, **more: str) -> dict[str, str | None]:
    return {
        "firstname": "Ada",
        "lastname": f"No{number}",
        "email": f"ada{number}@x.example",
        **more,
    }


def change(path: Path, sql: str, *values: Any) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql, values)
    connection.close()


def a_journey(path: Path) -> None:
    """Nine contacts: three posted, one of them changed since; one in doubt; one refused, ..."""
    with Ledger.open_for_work(path) as ledger:
        ledger.runs.bind(portal_id="99", leadgenius_url="https://x.example", client_id="c")
        stage = ledger.runs.begin_run("stage")
        extract(ledger, person(1, email="not an address"), cursor="more")
        hold_all(ledger, Hold.INVALID_EMAIL, "no mail can reach it")
        extract(ledger, *(person(number) for number in range(2, 9)), cursor="more")
        map_all(ledger)
        extract(ledger, {"firstname": "Bea", "lastname": "Nomail", "email": None})
        hold_all(ledger, Hold.NO_EMAIL)
        ledger.runs.end_run(stage, 0, {"given": 9, "new": 9, "mapped": 7, "rejected": 2})
        send(ledger, Outcome.CREATED, Outcome.CREATED, Outcome.ABSENT, exit_code=130)
        send(ledger, Outcome.FOUND, Outcome.REFUSED, None, exit_code=4)
    change(path, "UPDATE contact SET changed_ms = 1 WHERE hubspot_id = '2'")
