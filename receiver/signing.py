"""What this receiver signs, sessions and links, and the secret that it signs with.

The secret is made from those of amend.yml: the same after a restart and on every replica, another one when a key
changes.
"""

import hashlib
import hmac
import json
import secrets
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from receiver.approval import Approval
from receiver.settings import Settings


class Signer:
    """Signs what others carry for us, with HMAC-SHA256; what is signed for one purpose is worthless for another."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, purpose: str, value: Any) -> str:
        """As text that may stand in a URL or a cookie."""
        return str(self._serializer(purpose).dumps(value))

    def read(self, purpose: str, token: str) -> Any:
        """The value again; None when the token is not one of ours."""
        try:
            return self._serializer(purpose).loads(token)
        except (BadData, ValueError):
            return None

    def seal(self, purpose: str, text: str) -> str:
        """What proves that we have seen a text (64 hex digits)."""
        return hmac.new(self._secret, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()

    def approval(self, asked: Approval) -> str:
        """The token of a request: for this run, what was shown, until when, and no other time."""
        expires = asked.expires_at.isoformat()
        return self.sign("approval", [asked.id, asked.run_id, asked.digest, expires, asked.nonce])

    def approval_id(self, token: str) -> int | None:
        """Which request a token is about; it is to be compared with that one's own token."""
        value = self.read("approval", token)
        return int(value[0]) if value else None

    def _serializer(self, purpose: str) -> URLSafeSerializer:
        return URLSafeSerializer(self._secret, salt=purpose, signer_kwargs={"digest_method": hashlib.sha256})


def signing_secret(settings: Settings) -> bytes:
    """32 bytes; random ones, until the next start, where amend.yml holds no secret.

    Not from the keys' hashes alone: they may stand in a repository, and whoever reads one must not be able to sign.
    """
    webhook = settings.auth.webhook
    private = [webhook.bearer_token, webhook.basic and webhook.basic.password, settings.audit.hmac_key]
    known = [secret.get_secret_value() for secret in private if secret]
    if not known:
        return secrets.token_bytes(32)
    hashes = [(key.name, key.role, key.hash) for key in settings.auth.api_keys]
    return hashlib.sha256(json.dumps(["amend sessions", known, hashes]).encode()).digest()
