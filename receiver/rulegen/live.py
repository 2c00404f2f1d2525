"""A running Prometheus, as the detection commands ask it: what it scrapes, what it keeps, and its history.

`amend rules init`, `backtest` and `tune` call it. Each answer is bounded in time and size, long histories come in
chunks, and an error says what to do about it.
"""

import asyncio
import json
import re
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx
import stamina

from receiver.durations import parse_duration
from receiver.errors import Permanent, Temporary

ANSWER_WITHIN: Final = 60.0  #: seconds
LARGEST_ANSWER: Final = 32 * 1024**2  #: bytes
MOST_POINTS: Final = 10_999  #: of each series in one answer: Prometheus refuses more than 11,000
FIRST_POINTS: Final = 240  #: of the first chunk, which tells how many series there are
MOST_SAMPLES: Final = 100_000  #: aimed at in one chunk: some 20 MB, once read

#: How Prometheus, Thanos, Mimir and VictoriaMetrics begin to say that a question reads or gives too much.
_TOO_MUCH = re.compile(r"too many|exceed|more than", re.IGNORECASE)
_MISSHAPEN = (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError)

Answer = TypeVar("Answer")

stamina.instrumentation.set_on_retry_hooks([])  # the last error is told; the tries before it are nobody's business


class TooMuch(Permanent):
    """More than Prometheus can work out, or we can read, at once: a part of it may be asked for."""


class NotThere(Permanent):
    """What answers does not know this part of Prometheus' API."""


@dataclass(frozen=True)
class Sample:
    """One series of an instant answer with its value."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class RangeSeries:
    """One series of a chunk, with its samples as (Unix time in seconds, value)."""

    labels: Mapping[str, str]
    samples: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Chunk:
    """All series of a part of a history; a series that has no sample in it is not among them."""

    start: datetime
    end: datetime  #: the last moment that was asked about
    series: Sequence[RangeSeries]


@dataclass(frozen=True)
class Metadata:
    """What a metric's exporter says of it."""

    type: str  #: counter, gauge, histogram, summary, info, stateset, unknown
    help: str
    unit: str


