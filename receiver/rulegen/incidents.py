"""Incidents that people remember: the windows of time in which a detector should have paged.

`amend rules backtest --labels` reads them from a file and holds the pages against them.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from receiver.documents import LARGEST, Document, did_you_mean, load, parse
from receiver.errors import ConfigError, ConfigErrors
from receiver.rulegen.history import Series
from receiver.rulegen.pages import Page
from receiver.rulegen.spec import Detector

_COLUMNS: Final = ("start", "end", "detector", "note")  #: of a CSV file; any other is a label


def _moment(value: object) -> object:
    if isinstance(value, datetime):
        return value
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f'"{value}" is not a time; write for example 2026-03-02T12:00:00Z') from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, BeforeValidator(_moment)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Incident(_Shape):
    """A window in which a page is right: of the detector and of the series with these labels, or of any."""

    start: Moment
    end: Moment
    detector: str | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)
    note: str = ""

    def concerns(self, detector: Detector) -> bool:
        return self.detector in (None, detector.name) and set(self.labels) <= set(detector.by)

    def matches(self, series: Series) -> bool:
        return self.labels.items() <= dict(series).items()

    def holds(self, page: Page) -> bool:
        """Whether the page began in it."""
        return self.start <= page.start <= self.end and self.matches(page.series)


class _File(_Shape):
    incidents: tuple[Incident, ...]


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Pages held against incidents."""

    incidents: int
    found: int
    pages: int
    right: int  #: pages that began in an incident
    delays: Sequence[timedelta]  #: from each found incident's start to its first page

    @property
    def recall(self) -> float | None:
        """The share of the incidents that had a page."""
        return self.found / self.incidents if self.incidents else None

    @property
    def precision(self) -> float | None:
        """The share of the pages that were about an incident."""
        return self.right / self.pages if self.pages else None

    @property
    def f1(self) -> float | None:
        recall, precision = self.recall, self.precision
        if recall is None or precision is None:
            return None
        return 2 * recall * precision / (recall + precision) if recall + precision else 0.0

    @property
    def delay(self) -> timedelta | None:
        """The usual one."""
        return timedelta(seconds=median(each.total_seconds() for each in self.delays)) if self.delays else None


def load_incidents(path: Path, detectors: Iterable[Detector]) -> list[Incident]:
    """Read a file of incidents, in YAML, JSON or CSV; ConfigErrors with the line of each mistake."""
    known = {detector.name: detector for detector in detectors}
    read = _of_csv(path) if path.suffix == ".csv" else _of_document(load(path))
    found, errors = [], []
    for line, incident in read:
        if isinstance(incident, ConfigError):
            errors.append(incident)
            continue
        found.append(incident)
        errors += [ConfigError(path, line, message) for message in _mistakes(incident, known)]
    if errors:
        raise ConfigErrors(errors)
    return found


def quality(pages: Sequence[Page], incidents: Sequence[Incident]) -> Quality:
    """How well these pages, of one severity, tell these incidents."""
    first = [min((page.start for page in pages if each.holds(page)), default=None) for each in incidents]
    return Quality(
        incidents=len(incidents),
        found=sum(each is not None for each in first),
        pages=len(pages),
        right=sum(any(each.holds(page) for each in incidents) for page in pages),
        delays=[at - each.start for at, each in zip(first, incidents, strict=True) if at is not None],
    )


def _mistakes(incident: Incident, known: Mapping[str, Detector]) -> Iterator[str]:
    if incident.end <= incident.start:
        yield f"the incident ends ({incident.end.isoformat()}) before it begins; change one of them"
    if incident.detector is not None and incident.detector not in known:
        yield f'no spec has a detector "{incident.detector}"{did_you_mean(incident.detector, list(known))}'
    named = known.get(incident.detector or "")
    candidates = [named] if named else list(known.values())
    labels = sorted({label for detector in candidates for label in detector.by})
    for name in incident.labels:
        if name not in labels:
            known_here = did_you_mean(name, labels) if labels else "; they have none"
            yield f'no series in question has the label "{name}"{known_here}'


def _of_document(document: Document) -> Iterator[tuple[int, Incident | ConfigError]]:
    for index, incident in enumerate(parse(document, _File).incidents):
        yield document.line(("incidents", index)), incident


def _of_csv(path: Path) -> Iterator[tuple[int, Incident | ConfigError]]:
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigError(path, None, f"is larger than {LARGEST // 1024} KiB")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(path, None, f"cannot be read: {error.strerror}; name a file that is there") from error
    except UnicodeDecodeError as error:
        raise ConfigError(path, None, f"is not UTF-8 text (byte {error.start})") from error
    rows = csv.DictReader(text.splitlines(), strict=True)
    if not {"start", "end"} <= {*(rows.fieldnames or ())}:
        raise ConfigError(path, 1, "the first line must name the columns, at least start and end; see the how-to")
    try:
        for row in rows:
            yield rows.line_num, _of_row(path, rows.line_num, row)
    except csv.Error as error:
        raise ConfigError(path, rows.line_num + 1, f"not CSV: {error}; look at the quotes") from error


def _of_row(path: Path, line: int, row: Mapping[str | None, Any]) -> Incident | ConfigError:
    if None in row or None in row.values():
        return ConfigError(path, line, "has another number of columns than the first line")
    cells = {str(name).strip(): str(cell).strip() for name, cell in row.items()}
    try:
        start, end = (_moment(cells[name]) for name in ("start", "end"))
    except ValueError as error:
        return ConfigError(path, line, str(error))
    return Incident.model_validate(
        {
            "start": start,
            "end": end,
            "detector": cells.get("detector") or None,
            "note": cells.get("note", ""),
            "labels": {name: cell for name, cell in cells.items() if name not in _COLUMNS and cell},
        }
    )
