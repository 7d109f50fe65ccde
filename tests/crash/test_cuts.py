"""A sample of the cuts: `python -m benchmarks.cuts` makes one at every effect."""

import os
import socket
import sqlite3
from hashlib import sha256

import pytest

from benchmarks.cut_proxy import Effects, Gate
from benchmarks.cuts import SENDERS, Cut, run
from benchmarks.journey import SETTLE, Journey
from benchmarks.judge import judge
from tests.support.socket_server import Server

# The rest is the command's, those of updates and deletes among them: they wait for many a `settle`.
SAMPLE = (
    Cut("stage", 20),
    Cut("push", 47),
    Cut("settle", 13),
    Cut("verify", 10),
    Cut("push", 80, 17),
    Cut("push", 0, seconds=1.2),
)


@pytest.mark.parametrize("cut", SAMPLE, ids=str)
def test_killed_and_resumed_it_ends_as_if_nothing_had_been(cut):
    result = run(cut)
    assert result.fault is None
    assert result.is_killed
    assert cut.verb not in SENDERS or result.resumed in (0, 1, 4)


def test_a_kill_after_any_commit_leaves_the_ledger_at_its_place(tmp_path):
    with Journey(tmp_path) as journey:
        journey.must("stage")
        for number in range(1, 11):
            # It raises if it ends by itself with anything but 0, 1 and 4: another place is 5.
            victim = journey.play("push --resume", cut=number, kind="commit: after")
            assert victim.is_cut
        journey.end()
        judge(journey.sandbox, journey.ledger, SETTLE)


def test_the_effect_that_is_told_is_the_last_one(monkeypatch):
    killed = []
    monkeypatch.setattr(os, "kill", lambda pid, signal: killed.append(pid))
    effects = Effects(cut=2, kind="b", pid=77)
    assert [effects.reach(name) for name in ("a", "b", "a", "b", "b")] == [
        *(True, True, True),
        *(False, False),
    ]
    assert killed == [77]
    assert effects.names == ["a", "b", "a", "b"]


@pytest.mark.parametrize("is_announced", [True, False])
def test_a_post_without_its_intent_on_disk_is_noticed(tmp_path, is_announced):
    body = b'{"email": "ada@x.example"}'
    path = tmp_path / "migrator.db"
    with sqlite3.connect(path) as ledger:
        ledger.execute("CREATE TABLE attempt (payload_hash, outcome)")
        ledger.execute("INSERT INTO attempt VALUES (?, NULL)", (sha256(body).hexdigest(),))
    ledger.close()
    sent = body if is_announced else b'{"email": "eve@x.example"}'
    with Server((b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}",)) as service:
        gate = Gate(service.port, path)
        assert post(gate.port, sent).endswith(b"{}")
        gate.close()
    assert gate.unannounced == ([] if is_announced else [sent.decode()])


def post(port: int, body: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        head = f"POST /api/leads HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        return client.recv(1 << 16)
