"""Who may talk to us: Alertmanager by the webhook's credentials, people and programs by API keys."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from receiver.documents import Part
from receiver.settings.values import Secret

Role = Literal["viewer", "approver", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "approver", "admin")


class Basic(Part):
    username: str
    password: Secret = Field(examples=["SECRET, or password_file: FILE"])
    password_file: Path | None = None


class WebhookAuth(Part):
    """How Alertmanager proves itself: exactly one of bearer, basic, or none at all, said aloud."""

    bearer_token: Secret | None = None
    bearer_token_file: Path | None = None
    basic: Basic | None = None
    insecure: bool = False

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum((self.bearer_token is not None, self.basic is not None, self.insecure)) != 1:
            raise ValueError("the webhook needs exactly one of bearer_token_file, basic or (said aloud) insecure: true")
        return self


def _slack_id(value: str) -> str:
    if not re.fullmatch(SLACK_ID, value):
        raise ValueError(f'"{value}" is no member ID of Slack; it is in the profile, and looks like U012AB3CD')
    return value


SLACK_ID = r"[UW][A-Z0-9]{2,30}"
SlackId = Annotated[str, AfterValidator(_slack_id)]


def _no_slack_user(name: str) -> str:
    if name.startswith("slack:"):
        raise ValueError(f'"{name}" would be taken for a user of Slack in the audit log; call it something else')
    return name


class ApiKey(Part):
    name: Annotated[str, AfterValidator(_no_slack_user)]
    role: Role
    hash: str = Field(examples=["HASH, or hash_file: FILE, as amend keys new prints them"])
    hash_file: Path | None = None

    @field_validator("hash")
    @classmethod
    def _sha256(cls, value: str) -> str:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", value):
            # it may be the key itself, and so is not repeated
            raise ValueError('is no hash of a key (64 hexadecimal digits); "amend keys new" makes a key and its hash')
        return value.lower()


class Team(Part):
    """People who are asked together: by their keys, by their Slack accounts, or both."""

    api_keys: tuple[str, ...] = ()  #: their names
    slack_users: tuple[SlackId, ...] = ()  #: their member IDs

    @model_validator(mode="after")
    def _some_member(self) -> Self:
        if not (self.api_keys or self.slack_users):
            raise ValueError("a team without members can agree to nothing; add api_keys: or slack_users:")
        return self


class Auth(Part):
    webhook: WebhookAuth = Field(examples=["{bearer_token_file: webhook.token}"])
    api_keys: tuple[ApiKey, ...] = ()
    teams: dict[str, Team] = {}  # noqa: RUF012 - pydantic copies it

    @model_validator(mode="after")
    def _members_are_known(self) -> Self:
        known = {key.name for key in self.api_keys}
        for name, team in self.teams.items():
            for member in team.api_keys:
                if member not in known:
                    raise ValueError(f'teams.{name}: no API key is called "{member}"; add it to api_keys:')
        return self
