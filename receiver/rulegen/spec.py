"""A spec file as a person wrote it, and the detectors that it means once preset and defaults are filled in.

generate.py loads specs here; every mistake in the file's shape is a ConfigError with its line. What needs more
than one value to judge (does `by` fit `expr`?) is checked in checks.py.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from receiver.conventions import ALERTNAME, DETECTOR, SERVICE, SEVERITY
from receiver.documents import Document, Place, load, parse
from receiver.durations import Duration
from receiver.errors import ConfigError
from receiver.rulegen.presets import PRESETS

SNAKE_CASE: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
RESERVED: Final = (ALERTNAME, DETECTOR, SEVERITY, SERVICE, "__name__", "le")


def _snake_case(value: object) -> object:
    if isinstance(value, str) and not SNAKE_CASE.fullmatch(value):
        raise ValueError(f'"{value}" is not snake_case; write for example latency_p95')
    return value


def _alert_name(value: object) -> object:
    if isinstance(value, str) and not LABEL_NAME.fullmatch(value):
        raise ValueError(f'"{value}" is no alert name; write for example LatencyAnomaly')
    return value


def _label_name(value: object) -> object:
    if isinstance(value, str) and not LABEL_NAME.fullmatch(value):
        raise ValueError(f'"{value}" is not a label name; letters, digits and _ make one')
    return value


def _own_label_name(value: object) -> object:
    if value in RESERVED:
        raise ValueError(f'"{value}" is written by Amend itself; choose another name')
    return _label_name(value)


def _share(value: object) -> object:
    """`10%` is 0.1."""
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)%", value)):
        return float(match[1]) / 100
    if isinstance(value, str):
        raise ValueError(f'"{value}" is not a share; write for example 10% or 0.1')
    return value


LabelName = Annotated[str, BeforeValidator(_label_name)]
Share = Annotated[float, BeforeValidator(_share), Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, populate_by_name=True)


class MinDeviation(_Shape):
    """Differences too small to matter; both hold, so the larger one decides."""

    absolute: Annotated[float, Field(gt=0)] | None = None
    relative: Share | None = None


class ScoreTiers(_Shape):
    """Severities by score, for people who think in 0…1."""

    score: Annotated[dict[LabelName, Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)]


def _tiers(value: object) -> object:
    if not isinstance(value, dict) or not value:
        raise ValueError(
            '"severity" maps severities to distances, as in {high: 3, critical: 4}, or {score: {high: 0.7}} to scores'
        )
    return ScoreTiers.model_validate(value) if isinstance(value.get("score"), dict) else value


Tiers = Annotated[ScoreTiers | dict[LabelName, Positive], BeforeValidator(_tiers)]


class Knobs(_Shape):
    """The keys that may stand in a detector or, for all detectors of the file, in `defaults`."""

    band: str | None = None
    interval: Duration | None = None
    by: tuple[LabelName, ...] | None = None
    unit: str | None = None
    window: Duration | None = None
    sigma: Positive | None = None
    direction: Literal["above", "below", "both"] | None = None
    min_samples: Annotated[int, Field(ge=2)] | None = None
    min_deviation: MinDeviation | None = None
    only_if: str | None = None
    hold: Annotated[Duration | None, Field(alias="for")] = None
    keep_firing_for: Duration | None = None
    severity: Tiers | None = None
    alert: Annotated[str, BeforeValidator(_alert_name)] | None = None
    runbook_url: str | None = None
    description: str | None = None


class Defaults(Knobs):
    preset: Literal["high_frequency", "balanced", "high_accuracy", "low_cost", "classic"] = "balanced"


class DetectorShape(Knobs):
    name: Annotated[str, BeforeValidator(_snake_case)]
    expr: str
    preset: Literal["high_frequency", "balanced", "high_accuracy", "low_cost", "classic"] | None = None


class SpecShape(_Shape):
    version: Literal["amend/v1"]
    service: str
    labels: dict[Annotated[str, BeforeValidator(_own_label_name)], str] = Field(default_factory=dict)
    grafana_url: str = ""
    defaults: Defaults = Defaults()
    detectors: Annotated[tuple[DetectorShape, ...], Field(min_length=1)]


@dataclass(frozen=True, kw_only=True)
class Detector:
    """One signal to watch, nothing left open."""

    name: str
    description: str
    expr: str
    by: tuple[str, ...]
    unit: str
    band: str
    interval: timedelta
    window: timedelta
    sigma: float
    direction: str
    min_samples: int
    absolute: float  #: the smallest difference from the usual level that matters
    relative: float  #: the same as a share of the usual level
    only_if: str | None
    hold: timedelta
    keep_firing_for: timedelta
    severity: Mapping[str, float]  #: distance in units of the band's scale, ascending
    alert: str
    runbook_url: str


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One spec file: what its detectors share, and where each stands for later errors."""

    document: Document
    service: str
    labels: Mapping[str, str]
    grafana_url: str
    detectors: tuple[Detector, ...]

    @property
    def path(self) -> Path:
        return self.document.path

    @property
    def name(self) -> str:
        """The file's name, which names what is generated from it."""
        return self.path.stem

    def error(self, index: int, key: str, message: str) -> ConfigError:
        """A mistake in one detector's key, or in the default that it took."""
        own: Place = ("detectors", index, key)
        default: Place = ("defaults", key)
        inherited = own not in self.document.lines and default in self.document.lines
        return self.document.error(default if inherited else own, f"{self.detectors[index].name}: {message}")


