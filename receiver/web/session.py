"""People who signed in to the pages with an API key: a signed cookie, and the token that each form carries.

The pages ask here. Nothing is stored: the cookie names the key, ends by itself, and ends when any key changes.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from itsdangerous import BadData, URLSafeSerializer
from starlette.requests import Request
from starlette.responses import Response

from receiver.settings import Settings
from receiver.web.auth import Keys, User, key_of

LASTS = timedelta(hours=12)
COOKIE = "amend_session"
FORM_COOKIE = "amend_form"  #: what a form's token is made from
TOKEN = "token"  # noqa: S105 - the form field's name


class Sessions:
    def __init__(self, settings: Settings, keys: Keys, clock: Callable[[], datetime]) -> None:
        self._keys = keys
        self._clock = clock
        self._secret = _secret(settings)
        self._serializer = URLSafeSerializer(
            self._secret, salt="session", signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._secure = settings.server.external_url.startswith("https:")

    def caller(self, request: Request) -> User | None:
        """Who asks: by the key that the request carries, else by the session."""
        key = key_of(request)
        return self._keys.holder(key) if key is not None else self.user(request)

    def user(self, request: Request) -> User | None:
        """Who signed in, if the cookie is ours and still good."""
        try:
            name, until = self._serializer.loads(request.cookies.get(COOKIE, ""))
        except (BadData, ValueError, TypeError):
            return None
        return self._keys.named(name) if self._clock().timestamp() < until else None

    def begin(self, response: Response, user: User) -> None:
        until = self._clock() + LASTS
        self._set(response, COOKIE, str(self._serializer.dumps([user.name, until.timestamp()])))

    def end(self, response: Response) -> None:
        response.delete_cookie(COOKIE)

    def seed(self, request: Request) -> str:
        """What this browser's form tokens are made from; `keep` it with the answer that shows a form."""
        known = request.cookies.get(FORM_COOKIE, "")
        return known if re.fullmatch(r"[A-Za-z0-9_-]{43}", known) else secrets.token_urlsafe()

    def keep(self, response: Response, seed: str) -> None:
        self._set(response, FORM_COOKIE, seed)

    def token(self, seed: str) -> str:
        """For a form: worth something only together with the browser's own cookie."""
        return hmac.new(self._secret, b"form:" + seed.encode(), hashlib.sha256).hexdigest()

    def owns(self, request: Request, token: str) -> bool:
        """Whether a form that comes back is one that we showed to this browser."""
        seed = request.cookies.get(FORM_COOKIE)
        return seed is not None and hmac.compare_digest(self.token(seed).encode(), token.encode())

    def _set(self, response: Response, name: str, value: str) -> None:
        response.set_cookie(
            name, value, max_age=round(LASTS.total_seconds()), httponly=True, samesite="strict", secure=self._secure
        )


def _secret(settings: Settings) -> bytes:
    """The same after a restart and on every replica, another one when a key changes.

    Not from the hashes alone: they may stand in a repository, and whoever reads one must not be able to sign.
    """
    webhook = settings.auth.webhook
    private = [webhook.bearer_token, webhook.basic and webhook.basic.password, settings.audit.hmac_key]
    known = [secret.get_secret_value() for secret in private if secret]
    if not known:
        return secrets.token_bytes(32)
    hashes = [(key.name, key.role, key.hash) for key in settings.auth.api_keys]
    return hashlib.sha256(json.dumps(["amend sessions", known, hashes]).encode()).digest()
