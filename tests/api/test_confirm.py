"""A person says on a record's page whether it is odd, and the detector learns what is usual from the others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pyarrow.parquet import read_table
from tower_scene import Clock, tower_under

from detectors.cohort_outlier import CohortOutlier
from watchtower.api.app import create_app
from watchtower.bootstrap import Tower
from watchtower.contract import DetectionRequest, format_time
from watchtower.flow.snapshot import write_snapshot
from watchtower.store import audit

NOW = datetime(2026, 3, 30, 9, tzinfo=UTC)
BOOK = """
name: odd
objects:
  account:
    fields:
      arr: {type: money}
      found_odd: {type: boolean}
      motto: {type: text}
rules:
  - {id: strange_account, object: account, when: strange.raised_at is not null}
signals:
  strange:
    object: account
    detector: cohort_outlier
    parameters: {features: arr, confirmed: found_odd}
"""
SAME = {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8000", "accept": "text/html"}


@pytest.fixture
def tower(database_url: str, tmp_path: Path) -> Iterator[Tower]:
    with tower_under(BOOK, database_url, tmp_path, Clock(NOW)) as built:
        at = format_time(NOW - timedelta(days=20))
        events = [
            {"id": f"e{n}", "source": "crm", "type": "record.updated", "subject": f"account/A{n}", "time": at,
             "data": {"fields": {"arr": 1000 + n if n else 900_000}}}
            for n in range(120)
        ]  # fmt: skip
        assert {verdict.status for verdict in built.take(events)} == {"accepted"}
        yield built


def to_label(tower: Tower) -> tuple[str, ...]:
    """Of which records the detector asks for a verdict."""
    request = DetectionRequest(
        id="dq", signal="strange", detector="cohort_outlier", object="account", field="", budget=0.1, at=NOW,
        parameters={"features": "arr", "confirmed": "found_odd"},
    )  # fmt: skip
    with tower.database.read() as conn:
        snapshot = write_snapshot(conn, tower.rulebook, "account", NOW, tower.settings.data / "snapshots")
    return CohortOutlier().fit(read_table(snapshot), request).to_label


def test_a_verdict_on_the_page_reaches_the_detectors_reference(tower: Tower) -> None:
    client = TestClient(create_app(tower), base_url="http://127.0.0.1:8000", headers=SAME, follow_redirects=False)
    asked = to_label(tower)
    record = asked[0]
    page = client.get(f"/review/account/{record}").text
    assert "Is it odd?" in page and "Nobody has said yet" in page
    said = {"record": f"account/{record}", "signal": "strange", "odd": "yes"}
    before = len(noted(tower))
    assert client.post("/review/confirm", data=said).headers["location"] == f"/review/account/{record}"
    assert len(noted(tower)) == before + 1 and noted(tower)[0].about == f"account/{record}"
    page = client.get(f"/review/account/{record}").text
    assert "It is odd." in page and 'value="yes"' not in page and 'value="no"' in page
    assert record not in to_label(tower), "it is no example of what is usual any more, and not asked about again"


@pytest.mark.parametrize(
    "form",
    [
        {"record": "account/A1", "signal": "strange", "odd": "maybe"},
        {"record": "account/A1", "signal": "other", "odd": "yes"},
        {"record": "account/none", "signal": "strange", "odd": "yes"},
        {},
    ],
)
def test_a_verdict_that_nobody_asks_for_changes_nothing(tower: Tower, form: dict[str, str]) -> None:
    client = TestClient(create_app(tower), base_url="http://127.0.0.1:8000", headers=SAME, follow_redirects=False)
    before = len(noted(tower))
    form = form or {"record": ""}
    assert client.post("/review/confirm", data=form).status_code in (400, 404)
    assert len(noted(tower)) == before


def noted(tower: Tower) -> list[audit.Row]:
    with tower.database.read() as conn:
        return audit.newest(conn, 1000)
