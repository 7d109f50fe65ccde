"""
The operator's day on the sandbox, typed as into a shell; `python -m tests.support.transcript`
writes it.

It writes `docs/transcript.md`, and puts what it saw into every block of the docs that quotes a step
(`<!-- day: NAME -->` before a fenced block). What differs from one day to the next (times, how far
a push had come when it was interrupted) is for `alike` to know.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from migrator.sandbox import Sandbox
from tests import ROOT
from tests.support.processes import Process, start

DOCS = ROOT / "docs"
TRANSCRIPT = DOCS / "transcript.md"
QUOTED = re.compile(r"(?s)(<!-- day: (\w+) -->\n```console\n)(.*?)(```\n)")

CONTACTS, SEED = 160, 7
INTERRUPTED_AT = 60  # leads
# So that a day takes half a minute. The sandbox finishes whatever it was sent within a second.
SETTLE = "--settle 2 --timeout 2"
LONGEST_SECONDS = 60.0


@dataclass(frozen=True)
class Step:
    """
    Something that is typed.

    Args:
        name: The docs quote it by this.
        typed: A line for bash. Only what needs a shell is given to one.
        why: What the transcript says before it.
        code: The exit code that it must end with.
        is_interrupted: Ctrl-C is typed once some leads have arrived.
        telling: Where each day shows something else: what all of them do show, a pattern.
    """

    name: str
    typed: str
    why: str
    code: int = 0
    is_interrupted: bool = False
    recorder: str | None = None


# Whose e-mail somebody once mistyped.
CONTACT = "77042"
WRONG, RIGHT = "anna.berg@@initech.example", "anna.berg@initech.example"
ANNA = {"firstname": "Anna", "lastname": "Berg", "jobtitle": "Head of Sales", "email": WRONG}
# People change contacts in HubSpot's own pages; in the sandbox, by its control interface.
CHANGE = (
    "import sys, json, urllib.request as web; url, contact, email = sys.argv[1:]; "
    'web.urlopen(url + "/_sandbox/change_contact", json.dumps({"contact_id": contact, '
    '"email": email, "jobtitle": "Chief of Sales"}).encode())'
)
STEPS = (
    Step(
        "auth",
        "migrator auth",
        "Log in. E-mail and password stand in `.env` here; without them `auth` asks.",
    ),
    Step("auth_status", "migrator auth --status", "Who is it, and for how long?"),
    Step(
        "preflight_red",
        "migrator preflight",
        "Is all in order? Not quite: the client that the leads are to go to is not chosen yet.",
        code=3,
    ),
    Step(
        "clients_create",
        'migrator clients --create "HubSpot 2026"',
        "Make one. The ledger remembers it.",
    ),
    Step("preflight_green", "migrator preflight", "Once more."),
    Step("stage", "migrator stage", "Everything out of HubSpot, into the ledger. It only reads."),
    Step("plan", "migrator plan --show 1", "What would a push do? Nothing is sent to find out."),
    Step(
        "push_five",
        f"migrator push --limit 5 {SETTLE}",
        "Five, to look at in LeadGenius before the rest follows.",
    ),
    Step("verify_five", f"migrator verify {SETTLE}", "Are they there, as they were sent?"),
    Step(
        "push",
        f"migrator push --rate 900 {SETTLE}",
        "The rest. In the middle of it, Ctrl-C.",
        code=130,
        is_interrupted=True,
        recorder=r"\^C\n(?s:.*)error: Interrupted: \d+ posted, \d+ in doubt\.\n"
        r"next: migrator push --resume\n$",
    ),
    Step(
        "report_interrupted",
        "migrator report",
        "Where does that leave us?",
        recorder=r"= 161 contacts from HubSpot\n(?s:.*) interrupted: \d+ posted\n(?s:.*)"
        r"Next: migrator push --resume   \(",
    ),
    Step(
        "resume",
        f"migrator push --resume {SETTLE}",
        "Go on. What is in doubt is looked for before anything is sent again.",
        recorder=r"\n\d+ posted(?: · \d+ (?:of them after a doubt|uncertain sends?.*))*\n$",
    ),
    Step("report", "migrator report", "Who is left? Those whom the rules exclude."),
    Step("show", f"migrator show {CONTACT}", "One of them."),
    Step(
        "csv",
        "migrator report --csv held.csv",
        "All of them, as a table for the sales team to correct.",
    ),
    Step(
        "edit",
        f"sed -i 's/{WRONG}/{RIGHT}/g' held.csv",
        "They correct one address, in a spreadsheet; here `sed` does.",
    ),
    Step("amend", "migrator amend held.csv --yes", "Take it back."),
    Step("push_amended", f"migrator push {SETTLE}", "It can be sent now."),
    Step("verify", f"migrator verify {SETTLE}", "And compare every lead with what was sent."),
    Step("report_end", "migrator report", "The sums close."),
    Step("html", "migrator report --html report.html", "A page for those who were not here."),
    Step("audit", f"migrator audit {SETTLE} > proof.jsonl", "And the evidence, line by line."),
    Step(
        "hubspot_changes",
        f"python3 -c '{CHANGE}' $HUBSPOT_BASE_URL {CONTACT} {RIGHT}",
        "The next day. A colleague corrects Anna's address in HubSpot, and she has a new title.",
    ),
    Step("stage_again", "migrator stage", "What is new, changed or gone in HubSpot?"),
    Step(
        "update_dry",
        f"migrator update --dry-run {SETTLE}",
        "What would be written? Nothing is, so far.",
    ),
    Step("update", f"migrator update --yes {SETTLE}", "Write it."),
    Step("verify_again", f"migrator verify {SETTLE}", "And compare again."),
)


@dataclass(frozen=True)
class Typed:
    """A step that was typed, and what the terminal showed."""

    step: Step
    shown: str
    code: int

    def console(self) -> str:
        """As it stands in the docs."""
        return f"$ {self.step.typed}\n{self.shown}"


class Day:
    """
    A folder, a sandbox and a terminal.

    Args:
        folder: Empty; what the operator makes goes there.
    """

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self._folder = folder
        self._sandbox = sandbox

    def type(self, step: Step) -> Typed:
        """Type a step, and wait for its end."""
        shown = self._folder / "shown.txt"
        with shown.open("w+", encoding="utf-8") as terminal:
            process = self._start(step.typed, terminal.fileno())
            cut = self._interrupt(process, shown) if step.is_interrupted else None
            code = process.wait(LONGEST_SECONDS)
        text = self._clean(shown.read_text("utf-8"))
        if cut is not None:
            text = text[:cut] + "^C\n" + text[cut:]
        return Typed(step, text, code)

    def _start(self, typed: str, terminal: int) -> Process:
        program, *words = shlex.split(typed)
        streams = (subprocess.DEVNULL, terminal, terminal)
        if program == "migrator" and ">" not in words:
            command = [sys.executable, "-m", "migrator", *words]
            return start(command, self._folder, self._environment(), streams)
        stdin, stdout, stderr = streams
        return subprocess.Popen(
            ["bash", "-c", typed],  # noqa: S607
            cwd=self._folder,
            env=self._environment(),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
        )

    def _interrupt(self, process: Process, shown: Path) -> int:
        self._sandbox.wait_until(
            lambda: len(self._sandbox.held) >= INTERRUPTED_AT, timeout=LONGEST_SECONDS
        )
        cut = len(self._clean(shown.read_text("utf-8")))
        process.send_signal(signal.SIGINT)
        return cut

    def _environment(self) -> dict[str, str]:
        scripts = Path(sys.executable).parent
        sandbox = self._sandbox.environment()
        del sandbox["LEADGENIUS_CLIENT_ID"]  # it is chosen in the course of the day
        return {
            "HOME": str(self._folder),
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "COLUMNS": "80",
            **sandbox,
        }

    def _clean(self, text: str) -> str:
        """Without the names that differ from machine to machine."""
        text = text.replace(self._sandbox.url, "http://127.0.0.1:8080")
        return text.replace(str(self._folder), "/home/rep")


def day() -> Iterator[Typed]:
    """Live it, from the empty directory on; AssertionError = a step did not end as it must."""
    with (
        tempfile.TemporaryDirectory(prefix="migrator-day-") as folder,
        Sandbox(
            contacts=CONTACTS,
            seed=SEED,
            faults={"drop_after_saving": 0.03},
            hubspot_rate_limit=190,
            hubspot_daily=(250_000, 249_000),
        ) as sandbox,
    ):
        sandbox.add_contact(ANNA, contact_id=CONTACT)
        one = Day(Path(folder), sandbox)
        for step in STEPS:
            typed = one.type(step)
            assert typed.code == step.code, (typed.code, typed.console())
            yield typed
        verdict = sandbox.verdict()
        assert verdict.ok, verdict


# Writing it down

HEAD = """\
# A day on the sandbox

