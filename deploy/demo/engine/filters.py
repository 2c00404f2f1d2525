"""Docker's list filters: `{"label": ["a=b"], "status": ["running"]}`.

The API asks whether a container or a network is wanted; within a key any value will do, only labels must all match.
"""

import json
import re
from collections.abc import Callable

from engine.container import Container
from engine.network import Network
from engine.refusal import Refusal

Filters = dict[str, list[str]]


def parse(text: str | None) -> Filters:
    """Both forms that clients send: lists (docker-py) and maps to true (Docker's Go client, so Prometheus)."""
    if not text:
        return {}
    try:
        filters = json.loads(text)
        return {key: list(values) for key, values in filters.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise Refusal(400, f"invalid filter: {error}") from error


def wants_container(filters: Filters, container: Container) -> bool:
    return all(_container_test(key)(container, values) for key, values in filters.items())


def wants_network(filters: Filters, network: Network) -> bool:
    tests = {
        "name": any(name in network.name for name in filters.get("name", [])),
        "id": any(network.id.startswith(start) for start in filters.get("id", [])),
        "label": _has_labels(network.labels, filters.get("label", [])),
    }
    for key in filters:
        if key not in tests:
            raise Refusal(400, f"invalid filter '{key}'")
    return all(tests[key] for key in filters)


def _container_test(key: str) -> Callable[[Container, list[str]], bool]:
    test = CONTAINER_TESTS.get(key)
    if test is None:
        raise Refusal(400, f"invalid filter '{key}'")
    return test


def _has_labels(labels: dict[str, str], wanted: list[str]) -> bool:
    return all(_has_label(labels, label) for label in wanted)


def _has_label(labels: dict[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def _has_name(container: Container, patterns: list[str]) -> bool:
    # Docker takes a name for a regular expression and tries it with and without the leading slash.
    names = (container.name, f"/{container.name}")
    return any(re.search(pattern, name) for pattern in patterns for name in names)


CONTAINER_TESTS: dict[str, Callable[[Container, list[str]], bool]] = {
    "label": lambda container, values: _has_labels(container.labels, values),
    "name": _has_name,
    "id": lambda container, values: any(container.id.startswith(value) for value in values),
    "status": lambda container, values: container.state.status in values,
    "health": lambda container, values: (container.health.status if container.health else "none") in values,
    "ancestor": lambda container, values: container.config["Image"] in values,
    "network": lambda container, values: container.network.name in values or container.network.id in values,
}
