"""
What changes around the commands: the odds of fault, contacts, limits, the service itself.

Everything here is done to the sandbox, as HubSpot's users and LeadGenius's operators would do it.
It must never change what was sent already: what a posted contact becomes later is no lead of ours.
"""

import os
import random
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from migrator.sandbox import FAULTS, Sandbox

# All that the sandbox can do, at so much each; together they strike about every second send.
ODDS = 0.02
RARER: Mapping[str, float] = {
    # Each lets the whole push rest for a second or two.
    "throttle": 0.01,
    "throttle_silently": 0.01,
    # Nothing shortens a command's patience with HubSpot: half a minute.
    "hubspot_hang": 0.005,
    "companies_hang": 0.005,
    # Each ends the command that it meets, and a command makes dozens of these requests.
    "hubspot_daily": 0.01,
    "hubspot_unauthorized": 0.01,
    "missing_scopes": 0.01,
    "hubspot_html": 0.01,
    "hubspot_repeat_cursor": 0.01,
}
# Together with a margin for a busy machine they are less than `settle`.
LATE_SECONDS = 0.5
LAG_SECONDS = 0.3
TIMEOUT_SECONDS = 0.6
SETTLE_SECONDS = 2.0

# A contact whose e-mail begins with one of these is answered so each time that it is sent.
BAD = {
    "bad.refused.": "refuse",
    "bad.denied.": "forbidden",
    "bad.lost.": "not_found",
    "bad.rival.": "conflict",
    "bad.broken.": "error_without_saving",
    "bad.silent.": "hang_before_saving",
}
BAD_SHARE = 0.06
FOR_EVER = 10**9

_FIRST_NAMES = ("Ada", "Grace", "Zoë", "Søren", "", "  Mary  Ann ", "José", ".")
_LAST_NAMES = ("Lovelace", "Hopper", "Núñez", "O'Neil", "", ".", "van der Berg", "李")
_DOMAINS = ("initech.example", "globex.example", "gmail.com", "umbrella.example")
# Requests that LeadGenius takes in each window of so many seconds, and whether it tells its
# headers and `Retry-After`.
_LIMITS: Sequence[tuple[int | None, float, bool, bool]] = (
    (None, 60.0, True, False),
    (30, 1.0, True, False),
    (30, 2.0, False, True),
    (60, 2.0, False, False),
    (60, 2.0, True, True),
)


# What people do before a request, beside what the schedule does to contacts that were not sent.
EDITS: Mapping[str, float] = {
    "append_note": 0.02,
    "change_contact": 0.04,
    "change_lead": 0.015,
    "change_status": 0.005,
    "erase_contact": 0.001,
    "merge_contacts": 0.001,
    "remove_contact": 0.001,
    "rewrite_note": 0.01,
}
# A success that did nothing is found by the first updates of a ledger, or by `verify`.
_NEVER = ("update:ignore", "delete:ignore")


def faults() -> dict[str, float]:
    """The probability of each."""
    return {name: RARER.get(name, ODDS) for name in FAULTS if name not in _NEVER}


def started_sandbox(contacts: int, seed: int, *, is_edited: bool = False) -> Sandbox:
    """
    A sandbox in which everything goes wrong now and then, listening.

    Args:
        is_edited: Whether people edit leads, and change, merge and erase contacts.

    Its port is below those that the system hands out, and another one for each process that looks:
    while the service is down, nobody else may be given it.
    """
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        sandbox = Sandbox(
            contacts=contacts,
            seed=seed,
            port=port,
            faults=faults(),
            token_seconds=4.0,
            hubspot_rate_limit=60,
            hubspot_window_seconds=1.0,
            latency_seconds=(0.0, 0.02),
            read_lag_seconds=LAG_SECONDS,
            late_seconds=LATE_SECONDS,
            slow_seconds=0.4,
            edits=EDITS if is_edited else {},
        )
        try:
            return sandbox.start()
        except OSError:
            continue
    raise OSError("no port is free")


class Meddler:
    """HubSpot's users and LeadGenius's operators."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._companies = [
            sandbox.add_company(name=f"Firm {number}", domain=f"firm{number}.example")
            for number in range(5)
        ]
        self._emails: list[str] = []
        self._moved = 0
        for beginning, answer in BAD.items():
            sandbox.fault(answer, FOR_EVER, where=partial(_begins, beginning))

    def add_contacts(self, dice: random.Random, count: int) -> None:
        """Add contacts: most are fit to be sent; some come second, some were there before."""
        for _ in range(count):
            email = self._new_email(dice)
            companies = [
                (one, "contact_to_company_unlabeled")
                for one in dice.sample(self._companies, dice.randint(0, 2))
            ]
            self._sandbox.add_contact({**_person(dice), "email": email}, companies)
            # Not with the e-mail of an earlier contact: that may have been sent before.
            if email is not None and email in self._emails[-1:] and dice.random() < 0.01:
                stranger = {"firstName": "Some", "lastName": "Stranger", "email": email}
                self._sandbox.add_lead(stranger)

    def _new_email(self, dice: random.Random) -> str | None:
        face = dice.random()
        if face < 0.03:
            return None
        if face < 0.05:
            return "nobody"
        if face < 0.10 and self._emails:
            return dice.choice(self._emails).upper()
        number, domain = len(self._emails), dice.choice(_DOMAINS)
        beginning = dice.choice(tuple(BAD)) if dice.random() < BAD_SHARE else "added."
        self._emails.append(f"{beginning}{number}@{domain}")
        return self._emails[-1]

    def change_contacts(self, dice: random.Random, contact_ids: Sequence[str]) -> None:
        """Change contacts that were not sent; some get another e-mail, which frees the old one."""
        for contact_id in contact_ids:
            changes: dict[str, Any] = {**_person(dice), "phone": f"+49 30 {dice.randint(1, 9999)}"}
            if dice.random() < 0.3:
                self._moved += 1
                changes["email"] = f"moved.{self._moved}@{dice.choice(_DOMAINS)}"
            with suppress(KeyError):  # erased meanwhile
                self._sandbox.change_contact(contact_id, **changes)

    def change_limit(self, dice: random.Random) -> None:
        """Another limit of requests, told in another way."""
        requests, window_seconds, headers, retry_after = dice.choice(_LIMITS)
        self._sandbox.change_rate_limit(
            requests, window_seconds=window_seconds, headers=headers, retry_after=retry_after
        )

    def restart_soon(self, dice: random.Random) -> threading.Thread:
        """The service goes down and comes back, while a command is at work; returns at once."""
        thread = threading.Thread(
            target=self._restart, args=(dice.uniform(0.5, 3.0), dice.uniform(0.05, 1.0))
        )
        thread.start()
        return thread

    def _restart(self, begin_seconds: float, down_seconds: float) -> None:
        time.sleep(begin_seconds)
        self._sandbox.stop()
        time.sleep(down_seconds)
        self._sandbox.start()


def _begins(beginning: str, lead: Mapping[str, Any]) -> bool:
    return str(lead["email"]).startswith(beginning)


def _person(dice: random.Random) -> dict[str, str]:
    return {
        "firstname": dice.choice(_FIRST_NAMES),
        "lastname": dice.choice(_LAST_NAMES),
        "jobtitle": dice.choice(("Engineer", "Captain", "")),
        "lifecyclestage": dice.choice(("lead", "customer", "")),
    }
