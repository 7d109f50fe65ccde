"""The measures themselves, in short, so that they cannot rot; `python -m benchmarks` is the run."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from benchmarks import daily_round, million
from benchmarks.__main__ import PAGE
from benchmarks.cases import QUICK, Bench, stage
from benchmarks.end_to_end import random_kills
from benchmarks.measuring import Failed, Running, run
from benchmarks.pages import COMMANDS
from benchmarks.table import Row, table, write_between
from benchmarks.workspace import ROOT, Stand, Workplace, own_environment

LEAD = {"firstName": "Ada", "lastName": "Hopper", "email": "ada@example.com"}


@pytest.mark.parametrize(
    ("measured", "verdict"), [(1.4, "aim met"), (1.6, "target met"), (2.1, "MISSED")]
)
def test_a_ratio_is_judged_by_its_target_and_its_aim(measured, verdict):
    row = Row("stage", 10 * measured, "s", 10.0, target=2.0, aim=1.5)
    assert row.judged == pytest.approx(measured)
    assert row.verdict == verdict


@pytest.mark.parametrize(
    ("measured", "verdict"), [(99, "aim met"), (96, "target met"), (94, "MISSED")]
)
def test_where_more_is_better_less_is_missed(measured, verdict):
    row = Row("push", measured, "/s", 100.0, target=0.95, aim=0.98, at_least=True)
    assert row.verdict == verdict
    assert f"| {measured}.0% | ≥ 95.0% | ≥ 98.0% | {verdict}" in " ".join(table([row]).split())


def test_a_start_is_judged_by_what_it_takes_longer_than_nothing():
    row = Row("help", 110.0, "ms", 50.0, "difference", target=120, aim=60)
    assert (row.judged, row.verdict) == (60.0, "aim met")
    assert "+60 ms" in table([row])


def test_what_has_no_target_has_no_verdict():
    assert Row("report", 0.5, "s").verdict == ""


def test_a_process_is_charged_for_its_work_and_its_memory(tmp_path):
    work = (
        "import time\nheld = b'x' * 400_000_000\n"
        "while time.process_time() < 0.2: pass\nprint('done')"
    )
    cost = run([sys.executable, "-c", work], tmp_path, own_environment())
    assert cost.out == "done\n"
    assert cost.cpu_seconds >= 0.2
    # More than the process that it is forked from has.
    assert 380 < cost.peak_mb < 500


@pytest.mark.skipif(sys.platform != "linux", reason="it asks glibc")
def test_a_watched_process_says_what_it_has_in_use(tmp_path):
    words = [sys.executable, str(ROOT / "benchmarks" / "memory.py"), "--watched", "--version"]
    version, sizes = run(words, tmp_path, own_environment()).out.splitlines()
    seen = json.loads(sizes)
    assert version.startswith("migrator ")
    assert 1 < seen["in_use"] < seen["held"] < seen["resident"] < 100
    assert seen["objects"] > 10_000


def test_a_process_that_fails_is_no_measurement(tmp_path):
    with pytest.raises(Failed, match="ended with 3: no"):
        words = [sys.executable, "-c", "import sys; sys.stderr.write('no'); sys.exit(3)"]
        run(words, tmp_path, own_environment())


def test_a_process_that_is_killed_says_so(tmp_path):
    running = Running([sys.executable, "-c", "while True: pass"], tmp_path, {})
    assert running.wait_for(0.01)
    assert running.kill().code == -9
    assert not running.wait_for(0)


def test_who_measures_is_small_itself():
    """The kernel counts the memory of who starts a process as that process's own."""
    ask = "import sys, benchmarks.__main__, benchmarks.million; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "benchmarks.scale" in loaded
    assert not loaded & {"sqlalchemy", "requests", "rich", "migrator.sandbox"}


