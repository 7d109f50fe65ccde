"""A replacing update sends the whole lead; a listing says which updates in doubt have landed."""

from typing import Any

import pytest

from migrator.comparison import UpdateProof, what_a_listing_proves, whole_lead
from migrator.mapping import record_line

NOTES = f"Imported\n{record_line('4711', '101')}\nStatus: OPEN"
WON = NOTES.replace("OPEN", "WON")
BASE = {"email": "ada@x.example", "title": "Engineer", "notes": NOTES}
LISTED = {
    **BASE,
    "notes": f"{NOTES}\nmine",
    "city": "Paris",
    "country": "",
    "industry": None,
    "keywords": ["a"],
    "company_id": "C1",
    "status": "new",
    "id": "L1",
    "client_id": "acme",
    "createdAt": "2026-01-01",
    "updatedAt": "2026-01-02",
    "deletedAt": "2026-01-03",
    "deletedBy": "U1",
}
SENT = {"title": "CTO", "notes": f"{WON}\nmine"}


def test_a_whole_lead_has_all_that_is_listed_but_what_the_service_sets() -> None:
    whole = whole_lead(LISTED, {"title": "CTO", "city": None, "state": "", "notes": WON})
    assert whole == {
        "email": "ada@x.example",
        "title": "CTO",
        "notes": WON,
        "keywords": ["a"],
        "company_id": "C1",
        "status": "new",
    }


@pytest.mark.parametrize(
    ("there", "proof"),
    [
        ({}, "not_landed"),
        ({"city": "Lyon"}, "not_landed"),
        ({"notes": NOTES}, "not_landed"),  # others' lines do not count
        ({**SENT, "notes": WON}, "landed"),
        (SENT, "landed"),
        ({**SENT, "title": " CTO ", "notes": f"{WON}\r\nmine \r\nlater"}, "landed"),
        # only one of the two, or neither
        ({"title": "CTO"}, "edited"),
        ({"notes": WON}, "edited"),
        ({"title": "Boss"}, "edited"),
        ({"title": "Boss", "notes": SENT["notes"]}, "edited"),
        ({**SENT, "notes": WON.replace("WON", "won?")}, "edited"),
        # what the update took out is still there
        ({**SENT, "notes": f"{WON}\nmine\nStatus: OPEN"}, "edited"),
    ],
)
def test_a_listing_proves_what_became_of_an_update(there: dict[str, Any], proof: str) -> None:
    assert what_a_listing_proves(SENT, LISTED, {**LISTED, **there}) == proof


@pytest.mark.parametrize(
    ("sent", "there", "proof"),
    [
        ({"title": None}, {"title": None}, "landed"),
        ({"title": ""}, {}, "landed"),
        ({"title": ""}, {"title": "Engineer"}, "not_landed"),
        ({"city": "London"}, {}, "not_landed"),
        ({"city": "London"}, {"city": "Paris"}, "edited"),
        # lines that are there twice
        ({"notes": "a\nb"}, {"notes": "a\na"}, "not_landed"),
        ({"notes": "a\nb"}, {"notes": "b\na"}, "landed"),
        ({"notes": "a"}, {"notes": "a\na"}, "not_landed"),
        ({"notes": "a"}, {"notes": "a\nlater"}, "landed"),
        ({"notes": "a\na\na"}, {"notes": "a\na"}, "not_landed"),
    ],
)
def test_empty_fields_may_be_left_out_and_lines_repeated(
    sent: dict[str, str | None], there: dict[str, Any], proof: str
) -> None:
    before = {"title": "Engineer", "notes": "a\na"}
    assert what_a_listing_proves(sent, before, there) is UpdateProof(proof)
