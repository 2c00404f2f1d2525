"""`POST /api/v1/slack`: clicks on the buttons of a question, as Slack signs and sends them.

Who answers is who clicked, as Slack says under its signature; the button only says what. Slack has its 200 at once, and
the person hears by the click's own address what came of it.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import structlog
from pydantic import BaseModel, Field, ValidationError
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from receiver.approval import Answer, SlackUser
from receiver.approvals import NotAsked, Unanswerable, Unknown
from receiver.errors import Permanent, Temporary, Uncertain
from receiver.notifiers.slack import APPROVE, DECIDE, REJECT, escaped
from receiver.settings.auth import SLACK_ID
from receiver.visible import cut, visible
from receiver.web import body
from receiver.web.doors import Doors

FRESH = 300  #: seconds that a signature is good for, either way
LARGEST = 256 * 1024  #: bytes; a click brings its whole message along
LONGEST_NAME = 80  #: characters of a person's name, which stands in the audit log
REPLY_WITHIN = 5.0  #: seconds

ANSWERS = {APPROVE: Answer.APPROVED, REJECT: Answer.REJECTED}

# The address to reply to is in the request. This shape leaves no room for another host, whoever reads it.
REPLY_TO = re.compile(r"https://hooks\.slack\.com/[A-Za-z0-9/_.~-]{1,1000}")

log = structlog.get_logger(__name__)


class _Person(BaseModel):
    id: str = Field(pattern=f"^{SLACK_ID}$")
    username: str = ""
    name: str = ""


class _Action(BaseModel):
    action_id: str
    value: str = ""


class _Message(BaseModel):
    blocks: list[dict[str, Any]] = []


class _Click(BaseModel):
    """What we read of https://docs.slack.dev/reference/interaction-payloads/block_actions-payload."""

    type: str
    user: _Person
    actions: list[_Action] = []
    message: _Message = _Message()
    response_url: str = ""

    @property
    def who(self) -> SlackUser:
        name = (self.user.username or self.user.name).encode("utf-8", "replace").decode()
        return SlackUser(self.user.id, cut(visible(name), LONGEST_NAME))


class Slack:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        configured = doors.settings.slack
        self._secret = configured.signing_secret.get_secret_value().encode() if configured else b""

    def routes(self) -> list[Route]:
        return [Route("/api/v1/slack", self.receive, methods=["POST"])]

    async def receive(self, request: Request) -> Response:
        if not self._secret:
            raise HTTPException(404, "clicks in Slack are not taken here: amend.yml has no slack.signing_secret_file")
        click = _read(await self._signed(request))
        pressed = next((action for action in click.actions if action.action_id in ANSWERS), None)
        if click.type != "block_actions" or pressed is None:
            return JSONResponse({"status": "ignored"})  # a button that is a link is told of, too
        said = await self._answer(click.who, ANSWERS[pressed.action_id], pressed.value)
        reply = BackgroundTask(self._reply, click, said)
        # 200 for a refusal as well: anything else and Slack shows a warning in place of our words
        return JSONResponse(said, background=reply)

    async def _signed(self, request: Request) -> bytes:
        """The body, if Slack signed it just now; 401 otherwise."""
        at, given = (request.headers.get(f"x-slack-{name}", "") for name in ("request-timestamp", "signature"))
        fresh = re.fullmatch(r"[0-9]{1,12}", at) and abs(self._doors.clock().timestamp() - int(at)) <= FRESH
        if not fresh:
            raise _unsigned()
        content = await body.read(request, largest=LARGEST)
        ours = hmac.new(self._secret, b"v0:" + at.encode() + b":" + content, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(f"v0={ours}".encode(), given.encode("latin-1")):
            raise _unsigned()
        return content

    async def _answer(self, who: SlackUser, answer: Answer, token: str) -> dict[str, Any]:
        approvals = self._doors.approvals
        try:
            asked = await approvals.signed(token)
            await approvals.answer(asked.run_id, answer, by=who, request=asked)
        except (Unknown, NotAsked, Unanswerable) as no:
            log.warning("a click in Slack is not taken", by=str(who), why=str(no))
            return {"status": "refused", "error": str(no)}
        return {"status": str(answer), "run": asked.run_id}

    async def _reply(self, click: _Click, said: Mapping[str, Any]) -> None:
        """Tell the person, and take the buttons off a question that is answered; without it the answer stands, too."""
        if not REPLY_TO.fullmatch(click.response_url):
            return
        try:
            told = _refused(said["error"]) if "error" in said else _decided(click, said)
            await self._doors.outbound.send("POST", click.response_url, within=REPLY_WITHIN, json=told)
        except (Temporary, Permanent, Uncertain, RecursionError) as error:
            log.warning("a click in Slack got no reply", by=str(click.who), error=str(error))


def _read(content: bytes) -> _Click:
    """The click in the form's `payload`; 400 for anything else."""
    try:
        fields = parse_qs(content.decode(), max_num_fields=10)
        return _Click.model_validate(json.loads(fields["payload"][0]))
    except KeyError:
        raise HTTPException(400, "the form has no payload") from None
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise HTTPException(400, f"the payload is none of Slack's: {place or 'it'} is not as it should be") from None
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is no form with a payload of JSON") from None


def _unsigned() -> HTTPException:
    return HTTPException(401, "not signed by Slack with slack.signing_secret, or more than 5 minutes ago", body.CLOSE)


def _refused(why: str) -> dict[str, Any]:
    """For the one who clicked alone; the question stands."""
    text = f"Not taken: {escaped(why, 2000)}"
    return {"response_type": "ephemeral", "replace_original": False, "text": text}


def _decided(click: _Click, said: Mapping[str, Any]) -> dict[str, Any]:
    """The message again, with who decided in place of the buttons."""
    text = f"Run {said['run']}: {said['status']} by {escaped(str(click.who), 200)}"
    line = {"type": "section", "text": {"type": "mrkdwn", "text": f"*{text}*", "verbatim": True}}
    blocks = [line if block.get("block_id") == DECIDE else block for block in click.message.blocks]
    return {"replace_original": True, "text": text, "blocks": blocks if line in blocks else [*blocks[:49], line]}
