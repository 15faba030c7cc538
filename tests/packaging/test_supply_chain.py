"""What is installed is known: every package is locked by its hashes, has its place in the bill of materials, and our
own code has no grave finding.

Locked anew with: uv pip compile pyproject.toml --extra dev --generate-hashes --python-version 3.11 --no-header
--no-annotate --no-emit-index-url -o requirements.lock
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OURS = ("watchtower", "enrichment", "detectors", "evals")


def locked(project: Path) -> dict[str, tuple[str, list[str]]]:
    """name -> (version, hashes) of each package in the lock file."""
    found: dict[str, tuple[str, list[str]]] = {}
    for entry in (project / "requirements.lock").read_text().replace("\\\n", " ").splitlines():
        name, _, version = entry.split(" ")[0].partition("==")
        found[canonicalize_name(name.partition("[")[0])] = (version, re.findall(r"--hash=(\S+)", entry))
    return found


def test_every_package_is_locked_by_sha256(project: Path) -> None:
    found = locked(project)
    assert len(found) > 100
    assert [name for name, (version, hashes) in found.items() if not version or not hashes] == []
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for _, hashes in found.values() for digest in hashes)
    assert "://" not in (project / "requirements.lock").read_text()


def test_the_lock_file_meets_what_the_project_asks_for(project: Path) -> None:
    asked = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    found = locked(project)
    for text in (*asked["dependencies"], *asked["optional-dependencies"]["dev"]):
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate():
            continue
        version, _ = found.get(canonicalize_name(wanted.name), ("", []))
        assert version and wanted.specifier.contains(version, prereleases=True), (
            f"{text}: {version or 'none'} is locked"
        )


def test_our_code_has_no_finding_of_high_severity(project: Path) -> None:
    pytest.importorskip("bandit", reason="bandit is not installed (the extra `dev`)")
    command = [sys.executable, "-m", "bandit", "-q", "-r", *OURS, "--severity-level", "high", "-f", "json"]
    ended = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    said = json.loads(ended.stdout)
    assert said["errors"] == []
    assert [(found["filename"], found["line_number"], found["test_id"]) for found in said["results"]] == []


def test_the_bill_of_materials_names_every_locked_package_with_its_hashes(project: Path) -> None:
    pytest.importorskip("cyclonedx_py", reason="cyclonedx-bom is not installed (the extra `dev`)")
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", "--of", "JSON", "requirements.lock"]
    ended = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    parts = {canonicalize_name(part["name"]): part for part in json.loads(ended.stdout)["components"]}
    found = locked(project)
    assert parts.keys() == found.keys()
    for name, (version, hashes) in found.items():
        references = parts[name].get("externalReferences", [])
        digests = {digest["content"] for each in references for digest in each.get("hashes", ())}
        assert (parts[name]["version"], digests) == (version, {digest.removeprefix("sha256:") for digest in hashes})
