"""`migrator probe` against sandboxes that behave as different destinations."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from benchmarks.probe import PROBE, left_by_probes, is_users_own_there, users_client
from migrator.errors import ExitCode
from migrator.findings import Findings, ProbeRecord
from migrator.mapping import FIELDS
from migrator.probe import EXPERIMENTS, since_last
from migrator.probe.people import client_description, person
from migrator.sandbox import Sandbox
from tests.support.inprocess_cli import InProcessCli
from tests.support.processes import Operator, ended, eventually, kill

# The pace follows the headers, so a probe of this limit does not wait for its turn.
FAST = 100_000
WAIT = 4.0
# What a listing adds to a measured time: the time between two of them, on a busy machine.
TOLERANCE = 1.5
BY_THE_GUIDE: dict[str, Any] = {
    "fields_kept": list(FIELDS),
    "notes_kept": True,
    "page_limit": None,
    "cursor": "lastKey",
    "total_is_page_size": True,
    "batch_saves": False,
    "phone": "error",
    "empty_string": "error",
    "dot_last_name": "error",
    "same_email": "second_lead",
    "rate_limit": FAST,
    "update": {"partial": True, "null_clears": True, "empty_clears": False},
    "delete": "hard",
    "left_behind": [],
    "not_measured": [],
    "settle_s": 60,
}
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
        "dot_last_name_kept updating_email empty_clears",
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
    ids=["by the guide", "late", "lagging", "hidden"],
)
def test_it_finds_how_a_destination_behaves(shell, quirks, options, otherwise, lag, late):
    cli = shell(quirks, **options)
    if "no_rate_headers" in quirks:
        # Its own pace is what such a destination gets; a minute of it is too long for a test.
        cli.patch.setattr("migrator.probe.requests.PER_MINUTE", FAST)
    found = probe(cli)
    expected = {**BY_THE_GUIDE, **otherwise}
    assert {key: found[key] for key in expected} == expected
    assert lag <= found["list_lag_s"] <= lag + TOLERANCE
    assert found["late_s"] is not None
    assert late <= found["late_s"] <= late + TOLERANCE
    assert 0 <= found["latency_ms"]["median"] <= found["latency_ms"]["max"] < 2_000
    is_clean(cli.sandbox)