def test_what_was_started_in_any_session_can_be_killed():
    script = """
import os, subprocess
from benchmarks import process_tree
process_tree.adopt_orphans()
process_tree.Path("/proc/self/comm").write_bytes(b"no UTF-8 \\xff")
subprocess.run(["sh", "-c", "setsid sleep 1000 & setsid sh -c 'sleep 1000; true' &"], check=True)
def sleeping():
    return len(process_tree.working_in(process_tree.Path.cwd(), "1000"))
while (number := sleeping()) < 2:
    pass
process_tree.kill_all()
print(number, sleeping(), process_tree.descendants(os.getpid()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "2 0 []\n", done.stderr


def test_staging_is_measured_beside_its_barest_form(tmp_path):
    told: list[str] = []
    bench = Bench(tmp_path, replace(QUICK, stage=120), told.append)
    (row,) = stage(bench)
    assert told == ["stage: round 1"]
    assert row.reference is not None
    assert row.judged == row.measured / row.reference
    assert row.cpu is not None
    assert row.disk_bytes is not None
    assert row.disk_bytes > 100 * 120


def test_the_bare_pool_sends_what_it_is_given_and_the_stand_in_tells_of_it(tmp_path):
    with Stand(1) as stand:
        place = Workplace(tmp_path / "bare", stand)
        leads = [{**LEAD, "client_id": stand.environment["LEADGENIUS_CLIENT_ID"]}] * 3
        bodies = tmp_path / "bodies"
        bodies.write_text("\n".join(map(json.dumps, leads)) + "\n")
        assert place.reference("push", bodies, 2).out == "3\n"
        assert stand.ask("sends 0.34")["sends"] == 3
        assert stand.ask("requests") == {"requests": 4}
        assert stand.ask("traffic")["paths"] == {"POST /api/auth": 1, "POST /api/leads": 3}
        assert isinstance(stand.ask("first POST 1")["at"], float)
        assert stand.ask("first POST 4") == stand.ask("first GET 0") == {"at": None}
        assert (stand.ask("verdict")["ok"], stand.ask("verdict")["strange"]) == (False, 3)


@pytest.mark.parametrize("seed", range(20))
def test_kills_come_anywhere_but_never_after_the_last_send(seed):
    kills = random_kills(1000, 3, seed)
    assert len(kills) == 3
    assert min(kills) >= 1
    assert sum(kills) < 1000


def test_a_page_keeps_all_but_what_stands_between_its_comments(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nafter\n")
    write_between(page, "figures", "new")
    assert page.read_text() == (
        "before\n<!-- figures: begin -->\n\nnew\n\n<!-- figures: end -->\nafter\n"
    )
    with pytest.raises(ValueError, match="has no <!-- peers: begin -->"):
        write_between(page, "peers", "new")


@pytest.mark.parametrize("name", ["figures", "million", "daily", "peers"])
def test_the_page_of_figures_has_a_place_for_each_table(name, tmp_path):
    copy = tmp_path / "performance.md"
    copy.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    write_between(copy, name, "| a table |")
    assert "| a table |" in copy.read_text(encoding="utf-8")


def test_every_table_of_the_pages_is_made_by_a_command_that_can_write_it():
    text = PAGE.read_text("utf-8") + PAGE.with_name("reliability.md").read_text("utf-8")
    assert sorted(re.findall("<!-- (.*): begin -->", text)) == sorted(COMMANDS)
    for words in COMMANDS.values():
        name, *options = words.split()
        module = ROOT / name.replace(".", "/")
        source = module.with_suffix(".py") if "." in name else module / "__main__.py"
        assert {one for one in options if one[0] == "-"} <= set(
            re.findall(r'"(--[a-z-]+)"', source.read_text("utf-8"))
        )


def test_the_journey_of_a_million_tells_each_process_and_the_verdict():
    phase = {
        "words": "push -q", "verb": "push", "seconds": 61.0, "cpu_seconds": 4.0, "peak_mb": 57.5,
        "requests": 12, "largest_bytes": 3_000_000, "bytes_after": 2_000_000, "is_killed": True,
    }  # fmt: skip
    verdict = {
        "ok": False, "sendable": 10, "held_leads": 11, "lost": 0, "duplicated": 1, "wrong": 0,
        "strange": 0,
    }  # fmt: skip
    text = million.as_markdown(
        {"contacts": 10, "sends": 11, "seed": 7, "phases": [phase], "verdict": verdict}
    )
    assert "**0 lost, 1 there twice, 0 wrong, 0 strange**" in text
    line = next(line for line in text.splitlines() if "(killed)" in line)
    assert [cell.strip() for cell in line.split("|")[1:-1]] == [
        "`push -q` (killed)", "1 min 1 s", "4.0", "57.5", "12", "2.0", "3.0",
    ]  # fmt: skip


def test_a_daily_round_names_each_request_that_it_does_not_need():
    needed = {
        "stage": {"contacts": 31},
        "push": {},
        "update": {"listing": 6, "PUT": 30},
        "verify": {"listing": 3},
    }
    phases: list[dict[str, Any]] = [
        {"words": verb, "seconds": 2.0, "requests": {**dict.fromkeys(KINDS, 0), **made}}
        for verb, made in needed.items()
    ]
    told = {"contacts": 3_000, "leads": 2_900, "changed": 30, "phases": phases}
    assert list(daily_round.surplus(told)) == []
    phases[1]["requests"]["listing"] = 1
    phases[2]["requests"]["PUT"] = 29
    assert list(daily_round.surplus(told)) == [
        "push: 1 requests of the kind listing, not 0",
        "30 contacts changed, and 29 were sent",
    ]


KINDS = ("contacts", "companies", "listing", "PUT", "POST", "other")
