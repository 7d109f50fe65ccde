"""
Settings: where each comes from, every fault at once, and no secret in anything that is printed.

The environment and the working directory are arguments, so no test touches the real ones.
"""

import copy
import dataclasses
import json
import os
import pickle
import stat
import traceback
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from migrator.config import AuthFile, Secret, Settings, load, survey
from migrator.errors import NotReady

TOKEN = "pat-na1-0000-secret"
PASSWORD = "s3cret words"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory, which is the working directory too."""
    return tmp_path


def settings(
    home: Path,
    needs: Collection[str] = (),
    options: Any = None,
    **environ: str,
) -> Settings:
    return load(options or {}, {"HOME": str(home), **environ}, home, needs)


def refused(home: Path, needs: Collection[str] = (), **environ: str) -> NotReady:
    with pytest.raises(NotReady) as caught:
        settings(home, needs, **environ)
    return caught.value


def save(home: Path, content: object) -> Path:
    path = home / ".leadgenius_auth.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Where a setting comes from


def test_nothing_given_means_the_defaults(home: Path) -> None:
    assert settings(home) == Settings(
        ledger=home / "migrator.db",
        hubspot_token=None,
        hubspot_url="https://api.hubapi.com",
        hubspot_version="v3",
        hubspot_portal_id=None,
        leadgenius_url="https://last.leadgenius.app",
        leadgenius_email=None,
        leadgenius_password=None,
        api_key=None,
        user_id=None,
        auth_file=home / ".leadgenius_auth.json",
        client_id=None,
        state_folder=home / ".local" / "state" / "migrator",
        fence=None,
        auth_file_applies=True,
    )


def test_an_option_goes_before_the_environment(home: Path) -> None:
    options = {"ledger": "o.db", "client_id": "option"}
    found = settings(home, (), options, MIGRATOR_LEDGER="e.db", LEADGENIUS_CLIENT_ID="environment")
    assert (found.ledger, found.client_id) == (home / "o.db", "option")


def test_the_environment_goes_before_the_dotenv(home: Path) -> None:
    (home / ".env").write_text("LEADGENIUS_CLIENT_ID=dotenv\nHUBSPOT_PORTAL_ID=42\n")
    found = settings(home, LEADGENIUS_CLIENT_ID="environment")
    assert (found.client_id, found.hubspot_portal_id) == ("environment", "42")


def test_the_dotenv_goes_before_the_credentials_file(home: Path) -> None:
    save(home, {"email": "file@example.com", "user_id": "u-1", "api_key": "lgp_1"})
    (home / ".env").write_text("LEADGENIUS_EMAIL=dotenv@example.com\n")
    found = settings(home)
    assert found.leadgenius_email == "dotenv@example.com"
    assert (found.user_id, found.api_key) == ("u-1", Secret("lgp_1"))


def test_the_credentials_file_gives_the_base_url_without_api(home: Path) -> None:
    save(home, {"base_url": "https://eu.leadgenius.app/api/"})
    assert settings(home).leadgenius_url == "https://eu.leadgenius.app"


@pytest.mark.parametrize("blank", ["", "  ", "\n", '""', " '' "])
def test_a_blank_value_is_not_given(home: Path, blank: str) -> None:
    (home / ".env").write_text("LEADGENIUS_CLIENT_ID=dotenv\n")
    options = {"client_id": blank, "ledger": blank}
    found = settings(home, (), options, LEADGENIUS_CLIENT_ID=blank, HUBSPOT_API_VERSION=blank)
    assert (found.client_id, found.hubspot_version) == ("dotenv", "v3")
    assert found.ledger == home / "migrator.db"


def test_a_blank_key_of_the_credentials_file_is_not_given(home: Path) -> None:
    save(home, {"email": " ", "api_key": None, "base_url": ""})
    found = settings(home)
    assert (found.leadgenius_email, found.api_key) == (None, None)
    assert found.leadgenius_url == "https://last.leadgenius.app"


def test_the_dotenv_is_not_interpolated_and_leaves_the_environment_alone(home: Path) -> None:
    (home / ".env").write_text("LEADGENIUS_PASSWORD=a${HOME}b\nLEADGENIUS_CLIENT_ID=slug\n")
    before = dict(os.environ)
    found = settings(home)
    assert found.leadgenius_password == Secret("a${HOME}b")
    assert dict(os.environ) == before


def test_a_byte_order_mark_does_not_hide_the_first_line_of_the_dotenv(home: Path) -> None:
    (home / ".env").write_text("LEADGENIUS_CLIENT_ID=slug\r\n", encoding="utf-8-sig")
    assert settings(home).client_id == "slug"


@pytest.mark.parametrize("pasted", [f" {TOKEN}\n", f'"{TOKEN}"', f"'{TOKEN}' ", f"“{TOKEN}”\r\n"])
def test_a_token_loses_the_blanks_and_quotes_around_it(home: Path, pasted: str) -> None:
    assert settings(home, HUBSPOT_ACCESS_TOKEN=pasted).hubspot_token == Secret(TOKEN)


def test_a_password_keeps_its_blanks_and_quotes_but_no_newline_at_its_end(home: Path) -> None:
    found = settings(home, LEADGENIUS_PASSWORD=" 'pat-ernal' ü \n")
    assert found.leadgenius_password == Secret(" 'pat-ernal' ü ")


def test_a_tilde_is_the_home_of_the_given_environment(home: Path) -> None:
    found = settings(home / "h", MIGRATOR_LEDGER="~/l.db", LEADGENIUS_AUTH_FILE="~/a.json")
    assert (found.ledger, found.auth_file) == (home / "h" / "l.db", home / "h" / "a.json")


def test_without_a_home_only_what_is_in_it_is_lacking(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container: HOME is not set, and the list of users lacks this one."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 2_345_678)
    assert load({}, {}, home).ledger == home / "migrator.db"
    with pytest.raises(NotReady, match="LEADGENIUS_EMAIL") as lacking:
        load({}, {}, home, ["leadgenius"])
    assert "~/.leadgenius_auth.json does not exist" in lacking.value.message
    with pytest.raises(NotReady, match="MIGRATOR_LEDGER begins with ~") as named:
        load({"ledger": "~/l.db"}, {}, home)
    assert "set HOME" in named.value.hint


def test_an_absolute_path_stays_as_it_is(home: Path) -> None:
    assert settings(home, MIGRATOR_LEDGER="/srv/l.db").ledger == Path("/srv/l.db")


@pytest.mark.parametrize("version", ["v3", "2026-03", "2025-09"])
def test_a_version_is_v3_or_a_date(home: Path, version: str) -> None:
    assert settings(home, HUBSPOT_API_VERSION=version).hubspot_version == version


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://LG.example.com/", "https://lg.example.com"),
        ("https://lg.example.com/Deep/api", "https://lg.example.com/Deep"),
        ("https://lg.example.com/api//", "https://lg.example.com"),
        ("https://api", "https://api"),
        ("http://localhost:8000/api", "http://localhost:8000"),
        ("http://127.8.9.1:80", "http://127.8.9.1"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
    ],
)
def test_a_base_url_is_kept_without_api_and_trailing_slash(
    home: Path, given: str, kept: str
) -> None:
    assert settings(home, LEADGENIUS_BASE_URL=given).leadgenius_url == kept


def test_the_url_of_hubspot_keeps_its_path(home: Path) -> None:
    found = settings(home, HUBSPOT_BASE_URL="http://localhost:1/hubspot/api/")
    assert found.hubspot_url == "http://localhost:1/hubspot/api"


# To whom the credentials file belongs


def test_the_file_does_not_apply_to_another_host_and_nothing_of_it_is_used(home: Path) -> None:
    save(home, {"base_url": "https://a.example.com", "email": "a@b.c", "api_key": "lgp_1"})
    found = settings(home, LEADGENIUS_BASE_URL="https://b.example.com")
    assert not found.auth_file_applies
    assert (found.api_key, found.leadgenius_email) == (None, None)


def test_the_port_that_a_scheme_implies_is_no_other_host(home: Path) -> None:
    (home / ".env").write_text("LEADGENIUS_BASE_URL=https://last.leadgenius.app:443/api\n")
    save(home, {"base_url": "https://last.leadgenius.app", "token": "eyJ.1"})
    found = settings(home, {"leadgenius"}, LEADGENIUS_PASSWORD=PASSWORD, LEADGENIUS_EMAIL="a@b.c")
    assert (found.leadgenius_url, found.auth_file_applies) == ("https://last.leadgenius.app", True)
    there = settings(home, HUBSPOT_BASE_URL="http://localhost:80/x/", LGP_USER_ID="u-1")
    assert there.hubspot_url == "http://localhost/x"
    assert settings(home, HUBSPOT_BASE_URL="https://[::443]").hubspot_url == "https://[::443]"


def test_another_port_is_another_host(home: Path) -> None:
    save(home, {"base_url": "http://localhost:1"})
    assert not settings(home, LEADGENIUS_BASE_URL="http://localhost:2").auth_file_applies


@pytest.mark.parametrize("own", ["https://A.example.com/api", "https://a.example.com", None])
def test_the_file_applies_to_its_own_host_or_when_it_names_none(
    home: Path, own: str | None
) -> None:
    save(home, {"base_url": own, "api_key": "lgp_1"})
    found = settings(home, LEADGENIUS_BASE_URL="https://a.example.com/")
    assert (found.auth_file_applies, found.api_key) == (True, Secret("lgp_1"))


def test_a_key_of_the_file_without_a_user_id_is_for_where_nothing_else_is(home: Path) -> None:
    save(home, {"api_key": "lgp_1", "token": "eyJ.1"})
    assert settings(home, {"leadgenius"}).api_key is None
    assert settings(home, LGP_USER_ID="u-1").api_key == Secret("lgp_1")
    save(home, {"api_key": "lgp_1"})
    assert settings(home, {"leadgenius"}).api_key == Secret("lgp_1")
    login = {"LEADGENIUS_EMAIL": "a@b.c", "LEADGENIUS_PASSWORD": PASSWORD}
    assert settings(home, **login).api_key is None
    assert settings(home, **login, LGP_API_KEY="lgp_2").api_key == Secret("lgp_2")


# Where credentials may go


REDIRECTS = [
    ("HUBSPOT_BASE_URL", "HUBSPOT_ACCESS_TOKEN", TOKEN),
    ("LEADGENIUS_BASE_URL", "LEADGENIUS_PASSWORD", PASSWORD),
    ("LEADGENIUS_BASE_URL", "LGP_API_KEY", "lgp_secret"),
]


@pytest.mark.parametrize(("about", "name", "secret"), REDIRECTS)
def test_a_url_of_the_working_directory_gets_no_credentials_of_the_environment(
    home: Path, about: str, name: str, secret: str
) -> None:
    (home / ".env").write_text(f"{about}=https://other.example\n")
    error = refused(home, **{name: secret})
    dotenv = f"{home}/.env"
    assert error.message.startswith(f"{about} is set in {dotenv}, but {name} in the environment")
    assert error.hint == f"set {about} in the environment, or set {name} in {dotenv} only"
    assert error.exit_code == 3
    assert secret not in error.message + error.hint


@pytest.mark.parametrize(("about", "name", "secret"), REDIRECTS)
@pytest.mark.parametrize(
    "url", ["http://localhost:8000", "http://127.0.0.1:8000/api", "https://[::1]", None]
)
def test_a_url_of_the_working_directory_may_be_this_machine_or_the_service_itself(
    home: Path, about: str, name: str, secret: str, url: str | None
) -> None:
    own = {"HUBSPOT": "https://API.hubapi.com/", "LEADGENIUS": "https://last.leadgenius.app/api"}
    (home / ".env").write_text(f"{about}={url or own[about.partition('_')[0]]}\n")
    settings(home, **{name: secret})


@pytest.mark.parametrize(("about", "name", "secret"), REDIRECTS)
def test_a_url_and_credentials_of_one_place_belong_together(
    home: Path, about: str, name: str, secret: str
) -> None:
    settings(home, **{about: "https://other.example", name: secret})
    (home / ".env").write_text(f"{about}=https://other.example\n{name}='{secret}'\n")
    settings(home)


@pytest.mark.parametrize(("about", "name", "secret"), REDIRECTS)
def test_a_url_of_the_environment_goes_with_credentials_of_the_working_directory(
    home: Path, about: str, name: str, secret: str
) -> None:
    (home / ".env").write_text(f"{about}=https://evil.example\n{name}='{secret}'\n")
    settings(home, **{about: "https://other.example"})


@pytest.mark.parametrize("service", ["hubspot", "leadgenius"])
def test_only_settings_of_a_service_that_is_used_can_be_wrong(home: Path, service: str) -> None:
    (home / ".env").write_text(
        "LEADGENIUS_BASE_URL=https://other.example\nHUBSPOT_BASE_URL=https://other.example\n"
    )
    save(home, "{")
    environ = {
        "HOME": str(home),
        "HUBSPOT_API_VERSION": "v4",
        "HUBSPOT_ACCESS_TOKEN": TOKEN,
        "LGP_API_KEY": "lgp_1",
    }
    assert not survey({}, environ, home, uses=()).faults
    faults = survey({}, environ, home, uses=[service]).faults
    assert faults == survey({}, environ, home, [service], uses=()).faults
    own = ("HUBSPOT_",) if service == "hubspot" else ("LEADGENIUS_", "LGP_")
    assert len(faults) == 2
    assert all(one.about.startswith(own) for one in faults)


def test_a_damaged_dotenv_is_wrong_for_every_command(home: Path) -> None:
    (home / ".env").write_text("not a pair\n")
    assert [one.about for one in survey({}, {"HOME": str(home)}, home, uses=()).faults] == [".env"]


def test_a_credentials_file_of_the_working_directory_redirects_nothing_either(home: Path) -> None:
    (home / "theirs.json").write_text(json.dumps({"base_url": "https://evil.example"}))
    (home / ".env").write_text("LEADGENIUS_AUTH_FILE=theirs.json\n")
    login = {"LEADGENIUS_EMAIL": "a@b.c", "LEADGENIUS_PASSWORD": PASSWORD}
    assert refused(home, **login).message.startswith("LEADGENIUS_AUTH_FILE is set in ")
    # Named in the environment, it is one's own choice, as the one in the home is.
    settings(home, **login, LEADGENIUS_AUTH_FILE="theirs.json")


@pytest.mark.parametrize("name", ["token", "refresh_token", "api_key"])
def test_a_credentials_file_that_names_no_host_is_not_for_one_of_the_working_directory(
    home: Path, name: str
) -> None:
    save(home, {name: "of-the-home"})
    (home / ".env").write_text("LEADGENIUS_BASE_URL=https://evil.example\n")
    error = refused(home, {"leadgenius"})
    assert "its credentials are for another host" in error.message
    assert not settings(home).auth_file_applies
    (home / ".env").write_text("LEADGENIUS_BASE_URL=http://localhost:8000\n")
    assert settings(home, {"leadgenius"}).auth_file_applies


def test_credentials_of_another_host_do_not_make_a_push_ready(home: Path) -> None:
    path = save(home, {"base_url": "https://a.example.com", "token": "eyJ.1"})
    error = refused(home, {"leadgenius"}, LEADGENIUS_BASE_URL="https://b.example.com")
    assert error.message == f"{path}: its credentials are for another host"
    assert "LEADGENIUS_AUTH_FILE" in error.hint


def test_the_file_does_not_apply_to_another_account_that_came_with_its_password(home: Path) -> None:
    save(home, {"email": "file@example.com", "token": "eyJ.1", "user_id": "u-1"})
    login = {"LEADGENIUS_EMAIL": "me@example.com", "LEADGENIUS_PASSWORD": PASSWORD}
    found = settings(home, {"leadgenius"}, None, **login)
    assert (found.leadgenius_email, found.user_id) == ("me@example.com", None)
    assert not found.auth_file_applies


def test_the_same_account_in_other_letters_is_the_same(home: Path) -> None:
    save(home, {"email": "Me@example.com"})
    login = {"LEADGENIUS_EMAIL": "me@example.com", "LEADGENIUS_PASSWORD": PASSWORD}
    assert settings(home, **login).auth_file_applies


# What a command needs


def test_nothing_is_missing_when_nothing_is_needed(home: Path) -> None:
    settings(home)


def test_a_missing_hubspot_token_is_named(home: Path) -> None:
    error = refused(home, {"hubspot"})
    assert error.message == (
        "HUBSPOT_ACCESS_TOKEN is not set, neither in the environment nor in "
        f"{home}/.env (there is no such file)"
    )
    assert error.hint == f"put HUBSPOT_ACCESS_TOKEN=… into {home}/.env"


def test_missing_leadgenius_credentials_lead_to_auth_and_tell_where_they_were_looked_for(
    home: Path,
) -> None:
    error = refused(home, {"leadgenius"})
    assert error.hint == "migrator auth"
    for one in ("LEADGENIUS_EMAIL and LEADGENIUS_PASSWORD", f"{home}/.env", ".json does not exist"):
        assert one in error.message


def test_a_dotenv_that_is_there_is_not_said_to_be_missing(home: Path) -> None:
    (home / ".env").write_text("HUBSPOT_TOKEN=misspelt")
    assert refused(home, {"hubspot"}).message.endswith(f"nor in {home}/.env")


def test_a_survey_tells_where_each_value_is_from(home: Path) -> None:
    (home / ".env").write_text(f"HUBSPOT_ACCESS_TOKEN={TOKEN}\nLEADGENIUS_EMAIL=a@b.c")
    environ = {"HOME": str(home), "LEADGENIUS_EMAIL": "d@e.f"}
    found = survey({"client_id": "acme"}, environ, home, {"leadgenius"})
    assert found.origins == {
        "HUBSPOT_ACCESS_TOKEN": f"{home}/.env",
        "LEADGENIUS_EMAIL": "the environment",
        "LEADGENIUS_CLIENT_ID": "the command line",
    }
    assert [fault.about for fault in found.faults] == ["LEADGENIUS_PASSWORD"]
    assert found.settings.hubspot_token == Secret(TOKEN)


@pytest.mark.parametrize(
    "saved", [{"token": "eyJ.1"}, {"refresh_token": "r"}, {"api_key": "lgp_1"}]
)
def test_a_usable_credentials_file_is_enough(home: Path, saved: dict[str, str]) -> None:
    save(home, saved)
    assert settings(home, {"leadgenius"}).auth_file_applies


@pytest.mark.parametrize("saved", [{}, {"id_token": "eyJ.1"}, {"token": " "}, {"email": "a@b.c"}])
def test_a_credentials_file_without_a_usable_key_is_not_enough(
    home: Path, saved: dict[str, str]
) -> None:
    save(home, saved)
    message = refused(home, {"leadgenius"}).message
    assert message.startswith("there are no LeadGenius credentials: ")
    assert message.endswith("holds no token")


@pytest.mark.parametrize(
    "environ",
    [
        {"LGP_API_KEY": "lgp_1", "LGP_USER_ID": "u-1"},
        {"LGP_API_KEY": "lgp_1"},
        # An account that came through Google has an e-mail and no password.
        {"LGP_API_KEY": "lgp_1", "LEADGENIUS_EMAIL": "a@b.c"},
        {"LEADGENIUS_EMAIL": "a@b.c", "LEADGENIUS_PASSWORD": PASSWORD},
    ],
)
def test_a_key_or_a_whole_login_from_the_environment_is_enough(
    home: Path, environ: dict[str, str]
) -> None:
    settings(home, {"leadgenius"}, None, **environ)


def test_a_password_is_enough_when_the_file_knows_the_email(home: Path) -> None:
    save(home, {"email": "a@b.c"})
    found = settings(home, {"leadgenius"}, LEADGENIUS_PASSWORD=PASSWORD)
    assert found.leadgenius_email == "a@b.c"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("LEADGENIUS_EMAIL", "LEADGENIUS_PASSWORD"),
        ("LEADGENIUS_PASSWORD", "LEADGENIUS_EMAIL"),
    ],
)
def test_half_a_pair_asks_for_its_other_half(home: Path, given: str, wanted: str) -> None:
    error = refused(home, {"leadgenius"}, **{given: "half"})
    assert given in error.message
    assert error.hint == f"set {wanted}"


def test_an_email_without_a_password_is_a_fault_even_beside_a_usable_file(home: Path) -> None:
    save(home, {"token": "eyJ.1"})
    assert "LEADGENIUS_EMAIL" in refused(home, {"leadgenius"}, LEADGENIUS_EMAIL="a@b.c").message


def test_an_email_alone_is_no_fault_for_a_command_that_asks_for_the_password(home: Path) -> None:
    assert settings(home, LEADGENIUS_EMAIL="a@b.c").leadgenius_email == "a@b.c"


# What is wrong with a value


@pytest.mark.parametrize("name", ["HUBSPOT_ACCESS_TOKEN", "LGP_API_KEY", "LGP_USER_ID"])
@pytest.mark.parametrize("inside", [" ", "\n", "\t", "\x00", "\x7f", "\xa0", "\xad", "ł", "\u200b"])
def test_a_token_that_would_break_its_header_is_refused(home: Path, name: str, inside: str) -> None:
    error = refused(home, **{name: f"abc{inside}xyz"})
    assert error.message.startswith(f"{name} contains a space")
    assert name in error.hint
    assert "xyz" not in error.message


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HUBSPOT_ACCESS_TOKEN", "eyJhbGciOi.secret", "is a JWT, as LeadGenius gives them"),
        ("HUBSPOT_ACCESS_TOKEN", "lgp_secret", "is an API key of LeadGenius"),
        ("LGP_API_KEY", TOKEN, "is an access token of HubSpot"),
        ("LEADGENIUS_PASSWORD", TOKEN, "is an access token of HubSpot"),
        ("LEADGENIUS_PASSWORD", f'"{TOKEN}"', "is an access token of HubSpot"),
    ],
)
def test_a_swapped_token_is_told_without_showing_it(
    home: Path, name: str, value: str, words: str
) -> None:
    error = refused(home, **{name: value})
    assert error.message.startswith(f"{name} {words}")
    assert error.message.endswith("are the two swapped?")
    assert error.hint.startswith(f"set {name} to ")
    assert "secret" not in error.message + error.hint


@pytest.mark.parametrize("key", ["token", "api_key"])
def test_a_token_of_hubspot_in_the_credentials_file_is_told_without_showing_it(
    home: Path, key: str
) -> None:
    save(home, {key: TOKEN})
    message = refused(home, {"leadgenius"}).message
    assert f"its {key} is an access token of HubSpot" in message
    assert TOKEN not in message


@pytest.mark.parametrize("name", ["HUBSPOT_BASE_URL", "LEADGENIUS_BASE_URL"])
@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("lg.example.com", "is not an http(s) URL"),
        ("ftp://lg.example.com", "is not an http(s) URL"),
        ("https://", "is not an http(s) URL"),
        ("https:///api", "is not an http(s) URL"),
        ("https://lg.example.com:port", "is not an http(s) URL"),
        ("https://lg.example.com:70000", "is not an http(s) URL"),
        ("https://[::1", "is not an http(s) URL"),
        ("https://lg.exa mple.com", "is not an http(s) URL"),
        ("https://lg.exa\nmple.com", "is not an http(s) URL"),
        ("https://lg.example.com\\@evil.example.com", "is not an http(s) URL"),
        ("https://me:hunter2@lg.example.com", "contains a user"),
        ("https://lg.example.com/?key=hunter2", "a query"),
        ("https://lg.example.com/#hunter2", "a fragment"),
        ("http://lg.example.com", "is plain http"),
        ("http://localhost.example.com", "is plain http"),
        ("http://127.0.0.1.example.com", "is plain http"),
        ("http://10.0.0.1", "is plain http"),
    ],
)
def test_a_bad_url_is_refused_without_showing_it(
    home: Path, name: str, url: str, fault: str
) -> None:
    error = refused(home, **{name: url})
    assert error.message.startswith(f"{name} ")
    assert fault in error.message
    assert "hunter2" not in error.message + error.hint
    assert name in error.hint


@pytest.mark.parametrize(
    "version", ["3", "v4", "V3", "2026-13", "2026-3", "2026-03-01", "v3/../v1"]
)
def test_a_bad_version_is_refused(home: Path, version: str) -> None:
    assert "HUBSPOT_API_VERSION" in refused(home, HUBSPOT_API_VERSION=version).message


@pytest.mark.parametrize("portal", ["abc", "0", "-1", "1/2", "1٣"])
def test_a_portal_id_that_is_no_number_is_refused(home: Path, portal: str) -> None:
    assert "HUBSPOT_PORTAL_ID" in refused(home, HUBSPOT_PORTAL_ID=portal).message


def test_a_line_of_the_dotenv_that_is_none_is_named_and_not_quoted(home: Path) -> None:
    (home / ".env").write_text(f"LGP_USER_ID=me\n{TOKEN}\nthis is = not a line\n", "utf-8")
    with pytest.raises(NotReady) as caught:
        settings(home)
    assert f"{home}/.env, line 3 is not NAME=value" in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_a_dotenv_that_is_not_utf8_is_named(home: Path) -> None:
    (home / ".env").write_bytes(b"LEADGENIUS_PASSWORD=\xff\xfe\n")
    error = refused(home)
    assert error.message == f"{home / '.env'}: cannot be read as UTF-8"


def test_every_fault_is_told_at_once_and_on_its_own_line(home: Path) -> None:
    (home / ".env").write_bytes(b"\xff\n")
    path = save(home, "{")
    urls = {"HUBSPOT_BASE_URL": "nowhere", "LEADGENIUS_BASE_URL": "http://lg.example.com"}
    error = refused(home, {"hubspot", "leadgenius"}, HUBSPOT_API_VERSION="v1", **urls)
    told = [line.split(" ")[0] for line in error.message.splitlines()]
    assert told[:2] == [f"{home / '.env'}:", f"{path}:"]
    assert set(told[2:]) == {"HUBSPOT_API_VERSION", "HUBSPOT_ACCESS_TOKEN", "there", *urls}
    assert len(told) == 7


def test_the_hint_says_what_to_do_about_each_fault(home: Path) -> None:
    error = refused(home, {"hubspot", "leadgenius"}, HUBSPOT_API_VERSION="v1")
    hints = error.hint.split("; ")
    assert hints == [
        "set HUBSPOT_API_VERSION to a valid value",
        f"put HUBSPOT_ACCESS_TOKEN=… into {home}/.env",
        "migrator auth",
    ]


# Secrets


def test_a_secret_shows_nothing_but_stars() -> None:
    secret = Secret("hunter2")
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r}", f"{secret:>20}", "%s" % secret]  # noqa: UP031
    assert set(shown) == {"****"}
    assert secret.reveal() == "hunter2"


def test_secrets_are_equal_by_value_and_no_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_a_secret_is_copied_but_not_pickled() -> None:
    assert copy.deepcopy(Secret("a")) == Secret("a")
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret("a"))


def test_settings_show_no_secret_in_any_form(home: Path) -> None:
    login = {"LEADGENIUS_EMAIL": "a@b.c", "LEADGENIUS_PASSWORD": PASSWORD}
    found = settings(home, HUBSPOT_ACCESS_TOKEN=TOKEN, LGP_API_KEY="lgp_secret", **login)
    as_dict = dataclasses.asdict(found)
    shown = repr(found) + str(found) + f"{found}" + repr(as_dict) + str(list(as_dict.values()))
    assert not [secret for secret in (TOKEN, PASSWORD, "lgp_secret") if secret in shown]
    assert shown.count("hubspot_token=****") == 3


def test_settings_know_which_of_them_are_secret(home: Path) -> None:
    login = {"LEADGENIUS_EMAIL": "a@b.c", "LEADGENIUS_PASSWORD": PASSWORD}
    found = settings(home, HUBSPOT_ACCESS_TOKEN=TOKEN, LGP_API_KEY="lgp_1", **login)
    assert sorted(found.secrets()) == sorted([TOKEN, PASSWORD, "lgp_1"])


def test_a_survey_tells_which_files_others_could_read(home: Path) -> None:
    dotenv, file = home / ".env", save(home, {})
    dotenv.write_text("")
    for given_mode, exposed in ((0o600, []), (0o640, [dotenv, file]), (0o604, [dotenv, file])):
        dotenv.chmod(given_mode)
        file.chmod(given_mode)
        assert survey({}, {"HOME": str(home)}, home).exposed == exposed


def test_settings_are_frozen(home: Path) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings(home).client_id = "other"  # type: ignore[misc]


def test_no_error_shows_a_secret_even_with_its_chain(home: Path) -> None:
    save(home, '{"token": "hunter2", "email": "a@b.c"')
    bad = {"HUBSPOT_ACCESS_TOKEN": "hun ter2", "LGP_API_KEY": "pat-hunter2", "LGP_USER_ID": "h\tx"}
    error = refused(home, **bad, LEADGENIUS_PASSWORD="pat-na1-hunter2")
    shown = "".join(traceback.format_exception(error)) + repr(error) + error.hint
    assert not [word for word in ("hunter2", "hun ter2", "h\tx") if word in shown]
    assert (error.__cause__, error.__context__) == (None, None)


# The credentials file


def test_a_missing_file_reads_as_empty(home: Path) -> None:
    assert AuthFile(home / "none.json").read() == {}


def test_what_was_written_is_read(home: Path) -> None:
    file = AuthFile(home / "a.json")
    file.update(token="eyJ.1", user_id="u-1")
    assert file.read() == {"token": "eyJ.1", "user_id": "u-1"}


def test_an_update_keeps_other_keys_and_removes_those_given_as_none(home: Path) -> None:
    file = AuthFile(save(home, {"token": "a", "api_key": "k", "theirs": {"x": [None]}, "n": None}))
    file.update(token="b", api_key=None)
    assert json.loads(file.path.read_text()) == {"token": "b", "theirs": {"x": [None]}, "n": None}


def test_a_text_of_ours_is_read_without_surrounding_blanks(home: Path) -> None:
    assert AuthFile(save(home, {"token": " eyJ.1\n", "theirs": " x "})).read() == {
        "token": "eyJ.1",
        "theirs": " x ",
    }


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '"text"',
        "null",
        "[" * 100_000,
        {"token": 5},
        {"base_url": ["https://a.example.com"]},
        {"base_url": "http://a.example.com"},
        {"token": "a b"},
        {"refresh_token": "a\nb"},
    ],
)
def test_a_damaged_file_is_named_and_left_alone(home: Path, content: object) -> None:
    path = save(home, content)
    before = path.read_bytes()
    for attempt in (AuthFile(path).read, lambda: AuthFile(path).update(token="eyJ.2")):
        with pytest.raises(NotReady, match="leadgenius_auth") as caught:
            attempt()
        assert caught.value.hint == f"mv {path} {path}.damaged && migrator auth"
    assert path.read_bytes() == before


def test_a_damaged_file_is_not_carried_along_by_the_error(home: Path) -> None:
    with pytest.raises(NotReady) as caught:
        AuthFile(save(home, '{"token": "hunter2"')).read()
    assert caught.value.__context__ is None


def test_a_file_that_is_not_utf8_is_damaged(home: Path) -> None:
    path = home / "a.json"
    path.write_bytes(b'{"token": "\xff"}')
    with pytest.raises(NotReady, match="not a JSON object"):
        AuthFile(path).read()


def test_a_file_that_cannot_be_read_is_named_by_load_too(home: Path) -> None:
    (home / "file").touch()
    error = refused(home, LEADGENIUS_AUTH_FILE="file/a.json")
    assert error.message.startswith(f"{home / 'file' / 'a.json'}: cannot be read")


def test_what_is_no_file_is_neither_read_nor_to_be_moved_away(home: Path) -> None:
    (home / "folder").mkdir()
    for path in (home / "folder", Path("/dev/null"), Path("/dev/zero"), home / "a\0b"):
        error = refused(home, LEADGENIUS_AUTH_FILE=str(path))
        assert error.message == f"{path}: is not a file"
        assert error.hint == "set LEADGENIUS_AUTH_FILE to another path"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_the_file_is_its_owners_alone_whatever_the_umask(home: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        AuthFile(home / "a.json").update(token="eyJ.1")
    finally:
        os.umask(before)
    assert mode(home / "a.json") == 0o600


def test_a_file_that_was_open_to_all_is_closed(home: Path) -> None:
    path = save(home, {"token": "a"})
    path.chmod(0o644)
    AuthFile(path).update(token="b")
    assert mode(path) == 0o600


def test_the_temporary_file_is_closed_to_others_before_a_byte_is_in_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real_open = os.open

    def spy(path: Any, flags: int, given_mode: int = 0o777, **others: Any) -> int:
        descriptor = real_open(path, flags, given_mode, **others)
        if str(path).endswith(".tmp"):
            seen.append((mode(Path(path)), Path(path).parent, bool(flags & os.O_EXCL)))
        return descriptor

    monkeypatch.setattr(os, "open", spy)
    before = os.umask(0)
    try:
        AuthFile(home / "a.json").update(token="eyJ.1")
    finally:
        os.umask(before)
    assert seen == [(0o600, home, True)]


def test_the_content_is_on_disk_before_the_name_is(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def recorded(name: str, real: Any) -> Any:
        def act(*args: Any) -> None:
            order.append(name)
            real(*args)

        return act

    monkeypatch.setattr(os, "fsync", recorded("fsync", os.fsync))
    monkeypatch.setattr(os, "replace", recorded("replace", os.replace))
    AuthFile(home / "a.json").update(token="eyJ.1")
    assert order == ["fsync", "replace"]


@pytest.mark.parametrize("name", ["replace", "fsync", "fchmod"])
def test_a_failed_update_leaves_the_old_file_and_nothing_else(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = save(home, {"token": "old"})

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, name, fail)
    with pytest.raises(NotReady, match=r"leadgenius_auth.json: cannot be written \(No space"):
        AuthFile(path).update(token="new")
    assert [entry.name for entry in home.iterdir()] == [path.name]
    assert json.loads(path.read_text()) == {"token": "old"}


def test_an_interrupt_leaves_no_temporary_file_either(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        AuthFile(home / "a.json").update(token="new")
    assert list(home.iterdir()) == []


def test_a_missing_folder_is_told(home: Path) -> None:
    with pytest.raises(NotReady, match=r"none/a\.json: cannot be written"):
        AuthFile(home / "none" / "a.json").update(token="eyJ.1")


def test_the_target_of_a_link_is_replaced_and_not_the_link(home: Path) -> None:
    (home / "real").mkdir()
    target = home / "real" / "a.json"
    target.write_text('{"theirs": 1}')
    link = home / "a.json"
    link.symlink_to(target)
    AuthFile(link).update(token="eyJ.1")
    assert link.is_symlink()
    assert json.loads(target.read_text()) == {"theirs": 1, "token": "eyJ.1"}
