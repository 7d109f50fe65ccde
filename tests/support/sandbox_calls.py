"""Calls to a sandbox as a client makes them who knows neither our code nor its inside."""

from typing import Any

import requests

from migrator.sandbox import Sandbox


def leadgenius(box: Sandbox, method: str, path: str = "leads", **more: Any) -> requests.Response:
    """A call under `/api`, with the API key."""
    headers = {"x-api-key": box.api_key, "x-user-id": box.user_id}
    return requests.request(method, f"{box.url}/api/{path}", headers=headers, timeout=5, **more)


def hubspot(
    box: Sandbox, method: str, path: str, base: str = "/crm/v3/objects/", **more: Any
) -> requests.Response:
    """A call to HubSpot, by default to its objects, with the token."""
    headers = {"Authorization": f"Bearer {box.hubspot_token}"}
    return requests.request(method, box.url + base + path, headers=headers, timeout=5, **more)
