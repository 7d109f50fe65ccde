"""
Staging with HubSpot's own SDK, in a loop, into sqlite3.

    python stage_sdk.py
"""

import json
import os
import sqlite3

from hubspot import HubSpot
from hubspot.crm.companies import BatchReadInputSimplePublicObjectId, SimplePublicObjectId

PROPERTIES = (
    "firstname,lastname,email,jobtitle,phone,mobilephone,city,country,lifecyclestage,hs_lead_status"
)
OF_COMPANIES = ["name", "domain", "industry", "phone", "city", "country"]

client = HubSpot(
    access_token=os.environ["HUBSPOT_ACCESS_TOKEN"], host=os.environ["HUBSPOT_BASE_URL"]
)
database = sqlite3.connect("sdk.db")
database.executescript(
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
    "CREATE TABLE contact (id TEXT PRIMARY KEY, source TEXT);"
    "CREATE TABLE company (id TEXT PRIMARY KEY, properties TEXT);"
)
contacts_api = client.crm.contacts.basic_api
companies_api = client.crm.companies.batch_api
seen, after = set(), None
while True:
    page = contacts_api.get_page(
        limit=100, after=after, properties=PROPERTIES.split(","), associations=["companies"]
    )
    wanted = set()
    for contact in page.results:
        companies = (contact.associations or {}).get("companies")
        wanted.update(row.id for row in (companies.results if companies else []))
    fresh = sorted(wanted - seen)
    seen |= wanted
    with database:
        database.executemany(
            "INSERT INTO contact VALUES (?, ?)",
            [(one.id, json.dumps(one.to_dict(), default=str)) for one in page.results],
        )
        for start in range(0, len(fresh), 100):
            some = fresh[start : start + 100]
            inputs = [SimplePublicObjectId(id=company_id) for company_id in some]
            body = BatchReadInputSimplePublicObjectId(
                properties=OF_COMPANIES, properties_with_history=[], inputs=inputs
            )
            found = companies_api.read(batch_read_input_simple_public_object_id=body).results
            database.executemany(
                "INSERT INTO company VALUES (?, ?)",
                [(one.id, json.dumps(one.properties)) for one in found],
            )
    if page.paging is None or page.paging.next is None:
        break
    after = page.paging.next.after
print(database.execute("SELECT count(*) FROM contact").fetchone()[0])
