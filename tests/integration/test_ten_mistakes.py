"""
Ten mistakes that a new user makes: the words and the exit code that each of them gets.

Word for word, because these are the lines on which somebody decides whether to go on.
"""

import re
import resource

import pytest

from migrator.errors import ExitCode
from migrator.mapping import DEFAULT
from migrator.text import count_noun
from tests.support.inprocess_cli import PUSH, InProcessCli
from tests.support.processes import Operator, Result
from tests.support.tampering import meddle


@pytest.fixture
def shell(sandbox, tmp_path, monkeypatch, capsys):
    return InProcessCli(tmp_path, sandbox(contacts=12), monkeypatch, capsys)


def says(result: Result, code: ExitCode, error: str, following: str) -> None:
    # HubSpot gives each answer an id of its own, for its support.
    told = re.sub(r" \(correlation id [-0-9a-f]{36}\)", "", result.err)
    assert told.endswith(f"error: {error}\nnext: {following}\n"), told
    assert (result.code, result.out) == (code, "")


def test_a_wrong_token(shell, monkeypatch):
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "pat-na1-00000000-0000-0000-0000-000000000000")
    says(
        shell.type("stage"),
        ExitCode.NOT_READY,
        "HubSpot rejected the access token: it is not valid.",
        "set HUBSPOT_ACCESS_TOKEN to the token of a private app or a Service Key with the scopes "
        "crm.objects.contacts.read and crm.objects.companies.read",
    )


def test_tokens_that_were_swapped(shell, monkeypatch):
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "lgp_00000000")
    monkeypatch.setenv("LGP_API_KEY", "pat-na1-00000000")
    monkeypatch.setenv("LGP_USER_ID", "me")
    says(
        shell.type("stage"),
        ExitCode.NOT_READY,
        "HUBSPOT_ACCESS_TOKEN is an API key of LeadGenius, not a token of HubSpot: are the two "
        "swapped?",
        "set HUBSPOT_ACCESS_TOKEN to the token of a HubSpot private app or Service Key",
    )
    says(
        shell.type("clients"),
        ExitCode.NOT_READY,
        "LGP_API_KEY is an access token of HubSpot, not of LeadGenius: are the two swapped?",
        "set LGP_API_KEY to LeadGenius's key, which begins with lgp_",
    )
    assert shell.sandbox.received == []


def test_a_scope_that_is_missing(shell):
    shell.sandbox.fault("missing_scopes", 3)
    says(
        shell.type("stage"),
        ExitCode.NOT_READY,
        "The HubSpot token lacks the scopes crm.objects.contacts.read, crm.objects.companies.read.",
        "add them to the private app or the Service Key in HubSpot's settings",
    )


def test_the_internal_id_for_the_client_id(shell):
    shell.type("stage -q")
    internal = shell.sandbox.client_internal_id
    says(
        shell.type(f"push --client-id {internal}"),
        ExitCode.USAGE,
        f"{internal} is the internal id of the client 'Historic Contacts'; leads sent under it "
        "are invisible. Its client_id is historic-contacts.",
        "use --client-id historic-contacts",
    )
    assert shell.sandbox.held == []


@pytest.mark.parametrize(
    ("words", "error", "following"),
    [
        (
            "stage",
            "HUBSPOT_ACCESS_TOKEN is not set, neither in the environment nor in {folder}/.env "
            "(there is no such file)",
            "put HUBSPOT_ACCESS_TOKEN=… into {folder}/.env",
        ),
        (
            "clients",
            "there are no LeadGenius credentials: LEADGENIUS_EMAIL and LEADGENIUS_PASSWORD are set "
            "neither in the environment nor in {folder}/.env (there is no such file), and "
            "{folder}/auth.json does not exist",
            "migrator auth",
        ),
    ],
)
def test_no_env_file(shell, monkeypatch, words, error, following):
    for name in shell.sandbox.environment():
        monkeypatch.delenv(name)
    told = (one.format(folder=shell.folder) for one in (error, following))
    says(shell.type(words), ExitCode.NOT_READY, *told)
    assert list(shell.folder.iterdir()) == []


