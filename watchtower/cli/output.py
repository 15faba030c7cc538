"""What commands share: the console, JSON on standard output, times from the command line."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any, Literal

from rich.console import Console

from watchtower.contract import parse_time
from watchtower.errors import InputError

PIPED = 240
"""Columns where the output is no terminal: tables are then for grep, and must not be cut."""

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPED)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def log_to_stderr(form: Literal["console", "json"]) -> None:
    """Log lines go to standard error: standard output is for the answer."""
    import structlog  # loading it takes longer than most commands need

    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    shown = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[structlog.processors.add_log_level, stamp, structlog.processors.format_exc_info, shown],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def time_option(text: str, name: str) -> datetime:
    """A time given on the command line. InputError names the option."""
    try:
        return parse_time(text)
    except ValueError as error:
        raise InputError(f"{name}: {str(error).removeprefix('time: ')}") from None
