"""More tickets, a worse mood: against a record's own past and its cohort, at the promised rate of false alarms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from detectors import ROSTER
from watchtower.contract import DetectionRequest, Signal

AT = datetime(2026, 6, 3, 15, tzinfo=UTC)
MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
KIND = pa.timestamp("us", tz="UTC")
Floats = NDArray[np.float64]


def request(detector: str, at: datetime = AT, budget: float = 0.01, **parameters: Any) -> DetectionRequest:
    field = "tickets" if detector == "ticket_shift" else "mood"
    return DetectionRequest(
        id="r",
        signal="s",
        detector=detector,
        object="account",
        field=field,
        budget=budget,
        at=at,
        parameters=parameters,
    )


def snapshot(weekly: Floats, field: str, *, counter: bool, **more: Any) -> pa.Table:
    """A version for each record and week, the latest week last and ending on MONDAY; counters are summed up."""
    records, weeks = weekly.shape
    starts = [MONDAY - timedelta(weeks=weeks - n, hours=-1) for n in range(weeks)]
    first = [MONDAY - timedelta(weeks=weeks)]
    begun = np.concatenate([np.zeros((records, 1)), weekly.cumsum(axis=1) if counter else weekly], axis=1)
    if not counter:
        begun[:, 0] = weekly[:, 0]
    since = [*first, *starts]
    until = [*starts, None]
    return pa.table(
        {
            "record": pa.array(np.repeat([f"A-{n:04}" for n in range(records)], weeks + 1)),
            "valid_from": pa.array(since * records, KIND),
            "valid_to": pa.array(until * records, KIND),
            field: pa.array(begun.ravel()),
            **{name: pa.array(np.repeat(values, weeks + 1)) for name, values in more.items()},
        }
    )


def tickets(random: np.random.Generator, records: int = 400, weeks: int = 48) -> Floats:
    """Counts with rates of their own, bursts, and a busy season in which all have twice as many."""
    rate = random.gamma(1.0, 0.8, (records, 1)) + 0.05
    busy = np.where(np.arange(weeks) >= weeks - 4, 2.0, 1.0)
    counts: Floats = random.poisson(rate * busy * random.gamma(3.0, 1 / 3, (records, weeks))).astype(np.float64)
    return counts


def moods(random: np.random.Generator, records: int = 400, weeks: int = 48) -> Floats:
    """Autocorrelated values about a mean of one's own."""
    found = np.zeros((records, weeks))
    found[:, 0] = random.normal(0, 1, records)
    for n in range(1, weeks):
        found[:, n] = 0.5 * found[:, n - 1] + random.normal(0, 0.8, records)
    return found + random.normal(5, 1, (records, 1))


def raised(table: Any, asked: DetectionRequest) -> list[Signal]:
    detector = ROSTER[asked.detector]
    return list(detector.raise_signals(table, detector.fit(table, asked), asked))


def test_tickets_that_pile_up_are_told_with_what_was_to_be_expected() -> None:
    counts = tickets(np.random.default_rng(1))
    counts[7, -4:] += 12
    signal = raised(snapshot(counts, "tickets", counter=True), request("ticket_shift"))[0]
    assert signal.subject == "account/A-0007"
    assert signal.direction == "up"
    assert signal.strength > 200
    assert (signal.window_from, signal.window_to) == (MONDAY - timedelta(weeks=4), MONDAY)
    assert f"{counts[7, -4:].sum():.0f} tickets in 4 weeks; " in signal.explanation
    assert "were to be expected from its own past and that of accounts like it." in signal.explanation
    assert signal.contributors[-1].name == "week of 2026-05-25"
    assert [c.value for c in signal.contributors] == counts[7, -12:].tolist()


