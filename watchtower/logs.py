"""Logging: facts as fields, on standard error, so that standard output stays what a command answers."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog


def configure(form: str = "console", *, verbose: bool = False) -> None:
    """`form` is console or json; without `verbose` only warnings and worse are shown."""
    last: Any = structlog.processors.JSONRenderer()
    tail: list[Any] = [structlog.processors.format_exc_info, last]
    if form == "console":
        plain = structlog.dev.plain_traceback
        tail = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    # What it says of each job at INFO, we say ourselves.
    logging.getLogger("procrastinate").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *tail,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO if verbose else logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
