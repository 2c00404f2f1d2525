"""The only reader of amend.yml and the environment: every other file is handed what it needs.

`${VAR}` and `${VAR:default}` are filled in, every secret can stand in a file of its own, and each mistake names its
line.
"""

import glob
import hashlib
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    HttpUrl,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from receiver.documents import Part, load, parse
from receiver.durations import Duration
from receiver.variables import expanded, with_secrets

Role = Literal["viewer", "approver", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "approver", "admin")

SIZES = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def _some_secret(secret: SecretStr, info: ValidationInfo) -> SecretStr:
    if not secret.get_secret_value().strip():
        raise ValueError(f"is empty; put the secret into a file and name it: {info.field_name}_file: FILE")
    return secret


def _web_address(secret: SecretStr) -> SecretStr:
    # it holds a token, and so is not repeated
    if not re.match(r"https?://[^/]", secret.get_secret_value()):
        raise ValueError("is no address; it begins with https:// or http://")
    return secret


def _without_credentials(url: object) -> object:
    if re.match(r"[^/?#]*//[^/?#]*@", str(url)):
        # it is shown in errors and logs, and so is not repeated
        raise ValueError(
            "holds a user or a password, which errors and logs would show; "
            "write it without, and let a proxy that adds them stand before the server"
        )
    return url


def _some_time(duration: timedelta) -> timedelta:
    if duration <= timedelta():
        raise ValueError("must be longer than 0s")
    return duration


# Read from its file, if that is where it stands, before the models see it: hence required without the file's key.
Secret = Annotated[SecretStr, AfterValidator(_some_secret)]
SecretUrl = Annotated[Secret, AfterValidator(_web_address)]
OpenUrl = Annotated[HttpUrl, BeforeValidator(_without_credentials)]


class Server(Part):
    listen: str = "127.0.0.1:9095"
    external_url: str = ""  #: how people reach the pages; links in notifications start with it
    max_body: int = Field(default=32 * 1024**2, gt=0)

    @field_validator("max_body", mode="before")
    @classmethod
    def _size(cls, value: object) -> object:
        match = re.fullmatch(r"([0-9]+)(|KiB|MiB|GiB)", str(value))
        if not match:
            raise ValueError(f'"{value}" is not a size; write for example 32MiB')
        return int(match[1]) * SIZES[match[2]]

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError(f'"{value}" is not an address; write HOST:PORT, for example 127.0.0.1:9095')
        return value

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])


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


class ApiKey(Part):
    name: str
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
    """People who are asked together."""

    api_keys: tuple[str, ...] = Field(min_length=1, examples=["[anna]"])  #: their names


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


class Store(Part):
    url: SecretStr = SecretStr("sqlite:///amend.db")  #: it may hold a password, so it is a secret
    url_file: Path | None = None
    retention: Duration = timedelta(days=90)

    @field_validator("url")
    @classmethod
    def _known(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("sqlite:///", "postgresql")):
            # it may hold a password, and so is not repeated
            raise ValueError("not a store; write sqlite:///FILE or postgresql+psycopg://HOST/NAME")
        return value

    @field_validator("retention")
    @classmethod
    def _a_day(cls, value: timedelta) -> timedelta:
        if value < timedelta(days=1):
            raise ValueError("cooldowns and limits are counted from what is kept; keep at least 1d")
        return value


class Prometheus(Part):
    url: OpenUrl


class Alertmanager(Part):
    url: OpenUrl


