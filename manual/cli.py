"""The reference of the command line, from its own commands."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from manual.text import MADE, cell, code, plain, table
from watchtower.cli.main import application

PROJECT = Path(__file__).parent.parent


def page() -> str:
    """Every command with its arguments and options."""
    root = typer.main.get_command(application([]))
    parts = [
        "# Commands\n",
        MADE + "\n",
        "Each has `--help`. Those that answer have `--json`. Exit codes: 0 it is done, 1 it is not (or something was "
        "found), 2 the command was written wrongly, 130 it was stopped.\n",
    ]
    for path, command in _commands("watchtower", root):
        parts.append(f"{'##' if path.count(' ') == 1 else '###'} {path}\n")
        parts.append(_told(command.help or ""))
        parts.append(table(("argument or option", "takes", "says", "default"), _parameters(command)))
    return "\n".join(parts)


def names() -> list[str]:
    """Every command, as it is called."""
    return [path for path, _ in _commands("watchtower", typer.main.get_command(application([])))]


def _commands(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    for name, child in getattr(command, "commands", {}).items():
        yield f"{path} {name}", child
        yield from _commands(f"{path} {name}", child)


def _told(text: str) -> str:
    """The help's paragraphs; an example is a block of its own."""
    shown = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        words = re.match(r"Examples?: ", paragraph)
        if words:
            shown.append(f"Example:\n\n```text\n{paragraph[words.end() :]}\n```")
        else:
            shown.append(plain(paragraph.replace("\b", "").strip()))
    return "\n\n".join(shown) + "\n"


def _parameters(command: Any) -> Iterator[tuple[str, str, str, str]]:
    for parameter in command.params:
        if parameter.name == "help":
            continue
        option = bool(getattr(parameter, "help", None)) and parameter.param_type_name == "option"
        called = ", ".join(code(name) for name in [*parameter.opts, *parameter.secondary_opts])
        if parameter.param_type_name == "argument":
            called = code(parameter.metavar or parameter.name.upper())
        flag = getattr(parameter, "is_flag", False)
        takes = "" if flag or not option else (parameter.metavar or _type(parameter, command))
        yield called, cell(takes), plain(getattr(parameter, "help", "") or ""), _default(parameter)


def _type(parameter: Any, command: Any) -> str:
    """What it takes, as `--help` says it. Typer keeps it elsewhere since it brings its own click."""
    if hasattr(parameter, "display_type"):
        return str(parameter.display_type(typer.Context(command))).strip("<>")
    return str(parameter.type.name)


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value is None or value is False or callable(value) or value in ("", ()):
        return ""
    if isinstance(value, Path) and value.is_absolute():
        return code(value.relative_to(PROJECT)) if value.is_relative_to(PROJECT) else ""
    return code(value)
