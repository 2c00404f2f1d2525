"""How the pages show values: every text escaped, control and bidi characters spelled out, instants in UTC with an age.

The pages render their templates here. What a label holds can neither change a page's markup nor its reading order.
"""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from receiver.visible import visible
from receiver.web.explain import sentence, standing

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"

SHORT = 80  #: characters of a value in a table


def look(clock: Callable[[], datetime]) -> Environment:
    """The environment of the templates; `clock` is what ages are counted from."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "age": lambda moment: age(clock() - moment),
        "utc": lambda moment: f"{moment:%Y-%m-%d %H:%M:%S}",
        "took": _took,
        "short": _short,
        "lines": lines,
        "pretty": lambda value: lines(json.dumps(value, indent=2, sort_keys=True)),
        "sentence": sentence,
        "standing": standing,
        "moment": _moment,
    }
    environment.globals |= {"link": link}
    return environment


def lines(text: str) -> Markup:
    """Text whose line feeds are meant."""
    return Markup("\n").join(escape(visible(line)) for line in text.split("\n"))


def link(path: str, **parameters: Any) -> str:
    """A path with a query string; parameters that are empty are left out, lists are repeated."""
    given = {name: value for name, value in parameters.items() if value}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def age(passed: timedelta) -> str:
    """`12s ago`, `5m ago`, `in 3h`."""
    seconds = round(abs(passed.total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            text = f"{seconds // size}{unit}"
            break
    else:
        text = f"{seconds}s"
    return f"in {text}" if passed < timedelta(seconds=-1) else f"{text} ago"


def _finalize(value: object) -> object:
    """What each {{ expression }} goes through before it is escaped."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= SHORT else f"{text[: SHORT - 1]}…"


def _took(passed: timedelta) -> str:
    seconds = passed.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _moment(text: object) -> datetime | None:
    """An instant out of a run's state or an audit row, where it is one."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
