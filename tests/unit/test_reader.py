"""What the reading thread reports of a page or a search, and of one that fails."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from migrator.doubts import ListingFailed
from migrator.errors import Declined, ServiceDown
from migrator.http import OutageBudget
from migrator.leadgenius import LeadPage
from migrator.push.reader import (
    ContactsFound,
    LeadsListed,
    ListingReader,
    PageFailed,
    ServiceRecovered,
)
from tests.support.processes import eventually

OURS = {"id": "lead-1", "email": "ada@example.com", "notes": "[HubSpot record: 42/1]"}
OTHERS = {"id": "lead-2", "email": "ada@example.com", "notes": ""}
DOWN = ServiceDown("LeadGenius gave no answer.", "later")
DECLINED = Declined("LeadGenius declined it.", "")


def raising(error: Exception) -> Any:
    def fail(*args: Any) -> Any:
        raise error

    return fail


def reported(
    client: Mapping[str, Any], act: str, *args: Any, retry_for_seconds: float = 0.0
) -> list[Any]:
    """The events of a reader whose client answers like this."""
    events: list[Any] = []
    outage = OutageBudget(retry_for_seconds)
    reader = ListingReader(SimpleNamespace(**client), "42", outage, events.append)  # type: ignore[arg-type]
    getattr(reader, act)(*args)
    eventually(lambda: bool(events), "an event")  # `close` drops what has not begun
    reader.close()
    return events


def test_a_page_is_reported_with_its_cursor_and_when_it_was_asked_for():
    page = LeadPage([OURS, OTHERS], "next")
    (event,) = reported({"page": lambda cursor: (page, 7.0)}, "start_page", "here")
    assert [one.lead_id for one in event.leads] == ["lead-1"]
    assert (event.page, event.cursor, event.began_at) == (page, "here", 7.0)


def test_a_cursor_that_has_expired_is_an_empty_page_but_a_first_page_that_fails_is_none():
    (event,) = reported({"page": raising(DECLINED)}, "start_page", "here")
    assert isinstance(event, LeadsListed)
    assert (event.leads, event.page, event.cursor) == ([], LeadPage([], None), "here")
    (event,) = reported({"page": raising(DECLINED)}, "start_page", None)
    assert (type(event), event.error) == (PageFailed, DECLINED)


def test_a_page_that_cannot_be_read_fails_whatever_its_cursor():
    (event,) = reported({"page": raising(DOWN)}, "start_page", "here")
    assert (type(event), event.error) == (PageFailed, DOWN)


@pytest.mark.parametrize(
    ("first", "second", "asked", "is_proof"),
    [
        (OURS, OURS, 2, True),
        (OURS, None, 2, True),
        (OTHERS, OURS, 1, False),
        (None, OURS, 1, False),
    ],
)
def test_a_search_proves_something_only_if_it_finds_a_lead_that_is_there(
    first, second, asked, is_proof
):
    answers = {"a": first, "b": second}
    seen: list[str] = []

    def find(email: str) -> Any:
        seen.append(email)
        return answers[email]

    *_, end = reported({"find": find}, "start_search", ["a", "b"])
    assert end == ContactsFound(is_proof)
    assert len(seen) == asked


def test_a_search_that_is_declined_proves_nothing_and_one_that_fails_is_over():
    assert reported({"find": raising(DECLINED)}, "start_search", ["a"]) == [ContactsFound(False)]
    assert reported({"find": raising(DOWN)}, "start_search", ["a"]) == [ListingFailed(DOWN)]


@pytest.mark.parametrize(
    ("retry_for_seconds", "answers", "asked", "error"),
    [
        (0.0, [None], [{"is_patient": False}], None),
        (0.0, [DOWN], [{"is_patient": False}], DOWN),
        (60.0, [None], [{"is_patient": False, "most_tries": 1}], None),
        (60.0, [DOWN, None], [{"is_patient": False, "most_tries": 1}, {}], None),
        (60.0, [DOWN, DOWN], [{"is_patient": False, "most_tries": 1}, {}], DOWN),
        (60.0, [DECLINED], [{"is_patient": False, "most_tries": 1}], DECLINED),
    ],
)
def test_a_read_waits_for_a_service_that_is_down_if_there_is_time_for_it(
    retry_for_seconds, answers, asked, error
):
    left, options = list(answers), list[Any]()

    def read(**given: Any) -> None:
        options.append(given)
        if (answer := left.pop(0)) is not None:
            raise answer

    (event,) = reported({"read": read}, "start_read", retry_for_seconds=retry_for_seconds)
    assert event == ServiceRecovered(error=error)
    assert options == asked
