"""Asking a real Prometheus for its history, and what is told when it is slow, locked, away, or something else.

What a real one does only under great load is played by a recorder, or by a proxy in front of it.
"""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import typer

from receiver.commands.rules.options import live_prometheus
from receiver.errors import Permanent, Temporary
from receiver.rulegen import live
from receiver.rulegen.live import LivePrometheus, NotThere, RangeSeries, Sample, TooMuch
from tests.bed.http_recorder import HttpRecorder
from tests.bed.processes import free_port, until
from tests.bed.prometheus import Prometheus
from tests.bed.proxy import Fault, Proxy

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
STEP = timedelta(seconds=1)
MOMENTS = 17_281  #: more than one answer may hold
END = BEGIN + (MOMENTS - 1) * STEP


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It scrapes itself, and knows a line of some hours; it refuses to load more than 4,000 samples for a query."""
    directory = tmp_path_factory.mktemp("live")
    lines = (f'line{{name="a"}} {moment} {(BEGIN + moment * STEP).timestamp():.0f}' for moment in range(MOMENTS))
    rules = directory / "rules.yml"
    rules.write_text(
        "groups:\n- name: some\n  interval: 7s\n  rules:\n  - {record: ups, expr: count(up)}\n"
        "  - {alert: Down, expr: up == 0, for: 5m, labels: {severity: high}}\n"
    )
    history = "# TYPE line gauge\n" + "\n".join(lines)
    flags = ["--query.max-samples=4000"]
    with Prometheus(directory, history=history, rules=[rules], flags=flags) as prometheus:
        config = prometheus.config.read_text().replace("scrape_configs: []", f"scrape_configs: [{_itself(prometheus)}]")
        prometheus.config.write_text(config)
        prometheus.reload()
        until(lambda: prometheus.query("up == 1"), why="Prometheus scrapes itself")
        yield prometheus


def _itself(prometheus: Prometheus) -> str:
    return f'{{job_name: itself, static_configs: [{{targets: ["{prometheus.address}"]}}]}}'


@pytest.fixture
def asked(prometheus: Prometheus) -> Iterator[LivePrometheus]:
    with LivePrometheus(prometheus.url) as asked:
        yield asked


# ── what a real one answers ──


def test_a_long_history_comes_in_chunks_with_each_moment_once(asked: LivePrometheus) -> None:
    shares: list[float] = []
    chunks = list(asked.range("line", BEGIN, END, STEP, on_progress=shares.append))
    found = [sample for chunk in chunks for series in chunk.series for sample in series.samples]
    assert found == [((BEGIN + moment * STEP).timestamp(), float(moment)) for moment in range(MOMENTS)]
    assert len(chunks) > 2
    assert all(chunk.start <= chunk.end < later.start for chunk, later in pairwise(chunks))
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_chunks_are_halved_until_prometheus_can_load_them(asked: LivePrometheus) -> None:
    # 60 samples for each moment: never more than 66 moments at once
    chunks = list(asked.range("sum_over_time(line[1m])", BEGIN, END, 20 * STEP))
    assert {chunk.series[0].labels["name"] for chunk in chunks} == {"a"}
    assert sum(len(chunk.series[0].samples) for chunk in chunks) == (MOMENTS - 1) // 20 + 1


def test_what_is_too_much_at_a_single_moment_is_refused_with_the_way_out(asked: LivePrometheus) -> None:
    with pytest.raises(TooMuch, match=r"too many samples.*; ask for less, or raise its limits"):
        list(asked.range("sum_over_time(line[4h])", END - STEP, END, STEP))


def test_a_history_without_samples_is_empty_chunks(asked: LivePrometheus) -> None:
    chunks = list(asked.range("nothing", BEGIN, END, timedelta(minutes=1)))
    assert [chunk.series for chunk in chunks] == [[]] * len(chunks)
    assert chunks[0].start == BEGIN
    assert chunks[-1].end == END


def test_the_end_is_asked_about_only_where_a_step_meets_it(asked: LivePrometheus) -> None:
    (chunk,) = asked.range("line", BEGIN, BEGIN + 2.5 * STEP, STEP)
    begin = BEGIN.timestamp()
    assert chunk.series == [
        RangeSeries({"__name__": "line", "name": "a"}, [(begin, 0), (begin + 1, 1), (begin + 2, 2)])
    ]


@pytest.mark.parametrize(
    ("end", "step"), [(BEGIN - STEP, STEP), (END, timedelta()), (END, timedelta(microseconds=1500))]
)
def test_a_history_that_cannot_be_is_a_mistake_of_the_caller(
    asked: LivePrometheus, end: datetime, step: timedelta
) -> None:
    with pytest.raises(ValueError, match="no history from"):
        list(asked.range("line", BEGIN, end, step))


def test_instant_queries_tell_vectors_and_scalars_at_any_time(asked: LivePrometheus) -> None:
    assert asked.instant("line", END) == [Sample({"__name__": "line", "name": "a"}, MOMENTS - 1)]
    assert asked.instant("1 / 0") == [Sample({}, float("inf"))]
    assert asked.instant("nothing") == []


def test_it_tells_what_is_scraped_and_kept(asked: LivePrometheus, prometheus: Prometheus) -> None:
    (target,) = asked.targets()
    assert (target.labels["job"], target.health, target.interval) == ("itself", "up", timedelta(seconds=1))
    assert asked.metadata("prometheus_build_info")["prometheus_build_info"].type == "gauge"
    assert asked.metadata()["prometheus_http_request_duration_seconds"].type == "histogram"
    assert asked.retention() == timedelta(days=365)
    assert asked.version()
    assert asked.series(['{name="a"}'], BEGIN, END) == [{"__name__": "line", "name": "a"}]
    assert len(asked.series(['{job="itself"}'], END, datetime.now(UTC), 3)) == 3
    assert asked.label_values("job", ["up"]) == ["itself"]


def test_it_tells_the_rules(asked: LivePrometheus) -> None:
    record, alert = asked.rules()
    assert (record.kind, record.name, record.expr, record.group) == ("recording", "ups", "count(up)", "some")
    assert record.interval == timedelta(seconds=7)
    assert (alert.kind, alert.hold, alert.labels) == ("alerting", timedelta(minutes=5), {"severity": "high"})


def test_a_question_that_is_no_promql_is_refused_in_prometheus_words(asked: LivePrometheus) -> None:
    with pytest.raises(Permanent, match=r"refuses the question: .*unclosed left parenthesis"):
        asked.instant("sum(")


def test_a_wrong_path_is_told(prometheus: Prometheus) -> None:
    with (
        LivePrometheus(f"{prometheus.url}/elsewhere/") as asked,
        pytest.raises(NotThere, match="name its address with"),
    ):
        asked.instant("up")


# ── what stands in the way ──


def refusal(url: str, kind: type[Exception] = Permanent, **options: float) -> str:
    with LivePrometheus(url, answer_within=options.get("within", 30)) as asked, pytest.raises(kind) as refused:
        asked.instant("up")
    assert str(refused.value).startswith(url)
    return str(refused.value)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, b"", "wants to know who asks, or does not believe it (401); give --bearer-token-file, or --username"),
        (403, b"", "does not let this user ask for /api/v1/query (403); ask with other credentials"),
        (200, b"<html>", "is no Prometheus: /api/v1/query gives status 200"),
        (200, b"[" * 5000, "is no Prometheus"),
        (200, b'{"status":"success","data":{"result":[{"metric":3}]}}', "not in Prometheus' form"),
        (404, b"", "is no Prometheus: /api/v1/query gives status 404"),
        (422, b'{"status":"error","error":"the query hit a limit: too many series"}', "ask for less"),
    ],
)
def test_each_refusal_is_told_with_its_way_out(recorder: HttpRecorder, status: int, body: bytes, words: str) -> None:
    recorder.answer(status, body)
    assert words in refusal(recorder.url)
    assert len(recorder.requests) == 1, "a refusal is not tried again"


def test_credentials_do_not_follow_a_redirect(recorder: HttpRecorder) -> None:
    recorder.answer(302, headers={"Location": "http://elsewhere.example.com/login"})
    assert "sends us to http://elsewhere.example.com/login; name Prometheus' own address" in refusal(recorder.url)


@pytest.mark.parametrize("status", [429, 503])
def test_what_may_pass_is_tried_again_a_few_times(recorder: HttpRecorder, status: int) -> None:
    recorder.answer(status, b'{"status":"error","error":"busy"}')
    assert "cannot answer now: busy; try again later" in refusal(recorder.url, Temporary)
    assert len(recorder.requests) == 4


def test_it_goes_on_when_prometheus_comes_back(recorder: HttpRecorder) -> None:
    recorder.answer(503)
    answers: list[Callable[[], None]] = [
        lambda: recorder.answer(200, json.dumps({"status": "success", "data": {"version": "3.1.0"}}).encode())
    ]
    respond = recorder.respond

    def busy_once(request: object) -> None:
        respond(request)  # type: ignore[arg-type]
        while answers:
            answers.pop()()

    recorder.respond = busy_once  # type: ignore[method-assign]
    with LivePrometheus(recorder.url) as asked:
        assert asked.version() == "3.1.0"
    assert len(recorder.requests) == 2


def test_nobody_there_is_told(recorder: HttpRecorder) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert "cannot be reached" in refusal(url, Temporary)


def test_an_answer_that_never_comes_is_given_up(recorder: HttpRecorder) -> None:
    recorder.stall()
    assert "no answer within 0.5 s" in refusal(recorder.url, Temporary, within=0.5)


def test_an_answer_that_drips_is_given_up(prometheus: Prometheus) -> None:
    host, _, port = prometheus.address.partition(":")
    with Proxy((host, int(port))) as proxy:
        proxy.fail(Fault.DRIP)
        assert "no answer within 1 s" in refusal(proxy.url, Temporary, within=1)


def test_prometheus_own_time_out_ends_before_ours_and_asks_for_less(prometheus: Prometheus) -> None:
    told = '{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}'
    with HttpRecorder() as recorder:
        recorder.answer(503, told.encode())
        with LivePrometheus(recorder.url) as asked, pytest.raises(TooMuch, match="timed out in expression evaluation"):
            asked.instant("up")
        assert b"timeout=54.000" in recorder.requests[0].body


def test_an_answer_without_end_is_cut_off(prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LARGEST_ANSWER", 5_000)
    with LivePrometheus(prometheus.url) as asked:
        with pytest.raises(TooMuch, match="ask for less"):
            asked.metadata()
        chunks = list(asked.range("line", BEGIN, BEGIN + 1000 * STEP, STEP))
    assert sum(len(chunk.series[0].samples) for chunk in chunks) == 1001


def test_what_another_store_does_not_tell_is_not_known(recorder: HttpRecorder) -> None:
    recorder.answer(404)
    with LivePrometheus(recorder.url) as asked:
        assert (asked.retention(), asked.version()) == (None, None)


@pytest.mark.parametrize(
    ("told", "known"), [("15d", 15), ("1w3d or 512MiB", 10), ("512MiB", None), ("", None), ("512MiB or 2d", 2)]
)
def test_retention_is_the_time_among_the_limits(recorder: HttpRecorder, told: str, known: int | None) -> None:
    recorder.answer(200, json.dumps({"status": "success", "data": {"storageRetention": told}}).encode())
    with LivePrometheus(recorder.url) as asked:
        assert asked.retention() == (None if known is None else timedelta(days=known))


# ── who asks ──


@pytest.mark.parametrize(
    "url",
    ["", "prometheus:9090", "ftp://x", "http://", "http://me:secret@127.0.0.1", "http://x/?a=b", "http://x:port"],
)
def test_what_is_no_address_is_refused_without_telling_a_password(url: str) -> None:
    with pytest.raises(Permanent) as refused:
        LivePrometheus(url)
    assert "secret" not in str(refused.value)


def test_a_token_or_a_password_comes_from_its_file(recorder: HttpRecorder, tmp_path: Path) -> None:
    recorder.answer(200, b'{"status":"success","data":{"resultType":"vector","result":[]}}')
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    with live_prometheus(
        recorder.url, bearer_token_file=secret, username=None, password_file=None, ca_file=None
    ) as asked:
        asked.instant("up")
    with live_prometheus(
        recorder.url, bearer_token_file=None, username="me", password_file=secret, ca_file=None
    ) as asked:
        asked.instant("up")
    basic = base64.b64encode(b"me:s3cret").decode()
    assert [each.headers["authorization"] for each in recorder.requests] == ["Bearer s3cret", f"Basic {basic}"]


def test_a_file_that_holds_no_token_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("two words\nand lines")
    with pytest.raises(Permanent, match="not one line of ASCII") as refused:
        LivePrometheus("http://127.0.0.1", bearer_token=secret.read_text())
    assert "words" not in str(refused.value)


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for path in (tmp_path / "ca.pem", tmp_path / "gone.pem"):
        with pytest.raises(Permanent, match="holds no certificates"):
            LivePrometheus("https://127.0.0.1", ca_file=path)


def test_commands_end_with_2_when_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with (
        pytest.raises(typer.Exit) as ended,
        live_prometheus(url, bearer_token_file=None, username=None, password_file=None, ca_file=None) as asked,
    ):
        asked.version()
    assert ended.value.exit_code == 2
    assert f"{url}: cannot be reached" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("token", "username", "password"), [("t", "u", "p"), (None, "u", None), (None, None, "p"), ("t", None, "p")]
)
def test_half_of_a_way_to_sign_in_is_wrong_usage(token: str | None, username: str | None, password: str | None) -> None:
    with (
        pytest.raises(typer.BadParameter),
        live_prometheus(
            "http://127.0.0.1",
            bearer_token_file=Path(token) if token else None,
            username=username,
            password_file=Path(password) if password else None,
            ca_file=None,
        ),
    ):
        pass
