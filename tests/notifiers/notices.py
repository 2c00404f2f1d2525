"""Notices that the tests of several notifiers send: one of each kind, with whatever a stranger might write in them."""

from datetime import UTC, datetime

from receiver.notifiers.notice import Deed, Kind, Notice, Question

HOSTILE = "<!channel> & <http://evil.example|orders> @here [click](http://evil.example) \x1b[31m\u202egnp\nBcc: x@y.z"

SPARE = Notice(message="done", link="", run={"id": 7}, labels={})

TOLD = Notice(
    message="Restarting orders did not help: not_fixed.",
    link="https://amend.example/runs/7",
    run={"id": 7, "playbook": "restart", "attempt": 1, "target": "docker/local/container/orders"},
    labels={"alertname": "LatencyAnomaly", "service": "orders", "severity": "high"},
    title="LatencyAnomaly: restart on docker/local/container/orders",
    alert="LatencyAnomaly",
    severity="high",
    summary="orders is slow",
    numbers={"value": "0.912", "mean": "0.104", "z_score": "38.4"},
    done=(Deed("restart", "done", "before: 1, after: 1"), Deed("scale", "failed", "the engine answered 500")),
    outcome="not_fixed",
    key="amend/0123456789abcdef/3",
)

ASKED = Notice(
    kind=Kind.ASKED,
    message="run 7 (LatencyAnomaly, high: orders is slow): may restart do restart on docker/local/container/orders? "
    "Answer until 10:10:00 UTC; the playbook always asks",
    link="https://amend.example/approvals/TOKEN",
    run=TOLD.run,
    labels=TOLD.labels,
    title="May restart do restart on docker/local/container/orders?",
    alert="LatencyAnomaly",
    severity="high",
    summary="orders is slow",
    numbers=TOLD.numbers,
    key="amend/0123456789abcdef/3/question/5",
    question=Question(
        steps=("restart (grace: 10s)",),
        on_failure=("scale (by: 1)", "notify"),
        why="the playbook always asks",
        until=datetime(2026, 3, 2, 10, 10, tzinfo=UTC),
        digest="d" * 64,
        token="TOKEN",
    ),
)

OVER = Notice(
    kind=Kind.OVER,
    message='the alert "Watchdog" comes again',
    link="",
    run={},
    labels={"alertname": "Watchdog"},
    title="Watchdog is back",
    alert="Watchdog",
    key="amend/watchdog/Watchdog",
)

GATHERED = Notice(
    kind=Kind.GATHERED,
    message="30 more: first https://amend.example/runs/8; second …",
    link="",
    run={},
    labels={},
    title="30 more messages within a minute",
    severity="critical",
    gathered=("first https://amend.example/runs/8", "second"),
    count=30,
)

EVERY = {"told": TOLD, "asked": ASKED, "over": OVER, "gathered": GATHERED}

STRANGE = Notice(
    message=HOSTILE,
    link="https://amend.example/runs/7",
    run={"id": 7, "target": HOSTILE},
    labels={"service": HOSTILE, "alertname": HOSTILE},
    title=HOSTILE,
    alert=HOSTILE,
    severity=HOSTILE,
    summary=HOSTILE,
    numbers={"value": HOSTILE},
    done=(Deed("http", "failed", HOSTILE),),
    outcome="failed",
    key="amend/1/1",
    question=None,
)
