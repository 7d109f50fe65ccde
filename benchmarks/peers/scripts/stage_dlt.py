"""
Staging with dlt into SQLite: contacts as a resource, companies as a transformer of its pages.

    python stage_dlt.py
"""

import os

import dlt
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator

PROPERTIES = (
    "firstname,lastname,email,jobtitle,phone,mobilephone,city,country,lifecyclestage,hs_lead_status"
)
OF_COMPANIES = ["name", "domain", "industry", "phone", "city", "country"]

client = RESTClient(
    base_url=f"{os.environ['HUBSPOT_BASE_URL']}/crm/v3/objects",
    auth=BearerTokenAuth(os.environ["HUBSPOT_ACCESS_TOKEN"]),
    paginator=JSONResponseCursorPaginator(cursor_path="paging.next.after", cursor_param="after"),
)


# Nested objects stay JSON: a table for each of them is slower, and nobody asked for it.
@dlt.resource(primary_key="id", write_disposition="replace", max_table_nesting=0)
def contact():
    query = {"limit": 100, "properties": PROPERTIES, "associations": "companies"}
    yield from client.paginate("contacts", params=query, data_selector="results")


@dlt.transformer(
    data_from=contact, primary_key="id", write_disposition="replace", max_table_nesting=0
)
def company(page):
    rows = [
        row
        for one in page
        for row in one.get("associations", {}).get("companies", {}).get("results", [])
    ]
    wanted = sorted({row["id"] for row in rows} - seen)
    seen.update(wanted)
    for start in range(0, len(wanted), 100):
        inputs = [{"id": company_id} for company_id in wanted[start : start + 100]]
        body = {"properties": OF_COMPANIES, "propertiesWithHistory": [], "inputs": inputs}
        yield client.post("companies/batch/read", json=body).json()["results"]


seen = set()
pipeline = dlt.pipeline(
    "staging",
    pipelines_dir="dlt",
    destination=dlt.destinations.sqlalchemy("sqlite:///dlt.db"),
    dataset_name="main",
)
pipeline.run([contact, company])
