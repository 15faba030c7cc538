"""What is asked first, what it may cost, and what is left for later: on a real tower."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from llm_stub import Handler, completion, model
from pydantic import SecretStr
from sqlalchemy import text
from tower_scene import Clock

from enrichment import Endpoint, build_worker
from watchtower.bootstrap import Tower, build
from watchtower.cli.service import desk_work
from watchtower.contract import format_time
from watchtower.errors import RulebookError
from watchtower.flow.plan import Cost
from watchtower.rulebook import load
from watchtower.rulebook.asking import Spend, due_after
from watchtower.settings import Settings
from watchtower.store.ledger import Ledger, Spent

BOOK = """
name: planned
timezone: UTC
currency: EUR
objects:
  account:
    value: arr
    fields:
      name: {type: text}
      secret: {type: text}
      arr: {type: money}
      chief: {type: text, fill: enrichment}
  opportunity:
    value: amount
    fields:
      account: {type: ref, to: account}
      amount: {type: money}
rules:
  - {id: led_by_nobody, object: account, severity: low, when: chief = 'Nobody' or name = 'N' or secret = 'N' or arr < 0}
  - {id: deal_without_chief, object: opportunity, severity: high, when: account.chief = 'Nobody' or amount < 0}
acceptance:
  account.chief: {accept_at: 0.5, review_at: 0.1, expires_after: 30 days}
