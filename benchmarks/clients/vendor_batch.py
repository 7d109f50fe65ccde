"""
The batch of two leads as LeadGenius's own reference shows it, and a look at what was saved.

    python vendor_batch.py
"""

import json
import os

import requests

base = os.environ["LEADGENIUS_BASE_URL"] + "/api"
client_id = os.environ["LEADGENIUS_CLIENT_ID"]
login = {
    "username": os.environ["LEADGENIUS_EMAIL"],
    "password": os.environ["LEADGENIUS_PASSWORD"],
}
token = requests.post(f"{base}/auth", json=login, timeout=10).json()["tokens"]["accessToken"]
headers = {"Authorization": f"Bearer {token}"}
leads = [
    {"client_id": client_id, "firstName": "Jane", "lastName": "Doe", "email": "jane@acme.example"},
    {"client_id": client_id, "firstName": "John", "lastName": "Roe", "email": "john@acme.example"},
]
sent = requests.post(f"{base}/leads", headers=headers, json={"leads": leads}, timeout=10)
query = {"client_id": client_id, "limit": 1000}
listed = requests.get(f"{base}/leads", headers=headers, params=query, timeout=10).json()["leads"]
print(json.dumps({"status": sent.status_code, "body": sent.json(), "listed": len(listed)}))
