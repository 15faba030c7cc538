"""The wheel holds what the package reads: templates, prompts, tables, rulebooks, migrations, SQL.

`python tests/packaging/fresh_install.py` installs it into an empty environment and runs the demo there.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from watchtower import __version__

OURS = ("watchtower", "enrichment", "detectors", "prompts", "evals")
LEFT_OUT = {"__pycache__", ".mypy_cache", ".ruff_cache"}


@pytest.fixture(scope="module")
def wheel(project: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    pytest.importorskip("build", reason="build is not installed (the extra `dev`)")
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(project)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    [made] = out.glob("*.whl")
    return zipfile.ZipFile(made)


def test_the_wheel_holds_every_file_of_the_packages(project: Path, wheel: zipfile.ZipFile) -> None:
    kept = subprocess.run(
        ["git", "ls-files", "-z", *OURS], cwd=project, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    assert len(kept) > 300
    assert {path for path in kept if path} - set(wheel.namelist()) == set()


def test_the_wheel_holds_no_test_and_no_page(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {*OURS, f"watchtower_revops-{__version__}.dist-info"}


def test_the_metadata_say_what_it_is(wheel: zipfile.ZipFile) -> None:
    text = wheel.read(f"watchtower_revops-{__version__}.dist-info/METADATA").decode()
    for line in (
        f"Version: {__version__}",
        "License-Expression: Apache-2.0",
        "Description-Content-Type: text/markdown",
    ):
        assert f"\n{line}\n" in text, line
    assert "# Watchtower" in text
    points = wheel.read(f"watchtower_revops-{__version__}.dist-info/entry_points.txt").decode()
    assert "watchtower = watchtower.cli.main:run" in points
