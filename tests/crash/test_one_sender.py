"""
One journey has one sender: copies, restored folders, other machines, senders that nobody expected.

Real processes, and what the sandbox was sent is the judge. Another machine is another state folder.
"""

import json
import shutil
import signal
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.judge import judge, posts
from migrator.errors import ExitCode
from migrator.push.looks import SENDS_BEFORE_THE_FIRST_LOOK
from tests.support.processes import Gate, Operator, Process, Result, ended, eventually, kill

CONTACTS = 60
SETTLE = 1.0
WORKERS = 4
OPTIONS = f"--rate max --workers {WORKERS} --settle {SETTLE:g} --timeout 5 --canary 0"
PUSH = f"push {OPTIONS}"
RESUME = f"push --resume {OPTIONS}"
STATE = ".local/state/migrator"


@pytest.fixture
def operator(sandbox, tmp_path) -> Operator:
    operator = Operator(tmp_path / "desk", sandbox(contacts=CONTACTS, latency_seconds=0.05))
    operator.folder.mkdir()
    operator.stage()
    return operator


def beside(operator: Operator, name: str) -> Operator:
    """A copy of its folder, beside it."""
    folder = operator.folder.with_name(name)
    shutil.copytree(operator.folder, folder)
    return replace(operator, folder=folder)


def leads(operator: Operator) -> Counter[str]:
    return Counter(one["email"] for one in operator.sandbox.held)


def is_once(operator: Operator) -> bool:
    """Whether each contact that is to be sent has one lead."""
    return set(leads(operator).values()) == {1} and len(leads(operator)) == sendable(operator)


def sendable(operator: Operator) -> int:
    return int(operator.ask("SELECT count(*) FROM contact WHERE state <> 'extracted'")[0][0]) - int(
        operator.ask("SELECT count(*) FROM contact WHERE held = 'duplicate_email'")[0][0]
    )


def refuses(result: Result, code: ExitCode, *words: str) -> None:
    assert result.code == code, result
    assert "next: " in result.err
    for word in words:
        assert word in result.err


def push_until(operator: Operator, number: int, **more: str) -> Process:
    push = operator.start(PUSH, **more)
    eventually(lambda: len(operator.sandbox.held) >= number, f"{number} leads")
    return push


# On one machine


def test_a_copy_of_a_folder_at_work_leaves_and_says_who_sends(operator):
    push = push_until(operator, 8)
    copy = beside(operator, "copy")
    (copy.folder / "migrator.db.lock").unlink()
    push_again = copy.start(RESUME)
    assert ended(push).code == 0
    second = ended(push_again)
    assert second.code in (ExitCode.BUSY, ExitCode.LEDGER), second
    refuses(copy.run(RESUME), ExitCode.LEDGER, f"was last worked on in {operator.folder}")
    assert is_once(operator)


def test_a_ledger_of_the_same_journey_waits_for_its_turn_and_adopts(operator):
    other = replace(operator, folder=operator.folder.with_name("other"))
    other.folder.mkdir()
    assert other.run("stage -q").code == 0
    operator.sandbox.fault("slow", times=3)
    push = push_until(operator, 4)
    push.send_signal(signal.SIGSTOP)  # it keeps its locks for longer than the other one waits
    try:
        refuses(other.run(PUSH), ExitCode.BUSY, "`migrator push`", f"from {operator.folder}")
    finally:
        push.send_signal(signal.SIGCONT)
    assert ended(push).code == 0
    late = other.run(PUSH)
    assert late.code == 0, late
    assert "adopted" in late.out
    assert is_once(operator)
    assert len(posts(operator.sandbox)) == len(operator.sandbox.held)


