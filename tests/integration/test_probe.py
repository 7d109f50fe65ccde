"""`migrator probe` against sandboxes that behave as different destinations."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.destinations import BY_THE_GUIDE
from benchmarks.probe import PROBE, USERS_NAME, is_users_own_there, left_by_probes, users_client
from migrator.config import load
from migrator.connections import open_leadgenius
from migrator.errors import ExitCode
from migrator.findings import Findings, ProbeRecord
from migrator.mapping import FIELDS
from migrator.probe import EXPERIMENTS, REQUESTS, Pauses, since_last
from migrator.probe.experiments import notes_kept
from migrator.probe.people import client_description, person
from migrator.probe.record import hold_probe_clients
from migrator.probe.requests import ProbeRequests
from migrator.sandbox import Sandbox
from migrator.signals import Signals
from migrator.state_folder import state_folder
from tests.support.inprocess_cli import InProcessCli, stops
from tests.support.processes import Operator, ended, eventually, kill

# The pace follows the headers, so a probe of this limit does not wait for its turn.
FAST = 100_000
WAIT = 4.0
# What a listing adds to a measured time: the time between two of them, on a busy machine.
TOLERANCE = 1.5
FOUND_BY_THE_GUIDE = {**BY_THE_GUIDE, "rate_limit": FAST, "settle_s": 60}
SHOWN = "id firstName lastName email status title"
# What the sandbox is told, what is found otherwise than by the guide, and the longest times of the
# listing and of late commits, in seconds.
DESTINATIONS: list[tuple[str, dict[str, Any], dict[str, Any], float, float]] = [
    ("", {}, {}, 0.0, 0.0),
    (
        "late_commit=2 next_token marked_deletes unique_email notes_limit=500 "
        f"listed_fields={SHOWN.replace(' ', ',')}",
        {},
        {
            "listing_fields": sorted(SHOWN.split()),
            "notes_kept": 500,
            "cursor": "nextToken",
            "same_email": "refused",
            "delete": "marked",
        },
        0.0,
        2.0,
    ),
    (
        "replacing_update page_limit=7 batch_saves phone_kept empty_string_dropped real_total "
        "dot_last_name_kept updating_email empty_clears "
        # What no answer shows may be stored all the same.
        f"selects_always listed_fields=id,phone,{','.join(FIELDS)}",
        {"read_lag_seconds": 0.7},
        {
            "page_limit": 7,
            "total_is_page_size": False,
            "batch_saves": True,
            "phone": "kept",
            "empty_string": "dropped",
            "dot_last_name": "kept",
            "same_email": "updated",
            "update": {"partial": False, "null_clears": True, "empty_clears": True},
            "notes_kept": None,
            "not_measured": ["notes"],
        },
        0.7,
        0.7,
    ),
    (
        "hidden_deletes null_ignored phone_dropped empty_string_kept dot_last_name_dropped "
        "dropped_fields=headline,notes no_rate_headers short_listing",
        {},
        {
            "fields_kept": [name for name in FIELDS if name != "headline"],
            "notes_kept": False,
            "phone": "dropped",
            "empty_string": "kept",
            "dot_last_name": "dropped",
            "update": {"partial": True, "null_clears": False, "empty_clears": False},
            "delete": "hidden",
            "rate_limit": None,
        },
        0.0,
        0.0,
    ),
    (
        f"selects_always listed_fields={SHOWN.replace(' ', ',')}",
        {},
        {"notes_kept": None, "fields_kept": None, "not_measured": ["fields", "notes"]},
        0.0,
        0.0,
    ),
]


@pytest.fixture
def shell(
    sandbox: Callable[..., Sandbox], tmp_path: Any, monkeypatch: Any, capsys: Any
) -> Callable[..., InProcessCli]:
    """A factory: a shell with a sandbox that has one client of the user's."""

    def make(quirks: str = "", **options: Any) -> InProcessCli:
        # Without a latency it would answer before a request can be given up.
        how = {"latency_seconds": 0.02, "rate_limit": FAST, **options}
        stand_in = sandbox(contacts=0, quirks=quirks.split(), **how)
        users_client(stand_in)
        return InProcessCli(tmp_path, stand_in, monkeypatch, capsys)

    return make


