"""Who is asked what may be behind an alert."""

from datetime import timedelta

from receiver.documents import Part
from receiver.settings.values import OpenUrl, SomeTime


class Analyze(Part):
    """A model that speaks Ollama's HTTP, best on the same machine: it gets to see labels and log lines."""

    url: OpenUrl
    model: str
    timeout: SomeTime = timedelta(seconds=30)


class Loki(Part):
    url: OpenUrl
