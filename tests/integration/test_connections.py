"""The doors: which portal and client a ledger belongs to, and which credentials go through."""

import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from migrator.config import Settings, load
from migrator.connections import (
    BoundDestination,
    bind_destination,
    bind_source,
    choose_destination,
    open_hubspot,
    open_leadgenius,
)
from migrator.errors import (
    Forbidden,
    NotReady,
    ServiceDown,
    Unauthorized,
    UsageError,
    WrongJourney,
)
from migrator.hubspot import HubSpot
from migrator.leadgenius import LeadGenius
from migrator.ledger import Ledger
from migrator.ledger.runs import Binding
from migrator.sandbox import Sandbox
from tests.support.socket_server import Server, answer, nobody

LOGIN = ("LEADGENIUS_EMAIL", "LEADGENIUS_PASSWORD")
OTHER_HOST = "https://elsewhere.example"

Set = Callable[..., Settings]


@pytest.fixture
def box(sandbox: Callable[..., Sandbox]) -> Sandbox:
    return sandbox(contacts=3)


@pytest.fixture
def settings(box: Sandbox, tmp_path: Path) -> Set:
    """A factory: settings that point at the sandbox, but for these; `None` = not set."""

    def settings(**changes: str | None) -> Settings:
        environ = {**box.environment(), "HOME": str(Path.home()), **changes}
        return load({}, {name: value for name, value in environ.items() if value}, tmp_path)

    return settings


@pytest.fixture
def staged(ledger: Ledger, box: Sandbox) -> Ledger:
    """A ledger that knows where its contacts are from."""
    ledger.runs.bind(portal_id=box.portal_id)
    return ledger


def hubspot(settings: Settings) -> HubSpot:
    return open_hubspot(settings, pause=lambda seconds: None)


def leadgenius(settings: Settings, **options: Any) -> LeadGenius:
    return open_leadgenius(settings, lambda seconds: None, 5.0, **options)[0]


def bound(ledger: Ledger, settings: Settings) -> BoundDestination:
    destination = choose_destination(ledger, settings, leadgenius(settings))
    bind_destination(ledger, settings, destination)
    return destination


def without_a_login(url: str | None = None) -> dict[str, str | None]:
    return {**dict.fromkeys(LOGIN), **({"LEADGENIUS_BASE_URL": url} if url else {})}


def auth_file() -> Path:
    return Path.home() / ".leadgenius_auth.json"


def save(**document: Any) -> str:
    auth_file().write_text(json.dumps(document))
    return auth_file().read_text()


def paths(box: Sandbox) -> list[str]:
    return [request.path for request in box.received]


# Where contacts come from ----------------------------------------------------------------------


def test_a_new_ledger_is_bound_to_the_tokens_portal(ledger, box, settings):
    assert bind_source(ledger, hubspot(settings())) == box.portal_id
    assert ledger.runs.binding() == Binding(box.portal_id, None, None)


def test_a_bound_ledger_takes_the_same_portal_again(staged, box, settings):
    assert bind_source(staged, hubspot(settings())) == box.portal_id


def test_a_ledger_of_another_portal_is_another_journey(ledger, settings):
    ledger.runs.bind(portal_id="7")
    with pytest.raises(WrongJourney, match="HubSpot portal 7, not to 99000042") as caught:
        bind_source(ledger, hubspot(settings()))
    assert "--ledger" in caught.value.hint
    assert ledger.runs.binding().portal_id == "7"


def test_a_token_that_is_declined_binds_nothing(ledger, settings):
    with pytest.raises(NotReady):
        bind_source(ledger, hubspot(settings(HUBSPOT_ACCESS_TOKEN="of-nobody")))
    assert ledger.runs.binding() == Binding(None, None, None)


def test_a_portal_that_is_named_wrongly_binds_nothing(ledger, settings):
    with pytest.raises(NotReady, match="HUBSPOT_PORTAL_ID says 7"):
        bind_source(ledger, hubspot(settings(HUBSPOT_PORTAL_ID="7")))
    assert ledger.runs.binding() == Binding(None, None, None)


def test_a_token_that_may_not_read_its_account_is_bound_by_the_portal_that_is_named(
    ledger, box, settings
):
    box.fault("account_forbidden", times=2)
    with pytest.raises(NotReady) as caught:
        bind_source(ledger, hubspot(settings()))
    assert "HUBSPOT_PORTAL_ID" in caught.value.hint
    assert bind_source(ledger, hubspot(settings(HUBSPOT_PORTAL_ID="7"))) == "7"


