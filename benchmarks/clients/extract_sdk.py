"""
All contacts and their companies by HubSpot's official SDK, `hubspot-api-client`, as JSON.

    python extract_sdk.py PROPERTIES PROPERTIES_OF_COMPANIES
"""

import json
import os
import sys

from hubspot import HubSpot
from hubspot.crm.companies import BatchReadInputSimplePublicObjectId, SimplePublicObjectId
from hubspot.crm.contacts import PublicObjectSearchRequest

names, names_of_companies = (words.split(",") for words in sys.argv[1:])
client = HubSpot(
    access_token=os.environ["HUBSPOT_ACCESS_TOKEN"], host=os.environ["HUBSPOT_BASE_URL"]
)
contacts, after = {}, None
while True:
    page = client.crm.contacts.basic_api.get_page(
        limit=100, after=after, properties=names, associations=["companies"]
    )
    for one in page.results:
        rows = (one.associations or {}).get("companies")
        pairs = [[row.id, row.type] for row in rows.results] if rows else []
        contacts[one.id] = {"properties": one.properties, "companies": pairs}
    if page.paging is None:
        break
    after = page.paging.next.after
wanted = sorted({company for one in contacts.values() for company, _ in one["companies"]})
companies = {}
for start in range(0, len(wanted), 100):
    inputs = [SimplePublicObjectId(id=company) for company in wanted[start : start + 100]]
    body = BatchReadInputSimplePublicObjectId(
        properties=names_of_companies, properties_with_history=[], inputs=inputs
    )
    answer = client.crm.companies.batch_api.read(batch_read_input_simple_public_object_id=body)
    companies.update({one.id: one.properties for one in answer.results})
search = PublicObjectSearchRequest(filter_groups=[], sorts=[], properties=[], limit=1, after="0")
total = client.crm.contacts.search_api.do_search(public_object_search_request=search).total
# Whatever comes back is checked by the SDK against its own models.
first = next(iter(contacts))
alone = client.crm.contacts.basic_api.get_by_id(first, properties=names)
contacts[first]["properties"] = alone.properties
defined = {one.name for one in client.crm.properties.core_api.get_all("contacts").results}
if not defined.issuperset(names):
    sys.exit(f"not defined: {set(names) - defined}")
print(json.dumps({"contacts": contacts, "companies": companies, "total": total}))
