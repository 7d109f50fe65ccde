"""Help, completion and versions: what is said before anything is done."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from migrator import __version__, cli
from migrator.cli.completion import SHELLS
from migrator.cli.help import ENVIRONMENT
from migrator.cli.parser import COMMANDS, build_parser, subparsers
from migrator.errors import ExitCode
from migrator.ledger import SCHEMA_VERSION
from tests import PACKAGE
from tests.support.processes import LONGEST_SECONDS

NAMES = [command.name for command in COMMANDS]
EXAMPLES = [(command.name, example) for command in COMMANDS for example in command.examples]


def typed(words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    return cli.main(words.split()), *capsys.readouterr()


def process(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own: what these tests ask is about how it starts."""
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
    )


# Each command's help


@pytest.mark.parametrize("name", NAMES)
def test_a_command_has_help_that_fits_and_shows_its_options_and_examples(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # nobody sees a pipe's width
    code, out, err = typed(f"{name} --help", capsys)
    assert (code, err) == (ExitCode.DONE, "")
    assert out.startswith(f"usage: migrator {name} ")
    options = subparsers(build_parser())[name]._actions
    for word in [word for action in options for word in action.option_strings]:
        assert re.search(rf"^  .*{word}\b", out, re.MULTILINE), word
    for command in COMMANDS:
        assert command.name != name or all(f"\n  {one}" in out for one in command.examples)
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_an_example_can_be_typed(name, example):
    words = shlex.split(re.split("[|<>)]", example.removeprefix('eval "$('))[0])
    at = words.index("migrator") + 1
    assert build_parser().parse_args(words[at:]).command == name


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("plan", "plan [CONTACT] [options]"),
        ("retry", "retry [CONTACT ...] [options]"),
        ("show", "show CONTACT [options]"),
        ("push", "push [options]"),
    ],
)
def test_the_usage_says_which_words_can_be_left_out(name, usage, capsys):
    assert typed(f"{name} --help", capsys)[1].startswith(f"usage: migrator {usage}\n")


def test_every_option_has_help():
    for name, parser in subparsers(build_parser()).items():
        for action in parser._actions:
            assert action.help, (name, action.dest)


def test_the_help_of_the_program_says_what_comes_first(capsys):
    line = re.search(r"^The first time: (.*)\.$", typed("--help", capsys)[1], re.MULTILINE)
    assert line
    order = line[1].split(", ")
    assert order == [name for name in NAMES if name in order]
    assert {"auth", "stage", "push", "verify", "report"} <= set(order)


@pytest.mark.parametrize("words", ["--help", "-h", "help"])
def test_the_help_of_the_program_names_every_command_variable_and_code(words, capsys):
    code, out, err = typed(words, capsys)
    assert (code, err) == (ExitCode.DONE, "")
    for word in (*NAMES, *ENVIRONMENT, *(str(int(code)) for code in ExitCode)):
        assert re.search(rf"^  {word}  ", out, re.MULTILINE), word
    assert max(map(len, out.splitlines())) <= 80


def test_every_variable_that_is_read_stands_in_the_help():
    text = "".join(path.read_text("utf-8") for path in (PACKAGE / "config").glob("*.py"))
    read = set(re.findall(r'"((?:HUBSPOT|LEADGENIUS|LGP|MIGRATOR)_[A-Z_]+)"', text))
    assert read <= set(ENVIRONMENT)


def test_help_with_a_command_is_the_help_of_the_command(capsys):
    assert typed("help push", capsys) == typed("push --help", capsys)


