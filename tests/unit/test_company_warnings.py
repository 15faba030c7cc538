"""What a generated year plants for detectors shows in its events, and is counted rightly beside what was raised."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from company_checks import TICK, Past

from watchtower.flow.company import Planted, Year, generate
from watchtower.flow.company_drifts import FIRST_MONDAY, HALF_YEAR, marketing_turned
from watchtower.flow.demo_signals import warned
from watchtower.rulebook import DEFAULT, load
from watchtower.rules.compile import compile_rulebook

START, END = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)


@cache
def year_of(seed: int) -> Year:
    return generate(seed, accounts=200, start=START, end=END)


def planted(year: Year, signal: str) -> list[Planted]:
    found = [one for one in year.truth.planted if one.signal == signal]
    assert found, signal
    return found


@pytest.mark.parametrize(
    ("signal", "field", "value"), [("payment", "payment_status", "failed"), ("champion", "status", "left")]
)
def test_a_planted_fact_is_what_the_record_says_at_the_end(signal: str, field: str, value: str) -> None:
    year = year_of(7)
    past = Past(year)
    for one in planted(year, signal):
        state = past.at(one.subject, END - TICK)
        assert state is not None and state[field] == value and state[f"changed {field}"] == one.since


def test_a_deal_put_off_has_moved_its_date_twice_or_more_and_is_open() -> None:
    year = year_of(7)
    past = Past(year)
    for one in planted(year, "put_off"):
        said = [event.data.get("fields", {}) for event in past.by_record[one.subject]]
        dates = [fields["close_date"] for fields in said if "close_date" in fields]
        assert len(dates) >= 3 and dates == sorted(dates)
        state = past.at(one.subject, END - TICK)
        assert state is not None and state["stage"] not in ("won", "lost")


def test_a_deal_off_its_path_was_won_out_of_discovery_of_late() -> None:
    year = year_of(7)
    past = Past(year)
    for one in planted(year, "off_path"):
        before, after = past.at(one.subject, one.since - TICK), past.at(one.subject, one.since)
        assert before is not None and after is not None
        assert (before["stage"], after["stage"]) == ("discovery", "won")
        assert END - one.since < timedelta(days=30)


def test_those_who_ask_more_asked_at_least_six_times_in_four_weeks() -> None:
    year = year_of(7)
    lately = Counter(
        e.subject
        for e in {e.id: e for e in year.events}.values()
        if e.type == "ticket.opened" and e.time > END - timedelta(weeks=4)
    )
    assert all(lately[one.subject] >= 6 for one in planted(year, "more_tickets"))


def test_those_who_fell_silent_have_not_been_spoken_with_for_ten_weeks() -> None:
    year = year_of(7)
    touched: dict[str, datetime] = defaultdict(lambda: START)
    for event in year.events:
        if event.type == "activity.logged":
            touched[event.subject] = max(touched[event.subject], event.time)
    for one in planted(year, "fallen_silent"):
        assert touched[one.subject] == one.since < END - timedelta(days=70)


@pytest.mark.parametrize("weeks", range(26))
def test_marketing_turned_within_the_half_year_that_is_watched_once_that_has_lasted_four_weeks(weeks: int) -> None:
    begun = FIRST_MONDAY + 110 * HALF_YEAR
    turned = marketing_turned(begun + timedelta(weeks=weeks, days=1))
    assert (turned >= begun) == (weeks >= 4)


def test_every_declared_signal_is_read_by_a_rule_that_is_informed_by_ai_and_planted_ones_are_declared() -> None:
    program = compile_rulebook(load(DEFAULT))
    for name, signal in program.book.signals.items():
        readers = [
            compiled
            for compiled in program.rules
            if compiled.rule.object == signal.object
            and any(column.field.partition(".")[0] == name for column in compiled.columns)
        ]
        assert readers, name
        assert all(compiled.ai_informed for compiled in readers), name
    assert {one.signal for one in year_of(7).truth.planted} <= set(program.book.signals)


def test_what_was_raised_is_counted_as_found_invented_or_missed() -> None:
    year = year_of(7)
    champions = [one.subject for one in planted(year, "champion")]
    said = warned(year, "champion", "champion_left", [champions[0], "contact/C-0"], ["contact/C-1"], {}, {})
    assert (said.found, said.invented, said.held) == (1, ("contact/C-0",), 1)
    assert said.missed == tuple(sorted(champions[1:])) and said.found + len(said.missed) == said.planted


def test_a_signal_on_a_segment_is_found_where_its_record_belongs_to_it() -> None:
    year = year_of(7)
    living = {"lead/L-1": {"region": "southern_europe"}, "lead/L-2": {"region": "overseas"}}
    there = warned(year, "skips_rising", "segment_rate", ["lead/L-1"], [], living, {})
    elsewhere = warned(year, "skips_rising", "segment_rate", ["lead/L-2"], [], living, {"x": "y"})
    assert (there.found, there.invented) == (1, ())
    assert (elsewhere.found, elsewhere.invented, elsewhere.missed) == (0, ("lead/L-2",), ("region=southern_europe",))


def test_where_nothing_was_raised_the_reason_is_told() -> None:
    said = warned(year_of(7), "leaving", "churn_risk", [], [], {}, {"labels": "1 of 188 came"})
    assert (said.planted, said.because) == (0, "labels: 1 of 188 came")
