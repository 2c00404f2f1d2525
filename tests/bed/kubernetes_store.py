"""What the fake Kubernetes API server keeps: objects with identities, versions and generations, and what time it is."""

import uuid
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

Object = dict[str, Any]
Identity = tuple[str, str, str]


class Store:
    """Everything that goes in and comes out is a copy."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 9, tzinfo=UTC)  #: stands still until somebody moves it
        self.version = 1000
        self._objects: dict[Identity, Object] = {}

    def create(self, wanted: Object) -> Object:
        created = deepcopy(wanted)
        created["metadata"] |= {"uid": str(uuid.uuid4()), "generation": 1, "creationTimestamp": self.time()}
        return self.write(created)

    def write(self, wanted: Object) -> Object:
        """A new spec is a new generation, and a write that changes nothing is none."""
        before = self._objects.get(identity(wanted))
        if before is not None and before == wanted:
            return deepcopy(before)
        stored = deepcopy(wanted)
        if before is not None and before.get("spec") != wanted.get("spec"):
            stored["metadata"]["generation"] = before["metadata"]["generation"] + 1
        self.version += 1
        stored["metadata"]["resourceVersion"] = str(self.version)
        self._objects[identity(wanted)] = stored
        return deepcopy(stored)

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        return deepcopy(self._objects.get((kind, namespace, name)))

    def get(self, found: Object) -> Object:
        """It, as it is now."""
        return deepcopy(self._objects[identity(found)])

    def remove(self, found: Object) -> None:
        del self._objects[identity(found)]

    def all(self, kind: str, namespace: str = "") -> Iterator[Object]:
        for (of, where, _), found in list(self._objects.items()):
            if of == kind and namespace in ("", where):
                yield deepcopy(found)

    def time(self, *, later: float = 0) -> str:
        return (self.now + timedelta(seconds=later)).strftime("%Y-%m-%dT%H:%M:%SZ")


def identity(found: Object) -> Identity:
    return found["kind"], found["metadata"].get("namespace", ""), found["metadata"]["name"]


def owned_by(owner: Object) -> list[Object]:
    """As `metadata.ownerReferences` of what a controller makes."""
    metadata = owner["metadata"]
    return [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def is_owned_by(found: Object, owner: Object) -> bool:
    return any(each["uid"] == owner["metadata"]["uid"] for each in found["metadata"].get("ownerReferences") or ())
