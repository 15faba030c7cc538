"""`--help` of every command says what each argument is, and shows an example that the command would take."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from watchtower.cli.main import application


def commands() -> Iterator[tuple[str, Any]]:
    def walk(command: Any, path: list[str]) -> Iterator[tuple[str, Any]]:
        below = getattr(command, "commands", None)
        if below is None:
            yield " ".join(path), command
        else:
            for name, one in below.items():
                yield from walk(one, [*path, name])

    return walk(typer.main.get_command(application([])), ["watchtower"])


COMMANDS = dict(commands())


@pytest.mark.parametrize("path", COMMANDS)
def test_help_says_what_every_argument_is(path: str) -> None:
    silent = [p.name for p in COMMANDS[path].params if not getattr(p, "help", None)]
    assert silent == [], path


@pytest.mark.parametrize("path", COMMANDS)
def test_help_shows_an_example_that_the_command_would_take(path: str) -> None:
    _, _, example = (COMMANDS[path].help or "").partition("Example")
    assert path.replace(" file", "") in example, f"{path}: no example"
    known = {option for p in COMMANDS[path].params for option in p.opts + p.secondary_opts}
    given = {word.split("=")[0] for word in example.split() if re.match(r"--[a-z]", word)}
    assert given <= known, (example, given - known)
