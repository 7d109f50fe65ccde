"""A number has one name and one label: in the result line, the report, the JSON and the states."""

import json
import re
from dataclasses import fields
from typing import Any

import pytest

from migrator.counters import PushCounters, StageCounters, VerifyCounters, counters_of
from tests.support.inprocess_cli import PUSH, VERIFY, InProcessCli
from tests.support.journeys import contact


def numbers(line: str) -> dict[str, int]:
    """{"posted": 12, ...} of "12 posted · ..."; a noun behind the number counts as its label."""
    found = re.findall(r"([\d,]+) ([^·;\n]+)", line)
    return {label.strip(): int(number.replace(",", "")) for number, label in found}


def reported(shell: InProcessCli) -> dict[str, Any]:
    return dict(json.loads(shell.type("report --json").out))


def row(shell: InProcessCli, command: str) -> dict[str, int]:
    """What `report` says that a command did."""
    found = re.search(rf" {command} .*: (\d.*)", shell.type("report").out)
    assert found is not None
    return numbers(found[1])


@pytest.fixture
def mixed(empty: InProcessCli) -> InProcessCli:
    """Ten contacts: two without an e-mail, one with an invalid one, two with an earlier one's."""
    people = [contact(number) for number in range(5)]
    people += [contact(0), contact(1), contact(5, email=""), contact(6, email="")]
    for person in [*people, contact(7, email="no address")]:
        empty.sandbox.add_contact(person)
    return empty


def test_what_each_command_says_is_what_the_report_says(mixed, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    staged = numbers(mixed.type("stage").out)
    report = reported(mixed)
    held = sum(one["contacts"] for one in report["held"].values())
    assert (staged["held"], staged["ready to send"]) == (held, report["states"]["mapped"]["free"])
    assert held == 5
    counters = report["runs"][0]["counters"]
    assert staged["contacts read"] == counters["given"] == report["sums"]["given"] == 10
    # Duplicates have a lead that is not sent, so they are mapped and held.
    assert (staged["mapped"], staged["without a usable e-mail"]) == (7, 3)
    assert (counters["mapped"], counters["rejected"]) == (7, 3)
    assert row(mixed, "stage").items() <= staged.items()

    mixed.sandbox.fault("drop_before_saving", times=1)
    mixed.sandbox.fault("drop_after_saving", times=1)
    done = mixed.type(PUSH)
    pushed, report = numbers(done.out), reported(mixed)
    assert pushed["posted"] == report["states"]["posted"]["total"] == 5
    counters = report["runs"][0]["counters"]
    assert pushed["of them after a doubt"] == counters["found"] == 1
    assert pushed["uncertain send had not arrived"] == counters["absent"] == 1
    assert row(mixed, "push") == pushed
    assert f"push: 5 of 5 posted · {done.out.strip().split(' · ')[-1]}" in done.err

    mixed.sandbox.delete_lead(mixed.sandbox.held[0]["id"])
    verified, report = numbers(mixed.type(VERIFY).out), reported(mixed)
    assert verified["newly verified"] == report["states"]["verified"]["total"] == 4
    assert verified["missing"] == report["held"]["missing"]["contacts"] == 1
    assert row(mixed, "verify").items() <= verified.items()


def test_a_second_verification_says_that_it_verified_nothing_new(three):
    three.type(PUSH)
    three.type(VERIFY)
    assert three.type(VERIFY).out.startswith("0 newly verified · 0 missing")
    assert reported(three)["states"]["verified"]["total"] == 3


@pytest.mark.parametrize("counters", [StageCounters, PushCounters, VerifyCounters])
def test_every_number_that_is_stored_is_read_back(counters):
    names = [one.name for one in fields(counters) if one.metadata]
    stored = counters(**{name: at for at, name in enumerate(names, 1)}).counters()
    assert counters.read({**stored, "other": 9}).counters() == stored


def test_a_command_without_counters_shows_none():
    assert list(counters_of("later", {"posted": 1}).parts(zeros=True)) == []
