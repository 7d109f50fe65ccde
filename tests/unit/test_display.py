"""What a running command displays: on a terminal, on a pipe, and on one that is closed."""

import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from migrator.progress import Display, Snapshot
from migrator.progress.display import FRAMES_A_SECOND, LINE_EVERY_SECONDS
from migrator.progress.render import packed
from migrator.progress.state import ProgressTracker, Wait, as_json
from migrator.streams import redirect_to_devnull
from tests import ROOT

PUSH: dict[str, Any] = {
    "adopted": 0,
    "posted": 0,
    "found": 0,
    "absent": 0,
    "refused": 0,
    "denied": 0,
    "throttled": 0,
    "unsent": 0,
    "gave_up": 0,
    "in_flight": 0,
    "in_doubt": 0,
    "to_send": 1_000,
    "total": 1_000,
    "allowed_per_minute": 400.0,
    "waiting_for": None,
    "waiting_seconds": None,
}
STAGE: dict[str, Any] = {
    "pages": 3,
    "given": 300,
    "new": 200,
    "changed": 0,
    "changed_since_sent": 0,
    "gone": 0,
    "mapped": 100,
    "rejected": 0,
    "freed": 0,
}
ESCAPE = "\x1b"


class Terminal(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


class Now:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now() -> Now:
    return Now()


def display(stream: Any, now: Now | None = None, **options: Any) -> Display:
    environ = options.pop("environ", {"TERM": "xterm", "COLUMNS": "80"})
    return Display(stream, environ=environ, clock=now or Now(), **options)


def of(command: str, told: Mapping[str, Any], **more: Any) -> Snapshot:
    return Snapshot.of(command, told, **more)


def pushed(display: Display, now: Now, seconds: int, a_second: int) -> None:
    """Let a push of a thousand contacts run for some seconds."""
    for second in range(seconds + 1):
        display.show(of("push", {**PUSH, "posted": second * a_second}))
        now.seconds += 1.0


# Display and errors


def test_what_is_said_is_a_line() -> None:
    stream = io.StringIO()
    display(stream).say("contact 1 has several leads")
    assert stream.getvalue() == "contact 1 has several leads\n"


def test_a_long_line_is_not_broken() -> None:
    stream = io.StringIO()
    display(stream).say("word " * 100)
    assert stream.getvalue().count("\n") == 1


def test_an_error_names_the_next_command() -> None:
    stream = io.StringIO()
    display(stream).error("The disk is full.", "migrator push --resume")
    assert stream.getvalue() == "error: The disk is full.\nnext: migrator push --resume\n"


def test_the_lines_of_an_error_cannot_pass_for_its_hint() -> None:
    stream = io.StringIO()
    display(stream).error("One fault.\nnext: rm -rf /", "set both")
    assert stream.getvalue() == "error: One fault.\n  next: rm -rf /\nnext: set both\n"


@pytest.mark.parametrize("evil", ["\x1b[31m", "\x9b2J", "\x07", "\u202e", "\r", "\x00"])
def test_nothing_that_is_said_can_steer_the_terminal(evil: str) -> None:
    stream = io.StringIO()
    display(stream).error(f"No{evil}pe", f"go{evil}on")
    display(stream).say(f"well{evil}well")
    display(stream).show(of("push", {**PUSH, "waiting_for": f"one{evil}two"}))
    assert evil not in stream.getvalue()


def test_nothing_that_is_said_is_markup() -> None:
    stream = io.StringIO()
    display(stream).say("[red]x[/red] :smile: [/]")
    display(stream).error("[bold]x", "[/nonsense]")
    assert stream.getvalue() == ("[red]x[/red] :smile: [/]\nerror: [bold]x\nnext: [/nonsense]\n")


def test_quiet_says_nothing_but_errors(now: Now) -> None:
    stream = Terminal()
    with display(stream, now, quiet=True) as quiet:
        quiet.say("hello")
        pushed(quiet, now, seconds=20, a_second=5)
    assert stream.getvalue() == ""
    quiet.error("No.", "yes")
    assert "No." in stream.getvalue()


# Lines


def test_a_pipe_gets_a_line_now_and_then(now: Now) -> None:
    stream = io.StringIO()
    with display(stream, now) as plain:
        for _ in range(1_000):
            plain.show(of("stage", {**STAGE, "given": int(now.seconds)}))
            now.seconds += 0.02
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1 + int(20 // LINE_EVERY_SECONDS)


def test_the_last_state_remains(now: Now) -> None:
    stream = io.StringIO()
    with display(stream, now) as plain:
        plain.show(of("stage", {**STAGE, "given": 1}))
        plain.show(of("stage", {**STAGE, "given": 2}))
    assert stream.getvalue().splitlines()[-1].startswith("stage: 2 contacts read")


def test_a_line_that_says_nothing_new_is_not_repeated(now: Now) -> None:
    stream = io.StringIO()
    with display(stream, now) as plain:
        plain.show(of("stage", STAGE))
    assert stream.getvalue() == "stage: 300 contacts read · 200 new · 100 mapped\n"


def test_the_numbers_are_those_of_the_moment(now: Now) -> None:
    stream, counters = io.StringIO(), dict(STAGE)
    with display(stream, now) as plain:
        plain.show(of("stage", counters))
        counters["given"] = 99
    assert "99" not in stream.getvalue()


def test_what_did_not_happen_is_not_counted(now: Now) -> None:
    stream = io.StringIO()
    display(stream, now).show(of("stage", {**STAGE, "changed": 4}))
    assert "4 changed" in stream.getvalue()
    assert "held" not in stream.getvalue()


def test_a_verification_counts_leads(now: Now) -> None:
    stream = io.StringIO()
    waiting: dict[str, Any] = {
        "pages": 2,
        "leads": 1_500,
        "strangers": 3,
        "total": 1_503,
        "waiting_for": "2 not listed yet",
    }
    display(stream, now).show(of("verify", waiting))
    told = "1,500 of 1,503 leads compared · 3 leads of others · waiting for 2 not listed yet"
    assert stream.getvalue() == f"verify: {told}\n"


def test_a_push_shows_its_pace_and_the_time_left(now: Now) -> None:
    stream = io.StringIO()
    with display(stream, now) as plain:
        pushed(plain, now, seconds=11, a_second=5)
    assert "50 of 1,000 posted · 300 a minute (400 allowed) · 0:03:10 left" in stream.getvalue()


def test_a_push_that_just_began_tells_only_what_it_may(now: Now) -> None:
    stream = io.StringIO()
    with display(stream, now) as plain:
        pushed(plain, now, seconds=3, a_second=5)
    assert stream.getvalue().startswith("push: 0 of 1,000 posted · up to 400 a minute\n")
    assert "left" not in stream.getvalue()


def test_a_push_as_fast_as_answers_come_has_no_pace_to_begin_with(now: Now) -> None:
    stream = io.StringIO()
    display(stream, now).show(of("push", {**PUSH, "allowed_per_minute": None}))
    assert stream.getvalue() == "push: 0 of 1,000 posted\n"


def test_a_push_names_what_needs_attention(now: Now) -> None:
    stream = io.StringIO()
    trouble: dict[str, Any] = {
        "in_doubt": 3,
        "refused": 2,
        "gave_up": 1,
        "waiting_for": "sends in flight",
    }
    display(stream, now).show(of("push", {**PUSH, **trouble}))
    assert "2 refused · 1 given up · 3 in doubt · waiting for sends in flight" in stream.getvalue()


def test_the_last_line_waits_for_nothing(now: Now) -> None:
    stream = io.StringIO()
    with display(stream, now) as plain:
        plain.show(of("push", {**PUSH, "posted": 1, "waiting_for": "an answer"}))
    assert stream.getvalue().splitlines()[-1] == "push: 1 of 1,000 posted"


def test_another_verb_begins_a_line_of_its_own(now: Now) -> None:
    stream = io.StringIO()
    with display(stream, now) as plain:
        plain.show(of("stage", STAGE))
        plain.show(of("push", {**PUSH, "allowed_per_minute": None}))
    assert [line.partition(":")[0] for line in stream.getvalue().splitlines()] == ["stage", "push"]


# Terminals


@pytest.mark.parametrize(
    "options", [{"environ": {"TERM": "dumb"}}, {"environ": {"TERM": "DUMB"}}, {"verbose": True}]
)
def test_where_a_display_would_be_in_the_way_there_are_lines(
    now: Now, options: dict[str, Any]
) -> None:
    stream = Terminal()
    with display(stream, now, **options) as plain:
        plain.show(of("stage", STAGE))
    assert stream.getvalue() == "stage: 300 contacts read · 200 new · 100 mapped\n"


def test_a_terminal_shows_a_bar_and_keeps_a_line(now: Now) -> None:
    stream = Terminal()
    with display(stream, now) as live:
        live.show(of("push", {**PUSH, "posted": 250, "to_send": 750}))
    assert "━" in stream.getvalue()
    assert stream.getvalue().endswith("push: 250 of 1,000 posted\n")


def test_a_terminal_is_not_drawn_on_more_often_than_anybody_can_see(now: Now) -> None:
    stream, began = Terminal(), time.monotonic()
    with display(stream, now) as live:
        for posted in range(5_000):
            live.show(of("push", {**PUSH, "posted": posted}))
    frames = stream.getvalue().count("posted")
    assert frames <= 4 + FRAMES_A_SECOND * (time.monotonic() - began)


def test_talk_does_not_tear_the_display(now: Now) -> None:
    stream = Terminal()
    with display(stream, now) as live:
        live.show(of("stage", STAGE))
        live.say("contact 7 has several leads")
    assert "contact 7 has several leads" in stream.getvalue()
    assert stream.getvalue().endswith("100 mapped\n")


def test_the_display_ends_with_an_error_and_hides_none(now: Now) -> None:
    stream = Terminal()
    with pytest.raises(KeyError), display(stream, now) as live:
        live.show(of("stage", STAGE))
        raise KeyError
    assert stream.getvalue().endswith("100 mapped\n")


def test_the_cursor_is_never_hidden(now: Now) -> None:
    stream = Terminal()
    with display(stream, now) as live:
        live.show(of("stage", STAGE))
    assert "\x1b[?25" not in stream.getvalue()


def test_no_colour_is_shown_where_none_is_wanted(now: Now) -> None:
    stream = Terminal()
    display(stream, now, environ={"TERM": "xterm", "NO_COLOR": "1"}).error("No.", "yes")
    assert "31m" not in stream.getvalue()


def test_a_pipe_gets_no_codes_even_if_the_terminal_has_colours(now: Now) -> None:
    stream = io.StringIO()
    with display(
        stream, now, environ={"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    ) as plain:
        pushed(plain, now, seconds=12, a_second=5)
    plain.error("No.", "yes")
    assert ESCAPE not in stream.getvalue()


STATES = {"extracted": 13, "mapped": 527, "posted": 60, "verified": 0}


def painted(width: int, told: Mapping[str, Any], command: str = "push", **more: Any) -> list[str]:
    """The first frame of a live display, as its terminal shows it."""
    stream = Terminal()
    environ = {"TERM": "xterm", "COLUMNS": str(width), "NO_COLOR": "1"}
    with display(stream, environ=environ) as live:
        live.show(of(command, told, **{"states": STATES, "held": 22, **more}))
    # The next one goes back to the left first.
    return CONTROL.sub("", stream.getvalue().partition("\r")[0]).splitlines()


CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.mark.parametrize("width", [20, 40, 60, 80, 160])
def test_no_line_of_the_display_is_wider_than_the_terminal(width: int) -> None:
    told = {**PUSH, "posted": 250, "in_doubt": 3, "waiting_for": "a look for what is in doubt"}
    assert max(map(len, painted(width, told, notes=("x" * 300,)))) <= width


@pytest.mark.parametrize("width", [40, 80])
def test_each_state_has_its_bar_and_the_command_its_own(width: int) -> None:
    rows = painted(width, {**PUSH, "posted": 250})[:5]
    assert [row.split()[0] for row in rows] == ["push", *STATES]
    assert rows[0].endswith("250 of 1,000  25%")
    assert rows[2].split()[-2:] == ["527", "87%"]
    lengths = [row.count("━") for row in rows]
    assert lengths[2] > lengths[0] > lengths[3] > lengths[4] == 0


def test_a_narrow_terminal_keeps_the_numbers_and_gives_up_the_bars() -> None:
    text = "\n".join(painted(30, {**PUSH, "posted": 1_000}))
    assert "━" not in text
    assert "527" in text


def test_a_part_is_not_broken_that_fits_on_a_line() -> None:
    assert list(packed(["aa", "", "bb", "c" * 9, "d"], 7)) == ["aa · bb", "c" * 9, "d"]


def test_a_note_takes_one_line_however_long_it_is() -> None:
    rows = painted(40, PUSH, notes=("x" * 300, "short"))
    assert sum("xx" in row for row in rows) == 1
    assert rows[-1].strip() == "short"


def test_a_display_says_all_that_a_line_says() -> None:
    told = {**PUSH, "posted": 250, "in_doubt": 3, "refused": 2, "waiting_for": "sends in flight"}
    text = " ".join(painted(160, told))
    for words in (
        "up to 400 a minute",
        "3 in doubt",
        "22 held",
        "2 refused",
        "for sends in flight",
    ):
        assert words in text


def test_what_nobody_can_count_has_no_bar() -> None:
    rows = painted(80, STAGE, "stage")
    assert rows[0].startswith("extracted")
    assert any("300 contacts read so far" in row for row in rows)


# Waits


def test_a_wait_says_until_when_on_the_clock_of_who_reads(now: Now, berlin: None) -> None:
    stream = io.StringIO()
    wait = {"waiting_for": "the rate limit of LeadGenius", "waiting_seconds": 12.0}
    display(stream, now, wall=lambda: 1_764_000_188.0).show(of("push", {**PUSH, **wait}))
    assert "waiting until 17:03:20 for the rate limit of LeadGenius (12 s)" in stream.getvalue()


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def test_the_moment_that_is_waited_for_does_not_flicker(now: Now) -> None:
    stream, walls = io.StringIO(), iter([99.9, 106.2])
    plain = display(stream, now, wall=lambda: next(walls))
    for seconds in (20.0, 14.0):
        wait = {"waiting_for": "it", "waiting_seconds": seconds}
        plain.show(of("push", {**PUSH, **wait}))
        now.seconds += 6.0
    assert len(set(re.findall(r"until \S+", stream.getvalue()))) == 1
    assert re.findall(r"\((\d+) s\)", stream.getvalue()) == ["20", "14"]


def test_a_long_wait_is_told_as_it_begins(now: Now) -> None:
    stream = io.StringIO()
    with display(stream, now) as plain:
        plain.show(of("stage", STAGE))
        with plain.waiting("HubSpot to answer again", 60.0):
            assert "for HubSpot to answer again (60 s)" in stream.getvalue()
        now.seconds += LINE_EVERY_SECONDS
        plain.show(of("stage", {**STAGE, "given": 400}))
        assert "waiting" not in stream.getvalue().splitlines()[-1]


def test_a_wait_that_is_over_at_once_is_not_spoken_of(now: Now) -> None:
    stream = io.StringIO()
    with display(stream, now) as plain:
        plain.show(of("stage", STAGE))
        now.seconds += LINE_EVERY_SECONDS
        with plain.waiting("HubSpot to answer again", 0.4):
            assert "waiting" not in stream.getvalue()


def test_of_several_waits_the_longest_is_shown(now: Now) -> None:
    stream = io.StringIO()
    with display(stream, now) as plain:
        plain.show(of("push", PUSH))
        with plain.waiting("one", 30.0):
            now.seconds += 1.0
            with plain.waiting("another", 9.0):
                assert "for one (29 s)" in stream.getvalue()
    assert "for another" not in stream.getvalue()


# Pace


def test_the_pace_begins_anew_where_another_work_begins(now: Now) -> None:
    tracker = ProgressTracker(of("stage", STAGE))
    for second in range(10):
        tracker.take(of("stage", {**STAGE, "given": 100 * second}), float(second))
    assert tracker.per_minute == 6_000
    tracker.take(of("stage", {**STAGE, "total": 900, "mapped": 500}), 10.0)
    assert tracker.per_minute is None


def test_the_time_left_is_never_shorter_than_what_is_waited_for() -> None:
    tracker = ProgressTracker(of("push", PUSH))
    for second in range(10):
        tracker.take(of("push", {**PUSH, "posted": 100 * second}), float(second))
    assert tracker.seconds_left(None, 9.0) == 1.0
    assert tracker.seconds_left(Wait("it", until=49.0), 9.0) == 40.0


# Programs


def objects(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_program_gets_an_object_a_second_and_nobody_else_anything(
    now: Now, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = Terminal()
    with display(stream, now, as_json=True) as told:
        for _ in range(100):
            told.show(of("push", PUSH, states=STATES))
            now.seconds += 0.1
    assert len(objects(capsys)) == 10
    assert stream.getvalue() == ""


def test_every_name_in_an_object_is_documented(now: Now, capsys: Any) -> None:
    wait = {"waiting_for": "it", "waiting_seconds": 12.0}
    told = display(io.StringIO(), now, as_json=True, wall=lambda: 0.0)
    told.show(of("push", {**PUSH, **wait, "posted": 7}, states=STATES, held=22))
    (one,) = objects(capsys)
    documented = (as_json.__doc__ or "").split()
    assert set(one) - set(PUSH) <= set(documented)
    assert (one["at"], one["waiting_until"]) == ("1970-01-01T00:00:00Z", "1970-01-01T00:00:12Z")
    assert (one["done"], one["total"], one["held"], one["posted"]) == (7, 1_000, 22, 7)
    assert one["states"] == STATES


def test_errors_stay_where_they_are_for_a_program_too(now: Now, capsys: Any) -> None:
    stream = io.StringIO()
    display(stream, now, as_json=True).error("No.", "yes")
    assert stream.getvalue().startswith("error: No.")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("is_json", [False, True])
def test_nobody_waits_for_a_reader_who_is_behind(
    now: Now, is_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    with os.fdopen(reader, "rb"), os.fdopen(writer, "w") as full:
        monkeypatch.setattr(sys, "stdout", full if is_json else sys.stdout)
        with display(io.StringIO() if is_json else full, now, as_json=is_json) as told:
            pushed(told, now, seconds=60, a_second=5)


def test_a_disk_that_takes_no_object_stops_nobody(now: Now, monkeypatch: Any) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with display(io.StringIO(), now, as_json=True) as told:
            pushed(told, now, seconds=3, a_second=5)
        redirect_to_devnull(full)


# Streams that fail


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_encoding_shows_what_it_can(now: Now, encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    with display(stream, now) as plain:
        plain.show(of("stage", STAGE))
        plain.say("Zoë 日本 …")
    stream.flush()
    assert b"stage: 300 contacts read" in raw.getvalue()
    assert b"Zo" in raw.getvalue()


@pytest.mark.parametrize("failure", [BrokenPipeError(), OSError(5, "EIO"), ValueError("closed")])
@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_a_stream_that_fails_stops_nobody(now: Now, failure: Exception, kind: Any) -> None:
    class Failing(kind):  # type: ignore[misc]
        def write(self, text: str) -> int:
            raise failure

        def flush(self) -> None:
            raise failure

    with display(Failing(), now) as broken:
        pushed(broken, now, seconds=12, a_second=5)
        broken.say("hello")
    broken.error("No.", "yes")


def test_a_closed_pipe_changes_neither_stdout_nor_the_exit_code(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = (
        "import sys; from migrator.progress import Snapshot, Display\n"
        "with Display(sys.stderr) as talk:\n"
        "    talk.show(Snapshot('stage')); talk.say('x' * 100_000)\n"
        "talk.error('No.', 'yes'); print('done')\n"
    )
    try:
        process = subprocess.run(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=writer,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert (process.returncode, process.stdout) == (0, b"done\n")
