"""The report: sums, words, next commands, JSON; on real ledgers, with nothing of the network."""

import io
import json
import os
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from migrator.errors import ExitCode
from migrator.ledger import (
    AttemptResult,
    ChangedLead,
    ExcludedContact,
    ExtractedContact,
    ExtractedPage,
    Intent,
    Ledger,
    MappedContact,
)
from migrator.report import Report, as_json, next_command, render, summary
from migrator.report.labels import ENDINGS, HOLDS, STATES
from migrator.states import Hold, Outcome, State
from migrator.text import duration


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journey.db"


@pytest.fixture
def ledger(path: Path, new_ledger: bytes) -> Iterator[Ledger]:
    path.touch(mode=0o600)
    path.write_bytes(new_ledger)
    with Ledger.open_for_work(path) as ledger:
        yield ledger


def extract(ledger: Ledger, *hubspot_ids: str, cursor: str | None = None) -> None:
    if ledger.runs.checkpoint("extraction").complete:
        ledger.runs.begin_scan("extraction")
    new = [ExtractedContact(one, json.dumps({"id": one}), None, None) for one in hubspot_ids]
    ledger.contacts.write_page(ExtractedPage({}, new, [], [], [], cursor), scan=1)


def map_all(ledger: Ledger) -> None:
    waiting = ledger.contacts.to_map(1_000)
    ids = [one.source["id"] for one in waiting]
    built = [
        MappedContact(one.key, "{}", f"{hubspot_id}@example.com", None)
        for one, hubspot_id in zip(waiting, ids, strict=True)
    ]
    ledger.contacts.write_mapped(built, [])


def reject_all(ledger: Ledger, hold: Hold, detail: str) -> None:
    waiting = ledger.contacts.to_map(1_000)
    ledger.contacts.write_mapped([], [ExcludedContact(one.key, hold, detail) for one in waiting])


def send_all(
    ledger: Ledger,
    outcome: Outcome | None,
    answer: str | None = None,
    exit_code: int | None = 0,
) -> None:
    run = ledger.runs.begin_run("push")
    for one in ledger.sendable.untried(1_000):
        ledger.attempts.record_intents(run, [Intent(one.key, "0" * 64)])
        lead_id = f"lead-{one.hubspot_id}" if outcome is Outcome.CREATED else None
        ledger.attempts.record_results([AttemptResult(one.key, outcome, 422, answer, lead_id)])
    if exit_code is not None:
        ledger.runs.end_run(run, exit_code, {})


def verify_all(ledger: Ledger) -> None:
    change(ledger.path, "UPDATE contact SET state = 'verified' WHERE state = 'posted'")


def change(path: Path, sql: str, *values: Any) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(sql, values)
    connection.close()


def ran(
    ledger: Ledger, command: str, exit_code: int | None, counters: dict[str, int] | None = None
) -> int:
    run = ledger.runs.begin_run(command)
    if exit_code is None:
        ledger.runs.note_run(run, counters or {})
    else:
        ledger.runs.end_run(run, exit_code, counters or {})
    return run


def read(path: Path) -> Report:
    with Ledger.open_read_only(path) as ledger:
        return summary.read(ledger)


def shown(report: Report, width: int = 100, *, terminal: bool = False) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream, width=width, force_terminal=terminal, highlight=False, _environ={}
    )
    render(report, console)
    return stream.getvalue()


def flat(text: str) -> str:
    return " ".join(text.split())


# Sums


def test_the_sums_of_a_new_ledger_close(ledger: Ledger) -> None:
    report = summary.read(ledger)
    assert report.closes
    assert as_json(report)["sums"] == {"given": 0, "accounted": 0, "closes": True}


def test_every_contact_stands_in_one_column(ledger: Ledger) -> None:
    extract(ledger, "1", "2", cursor="more")
    map_all(ledger)
    send_all(ledger, None)
    extract(ledger, "3", cursor="more")
    reject_all(ledger, Hold.NO_EMAIL, "none")
    extract(ledger, "4")
    states = as_json(summary.read(ledger))["states"]
    assert states["extracted"] == {"free": 1, "in_doubt": 0, "held": 1, "total": 2}
    assert states["mapped"] == {"free": 0, "in_doubt": 2, "held": 0, "total": 2}
    assert summary.read(ledger).closes


