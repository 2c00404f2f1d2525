"""People who signed in to the pages with an API key: a signed cookie, and the token that each form carries.

The pages ask here. Nothing is stored: the cookie names the key, ends by itself, and ends when any key changes.
"""

import hmac
import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from receiver.settings import Settings
from receiver.signing import Signer
from receiver.web import body
from receiver.web.auth import Keys, User, key_of

LASTS = timedelta(hours=12)
COOKIE = "amend_session"
FORM_COOKIE = "amend_form"  #: what a form's token is made from
TOKEN = "token"  # noqa: S105 - the form field's name


class Sessions:
    def __init__(self, settings: Settings, keys: Keys, signer: Signer, clock: Callable[[], datetime]) -> None:
        self._keys = keys
        self._clock = clock
        self._signer = signer
        self._secure = settings.server.external_url.startswith("https:")

    def caller(self, request: Request) -> User | None:
        """Who asks: by the key that the request carries, else by the session."""
        key = key_of(request)
        return self._keys.holder(key) if key is not None else self.user(request)

    def user(self, request: Request) -> User | None:
        """Who signed in, if the cookie is ours and still good."""
        known = self._signer.read("session", request.cookies.get(COOKIE, ""))
        if known is None:
            return None
        name, until = known
        return self._keys.named(name) if self._clock().timestamp() < until else None

    def begin(self, response: Response, user: User) -> None:
        until = self._clock() + LASTS
        self._set(response, COOKIE, self._signer.sign("session", [user.name, until.timestamp()]))

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
        return self._signer.seal("form", seed)

    def owns(self, request: Request, token: str) -> bool:
        """Whether a form that comes back is one that we showed to this browser."""
        seed = request.cookies.get(FORM_COOKIE)
        return seed is not None and hmac.compare_digest(self.token(seed).encode(), token.encode())

    async def form(self, request: Request) -> dict[str, str]:
        """The fields of a form that we showed to this browser; 403 for any other."""
        fields = await body.form(request)
        if not self.owns(request, fields.get(TOKEN, "")):
            raise HTTPException(403, "that form is out of date; go back, load the page again, and retry")
        return fields

    def _set(self, response: Response, name: str, value: str) -> None:
        response.set_cookie(
            name, value, max_age=round(LASTS.total_seconds()), httponly=True, samesite="strict", secure=self._secure
        )
