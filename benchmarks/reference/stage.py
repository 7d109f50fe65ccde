"""
Staging in its barest form: requests and sqlite3, and the next page fetched while one is written.

    python stage.py DATABASE

It extracts contacts, and their companies in batches, and maps nothing. A transaction a page, in a
write-ahead log that is not synchronised: whoever kills it begins anew.
"""

import json
import os
import sqlite3
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import requests

BASE = f"{os.environ['HUBSPOT_BASE_URL']}/crm/v3/objects"
PROPERTIES = (
    "firstname,lastname,email,jobtitle,phone,mobilephone,city,country,lifecyclestage,hs_lead_status"
)
OF_COMPANIES = ["name", "domain", "industry", "phone", "city", "country"]

session = requests.Session()
session.headers["Authorization"] = f"Bearer {os.environ['HUBSPOT_ACCESS_TOKEN']}"


def page_after(after: str | None) -> dict[str, Any]:
    query = {"limit": "100", "properties": PROPERTIES, "associations": "companies"}
    if after:
        query["after"] = after
    answer = session.get(f"{BASE}/contacts", params=query, timeout=30)
    answer.raise_for_status()
    page: dict[str, Any] = answer.json()
    return page


def companies_of(ids: list[str]) -> list[tuple[str, str]]:
    inputs = [{"id": company_id} for company_id in ids]
    body = {"properties": OF_COMPANIES, "propertiesWithHistory": [], "inputs": inputs}
    answer = session.post(f"{BASE}/companies/batch/read", json=body, timeout=30)
    answer.raise_for_status()
    return [(one["id"], json.dumps(one["properties"])) for one in answer.json()["results"]]


database = sqlite3.connect(sys.argv[1])
database.executescript(
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
    "CREATE TABLE contact (id TEXT PRIMARY KEY, source TEXT);"
    "CREATE TABLE company (id TEXT PRIMARY KEY, properties TEXT);"
)
seen: set[str] = set()
wanted: list[str] = []
with ThreadPoolExecutor(1) as pool:
    coming: Future[dict[str, Any]] | None = pool.submit(page_after, None)
    while coming:
        page = coming.result()
        after = page.get("paging", {}).get("next", {}).get("after")
        coming = pool.submit(page_after, after) if after else None
        for contact in page["results"]:
            for row in contact.get("associations", {}).get("companies", {}).get("results", []):
                if row["id"] not in seen:
                    seen.add(row["id"])
                    wanted.append(row["id"])
        rows = [(contact["id"], json.dumps(contact)) for contact in page["results"]]
        with database:
            database.executemany("INSERT INTO contact VALUES (?, ?)", rows)
            while len(wanted) >= 100 or (wanted and not coming):
                batch, wanted = wanted[:100], wanted[100:]
                database.executemany("INSERT INTO company VALUES (?, ?)", companies_of(batch))
print(database.execute("SELECT count(*) FROM contact").fetchone()[0])
