"""
Sending with huey: a task a contact in a SQLite queue, and a consumer of so many threads.

    python push_huey.py enqueue BODIES
    python push_huey.py work WORKERS

The consumer ends when the queue is empty. A task that is taken is out of the queue: one whose
consumer dies is not run again.
"""

import os
import sys
import threading
import time
from pathlib import Path

import requests
from huey import SqliteHuey

BASE = f"{os.environ['LEADGENIUS_BASE_URL']}/api"
LOGIN = {
    "username": os.environ["LEADGENIUS_EMAIL"],
    "password": os.environ["LEADGENIUS_PASSWORD"],
}
huey = SqliteHuey("leads", filename="huey.db")
own = threading.local()
token = None


@huey.task()
def post(body):
    if not hasattr(own, "session"):
        own.session = requests.Session()
        own.session.headers["Authorization"] = f"Bearer {token}"
        own.session.headers["Content-Type"] = "application/json"
    answer = own.session.post(f"{BASE}/leads", data=body.encode(), timeout=30)
    answer.raise_for_status()
    return answer.json()["lead"]["id"]


if sys.argv[1] == "enqueue":
    for line in Path(sys.argv[2]).read_text(encoding="utf-8").splitlines():
        post(line)
else:
    token = requests.post(f"{BASE}/auth", json=LOGIN, timeout=30).json()["tokens"]["accessToken"]
    consumer = huey.create_consumer(workers=int(sys.argv[2]), periodic=False)
    consumer.start()
    while huey.pending_count():
        time.sleep(0.02)
    consumer.stop(graceful=True)
    print(huey.result_count())
