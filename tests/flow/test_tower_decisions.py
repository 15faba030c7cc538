"""What the tower decides, one case each: the door, the clock, proposals, and rulebooks that change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from watchtower.api.routes.alerts import alert_of
from watchtower.bootstrap import Tower, build
from watchtower.contract import Event, Evidence, FieldRequest, Proposal, format_time
from watchtower.rulebook import load
from watchtower.settings import Settings

DAY = timedelta(days=1)
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
BOOK = """
name: decisions
timezone: Europe/Rome
objects:
  zone:
    fields:
      open: {type: boolean}
  account:
    fields:
      employees: {type: integer, min: 1, fill: enrichment}
      industry: {type: text, fill: enrichment}
      zone: {type: ref, to: zone}
      closing_at: {type: timestamp}
  lead:
    fields:
      account: {type: ref, to: account}
      zone: {type: ref, to: zone}
      stage: {type: enum, values: [raw, mql, sql]}
      mql_at: {type: timestamp}
rules:
  - {id: waiting, object: lead, when: "stage = 'mql' and mql_at <= now() - interval '48 hours'"}
  - {id: lasting, object: lead, when: "stage = 'mql'", for: 2 hours}
  - {id: small, object: account, when: employees < 10, severity: high}
  - {id: small_lead, object: lead, when: account.employees < 10}
  - {id: in_open_zone, object: lead, when: zone.open}
acceptance:
  account.employees: {accept_at: 0.9, review_at: 0.5}
  account.industry: {accept_at: 0.9, review_at: 0.5}