def test_closing_sums_are_shown_with_their_number(ledger: Ledger) -> None:
    extract(ledger, "1", "2")
    assert "= 2 contacts from HubSpot" in shown(summary.read(ledger))


@pytest.mark.parametrize("contacts", [1, 3])
def test_sums_that_do_not_close_are_shouted_with_both_numbers(
    ledger: Ledger, contacts: int
) -> None:
    extract(ledger, "1", "2")
    change(ledger.path, "UPDATE state_count SET contacts = ?", contacts)
    report = summary.read(ledger)
    shout = f"SUMS DO NOT CLOSE: HubSpot returned 2 contacts, the ledger accounts for {contacts}"
    assert not report.closes
    assert shout in flat(shown(report))
    assert "\x1b[1;31mSUMS DO NOT CLOSE" in shown(report, terminal=True)


def test_sums_that_do_not_close_are_followed_by_no_command(ledger: Ledger) -> None:
    extract(ledger, "1")
    change(ledger.path, "UPDATE state_count SET contacts = 7")
    assert next_command(summary.read(ledger)) == ""
    assert "Next: keep the ledger's file as it is" in shown(summary.read(ledger))


# What comes next


def test_an_empty_ledger_is_to_be_staged(ledger: Ledger) -> None:
    assert next_command(summary.read(ledger)) == "migrator stage"


def test_an_extraction_that_was_cut_off_is_to_go_on(ledger: Ledger) -> None:
    extract(ledger, "1", cursor="more")
    map_all(ledger)
    assert next_command(summary.read(ledger)) == "migrator stage"


def test_extracted_contacts_are_to_be_mapped(ledger: Ledger) -> None:
    extract(ledger, "1")
    assert next_command(summary.read(ledger)) == "migrator stage"


def test_mapped_contacts_are_to_be_pushed(ledger: Ledger) -> None:
    extract(ledger, "1")
    map_all(ledger)
    assert next_command(summary.read(ledger)) == "migrator push"


def test_a_doubt_is_to_be_settled_first(ledger: Ledger) -> None:
    extract(ledger, "1")
    map_all(ledger)
    send_all(ledger, None)
    report = summary.read(ledger)
    assert next_command(report) == "migrator push --resume"
    assert "1 contact is in doubt" in shown(report)


@pytest.mark.parametrize("code", [4, 5, 70, 130, 143, None])
def test_a_push_that_was_interrupted_is_to_be_resumed(path: Path, code: int | None) -> None:
    with Ledger.open_for_work(path) as ledger:
        extract(ledger, "1")
        map_all(ledger)
        send_all(ledger, Outcome.DENIED, exit_code=code)
        ran(ledger, "retry", 0)
    assert next_command(read(path)) == "migrator push --resume"


@pytest.mark.parametrize("code", [2, 3, 4, 130, None])
def test_a_push_that_sent_nothing_is_not(path: Path, code: int | None) -> None:
    with Ledger.open_for_work(path) as ledger:
        extract(ledger, "1")
        map_all(ledger)
        ran(ledger, "push", code)
    assert next_command(read(path)) == "migrator push"


def test_posted_contacts_are_to_be_verified(ledger: Ledger) -> None:
    extract(ledger, "1")
    map_all(ledger)
    send_all(ledger, Outcome.CREATED)
    assert next_command(summary.read(ledger)) == "migrator verify"


def test_refused_contacts_are_to_be_retried(ledger: Ledger) -> None:
    extract(ledger, "1")
    map_all(ledger)
    send_all(ledger, Outcome.REFUSED, "no")
    assert next_command(summary.read(ledger)) == "migrator retry --reason refused"


@pytest.mark.parametrize(
    ("is_verified", "command"), [(False, "migrator retry --reason missing"), (True, "")]
)
def test_a_missing_contact_is_to_be_retried_unless_it_was_verified(
    ledger: Ledger, is_verified: bool, command: str
) -> None:
    extract(ledger, "1")
    map_all(ledger)
    send_all(ledger, Outcome.CREATED)
    if is_verified:
        verify_all(ledger)
    ledger.holds.hold(1, Hold.MISSING, "lead lead-1 is not listed")
    assert next_command(summary.read(ledger)) == command
    text = flat(shown(summary.read(ledger)))
    assert "migrator retry CONTACT --recreate" in text
    assert ("retry --reason missing" in text) is not is_verified


