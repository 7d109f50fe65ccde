"""
Mapping files: what one may say, every fault named at once, and what holds whatever it says.

`assert_payload_rules` of test_mapping knows the guide's notes; here they may be any.
"""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import migrator.mapping
from migrator.mapping import (
    DEFAULT,
    FIELDS,
    Comparison,
    Exclusion,
    InvalidMapping,
    MappedLead,
    Rules,
    compare,
    doubts,
    parse,
    records_in,
    to_lead,
)
from migrator.mapping.parser import LONGEST_PROPERTIES, REQUIRED, advised
from migrator.mapping.rules import PropertySource
from tests.unit.test_mapping import (
    ADA,
    PORTAL,
    address,
    assert_email,
    assert_name,
    contact,
    junk,
    patiently,
    record_id,
    scalar,
    text,
)

FILE = Path(migrator.mapping.__file__).with_name("default.toml").read_text(encoding="utf-8")
NAMES = 'firstName = "firstname"\nlastName = "lastname"\nemail = "email"\n'
LEAST = f"[fields]\n{NAMES}"


def faults(file: str) -> list[str]:
    with pytest.raises(InvalidMapping) as caught:
        parse(file)
    return [str(fault) for fault in caught.value.faults]


def mapped(file: str, company: Any = None, **properties: Any) -> MappedLead:
    result = to_lead(contact(**{**ADA, **properties}), company, PORTAL, parse(file))
    assert isinstance(result, MappedLead), result
    return result


# ── the guide's mapping ──────────────────────────────────────────────────────────────────────────


def test_the_built_in_mapping_is_a_file_like_any_other() -> None:
    assert parse(FILE) == DEFAULT
    assert DEFAULT.text == FILE


def test_the_built_in_file_names_every_field_that_there_is() -> None:
    assert all(field in FILE for field in FIELDS)


def test_a_file_that_says_the_least_maps_the_least() -> None:
    made = mapped(LEAST, {"name": "Engines"}, jobtitle="Countess", lifecyclestage="lead")
    record = f"[HubSpot record: {PORTAL}/501]"
    assert made.lead == {
        "firstName": "Ada",
        "lastName": "Lovelace",
        "email": "ada@engines.example",
        "notes": record,
    }


# ── what a file may say ──────────────────────────────────────────────────────────────────────────


def test_of_several_sources_the_first_with_a_value_counts() -> None:
    file = f'{LEAST}title = ["role", "company.motto", "jobtitle"]'
    assert mapped(file, {"motto": "m"}, role=" ", jobtitle="j").lead["title"] == "m"
    assert mapped(file, {"motto": "m"}, role="r", jobtitle="j").lead["title"] == "r"
    assert mapped(file, None, jobtitle="j").lead["title"] == "j"
    assert "title" not in mapped(file).lead


def test_an_email_and_a_name_may_have_a_second_source() -> None:
    file = (
        '[fields]\nemail = ["email", "work_email"]\nfirstName = ["called", "firstname"]\n'
        'lastName = "lastname"'
    )
    made = mapped(file, email=" ", work_email="w@x.example", called=".")
    assert made.lead["email"] == "w@x.example" == made.email_key
    assert made.lead["firstName"] == "Ada"
    assert made.derived_fields == ()


@pytest.mark.parametrize("field", [one for one in FIELDS if one not in ("firstName", "email")])
def test_every_known_field_can_be_mapped(field: str) -> None:
    file = '[fields]\nfirstName = "firstname"\nemail = "email"\n'
    file += "" if field == "lastName" else 'lastName = "lastname"\n'
    made = mapped(f'{file}{field} = "extra"', extra="value")
    assert made.lead[field] == "value"
    assert compare(made.lead, {**made.lead, field: "other"}).differs == (field,)


def test_notes_are_the_lines_that_the_file_names() -> None:
    file = (
        f'{LEAST}[notes]\nopening = "Hello"\nlines = [{{label = "Score", source = "hs_score"}}, '
        '{label = "Town", source = "company.city"}]'
    )
    record = f"[HubSpot record: {PORTAL}/501]"
    assert mapped(file, {"city": "B"}, hs_score=7).lead["notes"] == (
        f"Hello\n{record}\nScore: 7\nTown: B"
    )
    assert mapped(file).lead["notes"] == f"Hello\n{record}"


