"""Alertmanager's webhook, version 4: bytes to a Message, and what makes two alerts the same.

The webhook calls it off the event loop. A body that is not a webhook is Malformed; one bad alert in a good group is
set aside with its reason and the rest is kept.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from receiver.errors import AmendError

LONGEST = 64 * 1024  #: characters of one label or annotation value
MOST_LABELS = 256

FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9800, 1, 1, tzinfo=UTC)  #: early enough that any window of ours can be added to it


class Malformed(AmendError):
    """Not a webhook of Alertmanager's; the sender is told why, once, with a 400."""


def _clean(text: str) -> str:
    # PostgreSQL's text and jsonb hold neither NUL nor lone surrogates
    if "\x00" in text or (not text.isprintable() and any("\ud800" <= char <= "\udfff" for char in text)):
        raise ValueError("holds a NUL or half a surrogate pair")
    return text


def _within_reach(moment: datetime) -> datetime:
    # The calendar's ends: a step beyond them is an error in the middle of our work, not at the door.
    return min(max(moment, FIRST), LAST).astimezone(UTC)


Text = Annotated[str, Field(max_length=LONGEST), AfterValidator(_clean)]
Told = Annotated[
    str, AfterValidator(lambda text: text[:LONGEST].encode(errors="replace").decode().replace("\x00", " "))
]
"""Text about a delivery that nothing is decided by: mended rather than refused."""
Moment = Annotated[AwareDatetime, AfterValidator(_within_reach)]
Labels = Annotated[dict[Text, Text], Field(max_length=MOST_LABELS)]


class Alert(BaseModel):
    """One alert of a delivery. Times are UTC; `ends_at` is None while it fires."""

    model_config = ConfigDict(frozen=True, extra="ignore")  # newer Alertmanagers add fields

    status: Literal["firing", "resolved"]
    labels: Labels = Field(min_length=1)
    annotations: Labels = {}
    starts_at: Moment = Field(alias="startsAt")
    ends_at: Moment | None = Field(default=None, alias="endsAt")
    fingerprint: Text = ""

    @property
    def firing(self) -> bool:
        return self.status == "firing"

    @property
    def end(self) -> datetime:
        """When a resolved alert ended: as late as it can have, where the sender does not say."""
        return self.ends_at if self.ends_at and self.ends_at.year > 1 else self.starts_at


@dataclass(frozen=True)
class Quarantined:
    """An alert that could not be taken, as text for people to look at."""

    position: int
    why: str
    raw: str


@dataclass(frozen=True, kw_only=True)
class Message:
    """One POST of Alertmanager: a group, or what `max_alerts` left of it."""

    receiver: str
    group_key: str
    external_url: str
    truncated: int
    alerts: tuple[Alert, ...]
    quarantined: tuple[Quarantined, ...] = ()


class _Envelope(BaseModel):
    model_config = ConfigDict(extra="ignore")

    version: Literal["4"]
    receiver: Told = ""
    group_key: Told = Field(default="", alias="groupKey")
    external_url: Told = Field(default="", alias="externalURL")
    truncated: Annotated[int, Field(ge=0, lt=2**31)] = Field(default=0, alias="truncatedAlerts")


class _Whole(_Envelope):
    alerts: tuple[Alert, ...]


def read_message(body: bytes) -> Message:
    """The body of a webhook; Malformed with the reason if it is none."""
    try:
        whole = _Whole.model_validate_json(body)
    except ValidationError:
        return _read_piece_by_piece(body)
    return _message(whole, whole.alerts, ())


def alert_key(source: str, labels: Mapping[str, str], *, replica_labels: tuple[str, ...] = ()) -> str:
    """What makes an alert the same alert: who sent it, and its labels without those of replicas (64 hex digits)."""
    kept = sorted((name, value) for name, value in labels.items() if name not in replica_labels)
    return hashlib.sha256(json.dumps([source, kept], ensure_ascii=True).encode()).hexdigest()


def _read_piece_by_piece(body: bytes) -> Message:
    """The slow way, taken when something is wrong: find out what, and keep what is good."""
    try:
        value = json.loads(body)
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8 (byte {error.start})") from error
    except RecursionError as error:
        raise Malformed("the body is nested too deeply") from error
    except ValueError as error:  # not JSON, or a number too long to read
        raise Malformed(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict) or value.get("version") != "4" or not isinstance(value.get("alerts"), list):
        raise Malformed(
            'not Alertmanager\'s webhook: "version": "4" and a list "alerts" are expected; '
            "a webhook_config must not set payload:"
        )
    try:
        envelope = _Envelope.model_validate(value)
    except (ValidationError, RecursionError) as error:
        raise Malformed(f"not Alertmanager's webhook: {_why(error)}") from error
    alerts, bad = [], []
    for position, item in enumerate(value["alerts"]):
        try:
            alerts.append(Alert.model_validate(item))
        except (ValidationError, RecursionError) as error:
            bad.append(Quarantined(position, _why(error), _raw(item)))
    return _message(envelope, tuple(alerts), tuple(bad))


def _message(envelope: _Envelope, alerts: tuple[Alert, ...], bad: tuple[Quarantined, ...]) -> Message:
    return Message(
        receiver=envelope.receiver,
        group_key=envelope.group_key,
        external_url=envelope.external_url,
        truncated=envelope.truncated,
        alerts=alerts,
        quarantined=bad,
    )


def _why(error: ValidationError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    first = error.errors(include_url=False, include_input=False)[0]
    said = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:300]
    # it names what the sender wrote, and no database keeps a NUL, no encoding half a character
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in said)


def _raw(item: Any) -> str:
    try:
        return json.dumps(item, ensure_ascii=True)[:2000]
    except RecursionError:
        return "(nested too deeply to show)"
