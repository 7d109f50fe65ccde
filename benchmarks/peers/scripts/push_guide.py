"""
Sending as the guide's template does: one after the other, with a pause, from the beginning.

    python push_guide.py BODIES
"""

import json
import os
import sys
import time
from pathlib import Path

import requests

BASE = f"{os.environ['LEADGENIUS_BASE_URL']}/api"
LOGIN = {
    "username": os.environ["LEADGENIUS_EMAIL"],
    "password": os.environ["LEADGENIUS_PASSWORD"],
}


def refreshed():
    answer = requests.post(f"{BASE}/auth", json=LOGIN, timeout=15)
    token = answer.json()["tokens"]["accessToken"]
    return {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}


headers = refreshed()
created = failed = 0
for number, line in enumerate(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()):
    if number and number % 200 == 0:
        headers = refreshed()
    try:
        lead = json.loads(line)
        answer = requests.post(f"{BASE}/leads", headers=headers, json=lead, timeout=15)
        if answer.status_code == 401:
            headers = refreshed()
            answer = requests.post(f"{BASE}/leads", headers=headers, json=lead, timeout=15)
        created += answer.status_code == 201
        failed += answer.status_code != 201
    except requests.RequestException:
        failed += 1
    time.sleep(0.15)
print(created)
