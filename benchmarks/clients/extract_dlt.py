"""
All contacts and companies by dlt's HubSpot source, as ingestr ships it on PyPI, as JSON.

    python extract_dlt.py PROPERTIES PROPERTIES_OF_COMPANIES
"""

import json
import os
import sys

import dlt
from ingestr.src.hubspot import crm_objects, helpers

names, names_of_companies = (words.split(",") for words in sys.argv[1:])
# The one thing that the source has no option for.
helpers.BASE_URL = os.environ["HUBSPOT_BASE_URL"]


def rows_of(kind, properties):
    resource = dlt.resource(crm_objects, name=kind)
    return list(resource(kind, api_key=os.environ["HUBSPOT_ACCESS_TOKEN"], props=properties))


contacts = {}
for row in rows_of("contact", names):
    # It gives each company once, without the type of the association.
    pairs = [[one["companies_id"], None] for one in row.pop("companies", [])]
    contacts[row["hs_object_id"]] = {"properties": row, "companies": pairs}
companies = {row["hs_object_id"]: row for row in rows_of("company", names_of_companies)}
print(json.dumps({"contacts": contacts, "companies": companies, "total": len(contacts)}))
