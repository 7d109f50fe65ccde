"""The stand-in itself: outages, revoked credentials, deleted clients, odd ids and places."""

import pytest
import requests

from migrator.sandbox import Sandbox


def get(box: Sandbox, path: str, **query: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {box.hubspot_token}"}
    if path.startswith("/api"):
        headers = {"x-api-key": box.api_key, "x-user-id": box.user_id}
    return requests.get(box.url + path, params=query, headers=headers, timeout=5)


def log_in(box: Sandbox) -> requests.Response:
    body = {"username": box.email, "password": box.password}
    return requests.post(f"{box.url}/api/auth", json=body, timeout=5)


def test_an_outage_strikes_what_it_names_until_calm(sandbox):
    box = sandbox(contacts=3)
    box.outage("/api/leads", 418, b"tea", {"X-Pot": "full"}, method="GET")
    struck = get(box, "/api/leads", client_id=box.client_id)
    assert (struck.status_code, struck.content, struck.headers["X-Pot"]) == (418, b"tea", "full")
    assert get(box, "/api/clients").status_code == 200
    assert box.received[0].fault == "outage"
    box.calm()
    assert get(box, "/api/leads", client_id=box.client_id).status_code == 200


def test_an_outage_can_say_nothing_or_too_little(sandbox):
    box = sandbox(contacts=3)
    box.outage("/api", 200, b"{", is_cut_short=True)
    with pytest.raises(requests.RequestException):
        get(box, "/api/clients")
    box.calm()
    box.outage("/api", None)
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{box.url}/api/clients", timeout=0.1)


@pytest.mark.parametrize(
    ("what", "path"), [("api_key", "/api/clients"), ("hubspot_token", "/account-info/v3/details")]
)
def test_credentials_can_be_revoked_and_restored(sandbox, what, path):
    box = sandbox(contacts=3)
    box.revoke(what)
    assert get(box, path).status_code == 401
    box.restore()
    assert get(box, path).status_code == 200


def test_a_login_that_is_revoked_takes_its_tokens_with_it(sandbox):
    box = sandbox(contacts=3)
    tokens = log_in(box).json()["tokens"]
    box.revoke("login")
    headers = {"Authorization": f"Bearer {tokens['accessToken']}"}
    refresh = {"refreshToken": tokens["refreshToken"]}
    assert requests.get(f"{box.url}/api/clients", headers=headers, timeout=5).status_code == 401
    again = requests.post(f"{box.url}/api/auth/refresh", json=refresh, timeout=5)
    assert (again.status_code, log_in(box).status_code) == (401, 401)
    box.restore()
    assert log_in(box).status_code == 200


def test_only_what_there_is_can_be_revoked(sandbox):
    with pytest.raises(ValueError, match="nothing to revoke is called 'key'"):
        sandbox(contacts=3).revoke("key")


@pytest.mark.parametrize(("takes_leads", "status"), [(True, 201), (False, 404)])
def test_a_deleted_client_lists_nothing_whatever_it_takes(sandbox, takes_leads, status):
    box = sandbox(contacts=3)
    box.add_lead({"email": "a@b.example"})
    box.delete_client(takes_leads=takes_leads)
    lead = {"client_id": box.client_id, "firstName": "A", "lastName": "B", "email": "c@d.example"}
    headers = {"x-api-key": box.api_key, "x-user-id": box.user_id}
    posted = requests.post(f"{box.url}/api/leads", json=lead, headers=headers, timeout=5)
    assert posted.status_code == status
    assert get(box, "/api/leads", client_id=box.client_id).json()["leads"] == []
    assert get(box, "/api/clients").json()["clients"] == []
    assert box.create_client("Historic Contacts") != box.client_id


def test_odd_ids_keep_their_places(sandbox):
    box = sandbox(contacts=2)
    box.add_contact({"email": "a@b.example"}, contact_id="../x")
    box.add_contact({"email": "c@d.example"})
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = get(box, "/crm/v3/objects/contacts", limit="1", **after).json()
        seen += [one["id"] for one in page["results"]]
        if "paging" not in page:
            break
        after = {"after": page["paging"]["next"]["after"]}
    assert seen == [one.contact_id for one in box.expected()]
    assert seen[2] == "../x"


def test_a_restored_contact_stands_where_it_stood(sandbox):
    box = sandbox(contacts=3)
    before = [one.contact_id for one in box.expected()]
    box.remove_contact(before[1])
    assert len(list(box.expected())) == 2
    box.restore_contact(before[1])
    assert [one.contact_id for one in box.expected()] == before


def test_leads_can_be_given_ids(sandbox):
    box = sandbox(contacts=0)
    box.give_lead_ids("-rf")
    assert box.add_lead({"email": "a@b.example"}) == "-rf"
    assert len(box.add_lead({"email": "c@d.example"})) == 36
