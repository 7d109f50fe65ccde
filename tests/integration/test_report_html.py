"""The page for a browser: its numbers, what it escapes, whom it names; without a browser."""

import configparser
import json
import re
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

import pytest

from migrator import cli
from migrator.errors import ExitCode
from migrator.ledger import Ledger
from migrator.report import as_json, html_data, summary
from migrator.report.html import as_html
from migrator.report.html_data import MOST_BARS, MOST_PEOPLE, WIDTHS_MS, width_ms
from migrator.report.labels import HOLDS, OUTCOMES, REASONS
from migrator.states import Hold, Outcome
from migrator.text import one_line
from tests import PACKAGE, ROOT
from tests.support.html_page import (
    Read,
    a_journey,
    change,
    extract,
    hold_all,
    map_all,
    numbers,
    page,
    person,
    read,
    send,
)
from tests.support.processes import Result
from tests.support.tampering import meddle

STYLE = (PACKAGE / "report" / "templates" / "style.css").read_text(encoding="utf-8")
HOUR = 3_600_000
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><style>*{display:none}</style>",
    "</td></table><h1>Mine</h1>",
    "{{ 7 * 7 }}{% include '/etc/passwd' %}",
    "&lt;b&gt; &amp;amp; &#60;script&#62;",
    "\u202egnp.exe\u202c\u2066",
    "\x00\x1b[2J\x07\u200b\ufeff",
    "javascript:alert(1)",
    "<!--",
    "]]>",
    "👩‍🚀 Zoë 明日香",
    "W" * 1_000,
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "migrator.db"


@pytest.fixture
def journey(path: Path) -> Path:
    a_journey(path)
    return path


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> Result:
    try:
        code = cli.main(["report", *words])
    except SystemExit as left:
        code = int(left.code or 0)
    return Result(code, *capsys.readouterr())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Numbers


def test_every_number_of_the_json_stands_on_the_page(journey: Path) -> None:
    with Ledger.open_read_only(journey) as ledger:
        report = as_json(summary.read(ledger))
    facts = read(journey).facts
    wanted = numbers(report)
    assert wanted["states.posted.total"] == "3"
    assert wanted["held.refused.contacts"] == "1"
    assert wanted.items() <= facts.items()
    assert facts.keys() == wanted.keys()


def test_a_push_at_work_is_shown_with_its_pace(path: Path) -> None:
    with Ledger.open_for_work(path) as ledger:
        extract(ledger, person(1), person(2))
        map_all(ledger)
        ledger.runs.note_run(ledger.runs.begin_run("push"), {"posted": 30})
        began = ledger.runs.newest(1)[0].began_ms / 1000
        details = html_data.read(ledger, now=lambda: began + 60.001)
    shown = Read.of(as_html(details))
    pace = as_json(details.report)["pace"]
    assert "for 1 min): 30 a minute, 4 s left" in " ".join(shown.text.split())
    assert shown.facts["pace.per_minute"] == str(pace["per_minute"])
    assert shown.facts["pace.seconds_left"] == str(pace["seconds_left"])


def test_the_page_of_an_empty_ledger_says_so(path: Path) -> None:
    with Ledger.open_for_work(path):
        pass
    shown = read(path)
    assert "is accounted for, 0 of 0" in shown.text
    assert "No lead has arrived yet." in shown.text
    assert "No contact needs attention." in shown.text