def probe(cli: InProcessCli, code: int = 0, more: str = "--json") -> dict[str, Any]:
    done = cli.type(f"{PROBE} --wait {WAIT:g} {more}")
    assert done.code == code, done
    result: dict[str, Any] = json.loads(done.out.splitlines()[-1])
    assert (result["event"], result["command"], result["exit_code"]) == ("result", "probe", code)
    return result


def is_clean(sandbox: Sandbox) -> None:
    """Nothing of a probe is left, and nothing of the user's was touched."""
    assert left_by_probes(sandbox) == []
    assert is_users_own_there(sandbox)
    assert sandbox.foreign_writes == []


@pytest.mark.parametrize(
    ("quirks", "options", "otherwise", "lag", "late"),
    DESTINATIONS,
    ids=["by the guide", "late", "lagging", "hidden", "few fields"],
)
def test_it_finds_how_a_destination_behaves(shell, quirks, options, otherwise, lag, late):
    cli = shell(quirks, **options)
    if "no_rate_headers" in quirks:
        # Its own pace is what such a destination gets; a minute of it is too long for a test.
        cli.patch.setattr("migrator.probe.requests.PER_MINUTE", FAST)
    found = probe(cli)
    expected = {**FOUND_BY_THE_GUIDE, **otherwise}
    assert {key: found[key] for key in expected} == expected
    assert lag <= found["list_lag_s"] <= lag + TOLERANCE
    assert found["late_s"] is not None
    assert late <= found["late_s"] <= late + TOLERANCE
    assert 0 <= found["latency_ms"]["median"] <= found["latency_ms"]["max"] < 2_000
    is_clean(cli.sandbox)


def test_it_makes_no_more_requests_than_it_says(shell):
    cli = shell()
    done = cli.type(f"{PROBE} --wait {WAIT:g}")
    assert done.code == 0, done
    assert f"about {REQUESTS} requests, which takes about 2 minutes at 100 a minute" in done.err
    assert len(cli.sandbox.received) <= REQUESTS
    assert "What is a deleted lead?" in done.out


def test_without_a_terminal_it_has_to_be_told_yes(shell):
    cli = shell()
    stops(cli.type("probe"), ExitCode.USAGE, "no terminal to ask on", "migrator probe --yes")
    assert not cli.sandbox.received


def test_a_login_that_may_create_no_client_is_not_ready(shell):
    cli = shell()
    cli.sandbox.outage("/api/clients", 403, b'{"error": "no"}', method="POST")
    stops(cli.type(PROBE), ExitCode.NOT_READY, "did not create the client", "auth --status")
    is_clean(cli.sandbox)


def test_a_client_that_comes_after_all_is_removed_by_the_next_one(shell):
    cli = shell()
    cli.sandbox.outage("/api/clients", 503, b"{}", method="POST")
    stops(cli.type(PROBE), ExitCode.STOPPED_EARLY, "It may still do so", "later")
    [entries] = Path.home().glob(".local/state/migrator/probes/*.clients")
    [entry] = json.loads(entries.read_text("utf-8"))
    assert entry["client_id"] is None
    cli.sandbox.calm()
    late = cli.sandbox.create_client(entry["name"])
    probe(cli)
    assert left_by_probes(cli.sandbox) == []
    # No request created it, as far as the sandbox knows.
    assert cli.sandbox.foreign_writes == [late]


def test_what_cannot_be_measured_is_named_and_stops_nothing_else(shell):
    cli = shell()
    cli.sandbox.outage("/api/leads", 503, b"{}", method="PUT")
    done = cli.type(f"{PROBE} --wait {WAIT:g} --json")
    found = json.loads(done.out.splitlines()[-1])
    assert (done.code, found["not_measured"], found["update"]) == (0, ["update"], None)
    assert "Not measured: update, which tells what an update leaves alone" in done.err
    assert "(LeadGenius said 503" in done.err
    assert found["delete"] == "hard"
    is_clean(cli.sandbox)


def test_fields_that_no_read_shows_are_not_taken_for_lost(shell):
    found = probe(shell("short_listing selects_always"))
    assert (found["fields_kept"], found["notes_kept"]) == (None, None)
    assert found["not_measured"] == ["fields", "notes"]
    assert found["update"]["partial"]


