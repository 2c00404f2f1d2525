"""A spec file as text, to change numbers in it and nothing else.

tune.py writes its proposals with this; comments, order and layout stay as a person wrote them.
"""

from collections.abc import Mapping, Sequence

import yaml

from receiver.rulegen.promql import number

Numbers = Mapping[str, float | Mapping[str, float]]
"""Keys of a detector with their new values: `{"sigma": 4.2, "severity": {"high": 4.2}}`."""

_Change = tuple[int, int, str]  #: from and to which character, and what stands there instead


def changed(text: str, detectors: Mapping[int, Numbers]) -> str:
    """The text with new numbers for some of its detectors, by their place in the list."""
    root = yaml.compose(text, Loader=yaml.CSafeLoader)
    items = _value(root, "detectors")
    assert isinstance(items, yaml.SequenceNode), "only files that spec.py has read are changed"
    changes = [
        change for index, numbers in detectors.items() for change in _of_detector(text, items.value[index], numbers)
    ]
    for start, end, instead in sorted(changes, reverse=True):
        text = text[:start] + instead + text[end:]
    return text


def _of_detector(text: str, detector: yaml.Node, numbers: Numbers) -> list[_Change]:
    changes, missing = [], {}
    for key, new in numbers.items():
        node = _value(detector, key)
        if node is None:
            missing[key] = new
        else:
            changes += _replaced(node, new)
    return [*changes, *_added(text, detector, missing)]


def _replaced(node: yaml.Node, new: float | Mapping[str, float]) -> list[_Change]:
    if not isinstance(new, Mapping):
        return [(node.start_mark.index, node.end_mark.index, number(new))]
    values = [(_value(node, key), value) for key, value in new.items()]
    return [(each.start_mark.index, each.end_mark.index, number(value)) for each, value in values if each]


def _added(text: str, detector: yaml.Node, missing: Numbers) -> Sequence[_Change]:
    """After the detector's name, which every detector has; one change, for all begin at one place."""
    name = _value(detector, "name")
    assert isinstance(detector, yaml.MappingNode), "a detector is a mapping"
    assert name is not None, "a detector has a name"
    if not missing:
        return []
    told = [f"{key}: {_written(value)}" for key, value in missing.items()]
    if detector.flow_style:
        end = name.end_mark.index
        return [(end, end, "".join(f", {each}" for each in told))]
    end = text.find("\n", name.end_mark.index)  # behind a comment on the same line
    end = len(text) if end < 0 else end
    column = detector.value[0][0].start_mark.column
    return [(end, end, "".join(f"\n{' ' * column}{each}" for each in told))]


def _written(value: float | Mapping[str, float]) -> str:
    if not isinstance(value, Mapping):
        return number(value)
    return f"{{{', '.join(f'{key}: {number(each)}' for key, each in value.items())}}}"


def _value(mapping: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(mapping, yaml.MappingNode):
        return None
    return next((value for name, value in mapping.value if name.value == key), None)
