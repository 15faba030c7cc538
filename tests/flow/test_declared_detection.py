"""A signal that names a lifecycle: the tower writes it out, the detector finds who left it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tower_scene import Clock, tower_under

from detectors import ROSTER
from watchtower.contract import DetectionRequest, Event
from watchtower.errors import RulebookError
from watchtower.flow.declared import declared_parameters
from watchtower.flow.snapshot import versions_table
from watchtower.rulebook import DEFAULT, load
from watchtower.store import queries

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
BOOK = """
name: lifecycles
objects:
  lead:
    fields:
      stage: {type: enum, values: [raw, mql, sal, sql]}
      need: {type: boolean}
lifecycles:
  lead:
    object: lead
    starts: [raw]
    states:
      raw: {next: [mql], at_most: 2 days}
      mql: {next: [sal], at_most: 1 month}
      sal: {next: [sql], requires: [need]}
      sql: {final: true}
signals:
  off_path: {object: lead, detector: conformance, field: stage, parameters: {lifecycle: lead}}
"""


def test_a_named_lifecycle_is_written_out_and_months_are_left_to_the_rules(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(BOOK)
    book = load(tmp_path / "rules.yaml").rulebook
    assert declared_parameters(book, "off_path", book.signals["off_path"]) == {
        "moves": "raw>mql; mql>sal; sal>sql",
        "starts": "raw",
        "limits": "raw>48",
        "requires": "sal>need",
    }


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("{lifecycle: lead}", "{lifecycle: deal}", "unknown lifecycle 'deal'"),
        ("{lifecycle: lead}", "{lifecycle: lead, of: deal}", "parameters.of: unknown object 'deal'"),
    ],
)
def test_a_signal_that_names_what_is_not_there_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    (tmp_path / "rules.yaml").write_text(BOOK.replace(old, new))
    with pytest.raises(RulebookError, match=says):
        load(tmp_path / "rules.yaml")


def test_a_lead_that_skipped_a_stage_bears_the_signal(database_url: str, tmp_path: Path) -> None:
    clock = Clock(NOW)
    moves = [("L-1", "raw", 4), ("L-1", "sal", 3), ("L-2", "raw", 4), ("L-2", "mql", 3)]
    events = [
        Event(id=f"e{n}", source="crm", type="record.updated", subject=f"lead/{record}",
              time=NOW - timedelta(hours=ago), data={"fields": {"stage": stage}})
        for n, (record, stage, ago) in enumerate(moves)
    ]  # fmt: skip
    with tower_under(BOOK, database_url, tmp_path, clock) as tower:
        tower.take_events(events, origin="test")
        (found,) = tower.detect()
        assert (found.signal, found.raised) == ("off_path", 1)


def test_a_teams_rate_is_counted_on_its_leads_and_told_on_the_team(database_url: str, tmp_path: Path) -> None:
    """Ten leads a week of each of four teams; those of one begin to skip."""
    book = BOOK.replace(
        "  lead:\n    fields:\n", "  team:\n    fields:\n      name: {type: text}\n  lead:\n    fields:\n", 1
    )
    book = book.replace(
        "      need: {type: boolean}\n", "      need: {type: boolean}\n      team: {type: ref, to: team}\n"
    )
    book = book.replace("starts: [raw]", "starts: [raw, mql]")
    book += """  skipping:
    object: team
    detector: segment_rate
    field: stage
    parameters: {of: lead, by: team, outcome: skips, lifecycle: lead, weeks: 8}
"""
    whole = (NOW - datetime(1970, 1, 5, tzinfo=UTC)) // timedelta(weeks=1)
    weeks = (whole - 1) % 8 + 1
    start = NOW - timedelta(weeks=8 + weeks)
    events = [_event(f"t{team}", f"team/T{team}", start, name=f"Team {team}") for team in range(4)]
    for week in range(8 + weeks):
        for team in range(4):
            for number in range(10):
                skips = number < (8 if team == 2 and week >= 8 else 1)
                record, begun = f"lead/L{week}-{team}-{number}", start + timedelta(weeks=week, minutes=number)
                events.append(_event(f"a{record}", record, begun, stage="raw", team=f"T{team}"))
                moved = begun + timedelta(hours=1)
                events.append(_event(f"b{record}", record, moved, stage="sal" if skips else "mql"))
    with tower_under(book, database_url, tmp_path, Clock(NOW)) as tower:
        tower.take_events(events, origin="test")
        told = {found.signal: found.raised for found in tower.detect(only=frozenset({"skipping"}))}
        assert told == {"skipping": 1}
        with tower.database.read() as conn:
            (signal,) = queries.signals(conn, "team", "T2")
        assert "team 'T2': moves off the lifecycle" in signal.data["explanation"]


def _event(key: str, subject: str, time: datetime, **fields: str) -> Event:
    return Event(id=key, source="crm", type="record.updated", subject=subject, time=time, data={"fields": fields})


def test_the_signals_of_the_documentation_fit_the_default_rulebook(project: Path, tmp_path: Path) -> None:
    text = (project / "docs" / "process-signals.md").read_text()
    shutil.copytree(DEFAULT, tmp_path / "rules")
    (tmp_path / "rules" / "more.yaml").write_text(text.split("```yaml\n")[1].split("```")[0])
    book = load(tmp_path / "rules").rulebook
    for name in ("off_path", "odd_way", "put_off", "skips_rising", "losses_rising", "gaps_rising", "dates_slipping",
                 "forecasts_missed", "discounts_moving", "odd_actor", "sources_moving", "other_ways"):  # fmt: skip
        signal = book.signals[name]
        request = DetectionRequest(
            id="r", signal=name, detector=signal.detector, object=signal.object, field=signal.field,
            budget=signal.budget, at=NOW, parameters=declared_parameters(book, name, signal),
        )  # fmt: skip
        table = versions_table([], book, signal.object, NOW)
        detector = ROSTER[signal.detector]
        assert list(detector.raise_signals(table, detector.fit(table, request), request)) == []
