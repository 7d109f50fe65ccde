"""A finished ledger is forgotten: the people are gone from its very bytes, and the proof stands."""

import json
import os
import pty
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from migrator.errors import ExitCode, LedgerError, LedgerForgotten, UnfinishedJourney, UsageError
from migrator.ledger import ExcludedContact, ExtractedContact, ExtractedPage, Ledger
from migrator.report import as_json, next_command, summary
from migrator.sandbox import Sandbox
from migrator.states import Hold
from tests.support.journeys import Journey, contact
from tests.support.processes import (
    LONGEST_SECONDS,
    ORDINARY,
    Operator,
    Process,
    eventually,
    kill,
    start,
)

# What of a HubSpot contact is about the person; the rest are HubSpot's own words.
PERSONAL = ("firstname", "lastname", "email", "phone", "mobilephone", "jobtitle")
KEPT = {
    "contact": "key, hubspot_id, state, held, company_id, company_rule, lead_id, foreign_lead_id",
    "attempt": "contact_key, number, run_id, payload_hash, sent_ms, ended_ms, status, outcome, "
    "settled_ms, lead_id",
    "event": "*",
    "state_count": "*",
    "ledger": "portal_id, leadgenius_url, client_id",
    "company": "company_id",
}


@pytest.fixture
def journey(sandbox, tmp_path) -> Iterator[Journey]:
    """Sixty contacts, two of them peculiar, moved and verified as far as they can be."""
    service = sandbox(contacts=60)
    service.add_contact(contact(1, phone="+44 20 7946 0018", jobtitle="Countess of Lovelace"))
    service.add_contact({"firstname": "Wanda", "email": "wanda at wherever.example"})
    service.fault("refuse")
    with Ledger.open_for_work(tmp_path / "migrator.db") as ledger:
        journey = Journey(service, ledger)
        journey.stage()
        journey.push()
        journey.verify()
        yield journey


def people(path: Path) -> set[bytes]:
    """Every name, address, number and title in the ledger that is no word of anybody else's."""
    with closing(sqlite3.connect(path)) as db:
        sources = [json.loads(one) for (one,) in db.execute("SELECT source FROM contact")]
        rows = db.execute("SELECT email_key FROM contact WHERE email_key IS NOT NULL")
        keys = [key for (key,) in rows]
        firms = db.execute("SELECT properties FROM company WHERE properties IS NOT NULL")
        names = [json.loads(one).get("name") or "" for (one,) in firms]
    values = [one["properties"].get(name) or "" for one in sources for name in PERSONAL]
    texts = [str(value).strip() for value in [*values, *names, *keys]]
    found = {json.dumps(text, ensure_ascii=False)[1:-1].encode() for text in texts}
    return {one for one in found if len(one) > 3}


def bytes_of(path: Path) -> bytes:
    """All that lies on the disk of it: the file, its log, its index and its lock."""
    return b"".join(one.read_bytes() for one in sorted(path.parent.glob(f"{path.name}*")))


def left(path: Path, whom: set[bytes]) -> set[bytes]:
    content = bytes_of(path)
    return {one for one in whom if one in content}


