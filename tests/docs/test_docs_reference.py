"""The reference is made when the site is built, and whole: nothing that the code knows is left out of it."""

from __future__ import annotations

import re

import pytest
import typer

from detectors import ROSTER
from enrichment.normalise import KINDS
from manual import cli, http, rulebook
from manual.reference import PAGES
from manual.text import plain, prose, table
from watchtower.cli.main import application
from watchtower.settings import Settings, variable_of


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return {path.removeprefix("reference/").removesuffix(".md"): make() for path, make in PAGES.items()}


def test_every_command_and_option_is_there(made: dict[str, str]) -> None:
    root = typer.main.get_command(application([]))
    sections = dict(re.findall(r"(?ms)^##+ (watchtower [^\n]*)\n(.*?)(?=^##+ watchtower|\Z)", made["commands"]))
    assert list(sections) == cli.names()
    for path, section in sections.items():
        command = root
        for word in path.split()[1:]:
            command = command.commands[word]
        options = {name for p in command.params if p.param_type_name == "option" for name in p.opts} - {"--help", "-h"}
        assert {name for name in options if f"`{name}`" not in section} == set(), path


def test_every_key_of_a_rulebook_is_there(made: dict[str, str]) -> None:
    found = rulebook.models()
    assert len(found) > 20
    for model in found:
        section = made["rulebook"].split(f"\n## {rulebook.title(model)}\n")[1].split("\n## ")[0]
        keys = {field.alias or name for name, field in model.model_fields.items() if not field.exclude}
        assert {key for key in keys if f"| `{key}` |" not in section} == set(), model.__name__
    links = set(re.findall(r"\]\(#([a-z-]+)\)", made["rulebook"]))
    headings = {line.lower().replace(" ", "-") for line in re.findall(r"^## (.*)$", made["rulebook"], re.M)}
    assert links <= headings


def test_every_operation_setting_detector_and_normaliser_is_there(made: dict[str, str]) -> None:
    ways = [f"### {method} {path}\n" for path, method, _ in http.operations(http.description())]
    assert len(ways) > 15 and [way for way in ways if way not in made["http"]] == []
    assert [n for n in Settings.model_fields if f"`{variable_of(n)}`" not in made["settings"]] == []
    assert [n for n in ROSTER if f"\n## {n}\n" not in made["detectors"]] == []
    assert [n for n in KINDS if f"\n## {n}\n" not in made["normalisers"]] == []


def test_a_reference_page_names_no_folder_of_this_machine(made: dict[str, str]) -> None:
    for name, page in made.items():
        assert not re.search(r"(?<![\w.])/(?:home|root|work|opt|tmp)/", page), name


def test_words_of_the_code_mean_themselves_in_a_page() -> None:
    assert plain("p <= x * y of `a<b`") == r"p \<= x \* y of `a<b`"
    assert table(("a", "b"), [("x|y", "1\n2")]) == "| a | b |\n|---|---|\n| x\\|y | 1 2 |\n"
    assert prose("One.\n\nTwo.\n\n    kept  as it is\n") == "One.\n\nTwo.\n\n```text\nkept  as it is\n```\n"