def test_a_mapping_file_with_phone(shell):
    text = DEFAULT.text.replace("phoneNumber =", "phone =")
    (shell.folder / "m.toml").write_text(text, "utf-8")
    says(
        shell.type("stage --mapping m.toml"),
        ExitCode.USAGE,
        "m.toml is not a valid mapping:\n"
        "  fields.phone: LeadGenius answers 500 to a lead with this field (guide, bug 3); "
        "the field is phoneNumber",
        "fix it, then: migrator mapping --check m.toml",
    )


def test_the_ledger_of_another_portal(shell):
    shell.type("stage")
    path = shell.folder / "migrator.db"
    meddle(path, "UPDATE ledger SET portal_id = '7'")
    says(
        shell.type("stage"),
        ExitCode.LEDGER,
        f"The ledger {path} belongs to the HubSpot portal 7, not to {shell.sandbox.portal_id}.",
        "use the settings of its first run, or begin another ledger with --ledger",
    )


def test_a_second_push_after_one_that_stopped(shell):
    shell.type("stage")
    shell.sandbox.fault("unavailable", times=999)
    assert shell.type(PUSH).code == ExitCode.STOPPED_EARLY
    shell.sandbox.calm()
    doubts = shell.ask("SELECT count(*) FROM attempt WHERE outcome IS NULL")[0][0]
    says(
        shell.type(PUSH),
        ExitCode.STOPPED_EARLY,
        f"An earlier push was interrupted ({count_noun(doubts, 'contact')} in doubt).",
        "migrator push --resume",
    )
    shell.ends_well()


@pytest.mark.parametrize(
    ("words", "error", "following"),
    [
        (
            "push --reusme",
            "migrator push has no option --reusme; did you mean --resume?",
            "migrator push --help",
        ),
        (
            "push --client_id=acme",
            "migrator push has no option --client_id; did you mean --client-id?",
            "migrator push --help",
        ),
        (
            "push --max 5",  # abbreviations are off
            "migrator push has no option --max; did you mean --max-in-doubt?",
            "migrator push --help",
        ),
        (
            "push --reson missing",
            "migrator push has no option --reson; did you mean --reason, of retry?",
            "migrator push --help",
        ),
        (
            "stage --settle 5",
            "migrator stage has no option --settle; "
            "it belongs to push, verify, update, undo, run, audit.",
            "migrator stage --help",
        ),
        ("push --zzz", "migrator push has no option --zzz.", "migrator push --help"),
        (
            "--ledger acme.db push -v",
            "Options follow the command, but --ledger comes before it.",
            "migrator push --ledger acme.db -v",
        ),
        (
            "--verson",
            "migrator has no option --verson; did you mean --version?",
            "migrator --help",
        ),
        ("psuh", "There is no command 'psuh'; did you mean push?", "migrator push --help"),
        ("import", "There is no command 'import'.", "migrator stage, then: migrator push"),
        ("status", "There is no command 'status'.", "migrator report"),
        ("Login", "There is no command 'Login'.", "migrator auth"),
        ("resume", "There is no command 'resume'.", "migrator push --resume"),
        ("export", "There is no command 'export'.", "migrator report --csv held.csv"),
        ("sync", "There is no command 'sync'.", "migrator run --update"),
        ("continue", "There is no command 'continue'.", "migrator push --resume"),
        ("start", "There is no command 'start'.", "migrator preflight"),
        ("version", "There is no command 'version'.", "migrator --version"),
        ("push --dry-run", "migrator push has no option --dry-run.", "migrator plan"),
        ("--dry-run push", "migrator push has no option --dry-run.", "migrator plan"),
        ("-V", "migrator has no option -V.", "migrator --version"),
        (
            "retry --reason missng",
            "--reason cannot be 'missng'; did you mean missing?",
            "migrator retry --help",
        ),
        (
            "retry --reason other",
            "--reason cannot be 'other'; it is one of no_email, invalid_email, duplicate_email, "
            "already_in_destination, refused, gave_up, missing, different, doubled, conflict, "
            "gone, undone.",
            "migrator retry --help",
        ),
        ("push --limit", "--limit needs a value.", "migrator push --help"),
        (
            "push --limit 0",
            "--limit: '0' is not a whole number from 1 to 1,000,000,000.",
            "migrator push --help",
        ),
        (
            "push --rate fast",
            "--rate: 'fast' is not a number from 0.1 to 1,000,000, and neither auto nor max.",
            "migrator push --help",
        ),
        (
            "sandbox --port 65536",
            "--port: '65536' is not a whole number from 0 to 65,535.",
            "migrator sandbox --help",
        ),
        (
            "sandbox --fault refuse",
            "--fault: 'refuse' has no share, such as refuse=0.05.",
            "migrator sandbox --help",
        ),
        ("push --resume=yes", "--resume takes no value.", "migrator push --help"),
        (
            "push -v -q",
            "-q/--quiet and -v/--verbose do not go together.",
            "migrator push --help",
        ),
        ("completion", "SHELL is missing.", "migrator completion --help"),
        ("stage acme", "migrator stage does not take the word 'acme'.", "migrator stage --help"),
        (
            "stage pat-na1-00000000",  # who knows who looks at the screen
            "migrator stage does not take the word that was typed.",
            "migrator stage --help",
        ),
    ],
)
def test_a_slip_in_what_is_typed(shell, words, error, following):
    says(shell.type(words), ExitCode.USAGE, error, following)


