"""
The page that a customer signs: what a proof says, the mapping in words, and the head of the proof.

Its sums are counted from the lines of the proof, whose hashes are checked on the way, so that the
head, which the page quotes, stands for all of them. A verdict with other sums is refused. The page
contains no personal data.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from migrator import __version__
from migrator.errors import UsageError
from migrator.ledger import Ledger
from migrator.mapping import Rules
from migrator.mapping_versions import active_rules
from migrator.report.html import check_target, replace_page, templates
from migrator.report.labels import REASONS
from migrator.states import Hold
from migrator.text import one_line

_AUDIT = "write it anew: migrator audit > proof.jsonl"
_OWN = ("portal_id", "leadgenius_url", "client_id", "uid", "intents", "mapping")
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
# Each contact has one place: its sum in the verdict, by what the proof calls it.
_SUMS = {
    "lead": "with_lead",
    "reason": "with_reason",
    "waiting": "waiting",
    "in doubt": "in_doubt",
}
# What only the audit could count: the listing is not in the proof.
_OF_THE_LISTING = ("leads", "strangers", "unknown")


class _NotAProof(ValueError):
    """The proof was changed; the message is for a person."""


@dataclass
class SignedProof:
    """
    What a proof says.

    Args:
        head: SHA-256 of its last line.
        lines: Their number.
        ledger, verdict: Its first and its last line.
        sums: What the verdict sums up, counted from the lines.
        reasons: Contacts that are held, by reason.
        writes: Writes that were done, by kind.
        updated: Contacts whose lead was updated.
    """

    head: str = ""
    lines: int = 0
    ledger: Mapping[str, Any] = field(default_factory=dict)
    verdict: Mapping[str, Any] = field(default_factory=dict)
    sums: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    updated: int = 0

    @property
    def audited_ms(self) -> int:
        """When the audit began."""
        moment = datetime.strptime(self.ledger["audited"], _TIME).replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)


def write_sign_off(ledger: Ledger, proof: Path, target: Path) -> SignedProof:
    """
    Write the page (see `html.write_page`) for a proof of this ledger.

    Raises:
        UsageError: the proof cannot be read, was changed, is of another ledger or another copy of
            this one, or is older than the last command that changed the ledger; or the page cannot
            be written.
    """
    check_target(target)
    signed = read_proof(proof)
    with ledger.transaction():
        binding, origin = ledger.runs.binding(), ledger.runs.origin()
        newest, rules = ledger.runs.newest(1), active_rules(ledger)
        mapping = ledger.mappings.active()
    if signed.ledger["uid"] != origin.uid:
        raise UsageError(f"{one_line(str(proof))} is the proof of another ledger.", _AUDIT)
    if newest and newest[0].began_ms > signed.audited_ms:
        raise UsageError(
            f"{one_line(str(proof))} is older than the last `{newest[0].command}` of this ledger.",
            _AUDIT,
        )
    active = None if mapping is None else mapping.hash
    own = {**vars(binding), "intents": origin.intents, "mapping": active}
    if any(signed.ledger[name] != value for name, value in own.items()):
        raise UsageError(f"{one_line(str(proof))} is of another copy of this ledger.", _AUDIT)
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
                    raise _NotAProof("a line is changed, missing or added")
                _count(signed, line, written)
                signed.head = hashlib.sha256(text).hexdigest()
                signed.lines += 1
        if not signed.verdict or not text.endswith(b"\n"):
            raise _NotAProof("its end is missing")
    except OSError as error:
        raise UsageError(
            f"{one_line(str(path))}: cannot be read ({error.strerror}).", _AUDIT
        ) from None
    except (
        _NotAProof,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        # Messages of Python could quote the file.
        why = f": {error}" if isinstance(error, _NotAProof) else ""
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
    kind = line["kind"]
    if (kind == "ledger") == bool(signed.lines):
        raise _NotAProof("the first line, and no other one, names the ledger")
    match kind:
        case "ledger":
            signed.ledger = line
            _ = signed.audited_ms, [line[name] for name in _OWN]
        case "send":
            signed.sums["sends"] += 1
            if line["outcome"] in ("created", "found", "updated", "edited", "deleted"):
                signed.writes[line["write"]] += 1
                written.add(line["write"])
        case "contact":
            signed.updated += "update" in written
            written.clear()
            reason, place = line["reason"], _SUMS[line["standing"]]
            gone = line["gone"] is not None
            signed.sums.update(
                {"contacts": 1, place: 1, "gone": gone, "undone": reason == "undone"}
            )
            if place == "with_reason":
                signed.reasons[Hold(reason)] += 1
        case "fault":
            signed.sums["faults"] += 1
        case "verdict":
            signed.verdict = line
            _check_sums(signed)
        case _:
            raise _NotAProof("a line of an unknown kind")


def _check_sums(signed: SignedProof) -> None:
    """
    Raises:
        _NotAProof: the verdict does not follow from the lines before it.
    """
    verdict, sums = signed.verdict, signed.sums
    follows = {
        "holds": not sums["faults"],
        "complete": not sums["waiting"] and not sums["in_doubt"],
        **{name: sums[name] for name in ("contacts", "sends", "faults", "undone", "gone")},
        **{name: sums[name] for name in _SUMS.values()},
    }
    stated = [signed.ledger["given"], *(verdict[name] for name in _OF_THE_LISTING)]
    is_number = all(isinstance(number, int) for number in stated)
    # A faulty ledger can have been given more contacts than it has.
    is_closed = signed.ledger["given"] == sums["contacts"] or sums["faults"]
    if not (is_number and is_closed) or any(verdict[name] != it for name, it in follows.items()):
        raise _NotAProof("the verdict does not have the sums of the lines before it")


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
