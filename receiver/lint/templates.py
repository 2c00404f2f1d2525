"""Which names of an alert a template reads, and which of them it can do without.

The lint asks it about the texts of playbooks, which render.py has found to be good templates.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import Environment, TemplateSyntaxError, meta, nodes

from receiver.conventions import NUMBERS

_PARSER = Environment(autoescape=True)  # parses only; render.py renders


ROOTS = ("annotations", "labels", "playbook", "run", "target", *NUMBERS)
"""What a template can begin a name with: the context of a case."""


@dataclass(frozen=True)
class Read:
    """`labels.service`, read by a template."""

    root: str  #: `labels`
    name: str  #: `service`
    optional: bool  #: a default stands in for it, or the template asks whether it is there


def reads(template: str) -> list[Read]:
    """Every name that a template reads, each once."""
    tree = _tree(template)
    optional = {name for node in _askers(tree) for name in _names(node)}
    return [Read(root, name, (root, name) in optional) for root, name in dict.fromkeys(_names(tree))]


def strangers(template: str) -> list[str]:
    """The names that a template begins with and that mean nothing."""
    return sorted(meta.find_undeclared_variables(_tree(template)) - set(ROOTS))


def _tree(text: str) -> nodes.Template:
    """An empty one for texts that are not templates: render.py has refused those that should have been."""
    try:
        return _PARSER.parse(text if "{" in text else "")
    except TemplateSyntaxError:
        return _PARSER.parse("")


def _askers(tree: nodes.Template) -> Iterator[nodes.Node]:
    """The parts that only ask whether something is there."""
    for filtered in tree.find_all(nodes.Filter):
        if filtered.name in {"default", "d"}:
            yield filtered
    for test in tree.find_all(nodes.Test):
        if test.name in {"defined", "undefined"}:
            yield test


def _names(tree: nodes.Node) -> Iterator[tuple[str, str]]:
    for read in tree.find_all((nodes.Getattr, nodes.Getitem)):
        match read:
            case nodes.Getattr(node=nodes.Name(name=root), attr=name):
                yield root, name
            case nodes.Getitem(node=nodes.Name(name=root), arg=nodes.Const(value=name)):
                yield root, str(name)
