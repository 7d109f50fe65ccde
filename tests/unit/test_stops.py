"""What a push says when it stops: whose fault it is, for how many contacts, and until when."""

import re
import time

import pytest

from migrator.errors import NotReady, ServiceBusy, ServiceDown
from migrator.http import SendOutcome
from migrator.push.breaker import Stop, StopReason
from migrator.push.stops import busy, error_of, unsettled
from migrator.text import local_time


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "1 contact stays in doubt: .* may be its."),
        (2, "2 contacts stay in doubt: .* may be theirs."),
    ],
)
def test_contacts_that_stay_in_doubt_are_counted(count, words):
    error = unsettled(count, "acme-1")
    assert re.fullmatch(words, error.message)
    assert "of the client acme-1" in error.hint


@pytest.mark.parametrize(
    ("stop", "kind", "words"),
    [
        (Stop(StopReason.ACCOUNT), NotReady, r"same answer \(status 403: No plan\)"),
        (
            Stop(StopReason.UNREACHABLE),
            ServiceDown,
            r"no leads at the moment \(status 403: No plan",
        ),
        (Stop(StopReason.BUSY), ServiceBusy, "the rate limit is used up"),
    ],
)
def test_the_reason_and_the_answer_are_named(stop, kind, words):
    sent = SendOutcome(None, 403, "No plan")
    error = error_of(stop, sent, 100.0, "leads")
    assert type(error) is kind
    assert re.search(words, error.message)


def test_a_wait_is_named_by_the_time_when_it_is_over():
    hour = 3_600.0
    before = local_time(time.time() + hour)
    stop = Stop(StopReason.BUSY, 100.0 + hour)
    messages = {busy(hour).message, error_of(stop, SendOutcome(None), 100.0, "leads").message}
    after = local_time(time.time() + hour)
    assert messages <= {f"LeadGenius accepts no requests until {one}." for one in (before, after)}
