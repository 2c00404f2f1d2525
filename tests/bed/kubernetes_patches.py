"""The three patch types of a Kubernetes API server, by their content type; the fake server applies them.

Each takes an object and returns a new one. What a real server refuses raises Unappliable.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

# Lists that strategic merge patches join by a key of their elements; every other list is replaced as a whole.
MERGE_KEYS = {
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "initContainers": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumes": "name",
}


class Unappliable(Exception):
    """The patch does not fit the object, or one of its tests failed."""


def json_patch(found: Any, operations: Any) -> Any:
    """RFC 6902: the whole patch, or nothing of it."""
    result = {"": deepcopy(found)}  # a root above the root, so that every path has a parent
    for operation in operations:
        parent, key = _place(result, operation["path"])
        _OPERATIONS[operation["op"]](parent, key, operation.get("value"))
    return result[""]


def merge_patch(found: Any, change: Any) -> Any:
    """RFC 7386: null takes a key away, lists are replaced."""
    if not isinstance(change, dict):
        return deepcopy(change)
    result = dict(found) if isinstance(found, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def strategic_merge_patch(found: Any, change: Any, key: str = "") -> Any:
    """As a merge patch, but lists with a merge key are joined: what a patch does not name, it leaves in place."""
    if isinstance(change, list) and key in MERGE_KEYS:
        return _join(found or [], change, MERGE_KEYS[key])
    if not isinstance(change, dict):
        return deepcopy(change)
    if change.get("$patch") == "replace":
        return {name: deepcopy(value) for name, value in change.items() if name != "$patch"}
    result = dict(found) if isinstance(found, dict) else {}
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = strategic_merge_patch(result.get(name), value, name)
    return result


PATCHES: Mapping[str, Callable[[Any, Any], Any]] = {
    "application/json-patch+json": json_patch,
    "application/merge-patch+json": merge_patch,
    "application/strategic-merge-patch+json": strategic_merge_patch,
}


def _join(found: list[Any], change: list[Any], by: str) -> list[Any]:
    result = {element[by]: element for element in found}
    for element in change:
        if element.get("$patch") == "delete":
            result.pop(element[by], None)
        else:
            result[element[by]] = strategic_merge_patch(result.get(element[by]), element)
    return list(result.values())


def _place(root: Any, path: str) -> tuple[Any, Any]:
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")]
    at = root
    for part in parents:
        at = _child(at, part)
    return at, last


def _child(parent: Any, key: str) -> Any:
    try:
        return parent[int(key)] if isinstance(parent, list) else parent[key]
    except (KeyError, IndexError, TypeError, ValueError):
        raise Unappliable(f"there is nothing at {key!r}") from None


def _add(parent: Any, key: str, value: Any) -> None:
    if isinstance(parent, list):
        parent.insert(len(parent) if key == "-" else int(key), value)
    else:
        parent[key] = value


def _replace(parent: Any, key: str, value: Any) -> None:
    _child(parent, key)
    parent[int(key) if isinstance(parent, list) else key] = value


def _remove(parent: Any, key: str, _: Any) -> None:
    _child(parent, key)
    del parent[int(key) if isinstance(parent, list) else key]


def _test(parent: Any, key: str, value: Any) -> None:
    if _child(parent, key) != value:
        raise Unappliable(f"testing value {key} failed")


_OPERATIONS: Mapping[str, Callable[[Any, str, Any], None]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "test": _test,
}