def test_a_constant_only_fills() -> None:
    file = f'{LEAST}title = "jobtitle"\n[constants]\ntitle = "Unknown"\ncompanyUrl = "x.example"'
    assert mapped(file).lead["title"] == "Unknown"
    made = mapped(file, jobtitle="Countess").lead
    assert (made["title"], made["companyUrl"]) == ("Countess", "x.example")


@pytest.mark.parametrize(
    ("rest", "email", "name"),
    [
        ("", "ada@engines.example", "Engines"),
        ('[fallbacks]\ncompany_name = "none"', "ada@engines.example", None),
        ("", "ada@gmail.com", None),
        ('[free_mail]\ncompany_name = "domain"', "ada@gmail.com", "Gmail"),
        ('[free_mail]\nextra_domains = ["Post.example"]', "ada@mail.post.EXAMPLE", None),
        ('[free_mail]\nextra_domains = ["post.example"]', "ada@riposte.example", "Riposte"),
        ('[constants]\ncompanyName = "Private"', "ada@gmail.com", "Private"),
        ('[constants]\ncompanyName = "Private"', "ada@engines.example", "Engines"),
        (
            '[fallbacks]\ncompany_name = "none"\n[free_mail]\ncompany_name = "domain"',
            "ada@gmail.com",
            None,
        ),
    ],
)
def test_a_missing_company_name_is_filled_as_the_file_says(
    rest: str, email: str, name: str | None
) -> None:
    made = mapped(f'{LEAST}companyName = "company.name"\n{rest}', email=email)
    assert made.lead.get("companyName") == name


def test_a_company_name_that_is_not_mapped_is_not_made_up() -> None:
    assert "companyName" not in mapped(LEAST).lead


def test_missing_names_can_be_dashes() -> None:
    file = f'{LEAST}[fallbacks]\nnames = "dash"'
    made = mapped(file, email="ada.lovelace@x.example", firstname="", lastname=".")
    assert (made.lead["firstName"], made.lead["lastName"]) == ("-", "-")
    assert made.derived_fields == ("first_name_dash", "last_name_dash")


def test_what_a_file_names_is_asked_for_and_nothing_else() -> None:
    rules = parse(
        f'{LEAST}title = ["role", "email", "company.motto"]\n'
        '[notes]\nlines = [{label = "A", source = "score"}, '
        '{label = "B", source = "company.motto"}]'
    )
    asked = ("firstname", "lastname", "email", "role", "score", "associatedcompanyid")
    assert rules.contact_properties == asked
    assert rules.company_properties == ("motto",)


# ── the hash ─────────────────────────────────────────────────────────────────────────────────────


def test_comments_spelling_and_the_order_of_keys_do_not_count() -> None:
    other = (
        '# mine\n[free_mail]\n[constants]\n[fields]\n"email" = ["email"]\n'
        'lastName = "lastname"\nfirstName = "firstname"'
    )
    assert parse(other).hash == parse(LEAST).hash


@pytest.mark.parametrize(
    "more",
    [
        'title = "jobtitle"',
        'title = ["a", "b"]',
        'title = ["b", "a"]',
        '[constants]\ntitle = "x"',
        '[constants]\ntitle = "y"',
        '[notes]\nopening = "x"',
        '[notes]\nlines = [{label = "A", source = "a"}]',
        '[notes]\nlines = [{label = "A", source = "b"}]',
        '[fallbacks]\nnames = "dash"',
        '[fallbacks]\ncompany_name = "none"',
        '[free_mail]\ncompany_name = "domain"',
        '[free_mail]\nextra_domains = ["x.example"]',
        "",
    ],
)
def test_every_rule_counts(more: str) -> None:
    hashes = {parse(f"{LEAST}{one}").hash for one in (more, 'companyUrl = "company.domain"')}
    assert len(hashes) == 2
    assert DEFAULT.hash not in hashes


