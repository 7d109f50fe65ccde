"""What a person has put in place of HubSpot's values: it counts, and all else stays."""

from hypothesis import given
from hypothesis import strategies as st

from migrator.mapping import overlay, values

VALUES = st.sampled_from([None, True, 7, 1.5, 10**5_000, "", "x", ["x"], {"email": 1}])
NAMES = st.sampled_from(["email", "firstname", "company.name", "company.domain", "company."])
OBJECTS = st.dictionaries(NAMES, VALUES)


@given(properties=OBJECTS, company=st.none() | OBJECTS)
def test_what_is_amended_counts_and_all_else_stays(properties, company):
    contact = {"id": "1", "properties": properties}
    amended = {"email": "new", "company.name": None}
    whole, firm = overlay(contact, company, amended)
    assert whole["properties"] == {**properties, "email": "new"}
    assert firm == {**(company or {}), "name": None}
    assert values(whole, firm, ["email", "company.name"]) == {"email": "new", "company.name": ""}


@given(contact=VALUES | OBJECTS, company=VALUES | OBJECTS, amended=VALUES | OBJECTS)
def test_no_json_makes_it_raise(contact, company, amended):
    found = values(*overlay(contact, company, amended), ["email", "company.name"])
    assert all(isinstance(value, str) for value in found.values())


def test_without_amendments_nothing_is_touched():
    contact, company = {"id": "1"}, {"name": "x"}
    assert overlay(contact, company, None) == (contact, company)
    assert overlay(contact, None, {"email": "x"})[1] is None
