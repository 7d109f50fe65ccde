"""
Draws the README's pictures from real output: `python -m tests.support.screenshots`.

A demo is played as a user would play it, in colours; what the terminal showed is made a picture by
rich. A picture asks nobody for a font.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from tests import ROOT

FOLDER = ROOT / "docs" / "pictures"
WIDTH = 92
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
RULE = "─" * WIDTH


def played() -> str:
    """All that `migrator demo` shows, with its colours."""
    done = subprocess.run(
        [sys.executable, "-m", "migrator", "demo", "--contacts", "300"],
        env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    shown = re.sub(r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:8080", done.stdout)
    return re.sub(r"\S+/migrator-demo-\w+/", "", shown)


def drawn(shown: str, title: str) -> str:
    """A picture of what a terminal showed."""
    console = Console(record=True, width=WIDTH, file=Path(os.devnull).open("w"))  # noqa: SIM115
    console.print(Text.from_ansi(shown))
    return console.export_svg(title=title, code_format=FORMAT, unique_id="picture")


def main() -> None:
    # A table can be as wide as a rule, but no empty line stands above its own.
    between = rf"\n\n(?:\x1b\[\d+m)*{RULE}(?:\x1b\[\d+m)*\n"
    acts = [act.strip("\n") for act in re.split(between, played())]
    *others, judged = acts
    without_reports = [act for act in others if "$ migrator report" not in act]
    reports = [act for act in others if "$ migrator report" in act]
    story = "\n\n".join([*without_reports, judged])
    (FOLDER / "demo.svg").write_text(drawn(story, "migrator demo"), "utf-8")
    (FOLDER / "report.svg").write_text(drawn(reports[0], "migrator report"), "utf-8")


if __name__ == "__main__":
    main()
