"""LeadGenius's tokens, API key and clients. All credentials are recognisable fakes."""

import base64
import hashlib
import hmac
import json
import re
import threading
import time
from typing import Any
from uuid import UUID

EMAIL = "importer@sandbox.example"
PASSWORD = "sandbox-password-not-a-secret"  # noqa: S105 - opens nothing but the sandbox
API_KEY = "lgp_sandbox_0000000000000000"
USER_ID = "5a4db0c5-0000-4000-8000-000000000001"
HUBSPOT_TOKEN = "pat-na1-sandbox-0000-4000-8000-000000000002"  # noqa: S105 - as above
PORTAL_ID = "99000042"
CLIENT_NAME = "Historic Contacts"

Client = dict[str, Any]


class IssuedTokens:
    """
    Issues tokens and checks requests.

    Args:
        seconds: The lifetime of access tokens; fractions are allowed.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._expiry: dict[str, float] = {}  # wall clock, as `exp` is
        self._refresh: set[str] = set()
        self._issued = 0
        self._revoked: set[str] = set()

    def login(self, username: object, password: object) -> dict[str, Any] | None:
        """New tokens, or None for a wrong name or password."""
        if "login" in self._revoked:
            return None
        return self._issue() if (username, password) == (EMAIL, PASSWORD) else None

    def revoke(self, what: str) -> None:
        """Revoke the `login` (with its tokens), the `refresh_token`s or the `api_key`."""
        self._revoked.add(what)
        if what == "login":
            with self._lock:
                self._expiry.clear()
        if what in ("login", "refresh_token"):
            self._refresh.clear()

    def restore(self) -> None:
        """Accept login and API key again; revoked tokens stay invalid."""
        self._revoked.clear()

    def renew(self, refresh_token: object) -> dict[str, Any] | None:
        """New tokens for a valid refresh token, else None."""
        return self._issue() if refresh_token in self._refresh else None

    def expire(self) -> None:
        """Expire all access tokens that were issued so far."""
        with self._lock:
            self._expiry = dict.fromkeys(self._expiry, 0.0)

    def fault(self, headers: dict[str, str]) -> str | None:
        """The `errorType` of the 401 for a request; None = it is authorised."""
        if (headers.get("x-api-key"), headers.get("x-user-id")) == (API_KEY, USER_ID):
            return "no_valid_tokens" if "api_key" in self._revoked else None
        expiry = self._expiry.get(headers.get("authorization", "").removeprefix("Bearer "))
        if expiry is None:
            return "no_valid_tokens"
        return "token_expired" if time.time() >= expiry else None

    def _issue(self) -> dict[str, Any]:
        now = time.time()
        # Cognito uses whole seconds; tokens that hold for less than a minute need fractions.
        expiry = int(now + self._seconds) if self._seconds >= 60 else round(now + self._seconds, 3)
        with self._lock:
            self._issued += 1
            claims = {"sub": USER_ID, "iat": int(now), "exp": expiry, "jti": str(self._issued)}
            access = _jwt({**claims, "token_use": "access"})
            refresh = f"sandbox-refresh-{self._issued}"
            self._expiry[access] = expiry
            self._refresh.add(refresh)
        return {
            "accessToken": access,
            "idToken": _jwt({**claims, "token_use": "id", "email": EMAIL}),
            "refreshToken": refresh,
            "expiresIn": self._seconds,
        }


class Clients:
    """LeadGenius's clients. Each has an internal `id` and, for leads, a `client_id` (bug 1)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: list[Client] = []
        self._gone: set[str] = set()
        self._created = 0
        self.of_requests: set[str] = set()  # both ids of each
        self.changed_by_requests: set[str] = set()
        self.takes_leads_of_gone = True
        self.first = self.create(CLIENT_NAME)

    def create(self, name: str, **more: Any) -> Client:
        """Add a client; its `client_id` is derived from its name, and unique."""
        with self._lock:
            self._created += 1
            slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "client"
            if slug in self._gone or any(one["client_id"] == slug for one in self._clients):
                slug = f"{slug}-{self._created}"
            digest = hashlib.sha256(f"client {self._created}".encode()).digest()
            internal_id = str(UUID(bytes=digest[:16], version=4))
            client = {**more, "id": internal_id, "client_id": slug, "clientName": name}
            self._clients.append(client)
        return client

    def all(self, either_id: str | None = None) -> list[Client]:
        """All clients, or those with this `id` or `client_id`."""
        with self._lock:
            return [c for c in self._clients if either_id in (None, c["id"], c["client_id"])]

    def change(self, internal_id: object, changes: dict[str, Any]) -> Client | None:
        """Change a client except for its ids; None = it does not exist."""
        with self._lock:
            for client in self._clients:
                if client["id"] == internal_id:
                    client.update({**changes, "id": client["id"], "client_id": client["client_id"]})
                    return client
        return None

    def remove(self, internal_id: object) -> Client | None:
        """Remove a client and return it; its leads are kept."""
        with self._lock:
            for client in self._clients:
                if client["id"] == internal_id:
                    self._clients.remove(client)
                    self._gone.add(client["client_id"])
                    return client
        return None

    def is_gone(self, client_id: object) -> bool:
        """Whether there was a client with that `client_id` that has been removed."""
        return client_id in self._gone


def _jwt(claims: dict[str, Any]) -> str:
    parts = [{"alg": "HS256", "typ": "JWT", "kid": "sandbox"}, claims]
    text = ".".join(_base64(json.dumps(part).encode()) for part in parts)
    signature = hmac.new(b"no secret", text.encode(), hashlib.sha256).digest()
    return f"{text}.{_base64(signature)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