@pytest.mark.parametrize("detector", ["ticket_shift", "sentiment_shift"])
def test_where_nothing_changes_the_budget_is_what_is_raised_a_season_and_bursts_included(detector: str) -> None:
    """40 companies of 400 accounts, at 2%."""
    made = tickets if detector == "ticket_shift" else moods
    shares = []
    for seed in range(40):
        table = snapshot(made(np.random.default_rng(seed)), request(detector).field, counter=detector == "ticket_shift")
        shares.append(len(raised(table, request(detector, budget=0.02))) / 400)
    assert 0.014 <= np.mean(shares) <= 0.027, "a season that doubles all counts costs a little"


def test_a_tripled_rate_and_a_fallen_mood_are_found() -> None:
    random = np.random.default_rng(3)
    counts, mood = tickets(random), moods(random)
    # 40 accounts, with about one ticket a week to begin with
    odd = np.argsort(np.abs(counts[:, :-4].mean(axis=1) - 1.2))[:40]
    counts[odd, -4:] = random.poisson(3.0 * 2 * 1.2, (40, 4))
    mood[odd, -4:] -= 2.5
    for detector, values in (("ticket_shift", counts), ("sentiment_shift", mood)):
        field = request(detector).field
        signals = raised(snapshot(values, field, counter=detector == "ticket_shift"), request(detector))
        found = {int(signal.subject[-4:]) for signal in signals} & set(odd.tolist())
        assert len(found) > (16 if detector == "ticket_shift" else 28), detector


def test_looks_of_one_week_say_the_same() -> None:
    counts = tickets(np.random.default_rng(4))
    counts[3, -4:] += 15
    table = snapshot(counts, "tickets", counter=True)
    said = [
        [
            (signal.subject, signal.p_value)
            for signal in raised(table, request("ticket_shift", at=MONDAY + timedelta(days)))
        ]
        for days in (0, 2, 6)
    ]
    assert said[0] == said[1] == said[2] != []


def test_cohorts_are_compared_with_themselves() -> None:
    random = np.random.default_rng(5)
    counts = tickets(random)
    segment = np.where(np.arange(400) < 200, "smb", "enterprise")
    counts[:200, -4:] *= 3
    table = snapshot(counts, "tickets", counter=True, segment=segment)
    parted = raised(table, request("ticket_shift", by="segment"))
    whole = raised(table, request("ticket_shift"))
    assert len(parted) < len(whole)
    assert {signal.cohort for signal in parted} <= {"segment=smb", "segment=enterprise"}


def test_short_histories_and_small_cohorts_are_not_judged_and_the_reason_is_given() -> None:
    counts = tickets(np.random.default_rng(6), records=100)
    table = snapshot(counts, "tickets", counter=True)
    young = snapshot(counts[:5, -6:] + 50, "tickets", counter=True)
    young = young.set_column(0, "record", pa.array([f"Y-{n}" for n in np.repeat(np.arange(5), 7)]))
    detector = ROSTER["ticket_shift"]
    both = pa.concat_tables([table, young])
    fitted = detector.fit(both, request("ticket_shift"))
    assert fitted.abstentions == {"all accounts: short histories": "5 accounts have fewer than 12 weeks behind them"}
    assert fitted.tested == 100
    assert not any("Y-" in signal.subject for signal in raised(both, request("ticket_shift")))
    few = detector.fit(snapshot(counts[:10], "tickets", counter=True), request("ticket_shift"))
    assert few.abstentions == {"all accounts": "30 earlier windows to compare with; at least 50 are needed"}
    assert raised(snapshot(counts[:10], "tickets", counter=True), request("ticket_shift")) == []


def test_what_comes_after_the_request_changes_nothing_and_order_neither() -> None:
    mood = moods(np.random.default_rng(7))
    mood[5, -4:] -= 6
    table = snapshot(mood, "mood", counter=False)
    later = table.slice(0, 1).set_column(1, "valid_from", pa.array([AT + timedelta(1)], KIND))
    whole = pa.concat_tables([later, table])
    shuffled = whole.take(pa.array(np.random.default_rng(0).permutation(whole.num_rows)))
    assert raised(shuffled, request("sentiment_shift")) == raised(table, request("sentiment_shift")) != []
