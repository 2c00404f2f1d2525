"""Where notifications go."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from receiver.documents import Part
from receiver.settings.values import Secret, SecretUrl


class Slack(Part):
    url: SecretUrl = Field(examples=["URL, or url_file: FILE"])  #: it holds the token, so it is a secret
    url_file: Path | None = None


class Webhook(Part):
    url: SecretUrl = Field(examples=["URL, or url_file: FILE"])  #: it may hold a token, so it is a secret
    url_file: Path | None = None
    bearer_token: Secret | None = None
    bearer_token_file: Path | None = None


class Receiver(Part):
    """A named place that notifications go to."""

    name: str
    slack: Slack | None = None
    webhook: Webhook | None = None

    @model_validator(mode="after")
    def _some_kind(self) -> Self:
        if not (self.slack or self.webhook):
            raise ValueError(f'receiver "{self.name}" says nowhere to send to; add slack: or webhook:')
        return self
