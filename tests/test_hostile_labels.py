"""Whatever a label says, it changes no action, no path, no host and no program: counted at servers that record."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from receiver.run import Reason, Refusal
from receiver.settings.commands import Command
from receiver.settings.limits import Breaker, Limits
from receiver.settings.receivers import Receiver
from receiver.workload import Selector, Workload
from tests.bed.http_recorder import HttpRecorder
from tests.workbench import Bench, Platform

PLAYBOOK = """
- name: answer
  mode: enforce
  matchers: ['alertname="Slow"']
  target: {{docker: {{container: "{{{{ labels.service }}}}"}}}}
  cooldown: 0s
  steps:
  - restart: {{}}
  - http:
      url: "{url}/purge/{{{{ labels.service }}}}/now?by={{{{ labels.team }}}}"
      body: {{team: "{{{{ labels.team }}}}"}}
  - command: {{name: note, args: ["--team={{{{ labels.team }}}}", "{{{{ labels.service }}}}"]}}
  - notify: {{receiver: chat, message: "{{{{ labels.service }}}} {{{{ labels.team }}}}"}}
"""

HOSTILE = [
    "../../images/prune?force=1",
    "orders/../../x",
    "@evil.example/",
    "#",
    "?x=1&y=2",
    "{{ 7 * 7 }}",
    "{% for x in labels %}",
    "$(touch /tmp/pwned)",
    "`id`",
    "; reboot",
    "\r\nHost: evil.example",
    "--privileged",
    "-rf",
    "*",
    "https://evil.example/",
    "%2e%2e%2f",
    "..",
    ".",
    "\u202esredro",
]


class Strict(Platform):
    """Has only what it has, by exact name."""

    async def resolve(self, selector: Selector) -> Workload:
        if selector.name not in self.workloads:
            raise Refusal(Reason.NO_TARGET, "there is none")
        return await super().resolve(selector)


@pytest.fixture(scope="module")
def purging() -> Iterator[HttpRecorder]:
    with HttpRecorder() as server:
        yield server


@pytest.fixture(scope="module")
def chat() -> Iterator[HttpRecorder]:
    with HttpRecorder() as server:
        yield server


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, purging: HttpRecorder, chat: HttpRecorder) -> Iterator[Bench]:
    directory: Path = tmp_path_factory.mktemp("bench")
    program = directory / "note"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$#"\n')
    program.chmod(0o755)
    with Bench(
        directory,
        PLAYBOOK.format(url=purging.url),
        receivers=[Receiver.model_validate({"name": "chat", "webhook": {"url": chat.url}, "max_per_minute": 10_000})],
        commands={"note": Command(argv=(str(program),))},
        limits=Limits(actions_per_minute=10_000, targets_per_10m=10_000, breaker=Breaker(failures=10_000)),
    ) as bench:
        bench.platform = Strict("orders", "users")
        bench.worker = bench.another_worker("strict")
        yield bench


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    service=st.sampled_from(["orders", *HOSTILE]) | st.text(st.characters(codec="utf-8"), max_size=20),
    team=st.sampled_from(HOSTILE) | st.text(st.characters(codec="utf-8"), max_size=20),
)
@example(service="orders", team="../../x")
@example(service="orders", team="-rf")
def test_no_label_changes_what_is_done_or_where(
    bench: Bench, purging: HttpRecorder, chat: HttpRecorder, service: str, team: str
) -> None:
    bench.calls.clear()
    purging.requests.clear()
    chat.requests.clear()
    bench.now += timedelta(days=1)
    bench.fire(service=service.replace("\x00", ""), team=team.replace("\x00", ""))
    assert {what for what, _ in bench.calls} <= {"restart"}
    assert {name for _, name in bench.calls} <= {"orders", "users"} & {service}
    for request in purging.requests:
        parts = urlsplit(request.path)
        assert request.headers["host"] == urlsplit(purging.url).netloc
        assert parts.path.startswith("/purge/")
        assert parts.path.endswith("/now")
        assert parts.path.count("/") == 3
        assert parts.query.startswith("by=")
        assert "&" not in parts.query
        assert set(request.json()) == {"team"}
    run = bench.run()
    told = [step for step in run.steps if step.verb == "command" and step.result]
    assert all(step.result["output"] == "2\n" for step in told)
    assert {step.verb for step in run.steps} <= {"restart", "http", "command", "notify"}
    if service == "orders":
        assert run.steps, run.detail
