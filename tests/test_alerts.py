"""Webhook bodies from Alertmanager, from mistaken and from hostile senders: each is a Message, or Malformed."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.alerts import LONGEST, Alert, Malformed, Message, alert_key, read_message
from receiver.durations import LONGEST as LONGEST_DURATION

FIRING = {
    "status": "firing",
    "labels": {"alertname": "LatencyAnomaly", "service": "orders"},
    "annotations": {"z_score": "4.2"},
    "startsAt": "2026-03-02T10:00:00.123456789Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus/graph",
    "fingerprint": "8a9c0d",
}
RESOLVED = {**FIRING, "status": "resolved", "endsAt": "2026-03-02T11:00:00+01:00"}


def body(*alerts: Any, **changes: Any) -> bytes:
    envelope = {
        "version": "4",
        "groupKey": '{}:{alertname="LatencyAnomaly"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "amend",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": list(alerts),
    }
    return json.dumps({**envelope, **changes}).encode()


def why(data: bytes) -> str:
    with pytest.raises(Malformed) as raised:
        read_message(data)
    return str(raised.value)


def quarantined(alert: Any) -> str:
    """Why one alert is set aside, after seeing that the good one beside it is kept."""
    message = read_message(body(FIRING, alert))
    assert [kept.fingerprint for kept in message.alerts] == ["8a9c0d"]
    (bad,) = message.quarantined
    assert bad.position == 1
    return bad.why


# ── what Alertmanager sends ──


def test_a_group_is_read_alert_by_alert() -> None:
    message = read_message(body(FIRING, RESOLVED, truncatedAlerts=3))
    assert (message.receiver, message.truncated, message.quarantined) == ("amend", 3, ())
    firing, resolved = message.alerts
    assert firing.firing
    assert firing.starts_at == datetime(2026, 3, 2, 10, 0, 0, 123456, UTC)
    assert firing.labels["service"] == "orders"
    assert not resolved.firing
    assert resolved.end == datetime(2026, 3, 2, 10, tzinfo=UTC)


def test_a_resolved_alert_that_does_not_say_when_has_ended_at_its_start_at_the_earliest() -> None:
    for ends_at in ({"endsAt": "0001-01-01T00:00:00Z"}, {}):
        alert = {name: value for name, value in FIRING.items() if name != "endsAt"}
        (resolved,) = read_message(body({**alert, "status": "resolved", **ends_at})).alerts
        assert resolved.end == resolved.starts_at


def test_fields_of_newer_alertmanagers_are_passed_over() -> None:
    newer = {**FIRING, "notification_reason": "new", "routeLabels": {}}
    message = read_message(body(newer, notification_reason="new", anything=[1]))
    assert len(message.alerts) == 1


def test_a_name_that_nothing_is_decided_by_is_mended_rather_than_refused() -> None:
    message = read_message(body(FIRING, receiver="a\x00b", groupKey="half \ud800", externalURL="x" * (LONGEST + 1)))
    assert (message.receiver, message.group_key, len(message.external_url)) == ("a b", "half ?", LONGEST)
    assert len(message.alerts) == 1


def test_an_empty_group_is_a_message() -> None:
    assert read_message(body()).alerts == ()


# ── what is no webhook ──


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "the body is not JSON"),
        (b"hello", "the body is not JSON"),
        (b'{"version": "4\xff"}', "the body is not UTF-8"),
        (b"[]", "not Alertmanager's webhook"),
        (b"null", "not Alertmanager's webhook"),
        (b'{"text": "from a custom payload:"}', "a webhook_config must not set payload:"),
        (body(version="3"), "not Alertmanager's webhook"),
        (body(alerts={}), "not Alertmanager's webhook"),
        (body(receiver=3), "not Alertmanager's webhook: receiver: "),
        (body(truncatedAlerts=-1), "not Alertmanager's webhook: truncatedAlerts: "),
        (b"[" * 200_000, "the body is "),
        (b'{"version": "4", "alerts": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "the body is "),
        (b'{"version": "4", "truncatedAlerts": ' + b"9" * 5000 + b', "alerts": []}', "the body is not JSON"),
    ],
)
def test_what_is_no_webhook_is_refused_with_the_reason(data: bytes, told: str) -> None:
    assert why(data).startswith(told) or told in why(data)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {}},
        {"labels": {"a": 1}},
        {"labels": {"a": "nul\x00"}},
        {"labels": {"a": "half \ud800"}},
        {"labels": {"a": "x" * (LONGEST + 1)}},
        {"labels": {str(number): "x" for number in range(300)}},
        {"labels": None},
        {"annotations": {"a": ["list"]}},
        {"status": "pending"},
        {"startsAt": "yesterday"},
        {"startsAt": "2026-03-02T10:00:00"},  # of no time zone
        {"startsAt": None},
        {"fingerprint": 7},
    ],
)
def test_a_poisoned_alert_is_set_aside_and_takes_no_other_with_it(change: dict[str, Any]) -> None:
    assert quarantined({**FIRING, **change})


@pytest.mark.parametrize("alert", [None, 3, "text", [], {}, float("nan")])
def test_what_is_no_alert_at_all_is_set_aside(alert: Any) -> None:
    assert quarantined(alert)


def test_a_deeply_nested_alert_is_set_aside_or_refused_without_a_crash() -> None:
    deep: Any = "x"
    for _ in range(300):
        deep = [deep]
    assert quarantined({**FIRING, "labels": deep})


def test_what_was_set_aside_is_kept_as_short_text_for_people() -> None:
    (bad,) = read_message(body({"labels": {"a": "x" * 100_000}})).quarantined
    assert len(bad.raw) <= 2000
    assert bad.raw.startswith('{"labels": {"a": "xxx')
    assert len(bad.why) <= 300


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        read_message(data)


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(FIRING, JSON)) | JSON, max_size=4))
def test_whatever_the_alerts_hold_each_is_kept_or_set_aside(alerts: list[Any]) -> None:
    message = read_message(body(*alerts))
    assert isinstance(message, Message)
    assert len(message.alerts) + len(message.quarantined) == len(alerts)


# ── which alert it is ──

LABELS = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=5)


def test_the_replica_that_sent_an_alert_does_not_make_it_another() -> None:
    one = alert_key("default", {"alertname": "A", "replica": "0"}, replica_labels=("replica",))
    other = alert_key("default", {"replica": "1", "alertname": "A"}, replica_labels=("replica",))
    assert one == other == alert_key("default", {"alertname": "A"})
    assert one != alert_key("default", {"alertname": "A", "replica": "0"})


def test_another_source_makes_it_another_alert() -> None:
    assert alert_key("default", {"alertname": "A"}) != alert_key("eu", {"alertname": "A"})


@given(LABELS, LABELS)
def test_two_alerts_have_one_key_only_if_they_have_the_same_labels(one: dict[str, str], other: dict[str, str]) -> None:
    assert (alert_key("a", one) == alert_key("a", other)) == (one == other)


@given(st.datetimes(timezones=st.timezones()))
def test_every_moment_is_one_that_a_window_can_be_added_to(moment: datetime) -> None:
    alert = Alert.model_validate({**RESOLVED, "startsAt": moment, "endsAt": moment})
    assert alert.starts_at.tzinfo is UTC
    assert alert.end + LONGEST_DURATION > alert.starts_at


def test_text_that_nothing_is_decided_by_is_mended_rather_than_refused() -> None:
    message = read_message(b'{"version": "4", "alerts": [], "receiver": "a\\u0000b", "groupKey": "\\ud800"}')
    assert (message.receiver, message.group_key) == ("a b", "?")
    long = read_message(body(groupKey="x" * (LONGEST + 1), alerts=[]))
    assert len(long.group_key) == LONGEST


@pytest.mark.parametrize("name", ["\\u0000", "\\ud800", "\\u202e"])
def test_why_an_alert_is_set_aside_can_be_written_down_whatever_its_labels_are_called(name: str) -> None:
    good = '{"status": "firing", "labels": {"alertname": "a"}, "startsAt": "2026-03-02T10:00:00Z"}'
    bad = f'{{"status": "firing", "labels": {{"{name}": null}}, "startsAt": "2026-03-02T10:00:00Z"}}'
    read = read_message(f'{{"version": "4", "alerts": [{bad}, {good}]}}'.encode())
    (why,) = [each.why for each in read.quarantined]
    assert why.isprintable()
    assert why.encode()
    assert len(read.alerts) == 1