@pytest.mark.parametrize(
    ("stored", "kept"),
    [
        ("Our contact's\nline", True),
        ("Our contact's\r\nline\n", True),
        ("Our contact's\n", 14),
        ("Our con...", 7),
        ("", False),
        ("Our contact&#39;s\nline", None),
        ("<p>Our contact's<br>line</p>", None),
    ],
)
def test_notes_that_are_changed_are_not_taken_for_cut(stored, kept):
    assert notes_kept("Our contact's\nline", stored) == kept


def test_a_service_that_takes_no_lead_ends_it_and_leaves_nothing(shell):
    cli = shell()
    cli.sandbox.outage("/api/leads", 503, b"{}", method="POST")
    stops(cli.type(f"{PROBE} --wait 1"), ExitCode.STOPPED_EARLY, "took none of", "Nothing of the")
    is_clean(cli.sandbox)


def test_what_cannot_be_removed_is_named_and_removed_by_the_next_one(shell):
    cli = shell()
    cli.sandbox.outage("/api/leads", 500, b"{}", method="DELETE")
    found = probe(cli, code=1)
    assert sorted(found["left_behind"]) == sorted(left_by_probes(cli.sandbox))
    assert found["not_measured"] == ["delete"]
    cli.sandbox.calm()
    assert probe(cli)["left_behind"] == []
    is_clean(cli.sandbox)


def test_what_is_left_is_told_also_if_nobody_reads_the_result(shell, monkeypatch):
    cli = shell()
    cli.sandbox.outage("/api/leads", 500, b"{}", method="DELETE")
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stdout, monkeypatch.context() as streams:
        streams.setattr(sys, "stdout", stdout)
        done = cli.type(f"{PROBE} --wait {WAIT:g}")
    assert done.code == ExitCode.NEEDS_ATTENTION
    assert all(lead_id in done.err for lead_id in left_by_probes(cli.sandbox))


def test_what_an_earlier_one_left_is_named_while_it_cannot_be_removed(shell):
    cli = shell()
    cli.sandbox.outage("/api/clients", 500, b"{}", method="DELETE")
    (earlier,) = probe(cli, code=1)["left_behind"]
    cli.sandbox.calm()
    cli.sandbox.fault("list_error", times=99, where=lambda query: query.get("client_id") == earlier)
    assert probe(cli, code=1)["left_behind"] == [earlier]
    cli.sandbox.calm()
    assert probe(cli)["left_behind"] == []
    is_clean(cli.sandbox)


def test_a_client_whose_delete_leads_to_nothing_is_named(shell):
    cli = shell()
    # As a service answers to a call that it does not offer.
    cli.sandbox.outage("/api/clients", 404, b'{"error": "no such route"}', method="DELETE")
    found = probe(cli, code=1)
    assert found["left_behind"] == left_by_probes(cli.sandbox)
    cli.sandbox.calm()
    assert probe(cli)["left_behind"] == []
    is_clean(cli.sandbox)


@pytest.mark.parametrize("does_delete", [True, False])
def test_leads_that_are_never_listed_are_deleted_or_named(shell, does_delete):
    cli = shell()
    cli.sandbox.outage("/api/leads", 200, b'{"success": true, "leads": []}', method="GET")
    if not does_delete:
        cli.sandbox.outage("/api/leads", 500, b"{}", method="DELETE")
    found = json.loads(cli.type(f"{PROBE} --wait 1 --json").out.splitlines()[-1])
    assert sends(cli.sandbox) > 10
    assert sorted(found["left_behind"]) == sorted(left_by_probes(cli.sandbox))
    assert bool(found["left_behind"]) is not does_delete
    assert found["exit_code"] == (0 if does_delete else 1)


def test_a_client_that_is_never_listed_is_deleted_all_the_same(shell):
    cli = shell()
    cli.sandbox.outage("/api/clients", 200, b'{"success": true, "clients": []}', method="GET")
    assert probe(cli)["left_behind"] == []
    is_clean(cli.sandbox)


def test_a_client_that_was_there_before_is_not_taken_for_its_own(shell):
    cli = shell()
    users = next(one for one in cli.sandbox.clients if one["clientName"] == USERS_NAME)
    answer = json.dumps({"success": True, "client": users}).encode()
    cli.sandbox.outage("/api/clients", 201, answer, method="POST")
    stops(cli.type(PROBE), ExitCode.STOPPED_EARLY, "one that was there before", "later")
    assert is_users_own_there(cli.sandbox)
    assert not sends(cli.sandbox)


