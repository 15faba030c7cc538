"""Who may import whom: the contracts of pyproject.toml, each seen to hold, and seen to break."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PACKAGES = ("watchtower", "enrichment", "detectors", "evals")
LAYERS = "Layers: api, cli -> bootstrap -> flow, connectors -> store -> rules -> rulebook -> contract"
WORKERS = "Workers know the contract and nothing else of the tower"
ROOT = "Only the workers' composition root and the evals know the workers"
WORKING = "A worker process knows nothing of the core"
STORE = "Only the store speaks SQLAlchemy"

PLANTED = [
    (LAYERS, "watchtower/rules", "import watchtower.store.schema"),
    (LAYERS, "watchtower/contract", "import watchtower.rulebook"),
    (LAYERS, "watchtower/rulebook", "import watchtower.rules"),
    (LAYERS, "watchtower/store", "import watchtower.flow"),
    (LAYERS, "watchtower/flow", "import watchtower.connectors"),
    (LAYERS, "watchtower/flow", "import watchtower.bootstrap"),
    (WORKERS, "enrichment", "import watchtower.store.schema"),
    (WORKERS, "enrichment", "import watchtower.settings"),
    (WORKERS, "detectors", "import watchtower.rules"),
    (WORKERS, "detectors", "import evals"),
    (ROOT, "watchtower/flow", "import enrichment"),
    (ROOT, "watchtower/rules", "import detectors"),
    (ROOT, "watchtower/cli", "import enrichment"),
    (ROOT, "watchtower/store", "import detectors"),
    (WORKING, "watchtower/workers", "import watchtower.store.records"),
    (WORKING, "watchtower/workers", "import watchtower.rules"),
    (STORE, "watchtower/rules", "import sqlalchemy"),
    (STORE, "watchtower/api", "from sqlalchemy import text"),
    (STORE, "enrichment", "import sqlalchemy"),
]


def lint(folder: Path) -> dict[str, str]:
    """Each contract's verdict, KEPT or BROKEN, for the packages in `folder`."""
    code = "import sys; sys.path.insert(0, '.'); from importlinter import cli; sys.exit(cli.lint_imports())"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env={"COLUMNS": "200", "PATH": ""})
    found = dict(re.findall(r"^(.+?) (KEPT|BROKEN)", done.stdout, re.M))
    assert found, done.stdout + done.stderr
    return found


@pytest.fixture(scope="module")
def sources(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages' Python files and of pyproject.toml, to plant in."""
    folder = tmp_path_factory.mktemp("planted")
    for package in PACKAGES:
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(project / package, folder / package, ignore=skip)
    shutil.copy(project / "pyproject.toml", folder)
    return folder


def test_every_contract_holds(project: Path, sources: Path) -> None:
    declared = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert lint(sources) == {contract["name"]: "KEPT" for contract in declared}


@pytest.mark.parametrize(("contract", "package", "line"), PLANTED, ids=[f"{p}: {line}" for _, p, line in PLANTED])
def test_a_planted_import_breaks_its_contract(sources: Path, contract: str, package: str, line: str) -> None:
    planted = sources / package / "planted.py"
    planted.write_text(f"{line}\n")
    try:
        assert lint(sources)[contract] == "BROKEN"
    finally:
        planted.unlink()


def test_every_contract_has_a_planted_violation(project: Path) -> None:
    declared = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {contract["name"] for contract in declared} == {contract for contract, _, _ in PLANTED}


def test_only_the_store_imports_sqlalchemy_by_its_text_too(project: Path) -> None:
    outside = [
        str(path.relative_to(project))
        for package in PACKAGES
        for path in sorted((project / package).rglob("*.py"))
        if re.search(r"^\s*(import|from) sqlalchemy", path.read_text(), re.M)
        and not path.is_relative_to(project / "watchtower" / "store")
    ]
    assert outside == []
