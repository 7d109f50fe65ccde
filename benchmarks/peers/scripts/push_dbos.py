"""
Sending with DBOS: one durable workflow a contact, its id the workflow's, a pool of threads.

    python push_dbos.py BODIES WORKERS

Started again, it recovers what was pending and returns at once for what was done.
"""

import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from dbos import DBOS, SetWorkflowID

BASE = f"{os.environ['LEADGENIUS_BASE_URL']}/api"
LOGIN = {
    "username": os.environ["LEADGENIUS_EMAIL"],
    "password": os.environ["LEADGENIUS_PASSWORD"],
}
workers = int(sys.argv[2])
token = requests.post(f"{BASE}/auth", json=LOGIN, timeout=30).json()["tokens"]["accessToken"]
own = threading.local()

DBOS(
    config={
        "name": "push",
        "system_database_url": "sqlite:///dbos.sqlite",
        "sys_db_pool_size": workers,
        "application_version": "1",
        "log_level": "CRITICAL",
    }
)


@DBOS.step()
def post(body):
    if not hasattr(own, "session"):
        own.session = requests.Session()
        own.session.headers["Authorization"] = f"Bearer {token}"
        own.session.headers["Content-Type"] = "application/json"
    answer = own.session.post(f"{BASE}/leads", data=body.encode(), timeout=30)
    answer.raise_for_status()
    return answer.json()["lead"]["id"]


@DBOS.workflow()
def send(body):
    return post(body)


def send_once(body):
    contact = json.loads(body)["notes"].rpartition("/")[2]
    with SetWorkflowID(f"lead-{contact}"):
        return send(body)


if __name__ == "__main__":
    DBOS.launch()
    bodies = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    with ThreadPoolExecutor(workers) as pool:
        print(len(set(pool.map(send_once, bodies))))
    DBOS.destroy()