def test_the_hash_of_the_guides_mapping_stays() -> None:
    # Ledgers keep it. Another one here means that every contact is mapped anew.
    assert DEFAULT.hash == "cc214970a9a390678d2f1c72b5d6c2eddbf94f872f727b4c46212a6eb07a8da2"


# ── faults ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ('phone = "phone"', "fields.phone: LeadGenius answers 500"),
        ('phone = "phone"', "the field is phoneNumber"),
        ('client_id = "x"', "fields.client_id: it is not a value of a contact"),
        ('clientId = "x"', "fields.clientId: it is not a value of a contact"),
        ('leads = "x"', "fields.leads: LeadGenius treats a lead with it as a batch"),
        ('deletedAt = "x"', "fields.deletedAt: LeadGenius sets it"),
        ('id = "x"', "fields.id: LeadGenius sets it"),
        ('notes = "x"', "fields.notes: the notes are built line by line; write their lines in"),
        ("title = 7", "fields.title: a property name is a text"),
        ("title = [[]]", "fields.title: a property name is a text"),
        ("title = []", "fields.title: it has no property"),
        ('title = ["a", "a"]', "fields.title: it names a property twice"),
        ('title = "contact.jobtitle"', "fields.title: contact properties have no prefix"),
        ('title = "deal.name"', "fields.title: 'deal.name' is not a property name"),
        ('title = "a,b"', "fields.title: 'a,b' is not a property name"),
        ('title = "company."', "fields.title: 'company.' is not a property name"),
        ('title = ""', "fields.title: '' is not a property name"),
        ('"a b" = "x"', "fields.'a b': it is not a field name"),
        ('"" = "x"', "fields.'': it is not a field name"),
        ('"größe" = "x"', "fields.'größe': it is not a field name"),
        ("[fallback]", "fallback: unknown section; did you mean fallbacks?"),
        ('[notes]\nline = "x"', "notes.line: unknown key; did you mean lines?"),
        ("[notes]\nopening = 1", "notes.opening: it is not a text"),
        ('[notes]\nopening = ""', "notes.opening: '' is blank"),
        ('[notes]\nopening = "a\\nb"', "notes.opening: 'a\\nb' is blank, or has a line break"),
        ('[notes]\nopening = "HubSpot record: 1/2"', "notes.opening: `HubSpot record` is reserved"),
        ("[notes]\nlines = 3", "notes.lines, line 1: it is not a line"),
        ("[notes]\nlines = [3]", "notes.lines, line 1: it is not a line"),
        ('[notes]\nlines = [{label = "A"}]', "line 1: source: a property name is a text"),
        ('[notes]\nlines = [{source = "a"}]', "line 1: label: it is not a text"),
        ('[notes]\nlines = [{label = " ", source = "a"}]', "line 1: label: ' ' is blank"),
        (
            '[notes]\nlines = [{label = "hubspot RECORD", source = "a"}]',
            "line 1: label: `HubSpot record` is reserved for the record line",
        ),
        (
            '[notes]\nlines = [{label = "A", source = "a"}, {label = "a", source = "b"}]',
            "line 2: label: there is another 'a'",
        ),
        (
            '[notes]\nlines = [{label = "A", source = "a", sauce = "b"}]',
            "line 1: sauce: unknown key; did you mean source?",
        ),
        ('[constants]\nemail = "x@x.example"', "constants.email: it would be the same for all"),
        ('[constants]\nfirstName = "x"', "constants.firstName: it would be the same for all"),
        ('[constants]\nphone = "1"', "constants.phone: LeadGenius answers 500"),
        ('[constants]\ntitle = "a\\u202eb"', "constants.title: 'a\\u202eb' is blank, or has"),
        ("[constants]\ntitle = 1", "constants.title: it is not a text"),
        ('[constants]\nstatus = "Duplicate"', "constants.status: it marks the lead as removed"),
        (
            '[fallbacks]\nnames = "dot"',
            'fallbacks.names: invalid value; write "em',
        ),
        ("[fallbacks]\nnames = []", "fallbacks.names: invalid value"),
        ("[free_mail]\ncompany_name = true", "free_mail.company_name: invalid value"),
        ('[free_mail]\nextra_domains = "x"', "free_mail.extra_domains: it is not a list"),
        ('[free_mail]\nextra_domains = ["x"]', "free_mail.extra_domains: 'x' is not a domain"),
        (
            "[free_mail]\nextra_domains = [1]",
            "free_mail.extra_domains: one of them is not a domain",
        ),
    ],
)
def test_a_fault_is_named_with_its_place_and_what_to_write(more: str, fault: str) -> None:
    (found,) = faults(f"{LEAST}{more}")
    assert fault in found