class Docker(Part):
    name: str = "local"
    url: str = "unix:///var/run/docker.sock"
    allow: tuple[str, ...] = ("amend.enable=true",)  #: label selectors; a container must carry all of one of them

    @field_validator("allow")
    @classmethod
    def _label_selectors(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            if not re.fullmatch(r"[^=,\s]+=[^,]*(,[^=,\s]+=[^,]*)*", entry):
                raise ValueError(f'"{entry}" selects no label; write KEY=VALUE, or several with commas between')
        return entries


class Kubernetes(Part):
    name: str = "default"
    context: str | None = None  #: of the kubeconfig; in-cluster when there is none
    kubeconfig: Path | None = None
    namespaces: tuple[str, ...] = Field(min_length=1)


class Platforms(Part):
    docker: tuple[Docker, ...] = ()
    kubernetes: tuple[Kubernetes, ...] = ()


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


class Breaker(Part):
    """Holds everything still after too many runs that did not help: `failed` or `not_fixed`."""

    failures: int = Field(default=5, gt=0)
    within: Annotated[Duration, AfterValidator(_some_time)] = timedelta(minutes=30)
    storm_cooldown: Annotated[Duration, AfterValidator(_some_time)] = timedelta(minutes=30)  #: the least that it lasts


class Limits(Part):
    """Over all playbooks, whatever each of them says."""

    actions_per_minute: int = Field(default=10, gt=0)
    targets_per_10m: int = Field(default=5, gt=0)
    breaker: Breaker = Breaker()


class Identity(Part):
    replica_labels: tuple[str, ...] = ("replica", "prometheus_replica")
    reopen_window: Duration = timedelta(minutes=10)
    orphan_after: Duration = timedelta(hours=12)


class Outbound(Part):
    allow_hosts: tuple[str, ...] = ()


class Anchor(Part):
    """Where the newest hash of the audit log is kept beside the log: in a file, at a receiver, or both."""

    file: Path | None = None
    receiver: str | None = None
    every: Annotated[Duration, AfterValidator(_some_time)] = timedelta(minutes=10)

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not (self.file or self.receiver):
            raise ValueError("the anchor says nowhere to keep the hash; add file: or receiver:")
        return self


class Audit(Part):
    hmac_key: Secret | None = None
    hmac_key_file: Path | None = None
    anchor: Anchor | None = None

    @property
    def key(self) -> bytes | None:
        """What the log is sealed with."""
        return self.hmac_key.get_secret_value().encode() if self.hmac_key else None


class Watchdog(Part):
    """The alert that always fires, so that its silence tells that nothing arrives any more."""

    alertname: str = "Watchdog"
    within: Annotated[Duration, AfterValidator(_some_time)] = timedelta(minutes=15)
    receiver: str | None = None


class Logging(Part):
    format: Literal["json", "console"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"
    file: Path | None = None


class Settings(Part):
    """All of amend.yml.

    Secrets and playbooks stand beside it unless their paths are absolute; `sqlite:///FILE`, `logging.file` and
    `kubeconfig` are taken from the working directory.
    """

    server: Server = Server()
    auth: Auth = Field(examples=["{webhook: {bearer_token_file: webhook.token}}"])
    store: Store = Store()
    prometheus: Prometheus | None = None
    alertmanager: Alertmanager | None = None
    playbooks: tuple[str, ...] = ()
    platforms: Platforms = Platforms()
    receivers: tuple[Receiver, ...] = ()
    limits: Limits = Limits()
    identity: Identity = Identity()
    outbound: Outbound = Outbound()
    audit: Audit = Audit()
    watchdog: Watchdog | None = None
    logging: Logging = Logging()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for what, names in (
            ("receiver", [receiver.name for receiver in self.receivers]),
            ("API key", [key.name for key in self.auth.api_keys]),
            ("Docker host", [docker.name for docker in self.platforms.docker]),
            ("Kubernetes cluster", [cluster.name for cluster in self.platforms.kubernetes]),
        ):
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f'two of the kind {what} are called "{min(twice)}"; give each its own name')
        return self

    @model_validator(mode="after")
    def _receivers_are_known(self) -> Self:
        known = {receiver.name for receiver in self.receivers}
        for key, part in (("audit.anchor", self.audit.anchor), ("watchdog", self.watchdog)):
            if part and part.receiver and part.receiver not in known:
                raise ValueError(f'{key}.receiver: no receiver is called "{part.receiver}"; add it to receivers:')
        return self


def read(path: Path) -> Settings:
    """amend.yml with variables filled in and secrets read; ConfigErrors otherwise."""
    return parse(with_secrets(expanded(load(path), os.environ)), Settings)


def playbook_files(settings: Settings, beside: Path) -> list[Path]:
    """The files that `playbooks:` names, each once, in the order of the patterns and then of their names.

    A name without wildcards is a file that must be there: reading it tells that it is not.
    """
    files: dict[Path, None] = {}
    for pattern in settings.playbooks:
        found = sorted(glob.glob(pattern, root_dir=beside, recursive=True)) if glob.has_magic(pattern) else [pattern]
        files.update(dict.fromkeys(beside / name for name in found))
    return list(files)


def digest(*texts: bytes) -> str:
    """The fingerprint of what a replica runs on, to compare replicas by."""
    whole = hashlib.sha256()
    for text in texts:
        whole.update(len(text).to_bytes(8, "big") + text)
    return whole.hexdigest()[:16]
