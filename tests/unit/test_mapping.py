"""
Contact to lead, or the reason why not: first as tables, rule by rule, then for any JSON at all.

`assert_payload_rules` is written from the guide alone and shares nothing with the module it judges.
"""

import re
import unicodedata
from time import process_time
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.mapping import (
    DEFAULT,
    CompanyChoice,
    Comparison,
    Exclusion,
    MappedLead,
    choose_company,
    compare,
    email_key,
    is_removed,
    record_line,
    records_in,
    to_lead,
)
from migrator.mapping.text import as_mapping, quoted

PROPERTIES = DEFAULT.contact_properties
COMPANY_PROPERTIES = DEFAULT.company_properties
PORTAL = "8675309"
OPENING = "Historic Contact imported from HubSpot"
ADA = {"email": "ada@engines.example", "firstname": "Ada", "lastname": "Lovelace"}


def contact(contact_id: Any = "501", /, **properties: Any) -> dict[str, Any]:
    return {"id": contact_id, "properties": properties}


def lead(company: Any = None, contact_id: Any = "501", /, **properties: Any) -> dict[str, str]:
    return mapped(company, contact_id, **properties).lead


def mapped(company: Any = None, contact_id: Any = "501", /, **properties: Any) -> MappedLead:
    result = to_lead(contact(contact_id, **{**ADA, **properties}), company, PORTAL)
    assert isinstance(result, MappedLead), result
    return result


def names(email: str, first: Any = None, last: Any = None) -> tuple[str, str]:
    made = lead(email=email, firstname=first, lastname=last)
    return made["firstName"], made["lastName"]


# ── what is asked for ────────────────────────────────────────────────────────────────────────────


def test_every_property_that_is_used_is_asked_for() -> None:
    guide = "firstname,lastname,email,jobtitle,phone,mobilephone,lifecyclestage,hs_lead_status"
    assert (*guide.split(","), "associatedcompanyid") == PROPERTIES
    assert COMPANY_PROPERTIES == ("name", "domain", "industry")


# ── the whole lead ───────────────────────────────────────────────────────────────────────────────


def test_a_full_contact_becomes_a_full_lead() -> None:
    result = mapped(
        {"name": "Analytical Engines", "domain": "engines.example", "industry": "COMPUTING"},
        jobtitle="Countess",
        phone="+44 20 7946 0000",
        mobilephone="+44 7700 900000",
        lifecyclestage="lead",
        hs_lead_status="OPEN",
        company="not this one",
        city="London",
    )
    assert result == MappedLead(
        lead={
            "firstName": "Ada",
            "lastName": "Lovelace",
            "email": "ada@engines.example",
            "companyName": "Analytical Engines",
            "companyUrl": "engines.example",
            "title": "Countess",
            "phoneNumber": "+44 20 7946 0000",
            "notes": f"{OPENING}\n[HubSpot record: 8675309/501]\n"
            "Lifecycle: lead\nStatus: OPEN\nIndustry: COMPUTING",
        },
        email_key="ada@engines.example",
        derived_fields=(),
    )


def test_a_bare_contact_becomes_a_bare_lead() -> None:
    result = to_lead(contact(email="ada.lovelace@gmail.com"), None, PORTAL)
    assert result == MappedLead(
        lead={
            "firstName": "Ada",
            "lastName": "Lovelace",
            "email": "ada.lovelace@gmail.com",
            "notes": f"{OPENING}\n[HubSpot record: 8675309/501]",
        },
        email_key="ada.lovelace@gmail.com",
        derived_fields=("first_name_from_email", "last_name_from_email"),
    )


@pytest.mark.parametrize("blank", ["", " ", "\t\r\n", "\u200b", "\u200d", "\u3164", "\x00", None])
def test_rule_1_and_bug_4_a_blank_value_is_left_out(blank: Any) -> None:
    made = lead(
        {"name": blank, "domain": blank, "industry": blank},
        email="ada@gmail.com",
        jobtitle=blank,
        phone=blank,
        mobilephone=blank,
        lifecyclestage=blank,
        hs_lead_status=blank,
    )
    assert set(made) == {"firstName", "lastName", "email", "notes"}
    assert made["notes"] == f"{OPENING}\n[HubSpot record: 8675309/501]"


