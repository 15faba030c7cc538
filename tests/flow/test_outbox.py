"""Who is told of an alert, when, and how often: messages follow decisions, and leave after them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from watchtower.bootstrap import Tower, build
from watchtower.contract import format_time
from watchtower.errors import RulebookError
from watchtower.flow.delivery import GIVE_UP_AFTER, Courier, pause
from watchtower.flow.post import Undelivered
from watchtower.flow.settle import settle
from watchtower.rulebook import load
from watchtower.settings import Settings
from watchtower.store import outbox

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
BOOK = """
name: told
objects:
  lead:
    fields:
      stage: {type: enum, values: [raw, mql, sql]}
      size: {type: integer, fill: enrichment}
      spam: {type: boolean}
rules:
  - {id: waiting, object: lead, when: "stage = 'mql'", for: 2 hours, severity: high, queue: sales, owner: manager}
  - {id: small, object: lead, when: size < 10, severity: critical, queue: sales, owner: manager}
  - {id: spam, object: lead, when: spam, severity: low, queue: trash, inhibits: [waiting]}
  - {id: quiet, object: lead, when: "stage = 'sql'", queue: sales, mode: shadow}
receivers:
  sales: {url: "http://127.0.0.1:9/sales", secret: SALES_SECRET, queues: [sales], RATE}
  grave: {url: "http://127.0.0.1:9/grave", secret: GRAVE_SECRET, severities: [high, critical], owners: [manager]}
"""


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class Post:
    """Takes what is posted, unless it is down or the message is one that it refuses."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, dict[str, Any]]] = []
        self.down = False
        self.refused: set[str] = set()

    def __call__(self, url: str, headers: Mapping[str, str], body: str) -> None:
        said = json.loads(body)
        if self.down or said["data"]["record"] in self.refused:
            raise Undelivered("answered 503: down")
        self.got.append((url.rpartition("/")[2], headers["webhook-id"], said))

    def told(self, receiver: str) -> list[tuple[str, str, str]]:
        return [(m["type"], m["data"]["rule"], m["data"]["record"]) for who, _, m in self.got if who == receiver]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tower(database_url: str, tmp_path: Path, clock: Clock) -> Iterator[Tower]:
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url))
    with build(settings, rulebook=book(tmp_path), clock=clock) as built:
        yield built


def book(folder: Path, rate: str = "") -> Path:
    path = folder / "rules.yaml"
    path.write_text(BOOK.replace("RATE", rate or "rate: 600"))
    return path


def courier(tower: Tower, post: Post) -> Courier:
    secrets = {"SALES_SECRET": SECRET, "GRAVE_SECRET": SECRET}
    return Courier(tower.database, lambda: tower.rulebook.receivers, secrets.get, tower.clock, post)


_numbers = iter(range(10**9))


def say(tower: Tower, record: str, at: datetime, **fields: Any) -> None:
    event = {
        "id": f"e{next(_numbers)}", "source": "crm", "type": "record.updated", "subject": f"lead/{record}",
        "time": format_time(at), "data": {"fields": fields},
    }  # fmt: skip
    assert tower.take([event])[0].status == "accepted"


def rows_of(tower: Tower, sql: str) -> list[str]:
    with tower.database.read() as conn:
        return list(conn.execute(text(sql)).scalars())


def states(tower: Tower) -> dict[tuple[str, str, str], str]:
    sql = "select o.receiver, o.type, a.rule, o.state from outbox o join alert a on a.id = o.alert order by o.seq"
    with tower.database.read() as conn:
        return {(row[0], row[1], row[2]): row[3] for row in conn.execute(text(sql))}


def test_each_receiver_is_told_of_what_it_asked_for_when_it_opens_and_when_it_ends(tower: Tower, clock: Clock) -> None:
    post = Post()
    say(tower, "L1", START, stage="mql", spam=False)
    assert courier(tower, post).deliver().delivered == 0
    clock.now = START + 2 * HOUR
    tower.tick()
    assert courier(tower, post).deliver().delivered == 2
    clock.now += HOUR
    say(tower, "L1", clock.now, stage="raw")
    assert courier(tower, post).deliver().delivered == 2
    story = [("alert.opened", "waiting", "lead/L1"), ("alert.resolved", "waiting", "lead/L1")]
    assert post.told("sales") == post.told("grave") == story
    opened, resolved = (m for who, _, m in post.got if who == "sales")
    assert opened["timestamp"] == format_time(START + 2 * HOUR)
    assert (opened["data"]["status"], opened["data"]["since"]) == ("open", format_time(START))
    assert (resolved["data"]["status"], resolved["data"]["note"]) == ("resolved", "by the facts")
    assert "reads" not in opened["data"], "values that a rule read stay inside"
    assert len({id_ for _, id_, _ in post.got}) == 4
    assert courier(tower, post).deliver().delivered == 0, "nothing leaves twice"


