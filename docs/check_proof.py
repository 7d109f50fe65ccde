#!/usr/bin/env python3
"""
python3 check_proof.py proof.jsonl [--head SHA256] [--leads leads.jsonl]

Checks a proof of `migrator audit` without migrator, with Python 3.9 or later alone. --head is what
a sign-off quotes; --leads has the client's leads as LeadGenius lists them, one JSON object a line.
It prints a line for each fault. Exit code 0: none, 1: some, 2: a file cannot be read.
"""

import argparse
import json
import re
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path

DONE = {"create": "created found", "update": "updated found edited", "delete": "deleted found"}
NOT_DONE = {"refused", "denied", "throttled", "unsent", "absent"}  # no outcome = in doubt
WITHOUT_LEAD = {"no_email", "invalid_email", "duplicate_email", "gone", "undone"}
WITH_LEAD = {"missing", "different", "doubled", "conflict"}
REASONS = {None, "already_in_destination", "refused", "gave_up"} | WITHOUT_LEAD | WITH_LEAD
HAS_LEAD = {"extracted": False, "mapped": False, "posted": True, "verified": True}
PARTS = {"in_doubt": "in doubt", "with_reason": "reason", "with_lead": "lead", "waiting": "waiting"}
NUMBERS = ("given", "contacts", *PARTS, "undone", "gone", "intents", "sends", "faults")
REMOVED = {"deleted", "to_be_deleted", "duplicate"}  # the status of a lead that is not in use
RECORD = r"^\s*\[HubSpot record: {}/([^\s/\[\]\ud800-\udfff]+)\]\s*$"  # a line of a lead's notes
MALFORMED = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