@pytest.mark.parametrize(
    ("given_value", "sent"),
    [
        (7, "7"),
        (1.5, "1.5"),
        (True, None),
        (["x"], None),
        ({"x": "y"}, None),
        pytest.param(10**5000, None, id="an integer too long for Python to print"),
    ],
)
def test_a_number_is_read_as_its_text_and_other_types_as_missing(
    given_value: Any, sent: Any
) -> None:
    assert lead(jobtitle=given_value).get("title") == sent


@pytest.mark.parametrize(
    "junk",
    [
        None,
        [],
        "x",
        7,
        {},
        {"properties": None},
        {"properties": [1]},
        {"properties": {"email": []}},
    ],
)
def test_a_contact_of_the_wrong_shape_has_no_email(junk: Any) -> None:
    assert to_lead(junk, junk, PORTAL).__class__ is Exclusion


# ── e-mail ───────────────────────────────────────────────────────────────────────────────────────


def test_email_is_stripped_and_keeps_its_case() -> None:
    result = mapped(email="\ufeff Ada@Engines.Example\r\n")
    assert result.lead["email"] == "Ada@Engines.Example"
    assert result.email_key == "ada@engines.example"


@pytest.mark.parametrize("email", [None, "", "  ", "\u200b\n", [], {}, False])
def test_a_contact_without_an_email_is_excluded(email: Any) -> None:
    result = to_lead(contact(**{**ADA, "email": email}), None, PORTAL)
    assert result == Exclusion("no_email", "the contact has no e-mail address in HubSpot")


@pytest.mark.parametrize(
    ("email", "fault"),
    [
        ("ada", "has no @"),
        (42, "has no @"),
        ("ada@x.example;bob@x.example", "has more than one @"),
        ("ada@@x.example", "has more than one @"),
        ("@x.example", "has nothing before the @"),
        ("ada@", "has nothing after the @"),
        ("ada@x..example", "has an empty part in its domain"),
        ("ada@.x.example", "has an empty part in its domain"),
        ("ada@x.example.", "has an empty part in its domain"),
        ("ada\n@x.example", "contains white space"),
        ("ada\u00a0l@x.example", "contains white space"),
        ("a\u200bda@x.example", "contains an invisible character"),
        ("a\u200dda@x.example", "contains an invisible character"),
        ("a\x00da@x.example", "contains an invisible character"),
        ("a\ud800da@x.example", "contains an invisible character"),
        ("a" * 245 + "@x.example", "is longer than 254 characters"),
    ],
)
def test_an_impossible_email_is_excluded_with_its_fault(email: Any, fault: str) -> None:
    result = to_lead(contact(email=email), None, PORTAL)
    assert isinstance(result, Exclusion)
    assert result.reason == "invalid_email"
    assert result.detail.endswith(f" {fault}")


@pytest.mark.parametrize(
    "email",
    ["ada@localhost", "o'hara+crm@x.example", "jörg@münchen.example", "a" * 244 + "@x.example"],
)
def test_an_unusual_email_is_left_to_the_service(email: str) -> None:
    assert lead(email=email)["email"] == email


def test_an_excluded_email_is_quoted_short_and_printable() -> None:
    result = to_lead(contact(email="\x1b[31m\u202eada\n" + "x" * 9000), None, PORTAL)
    assert isinstance(result, Exclusion)
    assert result.detail.isprintable()
    assert result.detail.startswith(r"'[31m\u202eada\nxxx")
    assert len(result.detail) < 100


