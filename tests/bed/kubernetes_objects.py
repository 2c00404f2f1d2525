"""Complete Kubernetes objects, as a server shows them when all is well; tests put them into the fake API server.

Nothing that a real server always fills in is left out, because strict clients refuse to read less.
"""

from typing import Any

Object = dict[str, Any]

CREATED = "2026-03-02T09:00:00Z"


def deployment(name: str = "cart", *, namespace: str = "shop", replicas: int = 3, **spec: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(name, namespace) | {"annotations": {"deployment.kubernetes.io/revision": "1"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": pod_template(name),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            **spec,
        },
        "status": {
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": replicas,
            "availableReplicas": replicas,
            "conditions": [
                condition("Available", "MinimumReplicasAvailable"),
                condition("Progressing", "NewReplicaSetAvailable"),
            ],
        },
    }


def stateful_set(name: str = "db", *, namespace: str = "shop", replicas: int = 2, **spec: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": _metadata(name, namespace),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": pod_template(name),
            "serviceName": name,
            "podManagementPolicy": "OrderedReady",
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "revisionHistoryLimit": 10,
            **spec,
        },
        "status": {
            "replicas": replicas,
            "readyReplicas": replicas,
            "currentReplicas": replicas,
            "updatedReplicas": replicas,
            "availableReplicas": replicas,
            "currentRevision": f"{name}-1",
            "updateRevision": f"{name}-1",
            "collisionCount": 0,
        },
    }


def daemon_set(name: str = "exporter", *, namespace: str = "shop", nodes: int = 2, **spec: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": _metadata(name, namespace),
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": pod_template(name),
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
            "revisionHistoryLimit": 10,
            **spec,
        },
        "status": {
            "currentNumberScheduled": nodes,
            "numberMisscheduled": 0,
            "desiredNumberScheduled": nodes,
            "numberReady": nodes,
            "updatedNumberScheduled": nodes,
            "numberAvailable": nodes,
        },
    }


def autoscaler(of: Object, *, least: int = 1, most: int = 10, name: str = "") -> Object:
    target = of["metadata"]["name"]
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _metadata(name or target, of["metadata"]["namespace"]),
        "spec": {
            "scaleTargetRef": {"kind": of["kind"], "name": target, "apiVersion": of["apiVersion"]},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
                }
            ],
        },
        "status": {"currentReplicas": least, "desiredReplicas": least, "currentMetrics": None, "conditions": []},
    }


def pod_template(name: str) -> Object:
    return {
        "metadata": {"labels": {"app": name}, "creationTimestamp": None},
        "spec": {
            "containers": [
                {
                    "name": name,
                    "image": f"shop/{name}:1.0",
                    "imagePullPolicy": "IfNotPresent",
                    "env": [{"name": "MODE", "value": "plain"}],
                    "resources": {},
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                }
            ],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "securityContext": {},
            "schedulerName": "default-scheduler",
        },
    }


def _metadata(name: str, namespace: str) -> Object:
    return {"name": name, "namespace": namespace, "labels": {"app": name}, "creationTimestamp": CREATED}


def condition(kind: str, reason: str, *, status: str = "True", message: str = "") -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": CREATED,
        "lastUpdateTime": CREATED,
    }
