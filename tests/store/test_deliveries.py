"""Deliveries and their alerts as rows: in order, each looked at once, the bad ones beside the good."""

import sqlalchemy as sa

from receiver.alerts import Message, Quarantined, alert_key
from receiver.store import deliveries
from receiver.store.tables import alerts
from tests.store.conftest import alert, at, deliver


def test_alerts_wait_in_the_order_of_their_arrival(connection: sa.Connection) -> None:
    first = deliver(connection, alert(service="b"), alert(service="a"))
    second = deliver(connection, alert("resolved", start=0, end=3, service="a"), received=4)
    waiting = deliveries.waiting(connection, limit=9)
    assert [each.delivery_id for each in waiting] == [first, first, second]
    assert [each.alert.labels["service"] for each in waiting] == ["b", "a", "a"]
    assert [each.received_at for each in waiting] == [at(0), at(0), at(4)]
    assert [each.id for each in deliveries.waiting(connection, limit=2)] == [each.id for each in waiting[:2]]


def test_an_alert_comes_back_as_it_was_stored(connection: sa.Connection) -> None:
    sent = [
        alert(start=0.000001, service="ü \u202e \U0001f600 '\"\\"),
        alert("resolved", start=0, end=3, service="x"),
    ]
    deliver(connection, *sent)
    for each, back in zip(sent, deliveries.waiting(connection, limit=9), strict=True):
        assert back.alert.labels == each.labels
        assert back.alert.annotations == each.annotations
        assert (back.alert.starts_at, back.alert.firing, back.alert.end) == (each.starts_at, each.firing, each.end)


def test_replicas_share_an_alert_key(connection: sa.Connection) -> None:
    deliver(connection, alert(replica="0"), alert(replica="1"), alert())
    keys = {each.alert_key for each in deliveries.waiting(connection, limit=9)}
    assert keys == {alert_key("default", {"alertname": "LatencyAnomaly"})}


def test_what_was_looked_at_waits_no_more(connection: sa.Connection) -> None:
    deliver(connection, alert(service="a"), alert(service="b"), alert(service="c"))
    one, two, three = deliveries.waiting(connection, limit=9)
    deliveries.settle(connection, [one.id, two.id], state="applied")
    deliveries.settle(connection, [], state="applied")
    assert [each.id for each in deliveries.waiting(connection, limit=9)] == [three.id]
    assert deliveries.waiting(connection, limit=9, besides={three.alert_key}) == []


def test_a_bad_alert_is_kept_with_its_reason_and_never_waits(connection: sa.Connection) -> None:
    message = Message(
        receiver="amend",
        group_key="{}",
        external_url="",
        truncated=2,
        alerts=(alert(),),
        quarantined=(Quarantined(1, "labels: too many", '{"labels": …}'),),
    )
    deliveries.store(connection, message, source="default", received_at=at(0), replica_labels=())
    assert len(deliveries.waiting(connection, limit=9)) == 1
    row = connection.execute(sa.select(alerts).where(alerts.c.state == "quarantined")).one()
    assert (row.why, row.annotations) == ("labels: too many", {"raw": '{"labels": …}'})


def test_an_empty_delivery_is_a_delivery(connection: sa.Connection) -> None:
    assert deliver(connection) > 0
    assert deliveries.waiting(connection, limit=9) == []
