"""
The page that a customer signs: what a proof says, the mapping in words, and the head of the proof.

Every number on it is counted from the lines of the proof, whose hashes are checked on the way, so
that the head, which the page quotes, stands for all of them. It contains no personal data.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from migrator import __version__
from migrator.errors import UsageError
from migrator.ledger import Ledger
from migrator.mapping import Rules
from migrator.mapping_versions import active_rules
from migrator.report.html import check_target, replace_page, templates
from migrator.report.labels import REASONS
from migrator.text import one_line

_AUDIT = "write it anew: migrator audit > proof.jsonl"
_WHERE = ("portal_id", "leadgenius_url", "client_id")


@dataclass
class SignedProof:
    """
    What a proof says.

    Args:
        head: SHA-256 of its last line.
        lines: Their number.
        ledger, verdict: Its first and its last line.
        reasons: Contacts that are held, by reason.
        writes: Writes that were done, by kind.
        updated: Contacts whose lead was updated.
    """

    head: str = ""
    lines: int = 0
    ledger: Mapping[str, Any] = field(default_factory=dict)
    verdict: Mapping[str, Any] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    updated: int = 0

    @property
    def audited_ms(self) -> int:
        """When the audit began."""
        return int(datetime.fromisoformat(self.ledger["audited"]).timestamp() * 1000)


def write_sign_off(ledger: Ledger, proof: Path, target: Path) -> SignedProof:
    """
    Write the page (see `html.write_page`) for a proof of this ledger.

    Raises:
        UsageError: the proof cannot be read, was changed, is of another ledger, or is older than
            the last command that changed the ledger; or the page cannot be written.
    """
    check_target(target)
    signed = read_proof(proof)
    with ledger.transaction():
        binding, newest = ledger.runs.binding(), ledger.runs.newest(1)
        rules = active_rules(ledger)
    if any(signed.ledger[name] != getattr(binding, name) for name in _WHERE):
        raise UsageError(f"{one_line(str(proof))} is the proof of another ledger.", _AUDIT)
    if newest and newest[0].began_ms > signed.audited_ms:
        raise UsageError(
            f"{one_line(str(proof))} is older than the last `{newest[0].command}` of this ledger.",
            _AUDIT,
        )
    page = templates().get_template("sign_off.html")
    text = page.render(
        proof=signed,
        reasons={one: words for one, words in REASONS.items() if signed.reasons[one]},
        mapping=list(mapping_in_words(rules)),
        rules=rules,
        version=__version__,
    )
    replace_page(target, text)
    return signed


def read_proof(path: Path) -> SignedProof:
    """
    Read a proof to its end, in constant memory.

    Raises:
        UsageError: it cannot be read, or was changed.
    """
    signed, written = SignedProof(), set[str]()
    try:
        with path.open("rb") as stream:
            for text in stream:
                line = json.loads(text)
                if signed.verdict or line["previous"] != (signed.head or None):
                    raise ValueError("a line is changed, missing or added")
                signed.head = hashlib.sha256(text).hexdigest()
                signed.lines += 1
                _count(signed, line, written)
        if not signed.verdict:
            raise ValueError("its end is missing")
        _ = signed.audited_ms
    except OSError as error:
        raise UsageError(
            f"{one_line(str(path))}: cannot be read ({error.strerror}).", _AUDIT
        ) from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # A message of ours; those of Python could quote the file.
        why = f": {error}" if type(error) is ValueError else ""
        at = f"line {signed.lines + 1}{why}"
        raise UsageError(
            f"{one_line(str(path))} is not a proof as `migrator audit` wrote it ({at}).", _AUDIT
        ) from None
    return signed


def _count(signed: SignedProof, line: Mapping[str, Any], written: set[str]) -> None:
    """
    Count a line.

    Args:
        written: The kinds of writes that were done of the contact that comes next.
    """
    match line["kind"]:
        case "ledger":
            signed.ledger = line
        case "send" if line["outcome"] in ("created", "found", "updated", "edited", "deleted"):
            signed.writes[line["write"]] += 1
            written.add(line["write"])
        case "contact":
            signed.updated += "update" in written
            written.clear()
            if line["standing"] == "reason":
                signed.reasons[line["reason"]] += 1
        case "verdict":
            signed.verdict = line


def mapping_in_words(rules: Rules) -> Iterator[tuple[str, str]]:
    """(LeadGenius field, where its value comes from), in the order of the mapping."""
    for name, sources in rules.fields.items():
        words = [f"HubSpot {', else '.join(map(str, sources))}"]
        if name in ("firstName", "lastName"):
            by_email = "derived from the e-mail address, else a dash"
            words.append(by_email if rules.names == "email" else "a dash")
        if name == "companyName" and rules.company_name == "domain":
            but = "" if rules.free_mail == "domain" else ", unless that is a free-mail provider's"
            words.append(f"the first part of the e-mail’s domain{but}")
        if name in rules.constants:
            words.append(f"“{rules.constants[name]}”")
        yield name, "; if empty: ".join(words)
    for name in rules.constants.keys() - rules.fields.keys():
        yield name, f"“{rules.constants[name]}”"
    lines = [f"“{line.label}” with HubSpot {line.source}" for line in rules.lines]
    opening = [f"“{rules.opening}”"] if rules.opening else []
    yield "notes", "; ".join([*opening, "the HubSpot record’s id", *lines])