def test_of_an_odd_record_of_clients_what_can_be_understood_is_removed(shell):
    cli = shell()
    client = cli.sandbox.create_client("somebody's")
    entries = [
        1,
        {"token": "0", "name": "x", "began": "yesterday"},
        {"token": "1", "name": "y", "began": 0, "client_id": client, "of_a_newer_version": True},
    ]
    with hold_probe_clients(state_folder(os.environ), cli.sandbox.url):
        [record] = (state_folder(os.environ) / "probes").glob("*.lock")
    record.with_suffix(".clients").write_text(json.dumps(entries))
    assert probe(cli)["left_behind"] == []
    assert client not in {one["client_id"] for one in cli.sandbox.clients}


def sends(sandbox: Sandbox) -> int:
    """How many leads were sent."""
    return sum((one.method, one.path) == ("POST", "/api/leads") for one in sandbox.received)


def test_a_signal_ends_it_and_leaves_nothing(sandbox, tmp_path):
    stand_in = sandbox(contacts=0, rate_limit=FAST, quirks=["late_commit=2.5"])
    users_client(stand_in)
    process = Operator(tmp_path, stand_in).start(f"{PROBE} --wait {WAIT:g}")
    # Two were given up by then, and have not landed.
    eventually(lambda: sends(stand_in) >= 12, "leads that are given up")
    process.send_signal(signal.SIGINT)
    done = ended(process)
    assert done.code == 128 + signal.SIGINT
    assert "Nothing of the probe is left" in done.err
    created = [change for change in stand_in.history if change.kind == "create"]
    assert len([one for one in created if one.is_of_tool]) == sends(stand_in)
    is_clean(stand_in)


def test_after_kills_at_its_creation_in_its_middle_and_in_its_removal_nothing_is_left(
    sandbox, tmp_path
):
    stand_in = sandbox(contacts=0, rate_limit=FAST, quirks=["late_commit=1"])
    users_client(stand_in)
    operator = Operator(tmp_path, stand_in)
    command = f"{PROBE} --wait {WAIT:g}"
    clients = len(stand_in.clients)
    for is_time in (
        lambda: len(stand_in.clients) > clients,
        lambda: sends(stand_in) >= 15,
        lambda: sum(one.method == "DELETE" for one in stand_in.received) >= 5,
    ):
        process = operator.start(command)
        eventually(is_time, "the moment of the kill")
        kill(process)
    assert len(stand_in.clients) == clients + 3
    done = ended(operator.start(command))
    assert done.code == 0, done
    assert done.err.count("that an earlier probe left") == 3
    is_clean(stand_in)


@contextmanager
def held_probe(operator: Operator) -> Iterator[None]:
    """A probe is under way meanwhile."""
    process = operator.start(f"{PROBE} --wait {WAIT:g}")
    try:
        eventually(lambda: len(operator.sandbox.held) > 1, "a lead")
        yield
        assert ended(process).code == 0
    finally:
        kill(process)


def test_two_at_once_exclude_each_other(shell, tmp_path):
    cli = shell()
    cli.patch.setattr("migrator.probe.record.LOCK_SECONDS", 0.1)
    with held_probe(Operator(tmp_path, cli.sandbox)):
        stops(cli.type(PROBE), ExitCode.BUSY, "running already")
    is_clean(cli.sandbox)


def marked(sandbox: Sandbox, hours: float, *leads: dict[str, str]) -> str:
    """A client that a probe elsewhere made so many hours ago; its client_id."""
    made = (datetime.now(UTC) - timedelta(hours=hours)).timestamp()
    described = client_description("0123abcd", made)
    client = sandbox.create_client(f"migrator probe {hours}", description=described)
    for lead in leads:
        sandbox.add_lead({**lead, "client_id": client})
    return client


