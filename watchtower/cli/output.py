"""What commands share: the console, JSON on standard output, times from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.console import Console

from watchtower.contract import parse_time
from watchtower.errors import InputError

PIPED = 240
"""Columns where the output is no terminal: tables are then for grep, and must not be cut."""

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPED)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def print_json_list(head: Mapping[str, Any], key: str, items: Iterable[Any]) -> None:
    """One JSON document: `head`, and under `key` a list, written as it comes."""
    begun = json.dumps(dict(head), ensure_ascii=False, indent=2)
    sys.stdout.write(f"{begun[:-2]},\n  {json.dumps(key)}: [")
    empty = True
    for item in items:
        text = json.dumps(item, ensure_ascii=False, indent=2, allow_nan=False).replace("\n", "\n    ")
        sys.stdout.write(f"{'' if empty else ','}\n    {text}")
        empty = False
    sys.stdout.write("]\n}\n" if empty else "\n  ]\n}\n")


def time_option(text: str, name: str) -> datetime:
    """A time given on the command line. InputError names the option."""
    try:
        return parse_time(text)
    except ValueError as error:
        raise InputError(f"{name}: {str(error).removeprefix('time: ')}") from None
