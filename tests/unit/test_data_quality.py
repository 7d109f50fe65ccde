"""What makes a lead worth a look: addresses of groups, test records, names that were made up."""

import pytest

from migrator.mapping import Finding, findings


def found(email: str = "ada@x.example", derived: tuple[str, ...] = (), **more: str):
    lead = {"firstName": "Ada", "lastName": "Lovelace", "email": email, **more}
    return list(findings(lead, derived))


def test_a_plain_lead_has_none():
    assert found(derived=("email_cleaned", "company_name_from_email")) == []


@pytest.mark.parametrize(
    "email", ["info@x.example", "SALES@x.example", "info+crm@x.example", "vertrieb@x.example"]
)
def test_the_address_of_a_group_is_one(email):
    assert found(email) == [(Finding.ROLE_ADDRESS, email)]


@pytest.mark.parametrize("email", ["infos.ada@x.example", "ada.sales@x.example", "ad@info.example"])
def test_the_address_of_a_person_is_none(email):
    assert found(email) == []


@pytest.mark.parametrize(
    "email",
    [
        *("test@x.example", "Test12@x.example", "ada+test@x.example", "max.test@x.example"),
        *("ada@example.com", "ada@mail.Example.org", "ada@x.test", "ada@localhost"),
        *("bh@hubspot.com", "emailmaria@hubspot.com"),
    ],
)
def test_a_test_record_is_known_by_its_address(email):
    assert found(email) == [(Finding.TEST_RECORD, email)]


@pytest.mark.parametrize(
    "email", ["tester@x.example", "contest@x.example", "ada@hubspot.com", "ada@latest", "@", ""]
)
def test_other_addresses_are_of_no_test(email):
    assert found(email) == []


def test_a_test_record_is_known_by_its_names_and_counted_once():
    assert found(firstName="TEST 2") == [(Finding.TEST_RECORD, "TEST 2")]
    assert found(lastName="Dummy") == [(Finding.TEST_RECORD, "Dummy")]
    assert found(companyName="Test Company") == [(Finding.TEST_RECORD, "Test Company")]
    assert found("test@x.example", firstName="Test") == [(Finding.TEST_RECORD, "test@x.example")]
    assert found(lastName="Testa") == []


@pytest.mark.parametrize("which", ["first", "last"])
@pytest.mark.parametrize("how", ["from_email", "dash"])
def test_a_name_that_the_mapping_made_up_is_shown_in_full(which, how):
    derived = (f"{which}_name_{how}",)
    assert found(derived=derived) == [(Finding.MADE_UP_NAME, "Ada Lovelace")]


def test_a_lead_can_have_all_of_them():
    kinds = [kind for kind, _ in found("test+info@info.test", ("last_name_dash",))]
    assert kinds == [Finding.TEST_RECORD, Finding.MADE_UP_NAME]
    kinds = [kind for kind, _ in found("info@example.com", ("last_name_dash",))]
    assert kinds == [Finding.ROLE_ADDRESS, Finding.TEST_RECORD, Finding.MADE_UP_NAME]
