"""Values that several settings have: secrets, addresses, times."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, HttpUrl, SecretStr, ValidationInfo

from receiver.durations import Duration


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
SomeTime = Annotated[Duration, AfterValidator(_some_time)]