@pytest.mark.parametrize(
    ("email", "key"),
    [
        ("Ada@X.Example", "ada@x.example"),
        (" ada@x.example\t", "ada@x.example"),
        ("STRASSE@x.example", "strasse@x.example"),
        ("straße@x.example", "strasse@x.example"),
        ("re\u0301mi@x.example", "r\u00e9mi@x.example"),
        # two orders of one letter's marks; folding turns one of the marks into a letter
        ("\u03b1\u0301\u0345@x.example", "\u03ac\u03b9@x.example"),
        ("\u03b1\u0345\u0301@x.example", "\u03ac\u03b9@x.example"),
        ("\u200ba\x00da@x.example\ufeff", "ada@x.example"),
        ("", None),
        (" \n", None),
        (None, None),
    ],
)
def test_email_key_is_shared_by_all_spellings(email: str | None, key: str | None) -> None:
    assert email_key(email) == key


# ── names ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("email", "first", "last"),
    [
        ("ada.lovelace@x.example", "Ada", "Lovelace"),
        ("ADA_LOVELACE@x.example", "Ada", "Lovelace"),
        ("ada-king.lovelace@x.example", "Ada", "Lovelace"),
        ("john.john@x.example", "John", "John"),
        ("ada+news@x.example", "Ada+news", "-"),
        ("ada@x.example", "Ada", "-"),
        # the outer part is empty or no name: the guide's formula would send ""
        ("_ada@x.example", "Ada", "-"),
        ("ada.@x.example", "Ada", "-"),
        ("..ada..lovelace..@x.example", "Ada", "Lovelace"),
        ("+.ada@x.example", "Ada", "-"),
        # nothing usable at all
        ("_@x.example", "-", "-"),
        ("...@x.example", "-", "-"),
        ("!@x.example", "-", "-"),
    ],
)
def test_rule_3_missing_names_come_from_the_email(email: str, first: str, last: str) -> None:
    assert names(email) == (first, last)


@pytest.mark.parametrize(
    ("email", "first", "last", "expected"),
    [
        ("ada.lovelace@x.example", None, "King", ("Ada", "King")),
        ("ada.lovelace@x.example", "Augusta", None, ("Augusta", "Lovelace")),
        ("ada@x.example", "Augusta", None, ("Augusta", "-")),
        ("_lovelace@x.example", "Ada", None, ("Ada", "Lovelace")),  # as the guide's formula
        ("lovelace_@x.example", "Ada", None, ("Ada", "Lovelace")),
        ("_@x.example", None, "King", ("-", "King")),
    ],
)
def test_rule_3_a_known_name_is_kept(email: str, first: Any, last: Any, expected: Any) -> None:
    assert names(email, first, last) == expected


@pytest.mark.parametrize(
    "mark",
    [".", "-", "..", "?", "!", "–", "--", "- -", "'", "…", "+", "$", "^", "|", "°", "。", "\u0301"],
)
def test_bug_6_a_lone_mark_is_no_name(mark: str) -> None:
    assert names("ada.lovelace@x.example", mark, mark) == ("Ada", "Lovelace")


@pytest.mark.parametrize(
    "name",
    ["X", "李", "Ñ", "ش", "😀", "🏴\U000e0067\U000e0062\U000e007f", "7", "O'Hara", "J."],
)
def test_a_letter_a_number_or_an_emoji_is_a_name(name: str) -> None:
    assert names("ada@x.example", name, name) == (name, name)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  Ada  ", "Ada"),
        ("Ada\t\r\n Augusta", "Ada Augusta"),
        ("A\u00a0\u2003B", "A B"),
        ("A\x00d\x1ba", "Ada"),
        ("\u202eada\u202c", "ada"),
        ("\u2066A\u200bd\ufeffa\u2069", "Ada"),
        ("A\ud800da", "Ada"),
        ("Re\u0301mi", "R\u00e9mi"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # Persian is spelt with the non-joiner
        ("👩\u200d💻", "👩\u200d💻"),  # one emoji of two, joined
    ],
)
def test_a_name_is_cleaned(raw: str, clean: str) -> None:
    assert names("x@x.example", raw, raw) == (clean, clean)


