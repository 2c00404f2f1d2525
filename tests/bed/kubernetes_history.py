"""The histories that workload controllers keep; the fake server's controller writes one down with each new template.

A template that was there before gets its old revision back, under a new number.
"""

import hashlib
import json
from copy import deepcopy
from typing import Any

from tests.bed.kubernetes_store import Store, is_owned_by, owned_by

Object = dict[str, Any]

NUMBER = "deployment.kubernetes.io/revision"
NOT_COPIED = (NUMBER, "kubectl.kubernetes.io/last-applied-configuration")


class History:
    """Of all workloads in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, workload: Object) -> bool:
        """What its template is now is its newest revision, and a new one or not; the workload is told, not written."""
        if workload["kind"] == "Deployment":
            return self._replica_set(workload)
        return self._controller_revision(workload)

    def _replica_set(self, workload: Object) -> bool:
        own = self._own("ReplicaSet", workload)
        same = next((each for each in own if _without_hash(each) == workload["spec"]["template"]), None)
        newest = same or self._store.create(_replica_set(workload, _hash(workload["spec"]["template"])))
        others = [each for each in own if each["metadata"]["name"] != newest["metadata"]["name"]]
        highest = max((_number(each) for each in others), default=0)
        annotations = newest["metadata"]["annotations"]
        annotations |= {
            key: value for key, value in workload["metadata"]["annotations"].items() if key not in NOT_COPIED
        }
        if _number(newest) <= highest:
            annotations[NUMBER] = str(highest + 1)
        newest["spec"]["replicas"] = workload["spec"]["replicas"]
        self._store.write(newest)
        for each in others:
            each["spec"]["replicas"] = 0
            self._store.write(each)
        workload["metadata"]["annotations"][NUMBER] = annotations[NUMBER]
        return same is None

    def _controller_revision(self, workload: Object) -> bool:
        own = self._own("ControllerRevision", workload)
        highest = max((each["revision"] for each in own), default=0)
        data = {"spec": {"template": {**workload["spec"]["template"], "$patch": "replace"}}}
        same = revision = next((each for each in own if each["data"] == data), None)
        if revision is None:
            revision = self._store.create(_controller_revision(workload, data, highest + 1))
        elif revision["revision"] < highest:
            revision = self._store.write({**revision, "revision": highest + 1})
        if workload["kind"] == "StatefulSet":
            workload["status"]["updateRevision"] = revision["metadata"]["name"]
        return same is None

    def _own(self, kind: str, workload: Object) -> list[Object]:
        all_of_them = self._store.all(kind, workload["metadata"]["namespace"])
        return [each for each in all_of_them if is_owned_by(each, workload)]


def _replica_set(workload: Object, hashed: str) -> Object:
    metadata, template = workload["metadata"], deepcopy(workload["spec"]["template"])
    template["metadata"]["labels"]["pod-template-hash"] = hashed
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{metadata['name']}-{hashed}",
            "namespace": metadata["namespace"],
            "labels": template["metadata"]["labels"],
            "annotations": {NUMBER: "0"},
            "ownerReferences": owned_by(workload),
        },
        "spec": {
            "replicas": workload["spec"]["replicas"],
            "selector": {"matchLabels": template["metadata"]["labels"]},
            "template": template,
        },
        "status": {"replicas": workload["spec"]["replicas"]},
    }


def _controller_revision(workload: Object, data: Object, number: int) -> Object:
    metadata, template = workload["metadata"], workload["spec"]["template"]
    hashed = _hash(template)
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{metadata['name']}-{hashed}",
            "namespace": metadata["namespace"],
            "labels": {**template["metadata"]["labels"], "controller.kubernetes.io/hash": hashed},
            "annotations": dict(metadata.get("annotations") or {}),
            "ownerReferences": owned_by(workload),
        },
        "data": data,
        "revision": number,
    }


def _without_hash(replica_set: Object) -> Object:
    template: Object = deepcopy(replica_set["spec"]["template"])
    del template["metadata"]["labels"]["pod-template-hash"]
    return template


def _number(replica_set: Object) -> int:
    return int(replica_set["metadata"]["annotations"][NUMBER])


def _hash(template: Object) -> str:
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