@dataclass(frozen=True)
class Target:
    """Something that is scraped now."""

    labels: Mapping[str, str]
    health: str  #: up, down, unknown
    interval: timedelta | None  #: between two scrapes; None where Prometheus does not tell


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule as Prometheus evaluates it."""

    kind: str  #: alerting or recording
    name: str
    expr: str
    labels: Mapping[str, str]
    group: str
    file: str
    interval: timedelta
    hold: timedelta  #: `for`


class LivePrometheus:
    """One Prometheus, or anything that answers like it. Use it in a `with` block.

    Every question raises Temporary when it was not answered after a few tries, and Permanent when it was refused.
    """

    def __init__(
        self,
        url: str,
        *,
        bearer_token: str | None = None,
        username: str | None = None,
        password: str | None = None,
        ca_file: Path | None = None,
        answer_within: float = ANSWER_WITHIN,
    ) -> None:
        self.url = _address(url)
        self._answer_within = answer_within
        # The synchronous client's time-outs begin anew with every byte, so that an answer that drips never ends;
        # asyncio's end the whole question.
        self._loop = asyncio.Runner()
        self._client = httpx.AsyncClient(
            timeout=answer_within,
            follow_redirects=False,  # credentials go to the address that was given, and nowhere else
            trust_env=False,
            verify=_trusted(ca_file),
            auth=(username, password or "") if username is not None else None,
            headers={"Authorization": f"Bearer {_one_word(bearer_token)}"} if bearer_token is not None else None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._client.aclose())
        self._loop.close()

    def instant(self, expr: str, at: datetime | None = None) -> list[Sample]:
        """The instant vector (or scalar, as one sample without labels) that an expression gives."""
        form = {"query": expr, "timeout": self._own_timeout}
        if at is not None:
            form["time"] = _moment(at)
        data = self._ask("POST", "/api/v1/query", form)
        return self._read(_samples, data)

    def range(
        self,
        expr: str,
        start: datetime,
        end: datetime,
        step: timedelta,
        *,
        on_progress: Callable[[float], None] | None = None,
    ) -> Iterator[Chunk]:
        """What the expression gave at `start`, every `step` after it, and no later than `end`, in the order of time.

        Each moment is asked about once, one chunk at a time, as much in it as Prometheus and our memory can bear.
        `on_progress` is told the share that is done.
        """
        if step <= timedelta() or step % timedelta(milliseconds=1) or end < start:
            raise ValueError(f"no history from {start} to {end} in steps of {step}; a step is whole milliseconds")
        moments = (end - start) // step + 1
        done, points, most = 0, FIRST_POINTS, MOST_POINTS
        while done < moments:
            points = min(points, most, moments - done)
            first, last = start + done * step, start + (done + points - 1) * step
            try:
                series = self._history(expr, first, last, step)
            except TooMuch:
                if points == 1:
                    raise
                most = points // 2
                continue
            yield Chunk(first, last, series)
            done += points
            if on_progress:
                on_progress(done / moments)
            # Four times the points at most: in a past that is empty one cannot see how many series will come.
            points = max(1, min(4 * points, MOST_SAMPLES // max(1, len(series))))

    def metadata(self, metric: str = "") -> dict[str, Metadata]:
        """By metric, of one or of all that are scraped now. A histogram stands under its name without `_bucket`."""
        data = self._ask("GET", "/api/v1/metadata", {"metric": metric} if metric else {})
        return self._read(_metadata, data)

    def series(
        self, matchers: Sequence[str], start: datetime, end: datetime, limit: int | None = None
    ) -> list[dict[str, str]]:
        """The labels of every series that one of the selectors matches; the first `limit` of them."""
        form = {"match[]": list(matchers), "start": _moment(start), "end": _moment(end)}
        # Before 2.53 Prometheus does not know `limit`, and answers them all.
        data = self._ask("POST", "/api/v1/series", form | ({"limit": str(limit)} if limit else {}))
        return self._read(lambda data: [dict(labels) for labels in data[:limit]], data)

    def label_values(self, label: str, matchers: Sequence[str] = ()) -> list[str]:
        """The values that a label has, in the series that one of the selectors matches."""
        data = self._ask("GET", f"/api/v1/label/{quote(label, safe='')}/values", {"match[]": list(matchers)})
        return self._read(lambda data: [str(value) for value in data], data)

    def targets(self) -> list[Target]:
        """What is scraped now."""
        data = self._ask("GET", "/api/v1/targets", {"state": "active"})
        return self._read(lambda data: [_target(item) for item in data["activeTargets"]], data)

    def rules(self) -> list[Rule]:
        """Every rule that it evaluates."""
        data = self._ask("GET", "/api/v1/rules", {})
        return self._read(_rules, data)

    def retention(self) -> timedelta | None:
        """For how long it keeps samples; None where it does not tell, or where size alone decides."""
        try:
            data = self._ask("GET", "/api/v1/status/runtimeinfo", {})
        except NotThere:
            return None
        return self._read(_retention, data)

    def version(self) -> str | None:
        """Such as 2.42.0; None where it does not tell."""
        try:
            data = self._ask("GET", "/api/v1/status/buildinfo", {})
        except NotThere:
            return None
        return self._read(lambda data: str(data["version"]), data)

    def _history(self, expr: str, first: datetime, last: datetime, step: timedelta) -> list[RangeSeries]:
        form = {
            "query": expr,
            "start": _moment(first),
            "end": _moment(last),
            "step": f"{step.total_seconds():.3f}",
            "timeout": self._own_timeout,
        }
        data = self._ask("POST", "/api/v1/query_range", form)
        return self._read(_range_series, data)

    @property
    def _own_timeout(self) -> str:
        """Prometheus gives up a little before we do, so that it can say so."""
        return f"{self._answer_within * 0.9:.3f}"

    def _read(self, reader: Callable[[Any], Answer], data: Any) -> Answer:
        try:
            return reader(data)
        except _MISSHAPEN as error:
            odd = f"{self.url}: answers, but not in Prometheus' form ({error!r}); is it a Prometheus?"
            raise Permanent(odd) from error

    def _ask(self, method: str, path: str, form: Mapping[str, Any]) -> Any:
        """The `data` of an answer, tried again for some seconds while there is none."""
        for attempt in stamina.retry_context(on=Temporary, attempts=4, timeout=self._answer_within, wait_initial=0.2):
            with attempt:
                status, headers, body = self._loop.run(self._fetch(method, path, form))
                return self._data(path, status, headers, body)
        raise AssertionError("stamina gives up by an exception")

    async def _fetch(self, method: str, path: str, form: Mapping[str, Any]) -> tuple[int, httpx.Headers, bytes]:
        body = bytearray()
        data, params = (form, None) if method == "POST" else (None, form)
        try:
            async with (
                asyncio.timeout(self._answer_within),
                self._client.stream(method, self.url + path, data=data, params=params) as response,
            ):
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > LARGEST_ANSWER:
                        raise TooMuch(f"{self.url}: answers more than {LARGEST_ANSWER // 1024**2} MiB; ask for less")
        except (httpx.TimeoutException, TimeoutError) as error:
            raise Temporary(
                f"{self.url}: no answer within {self._answer_within:g} s; is it overloaded, or behind a firewall?"
            ) from error
        except httpx.RequestError as error:
            raise self._away(error) from error
        return response.status_code, response.headers, bytes(body)

    def _away(self, error: httpx.RequestError) -> Exception:
        said = str(error) or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in said:
            return Permanent(f"{self.url}: its certificate is not trusted ({said}); give its authority with --ca-file")
        return Temporary(f"{self.url}: cannot be reached: {said}; is this the address of Prometheus, and is it up?")

    def _data(self, path: str, status: int, headers: httpx.Headers, body: bytes) -> Any:
        if status == 401:
            way_out = "give --bearer-token-file, or --username and --password-file"
            raise Permanent(f"{self.url}: wants to know who asks, or does not believe it (401); {way_out}")
        if status == 403:
            raise Permanent(f"{self.url}: does not let this user ask for {path} (403); ask with other credentials")
        if 300 <= status < 400:
            to = headers.get("location", "nowhere")
            raise Permanent(f"{self.url}: sends us to {to}; name Prometheus' own address")
        answer = _json(body)
        if status == 200 and answer.get("status") == "success" and "data" in answer:
            return answer["data"]
        said = str(answer["error"]) if "error" in answer else f"status {status}"
        if status == 429 or (status >= 500 and answer.get("errorType") != "timeout"):
            raise Temporary(f"{self.url}: cannot answer now: {said}; try again later")
        if answer.get("errorType") == "timeout" or ("error" in answer and _TOO_MUCH.search(said)):
            raise TooMuch(f"{self.url}: {said}; ask for less, or raise its limits")
        if status in {400, 422} and "error" in answer:
            raise Permanent(f"{self.url}: refuses the question: {said}")
        raise NotThere(f"{self.url}: is no Prometheus: {path} gives status {status}; name its address with its path")


def _address(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Permanent(f"{url}: is no address: {error}; write for example http://127.0.0.1:9090") from error
    if parsed.userinfo:
        raise Permanent("the address holds a password; give --username and --password-file instead")
    if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.query or parsed.fragment:
        raise Permanent(f"{url}: is no address of a Prometheus; write for example http://127.0.0.1:9090")
    return url.rstrip("/")


def _trusted(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # SSLError is one
        raise Permanent(f"{ca_file}: holds no certificates: {error.strerror or error}; give a PEM file") from error


def _one_word(token: str) -> str:
    if not re.fullmatch(r"[!-~]+", token):
        raise Permanent("the bearer token is not one line of ASCII characters; is it the right file?")
    return token


def _moment(at: datetime) -> str:
    return f"{at.timestamp():.3f}"


def _json(body: bytes) -> dict[str, Any]:
    """The object that it is; nothing, where it is something else, such as a web page."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _samples(data: Any) -> list[Sample]:
    if data["resultType"] in {"scalar", "string"}:
        return [Sample({}, float(data["result"][1]))]
    # A native histogram has no `value`.
    return [Sample(dict(item["metric"]), float(item["value"][1])) for item in data["result"] if "value" in item]


