"""The service keeps what /openapi.json says, whatever is sent: schemathesis with all its checks, on the real tower.

WATCHTOWER_EXAMPLES=200 python -m pytest tests/api/test_contract.py    sends 200 examples to each operation
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from pydantic import SecretStr

from watchtower.api.app import create_app
from watchtower.bootstrap import build
from watchtower.contract import format_time
from watchtower.settings import Settings

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

GenerationMode = schemathesis.GenerationMode
EXAMPLES = int(os.environ.get("WATCHTOWER_EXAMPLES", "3"))
END = datetime(2026, 6, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def key() -> dict[str, str]:
    """The headers of an admin; filled by the tower's fixture."""
    return {}


@pytest.fixture(scope="module")
def described(module_database_url: str, tmp_path_factory: pytest.TempPathFactory, key: dict[str, str]) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("contract")
    with build(Settings(data=folder, database_url=SecretStr(module_database_url)), clock=lambda: END) as tower:
        tower.take([_mql(f"L-{number}") for number in range(9)])
        key["Authorization"] = f"Bearer {tower.door.add('admin', 'Ann', by='test')[1]}"
        app = create_app(tower)
        app.state.feed.close()  # GET /changes ends at once
        with TestClient(app, base_url="http://127.0.0.1:8000", headers=key) as client:
            known = client.get("/alerts?limit=3").json()["items"]
            _examples(app, [one["id"] for one in known])
            schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers=key)
            # Well-formed, and still not possible: an object that the rulebook has not, an alert that is resolved.
            accepted = schema.config.checks.positive_data_acceptance
            accepted.expected_statuses = [*accepted.expected_statuses, "400", "412", "422"]
            yield schema


def _mql(lead: str) -> dict[str, Any]:
    at = format_time(END - timedelta(days=5))
    return {
        "specversion": "1.0", "id": lead, "source": "crm", "type": "record.updated", "subject": f"lead/{lead}",
        "time": at, "data": {"fields": {"stage": "mql", "mql_at": at}},
    }  # fmt: skip


def _examples(app: Any, alerts: list[str]) -> None:
    """Ids that exist, as examples: else nearly every alert that is asked for would be missing."""
    for item in app.openapi()["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "alert_id":
                    parameter["examples"] = {one: {"value": one} for one in alerts}


def operations() -> list[str]:
    """`GET /alerts`, ...: the application without a tower can tell."""
    stub: Any = SimpleNamespace(database=None, door=None)
    paths = create_app(stub).openapi()["paths"]
    return [f"{method.upper()} {path}" for path, item in paths.items() for method in item]


@pytest.mark.parametrize("operation", operations())
@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: str(mode.value))
def test_what_is_answered_is_what_is_described(operation: str, mode: Any, described: Any, key: dict[str, str]) -> None:
    method, _, path = operation.partition(" ")

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate),
    )  # fmt: skip
    @given(case=described[path][method].as_strategy(generation_mode=mode))
    def each(case: Any) -> None:
        case.call_and_validate(headers=dict(key))

    try:
        each()
    except Unsatisfiable:
        pytest.skip("it takes nothing that could be wrong")