def test_of_probes_elsewhere_it_removes_only_what_is_old_and_all_their_own(shell):
    cli = shell()
    ours = person("0123abcd", 1)
    old = marked(cli.sandbox, 1.1, ours)
    young = marked(cli.sandbox, 0.9, ours)
    used = marked(cli.sandbox, 2, ours, {**ours, "email": "grace@example.com"})
    done = cli.type(f"{PROBE} --wait {WAIT:g}")
    assert done.code == 0, done
    clients = {one["client_id"] for one in cli.sandbox.clients}
    assert old not in clients
    assert {young, used} <= clients
    assert [len(cli.sandbox.leads(one)) for one in (old, young, used)] == [0, 1, 2]
    assert f"The client {young} is left: a probe elsewhere made it" in done.err
    assert f"The client {used} of an earlier probe is left: it has leads that no probe" in done.err


def test_a_lead_that_a_person_adds_to_its_client_is_kept_with_the_client(shell):
    cli = shell()

    def add(client: str) -> None:
        cli.sandbox.add_lead({**person("0", 1), "email": "grace@example.com", "client_id": client})

    def watch() -> None:
        eventually(lambda: len(cli.sandbox.clients) > 2, "the probe's client")
        add(cli.sandbox.clients[-1]["client_id"])

    thread = threading.Thread(target=watch)
    thread.start()
    found = probe(cli, code=1)
    thread.join()
    [lead] = [one for one in cli.sandbox.held if one["email"] == "grace@example.com"]
    assert found["left_behind"] == [lead["id"], lead["client_id"]]


def test_what_it_found_is_kept_and_compared_by_the_next_one(shell):
    cli = shell()
    assert probe(cli)["changes"] == []
    cli.sandbox.change_quirks("short_listing")
    cli.type("stage")
    changes = probe(cli)["changes"]
    today = datetime.now(UTC).date()
    assert changes[0].startswith(f"since {today} the listing no longer shows city, ")
    assert cli.ask("SELECT count(*) FROM probe") == [(1,)]


def test_a_client_that_no_probe_made_is_never_written_to(shell):
    cli = shell()
    leadgenius, _ = open_leadgenius(load({}, os.environ, cli.folder))
    requests = ProbeRequests(leadgenius, Pauses(Signals()), lambda made: None)
    client = next(one for one in requests.clients() if one.name == USERS_NAME)
    [lead] = cli.sandbox.leads(client.client_id)
    for write in (
        lambda: requests.create(client.client_id, person("0123abcd", 1)),
        lambda: requests.create_batch(client.client_id, []),
        lambda: requests.update(lead["id"], {}),
        lambda: requests.delete(lead["id"]),
        lambda: requests.delete_client(client),
    ):
        with pytest.raises(RuntimeError, match="the probe did not make"):
            write()
    # Nor are leads of others in a client that it made.
    requests.take_on(client)
    requests.pages(client.client_id)
    with pytest.raises(RuntimeError, match="the probe did not make"):
        requests.delete(lead["id"])
    assert is_users_own_there(cli.sandbox)


def test_each_experiment_is_called_otherwise():
    assert len({one.name for one in EXPERIMENTS}) == len(EXPERIMENTS)


BEFORE = Findings(
    listing_fields=("email", "notes"),
    late_s=2.0,
    phone="error",
    update={"partial": True, "null_clears": None},
)


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ({}, []),
        ({"listing_fields": ("email",)}, ["the listing no longer shows notes"]),
        (
            {"listing_fields": ("email", "notes", "city", "title")},
            ["the listing also shows city, title"],
        ),
        ({"late_s": 3.9}, []),
        (
            {"late_s": 9.0},
            ["the time until a request that was given up lands is 9.0 s, and no longer 2.0 s"],
        ),
        (
            {"late_s": None},
            ["the time until a request that was given up lands is not seen, and no longer 2.0 s"],
        ),
        ({"late_s": None, "not_measured": ("late",)}, []),
        (
            {"phone": "kept"},
            ["what a field called phone comes to is kept, and no longer error"],
        ),
        (
            {"update": {"partial": False, "null_clears": True}},
            ["whether an update leaves other fields alone is no, and no longer yes"],
        ),
    ],
)
def test_what_changed_since_the_last_one_is_said(changes, sentences):
    before = ProbeRecord("https://example.com", 1_772_323_200_000, BEFORE)
    found = since_last(before, replace(BEFORE, **changes))
    assert found == [f"since 2026-03-01 {one}" for one in sentences]