@pytest.mark.parametrize("field", ["firstName", "lastName", "email"])
def test_a_field_that_no_lead_can_be_without_must_be_mapped(field: str) -> None:
    lines = [line for line in NAMES.splitlines() if not line.startswith(field)]
    (found,) = faults("\n".join(["[fields]", *lines]))
    assert found.startswith(f"fields.{field}: it is missing")


@pytest.mark.parametrize("section", ["fields", "notes", "constants", "fallbacks", "free_mail"])
def test_a_section_that_is_none_is_named(section: str) -> None:
    found = faults(f"{section} = 3\n{'' if section == 'fields' else LEAST}")
    assert f"{section}: it is not a section; begin it with [{section}]" in found


@pytest.mark.parametrize(
    "file", ["[fields", "a = ", "\x00", "a = 1" + "0" * 5000, "a=" + "[" * 9999]
)
def test_what_is_no_toml_is_named_as_such(file: str) -> None:
    (found,) = faults(file)
    assert found.startswith("it is not valid TOML: ")


def test_every_fault_is_named_at_once() -> None:
    assert len(faults('[fields]\nphone = "a"\nemail = 1\n[fallback]\n[notes]\nopening = " "')) == 6


def test_more_properties_than_an_address_can_carry_are_too_many() -> None:
    def file(number: int) -> str:
        lines = (f'{{label = "L{one}", source = "{one:0100}"}}' for one in range(number))
        return f"{LEAST}[notes]\nlines = [{', '.join(lines)}]"

    fit = (LONGEST_PROPERTIES - 100) // 103
    assert len(parse(file(fit)).contact_properties) == fit + 4
    assert "too long for HubSpot" in faults(file(fit + 1))[0]


# ── doubts ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("more", "doubt"),
    [
        (
            'titel = "jobtitle"',
            "fields.titel: LeadGenius does not document this field, and may drop it",
        ),
        ('titel = "jobtitle"', "did you mean title?"),
        ('companyname = "x"', "did you mean companyName?"),
        ('x_score = "score"', "fields.x_score: LeadGenius does not document this field"),
        ('[constants]\nzzz = "x"', "constants.zzz: LeadGenius does not document this field"),
    ],
)
def test_a_field_that_is_not_documented_is_doubtful_and_sent(more: str, doubt: str) -> None:
    (found,) = map(str, doubts(parse(f"{LEAST}{more}")))
    assert doubt in found
    field = more.splitlines()[-1].partition(" ")[0]
    assert field in mapped(f"{LEAST}{more}", jobtitle="v", x="v", score="v").lead


def test_what_is_documented_leaves_no_doubt() -> None:
    lines = "\n".join(f'{field} = "x"' for field in FIELDS if field not in REQUIRED)
    assert doubts(parse(f"{LEAST}{lines}")) == doubts(DEFAULT) == []


def test_a_status_that_only_leadgenius_gives_is_not_sent() -> None:
    file = f'{LEAST}status = "x"\ntitle = "x"\n[constants]\nstatus = "New"'
    for value in ("duplicate", "deleted", "To_Be_Deleted"):
        made = mapped(file, x=value).lead
        assert (made["status"], made["title"]) == ("New", value)
    assert mapped(file, x="duplicates").lead["status"] == "duplicates"


def test_a_domain_of_free_mail_may_be_spelt_either_way() -> None:
    for spelt in ("münchen.example", "xn--mnchen-3ya.example"):
        file = f'{LEAST}companyName = "company.name"\n[free_mail]\nextra_domains = ["{spelt}"]'
        assert "companyName" not in mapped(file, email="ada@MÜNCHEN.example").lead


