"""A thousand contacts from one end to the other, with everything going wrong now and then."""

from migrator.states import State
from tests.support.journeys import Journey

CONTACTS = 1000
FAULTS = dict.fromkeys(
    (
        "drop_before_saving",
        "drop_after_saving",
        "reset_after_saving",
        "error_after_saving",
        "error_without_saving",
        "truncated",
        "html",
        "no_id",
        "conflict_after_saving",
        "forbidden",
        "expire_token",
        "hubspot_error",
        "hubspot_throttle",
        "list_error",
        "short_page",
    ),
    0.01,
)
# Each is followed by a pause of seconds, so a few must do.
FAULTS["throttle_silently"] = 0.002


def test_a_thousand_contacts_arrive_once(sandbox, ledger):
    journey = Journey(sandbox(contacts=CONTACTS, faults=FAULTS), ledger)
    staged = journey.stage()
    assert staged.new == CONTACTS
    pushed = journey.push(workers=8, canary=5)
    assert pushed.left_for_a_person == 0
    verified = journey.verify()
    assert verified.left_for_a_person == 0
    assert verified.verified == pushed.posted + pushed.found
    journey.judge()
    free = {one.state for one in ledger.counts.sums() if one.held is None}
    assert free == {State.VERIFIED}
