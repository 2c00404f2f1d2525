"""Plain rule files from what was generated in another format, so that promtool can read and test them.

`amend rules test` calls it on folders of PrometheusRule objects and of mixins.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from receiver.errors import ConfigError
from receiver.rulegen.mixin import ALERTS, RULES

_TEST: Final = ".test.yml"


def unwrapped(out: Path) -> Mapping[str, str]:
    """For every unit test of the folder: the rule file that it names, with the groups that it evaluates."""
    groups = {group["name"]: group for group in _groups(out)}
    files = {}
    for path in sorted(out.glob(f"*{_TEST}")):
        wanted: list[str] = _load(path)["group_eval_order"]
        if missing := [name for name in wanted if name not in groups]:
            lost = f'tests the group "{missing[0]}", which no rule file beside it has'
            raise ConfigError(path, None, f"{lost}; run `amend rules generate`")
        rules = {"groups": [groups[name] for name in wanted]}
        files[f"{path.name.removesuffix(_TEST)}.rules.yml"] = yaml.safe_dump(rules, sort_keys=False)
    return files


def _groups(out: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(out.glob("*.prometheusrule.yml")):
        yield from _load(path)["spec"]["groups"]
    for path in (out / RULES, out / ALERTS):
        if path.is_file():
            yield from _load(path)["groups"]


def _load(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError(path, None, f"is no YAML any more ({error}); run `amend rules generate`") from error
    return value
