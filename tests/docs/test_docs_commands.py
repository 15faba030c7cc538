"""Every command of the documentation is run, or says why not; what a page shows is what the command prints."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from given import give
from reader import reading
from warm import running
from written import PROJECT, REASONS, Command, Page, as_pattern, pages, parse

from watchtower.cli.main import application

ALLOWED = {
    "installs": 9, "real data": 4, "campaign": 20, "benchmark": 8, "own server": 6, "other system": 21, "tests": 4,
    "placeholder": 4,
}  # fmt: skip
"""Blocks' commands that may stand unrun, at most, for each reason: whoever adds one counts it here."""

OUTSIDE = {
    "README.md": {
        "pip install": "installs",
        "DATABASE_URL=postgresql://postgres@db/": "own server",
        "WATCHTOWER_JOBS_URL=": "own server",
        "watchtower up --no-worker": "own server",
        "watchtower keys list; watchtower keys revoke ID": "placeholder",
    }
}
"""The README is written for people who have not installed anything yet, and bears no comments: its exceptions."""

PAGES = pages()
WITH_COMMANDS = [page for page in PAGES if any(not command.why_not for command in page.commands)]


def _excused(page: Page) -> Page:
    table = OUTSIDE.get(page.name, {})
    steps = []
    for step in page.steps:
        if isinstance(step, Command):
            excuse = next((why for begin, why in table.items() if step.text.startswith(begin)), step.why_not)
            step = replace(step, why_not=excuse)
        steps.append(step)
    return Page(page.path, page.given, steps, page.faults)


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with running(tmp_path_factory.mktemp("warm")) as folder:
        yield folder


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.name)
def test_what_a_page_says_is_what_happens(
    page: Page, commands: Path, database_url: str, free_port: int, tmp_path: Path
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    for name in page.given:
        give(name, folder, database_url)
    with reading(folder, commands, free_port, DATABASE_URL=database_url) as reader:
        faults = reader.follow(_excused(page))
    assert not faults, "\n\n".join(faults)


def test_no_command_stands_where_no_test_runs_it() -> None:
    assert [fault for page in PAGES for fault in page.faults] == []


def test_each_exception_has_its_reason_and_is_counted() -> None:
    found = Counter(command.why_not for page in PAGES for command in _excused(page).commands if command.why_not)
    run = sum(1 for page in PAGES for command in _excused(page).commands if not command.why_not)
    print(f"{run} commands are run; not run: {dict(found)}")
    assert set(ALLOWED) == set(REASONS)
    assert {why: count for why, count in found.items() if count > ALLOWED[why]} == {}
    assert run > sum(found.values()) / 2


# ---- commands within a line of text: they are not run, but what they name is there


def _named() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        prose = re.sub(r"(?ms)^ *```.*?^ *```", "", page.path.read_text(encoding="utf-8"))
        found += [(page.name, code) for code in re.findall(r"`([^`\n]+)`", prose)]
    return found


def test_a_command_within_the_text_names_a_command_and_options_that_exist() -> None:
    root = typer.main.get_command(application([]))
    faults = []
    for page, code in _named():
        words = code.split()
        if words[:1] != ["watchtower"]:
            continue
        here, known = root, {"--help", "-h", "--version"}
        for word in words[1:]:
            children = getattr(here, "commands", {})
            if word in children:
                here = children[word]
                known = known | {name for option in here.params for name in option.opts + option.secondary_opts}
            elif children and re.fullmatch(r"[a-z-]+", word) and not getattr(here, "invoke_without_command", False):
                faults.append(f"{page}: `{code}`: {word} is not a command")
            elif word.startswith("--") and word.rstrip(",;").partition("=")[0] not in known:
                faults.append(f"{page}: `{code}`: {word} is not an option")
    assert faults == []


def test_a_program_of_the_project_that_is_named_is_there() -> None:
    missing = []
    for page, code in _named():
        for path in re.findall(r"\b(?:python|pytest) ((?:tests|benchmarks)/[\w/]+(?:\.py)?)", code):
            missing += [] if (PROJECT / path).exists() else [f"{page}: {path}"]
        for module in re.findall(r"python -m (benchmarks\.\w+)", code):
            missing += [] if (PROJECT / f"{module.replace('.', '/')}.py").exists() else [f"{page}: {module}"]
    assert missing == []


# ---- the reading itself


def test_a_block_gives_its_commands_and_what_they_print() -> None:
    text = "<!-- exit: 1 -->\n```console\n$ one \\\n>   two\nsaid\n\nmore\n$ three 'a\n> b'\n```\n"
    page = parse(PROJECT / "x.md", text)
    assert page.steps == [
        Command(3, "one \\\n  two", "said\n\nmore"),
        Command(8, "three 'a\nb'", None, 1),
    ]


def test_commands_in_a_block_that_nobody_runs_are_a_fault() -> None:
    assert parse(PROJECT / "x.md", "Text\n\n    watchtower up\n").faults
    assert parse(PROJECT / "x.md", "```\nWATCHTOWER_PORT=1 watchtower up\n```\n").faults
    assert parse(PROJECT / "x.md", "<!-- not run: too slow -->\n```sh\nwatchtower up\n```\n").faults
    assert not parse(PROJECT / "x.md", "```yaml\nname: watchtower\n```\n").faults


def test_an_elision_stands_for_any_text_and_nothing_else() -> None:
    shown = as_pattern("found ... of 3\n...\nend")
    assert shown.fullmatch("found 2 of 3  \nend\n") and shown.fullmatch("found x of 3\na\nb\nend\n")
    assert not shown.fullmatch("found 2 of 4\nend\n")
    assert not shown.fullmatch("found 2 of 3\nend\nmore\n")


def test_a_page_that_shows_what_is_not_printed_is_told(commands: Path, free_port: int, tmp_path: Path) -> None:
    text = (
        '```text title="a.txt"\none\n```\n```console\n$ cd . && export B=two\n$ cat a.txt && echo $B\none\nthree\n'
        "$ watchtower --version\nwatchtower ...\n$ watchtower nonsense\n$ echo never\n```\n"
    )
    folder = tmp_path / "here"
    folder.mkdir()
    with reading(folder, commands, free_port) as reader:
        wrong, failed = reader.follow(parse(PROJECT / "x.md", text))
    assert "x.md:6: $ cat a.txt" in wrong and "it printed:\none\ntwo\n" in wrong
    assert "x.md:11: $ watchtower nonsense" in failed and "ended with 2, not 0" in failed
