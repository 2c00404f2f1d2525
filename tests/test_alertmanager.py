"""Alertmanager's API, asked of a real one: whether it still lists an alert."""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from receiver.alertmanager import Alertmanager
from tests.bed import alertmanager as bed
from tests.bed.http_recorder import HttpRecorder

HOSTILE = {"alertname": "Slow", "path": 'C:\\new "x", job="shop"\n} or {'}


def lists(url: str, labels: Mapping[str, str]) -> bool:
    async def ask() -> bool:
        asked = Alertmanager(url)
        try:
            return await asked.lists(labels)
        finally:
            await asked.close()

    return asyncio.run(ask())


def test_an_alert_is_found_by_exactly_its_labels_whatever_they_hold(
    running: ExitStack, recorder: HttpRecorder, tmp_path: Path
) -> None:
    real = running.enter_context(bed.Alertmanager(tmp_path, bed.to_webhook(recorder.url)))
    real.post_alerts({"labels": HOSTILE})
    assert lists(real.url, HOSTILE)
    assert not lists(real.url, {"alertname": "Slow"})
    assert not lists(real.url, {**HOSTILE, "path": 'C:\\new "x'})
