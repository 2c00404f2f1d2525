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
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from receiver.documents import Part, load, parse
from receiver.durations import Duration
from receiver.settings.analyze import Analyze, Loki
from receiver.settings.auth import Auth
from receiver.settings.commands import Command
from receiver.settings.limits import Limits
from receiver.settings.platforms import Platforms
from receiver.settings.receivers import Receiver
from receiver.settings.values import OpenUrl, Secret, SomeTime
from receiver.variables import expanded, with_secrets

SIZES = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


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
    every: SomeTime = timedelta(minutes=10)

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


class SlackApp(Part):
    """The app whose incoming webhooks the receivers use: what proves that a click on its buttons comes from Slack."""

    signing_secret: Secret = Field(examples=["SECRET, or signing_secret_file: FILE"])
    signing_secret_file: Path | None = None


class Watchdog(Part):
    """The alert that always fires, so that its silence tells that nothing arrives any more."""

    alertname: str = "Watchdog"
    within: SomeTime = timedelta(minutes=15)
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
    analyze: Analyze | None = None
    loki: Loki | None = None
    commands: dict[str, Command] = {}  # noqa: RUF012 - pydantic copies it
    outbound: Outbound = Outbound()
    audit: Audit = Audit()
    watchdog: Watchdog | None = None
    slack: SlackApp | None = None
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