def kept(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as db:
        return {
            table: db.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2").fetchall()
            if "," in columns or columns == "*"
            else db.execute(f"SELECT {columns} FROM {table} ORDER BY 1").fetchall()
            for table, columns in KEPT.items()
        }


# What goes, and what stays


def test_nobody_is_left_in_the_bytes(journey):
    path = journey.ledger.path
    whom = people(path)
    assert len(whom) > 150
    assert left(path, whom) == whom, "they were never where this test looks"
    journey.ledger.erasure.erase()
    assert left(path, whom) == set()


def test_an_answer_and_a_detail_that_quote_a_person_are_gone(journey):
    path = journey.ledger.path
    assert b"wanda at wherever.example" in bytes_of(path)
    ((said,),) = journey.ask("SELECT answer FROM attempt WHERE answer IS NOT NULL")
    journey.ledger.erasure.erase()
    assert said.encode() not in bytes_of(path)
    assert b"wherever.example" not in bytes_of(path)


def test_what_proves_the_journey_stays(journey):
    before = kept(journey.ledger.path)
    journey.ledger.erasure.erase()
    assert kept(journey.ledger.path) == before


def test_no_key_of_an_e_mail_stays_not_even_a_hash(journey):
    journey.ledger.erasure.erase()
    assert set(journey.ask("SELECT DISTINCT email_key FROM contact")) == {(None,), ("",)}


def test_where_it_was_done_is_gone_too(journey):
    journey.ledger.runs.begin_run("forget")
    journey.ledger.erasure.erase()
    assert journey.ask("SELECT DISTINCT host FROM run") == [("",)]


def test_its_sums_close_and_nothing_is_left_to_do(journey):
    journey.ledger.erasure.erase()
    report = summary.read(journey.ledger)
    assert report.closes
    assert next_command(report) == ""
    assert as_json(report)["forgotten"] is not None


def test_forgetting_twice_is_forgetting_once(journey):
    journey.ledger.erasure.erase()
    when = journey.ledger.erasure.erased_at()
    journey.ledger.erasure.erase()
    assert journey.ledger.erasure.erased_at() == when


# The command


@pytest.fixture(scope="module")
def journeyed(tmp_path_factory) -> Iterator[Operator]:
    """An operator who has finished a journey, but for one contact that was refused."""
    with Sandbox(contacts=30) as service:
        operator = Operator(tmp_path_factory.mktemp("journeyed"), service)
        service.fault("refuse")
        for words in ("stage", "push --rate max --settle 1", "verify --settle 1"):
            assert operator.run(words).code in (ExitCode.DONE, ExitCode.NEEDS_ATTENTION)
        yield operator


@pytest.fixture
def finished(journeyed, tmp_path) -> Operator:
    """A folder with that operator's ledger."""
    operator = Operator(tmp_path, journeyed.sandbox)
    operator.ledger.write_bytes(journeyed.ledger.read_bytes())
    return operator


def test_the_command_says_how_many_it_gave_up(finished):
    (held,) = finished.ask("SELECT count(*) FROM contact WHERE held IS NOT NULL")[0]
    result = finished.run("forget --yes")
    assert result.code == ExitCode.DONE, result.err
    assert result.out == f"30 contacts forgotten · {held} of them held, and given up\n"
    assert finished.ask("SELECT command, exit_code FROM run ORDER BY id DESC LIMIT 1") == [
        ("forget", 0)
    ]


@pytest.mark.parametrize(
    "words", ["stage", "push", "push --resume", "verify", "retry --reason refused"]
)
def test_nothing_more_can_be_done_with_a_forgotten_ledger(finished, words):
    finished.run("forget --yes")
    before, seen = kept(finished.ledger), len(finished.sandbox.received)
    result = finished.run(words)
    assert result.code == LedgerForgotten.exit_code == ExitCode.LEDGER
    assert "is forgotten" in result.err
    assert "next: begin another ledger with --ledger" in result.err
    assert kept(finished.ledger) == before
    assert len(finished.sandbox.received) == seen


def test_a_forgotten_ledger_is_still_reported(finished):
    finished.run("forget --yes")
    result = finished.run("report")
    assert result.code == ExitCode.DONE, result.err
    assert "= 30 contacts from HubSpot" in result.out
    assert "forgotten" in result.out
    assert json.loads(finished.run("report --json").out)["sums"]["closes"] is True


def test_another_ledger_begun_after_it_posts_nothing_twice(finished):
    held = len(finished.sandbox.held)
    finished.run("forget --yes")
    assert finished.run("stage --ledger again.db").code == ExitCode.DONE
    pushed = finished.run("push --ledger again.db --rate max --settle 1")
    assert pushed.code == ExitCode.DONE, pushed.err
    assert f"{held} adopted" in pushed.out
    assert finished.sandbox.verdict().ok


@pytest.mark.parametrize(
    ("before", "what", "following"),
    [
        ([], "HubSpot has more pages than were read", "migrator stage"),
        (["stage"], "contacts to send: ", "migrator push --resume"),
        (
            ["stage", "push --rate max --settle 1"],
            "contacts to verify: ",
            "migrator verify; if the client no longer exists",
        ),
    ],
)
def test_an_unfinished_ledger_is_not_forgotten(sandbox, tmp_path, before, what, following):
    operator = Operator(tmp_path, sandbox(contacts=12))
    with Ledger.open_for_work(operator.ledger):
        pass
    for words in before:
        assert operator.run(words).code == ExitCode.DONE
    result = operator.run("forget --yes")
    assert result.code == UnfinishedJourney.exit_code
    assert what in result.err
    assert f"next: {following}" in result.err
    assert operator.ask("SELECT forgotten_ms FROM ledger") == [(None,)]


def test_a_ledger_whose_scan_is_not_whole_is_not_forgotten(finished):
    with closing(sqlite3.connect(finished.ledger)) as db, db:
        db.execute("UPDATE checkpoint SET counted = met + 100 WHERE name = 'extraction'")
    result = finished.run("forget --yes")
    assert result.code == UnfinishedJourney.exit_code
    assert "HubSpot counts 130 contacts, 100 more than its list gave" in result.err
    assert "next: migrator stage" in result.err
    assert finished.ask("SELECT forgotten_ms FROM ledger") == [(None,)]
    report = finished.run("report")
    assert "= 30 contacts from HubSpot, not all of them" in " ".join(report.out.split())
    assert "Next: done" not in report.out


def test_a_ledger_with_a_doubt_is_not_forgotten(sandbox, tmp_path):
    operator = Operator(tmp_path, sandbox(contacts=12))
    operator.run("stage")
    operator.sandbox.fault("hang_after_saving")
    push = operator.start("push --canary 0 --workers 1 --settle 1 --timeout 600")
    operator.sandbox.wait_until(lambda: any(one.fault for one in operator.sandbox.received), 30)
    kill(push)
    result = operator.run("forget --yes")
    assert "contacts in doubt: 1" in result.err
    assert "next: migrator push --resume" in result.err


# What may be typed after it, with the code
AFTERWARDS = {
    **dict.fromkeys(("report", "report --json", "report --html page.html", "report --watch"), 0),
    **dict.fromkeys(("show {held}", "mapping", "clients", "report --csv new.csv"), 0),
    "forget --yes": 0,
    **dict.fromkeys(("stage", "push", "push --resume", "verify", "plan", "plan {held}"), 5),
    **dict.fromkeys(("retry --reason refused", "retry {held}", "amend held.csv --yes"), 5),
    "clients --use historic-contacts": 5,
    "preflight": 3,
}


def test_a_forgotten_ledger_suggests_nothing_that_it_refuses(finished):
    finished.sandbox.add_contact({"firstname": "Wanda", "email": "wanda at wherever.example"})
    assert finished.run("stage -q").code == ExitCode.DONE
    finished.run("report --csv held.csv")
    assert finished.run("forget --yes").code == ExitCode.DONE
    ((held, *_), *_) = finished.ask("SELECT hubspot_id FROM contact WHERE held IS NOT NULL")
    for words, code in AFTERWARDS.items():
        result = finished.run(words.format(held=held))
        assert result.code == code, result
        said = result.err if words == "mapping" else result.out + result.err  # a file with comments
        assert not re.search(r"migrator [a-z]+", said), (words, said)
        assert code == 0 or "next: begin another ledger with --ledger" in result.err


def test_without_a_terminal_it_wants_to_be_told(finished):
    result = finished.run("forget")
    assert result.code == UsageError.exit_code
    assert "next: migrator forget --yes" in result.err
    assert finished.ask("SELECT forgotten_ms FROM ledger") == [(None,)]


@pytest.mark.parametrize(("answer", "code"), [("yes", 0), ("y", 3), ("", 3), ("no", 3)])
def test_on_a_terminal_it_asks_and_takes_only_yes_for_yes(finished, answer, code):
    ours, theirs = pty.openpty()
    process = finished.start("forget", subprocess.PIPE, theirs)
    os.close(theirs)
    os.write(ours, f"{answer}\n".encode())
    out, err = process.communicate(timeout=LONGEST_SECONDS)
    os.close(ours)
    assert process.returncode == code, err
    assert "30 contacts are erased from the ledger for good" in err
    assert bool(out) is (code == 0)
    assert finished.ask("SELECT forgotten_ms IS NOT NULL FROM ledger") == [(code == 0,)]


# A crash in the middle


MANY = 10_000


@pytest.fixture(scope="module")
def staged_at_large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many contacts, none of which can be sent, that no commit of all of them is quick."""
    path = tmp_path_factory.mktemp("large") / "migrator.db"
    with Ledger.open_for_work(path) as ledger:
        scan = ledger.runs.begin_scan("extraction").scan
        new = [
            ExtractedContact(str(n), json.dumps({"name": f"Ada Lovelace {n} " * 20}), None, None)
            for n in range(MANY)
        ]
        ledger.contacts.write_page(ExtractedPage({}, new, [], [], [], None), scan)
        held = [ExcludedContact(n, Hold.NO_EMAIL, "Ada has none") for n in range(1, MANY + 1)]
        ledger.contacts.write_mapped([], held)
    return path


@pytest.fixture
def large(staged_at_large: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(staged_at_large, tmp_path))


def command(path: Path) -> Process:
    words = ["forget", "--yes", "--ledger", str(path)]
    return start([*ORDINARY, *words], path.parent, dict(os.environ))


def size_of_log(path: Path) -> int:
    try:
        return path.with_name(path.name + "-wal").stat().st_size
    except FileNotFoundError:
        return 0


def is_forgotten(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as db:
        return bool(db.execute("SELECT forgotten_ms IS NOT NULL FROM ledger").fetchone()[0])


def assert_forgotten_or_not(path: Path) -> None:
    question = (
        "SELECT (SELECT forgotten_ms IS NOT NULL FROM ledger), sum(source = '{}') FROM contact"
    )
    with closing(sqlite3.connect(path)) as db:
        assert db.execute(question).fetchone() in ((0, 0), (1, MANY))


@contextmanager
def reader(path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody who looks at the ledger, and keeps its log from being emptied."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM contact").fetchone()
        yield db


@pytest.mark.parametrize(
    "moment",
    [
        lambda path: size_of_log(path) > 100_000,  # the first contacts are emptied
        lambda path: size_of_log(path) > 3_000_000,
        is_forgotten,  # all are, and their bytes are still in the log
    ],
)
def test_killed_in_the_middle_it_is_forgotten_or_it_is_not(large, moment):
    # Whoever reads keeps it from coming to its end before it is killed.
    with reader(large):
        process = command(large)
        eventually(lambda: moment(large), "the moment to kill it")
        assert process.poll() is None, process.communicate()
        kill(process)
    assert_forgotten_or_not(large)
    again = command(large)
    assert again.communicate(timeout=LONGEST_SECONDS)[0].startswith(f"{MANY:,} contacts forgotten")
    assert b"Ada" not in bytes_of(large)


def test_killed_before_the_file_is_written_anew_its_old_pages_hold_zeros(journey, monkeypatch):
    database = journey.ledger._database
    whom, plain = people(journey.ledger.path), database.execute_outside_transaction

    def killed(statement):
        if statement == "VACUUM":
            raise InterruptedError
        return plain(statement)

    monkeypatch.setattr(database, "execute_outside_transaction", killed)
    with pytest.raises(InterruptedError):
        journey.ledger.erasure.erase()
    plain("PRAGMA wal_checkpoint(TRUNCATE)")  # whoever opens it next does as much
    assert left(journey.ledger.path, whom) == set()


def test_killed_before_the_log_was_emptied_the_next_one_empties_it(journey):
    path = journey.ledger.path
    whom = people(path)
    with reader(path):
        journey.ledger._database.execute_outside_transaction("PRAGMA busy_timeout = 1")
        with pytest.raises(LedgerError, match="cannot be emptied yet"):
            journey.ledger.erasure.erase()
        assert journey.ledger.erasure.erased_at() is not None
        assert left(path, whom), "there was nothing to empty"
    journey.ledger.erasure.erase()
    assert left(path, whom) == set()