def test_sums_that_do_not_close_are_shouted_and_fail(
    journey: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(journey, "UPDATE checkpoint SET contacts_seen = 10 WHERE name = 'extraction'")
    done = typed(capsys, "--html", "page.html")
    assert done.code == ExitCode.LEDGER
    shown = Read.of(Path("page.html").read_text(encoding="utf-8"))
    assert "THE SUMS DO NOT CLOSE" in shown.text
    assert (shown.facts["sums.given"], shown.facts["sums.accounted"]) == ("10", "9")
    assert shown.facts["sums.closes"] == "false"


def test_the_flow_counts_every_move(journey: Path) -> None:
    more = read(journey).more
    assert more["moves.extracted"] == 9
    assert more["moves.extracted.mapped"] == 7
    assert more["moves.mapped.posted"] == 3
    assert more["moves.posted.verified"] == 0


def test_a_move_back_is_counted_and_explained(path: Path) -> None:
    with Ledger.open_for_work(path) as ledger:
        extract(ledger, person(1))
        map_all(ledger)
        send(ledger, Outcome.CREATED)
        change(path, "UPDATE contact SET held = 'missing'")
        ledger.holds.release(Hold.MISSING, None)
        send(ledger, Outcome.CREATED)
    shown = read(path)
    assert shown.more["moves.posted.mapped"] == 1
    assert shown.more["sends.after_a_lead"] == 1
    assert all(cause in shown.text for cause in ("did not show the lead", "deleted", "took it"))


def test_the_evidence_counts_sends_and_outcomes(journey: Path) -> None:
    more = read(journey).more
    assert more["sends.intents"] == more["sends.announced"] == 6
    assert [more[f"outcomes.{name}"] for name in ("created", "found", "absent", "refused")] == [
        *(2, 1, 1, 1)
    ]
    assert more["outcomes.open"] == 1
    assert (more["sends.doubted"], more["sends.repeated"]) == (2, 1)
    assert more["sends.leads"] == more["sends.distinct_leads"] == 3


def test_leads_that_no_send_brought_are_called_adopted(journey: Path) -> None:
    change(
        journey,
        "UPDATE contact SET state = 'posted', lead_id = 'theirs' WHERE hubspot_id = '8'",
    )
    shown = read(journey)
    assert shown.more["sends.adopted"] == 1
    assert "adopted" in shown.text


def test_an_update_is_neither_a_second_send_nor_an_arrival(journey: Path) -> None:
    change(
        journey,
        "UPDATE contact SET state = 'posted', lead_id = 'theirs' WHERE hubspot_id = '8'",
    )
    before = read(journey).more
    for outcome in ("updated", "found"):
        change(
            journey,
            "INSERT INTO attempt (contact_key, number, run_id, kind, payload_hash, lead_id) "
            "SELECT key, (SELECT ifnull(max(number), 0) + 1 FROM attempt WHERE contact_key = key), "
            "(SELECT max(id) FROM run), 'update', 'x', lead_id FROM contact "
            "WHERE lead_id IS NOT NULL",
        )
        change(
            journey,
            f"UPDATE attempt SET outcome = '{outcome}', settled_ms = sent_ms "
            "WHERE kind = 'update' AND outcome IS NULL",
        )
    after = read(journey).more
    for name in ("adopted", "leads", "repeated"):
        assert after[f"sends.{name}"] == before[f"sends.{name}"]
    assert after["throughput.total"] == before["throughput.total"]
    assert "sends.after_a_lead" not in after
    assert after["sends.intents"] == before["sends.intents"] + 2 * 4


def test_every_hold_and_every_outcome_has_its_words() -> None:
    assert set(HOLDS) == set(REASONS) == set(Hold)
    assert set(OUTCOMES) == {*Outcome, None}


def test_the_page_is_of_one_moment(journey: Path) -> None:
    def later() -> float:
        change(journey, "UPDATE run SET command = 'later'")
        change(journey, "DELETE FROM event")
        return 0.0

    with Ledger.open_for_work(journey), Ledger.open_read_only(journey) as ledger:
        details = html_data.read(ledger, now=later)
    assert {one.command for one in details.runs} == {"stage", "push"}
    assert details.moves != []


# For a manager


def verdict(path: Path) -> tuple[str, str]:
    """The headline, and its tone."""
    found = re.search(r'<p class="verdict (\w+)">(.*?)</p>', page(path))
    assert found is not None
    return re.sub("<.*?>", "", found[2]), found[1]


def test_the_headline_says_what_is_done_and_what_is_not(journey: Path) -> None:
    assert verdict(journey) == (
        "3 of 9 contacts are in LeadGenius; 0 verified; 3 need attention; 3 in progress.",
        "warn",
    )


@pytest.mark.parametrize(
    ("sql", "words", "tone"),
    [
        ("", "2 of 2 contacts are in LeadGenius; 2 verified; 0 need attention.", "good"),
        (
            "UPDATE contact SET held = 'missing' WHERE key = 1",
            "1 of 2 contacts are in LeadGenius; 1 verified; 1 needs attention.",
            "warn",
        ),
        (
            "UPDATE contact SET held = 'different' WHERE key = 1",
            "2 of 2 contacts are in LeadGenius; 1 verified; 1 needs attention.",
            "warn",
        ),
        (
            "UPDATE checkpoint SET complete = 0",
            "2 of 2 contacts are in LeadGenius; 2 verified; 0 need attention.",
            "warn",
        ),
        (
            "UPDATE checkpoint SET contacts_seen = 3",
            "2 of 3 contacts are in LeadGenius; 2 verified; 0 need attention.",
            "bad",
        ),
    ],
)
def test_the_headline_is_green_only_when_all_are_verified(
    path: Path, sql: str, words: str, tone: str
) -> None:
    posted(path, 2)
    assert verdict(path)[1] == "warn"
    change(path, "UPDATE contact SET state = 'verified'")
    if sql:
        change(path, sql)
    assert verdict(path) == (words, tone)


def test_the_evidence_agrees_with_the_headline_about_missing_leads(path: Path) -> None:
    posted(path, 3)
    change(path, "UPDATE contact SET held = 'missing' WHERE key = 1")
    assert verdict(path)[0].startswith("2 of 3 contacts are in LeadGenius")
    text = re.sub("<.*?>", "", page(path))
    assert "3 contacts got a lead, under 3 different ids" in text
    assert "; LeadGenius does not list 1 of these leads any more" in text


def test_the_headline_of_an_empty_ledger_is_not_green(path: Path) -> None:
    with Ledger.open_for_work(path):
        pass
    assert verdict(path)[1] == "warn"


def test_reasons_are_words_and_not_codes(journey: Path) -> None:
    shown = read(journey)
    assert {REASONS[Hold.NO_EMAIL], REASONS[Hold.REFUSED]} <= {
        line.strip() for line in re.split(r"\n|\d ", shown.text)
    }
    prose = re.sub("<code>.*?</code>|<[^>]*>", "", page(journey))
    assert not [hold for hold in Hold if "_" in hold and hold in prose]


def test_a_contact_links_to_its_record_in_hubspot(journey: Path) -> None:
    links = [one["href"] for one in read(journey).all("a")]
    assert "https://app.hubspot.com/contacts/99/record/0-1/9" in links
    meddle(journey, "UPDATE ledger SET portal_id = ?", 'a"/../b')
    assert any("contacts/a%22%2F..%2Fb/record" in one["href"] for one in read(journey).all("a"))


def test_without_a_portal_nothing_links_to_hubspot(path: Path) -> None:
    shown = held(path, person(1))
    assert not [one for one in shown.all("a") if "hubspot" in one["href"]]


def test_one_time_zone_is_said_once(journey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = read(journey)
    assert shown.text.count("UTC") == 1
    times = re.findall(r'<time datetime="(.*?)">(.*?)</time>', page(journey))
    assert times
    assert all(text == moment[:16].replace("T", " ") for moment, text in times)
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        elsewhere = read(journey)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert elsewhere.cells == shown.cells


def test_its_title_says_from_where_to_where(journey: Path, path: Path) -> None:
    assert "<title>HubSpot 99 → c: migration report</title>" in page(journey)


def test_it_shows_no_path_of_this_machine(journey: Path) -> None:
    assert str(journey.parent) not in page(journey)
    assert journey.name not in page(journey)


def test_a_send_that_never_left_is_not_shown(path: Path) -> None:
    with Ledger.open_for_work(path) as ledger:
        extract(ledger, person(1))
        map_all(ledger)
        send(ledger, Outcome.UNSENT)
        send(ledger, Outcome.CREATED)
    shown = read(path)
    assert "unsent" not in shown.text
    assert (shown.more["sends.left"], shown.more["sends.repeated"]) == (1, 0)
    assert shown.more["sends.intents"] == shown.more["sends.announced"] == 2


def test_a_ledger_that_sent_nothing_says_so(path: Path) -> None:
    shown = held(path, person(1))
    assert "Nothing was sent yet." in shown.text
    assert "How the sends ended" not in shown.text


# Time


def arrive(path: Path, *times_ms: int) -> None:
    """Put the leads' arrivals at these times."""
    for key, time_ms in enumerate(times_ms, 1):
        meddle(path, "UPDATE attempt SET settled_ms = ? WHERE contact_key = ?", time_ms, key)


def posted(path: Path, number: int) -> None:
    with Ledger.open_for_work(path) as ledger:
        extract(ledger, *(person(one) for one in range(number)))
        map_all(ledger)
        send(ledger, *[Outcome.CREATED] * number)


def test_throughput_is_counted_by_stretches_and_a_pause_is_seen(path: Path) -> None:
    posted(path, 4)
    noon = 1_800_014_400_000
    arrive(path, noon, noon + 1, noon + 20 * HOUR, noon + 100 * HOUR)
    shown = read(path)
    _, _, rows = page(path).partition('aria-label="Leads that arrived"')
    assert shown.more["throughput.total"] == 4
    assert re.findall(r"<td>(\d+)</td><td>0</td>", rows) == ["2", "1", "1"]
    assert re.findall(r'class="first" style="width: (.*?)%"', rows) == ["100.0", "50.0", "50.0"]
    assert "nothing for 12 h 00 min" in shown.cells
    assert "nothing for 3 d 0 h" in shown.cells


@pytest.mark.parametrize("span", [0, 1, 59_000, 86_400_000, 40 * 86_400_000, 10**15])
def test_any_span_of_time_fits_into_the_chart(span: int) -> None:
    width = width_ms(span)
    assert span // width + 2 <= MOST_BARS
    assert width in WIDTHS_MS or span > max(WIDTHS_MS)


def test_a_clock_that_was_wrong_by_years_makes_no_longer_page(path: Path) -> None:
    posted(path, 2)
    arrive(path, 1_000, 4_000_000_000_000)
    assert len(page(path)) < 100_000


# Whom it names


def held(path: Path, *people: dict[str, str | None]) -> Read:
    """The page of people who wait."""
    with Ledger.open_for_work(path) as ledger:
        for one in people:
            extract(ledger, one, cursor="more")
            hold_all(ledger, Hold.INVALID_EMAIL, one["email"])
        extract(ledger)
    return read(path)


def test_a_person_who_waits_is_named_with_the_reason(journey: Path) -> None:
    shown = read(journey)
    assert {"Ada No1", "not an address", "no mail can reach it", "Bea Nomail"} <= {*shown.cells}
    assert "correct it in HubSpot, then migrator stage" in shown.text


def test_a_person_who_changed_after_being_posted_is_named(journey: Path) -> None:
    shown = read(journey)
    assert shown.facts["changed_after_posting.contacts"] == "1"
    assert "Ada No2" in shown.cells


def test_what_verify_found_is_shown(journey: Path) -> None:
    with closing(sqlite3.connect(journey)) as ledger, ledger:
        ledger.execute("UPDATE contact SET state = 'verified' WHERE state = 'posted'")
        ledger.execute("UPDATE contact SET edited = 'title, notes' WHERE state = 'verified'")
        ledger.execute("UPDATE ledger SET unclaimed = 3")
    with Ledger.open_read_only(journey) as reading:
        wanted = numbers(as_json(summary.read(reading)))
    shown = read(journey)
    assert {"edited_after_verifying.contacts", "unclaimed_leads"} <= wanted.keys()
    assert wanted.items() <= shown.facts.items()
    assert "title, notes" in shown.cells
    assert "migrator push takes them over" in shown.text


def test_what_a_service_gave_is_text_and_nothing_else(path: Path) -> None:
    plain = held(path.with_name("plain.db"), person(1))
    hostile: list[dict[str, str | None]] = [{"firstname": one, "email": one} for one in HOSTILE]
    shown = held(path, *hostile)
    first = shown.cells.index("Detail") + 1
    rows = [shown.cells[at : at + 5] for at in range(first, first + 5 * len(HOSTILE), 5)]
    for text, (name, email, _, _, detail) in zip(HOSTILE, rows, strict=True):
        assert name == email == detail == (shorter(text) or "–")
    assert {tag for tag, _ in shown.elements} == {tag for tag, _ in plain.elements}
    attributes = {name for _, one in shown.elements for name in one}
    assert attributes <= {name for _, one in plain.elements for name in one}
    assert all(char.isprintable() or char == "\n" for char in shown.text)


def shorter(text: str) -> str:
    clean = one_line(text)
    return clean if len(clean) <= 300 else clean[:299] + "…"


def test_a_hostile_binding_host_and_answer_are_text(journey: Path) -> None:
    evil = "<script>alert(1)</script>"
    meddle(journey, "UPDATE ledger SET client_id = ?, portal_id = ?", evil, evil)
    change(journey, "UPDATE run SET command = ?", evil)
    shown = read(journey)
    assert shown.all("script") == []
    assert shown.text.count(evil) >= 3


def test_of_very_many_people_the_page_names_the_first(path: Path) -> None:
    with Ledger.open_for_work(path) as ledger:
        extract(ledger, *(person(number) for number in range(MOST_PEOPLE + 7)))
        hold_all(ledger, Hold.NO_EMAIL)
    shown = read(path)
    assert sum(cell.startswith("Ada No") for cell in shown.cells) == MOST_PEOPLE
    assert shown.facts["held.no_email.contacts"] == str(MOST_PEOPLE + 7)
    assert "and 7 more: migrator report --csv" in shown.text


@pytest.mark.parametrize(
    ("mark", "following"),
    [
        ("changed_ms = 1", ": migrator report --changed --csv people.csv"),
        ("gone = 'archived'", ": migrator report --json"),
        ("state = 'verified', edited = 'title'", ""),
    ],
)
def test_of_very_many_others_the_page_says_how_to_print_them_all(
    path: Path, mark: str, following: str
) -> None:
    with Ledger.open_for_work(path) as ledger:
        extract(ledger, *(person(number) for number in range(MOST_PEOPLE + 7)))
        map_all(ledger)
    change(path, "UPDATE contact SET state = 'posted', lead_id = hubspot_id")
    change(path, f"UPDATE contact SET {mark}")
    assert f"… and 7 more{following}\n" in read(path).text


def test_a_source_that_is_no_contact_names_nobody(path: Path) -> None:
    with Ledger.open_for_work(path) as ledger:
        extract(ledger, {"firstname": 7, "lastname": None, "email": ["x"]})  # type: ignore[dict-item]
        hold_all(ledger, Hold.NO_EMAIL)
    change(path, "UPDATE contact SET source = '{}'")
    assert "HubSpot has no e-mail address" in read(path).text


def test_the_page_of_a_forgotten_ledger_names_nobody(journey: Path) -> None:
    for sql in (
        "UPDATE attempt SET outcome = 'absent', settled_ms = 1 WHERE outcome IS NULL",
        "UPDATE contact SET held = 'gave_up' WHERE state = 'mapped' AND held IS NULL",
        "UPDATE contact SET state = 'verified' WHERE state = 'posted'",
    ):
        change(journey, sql)
    with Ledger.open_for_work(journey) as ledger:
        ledger.erasure.erase()
    shown = read(journey)
    assert "personal data was erased; the evidence remains" in shown.text
    assert "Ada" not in shown.text
    assert "What to do" not in shown.text
    assert shown.facts["states.verified.total"] == "3"
    assert shown.more["sends.intents"] == 6


# How it is made


def test_nothing_on_the_page_can_run_or_fetch(journey: Path) -> None:
    shown = read(journey)
    policy = next(one["content"] for one in shown.all("meta") if one.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert shown.all("script") == []
    for tag, attributes in shown.elements:
        assert attributes.get("src", "") == "", tag
        href = r"#|data:,$|$|https://app\.hubspot\.com/contacts/99/record/0-1/\d+$"
        assert re.match(href, attributes.get("href", "")), attributes
    assert "url(" not in page(journey)
    assert "@import" not in page(journey)


def test_the_same_ledger_makes_the_same_page(journey: Path) -> None:
    def still(html: str) -> str:
        return re.sub(r"<time.*?</time>", "", html)

    assert still(page(journey)) == still(page(journey))


def test_a_screen_reader_finds_its_way(journey: Path) -> None:
    shown = read(journey)
    assert shown.all("html")[0]["lang"] == "en"
    headings = [int(tag[1]) for tag, _ in shown.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))
    assert {"header", "nav", "main", "footer"} <= {tag for tag, _ in shown.elements}
    assert all(one.get("scope") in ("col", "row") for one in shown.all("th"))
    assert len(shown.all("caption")) == len(shown.all("table"))
    bars = [one for one in shown.all("span") if one.get("class") == "bar"]
    assert bars
    assert all(one["aria-hidden"] == "true" for one in bars)


def test_every_link_on_the_page_leads_somewhere(journey: Path) -> None:
    shown = read(journey)
    ids = [one["id"] for _, one in shown.elements if one.get("id")]
    assert len(ids) == len({*ids})
    for _, attributes in shown.elements:
        for name in ("href", "aria-labelledby"):
            if (target := attributes.get(name, "")).startswith("#") or ("by" in name and target):
                assert target.lstrip("#") in ids


def palettes() -> dict[str, dict[str, str]]:
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)[:2]
    pairs = {name: dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for name, part in
             (("light", light), ("dark", dark))}  # fmt: skip
    assert pairs["light"].keys() == pairs["dark"].keys()
    return pairs


def luminance(colour: str) -> float:
    """As WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_and_every_bar_has_contrast_enough(scheme: str) -> None:
    colours = palettes()[scheme]
    texts = [(text, ground) for text in ("ink", "muted", "link", "good", "bad", "warn")
             for ground in ("paper", "panel")]  # fmt: skip
    texts += [(tone, f"{tone}-panel") for tone in ("good", "bad", "warn")]
    for text, ground in texts:
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for bar in ("first", "second", "third"):
        assert contrast(colours[bar], colours["paper"]) >= 3, bar


def test_the_promise_is_the_one_of_the_readme(journey: Path) -> None:
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    promise = re.search(r"with its limit: \*(.*?)\*", readme)
    assert promise is not None
    shown = " ".join(read(journey).text.split())
    assert promise[1].replace("`", "").casefold() in shown.casefold()


def test_what_is_no_python_is_installed_too() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    patterns = [
        f"{package.replace('.', '/')}/{pattern.strip()}"
        for package, line in setup["options.package_data"].items()
        for pattern in line.split(",")
    ]
    ours = [one for one in PACKAGE.rglob("*.*") if one.is_file() and "py" not in one.suffix[:3]]
    names = [str(one.relative_to(ROOT)) for one in [*ours, PACKAGE / "py.typed"]]
    assert "migrator/report/templates/page.html" in names
    assert [one for one in names if not any(fnmatch(one, two) for two in patterns)] == []


# Its file


def test_the_page_is_written_for_its_owner_alone_and_said_to_be_there(
    journey: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = typed(capsys, "--html", "page.html")
    assert done.code == 0
    assert done.out == "The report is in page.html\n"
    assert "It contains personal data" in done.err
    assert mode(Path("page.html")) == 0o600
    assert [one.name for one in journey.parent.glob("*page*")] == ["page.html"]


def test_an_older_page_is_replaced_and_closed(
    journey: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = Path("page.html")
    target.write_text("<!doctype html>\nold", encoding="utf-8")
    target.chmod(0o644)
    assert typed(capsys, "--html", "page.html").code == 0
    assert "old" not in target.read_text(encoding="utf-8").split("\n")
    assert mode(target) == 0o600


def test_a_link_stays_a_link(journey: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("there").mkdir()
    Path("page.html").symlink_to("there/page.html")
    assert typed(capsys, "--html", "page.html").code == 0
    assert Path("page.html").is_symlink()
    assert Path("there/page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_no_mistyped_name_costs_a_ledger(journey: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = journey.read_bytes()
    done = typed(capsys, "--html", str(journey))
    assert done.code == ExitCode.USAGE
    assert "is a file of the ledger" in done.err
    assert journey.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        (".", ExitCode.USAGE, "is not a file"),
        ("/dev/null", ExitCode.USAGE, "is not a file"),
        ("nowhere/page.html", ExitCode.USAGE, "its folder does not exist"),
        ("x" * 300, ExitCode.USAGE, "the page cannot be written there"),
        ("x" * 250, ExitCode.USAGE, "cannot be written"),
    ],
)
def test_where_no_page_can_be_put_it_says_why(
    journey: Path, capsys: pytest.CaptureFixture[str], name: str, code: ExitCode, words: str
) -> None:
    done = typed(capsys, "--html", name)
    assert done.code == code
    assert words in done.err
    assert "next: " in done.err
    assert done.out == ""


def test_a_program_is_told_where_the_page_is(
    journey: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = typed(capsys, "--html", "page.html", "--json")
    assert json.loads(done.out) == {"html": "page.html"}
    assert Path("page.html").exists()


def test_who_wants_no_page_does_not_wait_for_its_libraries(journey: Path) -> None:
    script = (
        "import sys; from migrator import cli; cli.main(['report', '--json']);"
        "print(sorted({'jinja2'} & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", script]
    looked = subprocess.run(command, capture_output=True, text=True, check=True)
    assert looked.stderr.strip() == "[]"
    assert json.loads(looked.stdout)["sums"]["closes"] is True
