"""
All contacts and their companies by HubSpot's newer SDK, `hubspot-sdk`, with dated paths, as JSON.

    python extract_new_sdk.py PROPERTIES PROPERTIES_OF_COMPANIES
"""

import json
import os
import sys

from hubspot_sdk import HubSpot

names, names_of_companies = (words.split(",") for words in sys.argv[1:])
client = HubSpot(
    access_token=os.environ["HUBSPOT_ACCESS_TOKEN"], base_url=os.environ["HUBSPOT_BASE_URL"]
)
contacts = {}
for one in client.crm.objects.contacts.list(
    limit=100, properties=names, associations=["companies"]
):
    rows = (one.associations or {}).get("companies")
    pairs = [[row.id, row.type] for row in rows.results] if rows else []
    contacts[one.id] = {"properties": one.properties, "companies": pairs}
wanted = sorted({company for one in contacts.values() for company, _ in one["companies"]})
companies = {}
for start in range(0, len(wanted), 100):
    answer = client.crm.objects.companies.batch.get(
        inputs=[{"id": company} for company in wanted[start : start + 100]],
        properties=names_of_companies,
        properties_with_history=[],
    )
    companies.update({one.id: one.properties for one in answer.results})
total = client.crm.objects.contacts.search(
    filter_groups=[], sorts=[], properties=[], limit=1, after="0"
).total
print(json.dumps({"contacts": contacts, "companies": companies, "total": total}))
