"""Calls to a sandbox as a client makes them who knows neither our code nor its inside."""

from typing import Any

import requests

from migrator.sandbox import Sandbox


def leadgenius(
    box: Sandbox, method: str, path: str = "leads", timeout: float = 5, **more: Any
) -> requests.Response:
    """A call under `/api`, with the API key."""
    headers = {"x-api-key": box.api_key, "x-user-id": box.user_id}
    url = f"{box.url}/api/{path}"
    return requests.request(method, url, headers=headers, timeout=timeout, **more)


def hubspot(
    box: Sandbox, method: str, path: str, base: str = "/crm/v3/objects/", **more: Any
) -> requests.Response:
    """A call to HubSpot, by default to its objects, with the token."""
    headers = {"Authorization": f"Bearer {box.hubspot_token}"}
    return requests.request(method, box.url + base + path, headers=headers, timeout=5, **more)
