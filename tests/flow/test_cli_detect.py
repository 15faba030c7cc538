"""`watchtower detect calibrate`: what the detectors' promises come to on the company's own snapshot."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import inside, stamp, write_events

BOOK = """
name: example
objects:
  account:
    fields:
      employees: {type: number}
      last_activity_at: {type: timestamp, rollup: {latest: time, of: activity.logged}}
signals:
  usage_falling:
    object: account
    detector: usage_decline
    budget: 0.01
    parameters: {events: usage.recorded, metric: logins}
  fallen_silent: {object: account, detector: activity_gap, field: last_activity_at, budget: 0.02}
  unlike_peers: {object: account, detector: cohort_outlier, budget: 0.05, parameters: {features: employees}}
"""


def events() -> list[dict[str, Any]]:
    """40 accounts, 30 weeks up to now: usage each week, and a call every ten days or so."""
    now, random = datetime.now(UTC), np.random.default_rng(1)  # noqa: TID251  (the command has the system's clock)
    found: list[dict[str, Any]] = []

    def tell(account: int, at: datetime, kind: str, data: dict[str, object]) -> None:
        found.append({
            "specversion": "1.0", "id": f"e{len(found)}", "source": "product", "type": kind,
            "subject": f"account/A-{account:02d}", "time": stamp(at), "data": data,
        })  # fmt: skip

    for account in range(40):
        for week in range(30):
            value = int(random.poisson(60 * random.gamma(8, 1 / 8)))
            tell(account, now - timedelta(weeks=week, hours=1), "usage.recorded", {"metric": "logins", "value": value})
        days = np.cumsum(random.gamma(4, 2.5, 9) + 0.6)
        for ago in days.tolist():
            tell(account, now - timedelta(days=ago), "activity.logged", {"kind": "call"})
    return found


def test_what_is_promised_stands_beside_what_comes_of_it(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("WATCHTOWER_DATA", str(tmp_path / "data"))
    book = tmp_path / "book.yaml"
    book.write_text(BOOK)
    assert inside(capsys, "import", write_events(tmp_path / "events.jsonl", events()), "--rulebook", book)[0] == 0

    code, out, _ = inside(capsys, "detect", "calibrate", "--runs", 2, "--json")
    found = {one["signal"]: one for one in json.loads(out)}
    assert code == 0 and set(found) == {"usage_falling", "fallen_silent", "unlike_peers"}
    assert found["unlike_peers"]["cohorts"] is None, "it promises a share of what it raises, not of what is healthy"
    [usage] = found["usage_falling"]["cohorts"]
    assert (usage["per"], usage["judged"], found["usage_falling"]["promised"]) == ("26 weekly runs", 80, 0.01)
    [gaps] = found["fallen_silent"]["cohorts"]
    assert (gaps["cohort"], gaps["per"], gaps["judged"]) == ("40 accounts", "gap", 80)
    for one in (usage, gaps):
        assert one["realised"] == one["raised"] / one["judged"]
        assert one["interval"][0] <= one["realised"] <= one["interval"][1]
        assert one["kept"]

    _, table, _ = inside(capsys, "detect", "calibrate", "--detector", "activity_gap", "--runs", 1)
    assert "fallen_silent (activity_gap)" in table and "40 accounts" in table and "usage" not in table
    _, detected, _ = inside(capsys, "detect", "--json", "--detector", "activity_gap")
    assert [(one["signal"], one["abstained"]) for one in json.loads(detected)] == [("fallen_silent", {})]

    code, _, unknown = inside(capsys, "detect", "calibrate", "--detector", "nonsense")
    assert code == 1 and "'nonsense' is neither a declared signal nor its detector" in unknown
    code, _, before = inside(capsys, "detect", "--json", "calibrate")
    assert code == 1 and "options stand before 'calibrate'" in before
