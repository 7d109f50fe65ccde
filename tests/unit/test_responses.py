"""What the answer to a write proves: the bounds of the table that `test_http` plays on a wire."""

import pytest

from migrator.http import Response
from migrator.http.responses import classify
from migrator.states import Outcome


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(199, None), (200, Outcome.CREATED), (299, Outcome.CREATED), (300, None)],
)
def test_an_id_proves_a_lead_only_with_a_status_of_success(status, outcome):
    assert classify(Response(status, {}, b"{}"), "lead-1") is outcome
    assert classify(Response(status, {}, b"{}"), None) is None
