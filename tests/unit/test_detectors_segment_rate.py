"""Teams, owners and sources whose rate of something went up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from detectors import ROSTER
from detectors.outcomes import read_outcomes
from detectors.snapshot import read_versions, time_of
from detectors.weeks import MONDAY, WEEK
from watchtower.contract import Calibrated, DetectionRequest, Signal

KIND = pa.timestamp("us", tz="UTC")
PERIOD = 26 * WEEK
START = time_of(MONDAY + (micros := int(datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1e6)) // PERIOD * PERIOD)
"""The Monday on which the watched period begins."""
AT = START + timedelta(weeks=20)
MOVES = {"moves": "raw>mql; mql>sal", "outcome": "skips", "by": "owner"}


def leads(owners: int = 12, each: int = 6, drifting: str = "", since: int = 8, until: int = 20, seed: int = 1) -> Any:
    """Each week `each` leads an owner: raw, then mql a day later, or, in one of eight, sal at once. Doubled later."""
    random = np.random.default_rng(seed)
    rows: list[tuple[str, datetime, datetime | None, str, str]] = []
    for week in range(-26, until):
        for owner in range(owners):
            for number in range(each):
                name, record = f"rep-{owner:02d}", f"L-{week + 26:02d}-{owner:02d}-{number}"
                begun = START + timedelta(weeks=week, days=1, hours=number)
                rate = 0.34 if name == drifting and week >= since else 0.12
                moved = begun + timedelta(days=1)
                rows.append((record, begun, moved, "raw", name))
                rows.append((record, moved, None, "sal" if random.random() < rate else "mql", name))
    names = ("record", "valid_from", "valid_to", "stage", "owner")
    kinds = (pa.string(), KIND, KIND, pa.string(), pa.string())
    columns = zip(*rows, strict=True)
    return pa.table({name: pa.array(values, kind) for name, values, kind in zip(names, columns, kinds, strict=True)})


def asked(at: datetime = AT, **parameters: Any) -> DetectionRequest:
    return DetectionRequest(
        id="r", signal="slipping", detector="segment_rate", object="lead", field="stage", budget=0.01, at=at,
        parameters={**MOVES, **parameters},
    )  # fmt: skip


def raised(table: Any, request: DetectionRequest) -> list[Signal]:
    detector = ROSTER["segment_rate"]
    return list(detector.raise_signals(table, detector.fit(table, request), request))


def test_an_owner_whose_leads_begin_to_skip_is_told_with_rate_and_week() -> None:
    (signal,) = raised(leads(drifting="rep-03"), asked())
    assert signal.cohort == "owner=rep-03"
    assert signal.explanation.startswith("owner 'rep-03': moves off the lifecycle, ")
    assert abs(signal.began_at - (START + timedelta(weeks=8))) <= timedelta(weeks=3)
    assert signal.p_value <= 0.01
    assert signal.strength > 1.8
    assert signal.unit == "times the rate before"
    assert signal.contributors[0].name == f"{signal.began_at:%G-W%V}"


def test_the_signal_is_on_the_first_record_that_went_wrong_or_on_the_segments_own() -> None:
    table = leads(drifting="rep-03")
    (signal,) = raised(table, asked())
    record = signal.subject.removeprefix("lead/")
    stages = {row["record"]: row["stage"] for row in table.to_pylist()}
    assert record.split("-")[2] == "03"
    assert stages[record] == "sal"
    (own,) = raised(table, asked(of="lead"))
    assert own.subject == "lead/rep-03"


def test_owners_without_a_change_raise_nothing() -> None:
    assert raised(leads(), asked()) == []


def test_what_lies_after_the_request_is_not_read() -> None:
    early = AT - timedelta(weeks=6)
    table = leads(drifting="rep-03")
    known = table.filter(pa.compute.less_equal(table["valid_from"], pa.scalar(early, KIND)))
    assert raised(table, asked(at=early)) == raised(known, asked(at=early))


def test_the_order_of_the_snapshot_does_not_matter() -> None:
    table = leads(drifting="rep-03")
    shuffled = table.take(pa.array(np.random.default_rng(2).permutation(table.num_rows)))
    assert raised(shuffled, asked()) == raised(table, asked())


def test_on_a_periods_last_monday_its_evidence_still_counts() -> None:
    table = leads(drifting="rep-03", until=26)
    assert len(raised(table, asked(at=START + timedelta(weeks=26)))) == 1


def test_too_few_cases_and_too_few_segments_are_said() -> None:
    fitted = ROSTER["segment_rate"].fit(leads(owners=2), asked())
    assert fitted.abstentions["segments"] == "2 have enough cases; at least 3 are needed"
    sparse = leads(owners=4)
    few = sparse.filter(pa.compute.or_(
        pa.compute.not_equal(sparse["owner"], "rep-01"), pa.compute.starts_with(sparse["record"], "L-00")
    ))  # fmt: skip
    abstained = ROSTER["segment_rate"].fit(few, asked()).abstentions
    assert abstained["owner=rep-01"] == "6 cases in 26 weeks; at least 20 are needed"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"outcome": "mood"}, "parameters.outcome: 'mood' is not known"),
        ({"by": ""}, "parameters.by: missing"),
        ({"by": "ghost"}, "field: 'ghost' is not in the snapshot"),
        ({"weeks": 2}, "parameters.weeks: 2"),
        ({"ratio": 1}, "parameters.ratio: 1"),
        ({"outcome": "missing"}, "parameters.fields: missing"),
        ({"outcome": "missing", "fields": "owner", "after_days": -1}, "parameters.after_days: -1"),
        ({"outcome": "value", "wrong": "lost"}, "both are needed"),
        ({"moves": ""}, "parameters.moves: missing"),
    ],
)
def test_a_request_that_does_not_fit_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ROSTER["segment_rate"].fit(leads(owners=3, each=1), asked(**changes))


def outcomes(rows: list[tuple[str, float, float | None, str | None]], **parameters: Any) -> list[tuple[float, bool]]:
    """Days before AT and whether wrong, from (record, from, to, stage) in days before AT."""

    def ago(days: float | None) -> datetime | None:
        return None if days is None else AT - timedelta(days=days)

    table = pa.table(
        {
            "record": pa.array([row[0] for row in rows]),
            "valid_from": pa.array([ago(row[1]) for row in rows], KIND),
            "valid_to": pa.array([ago(row[2]) for row in rows], KIND),
            "stage": pa.array([row[3] for row in rows], pa.string()),
        }
    )
    found = read_outcomes(read_versions(table, AT), asked(**parameters))
    days = [(AT - time_of(time)) / timedelta(days=1) for time in found.time.tolist()]
    return list(zip(days, found.wrong.tolist(), strict=True))


def test_a_stay_is_late_from_its_limit_on_and_in_time_when_it_is_left() -> None:
    rows = [("A", 9, 8, "raw"), ("A", 8, None, "mql"), ("B", 9, 4, "raw"), ("C", 1, None, "raw"), ("D", 3, None, "raw")]
    assert outcomes(rows, outcome="late", limits="raw>48") == [(8, False), (7, True), (1, True)]


def test_completeness_is_judged_once_after_some_days_on_records_that_still_are() -> None:
    rows = [
        ("empty", 20, 15, "raw"), ("empty", 15, None, None), ("filled", 20, 14, None), ("filled", 14, None, "raw"),
        ("young", 3, None, None), ("gone", 20, 15, None), ("late", 20, 12.5, None), ("late", 12.5, None, "raw"),
    ]  # fmt: skip
    found = outcomes(rows, outcome="missing", fields="stage")
    assert sorted(found) == [(13, False), (13, True), (13, True)]


def test_an_entry_into_a_wrong_value_counts_against_those_into_right_ones() -> None:
    rows = [("A", 9, 8, "raw"), ("A", 8, None, "lost"), ("B", 9, 4, "raw"), ("B", 4, None, "won")]
    assert outcomes(rows, outcome="value", wrong="lost", right="won") == [(8, True), (4, False)]


def test_an_owner_is_told_where_nothing_had_ever_gone_wrong_before() -> None:
    """Twice a rate of nothing is nothing: 6 skips of 18 moves, after none of 800, were passed over."""
    table = leads(until=20)
    stages = np.array(table.column("stage").to_pylist())
    owners = np.array(table.column("owner").to_pylist())
    begun = np.array([time.timestamp() for time in table.column("valid_from").to_pylist()])
    late = (owners == "rep-03") & (begun > (START + timedelta(weeks=17)).timestamp())
    moved = np.flatnonzero(stages != "raw")
    stages[moved] = "mql"
    stages[np.flatnonzero(late & (stages == "mql"))[::3]] = "sal"
    table = table.set_column(table.schema.get_field_index("stage"), "stage", pa.array(stages.tolist()))
    (signal,) = raised(table, asked())
    assert signal.cohort == "owner=rep-03"


def test_the_promise_is_shown_beside_what_quiet_segments_come_to() -> None:
    detector, table, request = ROSTER["segment_rate"], leads(owners=60, drifting="rep-03"), asked()
    assert isinstance(detector, Calibrated)
    (found,) = detector.calibrate(table, request, seed=1)
    assert (found.cohort, found.promised, found.judged) == ("owner, 4 to 8 cases a week", 0.01, 60)
    assert found.per == "26 weeks"
    assert found.raised <= 4  # 0.6 expected
    assert list(detector.calibrate(leads(owners=2), request)) == []
