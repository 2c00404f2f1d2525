"""What amend.yml leaves to be filled in: `${VAR}` and `${VAR:default}`, and the secrets that stand in files.

settings/ calls it before anything is checked; each mistake names its line.
"""

import re
from collections.abc import Mapping
from typing import Any

from receiver.documents import Document, Place
from receiver.errors import ConfigError, ConfigErrors
from receiver.secret_file import NoSecret, secret_in

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::([^}]*))?\}")


def expanded(document: Document, environment: Mapping[str, str]) -> Document:
    """With the variables of all texts filled in."""
    errors: list[ConfigError] = []

    def fill(value: Any, place: Place) -> Any:
        if isinstance(value, dict):
            return {key: fill(inner, (*place, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [fill(inner, (*place, index)) for index, inner in enumerate(value)]
        if not isinstance(value, str):
            return value

        def one(match: re.Match[str]) -> str:
            name, default = match.groups()
            if name not in environment and default is None:
                errors.append(
                    document.error(place, f"the environment has no {name}; set it, or write ${{{name}:default}}")
                )
            return environment.get(name, default or "")

        return _VARIABLE.sub(one, value)

    return _filled(document, fill(document.value, ()), errors)


def with_secrets(document: Document) -> Document:
    """With the content of each `KEY_file` as `KEY` beside it, and the file's path absolute."""
    errors: list[ConfigError] = []
    base = document.path.resolve().parent

    def walk(value: Any, place: Place) -> Any:
        if isinstance(value, list):
            return [walk(inner, (*place, index)) for index, inner in enumerate(value)]
        if not isinstance(value, dict):
            return value
        result = {}
        for key, inner in value.items():
            if not (key.endswith("_file") and isinstance(inner, str)):
                result[key] = walk(inner, (*place, key))
                continue
            result[key] = base / inner
            try:
                result.setdefault(key.removesuffix("_file"), secret_in(base / inner))
            except NoSecret as error:
                errors.append(document.error((*place, key), f"{key}: {base / inner} {error}; put the secret there"))
        return result

    return _filled(document, walk(document.value, ()), errors)


def _filled(document: Document, value: Any, errors: list[ConfigError]) -> Document:
    if errors:
        raise ConfigErrors(errors)
    return Document(document.path, value, document.lines)
