"""`POST /api/v1/alerts`: Alertmanager's deliveries, answered 200 only when they are on disk.

Whatever comes in, the answer is out within five seconds; what cannot be stored is a 503, so that it is sent again.
"""

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from functools import partial

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from receiver import metrics
from receiver.alerts import Malformed, Message, read_message
from receiver.errors import AmendError
from receiver.store import StoreError, deliveries
from receiver.web.auth import WebhookCredentials
from receiver.web.doors import Doors

PATH = "/api/v1/alerts"
SOURCE = "default"  #: the name of the webhook's credential: part of what makes an alert the same alert

RECEIVE_WITHIN = 3.5  #: seconds for the body to arrive
ANSWER_WITHIN = 4.5  #: seconds for everything
SMALL = 64 * 1024  #: bytes that are parsed faster than handed to a thread
BODIES_HELD = 4  #: bodies of the largest size that may be in memory at once
READ_AT_ONCE = 2  #: bodies that are not small: what is read of one takes ten times the memory of its bytes

CLOSE = {"Connection": "close"}
"""With answers that leave a body unread: what is still to come must not be waited for."""

log = structlog.get_logger(__name__)


class Result(StrEnum):
    """What became of a request."""

    STORED = "stored"  #: on disk
    MALFORMED = "malformed"  #: not Alertmanager's webhook
    UNAUTHORIZED = "unauthorized"  #: wrong or no credentials
    UNSUPPORTED = "unsupported"  #: not JSON by its own words
    TOO_LARGE = "too_large"  #: over server.max_body
    SLOW = "slow"  #: the body did not arrive in time, or not at all; Alertmanager sends it again
    NOT_STORED = "not_stored"  #: the store did not take it in time; Alertmanager sends it again


class Refused(AmendError):
    """A delivery that was not taken: the answer to it."""

    def __init__(self, status: int, result: Result, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.result = result
        self.headers = headers
        super().__init__(message)


class Webhook:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._credentials = WebhookCredentials(doors.settings.auth.webhook)
        self._largest = doors.settings.server.max_body
        self._held = 0  #: bytes of bodies in memory
        self._room = asyncio.Semaphore(READ_AT_ONCE)
        metrics.INSECURE.set(doors.settings.auth.webhook.insecure)
        for result in Result:
            metrics.DELIVERIES.labels(result)  # so that a rate over it starts at zero

    def routes(self) -> list[Route]:
        return [Route(PATH, self.receive, methods=["POST"])]

    async def receive(self, request: Request) -> Response:
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                delivery = await self._accept(request)
        except Refused as refused:
            return _refusal(refused)
        except Malformed as malformed:
            return _refusal(Refused(400, Result.MALFORMED, str(malformed)))
        # 503, not 408 or 429: Alertmanager's webhook notifier retries only 5xx.
        except ClientDisconnect:
            return _refusal(Refused(503, Result.SLOW, "the sender went away", headers=CLOSE))
        except TimeoutError:
            return _refusal(Refused(503, Result.NOT_STORED, "not stored in time; send it again"))
        except StoreError as error:
            return _refusal(Refused(503, Result.NOT_STORED, f"{error}; send it again"))
        metrics.DELIVERIES.labels(Result.STORED).inc()
        return JSONResponse({"status": "stored", "delivery": delivery})

    async def _accept(self, request: Request) -> int:
        self._check_headers(request)
        chunks: list[bytes] = []
        try:
            await self._fill(chunks, request)
            body = b"".join(chunks)
            if len(body) <= SMALL:
                delivery = await self._store(read_message(body))
            else:
                async with self._room:
                    delivery = await self._store(await asyncio.to_thread(read_message, body))
        finally:
            self._held -= sum(map(len, chunks))
        self._doors.wake()
        return delivery

    def _check_headers(self, request: Request) -> None:
        """All that can be said before the body: a stranger's body is never read."""
        if not self._credentials.admit(request):
            challenge = {"WWW-Authenticate": self._credentials.challenge, **CLOSE}
            raise Refused(401, Result.UNAUTHORIZED, "wrong or no credentials for the webhook", headers=challenge)
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != "application/json" or "content-encoding" in request.headers:
            raise Refused(415, Result.UNSUPPORTED, "send Content-Type: application/json, not compressed", headers=CLOSE)
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._largest:
            raise self._too_large()

    async def _fill(self, chunks: list[bytes], request: Request) -> None:
        received = 0
        try:
            async with asyncio.timeout(RECEIVE_WITHIN):
                async for chunk in request.stream():
                    received += len(chunk)
                    if received > self._largest:
                        raise self._too_large()
                    if self._held + len(chunk) > BODIES_HELD * self._largest:
                        message = "too many large deliveries at once; send it again"
                        raise Refused(503, Result.NOT_STORED, message, headers=CLOSE)
                    self._held += len(chunk)
                    chunks.append(chunk)
        except TimeoutError:
            message = f"the body did not arrive within {RECEIVE_WITHIN:g} s; send it again"
            raise Refused(503, Result.SLOW, message, headers=CLOSE) from None

    def _too_large(self) -> Refused:
        message = f"the body is larger than server.max_body ({self._largest} bytes)"
        return Refused(413, Result.TOO_LARGE, message, headers=CLOSE)

    async def _store(self, message: Message) -> int:
        now = self._doors.clock()
        query = partial(
            deliveries.store,
            message=message,
            source=SOURCE,
            received_at=now,
            replica_labels=self._doors.settings.identity.replica_labels,
        )
        # shielded: others share its commit, so giving up the wait must not take it back
        delivery = await asyncio.shield(self._doors.ledger.take_in(query))
        metrics.LAST_DELIVERY.set(now.timestamp())
        _tell(delivery, message)
        return delivery


def _tell(delivery: int, message: Message) -> None:
    """Count what was stored, and say aloud what nobody will answer."""
    for alert in message.alerts:
        metrics.ALERTS.labels(alert.status).inc()
    if message.truncated:
        metrics.TRUNCATED.inc(message.truncated)
        log.warning(
            "Alertmanager cut alerts off, nobody answers them: set max_alerts: 0 in its webhook_config",
            delivery=delivery,
            alerts=message.truncated,
            group=message.group_key,
        )
    for bad in message.quarantined:
        log.warning("an alert cannot be read, nobody answers it", delivery=delivery, alert=bad.position, why=bad.why)


def _refusal(refused: Refused) -> Response:
    metrics.DELIVERIES.labels(refused.result).inc()
    log.warning("delivery refused", status=refused.status, result=refused.result, why=str(refused))
    return JSONResponse({"status": "error", "error": str(refused)}, status_code=refused.status, headers=refused.headers)
