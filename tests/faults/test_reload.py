"""A bad reload while deliveries come in: what was in force stays in force, nothing is lost, and it shows."""

import os
import signal
import threading
from contextlib import ExitStack
from pathlib import Path

from tests.bed.http_recorder import HttpRecorder
from tests.bed.processes import until
from tests.bed.receiver import alert
from tests.faults.test_deliveries import CALL, metric, receiver

BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 8)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

SUCCESSFUL = "amend_config_last_reload_successful"


def test_sighups_with_bad_files_under_load_keep_the_old_playbooks_and_every_delivery(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder
) -> None:
    amend = running.enter_context(receiver(tmp_path, recorder, limits={"actions_per_minute": 10_000}))
    good = CALL.format(url=recorder.url)
    stored: list[str] = []
    ended = threading.Event()

    def load() -> None:
        while not ended.wait(0.02):
            service = f"s{len(stored)}"
            assert amend.post(alert("Broken", service=service)).status_code == 200
            stored.append(f"/remedy/{service}")

    def rows(kind: str) -> int:
        return len(amend.get("audit", kind=kind, limit="100")["audit"])

    loading = threading.Thread(target=load)
    loading.start()
    try:
        bad = [BOMB, good.replace("name: call", "name: call\n  name: twice"), good[: len(good) // 2], "\x00", ""]
        for number, text in enumerate(bad, start=1):
            amend.playbook_file.write_text(text)
            os.kill(amend.pid, signal.SIGHUP)
            until(lambda number=number: rows("reload_refused") == number, why="it is refused")  # type: ignore[misc]
            assert metric(amend, SUCCESSFUL) == 0
            assert [each["name"] for each in amend.get("playbooks")["playbooks"]] == ["call"]
        amend.playbook_file.write_text(good)
        os.kill(amend.pid, signal.SIGHUP)
        until(lambda: rows("reloaded") == 1, why="it is taken")
        assert metric(amend, SUCCESSFUL) == 1
    finally:
        ended.set()
        loading.join()
    recorder.wait_for(len(stored))
    assert sorted(request.path for request in recorder.requests) == sorted(stored)
    assert amend.running