"""
TEXT = "Acme makes bolts. It has 7 employees in Turin."


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class Says:
    """A worker that answers every request with the same proposals."""

    def __init__(self, **answer: Any) -> None:
        self.answer = answer

    def propose(self, requests: list[FieldRequest]) -> list[Proposal]:
        return [proposal(request.id, **self.answer) for request in requests]


def proposal(request: str, **changes: Any) -> Proposal:
    quote = "7 employees"
    at = TEXT.index(quote)
    given: dict[str, Any] = {
        "field": "employees", "value": 7, "confidence": 0.95, "method": "pattern",
        "evidence": (Evidence(document="d1", quote=quote, start=at, end=at + len(quote)),),
    }  # fmt: skip
    return Proposal(request=request, **(given | changes))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tower(database_url: str, tmp_path: Path, clock: Clock) -> Iterator[Tower]:
    (tmp_path / "rules.yaml").write_text(BOOK)
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url))
    with build(settings, rulebook=tmp_path / "rules.yaml", clock=clock) as built:
        yield built
        assert list(map(str, built.replay().differences)) == []


_numbers = iter(range(10**9))


def say(tower: Tower, subject: str, at: datetime = START, *, type: str = "record.updated", **fields: Any) -> str:
    """One event; its verdict."""
    return tell(tower, subject, at, type, {"fields": fields} if type == "record.updated" else fields)


def tell(tower: Tower, subject: str, at: datetime, type: str, data: dict[str, Any], **changes: str) -> str:
    event = {
        "id": f"e{next(_numbers)}", "source": "crm", "type": type, "subject": subject, "time": format_time(at),
        "data": data,
    }  # fmt: skip
    return tower.take([event | changes])[0].status


def rows(tower: Tower, sql: str) -> list[tuple[Any, ...]]:
    with tower.database.read() as conn:
        return [tuple(row) for row in conn.execute(text(sql))]


def alerts(tower: Tower) -> list[tuple[Any, ...]]:
    return rows(
        tower, "select rule, record, status, opened_at, resolved_at, resolution from alert order by rule, record"
    )


def ask_about(tower: Tower, **answer: Any) -> None:
    """A document on account A1, and a worker that answers what is asked about it."""
    say(tower, "account/A1", zone=None)
    tell(tower, "account/A1", START, "document.added", {"document": "d1", "text": TEXT})
    tower.enrich(Says(**answer))


def state(tower: Tower, record: str = "A1") -> dict[str, Any]:
    return dict(rows(tower, f"select state from record where id = '{record}'")[0][0])


# ---- the door


def test_the_same_key_with_another_body_is_a_conflict_and_changes_nothing(tower: Tower) -> None:
    assert tell(tower, "lead/L1", START, "record.updated", {"fields": {"stage": "raw"}}, id="x") == "accepted"
    assert tell(tower, "lead/L1", START, "record.updated", {"fields": {"stage": "raw"}}, id="x") == "duplicate"
    assert tell(tower, "lead/L1", START, "record.updated", {"fields": {"stage": "mql"}}, id="x") == "conflict"
    assert state(tower, "L1") == {"stage": "raw"}


def test_the_names_and_the_words_of_the_rule_layer_and_the_workers_are_refused_at_the_door(tower: Tower) -> None:
    for source in ("watchtower", "enrichment", "detectors", "ai"):
        assert tell(tower, "lead/L1", START, "record.updated", {"fields": {}}, source=source) == "refused"
    for kind in ("alert.opened", "field.accepted", "field.proposed", "signal.raised", "signal.admitted"):
        data = {"field": "employees", "value": 3, "by": "person"}
        assert tell(tower, "account/A1", START, kind, data) == "refused"
    assert rows(tower, "select count(*) from record") == [(0,)]


def test_an_event_of_the_future_waits_and_one_of_a_clock_that_is_a_little_ahead_does_not(tower: Tower) -> None:
    assert say(tower, "lead/L1", START + timedelta(minutes=5)) == "accepted"
    assert say(tower, "lead/L2", START + timedelta(minutes=5, microseconds=1)) == "quarantined"
    assert rows(tower, "select id from record") == [("L1",)]


def test_a_time_that_stands_for_never_poisons_no_batch(tower: Tower, clock: Clock) -> None:
    """Many CRMs write 9999-12-31 or 0001-01-01 where there is no time."""
    for n, at in enumerate(
        ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-03-02T09:00:00Z")
    ):
        assert say(tower, f"lead/L{n}", stage="mql", mql_at=at) == "accepted"
    clock.now = START + 3 * DAY
    tower.tick()
    assert [record for rule, record, *_ in alerts(tower) if rule == "waiting"] == ["L1", "L3"]


# ---- the clock


def test_an_alert_opens_exactly_at_since_plus_for_whenever_the_tick_runs(tower: Tower, clock: Clock) -> None:
    say(tower, "lead/L1", stage="mql")
    assert tower.next_instant() == START + timedelta(hours=2)
    clock.now = START + timedelta(hours=2) - timedelta(microseconds=1)
    tower.tick()
    assert alerts(tower) == []
    clock.now = START + timedelta(hours=2)
    assert tower.tick().opened == 1
    assert tower.tick().opened == 0
    assert rows(tower, "select since, opened_at from alert") == [(START, START + timedelta(hours=2))]


def test_a_deletion_closes_alerts_at_its_own_time(tower: Tower, clock: Clock) -> None:
    say(tower, "lead/L1", stage="mql")
    clock.now = START + DAY
    tower.tick()
    gone = START + timedelta(hours=5)
    tell(tower, "lead/L1", gone, "record.deleted", {})
    [(_, _, status, _, resolved_at, resolution)] = alerts(tower)
    assert (status, resolved_at, resolution) == ("resolved", gone, "by the facts")
    tell(tower, "lead/L1", gone + timedelta(hours=1), "record.deleted", {})
    assert rows(tower, "select deleted_at from record") == [(gone,)]


def test_late_news_withdraws_what_had_not_held_and_a_second_telling_is_the_same_alert(
    tower: Tower, clock: Clock
) -> None:
    clock.now = START + DAY
    say(tower, "lead/L1", stage="mql")
    [(*_, first)] = rows(tower, "select status, id from alert")
    say(tower, "lead/L1", START + timedelta(hours=1), stage="raw")
    [(_, _, status, _, _, resolution)] = alerts(tower)
    assert status == "resolved" and resolution.startswith("withdrawn")
    say(tower, "lead/L1", START + timedelta(hours=1), stage="mql")
    assert rows(tower, "select status, id from alert") == [("open", first)]


def test_what_a_person_resolved_is_not_opened_again_by_late_news(tower: Tower, clock: Clock) -> None:
    clock.now = START + DAY
    say(tower, "lead/L1", stage="mql")
    [(first,)] = rows(tower, "select id from alert")
    tower.act(first, "resolve", actor="anna", note="called")
    say(tower, "lead/L1", START + timedelta(hours=1), stage="raw")
    say(tower, "lead/L1", START + timedelta(hours=1), stage="mql")
    assert rows(tower, "select status, resolution from alert") == [("resolved", "called")]
    assert rows(tower, "select verb from action order by seq") == [("opened",), ("resolve",)]


# ---- proposals


def test_a_grounded_proposal_becomes_the_value_and_the_rules_read_it(tower: Tower) -> None:
    ask_about(tower)
    assert state(tower)["employees"] == 7
    assert [row[:3] for row in alerts(tower)] == [("small", "A1", "open")]
    assert rows(tower, "select status, rule from proposal") == [("accepted", "account.employees")]


HOSTILE: list[dict[str, Any]] = [
    {"evidence": ()},
    {"evidence": (Evidence(document="d1", quote="9 employees", start=25, end=36),), "value": 9},
    {"evidence": (Evidence(document="d2", quote="7 employees", start=25, end=36),)},
    {"field": "zone", "value": "Z1"},
    {"value": 0},
    {"value": {"a": 1}},
    {"confidence": 0.2, "method": "guess"},
    {"confidence": 7.0, "method": "shout"},
    {"confidence": float("nan"), "method": "nan"},
    {"value": "\ud800"},
    {"value": "7\x00"},
    {"value": object()},
    {"request": "rq_nobody_asked"},
]


def test_an_alert_says_whether_what_it_read_came_from_ai(tower: Tower, clock: Clock) -> None:
    def told() -> list[tuple[list[str], bool]]:
        shown = [alert_of(tower, row[0]) for row in rows(tower, "select id from alert order by opened_at")]
        return [([cause.by for cause in alert.causes], alert.ai_read) for alert in shown]

    ask_about(tower)
    assert told() == [(["ai"], True)]
    clock.now = START + timedelta(hours=1)
    say(tower, "account/A1", clock.now, employees=20)
    clock.now = START + timedelta(hours=2)
    tell(tower, "account/A1", clock.now, "record.updated", {"fields": {"employees": 8}}, source="person:ann")
    assert told() == [(["ai"], True), (["person"], False)]


def test_a_rule_that_demands_verified_facts_reads_a_person_and_no_ai(
    tower: Tower, clock: Clock, tmp_path: Path
) -> None:
    ask_about(tower)
    path = tmp_path / "verified.yaml"
    path.write_text(BOOK.replace("severity: high}", "severity: high, trust: verified}"))
    tower.activate(load(path), by="ann")
    assert [row[:3] for row in alerts(tower)] == [("small", "A1", "resolved")]
    found = tower.explain("small", "account/A1", START)
    assert found["state"] == "unknown" and "verified(employees) is missing" in found["sentence"]
    clock.now = START + timedelta(hours=1)
    say(tower, "account/A1", clock.now, employees=8)
    assert [row[:3] for row in alerts(tower)] == [("small", "A1", "resolved"), ("small", "A1", "open")]
    assert rows(tower, "select ai_informed, reads from alert where status = 'open'") == [
        (False, {"verified(employees)": 8})
    ]


def test_ungrounded_and_hostile_proposals_are_refused_one_by_one(tower: Tower) -> None:
    class Hostile:
        def propose(self, requests: list[FieldRequest]) -> list[Proposal]:
            return [proposal(**({"request": requests[0].id} | changes)) for changes in HOSTILE]

    say(tower, "account/A1", zone=None)
    tell(tower, "account/A1", START, "document.added", {"document": "d1", "text": TEXT})
    decided = tower.enrich(Hostile()).decided
    assert (decided.accepted, decided.review, decided.refused) == (0, 0, len(HOSTILE))
    assert "employees" not in state(tower) and "zone" not in state(tower)
    assert alerts(tower) == []


def test_a_person_accepts_what_went_to_review(tower: Tower) -> None:
    ask_about(tower, confidence=0.6)
    assert "employees" not in state(tower)
    [(waiting, status)] = rows(tower, "select id, status from proposal")
    assert status == "review"
    tower.decide(waiting, "accept", actor="anna")
    assert state(tower)["employees"] == 7
    [(who,)] = rows(tower, "select provenance -> 'employees' ->> 'by' from record where id = 'A1'")
    assert who == "person"


def test_a_persons_value_stands_against_a_worker_even_where_it_arrives_late(tower: Tower, clock: Clock) -> None:
    clock.now = START + DAY
    ask_about(tower)
    assert state(tower)["employees"] == 7
    said = {"fields": {"employees": 50}}
    assert tell(tower, "account/A1", START + timedelta(hours=1), "record.updated", said, source="person") == "accepted"
    assert state(tower)["employees"] == 50
    assert all(row[2] == "resolved" for row in alerts(tower))


def test_a_proposal_for_a_deleted_record_is_refused(tower: Tower, clock: Clock) -> None:
    say(tower, "account/A1")
    tell(tower, "account/A1", START, "document.added", {"document": "d1", "text": TEXT})
    [request] = tower.requests()
    tell(tower, "account/A1", START, "record.deleted", {})
    clock.now = START + DAY

    class Late:
        def propose(self, requests: list[FieldRequest]) -> list[Proposal]:
            return [proposal(request.id)]

    say(tower, "account/A2")
    tell(tower, "account/A2", START, "document.added", {"document": "d1", "text": TEXT})
    tower.enrich(Late())
    assert rows(tower, "select status from proposal") == [("refused",)]
    assert rows(tower, "select deleted_at from record where id = 'A1'") == [(START,)]


def test_a_flood_from_workers_leaves_the_alerts_of_other_rules_as_they_were(tower: Tower, clock: Clock) -> None:
    def run(flood: bool) -> list[tuple[Any, ...]]:
        name = "B" if flood else "Q"
        begun = clock.now
        say(tower, f"account/{name}", begun)
        tell(tower, f"account/{name}", begun, "document.added", {"document": "d1", "text": TEXT})
        say(tower, f"lead/{name}", begun, stage="mql", mql_at=format_time(begun), account=name)
        if flood:

            class Flood:
                def propose(self, requests: list[FieldRequest]) -> list[Proposal]:
                    return [
                        proposal(request.id, value=value, field=field, model=str(value))
                        for request in requests
                        for value in range(1, 40)
                        for field in ("employees", "industry", "stage", "mql_at")
                    ]

            tower.enrich(Flood(), only=frozenset({f"account/{name}", f"lead/{name}"}))
            assert rows(tower, "select count(*) >= 8 from proposal") == [(True,)]
        clock.now = begun + 3 * DAY
        tower.tick()
        found = rows(
            tower,
            "select rule, since, opened_at, status, severity, queue, owner, resolved_at, reads, rulebook from alert "
            f"where not ai_informed and record = '{name}' order by rule",
        )
        return [(rule, since - begun, opened - begun, *rest[:5]) for rule, since, opened, *rest in found]

    assert run(flood=False) == run(flood=True) != []


# ---- rulebooks that change


def activate(tower: Tower, folder: Path, *changes: tuple[str, str]) -> None:
    changed = BOOK
    for old, new in changes:
        assert old in changed
        changed = changed.replace(old, new)
    path = folder / "changed.yaml"
    path.write_text(changed)
    tower.activate(load(path), by="anna")


def test_a_new_delay_counts_for_what_holds_already(tower: Tower, clock: Clock, tmp_path: Path) -> None:
    say(tower, "lead/L1", stage="mql")
    activate(tower, tmp_path, ("for: 2 hours", "for: 5 hours"))
    clock.now = START + timedelta(hours=3)
    assert tower.tick().opened == 0
    clock.now = START + timedelta(hours=5)
    assert tower.tick().opened == 1
    assert rows(tower, "select opened_at from alert") == [(START + timedelta(hours=5),)]


def test_a_changed_rule_resolves_its_alert_in_its_own_name_and_leaves_the_past_alone(
    tower: Tower, clock: Clock, tmp_path: Path
) -> None:
    say(tower, "lead/L1", stage="mql")
    say(tower, "lead/L2", stage="mql")
    clock.now = START + DAY
    tower.tick()
    say(tower, "lead/L2", START + DAY, stage="raw")
    activate(tower, tmp_path, ("when: \"stage = 'mql'\"", "when: \"stage = 'sql'\""))
    assert [(row[1], row[2], row[5]) for row in alerts(tower)] == [
        ("L1", "resolved", "the rule has changed"),
        ("L2", "resolved", "by the facts"),
    ]


def test_a_dropped_rule_resolves_its_alerts(tower: Tower, clock: Clock, tmp_path: Path) -> None:
    say(tower, "lead/L1", stage="mql")
    clock.now = START + DAY
    tower.tick()
    activate(tower, tmp_path, ("{id: lasting,", "{id: lasting_anew,"))
    assert [(row[0], row[2]) for row in alerts(tower)] == [("lasting", "resolved"), ("lasting_anew", "open")]


def test_activation_tells_nothing_of_the_past_but_late_news_of_it_is_told(
    tower: Tower, clock: Clock, tmp_path: Path
) -> None:
    clock.now = START + DAY
    say(tower, "lead/L1", stage="raw")
    say(tower, "lead/L1", START + timedelta(hours=8), stage="sql")
    activate(tower, tmp_path, ("when: \"stage = 'mql'\"", "when: \"stage = 'raw'\""))
    assert alerts(tower) == []
    say(tower, "lead/L1", START + timedelta(hours=8), stage="raw")
    assert [row[:3] for row in alerts(tower)] == [("lasting", "L1", "open")]


def test_activation_opens_nothing_that_it_withdraws_at_once(tower: Tower, clock: Clock, tmp_path: Path) -> None:
    """A rule that looks through to an object that is folded later must not be judged by its old versions."""
    say(tower, "zone/Z1", open=True)
    say(tower, "lead/L1", zone="Z1")
    clock.now = START + DAY
    old = "{id: in_open_zone, object: lead, when: zone.open}"
    activate(tower, tmp_path, (old, "{id: fresh, object: lead, when: changed_at(zone.open) is null and zone.open}"))
    assert rows(tower, "select count(*) from alert where rule = 'fresh'") == [(0,)]


def test_an_event_reaches_the_rules_of_records_that_look_through(tower: Tower) -> None:
    say(tower, "lead/L1", zone="Z1")
    assert alerts(tower) == []
    say(tower, "zone/Z1", open=True)
    assert [row[:3] for row in alerts(tower)] == [("in_open_zone", "L1", "open")]
    say(tower, "lead/L1", zone="Z2")
    assert [row[:3] for row in alerts(tower)] == [("in_open_zone", "L1", "resolved")]


def test_events_of_one_batch_are_all_taken_or_named(tower: Tower) -> None:
    good = Event(id="g", source="crm", type="record.updated", subject="lead/L1", time=START, data={"fields": {}})
    bad = Event(
        id="b", source="crm", type="record.updated", subject="lead/L1", time=START, data={"fields": {"stage": 1}}
    )
    assert [verdict.status for verdict in tower.take_events([bad, good])] == ["refused", "accepted"]
    assert rows(tower, "select count(*) from deadletter") == [(1,)]


def test_while_history_is_read_in_nothing_opens_and_then_all_that_is_due_does(tower: Tower, clock: Clock) -> None:
    clock.now = START + 300 * DAY
    with tower.importing():
        say(tower, "lead/L1", stage="mql", mql_at=format_time(START))
        tower.tick()
        assert alerts(tower) == []
        say(tower, "lead/L1", START + DAY, stage="sql")
        say(tower, "lead/L2", stage="mql", mql_at=format_time(START))
    statuses = rows(tower, "select record, rule, status from alert order by record, rule")
    assert statuses == [("L1", "lasting", "resolved"), ("L2", "lasting", "open"), ("L2", "waiting", "open")]
    assert rows(tower, "select count(*) from alert where resolution like 'withdrawn%'") == [(0,)]


def test_an_import_whose_process_dies_gives_the_clock_back(tower: Tower, clock: Clock) -> None:
    clock.now = START + 3 * DAY
    with pytest.raises(KeyboardInterrupt), tower.importing():
        say(tower, "lead/L1", stage="mql", mql_at=format_time(START))
        raise KeyboardInterrupt
    assert tower.tick().opened == 2


def test_a_request_is_answered_once_and_asked_again_only_where_its_worker_died(tower: Tower, clock: Clock) -> None:
    say(tower, "account/A1")
    tell(tower, "account/A1", START, "document.added", {"document": "d1", "text": TEXT})
    (asked,) = tower.requests(means="Silent")
    assert tower.requests(means="Silent") == []
    clock.now = START + timedelta(minutes=31)
    assert [request.id for request in tower.requests(means="Silent")] == [asked.id]
    clock.now = START + timedelta(minutes=62)
    tower.enrich(Silent())
    clock.now = START + 2 * DAY
    assert tower.requests(means="Silent") == []


class Silent:
    """A worker that abstains."""

    def propose(self, requests: list[FieldRequest]) -> list[Proposal]:
        return []
