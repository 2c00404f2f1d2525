"""The history of a Deployment, StatefulSet or DaemonSet; cluster.py asks it where a rollback leads.

A Deployment keeps it in ReplicaSets, the others in ControllerRevisions. A restart makes a revision as well, but deploys
nothing: revisions that differ in nothing else are taken for one.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from receiver.errors import Permanent
from receiver.targets.kubernetes.rollout import Object

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"  #: what `kubectl rollout restart` writes: one history for both
NUMBER = "deployment.kubernetes.io/revision"
CAUSE = "kubernetes.io/change-cause"
HASH = "pod-template-hash"


@dataclass(frozen=True, kw_only=True)
class Revision:
    number: int  #: counts up; going back to a revision gives it a new number
    template: Object  #: as the workload would have it
    created_at: datetime
    cause: str  #: what somebody has written down about it

    @property
    def images(self) -> str:
        return ", ".join(container["image"] for container in self.template["spec"]["containers"])

    @property
    def content(self) -> str:
        return _content(self.template)


def history(found: Object, kept: Iterable[Object]) -> list[Revision]:
    """Its own revisions, the newest one last."""
    own = [each for each in kept if _owner(each) == found["metadata"]["uid"]]
    revisions = [revision for each in own if (revision := _revision(each))]
    return sorted(revisions, key=lambda revision: revision.number)


def labels(found: Object) -> str:
    """The workload's selector as a query has it; its revisions carry the labels of its pods."""
    selector = found["spec"]["selector"]
    terms = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        key, values = expression["key"], ",".join(expression.get("values") or ())
        terms.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[expression["operator"]]
        )
    return ",".join(terms)


def deployed_at(found: Object, revisions: Sequence[Revision]) -> datetime | None:
    """When what it runs was there for the first time: neither a restart nor a rollback deploys anything."""
    if not revisions:
        return None
    known = {revision.content for revision in revisions}
    now = _content(found["spec"]["template"])
    return _first(now if now in known else revisions[-1].content, revisions)


def way_back(found: Object, revisions: Sequence[Revision], *, to: str | None) -> Revision:
    """Where a rollback leads; Permanent, in words, when it leads nowhere."""
    if to is not None:
        return _exactly(found, revisions, to)
    now = {_content(found["spec"]["template"])}
    if revisions and _is_seen(found):
        now.add(revisions[-1].content)
    others = [revision for revision in revisions if revision.content not in now]
    # After a rollback, what failed has the number below; the next rollback must not bring it back by itself.
    since = deployed_at(found, [revision for revision in revisions if revision.content in now])
    older = [revision for revision in others if since is None or _first(revision.content, revisions) <= since]
    if older:
        return older[-1]
    if others:
        raise _no_way(found, f"{_numbers(others)} came after what runs now; name the one to go to, with to")
    raise _no_way(found, "there is nothing to go back to: its history has only what runs now")


def told(found: Object, revision: Revision) -> str:
    """The way to a revision, in words; a restart meanwhile makes it no other way."""
    images = ", ".join(container["image"] for container in found["spec"]["template"]["spec"]["containers"])
    return f"revision {revision.number} ({revision.images}) in place of {images}"


def undo(found: Object, revision: Revision) -> list[Object]:
    """The operations of a JSON patch: a merge would leave in place what has been added since."""
    metadata = found["metadata"]
    return [
        {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]},
        {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
        {"op": "replace", "path": "/spec/template", "value": revision.template},
        *_carry_cause(metadata.get("annotations") or {}, revision.cause),
    ]


def _exactly(found: Object, revisions: Sequence[Revision], to: str) -> Revision:
    named = next((revision for revision in revisions if str(revision.number) == to), None)
    if named is None:
        have = f"it has {_numbers(revisions)}" if revisions else "it has none"
        raise _no_way(found, f"there is no revision {ascii(to)[:80]}; {have}")
    if _plain(named.template) == _plain(found["spec"]["template"]):
        raise _no_way(found, f"revision {to} is what runs now")
    return named


def _no_way(found: Object, why: str) -> Permanent:
    metadata = found["metadata"]
    return Permanent(f"{found['kind']}/{metadata['namespace']}/{metadata['name']} cannot be rolled back: {why}")


def _first(content: str, revisions: Iterable[Revision]) -> datetime:
    return min(revision.created_at for revision in revisions if revision.content == content)


def _is_seen(found: Object) -> bool:
    """Its controller has seen the newest change, so that the newest revision is that change."""
    seen = (found.get("status") or {}).get("observedGeneration") or 0
    return bool(seen >= found["metadata"]["generation"])


def _numbers(revisions: Sequence[Revision]) -> str:
    numbers = ", ".join(str(revision.number) for revision in revisions)
    return f"revision{'s' if len(revisions) > 1 else ''} {numbers}"


def _carry_cause(annotations: Mapping[str, str], cause: str) -> list[Object]:
    """Its controller copies it to the revision, which would else be told by what was wrong with the last one."""
    path = f"/metadata/annotations/{CAUSE.replace('/', '~1')}"
    if cause and annotations:
        return [{"op": "add", "path": path, "value": cause}]
    return [{"op": "remove", "path": path}] if CAUSE in annotations else []


def _owner(kept: Object) -> str | None:
    owners = kept["metadata"].get("ownerReferences") or ()
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


def _revision(kept: Object) -> Revision | None:
    """None for a ReplicaSet that its controller has not numbered yet."""
    metadata = kept["metadata"]
    annotations = metadata.get("annotations") or {}
    is_replica_set = "spec" in kept
    number = annotations.get(NUMBER) if is_replica_set else kept.get("revision")
    template = (kept if is_replica_set else kept["data"])["spec"]["template"]
    if not str(number).isdecimal():
        return None
    return Revision(
        number=int(str(number)),
        template=_as_written(template),
        created_at=datetime.fromisoformat(metadata["creationTimestamp"]),
        cause=str(annotations.get(CAUSE) or ""),
    )


def _as_written(template: Object) -> Object:
    """Without what its keeper adds: a ReplicaSet the hash, a ControllerRevision the word for patching with it."""
    metadata = template.get("metadata") or {}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH}
    kept = {key: value for key, value in template.items() if key != "$patch"}
    return {**kept, "metadata": {**metadata, "labels": labels}}


def _plain(template: Object) -> str:
    """Equal when the templates are: some servers write down that there is no time of creation, and some do not."""
    metadata: dict[str, Any] = dict((template.get("metadata") or {}).items())
    present = {key: value for key, value in metadata.items() if value}
    return json.dumps({**template, "metadata": present}, sort_keys=True)


def _content(template: Object) -> str:
    """Equal when the templates are, but for restarts."""
    metadata = template.get("metadata") or {}
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != RESTARTED_AT}
    return _plain({**template, "metadata": {**metadata, "annotations": annotations}})
