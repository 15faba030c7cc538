"""What docs/connectors.md and examples/systems/ show loads beside the default rulebook, and names what there is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from watchtower.rulebook import DEFAULT, Loaded, load
from watchtower.rulebook.kinds import KINDS
from watchtower.rules.compile import compile_rulebook
from watchtower.rules.lint import lint

EXAMPLES = ("attio", "hubspot", "salesforce")


def beside_the_default(folder: Path, text: str) -> Loaded:
    shutil.copytree(DEFAULT, folder / "rulebook")
    (folder / "rulebook" / "systems.yaml").write_text(text, encoding="utf-8")
    return load(folder / "rulebook")


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_fits_the_default_rulebook_and_brings_no_finding_of_its_own(
    name: str, project: Path, tmp_path: Path
) -> None:
    loaded = beside_the_default(tmp_path, (project / f"examples/systems/{name}.yaml").read_text(encoding="utf-8"))
    assert list(loaded.rulebook.systems) == [name]
    before = {finding.message for finding in lint(load(DEFAULT), compile_rulebook(load(DEFAULT)))}
    assert {finding.message for finding in lint(loaded, compile_rulebook(loaded))} <= before


def test_there_is_an_example_for_each_file(project: Path) -> None:
    assert sorted(path.stem for path in (project / "examples/systems").glob("*.yaml")) == sorted(EXAMPLES)


def test_the_rulebook_of_the_page_loads(project: Path, tmp_path: Path) -> None:
    page = (project / "docs/connectors.md").read_text(encoding="utf-8")
    [shown] = re.findall(r"```yaml\n(.*?)```", page, flags=re.S)
    assert list(beside_the_default(tmp_path, shown).rulebook.systems) == ["hubspot"]


def test_the_page_names_the_variables_that_each_kind_needs(project: Path) -> None:
    page = (project / "docs/connectors.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", page, flags=re.M))
    for kind in EXAMPLES:
        named = set(re.findall(r"`([A-Z_]+)`", rows[kind]))
        assert named == {end for several in KINDS[kind].needs for end in several}