def _range_series(data: Any) -> list[RangeSeries]:
    return [
        RangeSeries(dict(item["metric"]), [(float(at), float(value)) for at, value in item["values"]])
        for item in data["result"]
        if "values" in item
    ]


def _metadata(data: Any) -> dict[str, Metadata]:
    # Several exporters may tell different things of one name; Prometheus lists the most frequent in no order.
    return {
        name: Metadata(str(told[0]["type"]), str(told[0]["help"]), str(told[0].get("unit", "")))
        for name, told in data.items()
        if told
    }


def _target(item: Any) -> Target:
    interval = item.get("scrapeInterval")
    return Target(dict(item["labels"]), str(item["health"]), parse_duration(interval) if interval else None)


def _rules(data: Any) -> list[Rule]:
    return [_rule(group, item) for group in data["groups"] for item in group["rules"]]


def _rule(group: Any, item: Any) -> Rule:
    return Rule(
        kind=str(item["type"]),
        name=str(item["name"]),
        expr=str(item["query"]),
        labels=dict(item.get("labels", {})),
        group=str(group["name"]),
        file=str(group.get("file", "")),
        interval=timedelta(seconds=float(group["interval"])),
        hold=timedelta(seconds=float(item.get("duration", 0))),
    )


def _retention(data: Any) -> timedelta | None:
    """Of `15d`, `15d or 512MiB`, or `512MiB`."""
    for part in str(data.get("storageRetention", "")).split(" or "):
        try:
            return parse_duration(part)
        except ValueError:
            continue
    return None