def test_when_all_is_verified_nothing_is_left(ledger: Ledger) -> None:
    extract(ledger, "1")
    map_all(ledger)
    send_all(ledger, Outcome.CREATED)
    verify_all(ledger)
    assert next_command(summary.read(ledger)) == ""
    assert shown(summary.read(ledger)).endswith("Next: done\n")
    assert as_json(summary.read(ledger))["next"] is None


def test_what_no_command_can_help_is_left_to_the_reader(ledger: Ledger) -> None:
    extract(ledger, "1")
    reject_all(ledger, Hold.NO_EMAIL, "none")
    assert shown(summary.read(ledger)).endswith("done, except for what needs attention\n")


# Who waits


def test_each_reason_is_shown_with_its_number_and_the_first_three(ledger: Ledger) -> None:
    extract(ledger, "11", "12", "13", "14", "15")
    reject_all(ledger, Hold.NO_EMAIL, "no address")
    (waiting,) = summary.read(ledger).held
    assert waiting.contacts == 5
    assert [one.hubspot_id for one in waiting.examples] == ["11", "12", "13"]
    assert "11, 12, 13: no address and 2 more" in flat(shown(summary.read(ledger)))


def test_a_detail_of_its_own_stands_beside_its_contact(ledger: Ledger) -> None:
    extract(ledger, "11", "12")
    ledger.holds.hold(1, Hold.INVALID_EMAIL, "'a@' has no domain")
    ledger.holds.hold(2, Hold.INVALID_EMAIL, "'b' has no @")
    text = flat(shown(summary.read(ledger)))
    assert "11: 'a@' has no domain 12: 'b' has no @" in text


OF_A_LEAD = (Hold.MISSING, Hold.DIFFERENT, Hold.DOUBLED, Hold.CONFLICT)
EVIL = "[red]x[/red] \x1b[2J\x1b]0;title\x07 \x9b31m \u202eevil [/] :smile: {left}\r\n\x00end"


def test_what_services_say_is_neither_markup_nor_able_to_steer_the_terminal(
    ledger: Ledger,
) -> None:
    extract(ledger, "1")
    map_all(ledger)
    send_all(ledger, Outcome.REFUSED, EVIL)
    text = shown(summary.read(ledger))
    assert "[red]x[/red]" in text
    assert ":smile: {left} end" in flat(text)
    assert all(char.isprintable() or char == "\n" for char in text)


def test_json_carries_no_control_characters_either(ledger: Ledger) -> None:
    extract(ledger, f"1{EVIL}")
    ledger.holds.hold(1, Hold.NO_EMAIL, EVIL)
    ledger.runs.bind(portal_id=EVIL, leadgenius_url=EVIL, client_id=EVIL)
    ran(ledger, EVIL, 0)
    text = json.dumps(as_json(summary.read(ledger)), ensure_ascii=False)
    assert text.isprintable()
    assert "\\u" not in text


def test_evil_names_do_not_break_the_page(ledger: Ledger) -> None:
    extract(ledger, f"1{EVIL}")
    ledger.holds.hold(1, Hold.NO_EMAIL, EVIL)
    ledger.runs.bind(portal_id=EVIL, leadgenius_url=EVIL, client_id=EVIL)
    ran(ledger, EVIL, 0)
    assert "\x1b" not in shown(summary.read(ledger))


def test_a_long_answer_is_cut_with_a_mark(ledger: Ledger) -> None:
    extract(ledger, "1")
    ledger.holds.hold(1, Hold.NO_EMAIL, "word " * 1_000)
    detail = as_json(summary.read(ledger))["held"]["no_email"]["examples"][0]["detail"]
    assert len(detail) == 200
    assert detail.endswith("...")