@pytest.mark.parametrize("what", ["folder", "database"])
def test_what_is_put_back_stops_until_it_is_taken_over(operator, what):
    assert operator.run(f"{PUSH} --limit 5").code == 0
    backup = beside(operator, "backup")
    assert operator.run(PUSH).code == 0
    sent = len(posts(operator.sandbox))
    if what == "folder":
        shutil.rmtree(operator.folder)
        shutil.copytree(backup.folder, operator.folder)
    else:
        for suffix in ("", "-wal", "-shm"):
            operator.ledger.with_name(f"migrator.db{suffix}").unlink(missing_ok=True)
        shutil.copy2(backup.ledger, operator.ledger)
    for _ in range(2):
        refuses(
            operator.run(PUSH), ExitCode.LEDGER, "last worked on", "same command with --take-over"
        )
    taken = operator.run(f"{PUSH} --take-over")
    assert taken.code == 0, taken
    assert len(posts(operator.sandbox)) == sent
    assert operator.run(f"verify --settle {SETTLE:g}").code == 0
    assert is_once(operator)


def test_a_virtual_disk_that_is_put_back_shows_itself_by_foreign_leads(operator):
    assert operator.run(f"{PUSH} --limit 5").code == 0
    state = Path(operator.environment()["HOME"], STATE)
    disk = {path: path.read_bytes() for path in files_of(operator.folder, state)}
    assert operator.run(f"{PUSH} --limit 12").code == 0
    for path in files_of(operator.folder, state):
        if path in disk:
            path.write_bytes(disk[path])  # in place: the same inode, with its time of birth
        else:
            path.unlink()
    began, listed = time.monotonic(), listings(operator)
    push = operator.start(RESUME)
    eventually(lambda: listings(operator) > listed, "the first look")
    sent = len(posts(operator.sandbox))
    eventually(lambda: listings(operator) > listed + 1, "the look after a wait")
    assert time.monotonic() - began > SETTLE
    assert len(posts(operator.sandbox)) == sent
    done = ended(push)
    assert done.code == 0, done
    assert "12 adopted" in done.out
    assert operator.run(f"verify --settle {SETTLE:g}").code == 0
    assert is_once(operator)
    assert len(posts(operator.sandbox)) == sendable(operator)


