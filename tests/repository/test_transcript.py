"""The day that the docs tell of is the day that an operator lives."""

import pytest

from tests.support.transcript import QUOTED, STEPS, TRANSCRIPT, alike, day, written


@pytest.fixture(scope="module")
def lived():
    return {typed.step.name: typed.console() for typed in day()}


def test_every_line_that_the_docs_show_is_shown_today(lived):
    for path in written():
        for _, name, shown, _ in QUOTED.findall(path.read_text("utf-8")):
            assert alike(name, shown) == alike(name, lived[name]), (path.name, name)


def test_the_transcript_has_the_whole_day_in_its_order():
    told = [name for _, name, _, _ in QUOTED.findall(TRANSCRIPT.read_text("utf-8"))]
    assert told == [step.name for step in STEPS]