From an empty directory to a report that the sales team believes. Every line below was typed by a
script (`python -m tests.support.transcript`), and what the terminal showed is printed as it was; a
test types it all again and compares. The sandbox holds {contacts} contacts, and loses the answers
to some sends.
"""


def transcript(typed: Mapping[str, Typed]) -> str:
    """The text of `docs/transcript.md`."""
    parts = [HEAD.format(contacts=CONTACTS)]
    for one in typed.values():
        ended = "" if one.code == 0 else f"\nExit code {one.code}.\n"
        block = f"<!-- day: {one.step.name} -->\n```console\n{one.console()}```\n"
        parts.append(f"{one.step.why}\n\n{block}{ended}")
    return "\n".join(parts)


def quoting(text: str, typed: Mapping[str, Typed]) -> str:
    """A text of the docs, its quotations made anew."""
    return QUOTED.sub(lambda found: found[1] + typed[found[2]].console() + found[4], text)


def written() -> list[Path]:
    """Every document that may quote the day."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


# What differs from one day to the next -> what it is read as.
_MASKS = (
    (r"(?m)^(?:stage|push|verify): .*\n", ""),  # how far it was at some moment
    (r"\d\d? \w+ \d{4}, \d\d:\d\d", "(a time)"),
    (r"\d{4}-\d\d-\d\d(?: \d\d:\d\d(?::\d\d)?)?", "(a time)"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "(an id)"),
    (r"\b[0-9a-f]{64}\b", "(a hash)"),
    (r"\d+ (?:GB free|min left|s|min)\b", "(so much)"),
    # A send for each lead, and one more for each that Ctrl-C recalled before it left.
    (r"\b1(?:5[7-9]|6\d) sends\b", "(so many) sends"),
    (r"(?m)^(\(a time\) +push +\(so much\) +\w+).*$", r"\1"),  # when it was interrupted
    (r" +", " "),
)


def alike(name: str, shown: str) -> str:
    """What a terminal showed, as far as every day shows it; see `Step.recorder`."""
    recorder = next(step.recorder for step in STEPS if step.name == name)
    if recorder is not None:
        found = re.search(recorder, shown)
        return recorder if found else shown
    for pattern, read in _MASKS:
        shown = re.sub(pattern, read, shown)
    return shown


def main() -> None:
    typed = {one.step.name: one for one in day()}
    TRANSCRIPT.write_text(transcript(typed), "utf-8")
    for path in written():
        if (new := quoting(old := path.read_text("utf-8"), typed)) != old:
            path.write_text(new, "utf-8")


if __name__ == "__main__":
    main()