def test_contacts_that_changed_after_they_were_posted_are_named(ledger: Ledger) -> None:
    extract(ledger, "1", "2", "3", "4", cursor="more")
    map_all(ledger)
    send_all(ledger, Outcome.CREATED)
    changed = [ChangedLead(ExtractedContact(one, "{}", None, None), None) for one in "1234"]
    ledger.contacts.write_page(ExtractedPage({}, [], [], changed, [], None), 1)
    report = summary.read(ledger)
    told = as_json(report)["changed_after_posting"]
    assert told == {"contacts": 4, "examples": ["1", "2", "3"]}
    assert "4 changed in HubSpot after being posted: 1, 2, 3 and 1 more." in flat(shown(report))


def test_contacts_whose_leads_were_edited_after_they_were_verified_are_named(
    ledger: Ledger,
) -> None:
    extract(ledger, "1", "2", "3", "4")
    map_all(ledger)
    send_all(ledger, Outcome.CREATED)
    verify_all(ledger)
    change(ledger.path, "UPDATE contact SET edited = 'title, notes'")
    report = summary.read(ledger)
    edited = as_json(report)["edited_after_verifying"]
    assert edited["contacts"] == 4
    assert edited["examples"][0] == {"contact": "1", "fields": ["title", "notes"]}
    assert "4 edited in LeadGenius after being verified: 1 (title, notes), 2 (title," in flat(
        shown(report)
    )
    assert next_command(report) == ""


def test_leads_that_verify_found_of_contacts_without_one_are_told_and_looked_for(
    ledger: Ledger,
) -> None:
    extract(ledger, "1")
    map_all(ledger)
    ledger.holds.hold(1, Hold.GAVE_UP, "why")
    change(ledger.path, "UPDATE ledger SET unclaimed = 2")
    report = summary.read(ledger)
    assert as_json(report)["unclaimed_leads"] == 2
    assert "2 leads in LeadGenius of contacts that have none in this ledger" in flat(shown(report))
    assert next_command(report) == "migrator push"


@pytest.mark.parametrize("hold", Hold)
def test_every_hold_is_explained_on_lines_that_fit_80_columns(hold: Hold) -> None:
    meaning, advice = HOLDS[hold]
    assert max(len(f"{hold}  {meaning}"), *(len(f"> {one}") for one in advice)) <= 69


def test_every_state_is_explained() -> None:
    assert list(STATES) == list(State)


# Runs


def test_the_last_five_runs_are_shown_newest_first(ledger: Ledger) -> None:
    for command in ("stage", "push", "push", "verify", "retry", "stage"):
        ran(ledger, command, 0)
    runs = as_json(summary.read(ledger))["runs"]
    assert [run["command"] for run in runs] == ["stage", "retry", "verify", "push", "push"]


@pytest.mark.parametrize("code", ExitCode)
def test_every_way_to_end_has_a_word(ledger: Ledger, code: ExitCode) -> None:
    ran(ledger, "push", code)
    status = as_json(summary.read(ledger))["runs"][0]["status"]
    assert status in ENDINGS
    assert (status == "bug") == (code is ExitCode.BUG)


def test_a_code_that_nobody_knows_counts_as_a_failure(ledger: Ledger) -> None:
    ran(ledger, "push", 99)
    assert as_json(summary.read(ledger))["runs"][0]["status"] == "bug"


def test_a_run_tells_what_it_did_and_what_it_left(ledger: Ledger) -> None:
    ran(ledger, "push", 1, {"posted": 8_340, "found": 0, "refused": 3, "gave_up": 1})
    text = flat(shown(summary.read(ledger)))
    assert "4 need attention: 8,340 posted · 3 refused · 1 given up" in text


def test_a_run_that_holds_the_ledger_is_running(ledger: Ledger) -> None:
    ran(ledger, "stage", None)
    report = summary.read(ledger)
    assert as_json(report)["runs"][0]["status"] == "running"
    assert f"running now as {os.getpid()}" in shown(report)
    assert next_command(report) == "migrator report"


def test_a_run_whose_process_is_gone_was_killed(path: Path) -> None:
    with Ledger.open_for_work(path) as ledger:
        ran(ledger, "stage", None)
    report = read(path)
    assert (report.running, as_json(report)["runs"][0]["status"]) == (None, "killed")
    assert "killed" in shown(report)


def test_an_older_run_without_an_end_was_killed_whoever_works_now(ledger: Ledger) -> None:
    ran(ledger, "push", None)
    ran(ledger, "push", None)
    statuses = [run["status"] for run in as_json(summary.read(ledger))["runs"]]
    assert statuses == ["running", "killed"]


