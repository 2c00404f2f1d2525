"""Structured logs: constant messages with details as fields, as JSON lines or for a person's eyes.

Called once at start; every other file asks structlog for its logger. A file that cannot be written is a ConfigError.
"""

import logging
import logging.handlers
import sys
from pathlib import Path
from typing import Literal, TextIO

import structlog

from receiver.errors import ConfigError

LARGEST = 50 * 1024**2  #: bytes of a log file before it is rotated
KEPT = 5  #: rotated files


def configure(*, style: Literal["json", "console"], level: str, file: Path | None) -> None:
    """Send every log line, also those of libraries, to standard error or to a rotated file."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    out: logging.StreamHandler[TextIO] | logging.handlers.RotatingFileHandler
    if file:
        try:
            out = logging.handlers.RotatingFileHandler(file, maxBytes=LARGEST, backupCount=KEPT)
        except OSError as error:
            raise ConfigError(
                file, None, f"cannot be written: {error.strerror}; choose another logging.file in amend.yml"
            ) from error
    else:
        out = logging.StreamHandler()
    colors = file is None and sys.stderr.isatty()
    # repr_native_str keeps a label's line feeds and escape codes from writing lines of their own
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=30, repr_native_str=True)
    )
    out.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                last,
            ],
        )
    )
    logging.basicConfig(handlers=[out], level=level.upper(), force=True)
    for noisy in ("httpx", "httpcore", "alembic", "urllib3", "docker"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
