"""From a folder of specs to the files that Prometheus, promtool and Grafana read.

`amend rules generate` calls it. The same specs give the same bytes, on every machine.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from receiver.errors import AmendError, ConfigError, ConfigErrors
from receiver.rulegen import BANDS
from receiver.rulegen.alerts import alert_group
from receiver.rulegen.checks import check
from receiver.rulegen.dashboards import dashboard_file
from receiver.rulegen.overview import OVERVIEW, overview_file
from receiver.rulegen.pieces import Format, Pieces, all_specs, rule_files
from receiver.rulegen.spec import MARK, Spec, load_spec

MARKED_WITHIN: Final = 400  #: bytes from the start of a generated file in which its spec is named
SUFFIXES: Final = frozenset({".yml", ".yaml", ".json", ".libsonnet"})


@dataclass(frozen=True)
class Loaded:
    """All specs of a folder, found good, and what is doubtful about them."""

    specs: tuple[Spec, ...]
    warnings: tuple[ConfigError, ...]


@dataclass(frozen=True)
class Difference:
    """What stands in the output folders against what should."""

    stale: tuple[Path, ...]  #: missing, or with other content
    orphaned: tuple[Path, ...]  #: generated once, from a spec that is gone or in another format


def load_specs(folder: Path) -> Loaded:
    """Every `*.yml` of the folder; ConfigErrors with all mistakes of all of them."""
    if not folder.is_dir():
        wrong = "is a file" if folder.exists() else "is not there"
        raise ConfigError(folder, None, f"{wrong}; name a folder of specs (*.yml) with --specs")
    paths = sorted(folder.glob("*.yml"))
    if not paths:
        raise ConfigError(folder, None, "holds no spec (*.yml); write one, or name the folder with --specs")
    specs: list[Spec] = []
    errors = [
        ConfigError(path, None, "would be left out; rename it to end in .yml") for path in sorted(folder.glob("*.yaml"))
    ]
    for path in paths:
        try:
            specs.append(load_spec(path))
        except ConfigError as error:
            errors.append(error)
        except ConfigErrors as several:
            errors.extend(several.errors)
    errors.extend(
        ConfigError(path, None, "is named like the dashboard over all specs; rename it")
        for path in paths
        if f"{path.stem}.json" == OVERVIEW
    )
    findings = check(specs)
    if errors or findings.errors:
        raise ConfigErrors((*errors, *findings.errors))
    return Loaded(tuple(specs), findings.warnings)


def render(specs: Sequence[Spec], *, rules: Path, dashboards: Path, lay_out: Format = rule_files) -> dict[Path, bytes]:
    """All files that these specs mean, by their path."""
    pieces = [_pieces(spec) for spec in specs]
    files = {rules / name: text for name, text in lay_out(pieces).items()}
    files |= {rules / f"{each.name}.test.yml": each.test for each in pieces}
    files |= {dashboards / f"{each.name}.json": dashboard_file(each.spec) for each in pieces}
    files[dashboards / OVERVIEW] = overview_file(specs, all_specs(pieces))
    return {path: text.encode() for path, text in files.items()}


def compare(files: Mapping[Path, bytes]) -> Difference:
    """Which files on disk are not what they should be."""
    stale = [path for path, data in files.items() if not path.is_file() or path.read_bytes() != data]
    folders = sorted({path.parent for path in files})
    found = [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]
    ours = {_mark(data)[0] for data in files.values()}
    orphaned = (path for path in found if path not in files and _is_generated(path, ours))
    return Difference(tuple(stale), tuple(orphaned))


def write(files: Mapping[Path, bytes]) -> Difference:
    """Write what differs, remove what nothing means any more, and say which files that were."""
    difference = compare(files)
    for path in difference.stale:
        _write_whole(path, files[path])
    for path in difference.orphaned:
        path.unlink()
    return difference


def _pieces(spec: Spec) -> Pieces:
    recording = (group for each in spec.detectors for group in BANDS[each.band].groups(each))
    return Pieces(spec, tuple(recording), tuple(alert_group(spec, each) for each in spec.detectors))


def _is_generated(path: Path, folders: set[str]) -> bool:
    """Only what carries our mark, and came from these folders of specs, is ours to remove."""
    if not path.is_file() or path.suffix not in SUFFIXES:
        return False
    with path.open("rb") as file:
        folder, name = _mark(file.read(MARKED_WITHIN))
    return bool(name) and folder in folders


def _mark(start: bytes) -> tuple[str, str]:
    """Folder and name of the spec that a generated file begins by naming; empty where it names none."""
    text = start[:MARKED_WITHIN].decode(errors="replace").partition(f"{MARK} ")[2]
    folder, _, name = text.partition(";")[0].rpartition("/")
    return folder, name


def _write_whole(path: Path, data: bytes) -> None:
    """Prometheus may be reloading: it must find the old file or the new one, never half of one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        raise AmendError(f"{path}: cannot be written: {error.strerror}") from error
