"""Who is calling: Alertmanager by its webhook's credentials, people and programs by API keys.

The doors ask here before they do anything. Secrets are compared in constant time, and of keys only hashes are known.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request

from receiver.settings.auth import ROLES, ApiKey, Role, WebhookAuth


@dataclass(frozen=True)
class User:
    """The holder of an API key."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


class WebhookCredentials:
    """What Alertmanager must send with each delivery."""

    def __init__(self, auth: WebhookAuth) -> None:
        self._open = auth.insecure
        self._scheme, self._secret = "bearer", b""
        if auth.bearer_token:
            self._secret = auth.bearer_token.get_secret_value().encode()
        elif auth.basic:
            self._scheme = "basic"
            self._secret = f"{auth.basic.username}:{auth.basic.password.get_secret_value()}".encode()

    @property
    def challenge(self) -> str:
        """For `WWW-Authenticate`."""
        return f'{self._scheme.capitalize()} realm="amend"'

    def admit(self, request: Request) -> bool:
        if self._open:
            return True
        scheme, given = _authorization(request)
        if scheme != self._scheme or not self._secret:
            return False
        return hmac.compare_digest(_decoded(given) if scheme == "basic" else given, self._secret)


class Keys:
    """The API keys of amend.yml."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._hashes = [(key.hash, User(key.name, key.role)) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def holder(self, key: str) -> User | None:
        """Whose key this is; every known hash is compared, so that the time tells nothing."""
        given = hashlib.sha256(key.encode()).hexdigest()
        found = [user for known, user in self._hashes if hmac.compare_digest(given.encode(), known.encode())]
        return found[0] if found else None

    def insist(self, request: Request, role: Role) -> User:
        """Who asks, by the key that the request carries and no session; 401 or 403 as `insist`."""
        return insist(self.holder(key_of(request) or ""), role)

    def named(self, name: str) -> User | None:
        return next((user for _, user in self._hashes if user.name == name), None)


def key_of(request: Request) -> str | None:
    """The API key that a request carries in `Authorization: Bearer KEY`."""
    scheme, given = _authorization(request)
    return given.decode("utf-8", "replace") if scheme == "bearer" else None


def insist(user: User | None, role: Role) -> User:
    """The user, if the role suffices; 401 or 403 with the way out otherwise."""
    if user is None:
        raise HTTPException(
            401,
            "no API key that this receiver knows was sent (Authorization: Bearer KEY; auth.api_keys in amend.yml)",
            {"WWW-Authenticate": 'Bearer realm="amend"'},
        )
    if not user.may(role):
        raise HTTPException(403, f'the key "{user.name}" has the role {user.role}; this needs {role}')
    return user


def _authorization(request: Request) -> tuple[str, bytes]:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower(), given.strip().encode("latin-1")


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