def load_spec(path: Path) -> Spec:
    """Read one spec file; ConfigErrors with file:line of each mistake in its shape."""
    document = load(path)
    shape = parse(document, SpecShape)
    return Spec(
        document=document,
        service=shape.service,
        labels=shape.labels,
        grafana_url=shape.grafana_url.rstrip("/"),
        detectors=tuple(_fill_in(each, shape.defaults) for each in shape.detectors),
    )


def _fill_in(own: DetectorShape, defaults: Defaults) -> Detector:
    """The detector's own word counts before its file's, its file's before the preset's."""
    preset = PRESETS[own.preset or defaults.preset]
    said = {**_said(defaults), **_said(own)}
    sigma: float = said.get("sigma", preset.sigma)
    small = {**_said(defaults.min_deviation), **_said(own.min_deviation)}
    return Detector(
        name=own.name,
        description=str(said.get("description", own.name.replace("_", " "))).strip(),
        expr=own.expr.strip("\n").rstrip(),
        by=said.get("by", ()),
        unit=said.get("unit", ""),
        band=said.get("band", preset.band),
        interval=said.get("interval", preset.interval),
        window=said.get("window", preset.window),
        sigma=sigma,
        direction=said.get("direction", "both"),
        min_samples=said.get("min_samples", preset.min_samples),
        absolute=small.get("absolute", preset.absolute),
        relative=small.get("relative", preset.relative),
        only_if=said.get("only_if"),
        hold=said.get("hold", preset.hold),
        keep_firing_for=said.get("keep_firing_for", preset.keep_firing_for),
        severity=_distances(said.get("severity"), sigma),
        alert=said.get("alert", _camel_case(own.name) + "Anomaly"),
        runbook_url=said.get("runbook_url", ""),
    )


def _said(shape: BaseModel | None) -> dict[str, Any]:
    """The keys that the file really holds."""
    return {key: getattr(shape, key) for key in shape.model_fields_set} if shape else {}


def _distances(tiers: ScoreTiers | dict[str, float] | None, sigma: float) -> Mapping[str, float]:
    match tiers:
        case None:
            # Below page level on purpose: an anomaly alone should wake nobody.
            found = {"medium": sigma, "high": round(sigma * 4 / 3, 2)}
        case ScoreTiers():
            # score = d/(1+d) with d = distance/sigma, solved for the distance
            found = {name: sigma * score / (1 - score) for name, score in tiers.score.items()}
        case _:
            found = dict(tiers)
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _camel_case(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))
