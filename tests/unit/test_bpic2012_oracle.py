"""The bank's loan log, judged twice: by the product, and by an oracle in pandas without any of its code."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
LOG = ROOT.parent / "shared/data/process/bpic2012_loan.parquet"
EXAMPLE = ROOT / "examples/bpic2012"

needs_log = pytest.mark.skipif(not LOG.exists(), reason=f"the BPI Challenge 2012 log is not at {LOG}")


def _oracle() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bpic2012_oracle", ROOT / "tests/oracles/bpic2012.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


oracle = _oracle()


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return oracle.read(LOG)


def _rulebook(folder: Path, zone: str) -> Path:
    """The example's rulebook, with its days counted in `zone`."""
    changed = 0
    for file in sorted((EXAMPLE / "rulebook").glob("*.yaml")):
        text = file.read_text()
        changed += text.count(f"timezone: {oracle.ZONE}")
        (folder / file.name).write_text(text.replace(f"timezone: {oracle.ZONE}", f"timezone: {zone}"))
    assert changed == 1
    return folder


def _answer(*arguments: str, **surroundings: str) -> dict[str, Any]:
    command = [sys.executable, "-c", "from watchtower.cli.main import run; run()", *arguments, "--json"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False, env=os.environ | surroundings
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _input(rulebook: Path) -> tuple[str, ...]:
    return (str(rulebook), str(LOG), "--mapping", str(EXAMPLE / "mapping.yaml"))


@needs_log
@pytest.mark.parametrize("moment", oracle.MOMENTS, ids=lambda moment: f"{moment:%Y-%m-%d}")
def test_what_holds_and_what_is_due_is_what_the_oracle_says(log: pd.DataFrame, moment: pd.Timestamp) -> None:
    time = moment.isoformat().replace("+00:00", "Z")
    answer = _answer("rules", "eval", *_input(EXAMPLE / "rulebook"), "--at", time, "--engine", "duckdb")

    results = answer["results"]
    order = [(one["rule"], one["record"]) for one in results]
    assert order == sorted(order), "ordered by rule, then record"
    assert {one["state"] for one in results} <= {"holds", "pending"}, "nothing is unknown"
    said = {
        (one["rule"], one["record"], one["state"], one["since"] if one["state"] == "holds" else one["due"])
        for one in results
    }
    assert len(said) == len(results)
    assert said == oracle.at(log, moment)
    for one in results:
        if one["state"] == "holds":
            assert (one["until"], one["due"]) == (None, None), one
        else:
            assert one["since"] is None, one


WHOLE = ("2011-09-01T00:00:00Z", "2012-06-01T00:00:00Z")  # all of the log, and until everything is due


@needs_log
@pytest.mark.parametrize(
    ("zone", "begin", "end"),
    [
        ("UTC", *WHOLE),  # where no day has 23 or 25 hours
        ("Europe/Amsterdam", *WHOLE),
        ("UTC", "2011-11-07T06:30:00Z", "2012-01-15T12:00:00Z"),  # cut at both ends
    ],
    ids=["utc", "amsterdam", "cut"],
)
def test_a_backtest_gives_every_interval_to_the_microsecond(
    log: pd.DataFrame, tmp_path: Path, zone: str, begin: str, end: str
) -> None:
    rulebook = _rulebook(tmp_path, zone)
    answer = _answer("rules", "backtest", *_input(rulebook), "--from", begin, "--to", end, "--engine", "duckdb")
    _same(answer, oracle.backtest(log, pd.Timestamp(begin), pd.Timestamp(end), zone))


def _same(answer: dict[str, Any], expected: set[tuple[str, ...]]) -> None:
    found = [(one["rule"], one["record"], one["since"], one["until"]) for one in answer["intervals"]]
    assert len(set(found)) == len(found)
    assert set(found) == expected
    assert found == sorted(found), "ordered by rule, record, time"


@needs_log
def test_postgresql_gives_the_same_backtest(log: pd.DataFrame, database_url: str) -> None:
    begin, end = WHOLE
    arguments = (*_input(EXAMPLE / "rulebook"), "--from", begin, "--to", end, "--engine", "live")
    answer = _answer("rules", "backtest", *arguments, DATABASE_URL=database_url)
    _same(answer, oracle.backtest(log, pd.Timestamp(begin), pd.Timestamp(end)))


@needs_log
def test_the_clock_change_moves_deadlines_in_amsterdam(log: pd.DataFrame) -> None:
    """Otherwise the two zones above would test the same thing twice."""
    span = tuple(pd.Timestamp(text) for text in WHOLE)
    assert oracle.backtest(log, *span, "UTC") != oracle.backtest(log, *span, "Europe/Amsterdam")


def _rows(*rows: tuple[str, str, str]) -> pd.DataFrame:
    log = pd.DataFrame(rows, columns=["activity", "timestamp", "lifecycle"])
    log["timestamp"] = pd.to_datetime(log["timestamp"], utc=True)
    return log.assign(case_id="1").sort_values("timestamp", kind="stable", ignore_index=True)


def _spans(rule: str, *rows: tuple[str, str, str], zone: str = oracle.ZONE) -> list[tuple[str, str | None]]:
    found = oracle.intervals(_rows(*rows), oracle.RULES[rule], zone)
    return [
        (f"{row.since:%m-%d %H:%M}", None if pd.isna(row.until) else f"{row.until:%m-%d %H:%M}")
        for row in found.itertuples()
    ]


def test_the_oracle_holds_from_the_delay_to_the_next_event_of_the_kind_whatever_lies_between() -> None:
    assert _spans(
        "offer_unanswered",
        ("O_SENT", "2011-12-01T10:00Z", "COMPLETE"),
        ("W_Nabellen offertes", "2011-12-05T10:00Z", "START"),
        ("W_Nabellen offertes", "2011-12-25T10:00Z", "START"),
        ("O_CANCELLED", "2011-12-30T10:00Z", "COMPLETE"),
    ) == [("12-22 10:00", "12-30 10:00")]


def test_the_oracle_starts_again_from_a_second_event_of_the_same_kind() -> None:
    assert _spans(
        "offer_unanswered",
        ("O_SENT", "2011-11-01T10:00Z", "COMPLETE"),
        ("O_SENT", "2011-12-01T10:00Z", "COMPLETE"),
    ) == [("11-22 10:00", "12-01 10:00"), ("12-22 10:00", None)]


def test_the_oracle_gives_a_duration_only_to_the_last_of_events_at_one_time() -> None:
    both = (("O_SENT", "2011-12-01T10:00Z", "COMPLETE"), ("O_CANCELLED", "2011-12-01T10:00Z", "COMPLETE"))
    assert _spans("offer_unanswered", *both) == []
    assert _spans("offer_unanswered", *reversed(both)) == [("12-22 10:00", None)]


def test_the_oracle_counts_days_on_the_clock_and_hours_as_they_pass() -> None:
    assert _spans("offer_unanswered", ("O_SENT", "2011-10-20T10:00Z", "COMPLETE"), zone="Europe/Amsterdam") == [
        ("11-10 11:00", None)
    ]
    assert _spans("lead_untouched", ("W_Afhandelen leads", "2011-10-29T23:00Z", "SCHEDULE")) == [("10-30 03:00", None)]


def test_the_oracle_lets_any_event_break_the_silence_and_only_a_state_change_end_it() -> None:
    assert _spans(
        "preaccepted_silent",
        ("A_PREACCEPTED", "2011-12-01T10:00Z", "COMPLETE"),
        ("W_Completeren aanvraag", "2011-12-05T10:00Z", "SCHEDULE"),
        ("W_Completeren aanvraag", "2011-12-20T10:00Z", "START"),
        ("A_ACCEPTED", "2011-12-21T10:00Z", "COMPLETE"),
    ) == [("12-12 10:00", "12-20 10:00")]
