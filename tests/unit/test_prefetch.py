"""Which company a contact of a page gets, while others turn out to be gone."""

from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from migrator.hubspot import ContactPage
from migrator.stage.prefetch import Companies, CompanyLoader, PendingPage


def read(company_ids: Sequence[str]) -> "Future[Companies]":
    future: Future[Companies] = Future()
    future.set_result({one: "{}" if one == "there" else None for one in company_ids})
    return future


@pytest.mark.parametrize("known", [(), ("a",), ("b",), ("a", "b"), ("a", "b", "there")])
def test_companies_that_a_scan_knew_as_gone_hide_none(known: Sequence[str]) -> None:
    stored = {one: one == "there" for one in known}
    rows = [{"id": one, "type": "other"} for one in ("a", "b", "there")]
    contact = {"id": "1", "properties": {}, "associations": {"companies": {"results": rows}}}
    loader = CompanyLoader(read, lambda ids: {one: stored[one] for one in ids if one in stored})
    page = PendingPage(ContactPage([contact], after=None), loader)
    while not page.is_complete():
        loader.request_rest()
        loader.receive(waits=True)
    assert [one.company_id for one in page.extracted(["email"])] == ["there"]
