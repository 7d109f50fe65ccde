"""The long proof in short, so that it cannot rot; `python -m benchmarks.soak` is the real one."""

import re
import subprocess
import sys

from tests import ROOT


def test_five_kills_lose_nothing_and_send_nothing_twice():
    words = "-m benchmarks.soak --kills 5 --contacts 60 --seed 33"
    soak = subprocess.run(
        [sys.executable, *words.split()], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert soak.returncode == 0, soak.stderr
    line, met, *_ = soak.stdout.splitlines()
    assert re.search(r"seed 33 · [56] kills .* · lost 0 · duplicated 0 · \d+ min$", line)
    assert re.fullmatch(r"\d+ of \d+ rare situations were met:", met)