@pytest.mark.parametrize(
    ("properties", "codes"),
    [
        ({}, ()),
        ({"firstname": None}, ("first_name_from_email",)),
        ({"lastname": None}, ("last_name_dash",)),
        ({"lastname": "-"}, ("last_name_dash",)),
        ({"lastname": ".", "email": "a.b@x.example"}, ("last_name_from_email",)),
        (
            {"firstname": "", "lastname": "", "email": "_@x.example"},
            ("first_name_dash", "last_name_dash"),
        ),
    ],
)
def test_made_up_names_are_told(properties: dict[str, Any], codes: tuple[str, ...]) -> None:
    assert mapped({"name": "Engines"}, **properties).derived_fields == codes


# ── company ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("company", "email", "name"),
    [
        ({"name": " Engines\tLtd "}, "ada@x.example", "Engines Ltd"),
        ({"name": "Engines"}, "ada@gmail.com", "Engines"),
        (None, "ada@engines.example", "Engines"),
        ({"name": " ", "domain": "other.example"}, "ada@ENGINES.example", "Engines"),
        (None, "ada@gmail.com", None),
        (None, "ada@GMail.COM", None),
        (None, "ada@yahoo.com", None),
        (None, "ada@hotmail.com", None),
        (None, "ada@outlook.com", None),
        (None, "ada@web.de", None),
        (None, "ada@mail.gmail.com", None),
        (None, "ada@notgmail.com", "Notgmail"),
        (None, "ada@[192.0.2.1]", None),
    ],
)
def test_company_name_is_the_company_s_else_the_domain_s(
    company: Any, email: str, name: Any
) -> None:
    result = mapped(company, email=email)
    assert result.lead.get("companyName") == name
    from_email = name is not None and not (company and company["name"].strip())
    assert ("company_name_from_email" in result.derived_fields) == from_email


def test_bug_5_the_contact_s_own_company_text_is_not_believed() -> None:
    assert lead(company="Wrong", email="ada@gmail.com").get("companyName") is None


def test_company_url_is_the_company_s_domain_alone() -> None:
    assert lead({"domain": " engines.example "})["companyUrl"] == "engines.example"
    assert "companyUrl" not in lead(None)


def associated(*rows: Any, prop: Any = None, **more: Any) -> dict[str, Any]:
    made = contact(associatedcompanyid=prop)
    return {**made, "associations": {"companies": {"results": list(rows), **more}}}


def row(company_id: Any, kind: Any = "contact_to_company_unlabeled") -> dict[str, Any]:
    return {"id": company_id, "type": kind}


PRIMARY = row("3", "contact_to_company")
CUT = {"paging": {"next": {"after": "x"}}}


@pytest.mark.parametrize(
    ("given_contact", "company_id", "rule"),
    [
        (associated(PRIMARY), "3", "primary"),
        (associated(row("1"), row("2"), PRIMARY, row("3"), prop="9"), "3", "primary"),
        (associated(row("1"), row("2"), prop="2"), "2", "associatedcompanyid"),
        (associated(row("1"), row("2")), "1", "first"),
        (associated(row("1"), prop="9", **CUT), "9", "associatedcompanyid"),
        (associated(row("1"), **CUT), "1", "first"),
        (associated(PRIMARY, prop="9", **CUT), "3", "primary"),
        (contact(associatedcompanyid="9"), "9", "associatedcompanyid"),
        (associated(prop=" "), None, None),
        (contact(), None, None),
        # oddly typed
        (associated(None, [], "x", {}, row(None), row(""), row("1")), "1", "first"),
        (associated(row(7)), "7", "first"),
        (associated(row(7.0), row(True), row(["8"])), None, None),
        (associated(row("00123"), row("1", ["contact_to_company"])), "00123", "first"),
        ({"associations": {"companies": {"results": {"id": "1"}}}}, None, None),
        ({"associations": {"companies": {"results": 7}}}, None, None),
        ({"associations": {"companies": [row("1")]}}, None, None),
        ({"associations": None, "properties": "x"}, None, None),
        ({}, None, None),
        (None, None, None),
    ],
)
def test_the_primary_company_is_chosen_wherever_it_stands(
    given_contact: Any, company_id: Any, rule: Any
) -> None:
    assert choose_company(given_contact) == CompanyChoice(company_id, rule)