"""
PRICED = "enrichment:\n  prices: {stub: {input: 1, output: 10}}\n"
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
def towers(database_url: str, tmp_path: Path, clock: Clock) -> Iterator[Any]:
    opened: list[Tower] = []

    def make(more: str = PRICED) -> Tower:
        (tmp_path / "book.yaml").write_text(BOOK + more)
        settings = Settings(
            data=tmp_path, database_url=SecretStr(database_url), llm_model="stub", llm_base_url="http://127.0.0.1:9/v1"
        )
        opened.append(build(settings, rulebook=tmp_path / "book.yaml", clock=clock))
        return opened[-1]

    yield make
    for tower in opened:
        tower.close()


def say(tower: Tower, number: str, what: str, subject: str, **data: Any) -> None:
    event = {"specversion": "1.0", "id": number, "source": "crm", "type": what, "subject": subject,
             "time": format_time(START), "data": data}  # fmt: skip
    assert tower.take([event])[0].status == "accepted"


def account(tower: Tower, name: str, said: str = "", **fields: Any) -> None:
    say(tower, f"r{name}", "record.updated", f"account/{name}", fields={"name": name, **fields})
    document = {"document": "d1", "kind": "description", "text": said or f"{name} is led by Ann {name}."}
    say(tower, f"d{name}", "document.added", f"account/{name}", **document)


def order(tower: Tower, **more: Any) -> list[str]:
    return [one.request.record.id for one in tower.plan(means="stub", **more).asks]


def test_what_starves_more_for_less_money_is_asked_first(towers: Any) -> None:
    tower = towers()
    account(tower, "Poor", arr=1)
    account(tower, "Rich", arr=1000)
    account(tower, "RichButLong", said="A long story. " * 400, arr=1000)
    account(tower, "Dealt", arr=1)
    say(tower, "o1", "record.updated", "opportunity/O1", fields={"account": "Dealt", "amount": 10})
    assert order(tower) == ["Rich", "RichButLong", "Dealt", "Poor"]
    say(tower, "o2", "record.updated", "opportunity/O2", fields={"account": "Dealt", "amount": 100000})
    assert order(tower)[0] == "Dealt", "what the deals are worth counts for the account that starves them"
    dealt = tower.plan(means="stub").asks[0]
    assert (dealt.weight, dealt.value) == (1 + 4 + 4, 1 + 10 + 100000)
    assert dealt.request.because == ("deal_without_chief", "led_by_nobody")


def test_the_budget_of_a_run_is_kept_and_the_rest_is_counted(towers: Any) -> None:
    tower = towers("enrichment: {prices: {stub: {input: 1, output: 10}}, budget: {run: {calls: 3}}}\n")
    for n in range(5):
        account(tower, f"A{n}")
    made = tower.plan(means="stub")
    assert (len(made.asks), made.cost.calls, made.passed_over) == (3, 3, {"run budget": 2})


def test_what_does_not_fit_is_passed_over_and_something_cheaper_behind_it_may_fit(towers: Any) -> None:
    small, large = 0.0055, 0.0075
    tower = towers(f"enrichment: {{prices: {{stub: {{input: 1, output: 10}}}}, budget: {{run: {{money: {large}}}}}}}\n")
    account(tower, "Large", said="A long story. " * 600, arr=10**6)
    account(tower, "Small", arr=1)
    assert order(tower) == ["Large"]
    made = tower.plan(means="stub")
    assert small < made.cost.money <= large and made.passed_over == {"run budget": 1}


def test_a_record_that_costs_too_much_is_read_in_fewer_documents_or_not_at_all(towers: Any) -> None:
    tower = towers("enrichment: {budget: {record: {calls: 2}}}\n")
    account(tower, "A")
    for n in (2, 3):
        say(tower, f"x{n}", "document.added", "account/A", document=f"d{n}", kind="note", text="More.")
    [one] = tower.plan(means="stub").asks
    assert (one.cost.calls, len(one.request.documents)) == (2, 2)
    none = towers("enrichment: {budget: {record: {calls: 0}}}\n").plan(means="stub")
    assert none.asks == [] and none.passed_over == {"record budget": 1}


def test_where_money_is_limited_a_model_without_a_price_is_not_asked(towers: Any) -> None:
    tower = towers("enrichment: {budget: {run: {money: 100}}}\n")
    account(tower, "A")
    assert tower.plan(means="stub").passed_over == {"run budget": 1}


def test_a_plan_asks_nothing_and_what_is_asked_is_journalled_and_not_asked_twice(towers: Any) -> None:
    tower = towers()
    account(tower, "A")
    assert order(tower) == order(tower) == ["A"]
    assert len(tower.requests(means="stub")) == 1
    assert order(tower) == []


def test_only_what_may_leave_goes_down(towers: Any) -> None:
    tower = towers("enrichment: {leaving: {account: {fields: [name], documents: [note], regions: [eu]}}}\n")
    account(tower, "A", secret="hush", arr=5)
    [request] = tower.requests(means="stub")
    assert request.record.fields == {"name": "A"}
    assert request.may_leave is not None and request.may_leave.documents == ("note",)
    assert request.may_leave.regions == ("eu",)


def test_a_value_past_its_time_is_asked_for_again_once(towers: Any, clock: Clock) -> None:
    tower = towers()
    account(tower, "A", arr=1)
    with model(0) as stub:
        worker = stub_worker(stub, tower)
        assert tower.enrich(worker).decided.accepted == 1
        assert order(tower) == []
        clock.now += timedelta(days=31)
        tower.tick()
        [again] = tower.plan(means="stub").asks
        assert again.stale == ("chief",) and "account.chief.stale" in again.request.because
        run = tower.enrich(worker)
        assert (run.requests, run.cost.calls) == (1, 0), "the same question of the same text costs nothing"
        assert order(tower) == []


def stub_worker(stub: Any, tower: Tower) -> Any:
    def behave(to: Handler, body: Any) -> None:
        name = body["messages"][-1]["content"].partition(" is led by")[0].split()[-1]
        to.count(name)
        said = {"business": "b", "chief": f"Ann {name}", "chief_quote": f"is led by Ann {name}"}
        to.send(200, completion(json.dumps(said)))

    stub.behave = behave
    return build_worker(endpoint=Endpoint(stub.url, "none", "stub"), ledger=Ledger(tower.desk.database))


def test_a_run_tells_what_it_cost_by_the_price_list(towers: Any) -> None:
    tower = towers()
    for n in "ABC":
        account(tower, n)
    tower.plan(means="stub")  # the price list goes down
    with model(0) as stub:
        run = tower.enrich(stub_worker(stub, tower))
    assert run.decided.accepted == 3
    assert run.cost == Cost(3, 3 * 120, pytest.approx(3 * (100 * 1 + 20 * 10) / 1e6))
    assert tower.desk.spent() == run.cost


def test_the_budget_of_a_day_is_kept_by_the_database_whoever_asks(towers: Any) -> None:
    tower = towers("enrichment: {prices: {stub: {input: 1, output: 10}}, budget: {day: {money: 0.0025, calls: 9}}}\n")
    tower.plan(means="stub")
    ledger = Ledger(tower.desk.database)
    assert ledger.intend("a", "stub", 1000, 100).status == "go", "at most 0.002"
    with pytest.raises(Spent):
        ledger.intend("b", "stub", 1000, 100)
    ledger.settle("a", "answered", free=False, said="{}", tokens_in=300, tokens_out=20)
    assert ledger.intend("b", "stub", 1000, 100).status == "go", "what was not used is there again"
    ledger.settle("b", "rate_limited", free=True, said=None, tokens_in=0, tokens_out=0)
    assert tower.desk.spent() == Cost(1, 320, pytest.approx(0.0005))
    assert ledger.intend("a", "stub", 1000, 100) == ("known", "{}")
    with tower.desk.database.begin() as conn:
        assert conn.execute(text("select calls, tokens from spend")).one() == (1, 320)


def test_the_budget_of_a_day_counts_what_was_spent_when_the_run_is_planned(towers: Any) -> None:
    tower = towers("enrichment: {budget: {day: {calls: 2}}}\n")
    for n in "ABC":
        account(tower, n)
    Ledger(tower.desk.database).intend("a", "stub", 10, 10)
    made = tower.plan(means="stub")
    assert len(made.asks) == 1 and made.passed_over == {"day budget": 2}


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("enrichment: {leaving: {acount: {fields: [name]}}}", "did you mean 'account'"),
        ("enrichment: {leaving: {account: {fields: [nme]}}}", "did you mean 'name'"),
        ("enrichment: {web: {account: {domain: name}}}", "not one of its domains"),
        ("enrichment: {web: {account: {domain: name, pages: ['../etc']}}}", "no path"),
        ("enrichment: {schedule: at six}", "as cron writes it"),
        ("enrichment: {schedule: '0 0 6 * * mon'}", "as cron writes it"),
        ("enrichment: {prices: {m: {input: -1, output: 1}}}", "greater than or equal to 0"),
    ],
)
def test_a_wrong_line_is_told_with_its_place(tmp_path: Path, part: str, message: str) -> None:
    (tmp_path / "book.yaml").write_text(f"{BOOK}{part}\n")
    with pytest.raises(RulebookError) as caught:
        load(tmp_path / "book.yaml")
    [fault] = caught.value.faults
    assert message in fault.message + fault.remedy
    assert fault.line >= len(BOOK.splitlines())


def test_a_schedule_keeps_the_hours_of_the_rulebooks_zone_through_clock_changes() -> None:
    rome = ZoneInfo("Europe/Rome")
    friday = datetime(2026, 3, 27, 12, tzinfo=UTC)
    monday = due_after("0 6 * * mon-fri", rome, friday)
    assert monday == datetime(2026, 3, 30, 4, tzinfo=UTC), "06:00 in summer is 04:00 UTC; clocks changed on Sunday"
    assert due_after("0 6 * * mon-fri", rome, monday) == datetime(2026, 3, 31, 4, tzinfo=UTC)


def test_where_the_rulebook_has_a_schedule_the_service_asks_then_and_not_before(towers: Any, clock: Clock) -> None:
    tower = towers("enrichment: {schedule: 0 6 * * *}\n")
    account(tower, "A")
    work = desk_work(tower, enrich_every=timedelta(minutes=1), detect_every=timedelta(days=99))
    work()
    clock.now += timedelta(hours=2)
    work()
    assert tower.desk.waiting() == frozenset()
    clock.now = datetime(2026, 3, 3, 6, tzinfo=UTC)
    work()
    assert len(tower.desk.waiting()) == 1


def test_a_limit_left_out_limits_nothing() -> None:
    assert Cost(10**9, 10**12, None).within(Spend())
    assert not Cost(1, 1, None).within(Spend(money=5))
    assert Cost(1, 1, 5.0).within(Spend(money=5))