def test_what_was_told_wrongly_is_corrected(tower: Tower, clock: Clock) -> None:
    post = Post()
    say(tower, "L1", START, stage="mql", spam=False)
    clock.now = START + 3 * HOUR
    tower.tick()
    say(tower, "L1", START + HOUR, stage="raw")
    courier(tower, post).deliver()
    assert [kind for kind, _, _ in post.told("sales")] == ["alert.opened", "alert.corrected"]
    assert post.got[-1][2]["data"]["status"] == "resolved"


def test_the_end_is_told_too_where_a_person_resolves_or_the_rule_goes(
    tower: Tower, clock: Clock, tmp_path: Path
) -> None:
    post = Post()
    for record in ("L1", "L2"):
        say(tower, record, START, stage="mql", spam=False)
    clock.now = START + 2 * HOUR
    tower.tick()
    (first,) = rows_of(tower, "select id from alert where record = 'L1'")
    tower.act(first, "resolve", actor="ada", note="called them")
    courier(tower, post).deliver()
    assert post.told("sales")[-1] == ("alert.resolved", "waiting", "lead/L1")
    assert [m["data"]["note"] for who, _, m in post.got if who == "sales"][-1] == "called them"
    path = book(tmp_path)
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "id: waiting" not in line)
                    .replace(", inhibits: [waiting]", ""))  # fmt: skip
    tower.activate(load(path), by="ada")
    courier(tower, post).deliver()
    assert post.told("sales")[-1] == ("alert.resolved", "waiting", "lead/L2")
    assert len(post.told("sales")) == 4
    say(tower, "L3", START, size=3)
    (untold,) = rows_of(tower, "select id from alert where record = 'L3'")
    with tower.database.begin() as conn:
        conn.execute(text("delete from outbox where alert = :id"), {"id": untold})
    tower.act(untold, "resolve", actor="ada")
    assert courier(tower, post).deliver().delivered == 0, "who never heard of it need not hear of its end"


def test_shadow_rules_tell_nobody(tower: Tower) -> None:
    say(tower, "L1", START, stage="sql")
    assert states(tower) == {}


def test_an_inhibited_alert_waits_and_is_told_when_it_comes_back(tower: Tower, clock: Clock) -> None:
    post = Post()
    say(tower, "L1", START, stage="mql", spam=True)
    clock.now = START + 2 * HOUR
    tower.tick()
    assert courier(tower, post).deliver().delivered == 0
    assert set(states(tower).values()) == {"waiting"}
    clock.now += HOUR
    say(tower, "L1", clock.now, spam=False)
    courier(tower, post).deliver()
    assert post.told("sales") == [("alert.opened", "waiting", "lead/L1")]


def test_an_alert_that_ends_while_it_waits_is_told_to_nobody(tower: Tower, clock: Clock) -> None:
    post = Post()
    say(tower, "L1", START, stage="mql", spam=True)
    clock.now = START + 3 * HOUR
    tower.tick()
    say(tower, "L1", clock.now, stage="raw")
    say(tower, "L1", clock.now, spam=False)
    assert courier(tower, post).deliver().delivered == 0
    assert set(states(tower).values()) == {"withheld"}


def test_no_wait_of_an_alert_without_ai_ends_on_a_workers_occasion(tower: Tower, clock: Clock) -> None:
    say(tower, "L1", START, stage="mql", spam=True)
    clock.now = START + 2 * HOUR
    tower.tick()
    with tower.database.read() as conn:
        alert = conn.execute(text("select id from alert where rule = 'waiting'")).scalar_one()
    tower.act(alert, "resolve", actor="anna")
    clock.now += HOUR
    with tower.database.begin() as conn:
        settle(conn, tower._engine, clock.now, informed_only=True)
    assert set(states(tower).values()) == {"waiting"}
    tower.tick()
    assert set(states(tower).values()) == {"withheld"}


def test_a_message_is_in_the_decisions_transaction(tower: Tower, clock: Clock) -> None:
    say(tower, "L1", START, stage="mql", spam=False)
    clock.now = START + 2 * HOUR
    tower.tick()
    with tower.database.read() as conn:
        sql = "select (select xmin::text from alert), array_agg(distinct xmin::text) from outbox"
        decision, messages = conn.execute(text(sql)).one()
    assert messages == [decision]


def test_a_receiver_that_is_down_for_three_days_misses_nothing_and_gets_nothing_twice(
    tower: Tower, clock: Clock
) -> None:
    post = Post()
    carrier = courier(tower, post)
    post.down = True
    for hour in range(72):
        clock.now = START + hour * HOUR
        say(tower, f"L{hour}", clock.now, stage="mql", spam=False)
        for minute in range(0, 60, 10):
            clock.now = START + hour * HOUR + timedelta(minutes=minute)
            tower.tick()
            assert carrier.deliver().delivered == 0
    with tower.database.read() as conn:
        assert {(s, n) for _, s, n in outbox.counts(conn)} == {("pending", 70)}
    post.down = False
    for _ in range(90):
        clock.now += timedelta(minutes=1)
        carrier.deliver()
    assert sorted(post.told("sales")) == sorted(("alert.opened", "waiting", f"lead/L{n}") for n in range(70))
    assert len({id_ for _, id_, _ in post.got}) == len(post.got) == 140