# ── whatever a file says ─────────────────────────────────────────────────────────────────────────

property_name = st.sampled_from(["firstname", "lastname", "email", "jobtitle", "x", "hs_y"])
source = property_name | property_name.map("company.{}".format)
sources = source.map(repr) | st.lists(source, min_size=1, max_size=3, unique=True).map(repr)
words = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=12)


def quoted(value: str) -> str:
    return "'''" + value + "'''" if "'" not in value else '"' + value.replace('"', "'") + '"'


@st.composite
def files(draw: Any) -> str:
    """A mapping file that is mostly good."""
    others = st.sampled_from(FIELDS[3:])
    lines = ["[fields]"]
    lines += [f"{field} = {draw(sources)}" for field in ("firstName", "lastName")]
    lines += [f"email = ['email', {draw(source)!r}]".replace(", 'email'", "")]
    lines += [f"{field} = {draw(sources)}" for field in draw(st.sets(others))]
    lines += ["[constants]"]
    lines += [f"{field} = {quoted(draw(words))}" for field in draw(st.sets(others, max_size=2))]
    notes = draw(st.lists(st.tuples(words, source), max_size=3))
    told = ", ".join(f"{{label = {quoted(label)}, source = '{own}'}}" for label, own in notes)
    lines += ["[notes]", f"opening = {quoted(draw(words))}", f"lines = [{told}]"]
    lines += ["[fallbacks]", f"names = '{draw(st.sampled_from(['email', 'dash']))}'"]
    lines += [f"company_name = '{draw(st.sampled_from(['domain', 'none']))}'"]
    return "\n".join(lines)


def good(file: str) -> Rules:
    try:
        return parse(file)
    except InvalidMapping:
        assume(False)
        raise


values = st.dictionaries(property_name, scalar | junk | text)


@patiently
@given(files(), record_id, values, values, address)
def test_the_payload_rules_hold_whatever_a_file_says(
    file: str, key: str, own: Any, firm: Any, email: str
) -> None:
    rules = good(file)
    result = to_lead(contact(key, **{**own, "email": email}), firm, PORTAL, rules)
    if isinstance(result, Exclusion):
        return
    lead = result.lead
    assert {"firstName", "lastName", "email", "notes"} <= set(lead) <= {*FIELDS, "notes"}
    assert all(type(value) is str and value == value.strip() != "" for value in lead.values())
    assert_name(lead["firstName"])
    assert_name(lead["lastName"])
    assert_email(lead["email"])
    assert f"[HubSpot record: {PORTAL}/{key}]" in lead["notes"].splitlines()[:2]
    assert records_in(lead["notes"]) == {(PORTAL, key)}
    assert all("\n" not in value for field, value in lead.items() if field != "notes")
    assert compare(lead, lead) == Comparison((), ())
    assert "".join(lead.values()).encode()


@patiently
@given(files(), junk, junk)
def test_no_json_at_all_raises_whatever_a_file_says(file: str, one: Any, firm: Any) -> None:
    assert isinstance(to_lead(one, firm, PORTAL, good(file)), MappedLead | Exclusion)


@patiently
@given(st.text() | files().map(lambda file: file[: len(file) // 2]) | files())
def test_any_text_is_a_mapping_or_has_faults(file: str) -> None:
    try:
        rules = parse(file)
    except InvalidMapping as error:
        assert error.faults
        return
    assert parse(rules.text) == rules


@pytest.mark.parametrize("text", ["jobtitle", "company.name"])
def test_a_source_is_written_as_it_is_read(text):
    assert str(PropertySource.named(text)) == text


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("Titel", ["title", "email"], "did you mean title?"),
        ("zip", ["title", "email"], "known are title, email"),
        ("zip", "ABCDEFGHK", "known are A, B, C, D, E, F, G, H, K"),
        ("zip", "ABCDEFGHKL", "leave it out"),
    ],
)
def test_an_unknown_name_comes_with_the_nearest_or_all_of_a_few(name, known, hint):
    assert advised(name, known) == hint
