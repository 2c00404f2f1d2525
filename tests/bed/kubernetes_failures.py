"""How a Kubernetes API server says no: with an object of the kind Status; the fake server raises these."""

from dataclasses import dataclass
from typing import Any

from tests.bed.kubernetes_paths import NOWHERE, Place

Object = dict[str, Any]


class Failure(Exception):
    """An answer of the kind Status."""

    def __init__(self, code: int, reason: str, message: str, place: Place = NOWHERE, **details: Any) -> None:
        self.code = code
        self.details = details
        self.status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": {"name": place.name, "group": place.group, "kind": place.plural, **details},
            "code": code,
        }
        super().__init__(message)


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request: refused with a status, or, without one, done and never answered."""

    status: int = 0
    reason: str = ""
    after: str = ""


def not_served(place: Place) -> Failure:
    return Failure(404, "NotFound", "the server could not find the requested resource", place)


def forbidden(verb: str, place: Place, user: str) -> Failure:
    subject = f'{place.qualified} "{place.name}"' if place.name else place.qualified
    right = f'cannot {verb} resource "{place.resource}" in API group "{place.group}" {place.where}'
    return Failure(403, "Forbidden", f'{subject} is forbidden: User "{user}" {right}', place)


def conflict(message: str, place: Place) -> Failure:
    return Failure(
        409, "Conflict", f'Operation cannot be fulfilled on {place.qualified} "{place.name}": {message}', place
    )


def check_uid(uid: str | None, found: Object, place: Place) -> None:
    own = found["metadata"]["uid"]
    if uid and uid != own:
        raise conflict(f"Precondition failed: UID in precondition: {uid}, UID in object meta: {own}", place)
