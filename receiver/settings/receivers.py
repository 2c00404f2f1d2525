"""Where notifications go."""

import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, HttpUrl, SecretStr, model_validator

from receiver.documents import Part
from receiver.settings.values import OpenUrl, Secret, SecretUrl

FILE = "URL, or url_file: FILE"


class Slack(Part):
    url: SecretUrl = Field(examples=[FILE])  #: it holds the token, so it is a secret
    url_file: Path | None = None


class Webhook(Part):
    url: SecretUrl = Field(examples=[FILE])  #: it may hold a token, so it is a secret
    url_file: Path | None = None
    bearer_token: Secret | None = None
    bearer_token_file: Path | None = None


class PagerDuty(Part):
    routing_key: Secret = Field(examples=["KEY, or routing_key_file: FILE"])
    routing_key_file: Path | None = None
    url: OpenUrl = HttpUrl("https://events.pagerduty.com/v2/enqueue")


class Teams(Part):
    url: SecretUrl = Field(examples=[FILE])  #: it holds the token, so it is a secret
    url_file: Path | None = None


def _mail_address(value: str) -> str:
    # a header is made of it: nothing that would end it, or begin another
    if not re.fullmatch(r"[^\s@,;<>\x00-\x1f\x7f]+@[^\s@,;<>\x00-\x1f\x7f]+", value):
        raise ValueError(f'"{value}" is no mail address; write NAME@DOMAIN')
    return value


MailAddress = Annotated[str, AfterValidator(_mail_address)]


class Email(Part):
    host: str = Field(examples=["mail.example.com:587"])
    from_: MailAddress = Field(alias="from", examples=["amend@example.com"])
    to: tuple[MailAddress, ...] = Field(min_length=1, examples=["[shop@example.com]"])
    starttls: bool = True
    username: str = ""
    password: Secret | None = None
    password_file: Path | None = None
    ca: str | None = None  #: PEM
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        host, port = self.address
        if not host or not 0 < port < 65536:
            raise ValueError(
                f'"{self.host}" is not an address; write host: HOST:PORT, for example mail.example.com:587'
            )
        if bool(self.username) != bool(self.password):
            raise ValueError("username and password_file go together")
        if self.username and not self.starttls and port != 465:
            raise ValueError("the password would be sent in the clear; leave starttls on, or use port 465")
        return self

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.host.rpartition(":")
        return host.strip("[]"), int(port) if port.isdigit() and len(port) < 6 else 0


class Apprise(Part):
    """Services by their URLs in Apprise's own way of writing them."""

    url: Secret | None = Field(default=None, examples=["URL, or url_file: FILE"])
    url_file: Path | None = None
    urls: tuple[Secret, ...] = ()

    @model_validator(mode="after")
    def _some_url(self) -> Self:
        if not self.all:
            raise ValueError("names no service; add url_file: or urls:")
        return self

    @property
    def all(self) -> list[str]:
        """One URL a line, where they stand in a file."""
        written: list[SecretStr] = [*([self.url] if self.url else []), *self.urls]
        return [line.strip() for each in written for line in each.get_secret_value().splitlines() if line.strip()]


class Receiver(Part):
    """A named place that notifications go to."""

    name: str
    max_per_minute: int = Field(default=20, ge=1, le=10_000)  #: what is more is gathered, and sent as one
    slack: Slack | None = None
    pagerduty: PagerDuty | None = None
    email: Email | None = None
    teams: Teams | None = None
    webhook: Webhook | None = None
    apprise: Apprise | None = None

    @property
    def places(self) -> dict[str, Any]:
        """Its ways to reach people, by their keys."""
        named = {kind: getattr(self, kind) for kind in KINDS}
        return {kind: configured for kind, configured in named.items() if configured is not None}

    @model_validator(mode="after")
    def _some_kind(self) -> Self:
        if not self.places:
            *others, last = KINDS
            ways = f"{', '.join(f'{kind}:' for kind in others)} or {last}:"
            raise ValueError(f'receiver "{self.name}" says nowhere to send to; add {ways}')
        return self


KINDS = ("slack", "pagerduty", "email", "teams", "webhook", "apprise")
