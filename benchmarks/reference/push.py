"""
Sending in its barest form: a pool of threads, a requests session each, and no ledger.

    python push.py BODIES WORKERS

BODIES holds one lead a line, as JSON, prepared by somebody else. Each answer is read, none is kept:
killed and started again, it sends everything twice.
"""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

BASE = f"{os.environ['LEADGENIUS_BASE_URL']}/api"
LOGIN = {
    "username": os.environ["LEADGENIUS_EMAIL"],
    "password": os.environ["LEADGENIUS_PASSWORD"],
}

token = requests.post(f"{BASE}/auth", json=LOGIN, timeout=30).json()["tokens"]["accessToken"]
own = threading.local()


def post(body: bytes) -> str:
    if not hasattr(own, "session"):
        own.session = requests.Session()
        own.session.headers["Authorization"] = f"Bearer {token}"
        own.session.headers["Content-Type"] = "application/json"
    answer = own.session.post(f"{BASE}/leads", data=body, timeout=30)
    answer.raise_for_status()
    return str(answer.json()["lead"]["id"])


bodies = Path(sys.argv[1]).read_bytes().splitlines()
with ThreadPoolExecutor(int(sys.argv[2])) as pool:
    print(len(set(pool.map(post, bodies))))