def files_of(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def test_a_rename_is_no_other_place(operator):
    assert operator.run(f"{PUSH} --limit 5").code == 0
    folder = operator.folder.rename(operator.folder.with_name("renamed"))
    assert replace(operator, folder=folder).run(PUSH).code == 0


def test_a_take_over_at_its_own_place_changes_nothing(operator):
    assert operator.run(f"{PUSH} --limit 5").code == 0
    listed = listings(operator)
    assert operator.run(f"{PUSH} --limit 1 --take-over").code == 0
    assert listings(operator) - listed <= 2


def listings(operator: Operator) -> int:
    return sum(
        one.method == "GET" and one.path == "/api/leads" for one in operator.sandbox.received
    )


def test_a_kill_in_a_take_over_leaves_its_looks_owed(operator):
    assert operator.run(f"{PUSH} --limit 5").code == 0
    moved = beside(operator, "moved")
    before, sent = listings(operator), len(posts(operator.sandbox))
    push = moved.start(f"{PUSH} --take-over".replace("--settle 1", "--settle 3"))
    eventually(lambda: listings(operator) > before, "the first look")
    kill(push)
    before = listings(operator)
    push = moved.start(PUSH.replace("--settle 1", "--settle 3"))
    eventually(lambda: listings(operator) > before, "the first look again")
    assert len(posts(operator.sandbox)) == sent
    began = time.monotonic()
    assert ended(push).code == 0
    assert time.monotonic() - began > 2  # it waited, although nobody typed --take-over again
    assert is_once(operator)


def test_a_state_folder_that_cannot_be_written_is_named(operator):
    refuses(
        operator.run(PUSH, XDG_STATE_HOME="/dev/null/x"),
        ExitCode.NOT_READY,
        "The state folder cannot be used: /dev/null/x/migrator/",
        "XDG_STATE_HOME",
    )
    assert posts(operator.sandbox) == []


# Another sender


def foreign(operator: Operator, number: int) -> str:
    """A lead of a contact that this ledger has not sent, as another ledger would send it."""
    rows = operator.ask(
        "SELECT hubspot_id FROM contact WHERE state = 'mapped' AND held IS NULL AND NOT EXISTS "
        "(SELECT 1 FROM attempt WHERE contact_key = key) ORDER BY key DESC"
    )
    line = f"[HubSpot record: {operator.sandbox.portal_id}/{rows[number][0]}]"
    return operator.sandbox.add_lead({"email": f"foreign{number}@x.example", "notes": line})


def test_foreign_leads_at_the_first_look_are_waited_for_and_adopted(operator):
    foreign(operator, 0)
    began = time.monotonic()
    done = operator.run(PUSH)
    assert done.code == 0, done
    assert "1 adopted" in done.out
    assert time.monotonic() - began > SETTLE
    assert len(posts(operator.sandbox)) == sendable(operator) - 1


def test_a_foreign_sender_that_keeps_sending_at_the_look_ends_the_push_before_it_sends(operator):
    numbers = iter(range(40))
    is_over = threading.Event()

    def send() -> None:
        while not is_over.wait(SETTLE / 3):
            foreign(operator, next(numbers))

    foreign(operator, next(numbers))
    sender = threading.Thread(target=send)
    sender.start()
    try:
        refuses(operator.run(PUSH), ExitCode.BUSY, "sending into this client right now")
    finally:
        is_over.set()
        sender.join()
    assert posts(operator.sandbox) == []
    assert operator.run(PUSH).code == 0
    assert len(posts(operator.sandbox)) + len(leads_planted(operator)) == sendable(operator)


def leads_planted(operator: Operator) -> list[str]:
    return [email for email in leads(operator) if email.startswith("foreign")]


def test_a_foreign_sender_in_the_middle_of_a_push_stops_it(operator):
    operator.sandbox.fault("slow", times=1)
    push = push_until(operator, 6)
    foreign(operator, 0)
    refuses(ended(push), ExitCode.BUSY, "sending into this client right now", "--resume")
    assert len(posts(operator.sandbox)) <= SENDS_BEFORE_THE_FIRST_LOOK + WORKERS
    done = operator.run(RESUME)
    assert done.code == 0, done
    assert len(posts(operator.sandbox)) == sendable(operator) - 1


def test_a_foreign_lead_at_the_canary_stops_the_push(operator):
    planted: list[str] = []

    def plant(_: object) -> bool:
        if len(operator.sandbox.held) == 5 and not planted:
            planted.append(foreign(operator, 0))
        return False

    operator.sandbox.fault("list_error", where=plant)
    push = operator.run(PUSH.replace("--canary 0", "--canary 5"))
    refuses(push, ExitCode.BUSY, "sending into this client right now")
    assert len(posts(operator.sandbox)) == 5


@pytest.fixture
def full(sandbox, tmp_path) -> Operator:
    """A client whose listing takes more requests than there are first sends."""
    operator = Operator(tmp_path / "desk", sandbox(contacts=CONTACTS, page_limit=2))
    operator.folder.mkdir()
    operator.stage()
    for number in range(60):
        operator.sandbox.add_lead({"email": f"other{number}@x.example", "notes": "by hand"})
    return operator


def found(operator: Operator) -> list[str]:
    """The e-mails that find-lead was asked for."""
    return [one.query["email"] for one in operator.sandbox.received if one.path == "/api/find-lead"]


def send_all_left(operator: Operator) -> None:
    """As another ledger would that has the same contacts."""
    there = leads(operator)
    for contact, lead in operator.ask(
        "SELECT hubspot_id, lead FROM contact WHERE state = 'mapped' AND held IS NULL"
    ):
        email = json.loads(lead)["email"]
        if email not in there:  # sent, and not yet known to the ledger
            line = f"[HubSpot record: {operator.sandbox.portal_id}/{contact}]"
            operator.sandbox.add_lead({"email": email, "notes": line})


def test_where_a_listing_takes_long_the_first_sends_are_searched_for(full):
    push = full.run(PUSH)
    assert push.code == 0, push
    first = [one.lead["email"] for one in posts(full.sandbox)][:SENDS_BEFORE_THE_FIRST_LOOK]
    assert sorted(found(full)) == sorted(first)
    assert listings(full) <= 32  # the look before the first send
    assert full.run(f"verify --settle {SETTLE:g}").code == 0


def test_a_search_for_the_first_sends_shows_another_sender(full):
    planted: list[bool] = []

    def plant(_: object) -> bool:
        if not planted:
            planted.append(True)
            send_all_left(full)
        return False  # no fault strikes

    full.sandbox.fault("slow", where=plant)
    refuses(full.run(PUSH), ExitCode.BUSY, "sending into this client right now")
    assert found(full)
    assert len(posts(full.sandbox)) <= SENDS_BEFORE_THE_FIRST_LOOK
    assert listings(full) <= 32


def test_after_a_rest_the_next_contacts_are_searched_for(full):
    full.sandbox.fault("expire_token", where=lambda _: len(posts(full.sandbox)) == 30)
    gate = Gate(full, "auth_error", since=lambda: len(posts(full.sandbox)) >= 30)
    push = full.start(PUSH.replace("--workers 4", "--workers 1"))
    gate.wait()
    push.send_signal(signal.SIGSTOP)
    send_all_left(full)
    time.sleep(2.0)  # longer than `settle` and the shortest rest
    gate.open()
    push.send_signal(signal.SIGCONT)
    refuses(ended(push), ExitCode.BUSY, "sending into this client right now")
    assert len(found(full)) > SENDS_BEFORE_THE_FIRST_LOOK
    assert listings(full) <= 32
    assert set(leads(full).values()) == {1}


def test_where_a_search_proves_nothing_the_client_is_listed(full):
    # The search waits for the slow one.
    full.sandbox.fault("slow", times=1, where=lambda _: len(posts(full.sandbox)) == 10)
    push = full.start(PUSH)
    full.sandbox.wait_until(lambda: len(posts(full.sandbox)) >= 10)
    for one in full.sandbox.held[60:]:
        full.sandbox.delete_lead(one["id"])
    assert ended(push).code == 0
    assert len(found(full)) == 1
    assert listings(full) > 60


def test_two_machines_that_begin_together_double_no_more_than_the_first_sends(operator, tmp_path):
    other = beside(operator, "other")
    pushes = [
        operator.start(PUSH, XDG_STATE_HOME=str(tmp_path / "one")),
        other.start(PUSH, XDG_STATE_HOME=str(tmp_path / "two")),
    ]
    codes = [ended(push).code for push in pushes]
    doubled = [email for email, number in leads(operator).items() if number > 1]
    # On a busy machine one may be over before the other begins.
    assert ExitCode.BUSY in codes or not doubled, codes
    assert len(doubled) <= SENDS_BEFORE_THE_FIRST_LOOK + WORKERS
    for desk, state in ((operator, "one"), (other, "two")):
        told = desk.run(f"verify --settle {SETTLE:g}", XDG_STATE_HOME=str(tmp_path / state))
        assert told.code == ExitCode.NEEDS_ATTENTION if doubled else True


def test_a_journey_to_another_client_is_not_disturbed(operator):
    push = push_until(operator, 4)
    other = replace(operator, folder=operator.folder.with_name("other"))
    other.folder.mkdir()
    assert other.run("stage -q").code == 0
    client = "acme"
    assert other.run("clients --create Acme").code == 0
    done = other.run(f"{PUSH} --client-id {client}", LEADGENIUS_CLIENT_ID=client)
    assert ended(push).code == 0
    assert done.code == 0, done


def test_the_ordinary_end_is_that_of_before(operator):
    assert operator.run(PUSH).code == 0
    judge(operator.sandbox, operator.ledger, SETTLE)
    assert Path(operator.environment()["HOME"], STATE).is_dir()