def test_the_version_of_the_settings_is_the_one_that_is_spoken(box, settings):
    next(hubspot(settings(HUBSPOT_API_VERSION="2026-03")).pages(("email",), None))
    assert paths(box) == ["/crm/objects/2026-03/contacts"]


def test_opening_the_doors_makes_no_request(box, settings):
    hubspot(settings())
    leadgenius(settings())
    assert paths(box) == []


# Where leads go to -----------------------------------------------------------------------------


def test_a_ledger_is_bound_to_the_client_that_is_named(staged, box, settings):
    destination = bound(staged, settings())
    assert (destination.client_id, destination.portal_id) == (box.client_id, box.portal_id)
    assert staged.runs.binding() == Binding(box.portal_id, box.url, box.client_id)


def test_a_ledger_remembers_its_client(staged, box, settings):
    bound(staged, settings())
    assert bound(staged, settings(LEADGENIUS_CLIENT_ID=None)).client_id == box.client_id


def test_a_ledger_in_which_nothing_is_staged_goes_nowhere(ledger, box, settings):
    with pytest.raises(NotReady, match="Nothing is staged") as caught:
        bound(ledger, settings())
    assert caught.value.hint == "migrator stage"
    assert paths(box) == []


def test_where_no_client_is_named_the_hint_lists_those_that_there_are(staged, box, settings):
    other = leadgenius(settings()).create_client("Archive", "").client_id
    with pytest.raises(NotReady, match="No client is named") as caught:
        bound(staged, settings(LEADGENIUS_CLIENT_ID=None))
    assert caught.value.hint == (
        f"use --client-id with one of: {box.client_id} (Historic Contacts), {other} (Archive)"
    )
    assert staged.runs.binding().client_id is None


def test_an_internal_id_is_refused_and_the_right_one_named(staged, box, settings):
    with pytest.raises(UsageError, match="invisible") as caught:
        bound(staged, settings(LEADGENIUS_CLIENT_ID=box.client_internal_id))
    assert box.client_id in caught.value.hint
    assert staged.runs.binding() == Binding(box.portal_id, None, None)


def test_a_client_that_does_not_exist_binds_nothing(staged, box, settings):
    with pytest.raises(NotReady, match="no client with the client_id nowhere") as caught:
        bound(staged, settings(LEADGENIUS_CLIENT_ID="nowhere"))
    assert box.client_id in caught.value.hint
    assert staged.runs.binding() == Binding(box.portal_id, None, None)


def test_another_client_is_another_journey_and_costs_no_request(staged, box, settings):
    other = leadgenius(settings()).create_client("Archive", "").client_id
    bound(staged, settings())
    before = len(box.received)
    with pytest.raises(WrongJourney, match=f"client_id {box.client_id}, not to {other}"):
        bound(staged, settings(LEADGENIUS_CLIENT_ID=other))
    assert len(box.received) == before
    assert staged.runs.binding().client_id == box.client_id


def test_another_base_url_is_another_journey_and_costs_no_request(staged, box, settings):
    bound(staged, settings())
    before = len(box.received)
    with pytest.raises(WrongJourney, match="LeadGenius base URL"):
        bound(staged, settings(LEADGENIUS_BASE_URL=OTHER_HOST))
    assert len(box.received) == before


@pytest.mark.parametrize("spelling", ["{}/", "{}/api", "{}/api/"])
def test_another_spelling_of_the_base_url_is_the_same_journey(spelling, staged, box, settings):
    bound(staged, settings())
    again = settings(LEADGENIUS_BASE_URL=spelling.format(box.url))
    assert bound(staged, again).client_id == box.client_id


def test_a_service_that_is_not_there_binds_nothing(staged, box, settings):
    with pytest.raises(ServiceDown):
        bound(staged, settings(LEADGENIUS_BASE_URL=nobody()))
    assert staged.runs.binding() == Binding(box.portal_id, None, None)


def test_a_login_that_is_declined_binds_nothing(staged, box, settings):
    with pytest.raises(NotReady, match="rejected the login"):
        bound(staged, settings(LEADGENIUS_PASSWORD="guessed"))
    assert staged.runs.binding() == Binding(box.portal_id, None, None)


