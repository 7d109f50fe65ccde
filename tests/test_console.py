"""What a person sees on the way: on a terminal, on a pipe, and on one that is closed."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from migrator.console import FRAMES_A_SECOND, LINE_EVERY_SECONDS, Talk

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
    "per_minute": 400.0,
    "waiting_for": None,
}
STAGE: dict[str, Any] = {
    "pages": 3,
    "given": 300,
    "new": 200,
    "changed": 0,
    "stale": 0,
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


def talk(stream: Any, now: Now | None = None, **options: Any) -> Talk:
    environ = options.pop("environ", {"TERM": "xterm", "COLUMNS": "80"})
    return Talk(stream, environ=environ, clock=now or Now(), **options)


def pushed(talk: Talk, now: Now, seconds: int, a_second: int) -> None:
    """Let a push of a thousand contacts run for some seconds."""
    for second in range(seconds + 1):
        done = second * a_second
        talk.show("push", {**PUSH, "posted": done, "to_send": 1_000 - done})
        now.seconds += 1.0


# Talk and errors


def test_what_is_said_is_a_line() -> None:
    stream = io.StringIO()
    talk(stream).say("contact 1 has several leads")
    assert stream.getvalue() == "contact 1 has several leads\n"


def test_a_long_line_is_not_broken() -> None:
    stream = io.StringIO()
    talk(stream).say("word " * 100)
    assert stream.getvalue().count("\n") == 1


def test_an_error_names_the_next_command() -> None:
    stream = io.StringIO()
    talk(stream).error("The disk is full.", "migrator push --resume")
    assert stream.getvalue() == "error: The disk is full.\nnext: migrator push --resume\n"


def test_the_lines_of_an_error_cannot_pass_for_its_hint() -> None:
    stream = io.StringIO()
    talk(stream).error("One fault.\nnext: rm -rf /", "set both")
    assert stream.getvalue() == "error: One fault.\n  next: rm -rf /\nnext: set both\n"


@pytest.mark.parametrize("evil", ["\x1b[31m", "\x9b2J", "\x07", "\u202e", "\r", "\x00"])
def test_nothing_that_is_said_can_steer_the_terminal(evil: str) -> None:
    stream = io.StringIO()
    talk(stream).error(f"No{evil}pe", f"go{evil}on")
    talk(stream).say(f"well{evil}well")
    talk(stream).show("push", {**PUSH, "waiting_for": f"one{evil}two"})
    assert evil not in stream.getvalue()


def test_nothing_that_is_said_is_markup() -> None:
    stream = io.StringIO()
    talk(stream).say("[red]x[/red] :smile: [/]")
    talk(stream).error("[bold]x", "[/nonsense]")
    assert stream.getvalue() == ("[red]x[/red] :smile: [/]\nerror: [bold]x\nnext: [/nonsense]\n")


def test_quiet_says_nothing_but_errors(now: Now) -> None:
    stream = Terminal()
    with talk(stream, now, quiet=True) as quiet:
        quiet.say("hello")
        pushed(quiet, now, seconds=20, a_second=5)
    assert stream.getvalue() == ""
    quiet.error("No.", "yes")
    assert "No." in stream.getvalue()


# Lines


def test_a_pipe_gets_a_line_now_and_then(now: Now) -> None:
    stream = io.StringIO()
    with talk(stream, now) as plain:
        for _ in range(1_000):
            plain.show("stage", {**STAGE, "pages": int(now.seconds)})
            now.seconds += 0.02
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1 + int(20 // LINE_EVERY_SECONDS)


def test_the_last_state_remains(now: Now) -> None:
    stream = io.StringIO()
    with talk(stream, now) as plain:
        plain.show("stage", {**STAGE, "pages": 1})
        plain.show("stage", {**STAGE, "pages": 2})
    assert stream.getvalue().splitlines()[-1].startswith("stage: 2 pages")


def test_a_line_that_says_nothing_new_is_not_repeated(now: Now) -> None:
    stream = io.StringIO()
    with talk(stream, now) as plain:
        plain.show("stage", STAGE)
    assert stream.getvalue() == "stage: 3 pages · 300 contacts · 200 new · 100 mapped\n"


def test_the_numbers_are_those_of_the_moment(now: Now) -> None:
    stream, counters = io.StringIO(), dict(STAGE)
    with talk(stream, now) as plain:
        plain.show("stage", counters)
        counters["pages"] = 99
    assert "99" not in stream.getvalue()


def test_what_did_not_happen_is_not_counted(now: Now) -> None:
    stream = io.StringIO()
    talk(stream, now).show("stage", {**STAGE, "changed": 4})
    assert "4 changed" in stream.getvalue()
    assert "held" not in stream.getvalue()


def test_a_verification_counts_leads(now: Now) -> None:
    stream = io.StringIO()
    waiting: dict[str, Any] = {
        "pages": 2,
        "leads": 1_500,
        "strangers": 3,
        "waiting_for": "2 not listed yet",
    }
    talk(stream, now).show("verify", waiting)
    assert stream.getvalue() == "verify: 1,500 leads looked at · 2 not listed yet\n"


def test_a_push_shows_its_pace_and_the_time_left(now: Now) -> None:
    stream = io.StringIO()
    with talk(stream, now) as plain:
        pushed(plain, now, seconds=11, a_second=5)
    assert "50 of 1,000 posted · 300 a minute · 0:03:10 left" in stream.getvalue()


def test_a_push_that_just_began_tells_only_what_it_may(now: Now) -> None:
    stream = io.StringIO()
    with talk(stream, now) as plain:
        pushed(plain, now, seconds=3, a_second=5)
    assert stream.getvalue().startswith("push: 0 of 1,000 posted · up to 400 a minute\n")
    assert "left" not in stream.getvalue()


def test_a_push_as_fast_as_answers_come_has_no_pace_to_begin_with(now: Now) -> None:
    stream = io.StringIO()
    talk(stream, now).show("push", {**PUSH, "per_minute": None})
    assert stream.getvalue() == "push: 0 of 1,000 posted\n"


def test_a_push_names_what_needs_attention(now: Now) -> None:
    stream = io.StringIO()
    trouble: dict[str, Any] = {
        "in_doubt": 3,
        "refused": 2,
        "gave_up": 1,
        "waiting_for": "looking in 40 s",
    }
    talk(stream, now).show("push", {**PUSH, **trouble})
    assert "3 in doubt · 2 refused · 1 given up · looking in 40 s" in stream.getvalue()


def test_no_number_is_said_twice(now: Now) -> None:
    stream = io.StringIO()
    waiting: dict[str, Any] = {"in_doubt": 3, "waiting_for": "3 in doubt: looking in 40 s"}
    talk(stream, now).show("push", {**PUSH, **waiting})
    assert stream.getvalue().count("3 in doubt") == 1


def test_the_last_line_waits_for_nothing(now: Now) -> None:
    stream = io.StringIO()
    with talk(stream, now) as plain:
        plain.show("push", {**PUSH, "posted": 1, "waiting_for": "an answer"})
    assert stream.getvalue().splitlines()[-1] == "push: 1 of 1,001 posted"


def test_another_verb_begins_a_line_of_its_own(now: Now) -> None:
    stream = io.StringIO()
    with talk(stream, now) as plain:
        plain.show("stage", STAGE)
        plain.show("push", {**PUSH, "per_minute": None})
    assert [line.partition(":")[0] for line in stream.getvalue().splitlines()] == ["stage", "push"]


# Terminals


@pytest.mark.parametrize(
    "options", [{"environ": {"TERM": "dumb"}}, {"environ": {"TERM": "DUMB"}}, {"verbose": True}]
)
def test_where_a_display_would_be_in_the_way_there_are_lines(
    now: Now, options: dict[str, Any]
) -> None:
    stream = Terminal()
    with talk(stream, now, **options) as plain:
        plain.show("stage", STAGE)
    assert stream.getvalue() == "stage: 3 pages · 300 contacts · 200 new · 100 mapped\n"


def test_a_terminal_shows_a_bar_and_keeps_a_line(now: Now) -> None:
    stream = Terminal()
    with talk(stream, now) as live:
        live.show("push", {**PUSH, "posted": 250, "to_send": 750})
    assert "━" in stream.getvalue()
    assert stream.getvalue().endswith("push: 250 of 1,000 posted\n")


def test_a_terminal_is_not_drawn_on_more_often_than_anybody_can_see(now: Now) -> None:
    stream, began = Terminal(), time.monotonic()
    with talk(stream, now) as live:
        for posted in range(5_000):
            live.show("push", {**PUSH, "posted": posted})
    frames = stream.getvalue().count("posted")
    assert frames <= 4 + FRAMES_A_SECOND * (time.monotonic() - began)


def test_talk_does_not_tear_the_display(now: Now) -> None:
    stream = Terminal()
    with talk(stream, now) as live:
        live.show("stage", STAGE)
        live.say("contact 7 has several leads")
    assert "contact 7 has several leads" in stream.getvalue()
    assert stream.getvalue().endswith("100 mapped\n")


def test_the_display_ends_with_an_error_and_hides_none(now: Now) -> None:
    stream = Terminal()
    with pytest.raises(KeyError), talk(stream, now) as live:
        live.show("stage", STAGE)
        raise KeyError
    assert stream.getvalue().endswith("100 mapped\n")


def test_the_cursor_is_never_hidden(now: Now) -> None:
    stream = Terminal()
    with talk(stream, now) as live:
        live.show("stage", STAGE)
    assert "\x1b[?25" not in stream.getvalue()


def test_no_colour_is_shown_where_none_is_wanted(now: Now) -> None:
    stream = Terminal()
    talk(stream, now, environ={"TERM": "xterm", "NO_COLOR": "1"}).error("No.", "yes")
    assert "31m" not in stream.getvalue()


def test_a_pipe_gets_no_codes_even_if_the_terminal_has_colours(now: Now) -> None:
    stream = io.StringIO()
    with talk(stream, now, environ={"TERM": "xterm-256color", "COLORTERM": "truecolor"}) as plain:
        pushed(plain, now, seconds=12, a_second=5)
    plain.error("No.", "yes")
    assert ESCAPE not in stream.getvalue()


# Streams that fail


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_encoding_shows_what_it_can(now: Now, encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    with talk(stream, now) as plain:
        plain.show("stage", STAGE)
        plain.say("Zoë 日本 …")
    stream.flush()
    assert b"stage: 3 pages" in raw.getvalue()
    assert b"Zo" in raw.getvalue()


@pytest.mark.parametrize("failure", [BrokenPipeError(), OSError(5, "EIO"), ValueError("closed")])
@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_a_stream_that_fails_stops_nobody(now: Now, failure: Exception, kind: Any) -> None:
    class Failing(kind):  # type: ignore[misc]
        def write(self, text: str) -> int:
            raise failure

        def flush(self) -> None:
            raise failure

    with talk(Failing(), now) as broken:
        pushed(broken, now, seconds=12, a_second=5)
        broken.say("hello")
    broken.error("No.", "yes")


def test_a_closed_pipe_changes_neither_stdout_nor_the_exit_code(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = (
        "import sys; from migrator.console import Talk\n"
        "with Talk(sys.stderr) as talk:\n"
        "    talk.show('stage', {'pages': 1}); talk.say('x' * 100_000)\n"
        "talk.error('No.', 'yes'); print('done')\n"
    )
    try:
        process = subprocess.run(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=writer,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert (process.returncode, process.stdout) == (0, b"done\n")