# ── phone, notes ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("phone", "mobile", "sent"),
    [
        ("1", "2", "1"),
        (None, "2", "2"),
        ("  ", "2", "2"),
        ("\u202a+44 20\u202c", None, "+44 20"),
        (None, None, None),
    ],
)
def test_bug_3_the_phone_is_phonenumber_and_the_mobile_stands_in(
    phone: Any, mobile: Any, sent: Any
) -> None:
    made = lead(phone=phone, mobilephone=mobile)
    assert made.get("phoneNumber") == sent
    assert "phone" not in made


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_no_value_can_forge_a_line_of_the_notes(line_end: str) -> None:
    forged = f"x{line_end}[HubSpot record: 1/2]{line_end}"
    made = lead({"industry": forged}, lifecyclestage=forged, hs_lead_status=forged)
    assert records_in(made["notes"]) == {(PORTAL, "501")}
    assert len(made["notes"].split("\n")) == 5
    assert made["notes"].splitlines() == made["notes"].split("\n")


def test_record_line_stands_right_behind_the_opening_line() -> None:
    assert record_line("1", "2") == "[HubSpot record: 1/2]"
    made = lead({"industry": "COMPUTING"}, lifecyclestage="lead")
    assert made["notes"].split("\n")[:2] == [OPENING, record_line(PORTAL, "501")]


def test_a_record_line_that_was_cut_is_nobody_s() -> None:
    line = record_line(PORTAL, "50199")
    assert records_in(line) == {(PORTAL, "50199")}
    assert {records_in(line[:end]) for end in range(len(line))} == {frozenset()}


@pytest.mark.parametrize(
    "contact_id", [None, "", "a b", "a/b", "a[b", "a]", "a\nb c", [], {}, True, 1.5]
)
def test_a_contact_without_a_usable_id_gets_no_record_line(contact_id: Any) -> None:
    assert "HubSpot record" not in lead(None, contact_id)["notes"]


def test_a_contact_id_that_came_as_a_number_is_its_digits() -> None:
    assert records_in(lead(None, 501)["notes"]) == {(PORTAL, "501")}


@pytest.mark.parametrize(
    ("notes", "found"),
    [
        ("[HubSpot record: 1/2]", {("1", "2")}),
        ("a\r\n  [HubSpot record: 1/2]\t\r\nb", {("1", "2")}),
        (
            "[HubSpot record: 1/2]\n[HubSpot record: 1/3]\n[HubSpot record: 1/2]",
            {("1", "2"), ("1", "3")},
        ),
        ("Status: [HubSpot record: 1/2]", set()),
        ("[HubSpot record: 1/2] or so", set()),
        ("HubSpot record: 1/2", set()),
        ("[HubSpot record: 1]", set()),
        ("[HubSpot record: 1/2/3]", set()),
        ("[HubSpot record: 1/2]]", set()),
        ("", set()),
        (None, set()),
        (7, set()),
        (["[HubSpot record: 1/2]"], set()),
    ],
)
def test_records_in_reads_whole_lines_only(notes: object, found: set[tuple[str, str]]) -> None:
    assert records_in(notes) == found