def test_a_run_is_dated_in_local_time_and_timed(ledger: Ledger) -> None:
    run = ran(ledger, "stage", 0)
    began = datetime(2026, 2, 3, 10, 11).timestamp() * 1000
    sql = "UPDATE run SET began_ms = ?, ended_ms = ? WHERE id = ?"
    change(ledger.path, sql, int(began), int(began) + 3_900_000, run)
    assert "2026-02-03 10:11 stage 1 h 05 min done" in flat(shown(summary.read(ledger)))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (90, "1 min"),
        (3_599, "59 min"),
        (3_600, "1 h 00 min"),
        (172_000, "47 h 46 min"),
        (270_000, "3 d 3 h"),
    ],
)
def test_a_length_of_time_is_said_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


# Pace


def at_work(ledger: Ledger, command: str, minutes: float, counters: dict[str, int]) -> Report:
    run = ran(ledger, command, None, counters)
    change(ledger.path, "UPDATE run SET began_ms = 1000000 WHERE id = ?", run)
    return summary.read(ledger, now=lambda: 1_000 + 60 * minutes)


def test_a_push_at_work_has_a_pace_and_an_end(ledger: Ledger) -> None:
    extract(ledger, *map(str, range(200)))
    map_all(ledger)
    report = at_work(ledger, "push", 2, {"posted": 90, "found": 10})
    assert as_json(report)["pace"] == {"per_minute": 50.0, "seconds_left": 240.0}
    assert "for 2 min): 50 a minute, 4 min left" in flat(shown(report))


def test_a_push_that_posted_nothing_yet_has_no_end_in_sight(ledger: Ledger) -> None:
    report = at_work(ledger, "push", 2, {})
    assert as_json(report)["pace"] == {"per_minute": 0.0, "seconds_left": None}
    assert "0 a minute" in shown(report)


@pytest.mark.parametrize("minutes", [0, -60])
def test_a_clock_that_stands_or_goes_back_breaks_nothing(ledger: Ledger, minutes: float) -> None:
    report = at_work(ledger, "push", minutes, {"posted": 5})
    assert "a minute" in shown(report)


def test_nothing_else_has_a_pace(ledger: Ledger) -> None:
    assert as_json(at_work(ledger, "stage", 2, {"given": 100}))["pace"] is None


def test_a_push_at_work_settles_its_doubts_itself(ledger: Ledger) -> None:
    extract(ledger, "1")
    map_all(ledger)
    send_all(ledger, None)
    text = flat(shown(at_work(ledger, "push", 1, {})))
    assert "1 contact is in flight or in doubt; the running push settles" in text


# JSON


def test_the_keys_of_the_json_are_always_the_same(ledger: Ledger) -> None:
    empty = as_json(summary.read(ledger))
    extract(ledger, "1")
    map_all(ledger)
    send_all(ledger, Outcome.REFUSED, "no")
    full = as_json(summary.read(ledger))
    assert list(empty) == list(full)
    assert list(empty["states"]) == list(full["states"]) == [str(state) for state in State]
    documented = (as_json.__doc__ or "").split()
    assert not set(empty) - set(documented)


def test_the_json_can_be_written_and_its_times_are_utc(ledger: Ledger) -> None:
    run = ran(ledger, "stage", 0)
    change(ledger.path, "UPDATE run SET began_ms = 0, ended_ms = 1500 WHERE id = ?", run)
    (shown_run,) = json.loads(json.dumps(as_json(summary.read(ledger))))["runs"]
    assert shown_run["began"] == "1970-01-01T00:00:00Z"
    assert shown_run["ended"] == "1970-01-01T00:00:01Z"


def test_the_json_names_the_journey(ledger: Ledger) -> None:
    ledger.runs.bind(portal_id="7")
    journey = as_json(summary.read(ledger))["journey"]
    assert journey == {"portal_id": "7", "leadgenius_url": None, "client_id": None}


def test_an_extraction_that_never_began_is_not_complete(ledger: Ledger) -> None:
    none = {"complete": False, "pages": 0, "met": 0, "counted": None}
    assert as_json(summary.read(ledger))["extraction"] == none
    extract(ledger, "1")
    one = {"complete": True, "pages": 1, "met": 1, "counted": None}
    assert as_json(summary.read(ledger))["extraction"] == one


