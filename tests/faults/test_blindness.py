"""Who hears nothing says so: the Watchdog's alert stops, and comes back."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.bed.alertmanager import Alertmanager, to_webhook
from tests.bed.http_recorder import HttpRecorder
from tests.bed.postgresql import PostgreSql
from tests.bed.processes import until
from tests.bed.receiver import Receiver
from tests.faults.test_deliveries import metric

WATCHDOG = {"labels": {"alertname": "Watchdog"}}


def test_a_silent_watchdog_is_told_once_by_two_replicas_and_so_is_its_return(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder, postgresql: PostgreSql
) -> None:
    settings: dict[str, Any] = {
        "store": {"url": postgresql.database()},
        "receivers": [{"name": "people", "webhook": {"url": f"{recorder.url}/people"}}],
        "watchdog": {"within": "4s", "receiver": "people"},
    }
    replicas = [running.enter_context(Receiver(tmp_path, **settings)) for _ in range(2)]
    config = to_webhook(replicas[0].webhook_url, token_file=replicas[0].token_file, repeat_interval="1s")
    alertmanager = running.enter_context(Alertmanager(tmp_path, config))

    def silent() -> list[float]:
        return [metric(amend, "amend_watchdog_silent") for amend in replicas]

    def told() -> list[str]:
        return [request.json()["message"] for request in recorder.requests]

    def kinds() -> list[str]:
        rows = replicas[1].get("audit")["audit"]
        return [row["kind"] for row in rows if row["kind"].startswith("watchdog")][::-1]

    alertmanager.post_alerts(WATCHDOG)
    until(lambda: metric(replicas[0], 'amend_deliveries_total{result="stored"}') >= 2, why="it comes")
    assert (silent(), told()) == ([0, 0], [])

    alertmanager.kill9()
    until(lambda: silent() == [1, 1], why="both miss it")
    (message,) = (request.json()["message"] for request in recorder.wait_for(1))
    assert 'the alert "Watchdog", which always fires, has not come for' in message

    alertmanager.start()
    alertmanager.post_alerts(WATCHDOG)
    until(lambda: silent() == [0, 0], why="both hear it again")
    assert [request.json()["message"] for request in recorder.wait_for(2)][1:] == ['the alert "Watchdog" comes again']
    seen = metric(replicas[0], 'amend_deliveries_total{result="stored"}')
    until(lambda: metric(replicas[0], 'amend_deliveries_total{result="stored"}') >= seen + 2, why="it goes on coming")
    assert len(told()) == 2
    assert kinds() == ["watchdog_silent", "watchdog_back"]