# ── comparing with what the service lists ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sent", "shown", "differs"),
    [
        ({"title": "a"}, {"title": "a", "id": "1", "score": 7}, ()),
        ({"title": "a"}, {"title": " a\n"}, ()),
        ({"title": "a"}, {"title": "A"}, ("title",)),
        ({"title": "a"}, {"title": None}, ("title",)),
        ({"title": "a"}, {"title": ["a"]}, ("title",)),
        ({"title": "\u00e9"}, {"title": "e\u0301"}, ()),
        ({"phoneNumber": "4420"}, {"phoneNumber": 4420}, ()),
        ({"notes": "a\nb"}, {"notes": "a\r\nb\r\n"}, ()),
        ({"notes": "a\nb"}, {"notes": "a b"}, ("notes",)),
        ({"notes": "a\nb"}, {"notes": "Called.\na\nasked for a quote\n b \n"}, ()),
        ({"notes": "a\nb"}, {"notes": "b"}, ("notes",)),
        ({"notes": "a\nb"}, {"notes": "a\nbc"}, ("notes",)),
        ({"notes": "a\nb"}, {"notes": None}, ("notes",)),
        ({"email": "Ada@X.example"}, {"email": " ada@x.EXAMPLE"}, ()),
        ({"email": "ada@x.example"}, {"email": None}, ("email",)),
        (
            {"title": "a", "email": "a@x", "lastName": "-"},
            {"email": "b@x", "title": "", "lastName": "z"},
            ("email", "lastName", "title"),
        ),
    ],
)
def test_a_comparison_names_the_fields_that_differ(
    sent: Any, shown: Any, differs: tuple[str, ...]
) -> None:
    assert compare(sent, shown) == Comparison(differs, ())


@pytest.mark.parametrize("shown", [{}, None, {"id": "1"}])
def test_a_comparison_tells_what_is_not_shown_from_what_differs(shown: Any) -> None:
    assert compare({"title": "a", "email": "a@x"}, shown) == Comparison((), ("email", "title"))
    assert compare({"title": "a"}, {"title": None}) == Comparison(("title",), ())


@pytest.mark.parametrize(
    ("lead", "removed"),
    [
        ({"status": "to_be_deleted", "deletedAt": "2026-01-05T10:00:00Z"}, True),
        ({"status": "deleted"}, True),
        ({"status": " Duplicate"}, True),
        ({"status": "new", "deletedAt": "2026-01-05T10:00:00Z"}, True),
        ({"status": "new", "deletedAt": None}, False),
        ({"status": None, "deletedAt": ""}, False),
        ({"status": ["deleted"]}, False),
        ({}, False),
    ],
)
def test_what_leadgenius_marks_as_deleted_or_as_a_duplicate_is_removed(
    lead: Any, removed: bool
) -> None:
    assert is_removed(lead) is removed


# ── for any contact at all ───────────────────────────────────────────────────────────────────────

PAYLOAD_FIELDS = {
    *("firstName", "lastName", "email", "companyName"),
    *("companyUrl", "title", "phoneNumber", "notes"),
}
HIDDEN = "\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
NOTE_LINES = re.compile(
    rf"{OPENING}\n\[HubSpot record: \d+/\d+\]"
    r"(\nLifecycle: \S.*)?(\nStatus: \S.*)?(\nIndustry: \S.*)?"
)


def assert_payload_rules(payload: dict[str, str]) -> None:
    """Check a lead against the guide's rules, with none of the code that built it."""
    assert {"firstName", "lastName", "email", "notes"} <= set(payload) <= PAYLOAD_FIELDS
    for field, value in payload.items():
        assert type(value) is str
        assert value.encode()
        assert value == value.strip() != "", field
        assert not set(value) & set(HIDDEN), field
        controls = {ch for ch in value if unicodedata.category(ch) == "Cc"}
        assert controls <= ({"\n"} if field == "notes" else set()), field
    assert_name(payload["firstName"])
    assert_name(payload["lastName"])
    assert_email(payload["email"])
    assert NOTE_LINES.fullmatch(payload["notes"]), payload["notes"]


def assert_name(name: str) -> None:
    assert unicodedata.is_normalized("NFC", name)
    assert "  " not in name
    kinds = {unicodedata.category(ch) for ch in name}
    assert name == "-" or not all(kind[0] in "PZM" or kind in ("Sm", "Sc", "Sk") for kind in kinds)


def assert_email(email: str) -> None:
    assert re.fullmatch(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)*", email)
    assert len(email) <= 254
    assert not [ch for ch in email if unicodedata.category(ch) in ("Cc", "Cf", "Cs")]