# The page


@pytest.fixture
def busy(ledger: Ledger) -> Report:
    """A report with something to say everywhere."""
    client = {"leadgenius_url": "https://last.leadgenius.app", "client_id": "historic-contacts"}
    ledger.runs.bind(portal_id="12345678", **client)
    extract(ledger, *[f"1{number:09}" for number in range(40)])
    map_all(ledger)
    for key, hold in enumerate(Hold, start=1):
        if hold not in (Hold.NO_EMAIL, Hold.INVALID_EMAIL, Hold.GONE, *OF_A_LEAD):
            ledger.holds.hold(key, hold, "because " * 12)
    send_all(ledger, None)
    ran(ledger, "stage", 0, {"given": 40, "new": 40, "mapped": 40})
    return at_work(ledger, "push", 3, {"posted": 1, "refused": 2})


@pytest.mark.parametrize("width", [40, 60, 80, 160])
@pytest.mark.parametrize("terminal", [False, True])
def test_no_line_is_wider_than_the_terminal(busy: Report, width: int, terminal: bool) -> None:
    stream = io.StringIO()
    console = Console(
        file=stream, width=width, force_terminal=terminal, color_system=None, _environ={}
    )
    render(busy, console)
    assert max(len(line) for line in stream.getvalue().splitlines()) <= width


@pytest.mark.parametrize("width", [80, 160])
def test_nothing_is_cut_off(busy: Report, width: int) -> None:
    text = shown(busy, width)
    assert "…" not in text
    for word in ("already_in_destination", "1000000002", "running now as", "https://last"):
        assert word in text


@pytest.mark.parametrize("width", [80, 160])
def test_a_command_stands_on_one_line_to_be_copied(busy: Report, width: int) -> None:
    text = shown(busy, width)
    assert "`migrator retry --reason already_in_destination`" in text
    assert "`migrator retry --reason gave_up`" in text


def test_what_is_no_terminal_gets_no_codes(busy: Report) -> None:
    assert "\x1b" not in shown(busy)
    assert "\x1b" in shown(busy, terminal=True)


def test_no_colour_is_shown_where_none_is_wanted(busy: Report) -> None:
    stream = io.StringIO()
    environ = {"NO_COLOR": "1", "TERM": "xterm-256color"}
    console = Console(file=stream, width=80, force_terminal=True, _environ=environ)
    render(busy, console)
    assert "\x1b[32m" not in stream.getvalue()
    assert "33m" not in stream.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_an_output_without_utf_8_gets_a_page_in_its_own_characters(
    ledger: Ledger, encoding: str
) -> None:
    extract(ledger, "1")
    ledger.holds.hold(1, Hold.NO_EMAIL, "日本 …")
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    render(summary.read(ledger), Console(file=stream, width=80, _environ={}))
    text = raw.getvalue().decode(encoding)
    assert "-----" in text
    assert "> add it in HubSpot" in text


def test_a_closed_pipe_is_no_failure(busy: Report) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            if text:  # nothing can be written to any pipe
                raise BrokenPipeError
            return 0

    render(busy, Console(file=Closed(), width=80, _environ={}))


def test_a_page_is_for_stdout_unless_told_otherwise(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    render(summary.read(ledger))
    assert "= 0 contacts from HubSpot" in capsys.readouterr().out


def test_an_unbound_ledger_has_a_page_too(ledger: Ledger) -> None:
    text = shown(summary.read(ledger))
    assert "= 0 contacts from HubSpot" in text
    assert text.endswith("Next: migrator stage   (nothing is extracted yet)\n")


def test_a_report_is_read_while_another_process_writes(path: Path, ledger: Ledger) -> None:
    extract(ledger, "1")
    with ledger.transaction():
        ledger.holds.hold(1, Hold.NO_EMAIL, "not committed yet")
        assert read(path).held == ()


def test_a_report_changes_nothing(path: Path) -> None:
    with Ledger.open_for_work(path) as ledger:
        extract(ledger, "1")
    before = path.read_bytes()
    shown(read(path))
    assert path.read_bytes() == before