def test_a_message_is_given_up_after_five_days_and_sent_again_on_request(tower: Tower, clock: Clock) -> None:
    post = Post()
    carrier = courier(tower, post)
    say(tower, "L1", START, stage="mql", spam=False)
    clock.now = START + 2 * HOUR
    tower.tick()
    post.refused = {"lead/L1"}
    begun, given_up = clock.now, 0
    while given_up < 2:
        died = carrier.deliver().dead
        assert not died or clock.now - begun >= GIVE_UP_AFTER
        given_up += died
        clock.now += timedelta(minutes=20)
        assert clock.now < begun + timedelta(days=6)
    with tower.database.begin() as conn:
        dead = outbox.listed(conn, state="dead", receiver="sales", limit=10)
        assert [row.error for row in dead] == ["answered 503: down"] and dead[0].attempts > 100
        assert outbox.retry(conn, [], "sales", clock.now) == [dead[0].id]
    post.refused = set()
    clock.now += timedelta(minutes=1)
    carrier.deliver()
    assert [id_ for who, id_, _ in post.got if who == "sales"] == [dead[0].id], "under the same id"


def test_the_end_of_an_alert_does_not_overtake_its_beginning(tower: Tower, clock: Clock) -> None:
    post = Post()
    carrier = courier(tower, post)
    say(tower, "L1", START, stage="mql", spam=False)
    clock.now = START + 2 * HOUR
    tower.tick()
    post.down = True
    carrier.deliver()
    post.down = False
    clock.now += timedelta(seconds=2)  # the lane may go on; the message itself rests for longer
    say(tower, "L1", clock.now, stage="raw")
    say(tower, "L2", START, stage="mql", spam=False)
    carrier.deliver()
    assert post.told("sales") == [("alert.opened", "waiting", "lead/L2")]
    clock.now += timedelta(minutes=1)
    carrier.deliver()
    assert [kind for kind, _, record in post.told("sales") if record == "lead/L1"] == ["alert.opened", "alert.resolved"]


def test_what_ai_informed_comes_last_and_spends_a_budget_of_its_own(tower: Tower, clock: Clock, tmp_path: Path) -> None:
    tower.activate(load(book(tmp_path, "rate: 2")), by="test")
    post = Post()
    carrier = courier(tower, post)
    for n in range(5):
        say(tower, f"A{n}", START, size=3)
    for n in range(3):
        say(tower, f"R{n}", START, stage="mql", spam=False)
    clock.now = START + 2 * HOUR
    tower.tick()
    minutes: list[list[str]] = []
    for _ in range(5):
        before = len(post.told("sales"))
        carrier.deliver()
        minutes.append([rule for _, rule, _ in post.told("sales")[before:]])
        clock.now += timedelta(seconds=61)
    assert minutes == [
        ["waiting", "waiting"],
        ["waiting", "small", "small"],
        ["small", "small"],
        ["small"],
        [],
    ]


def test_pauses_grow_to_an_hour_and_scatter() -> None:
    pauses = [pause("msg_1", n).total_seconds() for n in range(1, 40)]
    assert all(0.75 * 5 * 2**n <= p <= 1.25 * 5 * 2**n for n, p in enumerate(pauses[:9]))
    assert all(2700 <= p <= 4500 for p in pauses[12:])
    assert len({pause(f"msg_{n}", 3) for n in range(50)}) > 40


def test_a_missing_secret_is_named_and_the_message_waits(tower: Tower, clock: Clock) -> None:
    post = Post()
    say(tower, "L1", START, stage="mql", spam=False)
    clock.now = START + 2 * HOUR
    tower.tick()
    bare = Courier(tower.database, lambda: tower.rulebook.receivers, {}.get, clock, post)
    assert bare.deliver().failed == 2 and post.got == []
    with tower.database.read() as conn:
        rows = outbox.listed(conn, state="pending", receiver="sales", limit=5)
    assert "the environment has no SALES_SECRET" in rows[0].error


@pytest.mark.parametrize(
    ("receiver", "says"),
    [
        ("{url: 'ftp://x/y', secret: OPS_SECRET}", "ftp://x/y"),
        ("{url: 'https://user:pass@x/y', secret: OPS_SECRET}", "receivers.wrong.url: is no address such as"),
        ("{url: 'https://x/y', secret: whsec_c2VjcmV0}", "names an environment variable"),
        ("{url: 'https://x/y', secret: OPS_SECRET, queues: [salez]}", "did you mean 'sales'?"),
        ("{url: 'https://x/y', secret: OPS_SECRET, owners: [managr]}", "did you mean 'manager'?"),
        ("{url: 'https://x/y', secret: OPS_SECRET, rate: 0}", "rate"),
        ("{url: 'https://x/y'}", "secret: is missing"),
    ],
)
def test_a_receiver_that_cannot_work_is_refused_with_its_place(tmp_path: Path, receiver: str, says: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(BOOK.replace("RATE", "rate: 1") + f"  wrong: {receiver}\n")
    with pytest.raises(RulebookError) as caught:
        load(path)
    assert says in str(caught.value) and f"{path}:17:" in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value), "what may be a secret is not shown"