# Random text finds few of the traps by itself: these characters are where they lie.
trap = st.sampled_from([*"@._-+ ?!'\t\r\n\x00\x1b\x85", *HIDDEN, *"\u2028\u200c\u200d\u0301\u3164"])
text = st.text() | st.text(trap | st.characters(exclude_categories=["Cs"]), max_size=12)
forgery = st.sampled_from(
    ["\n[HubSpot record: 1/2]", "\u2028[HubSpot record: 1/2]\r", "[HubSpot record: 8675309/1]"]
)
scalar = st.none() | st.booleans() | st.integers() | st.floats() | text | forgery
junk = st.recursive(
    scalar,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
local_part = st.text(st.sampled_from("aB7é李😀._-+!'"), min_size=1, max_size=8)
domain_name = st.sampled_from(["x.example", "GMAIL.com", "mail.web.de", "-.example", "[192.0.2.1]"])
address = st.builds("{}@{}".format, local_part, domain_name)
record_id = st.from_regex(r"[0-9]{1,12}", fullmatch=True)


def some(keys: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(keys, scalar | junk))


companies = st.none() | some(COMPANY_PROPERTIES)
# a contact of HubSpot's shape whose e-mail is mostly good, so that most become leads
likely = st.builds(
    lambda key, properties, email: {"id": key, "properties": {**properties, "email": email}},
    record_id,
    some(PROPERTIES),
    address | address | text,
)
association_row = st.fixed_dictionaries(
    {}, optional={"id": junk, "type": junk | st.just("contact_to_company")}
)
association_list = st.fixed_dictionaries({}, optional={"results": st.lists(association_row) | junk})
# and one with junk at every level
unlikely = junk | st.fixed_dictionaries(
    {},
    optional={
        "id": junk,
        "properties": junk | some(PROPERTIES),
        "associations": junk | st.fixed_dictionaries({"companies": junk | association_list}),
    },
)
patiently = settings(deadline=None)  # a busy machine is no bug


@patiently
@given(likely, companies)
def test_any_contact_is_a_lead_that_keeps_the_rules_or_a_reason(
    given_contact: Any, company: Any
) -> None:
    result = to_lead(given_contact, company, PORTAL)
    if isinstance(result, Exclusion):
        assert result.reason in ("no_email", "invalid_email")
        assert result.detail.isprintable()
        assert 0 < len(result.detail) < 120
        return
    assert_payload_rules(result.lead)
    assert result.email_key == email_key(result.lead["email"])
    assert len(set(result.derived_fields)) == len(result.derived_fields) <= 3


@patiently
@given(unlikely, junk)
def test_no_json_at_all_raises(given_contact: Any, company: Any) -> None:
    choice = choose_company(given_contact)
    assert (choice.company_id is None) == (choice.rule is None)
    assert choice.company_id != ""
    result = to_lead(given_contact, company, PORTAL)
    assert isinstance(result, MappedLead | Exclusion)
    records_in(given_contact)
    found = compare({"title": "a"}, given_contact)
    assert found.differs + found.lacks in ((), ("title",))


@patiently
@given(st.text(st.characters(categories=["Cs", "Cf", "L"])), st.text(st.characters()))
def test_half_a_surrogate_pair_never_reaches_the_lead(torn: str, odd: str) -> None:
    result = to_lead(contact(**{**ADA, "firstname": torn, "jobtitle": odd + torn}), None, PORTAL)
    assert isinstance(result, MappedLead)
    assert_payload_rules(result.lead)


@patiently
@given(likely, companies)
def test_mapping_is_deterministic_and_changes_nothing_it_is_given(
    given_contact: Any, company: Any
) -> None:
    before = repr((given_contact, company))
    first = to_lead(given_contact, company, PORTAL)
    assert to_lead(given_contact, company, PORTAL) == first
    assert repr((given_contact, company)) == before


@patiently
@given(likely, companies)
def test_mapping_a_lead_s_own_values_gives_the_same_lead(given_contact: Any, company: Any) -> None:
    result = to_lead(given_contact, company, PORTAL)
    # A dash is no name: given back, it is looked for in the e-mail like a missing one.
    if isinstance(result, Exclusion) or "-" in (result.lead["firstName"], result.lead["lastName"]):
        return
    made = result.lead
    stages = dict(line.split(": ", 1) for line in made["notes"].split("\n")[2:])
    again = contact(
        given_contact["id"],
        email=made["email"],
        firstname=made["firstName"],
        lastname=made["lastName"],
        jobtitle=made.get("title"),
        phone=made.get("phoneNumber"),
        lifecyclestage=stages.get("Lifecycle"),
        hs_lead_status=stages.get("Status"),
    )
    firm = {
        "name": made.get("companyName"),
        "domain": made.get("companyUrl"),
        "industry": stages.get("Industry"),
    }
    assert to_lead(again, firm, PORTAL) == MappedLead(made, result.email_key, ())


@patiently
@given(likely, companies)
def test_a_lead_does_not_differ_from_itself(given_contact: Any, company: Any) -> None:
    result = to_lead(given_contact, company, PORTAL)
    if isinstance(result, MappedLead):
        made = result.lead
        listed = {key: f" {value}\r\n".replace("\n", "\r\n") for key, value in made.items()}
        assert compare(made, {**made, "id": "1"}) == compare(made, listed) == Comparison((), ())
        assert compare(made, {}) == Comparison((), tuple(sorted(made)))


@patiently
@given(
    record_id, record_id, st.dictionaries(st.sampled_from(PROPERTIES), text | forgery), companies
)
def test_a_lead_holds_exactly_its_own_record(
    portal: str, key: str, values: Any, company: Any
) -> None:
    result = to_lead(contact(key, **{**values, "email": "ada@x.example"}), company, portal)
    assert isinstance(result, MappedLead)
    assert (
        records_in(result.lead["notes"]) == {(portal, key)} == records_in(record_line(portal, key))
    )


@patiently
@given(local_part, st.sampled_from([None, "Ada"]), st.sampled_from([None, "King"]))
def test_rule_3_the_guide_s_formula_is_obeyed_wherever_it_gives_names(
    local: str, fn: Any, ln: Any
) -> None:
    parts = re.split(r"[._-]", local)
    by_guide = (
        fn or parts[0].capitalize(),
        ln or (parts[-1].capitalize() if len(parts) >= 2 else "-"),
    )
    if all(name == "-" or re.search(r"[\w😀]", name) for name in by_guide):
        assert names(f"{local}@x.example", fn, ln) == by_guide


@patiently
@given(text)
def test_email_key_of_a_key_is_itself(email: str) -> None:
    key = email_key(email)
    assert email_key(key) == key
    assert email_key(f"\t{email} ") == key


@pytest.mark.parametrize(
    "value",
    [" " * 200_000, "x" + " " * 200_000 + "x", "\u200b" * 200_000],
    ids=["blank", "blank inside", "invisible"],
)
def test_a_huge_value_costs_no_more_than_its_length(value: str) -> None:
    start = process_time()
    to_lead(contact(email=value, firstname=value), {"name": value}, PORTAL)
    email_key(value)
    assert process_time() - start < 2


@pytest.mark.parametrize("given", [{"id": 1}, MappingProxyType({"id": 1})])
def test_any_mapping_is_an_object(given):
    assert as_mapping(given) is given


@pytest.mark.parametrize("given", [None, [], "id", 1.5])
def test_what_is_no_mapping_is_an_empty_object(given):
    assert as_mapping(given) == {}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "''"),
        ("a\n\x1b'", '"a\\n\\x1b\'"'),
        ("x" * 58, f"'{'x' * 58}'"),
        ("x" * 59, f"'{'x' * 57}…'"),
        ("x" * 9_999, f"'{'x' * 57}…'"),
    ],
)
def test_a_quoted_text_is_short_and_harmless(text, shown):
    assert quoted(text) == shown
