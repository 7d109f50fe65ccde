"""
E-mail addresses: which one a text holds, which are one, and which domains name no company.

The sandbox reads addresses by code of its own; here the two have to agree on any text.
"""

from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.mapping import Exclusion, MappedLead, email_key, to_lead
from migrator.mapping.emails import address_in, ascii_domain
from migrator.mapping.free_mail import is_free_mail
from migrator.sandbox import addresses
from tests.unit.test_mapping import ADA, PORTAL, contact, mapped, patiently

JANE = "jane@x.example"


@pytest.mark.parametrize(
    "text",
    [
        *("jane@x.example;", "jane@x.example,", ";jane@x.example", "jane@x.example: ;"),
        *("<jane@x.example>", "<jane@x.example", "jane@x.example>", "(jane@x.example)"),
        *("mailto:jane@x.example", "MAILTO:jane@x.example", "<mailto:jane@x.example>;"),
        *("'jane@x.example'", '"jane@x.example"', "`jane@x.example`", "“jane@x.example”"),
        *("'jane@x.example',", "'jane@x.example;'", "jane@x.example'", "<'jane@x.example'>"),
        *('"Jane" <jane@x.example>', "Jane O'Hara <jane@x.example>", "Doe, Jane <jane@x.example>;"),
        # the same address twice, as Outlook and copied links have it
        *("'jane@x.example' <jane@x.example>", "Jane@X.example<mailto:jane@x.example>"),
        *("jane@x.example；", "jane@x.example\u037e"),
    ],
)
def test_an_address_among_marks_is_read_and_said_to_be_cleaned(text: str) -> None:
    result = mapped(email=text)
    assert result.lead["email"] == JANE == result.email_key
    assert result.derived_fields[0] == "email_cleaned"
    assert email_key(text) == JANE


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("jane@x.example; bob@y.example", "has more than one @"),
        ("jane@x.example, jane@x.example", "has more than one @"),
        ("bob@y.example <jane@x.example>", "has more than one @"),
        ("<jane@x.example> <bob@y.example>", "has more than one @"),
        # words around it may be a part of it, or say that it is none
        ("jane doe@x.example", "contains white space"),
        ("jane@x.example (has left)", "contains white space"),
        ("<jane@x.example> or not", "contains white space"),
        ("jane;@x.example", "contains a character that is not allowed before the @"),
        ("a,b@x.example", "contains a character that is not allowed before the @"),
        # its half is missing, and an address may begin with it
        ("'jane@x.example;", "contains a character that is not allowed in a domain"),
        # what was cut off or hidden is not to be guessed
        ("jane@x.exam**", "contains a character that is not allowed in a domain"),
        ("jane@x.example?", "contains a character that is not allowed in a domain"),
        ("jane@acme.co.", "has an empty part in its domain"),
        ("<>", "has no @"),
        ("mailto:@x.example", "contains a character that is not allowed before the @"),
    ],
)
def test_a_text_with_no_address_or_a_choice_is_held_with_its_fault(text: str, fault: str) -> None:
    result = to_lead(contact(**{**ADA, "email": text}), None, PORTAL)
    assert isinstance(result, Exclusion), result
    assert (result.reason, result.detail) == ("invalid_email", f"{text!r} {fault}")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "o'neil+crm@acme.example",
            "'jane@x.example",
            "x_1@sub-domain.x.example",
            "*a*@x.example",
        ),
        *('"jane.doe"@x.example', "ada@[192.0.2.1]", "ada@localhost", "a_b@x_y.example"),
        *("jörg@münchen.example", "李@例え.example", "ada@i❤.example", "o’neil@x.example"),
    ],
)
def test_an_unusual_address_without_marks_stays_as_it_is(text: str) -> None:
    result = mapped(email=text)
    assert result.lead["email"] == text
    assert "email_cleaned" not in result.derived_fields


def test_names_are_taken_from_the_address_and_not_from_the_marks() -> None:
    result = mapped(email="<ada.lovelace@engines.example>", firstname="", lastname="")
    assert (result.lead["firstName"], result.lead["lastName"]) == ("Ada", "Lovelace")
    assert result.lead["companyName"] == "Engines"
    assert result.derived_fields == (
        "email_cleaned",
        "first_name_from_email",
        "last_name_from_email",
        "company_name_from_email",
    )


