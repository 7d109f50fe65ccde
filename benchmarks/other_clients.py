"""
Third-party clients against the sandbox: what they extract must equal what `stage` extracted.

    python -m benchmarks.other_clients --contacts 1000

The batch of LeadGenius's reference, HubSpot's official SDKs, and dlt's HubSpot source, which is on
PyPI inside of ingestr only. Each is installed at its first use, into an environment of its own in
the cache folder. But for the installation all traffic stays on this machine.
"""

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.commands import Operator
from benchmarks.peers.environments import Unavailable, environment
from migrator.sandbox import LoggedRequest, Sandbox

SCRIPTS = Path(__file__).parent / "clients"
OF_COMPANIES = "name,domain,industry"
PRIMARY = "contact_to_company"
_LONGEST_SECONDS = 300.0

Json = dict[str, Any]


@dataclass(frozen=True)
class Client:
    """
    A third-party client of HubSpot.

    Args:
        package: What pip installs.
        script: In `clients/`, without its ending.
        bare: What pip installs besides, without its requirements.
    """

    name: str
    package: str
    script: str
    bare: str = ""


CLIENTS = (
    Client("HubSpot's SDK, hubspot-api-client", "hubspot-api-client", "extract_sdk"),
    Client("HubSpot's newer SDK, hubspot-sdk", "hubspot-sdk==0.1.0a9", "extract_new_sdk"),
    Client("dlt 1.16.0's source, in ingestr", "dlt==1.16.0", "extract_dlt", "ingestr==0.14.0"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run them all; 1 = one got something else, or could not be had."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--contacts", type=int, default=1000)
    contacts = parser.parse_args(argv).contacts
    with tempfile.TemporaryDirectory() as folder, Sandbox(contacts=contacts) as sandbox:
        Operator(Path(folder), sandbox).run("stage -q", _LONGEST_SECONDS)
        staged = staged_in(Path(folder) / "migrator.db")
        names = _asked_for(sandbox)
        print(f"staged by migrator: {_counts(staged)}")
        results = [_batch(sandbox), *(_tried(one, sandbox, names, staged) for one in CLIENTS)]
    return 0 if all(results) else 1


def _batch(sandbox: Sandbox) -> bool:
    """The batch of two leads is counted, and not one of them is there."""
    told = _run(sys.executable, "vendor_batch", sandbox)
    good = {"status": 201, "body": {"success": True, "created": 2, "skipped": []}, "listed": 0}
    print(f"the vendor's batch of two leads: {told}{'' if told == good else ' - WRONG'}")
    return told == good and not sandbox.held


def _tried(client: Client, sandbox: Sandbox, names: str, staged: Json) -> bool:
    before = len(sandbox.received)
    try:
        place = environment(client.package, client.bare)
    except Unavailable as error:
        print(f"{client.name}: left out: {error}")
        return False
    extract = _run(place.python, client.script, sandbox, names, OF_COMPANIES)
    wrong = list(differences(extract, staged, names))
    print(f"{client.name} {place.version}: {_counts(extract)}, {len(wrong)} differences")
    print(f"    {_traffic(sandbox.received[before:])}")
    for line in wrong[:20]:
        print(f"    {line}")
    return not wrong


def _run(python: str, script: str, sandbox: Sandbox, *words: str) -> Json:
    # No way out: what they would tell their makers of us stays here, too.
    more = {"RUNTIME__DLTHUB_TELEMETRY": "false", "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(  # noqa: S603 - a script of ours, with names of properties
        [python, str(SCRIPTS / f"{script}.py"), *words],
        env={**os.environ, **sandbox.environment(), **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST_SECONDS,
    )
    if done.returncode != 0:
        raise SystemExit(f"{script} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    told: Json = json.loads(done.stdout)
    return told


def staged_in(ledger: Path) -> Json:
    """What a ledger has of HubSpot: companies, and contacts with the company that each chose."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as rows:
        contacts = {
            contact_id: {"properties": json.loads(source)["properties"], "company": company}
            for contact_id, source, company in rows.execute(
                "SELECT hubspot_id, source, company_id FROM contact"
            )
        }
        companies = {
            company_id: json.loads(properties)
            for company_id, properties in rows.execute(
                "SELECT company_id, properties FROM company WHERE properties IS NOT NULL"
            )
        }
    return {"contacts": contacts, "companies": companies}


def differences(extract: Json, staged: Json, names: str) -> Iterator[str]:
    """
    Each thing that a client got otherwise than the ledger has it, in words.

    Of a contact's companies the ledger keeps the one that the lead is built from: the primary one
    if the client was given it, else one of all.

    Args:
        names: The properties of contacts that count.
    """
    theirs, ours = extract["contacts"], staged["contacts"]
    if extract["total"] != len(ours):
        yield f"it counts {extract['total']} contacts"
    for contact_id in sorted(theirs.keys() ^ ours.keys()):
        yield f"contact {contact_id} is {'not ' if contact_id in theirs else ''}in the ledger"
    for contact_id in sorted(theirs.keys() & ours.keys()):
        their, own = theirs[contact_id], ours[contact_id]
        whose = f"contact {contact_id}"
        yield from _otherwise(whose, their["properties"], own["properties"], names)
        ids = [company for company, _ in their["companies"]]
        primary = [company for company, kind in their["companies"] if kind == PRIMARY]
        given = [company for company in primary if company in extract["companies"]]
        if own["company"] not in (given or ids or [None]):
            yield f"{whose}: the ledger has company {own['company']!r}, not of {given or ids}"
    for company_id, properties in staged["companies"].items():
        given = extract["companies"].get(company_id, {})
        yield from _otherwise(f"company {company_id}", given, properties, OF_COMPANIES)


def _otherwise(
    whose: str, their: Mapping[str, Any], own: Mapping[str, Any], names: str
) -> Iterator[str]:
    for name in names.split(","):  # the ledger keeps no nulls
        if their.get(name) != own.get(name):
            yield f"{whose}: {name} is {their.get(name)!r}, in the ledger {own.get(name)!r}"


def _asked_for(sandbox: Sandbox) -> str:
    """The properties that `stage` itself asked for."""
    pages = (one for one in sandbox.received if one.path.endswith("/contacts"))
    return next(pages).query["properties"]


def _counts(extract: Json) -> str:
    return f"{len(extract['contacts']):,} contacts, {len(extract['companies']):,} companies"


def _traffic(received: Sequence[LoggedRequest]) -> str:
    counted = Counter(f"{one.method} {one.path} {one.status}" for one in received)
    return ", ".join(f"{count} x {what}" for what, count in sorted(counted.items()))


if __name__ == "__main__":
    raise SystemExit(main())
