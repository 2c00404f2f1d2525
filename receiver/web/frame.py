"""What all pages have in common: the frame around them, the banners that nobody may miss, and what an error looks like.

The pages and the sign-in show their templates through it.
"""

from typing import Any

from prometheus_client import REGISTRY
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from receiver.settings import Settings
from receiver.web.doors import Doors
from receiver.web.look import look
from receiver.web.session import Sessions


class Frame:
    def __init__(self, doors: Doors, sessions: Sessions) -> None:
        self._doors = doors
        self._sessions = sessions
        self._look = look(doors.clock)

    def show(self, request: Request, template: str, *, code: int = 200, **values: Any) -> Response:
        user = self._sessions.caller(request)
        seed = self._sessions.seed(request)
        html = self._look.get_template(template).render(
            path=request.url.path,
            user=user,
            token=self._sessions.token(seed),
            banners=_banners(self._doors.settings) if user else [],
            pending=round(REGISTRY.get_sample_value("amend_approvals_pending") or 0),
            replica=self._doors.replica,
            config=self._doors.config_hash(),
            **values,
        )
        response = HTMLResponse(html, code)
        self._sessions.keep(response, seed)
        return response

    def error(self, request: Request, error: HTTPException) -> Response:
        """What a person sees in place of a page."""
        response = self.show(request, "error.html", code=error.status_code, status=error.status_code, said=error.detail)
        response.headers.update(error.headers or {})
        return response


def _banners(settings: Settings) -> list[str]:
    """What everybody who looks must know."""
    known = {
        "Paused: no action starts anywhere, on any replica.": REGISTRY.get_sample_value("amend_paused") == 1,
        "The breaker is open: too many runs did not help, and no action starts until it closes.": (
            REGISTRY.get_sample_value("amend_breaker_open") == 1
        ),
        "The newest configuration was refused; an older one is in force. The log says why.": (
            REGISTRY.get_sample_value("amend_config_last_reload_successful") == 0
        ),
        "Insecure: the webhook takes alerts from anybody who reaches this port (auth.webhook.insecure).": (
            settings.auth.webhook.insecure
        ),
        "No Prometheus is configured: whether an action helped cannot be verified (prometheus.url).": (
            settings.prometheus is None
        ),
    }
    return [text for text, true in known.items() if true]
