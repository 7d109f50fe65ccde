"""How the audit recognises a lead, by rules of its own."""

import pytest

from migrator.audit.identity import email_of, identities, is_removed, records_of

NOTES = "Met at a fair\n[HubSpot record: 42/7]\n  [HubSpot record: 9/8] \n[HubSpot record: 42/6"


@pytest.mark.parametrize(
    ("value", "email"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        (" <ada@example.com>; ", "ada@example.com"),
        ("Ada Hopper <ada@example.com>", "ada@example.com"),
        ("ada@xn--bcher-kva.example", "ada@b\u00fccher.example"),
        ("ada@bu\u0308cher.example", "ada@b\u00fccher.example"),
        ("ada@stra\u00dfe.example", "ada@stra\u00dfe.example"),
        ("ada@xn--\u00fc.example", "ada@xn--\u00fc.example"),
        ("ada@xn--!.example", "ada@xn--!.example"),
        (" ;, ", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_the_normal_form_of_an_email(value, email):
    assert email_of(value) == email


def test_only_whole_lines_of_our_portal_name_a_contact_and_no_email_counts_beside_one():
    lead = {"notes": NOTES, "email": "ada@example.com"}
    assert records_of(lead, "42") == {"7"}
    assert set(identities(lead, "42")) == {("7", None)}
    assert set(identities(lead, "5")) == {(None, None)}
    assert set(identities({"email": "Ada@example.com"}, "42")) == {(None, "ada@example.com")}


@pytest.mark.parametrize(
    ("lead", "removed"),
    [
        ({}, False),
        ({"status": "new", "deletedAt": None}, False),
        ({"status": " Deleted "}, True),
        ({"status": "duplicate"}, True),
        ({"status": "to_be_deleted"}, True),
        ({"deletedAt": "2026-01-01"}, True),
        ({"status": 5}, False),
    ],
)
def test_a_lead_may_be_marked_as_removed(lead, removed):
    assert is_removed(lead) is removed