@pytest.mark.parametrize(
    ("domain", "spelt"),
    [
        ("X.Example", "x.example"),
        ("münchen.example", "xn--mnchen-3ya.example"),
        ("MÜNCHEN.example", "xn--mnchen-3ya.example"),
        ("mu\u0308nchen.example", "xn--mnchen-3ya.example"),
        ("XN--MNCHEN-3YA.example", "xn--mnchen-3ya.example"),
        ("münchen。example", "xn--mnchen-3ya.example"),
        ("mail.ｍünchen.example", "mail.xn--mnchen-3ya.example"),
        # two domains each: only IDNA 2003 took them for one
        ("straße.example", "xn--strae-oqa.example"),
        ("STRAẞE.example", "xn--strae-oqa.example"),
        ("strasse.example", "strasse.example"),
        ("βόλος.example", "xn--nxasmm1c.example"),
        ("βόλοσ.example", "xn--nxasmq6b.example"),
        # IDNA does not allow it, and yet there are such domains
        ("i❤.example", "xn--i-7iq.example"),
        # what no rule knows has a spelling all the same
        ("a\u2260b.example", "xn--ab-miv.example"),
        ("a＠b.example", "xn--ab-iw3n.example"),
        ("\ufe0f.example", "xn--v86c.example"),
    ],
)
def test_a_domain_has_one_spelling_in_ascii(domain: str, spelt: str) -> None:
    assert ascii_domain(domain) == spelt
    assert ascii_domain(spelt) == spelt
    assert email_key(f"Ada@{domain}") == f"ada@{spelt}"


@pytest.mark.parametrize(
    ("email", "name"),
    [
        ("ada@xn--mnchen-3ya.example", "München"),
        ("ada@münchen.example", "München"),
        ("ada@xn--.example", None),
        ("ada@xn--\u00fc.example", "Xn--ü"),
        ("ada@xn--99999999.example", "Xn--99999999"),
    ],
)
def test_a_company_s_name_is_taken_from_either_spelling(email: str, name: str | None) -> None:
    assert mapped(email=email).lead.get("companyName") == name


@pytest.mark.parametrize(
    ("domain", "is_free"),
    [
        *((one, True) for one in ("gmail.com", "GMAIL.com", "web.de", "mail.gmail.com")),
        *((one, True) for one in ("privaterelay.appleid.com", "mozmail.com", "ada.mozmail.com")),
        *((one, True) for one in ("tutanota.com", "tuta.io", "keemail.me", "duck.com", "hey.com")),
        *((one, True) for one in ("ada.aleeas.com", "ada.anonaddy.com", "passmail.net", "pm.me")),
        # below a suffix where anybody registers a domain
        *((one, True) for one in ("za.com", "dyndns.org")),
        *((one, False) for one in ("smithco.za.com", "mail.smithco.za.com", "acme.dyndns.org")),
        # only alike
        *((one, False) for one in ("notgmail.com", "appleid.com", "they.com", "gmail.com.example")),
        # an own list, whichever way a domain is spelt
        *((one, True) for one in ("post.example", "a.post.example", "xn--mnchen-3ya.example")),
        ("münchen.example", True),
    ],
)
def test_free_mail_is_a_domain_where_anybody_can_have_an_address(
    domain: str, is_free: bool
) -> None:
    assert is_free_mail(domain, frozenset(["post.example", "xn--mnchen-3ya.example"])) is is_free


# ── for any text at all ──────────────────────────────────────────────────────────────────────────

piece = st.sampled_from(
    [
        *"aZ7é李ßſ\u1fef@@..-_ \t;,:<>()[]\"\"''`“’；（＠\u037e\u0301\u200b\u00ad\u0600\ufe0f。",
        "mailto:",
        JANE,
    ]
)
messy = st.lists(piece, max_size=14).map("".join)
mark = st.text(st.sampled_from('; ,:<>()"“”'), max_size=4)


@patiently
@given(messy | st.text())
def test_the_two_readings_of_addresses_agree(text: str) -> None:
    text = normalize("NFC", text).strip()
    found = address_in(text)
    assert addresses.is_sound(addresses.one_address(text)) == (found is not None)
    assert found in (None, addresses.one_address(text))


@patiently
@given(messy)
def test_what_was_read_is_read_as_itself(text: str) -> None:
    if (found := address_in(normalize("NFC", text))) is not None:
        assert address_in(found) == found
        assert email_key(text) == email_key(found)


@patiently
@given(mark, mark)
def test_no_marks_around_an_address_make_another_of_it(before: str, after: str) -> None:
    result = to_lead(contact(**{**ADA, "email": before + JANE + after}), None, PORTAL)
    assert isinstance(result, Exclusion) or result.lead["email"] == JANE


@patiently
@given(messy)
def test_the_key_of_a_key_is_itself_whatever_the_text(text: str) -> None:
    key = email_key(text)
    assert email_key(key) == key


@patiently
@given(messy)
def test_a_lead_s_key_is_the_contact_s(text: str) -> None:
    result = to_lead(contact(**{**ADA, "email": text}), None, PORTAL)
    if isinstance(result, MappedLead):
        assert result.email_key == email_key(result.lead["email"]) == email_key(text)
