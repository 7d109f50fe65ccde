"""
The wall clock of the machine jumps by hours, both ways, while a command works: nothing hangs on it.

The clock is Python's, as the process sees it; the database has one of its own for its history.
"""

from dataclasses import replace

import pytest

from benchmarks.judge import judge
from tests.support.hostile_process import deceived
from tests.support.processes import Operator

SETTLE = 1.0
OPTIONS = f"--rate max --workers 4 --settle {SETTLE:g} --timeout 0.5 --canary 0"
HOURS = 5 * 3600
WRONG = {
    "ahead": f"{HOURS}",
    "behind": f"-{HOURS}",
    "jumps ahead": f"{HOURS} * int((time.monotonic() - began) * 4)",
    "jumps back": f"-{HOURS} * int((time.monotonic() - began) * 4)",
    "jumps both ways": f"(0, {HOURS}, -{HOURS})[int(time.monotonic() * 4) % 3]",
}


def with_clock(operator: Operator, wrong: str) -> Operator:
    return replace(
        operator,
        command=deceived(
            "seconds, nanoseconds, began = time.time, time.time_ns, time.monotonic()\n"
            f"time.time = lambda: seconds() + {wrong}\n"
            f"time.time_ns = lambda: nanoseconds() + {wrong} * 10**9"
        ),
    )


@pytest.mark.parametrize("clock", ["jumps ahead", "jumps back", "jumps both ways"])
def test_settle_is_as_long_as_it_says_and_tokens_are_renewed(sandbox, tmp_path, clock):
    operator = Operator(tmp_path, sandbox(contacts=40, token_seconds=1))
    wrong = with_clock(operator, WRONG[clock])
    operator.stage()
    operator.sandbox.fault("drop_before_saving", times=4)
    operator.sandbox.fault("drop_after_saving", times=4)
    pushed = wrong.run(f"push {OPTIONS}")
    assert pushed.code == 0, pushed
    judge(operator.sandbox, operator.ledger, SETTLE)
    logins = [one for one in operator.sandbox.received if one.path.startswith("/api/auth")]
    assert len(logins) > 1


@pytest.mark.parametrize("clock", ["ahead", "behind"])
def test_a_stored_token_of_another_hour_is_used_or_renewed(sandbox, tmp_path, clock):
    operator = Operator(tmp_path, sandbox(contacts=10))
    wrong = with_clock(operator, WRONG[clock])
    assert operator.run("auth").code == 0
    operator.stage()
    operator.sandbox.expire_tokens()
    nothing_else = {"LEADGENIUS_PASSWORD": "", "LEADGENIUS_EMAIL": ""}
    pushed = wrong.run(f"push {OPTIONS}", **nothing_else)
    assert pushed.code == 0, pushed
    judge(operator.sandbox, operator.ledger, SETTLE)


@pytest.mark.parametrize("clock", ["ahead", "behind"])
def test_a_limit_that_is_told_by_the_hour_stops_nothing(sandbox, tmp_path, clock):
    # This service tells the time of its reset, and no `Date` to measure it by.
    operator = Operator(tmp_path, sandbox(contacts=24, rate_limit=10, rate_window_seconds=1))
    operator.stage()
    options = OPTIONS.replace("--rate max", "--rate auto")
    pushed = with_clock(operator, WRONG[clock]).run(f"push {options}")
    assert pushed.code == 0, pushed
    judge(operator.sandbox, operator.ledger, SETTLE)


@pytest.mark.parametrize("clock", ["ahead", "behind"])
def test_a_report_shows_no_run_shorter_than_nothing(sandbox, tmp_path, clock):
    operator = Operator(tmp_path, sandbox(contacts=10))
    wrong = with_clock(operator, WRONG[clock])
    assert wrong.run("stage -q").code == 0
    assert wrong.run(f"push {OPTIONS}").code == 0
    report = operator.run("report")
    assert report.code == 0
    took = [line.split()[3:5] for line in report.out.splitlines() if " done" in line]
    assert len(took) == 2
    assert "-" not in str(took)
    assert ("?" in str(took)) == (clock == "behind")