# Credentials -----------------------------------------------------------------------------------


def test_a_login_of_the_environment_leaves_no_file_in_the_home(box, settings):
    leadgenius(settings()).clients()
    assert list(Path.home().iterdir()) == []
    assert paths(box) == ["/api/auth", "/api/clients"]


def test_a_login_that_is_to_be_kept_is_kept_for_its_owner_alone(box, settings):
    leadgenius(settings(), keep_login=True).clients()
    document = json.loads(auth_file().read_text())
    assert (document["email"], document["base_url"]) == (box.email, box.url)
    assert stat.S_IMODE(auth_file().stat().st_mode) == 0o600


def test_a_kept_login_needs_no_other(box, settings):
    leadgenius(settings(), keep_login=True).clients()
    leadgenius(settings(**without_a_login())).clients()
    assert paths(box) == ["/api/auth", "/api/clients", "/api/clients"]


def test_a_kept_login_that_expires_is_renewed_where_it_is_kept(box, settings):
    leadgenius(settings(), keep_login=True).clients()
    before = json.loads(auth_file().read_text())
    box.expire_tokens()
    leadgenius(settings(**without_a_login())).clients()
    after = json.loads(auth_file().read_text())
    assert after["token"] != before["token"]
    assert paths(box)[2:] == ["/api/clients", "/api/auth/refresh", "/api/clients"]


@pytest.mark.parametrize("name", ["token", "refresh_token", "api_key"])
def test_credentials_of_another_host_are_not_used(name, box, settings):
    kept = save(base_url=OTHER_HOST, email=box.email, user_id="me", **{name: "of-elsewhere"})
    with pytest.raises(NotReady, match="no login"):
        leadgenius(settings(**without_a_login())).clients()
    assert paths(box) == []
    assert auth_file().read_text() == kept


def test_a_file_of_another_host_is_left_alone_by_a_login_of_the_environment(box, settings):
    kept = save(base_url=OTHER_HOST, refresh_token="of-elsewhere", theirs=1)
    leadgenius(settings()).clients()
    assert paths(box) == ["/api/auth", "/api/clients"]
    assert auth_file().read_text() == kept


def test_a_file_of_another_account_is_left_alone_by_a_login_of_the_environment(box, settings):
    kept = save(base_url=box.url, email="eve@example.com", refresh_token="of-eve")
    leadgenius(settings()).clients()
    assert paths(box) == ["/api/auth", "/api/clients"]
    assert auth_file().read_text() == kept


def test_an_api_key_with_its_user_id_goes_before_a_login(box, settings):
    leadgenius(settings(LGP_API_KEY=box.api_key, LGP_USER_ID=box.user_id)).clients()
    assert paths(box) == ["/api/clients"]


def test_an_api_key_without_a_user_id_is_tried_before_a_login(box, settings):
    """The sandbox's key is an older one: it wants its user id."""
    with pytest.raises(Unauthorized, match="API key") as caught:
        leadgenius(settings(LGP_API_KEY=box.api_key)).clients()
    assert "LGP_USER_ID" in caught.value.hint
    assert paths(box) == ["/api/clients"]


def test_both_doors_know_every_secret_that_is_in_hand(box, settings):
    """A service may have been told another one than is sent today."""
    known = settings(
        LGP_API_KEY="sk-live-7f3a9c0d", LGP_USER_ID="me", HUBSPOT_ACCESS_TOKEN="CJ-key-0123"
    )
    words = json.dumps({"error": f"no: CJ-key-0123 sk-live-7f3a9c0d {box.password}"}).encode()
    with Server((answer(403, words),)) as server:
        there = replace(known, leadgenius_url=server.url, hubspot_url=server.url)
        for act in (hubspot(there).contact_count, leadgenius(there).clients):
            with pytest.raises(Forbidden, match=r"no: \[redacted\] \[redacted\] \[redacted\]"):
                act()


def test_nothing_that_was_opened_shows_a_secret(ledger, box, settings):
    known = settings(LGP_API_KEY=box.api_key, LGP_USER_ID=box.user_id)
    shown = repr((known, hubspot(known), open_leadgenius(known)))
    for secret in (box.hubspot_token, box.password, box.api_key):
        assert secret not in shown