@pytest.mark.parametrize(
    ("words", "bounds"),
    [
        ("push --rate 1e-9", "from 0.1 to 1,000,000"),
        ("push --rate 1000001", "from 0.1 to 1,000,000"),
        ("plan --rate 0", "from 0.1 to 1,000,000"),
        ("push --limit 1_000", "from 1 to 1,000,000,000"),
        ("push --limit \u0661\u0662", "from 1 to 1,000,000,000"),
        ("push --workers 257", "from 1 to 256"),
        ("push --canary 99999999999999999999", "from 0 to 1,000"),
        ("push --canary " + "9" * 5000, "from 0 to 1,000"),
        ("push --max-in-doubt 10001", "from 1 to 10,000"),
        ("push --settle nan", "from 0.001 to 86,400"),
        ("verify --settle 86401", "from 0.001 to 86,400"),
        ("push --timeout inf", "from 0.01 to 3,600"),
        ("push --timeout 1_0", "from 0.01 to 3,600"),
        ("stage --retry-for -1", "from 0 to 43,200"),
        ("stage --retry-for 1e9", "from 0 to 43,200"),
        ("plan --show 0", "from 1 to 1,000,000"),
        ("sandbox --contacts 0", "from 1 to 10,000,000"),
        ("sandbox --port 65536", "from 0 to 65,535"),
        ("sandbox --rate-limit 0", "from 1 to 1,000,000"),
        ("sandbox --latency 1e99", "from 0 to 3,600"),
        ("sandbox --token-seconds 0", "from 0.001 to 100,000,000"),
        ("sandbox --fault refuse=2", "from 0.0001 to 1"),
    ],
)
def test_a_number_without_measure(shell, words, bounds):
    """Each has bounds, which are said; nothing is guessed, and nothing is read as Python would."""
    result = shell.type(words)
    assert (result.code, result.out) == (ExitCode.USAGE, "")
    assert f"number {bounds}" in result.err
    assert len(result.err) < 250


def test_no_command_at_all(shell):
    result = shell.type("")
    assert (result.code, result.out) == (ExitCode.USAGE, "")
    assert result.err.startswith("error: No command was given; there are:\n  demo: watch a whole ")
    assert result.err.endswith("\nnext: migrator COMMAND --help\n")


@pytest.mark.parametrize("words", ["push", "report --ledger migrator.db", "retry 1"])
def test_no_ledger(shell, words):
    says(
        shell.type(words),
        ExitCode.LEDGER,
        f"There is no ledger at {shell.folder / 'migrator.db'}.",
        "migrator stage, which creates it; or name another file with --ledger",
    )


def test_a_disk_that_is_full(shell):
    shell.type("stage")
    operator = Operator(shell.folder, shell.sandbox)

    def fill(_: object) -> bool:
        size = operator.ledger.with_name("migrator.db-wal").stat().st_size
        resource.prlimit(push.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        return False  # it does not strike

    shell.sandbox.fault("list_error", where=fill)
    push = operator.start(PUSH)
    out, err = push.communicate(timeout=60)
    says(
        Result(push.wait(), out, err),
        ExitCode.LEDGER,
        f"The ledger {operator.ledger} cannot be used: the disk or a quota is full, or the disk "
        "is faulty.",
        "free some space, then migrator push --resume; nothing that was committed is lost",
    )
    assert shell.sandbox.held == []
