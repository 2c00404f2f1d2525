"""Templates of playbooks over an alert's labels and annotations, in a sandbox that cannot loop, call or grow.

Playbooks are checked here when they are read and rendered when a run needs them. The text of a label is data: it is
never read as a template, and in a URL it is percent-encoded.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from receiver.errors import AmendError

LONGEST = 16 * 1024  #: characters of a template
LARGEST = 64 * 1024  #: characters of what it renders to

FILTERS = ("default", "d", "float", "int", "lower", "round", "string", "title", "trim", "upper")
_ALLOWED = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Const),
    *(nodes.Filter, nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not),
    *(nodes.Test, nodes.Concat, nodes.Keyword, nodes.Pair),
)


class Unrenderable(AmendError):
    """A template names something that the alert does not carry, or grew too large."""


class Names:
    """Read-only names for a template: `labels.items` is the label "items", not a method."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]


class _Missing(StrictUndefined):
    """Stops a template that uses a name which is not there, and tells the name."""

    @property
    def _undefined_message(self) -> str:
        return f'the template names "{self._undefined_name}", which is not there'


class _Sandbox(ImmutableSandboxedEnvironment):
    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ARG002
        return False  # what a template may see is reached by Names' items alone


def _sandbox(*, finalize: Any = None) -> _Sandbox:
    sandbox = _Sandbox(undefined=_Missing, autoescape=False, finalize=finalize, cache_size=512)
    sandbox.filters = {name: sandbox.filters[name] for name in FILTERS}
    sandbox.globals = {}
    return sandbox


_TEXT = _sandbox()
_URL = _sandbox(finalize=lambda value: quote(str(value), safe=""))


def check(template: str) -> None:
    """Refuse, when a playbook is read, what could not be rendered safely; ValueError with the way out."""
    if len(template) > LONGEST:
        raise ValueError(f"a template is longer than {LONGEST} characters")
    try:
        tree = _TEXT.parse(template)
        _check_nodes(tree)  # before compiling, which would work out 'a' * 300000000
        _TEXT.compile(tree)
    except TemplateSyntaxError as error:
        # as in rules and in Alertmanager's templates, which are Go's
        gos = re.search(r"\{\{-?\s*[.$]", template)
        way_out = "; write {{ labels.name }}, without a dot or a $ before it" if gos else ""
        raise ValueError(f"not a template: {error.message}{way_out}") from error
    except (TemplateError, RecursionError) as error:
        raise ValueError(f"not a template: {error}") from error


def _check_nodes(tree: nodes.Template) -> None:
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _ALLOWED):
            raise ValueError(
                f"a template may not use {type(node).__name__.lower()}; "
                f"take {{{{ labels.name }}}}, if/else, and the filters {', '.join(FILTERS)}"
            )


def render(template: str, context: Mapping[str, Any]) -> str:
    """A checked template with its values filled in; Unrenderable otherwise."""
    return _render(_TEXT, template, context)


def render_url(template: str, context: Mapping[str, Any]) -> str:
    """As `render`, with every filled-in value percent-encoded: no label adds a path, a query or a host."""
    url = _render(_URL, template, context)
    # dots need no encoding, and HTTP clients take a step back at `/../`
    if {".", ".."} & set(urlsplit(url).path.split("/")):
        raise Unrenderable("the URL's path has a segment . or ..")
    return url


@lru_cache(maxsize=1024)
def _compiled(sandbox: _Sandbox, template: str) -> Template:
    """Checked once more than when it was read; the texts are those of the playbooks, and each comes again and again."""
    check(template)
    return sandbox.from_string(template)


def _render(sandbox: _Sandbox, template: str, context: Mapping[str, Any]) -> str:
    if "{" not in template:
        return template
    pieces, size = [], 0
    try:
        for piece in _compiled(sandbox, template).generate(context):
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST:
                raise Unrenderable(f"renders to more than {LARGEST} characters")
    except (TemplateError, ValueError, TypeError, ArithmeticError) as error:
        raise Unrenderable(str(error)) from error
    return "".join(pieces)
