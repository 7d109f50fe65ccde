"""The page to be signed: its numbers are those of the proof, and it is made from no other proof."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from migrator.errors import ExitCode
from migrator.mapping import DEFAULT, parse
from migrator.report.sign_off import mapping_in_words, read_proof
from tests.support.html_page import Read
from tests.support.inprocess_cli import PUSH, SETTLE, VERIFY, InProcessCli
from tests.support.journeys import contact
from tests.support.processes import Result
from tests.support.proof_checker import chained, parsed

SIGN_OFF = "report --html sign-off.html --sign-off proof.jsonl"


def audited(shell: InProcessCli) -> Path:
    proof = shell.folder / "proof.jsonl"
    proof.write_text(shell.type(f"audit --settle {SETTLE}").out)
    return proof


@pytest.fixture
def sent(three: InProcessCli, monkeypatch: pytest.MonkeyPatch) -> InProcessCli:
    """Three contacts that were sent, and a lead of other people."""
    monkeypatch.chdir(three.folder)
    three.sandbox.add_lead({"email": "other@x.example"})
    assert three.type(PUSH).code == 0
    return three


def page_of(shell: InProcessCli, code: int = 0) -> Read:
    done = shell.type(SIGN_OFF)
    assert done.code == code, done
    return Read.of((shell.folder / "sign-off.html").read_text())


def refused(result: Result, words: str) -> None:
    assert result.code == ExitCode.USAGE
    assert words in result.err
    assert "next: write it anew: migrator audit > proof.jsonl" in result.err


def test_the_page_says_what_the_proof_says_and_names_nobody(sent):
    sent.sandbox.add_contact({**contact(4), "email": ""}, contact_id="4")
    assert sent.type(VERIFY).code == 0
    sent.sandbox.change_contact("1", firstname="Augusta")
    sending = PUSH.removeprefix("push ").replace("--canary 0 ", "")
    for words in ("stage", f"update {sending} --yes", f"undo 2 {sending} --yes", VERIFY):
        assert sent.type(words).code == 0, words
    proof = audited(sent)
    lines = proof.read_bytes().splitlines(keepends=True)
    head = hashlib.sha256(lines[-1]).hexdigest()
    page = page_of(sent)
    counted = {"given": 4, "with_lead": 2, "with_reason": 2, "waiting": 0, "in_doubt": 0}
    reasons = {"reasons.no_email": 1, "reasons.undone": 1}
    written = {"writes.create": 3, "writes.update": 1, "writes.delete": 1, "updated": 1}
    rest = {"undone": 1, "gone": 0, "leads": 3, "strangers": 1, "unknown": 0, "lines": len(lines)}
    assert page.more == counted | reasons | written | rest
    assert "Complete: every contact has one lead, or a reason." in page.text
    assert head in page.text
    assert DEFAULT.hash in page.text
    assert page.cells[-9:-6] == ["Name", "Date", "Signature"]
    for secret in ("Ada", "Augusta", "@", sent.sandbox.password):
        assert secret not in page.text
    assert page.all("script") == []
    assert any("default-src 'none'" in one.get("content", "") for one in page.all("meta"))
    told = json.loads(sent.type(f"{SIGN_OFF} --json").out)
    assert told == {"html": "sign-off.html", "head": head, "holds": True}


def test_what_is_not_complete_or_broken_says_so(sent):
    sent.sandbox.add_contact(contact(5), contact_id="5")
    assert sent.type("stage").code == 0
    audited(sent)
    assert "Not complete: 1 contacts are still to be sent" in page_of(sent).text
    sent.sandbox.add_lead(next(lead for lead in sent.sandbox.leads() if lead.get("notes")))
    audited(sent)
    assert "Do not sign" in page_of(sent, ExitCode.NEEDS_ATTENTION).text


CHANGED = {
    "": "its end is missing",
    "no proof\n": "is not a proof as `migrator audit` wrote it (line 1)",
    "[]\n": "is not a proof as `migrator audit` wrote it (line 1)",
}


def test_no_other_proof_is_taken(sent):
    proof = audited(sent)
    text = proof.read_text()
    for changed, words in {
        **CHANGED,
        text.replace('"posted"', '"verified"', 1): "a line is changed, missing or added",
        "".join(text.splitlines(keepends=True)[:-1]): "its end is missing",
        text.removesuffix("\n"): "its end is missing",  # `check_proof.py` would take no such head
        text + text: "a line is changed, missing or added",
    }.items():
        proof.write_text(changed)
        refused(sent.type(SIGN_OFF), words)
    # Of the last line, only its own hash tells that it was changed; the page quotes it.
    proof.write_text(text)
    head = read_proof(proof).head
    proof.write_text(text.replace('"holds": true', '"holds": 1'))
    assert read_proof(proof).head != head
    assert sent.type("stage").code == 0
    refused(sent.type(SIGN_OFF), "is older than the last `stage` of this ledger")
    proof.unlink()
    refused(sent.type(SIGN_OFF), "cannot be read (No such file or directory)")


NOT_ITS_SUMS = "the verdict does not have the sums of the lines before it"
# Changed and chained anew: of the first line, of a send, of a contact, of the verdict.
CHAINED: list[tuple[str, dict[str, Any], str]] = [
    ("ledger", {"audited": "9999-12-31T23:59:59-23:59"}, "(line 1)"),
    ("ledger", {"audited": None}, "(line 1)"),
    ("ledger", {"given": "<b>"}, NOT_ITS_SUMS),
    ("ledger", {"given": 4}, NOT_ITS_SUMS),
    ("send", {"kind": "ledger"}, "the first line, and no other one, names the ledger"),
    ("send", {"kind": "note"}, "a line of an unknown kind"),
    ("send", {"write": []}, "(line 2)"),
    ("contact", {"standing": "waiting"}, NOT_ITS_SUMS),
    ("contact", {"standing": "reason", "reason": "luck"}, "(line 3)"),
    ("contact", {"gone": "merged"}, NOT_ITS_SUMS),
    ("verdict", {"with_lead": 4}, NOT_ITS_SUMS),
    ("verdict", {"with_lead": None}, NOT_ITS_SUMS),
    ("verdict", {"leads": float("nan")}, NOT_ITS_SUMS),
    ("verdict", {"holds": False}, NOT_ITS_SUMS),
]


def test_no_page_has_numbers_that_its_proof_does_not_have(sent):
    proof = audited(sent)
    lines = parsed(proof.read_bytes().splitlines())
    for kind, values, words in CHAINED:
        number = next(at for at, line in enumerate(lines) if line["kind"] == kind)
        changed = [*lines[:number], lines[number] | values, *lines[number + 1 :]]
        proof.write_bytes(b"".join(chained(changed)))
        refused(sent.type(SIGN_OFF), words)
    assert not (sent.folder / "sign-off.html").exists()


def test_the_proof_of_another_ledger_is_not_taken(sent):
    """The same contacts and leads; and a copy of this ledger that has sent something else."""
    for words in ("stage --ledger other.db", f"{PUSH} --ledger other.db"):
        assert sent.type(words).code == 0
    proof = sent.folder / "proof.jsonl"
    proof.write_text(sent.type(f"audit --settle {SETTLE} --ledger other.db").out)
    refused(sent.type(SIGN_OFF), "is the proof of another ledger")
    lines = parsed(audited(sent).read_bytes().splitlines())
    for name, value in {"intents": 4, "mapping": "0", "client_id": "another"}.items():
        proof.write_bytes(b"".join(chained([lines[0] | {name: value}, *lines[1:]])))
        refused(sent.type(SIGN_OFF), "is of another copy of this ledger")


def test_it_needs_a_page_to_write(three):
    result = three.type("report --sign-off proof.jsonl")
    assert result.code == ExitCode.USAGE
    assert "next: migrator report --html sign-off.html --sign-off proof.jsonl" in result.err


# The mapping in words


def test_the_built_in_mapping_in_words():
    words = dict(mapping_in_words(DEFAULT))
    assert words["title"] == "HubSpot jobtitle"
    assert words["phoneNumber"] == "HubSpot phone, else mobilephone"
    assert words["lastName"] == (
        "HubSpot lastname; if empty: derived from the e-mail address, else a dash"
    )
    assert words["companyName"] == (
        "HubSpot company.name; if empty: the first part of the e-mail’s domain, "
        "unless that is a free-mail provider's"
    )
    assert words["notes"] == (
        "“Historic Contact imported from HubSpot”; the HubSpot record’s id; “Lifecycle” with "
        "HubSpot lifecyclestage; “Status” with HubSpot hs_lead_status; “Industry” with HubSpot "
        "company.industry"
    )


def test_another_mapping_in_words():
    text = """
        [fields]
        firstName = "firstname"
        lastName = "lastname"
        email = "email"
        companyName = "company.name"
        [constants]
        companyName = "Private"
        country = "France"
        [fallbacks]
        names = "dash"
        company_name = "none"
    """
    assert dict(mapping_in_words(parse(text))) == {
        "firstName": "HubSpot firstname; if empty: a dash",
        "lastName": "HubSpot lastname; if empty: a dash",
        "email": "HubSpot email",
        "companyName": "HubSpot company.name; if empty: “Private”",
        "country": "“France”",
        "notes": "the HubSpot record’s id",
    }
