"""The commands on a tower, one after the other on one database: import, tick, alerts, enrich, detect, models."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from command_line import database_of, inside, write_events, wt

from watchtower.store.embedded import EmbeddedServer

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
TEXT = "Nordfen Oy is a maker of pumps. It was founded in 1987 and is headquartered in Tampere, Finland."
RULEBOOK = """\
name: small
timezone: UTC
objects:
  account:
    fields:
      country: {type: country, fill: enrichment}
      stage: {type: enum, values: [trial, paying]}
      since: {type: timestamp}
      employees: {type: integer}
rules:
  - id: trial_too_long
    object: account
    when: stage = 'trial' and since <= now() - interval '14 days'
    severity: low
    queue: trials-that-have-gone-on-for-too-long
    owner: sales
    because: A trial has gone on for two weeks.
  - id: abroad
    object: account
    when: country <> 'IT' and stage = 'trial'
    severity: low
    queue: abroad
    owner: sales
    because: Somebody abroad tries us.
signals:
  unlike_peers: {object: account, detector: cohort_outlier, budget: 0.01, parameters: {features: employees}}
acceptance:
  account.country: {accept_at: 0.5, review_at: 0.1}
"""


@pytest.fixture(scope="module")
def url(server: EmbeddedServer, template: str) -> Iterator[str]:
    with database_of(server.url, template, "command_line") as address:
        yield address


def test_a_day_at_the_command_line(tmp_path: Path, url: str) -> None:
    book = tmp_path / "book.yaml"
    book.write_text(RULEBOOK)
    account = {"specversion": "1.0", "source": "crm", "subject": "account/A-1", "time": "2026-03-02T09:00:00Z"}
    trial = {"fields": {"stage": "trial", "since": "2026-03-02T09:00:00Z"}}
    document = {"document": "d1", "kind": "about", "text": TEXT}
    events = [
        account | {"id": "a1", "type": "record.updated", "data": trial},
        account | {"id": "a2", "type": "document.added", "data": document},
    ]
    file = write_events(tmp_path / "events.jsonl", events)

    first = wt("import", file, "--rulebook", book, "--json", DATABASE_URL=url).json()
    assert first | {"seconds": 0} == {
        "accepted": 2,
        "duplicate": 0,
        "conflict": 0,
        "quarantined": 0,
        "refused": 0,
        "seconds": 0,
    }
    second = wt("import", file, DATABASE_URL=url)
    assert "0 events in, 2 were there already, 0 set aside" in second.out
    assert second.err == "", "no trace of a progress bar where nobody looks"

    ticked = wt("tick", "--json", DATABASE_URL=url).json()
    assert ticked == {"opened": 0, "resolved": 0, "corrected": 0, "next": None}, "the import has settled what was due"

    listed = wt("alerts", "--json", DATABASE_URL=url).json()
    assert [(a["rule"], a["record"], a["since"]) for a in listed] == [
        ("trial_too_long", "account/A-1", "2026-03-16T09:00:00.000000Z")
    ]
    assert set(listed[0]) >= {"id", "severity", "queue", "owner", "because", "status", "ai_informed"}
    piped = wt("alerts", DATABASE_URL=url).out
    assert "trials-that-have-gone-on-for-too-long" in piped, "a table that is piped is not cut"
    assert piped.endswith("1 open alert\n")

    asked = wt("enrich", "--dry-run", "--json", DATABASE_URL=url).json()["asks"]
    assert [(a["record"], a["fields"], a["because"]) for a in asked] == [("account/A-1", ["country"], ["abroad"])]
    filled = wt("enrich", "--no-model", "--json", DATABASE_URL=url).json()
    assert (filled["records"], filled["accepted"], filled["model"]) == (1, 1, None)
    assert wt("enrich", "--no-model", "--json", DATABASE_URL=url).json()["records"] == 0
    informed = wt("alerts", "--queue", "abroad", "--json", DATABASE_URL=url).json()
    assert [(a["rule"], a["ai_informed"]) for a in informed] == [("abroad", True)]

    detected = wt("detect", "--json", DATABASE_URL=url)
    assert [(d["signal"], d["raised"]) for d in detected.json()] == [("unlike_peers", 0)]


def test_options_that_mean_nothing_are_refused_in_words(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = wt("detect", "--detector", "nonsense", code=1, DATABASE_URL=url).err
    assert "'nonsense' is neither a declared signal nor its detector" in said
    for arguments, says in (
        (("enrich", "--records", "nonsense"), "'nonsense' is not of the form object/id"),
        (("alerts", "--status", "nonsense"), "'nonsense' is not one of open, acknowledged, snoozed, resolved"),
    ):
        code, _, err = inside(capsys, *arguments)
        assert code == 1 and says in err


def test_models_are_listed_with_size_and_licence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHTOWER_MODELS", str(tmp_path / "models"))
    code, out, _ = inside(capsys, "models", "list", "--json")
    listed = json.loads(out)
    assert code == 0
    assert listed and all(re.match(r"\S+", m["name"]) and m["bytes"] > 0 and m["licence"] for m in listed)
    assert all(m["path"] is None for m in listed)
    code, _, err = inside(capsys, "models", "pull", "no-such-model")
    assert code == 1 and "'no-such-model' is not in the catalogue" in err