class Check:
    def __init__(self):
        self.ledger, self.verdict, self.head, self.count = None, None, None, Counter()
        self.faults, self.pending, self.later = [], [], []
        self.contacts, self.owner, self.maker = {}, {}, {}  # the last two by lead

    def wrong_if(self, is_wrong, words):
        if is_wrong:  # escaped, as words of the proof could hide others on a terminal
            self.faults.append(words.encode("unicode_escape").decode())

    def proof(self, lines):
        for number, text in enumerate(lines, 1):
            try:
                self.line(f"line {number}", json.loads(text))
            except MALFORMED:
                self.faults.append(f"line {number} is not a line of a proof")
            self.head = sha256(text).hexdigest()
        self.wrong_if(not self.verdict or text[-1:] != b"\n", "the end of the proof is missing")

    def line(self, at, line):
        kind, is_first = line["kind"], self.head is None
        self.wrong_if(line["previous"] != self.head, f"{at} was not written after the one before")
        self.wrong_if((kind == "ledger") != is_first or self.verdict, f"{at}: misplaced {kind}")
        if kind == "ledger":
            self.ledger = line
        elif kind == "send":
            self.pending.append(line)
        elif kind == "contact":
            self.contact(line["contact"], f"contact {line['contact']}", line, line["lead"])
        elif kind == "fault":
            self.count["faults"] += 1
            self.wrong_if(True, f"the audit says of contact {line['contact']}: {line['words']}")
        else:
            self.verdict = {"verdict": line}[kind]  # no other kind is known
            self.totals({**self.ledger, **line})

    def contact(self, name, who, line, lead):
        sends, self.pending, made, deleted, doubt = self.pending, [], [], [], False
        reason, again, more = line["reason"], line["released"], {*line["listed"]} - {lead}
        for number, send in enumerate(sends, 1):
            write, end, its = send["write"], send["outcome"], send["lead"]
            at, is_done = f"{who}, {write} {number}", end in DONE[write].split()
            self.wrong_if((send["contact"], send["attempt"]) != (name, number), f"{at}: misplaced")
            self.wrong_if(doubt, f"{at} left while the one before was in doubt")
            self.wrong_if(not (end is None or is_done or end in NOT_DONE), f"{at} ended as {end}")
            self.wrong_if((its is None) == (is_done or write != "create"), f"{at} {end} lead {its}")
            if write != "create":
                is_made = write == "delete" and not send["overrode"]
                self.later.append((f"{at} of another's lead, {its}", name, its, is_made))
            {"create": made, "delete": deleted}.get(write, []).extend([its] * is_done)
            doubt = end is None
        self.wrong_if(name in self.contacts, f"{who} is there twice")
        self.wrong_if(len(made) > again + 1, f"{who} got {len(made)} leads, released {again} times")
        self.wrong_if(made and not (lead or again), f"{who} got the lead {made}, and has none")
        sent = HAS_LEAD[line["state"]]
        self.wrong_if(sent == (lead is None), f"{who} is {line['state']}, its lead is {lead}")
        is_odd = reason in (WITHOUT_LEAD if lead else WITH_LEAD) or reason not in REASONS
        self.wrong_if(is_odd, f"{who} has the reason {reason}, and its lead is {lead}")
        is_more = more and (lead or (sends and (not doubt or len(more) > 1)))
        self.wrong_if(is_more, f"{who} has more leads than {lead}: {sorted(more)}")
        part = "in_doubt" if doubt else "with_reason" if reason else ("waiting", "with_lead")[sent]
        self.wrong_if(line["standing"] != PARTS[part], f"{who} is not '{line['standing']}'")
        self.count.update([part, "given", "contacts", *["undone"] * (reason == "undone")])
        self.count.update(intents=len(sends), sends=len(sends), gone=line["gone"] is not None)
        self.wrong_if(lead and self.owner.setdefault(lead, name) != name, f"{who} shares {lead}")
        is_seen = reason in WITH_LEAD or lead in [None, *line["listed"], *made, *deleted]
        if line["state"] != "verified" and not is_seen:
            self.later.append((f"{who} has a lead that no send made: {lead}", name, lead, True))
        self.maker.update({one: name for one in made if one not in self.maker})
        self.contacts[name] = (lead, (reason, *deleted), line["successor"], sends and not doubt)

    def totals(self, said):
        self.wrong_if(self.pending, f"{len(self.pending)} sends have no contact")
        wrong = [f"{one} is {self.count[one]}" for one in NUMBERS if said[one] != self.count[one]]
        self.wrong_if(wrong, f"the verdict does not have the sums of the proof: {', '.join(wrong)}")
        follows = [not said["faults"], said["waiting"] == said["in_doubt"] == 0]
        self.wrong_if([said["holds"], said["complete"]] != follows, "the verdict does not follow")
        for words, name, lead, is_made in self.later:  # whether only a send can have made it
            owners = [self.owner.get(lead, name)] + [self.maker.get(lead)] * is_made
            self.wrong_if({*map(self.heir, owners)} - {self.heir(name)}, words)

    def heir(self, name):  # the contact that has taken over a contact's lead, after all merges
        successor = self.contacts.get(name, (None, None, None))[2]
        return self.heir(successor) if successor else name

    def leads(self, leads):
        used = (x for x in leads if not (x.get("deletedAt") or x.get("status") in REMOVED))
        notes = {str(one["id"]): str(one.get("notes")) for one in used}
        record = re.compile(RECORD.format(re.escape(self.ledger["portal_id"])), re.MULTILINE)
        made = self.maker.keys() & notes.keys() - self.owner.keys()
        claims = {(self.heir(self.maker[lead]), lead) for lead in made}
        claims |= {(self.heir(one), lead) for lead in notes for one in record.findall(notes[lead])}
        for name, lead in sorted(claims):
            own, _, _, is_sent = self.contacts.get(name, (None, None, None, None))
            is_more = own in notes or (lead not in self.owner and (own or is_sent))
            self.wrong_if(own != lead and is_more, f"contact {name} has the lead {lead}, not {own}")
        unknown = {lead for name, lead in claims if name not in self.contacts} - self.owner.keys()
        self.wrong_if(len(unknown) > self.verdict["unknown"], f"unknown leads: {sorted(unknown)}")
        for lead, name in self.owner.items():
            is_there = lead in notes or {"missing", lead} & {*self.contacts[name][1]}
            self.wrong_if(not is_there, f"the lead {lead} of contact {name} is not listed")


def main():
    parser = argparse.ArgumentParser(description="Check a proof of `migrator audit`.")
    args = [parser.add_argument(name) for name in ("proof", "--head", "--leads")]
    args, check = parser.parse_args(), Check()
    try:
        with Path(args.proof).open("rb") as text, Path(args.leads or args.proof).open("rb") as rows:
            check.proof(text)
            check.leads(map(json.loads, rows)) if args.leads and not check.faults else None
    except (OSError, *MALFORMED) as error:
        sys.exit(print(f"cannot be read: {error}", file=sys.stderr) or 2)
    check.wrong_if(args.head not in (None, check.head), f"the head is not as quoted: {check.head}")
    print(*check.faults or ["no fault found; the verdict:", ascii(check.verdict)], sep="\n")
    return int(bool(check.faults))


if __name__ == "__main__":
    sys.exit(main())
