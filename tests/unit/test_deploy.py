"""What is deployed: each file passes its own validator, and names only what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import PROJECT
from prometheus_client import REGISTRY

import enrichment.observed  # noqa: F401  (its metrics are registered by being imported)
from watchtower import metered
from watchtower.api import exposition
from watchtower.cli.main import COMMANDS
from watchtower.rulebook.model import Rulebook
from watchtower.settings import Settings, variable_of
from watchtower.surroundings import OTHERS

DEPLOY = PROJECT / "deploy"
DASHBOARD = DEPLOY / "grafana" / "watchtower.json"
RULES = DEPLOY / "prometheus" / "alerts.yaml"
KUBERNETES = DEPLOY / "kubernetes" / "watchtower.yaml"
COMPOSE = PROJECT / "docker-compose.yaml"
PROCESS = {"process_resident_memory_bytes": {"instance"}, "process_cpu_seconds_total": {"instance"}, "up": {"job"}}
SCRAPED = {"instance", "job", "le"}
"""Labels that Prometheus itself adds, or a histogram has."""


def runs(*command: object) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"{name} is not on this machine")
    return found


def exposed() -> dict[str, set[str]]:
    """Every metric of ours, as it can be asked for, and its labels."""
    found: dict[str, set[str]] = {}
    for collector in list(REGISTRY._collector_to_names):
        for family in collector.describe() if hasattr(collector, "describe") else ():
            if not family.name.startswith("watchtower_"):
                continue
            labels = set(getattr(collector, "_labelnames", ()))
            kinds = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
            found |= {family.name + kind: labels for kind in kinds}
    for family in standing():
        found[family.name] = {label for sample in family.samples for label in sample.labels}
    return found


def standing() -> Iterator[Any]:
    """What GET /metrics says of databases in which there is one of everything."""
    from datetime import UTC, datetime

    from watchtower.store.standing import Jobs, Standing, Waiting

    now = datetime(2026, 3, 2, tzinfo=UTC)
    stands = Standing(
        [("q", "high", "open", False, 1)], [Waiting("r", False, "pending", 1, now)], 1, 1, 1, now, 1, 1, 1
    )
    jobs = Jobs([("enrichment", "todo", 1)], {"enrichment": 1.0}, 1, 1, 1.0, {"calls_per_day": 5})

    class There:
        rulebook = Rulebook.model_validate(
            {
                "objects": {"lead": {"fields": {"a": {"type": "text"}}}},
                "enrichment": {"prices": {"m": {"input": 1, "output": 2}}},
            }
        )

        def clock(self) -> datetime:
            return now

    said = exposition.Exposition(There())  # type: ignore[arg-type]
    said._standing, said._jobs = lambda: stands, lambda: jobs  # type: ignore[method-assign]
    return said._gauges()


def expressions() -> Iterator[tuple[str, str]]:
    """(where, PromQL) of every panel and every alert."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        yield from ((panel["title"], one["expr"]) for one in panel.get("targets", ()))
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        yield from ((rule["alert"], rule["expr"]) for rule in group["rules"])


def test_every_query_names_metrics_and_labels_that_exist() -> None:
    known = exposed() | PROCESS
    asked = set()
    for where, expr in expressions():
        names = set(re.findall(r"\b(?:watchtower_\w+|process_\w+|up(?=\{))", expr))
        assert names, where
        labels = set().union(*(known.get(name, set()) for name in names)) | SCRAPED
        for name in names:
            assert name in known, f"{where}: {name} is not a metric"
        for selector in re.findall(r"\{([^}]*)\}", expr):
            for label in re.findall(r"(\w+)\s*[=!]~?", selector):
                assert label in labels, f"{where}: {label} is not a label of {names}"
        for grouped in re.findall(r"\bby \(([^)]*)\)", expr):
            assert {label.strip() for label in grouped.split(",")} <= labels, f"{where}: {grouped}"
        asked |= names
    own = {name for name in known if name.startswith("watchtower_") and not name.endswith("_sum")}
    unread = {name for name in own - asked if not name.endswith(("_bucket", "_count"))}
    assert unread <= {"watchtower_build_info", "watchtower_notifications"}, f"nobody looks at {sorted(unread)}"


def test_every_metric_of_ours_is_in_the_documentation() -> None:
    text = (PROJECT / "docs" / "operations.md").read_text()
    missing = {
        name for name in exposed() if re.sub(r"_(total|bucket|sum|count)$", "", name) not in text and name not in text
    }
    assert not missing, sorted(missing)
    assert metered.OTHER in text


def test_the_dashboard_has_the_form_that_grafana_reads() -> None:
    board = json.loads(DASHBOARD.read_text())
    assert board["title"] and board["uid"] and board["schemaVersion"] >= 36 and board["templating"]["list"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24 and place["h"] > 0, panel["title"]
        assert panel["type"] in ("row", "stat", "timeseries")
        refs = [one["refId"] for one in panel.get("targets", ())]
        assert len(refs) == len(set(refs)) and (refs or panel["type"] == "row")
        assert all(one["datasource"]["uid"] == "${datasource}" for one in panel.get("targets", ()))


def test_the_alert_rules_pass_promtool() -> None:
    runs(tool("promtool"), "check", "rules", RULES)


def test_the_compose_file_passes_the_schema_of_its_specification() -> None:
    runs(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", COMPOSE)


def test_the_manifests_pass_the_schemas_of_kubernetes() -> None:
    runs(tool("kubernetes-validate"), "--strict", KUBERNETES)


def test_the_image_passes_hadolint() -> None:
    runs(tool("hadolint"), PROJECT / "Dockerfile")


def test_what_is_deployed_runs_commands_and_sets_variables_that_there_are() -> None:
    compose = yaml.safe_load(COMPOSE.read_text())
    known = {variable_of(name) for name in Settings.model_fields} | set(OTHERS)
    wanted: set[str] = set(re.findall(r"WATCHTOWER_[A-Z_]+", (PROJECT / "Dockerfile").read_text()))
    commands = []
    for name, service in compose["services"].items():
        if name != "postgres":
            commands.append(service["command"][0])
            wanted |= set(service["environment"])
    for document in yaml.safe_load_all(KUBERNETES.read_text()):
        if document["kind"] == "ConfigMap":
            wanted |= set(document["data"])
        if document["kind"] == "Deployment":
            [container] = document["spec"]["template"]["spec"]["containers"]
            commands.append(container["args"][0])
            wanted |= {one["name"] for one in container.get("env", ())}
            assert document["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= 30
    assert wanted <= known, wanted - known
    assert set(commands) == {"serve", "up", "worker"} <= set(COMMANDS)


def test_a_deployed_worker_is_not_told_of_the_core() -> None:
    worker = yaml.safe_load(COMPOSE.read_text())["services"]["worker"]
    assert not {"DATABASE_URL", "WATCHTOWER_MASTER_KEY"} & set(worker["environment"])
    for document in yaml.safe_load_all(KUBERNETES.read_text()):
        if document["kind"] == "Deployment" and document["metadata"]["name"] == "worker":
            assert "watchtower-core" not in json.dumps(document)
