"""How another client's extract is compared with what was staged; the clients are not run here."""

from copy import deepcopy

import pytest

from benchmarks.commands import Operator
from benchmarks.other_clients import differences, staged_in
from migrator.sandbox import Sandbox
from tests.support.sandbox_calls import hubspot

NAMES = "firstname,email,jobtitle"
PRIMARY = "contact_to_company"
STAGED = {
    "contacts": {
        "1": {"properties": {"firstname": "Ada", "email": "ada@x.example"}, "company": "11"},
        "2": {"properties": {"firstname": ""}, "company": None},
    },
    "companies": {"11": {"name": "Engines", "domain": "x.example", "createdate": "2018"}},
}
EXTRACT = {
    "contacts": {
        "1": {
            "properties": {"firstname": "Ada", "email": "ada@x.example", "jobtitle": None},
            "companies": [["12", "former"], ["11", PRIMARY]],
        },
        "2": {"properties": {"firstname": "", "email": None, "phone": "1"}, "companies": []},
    },
    "companies": {"11": {"name": "Engines", "domain": "x.example"}, "12": {"name": "Other"}},
    "total": 2,
}


def test_what_is_the_same_has_no_differences():
    assert list(differences(EXTRACT, STAGED, NAMES)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda it: it.update(total=3), "it counts 3 contacts"),
        (lambda it: it["contacts"].pop("2"), "contact 2 is in the ledger"),
        (lambda it: it["contacts"].update({"3": {}}), "contact 3 is not in the ledger"),
        (
            lambda it: it["contacts"]["1"]["properties"].update(email="a"),
            "contact 1: email is 'a', in the ledger 'ada@x.example'",
        ),
        (
            lambda it: it["contacts"]["2"]["properties"].update(jobtitle="Owner"),
            "contact 2: jobtitle is 'Owner', in the ledger None",
        ),
        (
            lambda it: it["contacts"]["1"].update(companies=[["12", PRIMARY], ["11", "former"]]),
            "contact 1: the ledger has company '11', not of ['12']",
        ),
        (
            lambda it: it["contacts"]["2"].update(companies=[["12", None]]),
            "contact 2: the ledger has company None, not of ['12']",
        ),
        (lambda it: it["companies"]["11"].pop("name"), "company 11: name is None, in the ledger"),
    ],
)
def test_what_differs_is_named(change, words):
    extract = deepcopy(EXTRACT)
    change(extract)
    [line] = differences(extract, STAGED, NAMES)
    assert line.startswith(words)


def test_what_a_bare_client_reads_is_what_was_staged(tmp_path):
    with Sandbox(contacts=60) as box:
        Operator(tmp_path, box).run("stage -q", 60)
        names = "firstname,lastname,email,jobtitle,phone"
        query = {"limit": "100", "associations": "companies", "properties": names}
        page = hubspot(box, "GET", "contacts", params=query).json()
        query = {"limit": "100", "properties": "name,domain,industry"}
        companies = hubspot(box, "GET", "companies", params=query).json()
    contacts = {}
    for one in page["results"]:
        rows = one.get("associations", {}).get("companies", {}).get("results", [])
        pairs = [[row["id"], row["type"]] for row in rows]
        contacts[one["id"]] = {"properties": one["properties"], "companies": pairs}
    extract = {
        "contacts": contacts,
        "companies": {one["id"]: one["properties"] for one in companies["results"]},
        "total": len(contacts),
    }
    assert list(differences(extract, staged_in(tmp_path / "migrator.db"), names)) == []
