"""A signal that names a lifecycle: the tower writes it out, the detector finds who left it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tower_scene import Clock, tower_under

from watchtower.contract import Event
from watchtower.errors import RulebookError
from watchtower.flow.declared import declared_parameters
from watchtower.rulebook import load

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