def test_help_is_narrow_where_the_terminal_is(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    for words in ("--help", "push --help"):
        prose = typed(words, capsys)[1].split("examples:")[0]
        assert max(map(len, prose.splitlines())) <= 40


@pytest.mark.parametrize("name", ["PYTHON_COLORS", "FORCE_COLOR"])
def test_help_has_no_colours_of_python_s_own(name, capsys, monkeypatch):
    monkeypatch.setenv(name, "1")
    assert "\x1b" not in typed("push --help", capsys)[1]


def test_words_without_work_wait_for_no_library():
    program = (
        "import sys\nfrom migrator.cli import main\n"
        "for words in ('--help', 'push --help', '--version', ''):\n"
        "    main(words.split())\n"
        "    print({'requests', 'sqlalchemy', 'shtab', 'dotenv'} & set(sys.modules))"
    )
    assert process("-c", program).stdout.splitlines().count("set()") == 4


def test_help_waits_for_no_display_counters_or_rate_limits():
    program = "import sys\nfrom migrator.cli import main\nmain(['--help'])\n"
    program += "print({'rich', 'migrator.counters', 'migrator.rate_limit'} & set(sys.modules))"
    assert process("-c", program).stdout.splitlines()[-1] == "set()"


def test_a_search_for_a_contact_does_not_wait_for_the_built_in_mapping():
    program = "import sys\nfrom migrator.cli import main\nmain(['show', 'a@b.c'])\n"
    program += "import migrator.report.find\nfrom migrator.mapping import email_key\n"
    program += "print({'tomllib', 'migrator.mapping.parser'} & set(sys.modules))"
    assert process("-c", program).stdout.splitlines()[-1] == "set()"


# Versions


def test_the_version_says_all_that_a_report_of_a_fault_needs(capsys):
    code, out, err = typed("--version", capsys)
    assert (code, err) == (ExitCode.DONE, "")
    stands_on = rf"\(ledger schema {SCHEMA_VERSION}, Python 3\.\d+\.\S+, SQLite 3\.\d+\.\d+\)"
    assert re.fullmatch(rf"migrator {re.escape(__version__)} {stands_on}\n", out)


# Completion


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_is_told_every_command_and_option(shell, capsys):
    code, out, err = typed(f"completion {shell}", capsys)
    assert (code, err) == (ExitCode.DONE, "")
    for name, parser in subparsers(build_parser()).items():
        assert name in out
        for option in [word for action in parser._actions for word in action.option_strings]:
            in_fish = f"-{'l' if option[1] == '-' else 's'} {option.lstrip('-')}"
            assert (in_fish if shell == "fish" else option) in out, option


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("migrator pu", "push"),
        ("migrator push --resu", "--resume"),
        ("migrator retry --reason mi", "missing"),
        ("migrator retry --reason missing --led", "--ledger"),
        ("migrator completion fi", "fish"),
        ("migrator report --ledger acm", "acme.db"),
        ("migrator stage --res", ""),
    ],
)
def test_bash_completes(words, offered, tmp_path, capsys):
    (tmp_path / "acme.db").touch()
    script = typed("completion bash", capsys)[1]
    # What bash itself does when Tab is pressed, found out by the name of the command.
    press = (
        '[[ $(complete -p migrator) =~ -F\\ ([^ ]+) ]]; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))\n'
        'shopt -u progcomp; "${BASH_REMATCH[1]}" 2>&-; echo "${COMPREPLY[*]}"'
    )
    bash = shutil.which("bash")
    assert bash, "these tests want bash"
    done = subprocess.run(
        [bash, "--norc", "-c", f"{script}\n{press}", "bash", *words.split()],
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
    )
    assert (done.stdout.strip(), done.returncode) == (offered, 0), done.stderr


# Streams that are hard to write to

PRINTING = ["--help", "push --help", "--version", "completion zsh", "sandbox --fault list"]


@pytest.mark.parametrize(
    "environ",
    [
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "ascii:strict", "COLUMNS": "7", "TERM": "dumb", "NO_COLOR": "1"},
    ],
)
def test_what_is_printed_survives_a_poor_terminal(environ):
    program = (
        "import sys\nfrom migrator.cli import main\n"
        "codes = [main(words.split()) for words in sys.argv[1:]]\n"
        "print(*map(int, codes))"
    )
    done = process("-c", program, *PRINTING, **environ)
    assert (done.returncode, done.stderr) == (ExitCode.DONE, "")
    assert done.stdout.splitlines()[-1].split() == ["0"] * len(PRINTING)
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("words", PRINTING)
def test_a_reader_who_has_left_is_no_failure(words):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "migrator", *words.split()],
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=LONGEST_SECONDS,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (ExitCode.DONE, b"")


@pytest.mark.parametrize("words", ["--help", "--version"])
def test_help_that_finds_no_room_is_told(words):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "migrator", words],
            env={**os.environ, "PYTHONUNBUFFERED": ""},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LONGEST_SECONDS,
        )
    assert done.returncode == ExitCode.STOPPED_EARLY
    assert "error: The output could not be written: No space left on device.\n" in done.stderr
