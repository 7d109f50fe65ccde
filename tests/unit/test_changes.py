"""Where `stage` puts a contact that the ledger has, with a table in place of the ledger."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType, SimpleNamespace
from typing import Any

from migrator.canonical_json import canonical_json
from migrator.ledger import ExtractedContact, ExtractedPage, StoredContact
from migrator.mapping import DEFAULT, MappedLead, to_lead
from migrator.stage.changes import sort
from migrator.stage.prefetch import PageBatch
from migrator.states import State

NONE: Mapping[str, Any] = MappingProxyType({})
HAVE = StoredContact(State.EXTRACTED, "{}", None, None, is_open=False)


def page(
    have: StoredContact, met: ExtractedContact, companies: Mapping[str, Any] = NONE
) -> ExtractedPage:
    known = {met.hubspot_id: have}
    contacts = SimpleNamespace(stored=lambda ids: known, companies=lambda ids, scan: companies)
    ledger: Any = SimpleNamespace(contacts=contacts)
    mappings: Any = SimpleNamespace(of=lambda mapping: DEFAULT)
    return sort(ledger, PageBatch([met], {}, 1, None, None, []), 2, "42", mappings)


def test_one_that_was_not_mapped_yet_waits_for_it_if_it_differs():
    properties = {"email": "ada@example.com", "lastname": "Hopper"}
    met = ExtractedContact("1", canonical_json({"id": "1", "properties": properties}), None, None)
    found = page(HAVE, met)
    assert (found.waiting, found.changed, found.unchanged) == ([met], [], [])
    found = page(replace(HAVE, source=met.source), met)
    assert (found.waiting, found.changed, found.unchanged) == ([], [], ["1"])
    gone = replace(HAVE, source=met.source, is_gone=True, scan=1)
    assert (page(gone, met).waiting, page(gone, met).back) == ([met], ["1"])


def test_one_that_was_erased_is_met_and_left_alone():
    met = ExtractedContact("1", '{"a": 1}', None, None)
    found = page(replace(HAVE, is_erased=True), met)
    assert (found.unchanged, found.waiting, found.back, found.erased) == (["1"], [], [], 1)


def test_one_that_a_record_of_this_scan_was_made_of_is_met_but_does_not_come_back():
    met = ExtractedContact("1", '{"a": 1}', None, None)
    found = page(replace(HAVE, is_gone=True, scan=2), met)
    assert (found.unchanged, found.waiting, found.back) == (["1"], [], [])


def test_when_hubspot_changed_one_is_kept_where_it_says_so():
    met = ExtractedContact("1", "{}", None, None, modified_ms=7)
    assert page(HAVE, met).modified == {"1": 7}
    assert page(HAVE, met._replace(modified_ms=None)).modified == {}


def test_a_company_that_was_read_with_an_earlier_page_comes_from_the_ledger():
    properties = {"email": "ada@example.com", "firstname": "Ada", "lastname": "Hopper"}
    source, company = {"id": "1", "properties": properties}, {"name": "Acme"}
    lead = to_lead(source, company, "42", DEFAULT)
    assert isinstance(lead, MappedLead)
    assert lead.lead["companyName"] == "Acme"
    met = ExtractedContact("1", canonical_json(source), "9", None)
    have = StoredContact(State.MAPPED, met.source, "9", canonical_json(lead.lead), is_open=False)
    assert page(have, met, {"9": company}).current == ["1"]
    assert page(have, met).changed == [met]
