"""Records made one, and two again, on a real tower: by people, by named rules, never by a worker's word alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tower_scene import Clock, tower_under

from watchtower.bootstrap import Tower
from watchtower.contract import Event, Likeness, Weighed
from watchtower.errors import InputError
from watchtower.flow import merging
from watchtower.store import merges
from watchtower.store.schema import metadata

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
BOOK = """
name: merging
objects:
  account:
    fields:
      name: {type: text}
      domain: {type: domain}
      country: {type: country}
      segment: {type: enum, values: [smb, mid]}
      industry: {type: text, fill: enrichment}
      calls: {type: integer, rollup: {count: "*", of: activity.logged}}
      pipeline: {type: money, rollup: {sum: amount, over: deal}}
  deal:
    fields:
      account: {type: ref, to: account}
      amount: {type: money}
      stage: {type: enum, values: [open, won]}
acceptance: {account.industry: {}}
merging:
  account:
    compare: [name, domain, country]
    rules:
      same_domain: {same: [domain], agree: [country], weights: {name: 4}, because: One domain.}
rules:
  - {id: quiet, object: account, when: "calls = 0 and segment = 'mid'", severity: high}
  - {id: rich, object: account, when: "pipeline > 100"}
  - {id: small_deal, object: deal, when: "stage = 'open' and account.segment = 'smb'", for: 2 hours}
  - {id: lasting, object: account, when: "segment = 'smb' and changed_at(segment) <= now() - interval '5 hours'"}
"""
TABLES = ("record", "version", "link", "document")


@pytest.fixture(scope="module")
def module_tower(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tower]:
    with tower_under(BOOK, module_database_url, tmp_path_factory.mktemp("merging"), Clock(START)) as built:
        yield built


@pytest.fixture
def tower(module_tower: Tower) -> Tower:
    """The tower, emptied: what the rulebook's activation wrote stays."""
    clock: Any = module_tower.clock
    clock.now = START
    emptied = ", ".join(t.name for t in metadata.sorted_tables if t.name not in ("rulebook", "activation", "journal"))
    with module_tower.database.begin() as conn:
        conn.execute(text(f"truncate {emptied} cascade"))
        conn.execute(text("delete from journal where type <> 'rulebook.activated'"))
    return module_tower


def said(id_: str, subject: str, time: datetime, kind: str = "record.updated", **fields: Any) -> Event:
    data: dict[str, Any] = {"fields": fields} if kind == "record.updated" else {}
    return Event(id=id_, source="crm", type=kind, subject=subject, time=time, data=data)


def take(tower: Tower, *events: Event, at: datetime | None = None) -> None:
    clock: Any = tower.clock
    clock.now = at or max(clock.now, *(event.time for event in events))
    verdicts = tower.take_events(list(events))
    assert [verdict.status for verdict in verdicts] == ["accepted"] * len(events), verdicts


def stand(tower: Tower, at: datetime) -> None:
    clock: Any = tower.clock
    clock.now = at
    tower.tick()


def rows(tower: Tower, table: str) -> list[dict[str, Any]]:
    with tower.database.read() as conn:
        return sorted((dict(row) for row in conn.execute(text(f"select * from {table}")).mappings()), key=repr)


def state(tower: Tower, subject: str) -> dict[str, Any] | None:
    name, _, record = subject.partition("/")
    [found] = [row for row in rows(tower, "record") if (row["object"], row["id"]) == (name, record)]
    return None if found["deleted_at"] else found["state"]


def alerts(tower: Tower) -> dict[tuple[str, str], str]:
    return {(row["rule"], f"{row['object']}/{row['record']}"): row["status"] for row in rows(tower, "alert")}


def sound(tower: Tower) -> None:
    """A replay gives the same bytes, and DuckDB the same answer."""
    replayed = tower.replay()
    assert replayed.different == 0, replayed.differences[:3]
    _, found = tower.states_at(tower.clock())
    holding = {(one.rule, one.record, one.since) for one in found if one.state == "holds"}
    now = tower.clock()
    live = {
        (row["rule"], f"{row['object']}/{row['record']}", row["since"])
        for row in rows(tower, "span")
        if row["state"] == "holds" and row["since"] <= now and (row["until"] is None or row["until"] > now)
    }
    assert holding == live


def two_accounts(tower: Tower) -> None:
    take(
        tower,
        said("e1", "account/A1", START, name="Acme Robotics GmbH", domain="acme.example", segment="smb"),
        said("e2", "account/A2", START, name="Acme Robotics", domain="acme.example", segment="mid", country="DE"),
        said("e3", "deal/D1", START, account="A2", amount=80, stage="open"),
        said("e4", "deal/D2", START, account="A1", amount=40, stage="open"),
    )


def test_a_merge_joins_fields_counts_and_references_and_replays_to_the_same_bytes(tower: Tower) -> None:
    two_accounts(tower)
    stand(tower, START + HOUR)
    assert ("quiet", "account/A2") in alerts(tower) and ("rich", "account/A1") not in alerts(tower)
    stand(tower, START + 3 * HOUR)
    tower.merge("account/A2", "A1", actor="anna", note="one company")
    joined = state(tower, "account/A1")
    assert joined is not None and joined["country"] == "DE" and joined["name"] == "Acme Robotics"
    assert state(tower, "account/A2") is None
    assert (state(tower, "deal/D1") or {})["account"] == "A1"
    stand(tower, START + 4 * HOUR)
    now = alerts(tower)
    assert now["rich", "account/A1"] == "open" and now["quiet", "account/A2"] == "resolved"
    take(tower, said("e5", "account/A2", START + 5 * HOUR, segment="smb"))
    take(tower, said("e6", "deal/D3", START + 5 * HOUR, account="A2", amount=7, stage="open"))
    assert (state(tower, "account/A1") or {})["segment"] == "smb"
    assert (state(tower, "deal/D3") or {})["account"] == "A1"
    sound(tower)


def test_taking_apart_gives_what_would_be_without_the_merge_late_events_included(
    tower: Tower, database_url: str, tmp_path: Path
) -> None:
    def live(where: Tower, *, with_merge: bool) -> None:
        two_accounts(where)
        stand(where, START + 3 * HOUR)
        merge = where.merge("account/A2", "A1", actor="anna") if with_merge else ""
        take(where, said("e5", "account/A2", START + 4 * HOUR, kind="activity.logged"))
        take(where, said("e6", "account/A2", START + HOUR, segment="smb"), at=START + 5 * HOUR)
        take(where, said("e7", "deal/D3", START + 5 * HOUR, account="A2", amount=90, stage="open"))
        stand(where, START + 6 * HOUR)
        if with_merge:
            sound(where)
            where.unmerge(merge, actor="ben", note="two after all")
        stand(where, START + 9 * HOUR)
        sound(where)

    live(tower, with_merge=True)
    with tower_under(BOOK, database_url, tmp_path, Clock(START)) as other:
        live(other, with_merge=False)
        for table in TABLES:
            assert rows(tower, table) == rows(other, table), table
        kept = [(r["rule"], r["record"], r["state"], r["since"], r["until"]) for r in rows(tower, "span")]
        assert kept == [(r["rule"], r["record"], r["state"], r["since"], r["until"]) for r in rows(other, "span")]
        standing = {key for key, status in alerts(tower).items() if status != "resolved"}
        assert standing == {key for key, status in alerts(other).items() if status != "resolved"}


def decide(
    tower: Tower, rng: random.Random, standing: list[str], id_: str, ids: Sequence[str], now: datetime, *, merging: bool
) -> None:
    """A person merges this record into another, or takes one of the merges that stand apart."""
    stand(tower, now)
    if merging or not standing:
        with suppress(InputError):
            standing.append(tower.merge(f"account/{id_}", rng.choice(ids), actor="anna"))
    else:
        tower.unmerge(standing.pop(rng.randrange(len(standing))), actor="ben")


def part(tower: Tower, standing: Sequence[str]) -> None:
    """Sound as it stands, and sound once every merge is taken apart."""
    stand(tower, tower.clock() + HOUR)
    sound(tower)
    for merge in standing:
        tower.unmerge(merge, actor="ben")
    sound(tower)


@pytest.mark.parametrize("seed", range(2))
def test_random_merges_amid_late_events_replay_and_agree_with_duckdb_and_come_apart(tower: Tower, seed: int) -> None:
    rng, clock = random.Random(seed), tower.clock
    ids = ("A1", "A2", "A3", "A4")
    take(tower, *(said(f"s{id_}", f"account/{id_}", START, segment="smb") for id_ in ids))
    standing: list[str] = []
    for number in range(25):
        now = clock() + HOUR * rng.choice((0, 1, 3))
        when = now - HOUR * rng.choice((0, 0, 0, 2, 7))
        id_, roll = rng.choice(ids), rng.random()
        if roll < 0.35:
            fields = {"segment": rng.choice(("smb", "mid", None)), "name": rng.choice(("x", "y"))}
            take(tower, said(f"e{number}", f"account/{id_}", when, **fields), at=now)
        elif roll < 0.5:
            kind = rng.choice(("activity.logged", "activity.logged", "record.deleted"))
            take(tower, said(f"e{number}", f"account/{id_}", when, kind=kind), at=now)
        elif roll < 0.75:
            deal = {"account": id_, "amount": rng.choice((30, 90)), "stage": "open"}
            take(tower, said(f"e{number}", f"deal/D{rng.randrange(3)}", when, **deal), at=now)
        else:
            decide(tower, rng, standing, id_, ids, now, merging=roll < 0.9)
    part(tower, standing)
    assert all(row["undone_at"] for row in rows(tower, "merge")) and len(rows(tower, "merge")) > 1


# ---- what a source says of its own records


def theirs(id_: str, record: str, into: str, time: datetime) -> Event:
    return Event(
        id=id_, source="crm", type="record.merged", subject=f"account/{record}", time=time, data={"into": into}
    )


def test_who_referred_to_what_its_source_merged_refers_to_the_other_and_no_fact_goes_over(tower: Tower) -> None:
    two_accounts(tower)
    stand(tower, START + 3 * HOUR)
    before = state(tower, "account/A1") or {}
    take(tower, theirs("m1", "A2", "A1", START + 4 * HOUR))
    assert state(tower, "account/A2") is None and (state(tower, "deal/D1") or {})["account"] == "A1"
    assert state(tower, "account/A1") == before
    stand(tower, START + 5 * HOUR)
    now = alerts(tower)
    assert now["rich", "account/A1"] == "open" and now["quiet", "account/A2"] == "resolved"
    take(tower, said("e6", "deal/D3", START + 6 * HOUR, account="A2", amount=7, stage="open"))
    assert (state(tower, "deal/D3") or {})["account"] == "A1"
    sound(tower)
    assert tower.merged(limit=10) == [], "it was no decision of ours"
    with tower.database.read() as conn:
        assert merges.went(conn, "account", "A2", START + 4 * HOUR) == "A1"
        assert merges.came(conn, "account", "A1") == ["A2"]
    [row] = rows(tower, "merge")
    with pytest.raises(InputError, match="its source's own word"):
        tower.unmerge(row["id"], actor="ben")


def test_an_earlier_word_that_comes_later_leads_elsewhere_and_a_circle_leads_nowhere(tower: Tower) -> None:
    two_accounts(tower)
    take(tower, said("e5", "account/A3", START, segment="mid"), theirs("m1", "A2", "A1", START + 5 * HOUR))
    take(tower, said("e6", "deal/D3", START + 6 * HOUR, account="A2", amount=7, stage="open"))
    take(tower, theirs("m2", "A2", "A3", START + 3 * HOUR), at=START + 7 * HOUR)
    assert [(state(tower, f"deal/{deal}") or {})["account"] for deal in ("D1", "D2", "D3")] == ["A3", "A1", "A3"]
    sound(tower)
    take(tower, theirs("m3", "A3", "A2", START + 8 * HOUR))
    assert (state(tower, "deal/D1") or {})["account"] == "A3", "A3 is where it leads: the circle is not closed"
    take(tower, theirs("m4", "A1", "A3", START + 2 * HOUR), at=START + 9 * HOUR)
    assert (state(tower, "deal/D2") or {})["account"] == "A3"
    sound(tower)


@pytest.mark.parametrize("seed", range(2))
def test_words_of_sources_and_decisions_amid_late_events_replay_and_agree_with_duckdb(tower: Tower, seed: int) -> None:
    rng, clock = random.Random(seed), tower.clock
    ids = ("A1", "A2", "A3", "A4", "A5")
    take(tower, *(said(f"s{id_}", f"account/{id_}", START, segment="smb") for id_ in ids))
    standing: list[str] = []
    for number in range(25):
        now = clock() + HOUR * rng.choice((0, 1, 3))
        when = now - HOUR * rng.choice((0, 0, 2, 7))
        id_, roll = rng.choice(ids), rng.random()
        if roll < 0.2:
            take(tower, said(f"e{number}", f"account/{id_}", when, segment=rng.choice(("smb", "mid"))), at=now)
        elif roll < 0.55:
            deal = {"account": id_, "amount": rng.choice((30, 90)), "stage": "open"}
            take(tower, said(f"e{number}", f"deal/D{rng.randrange(3)}", when, **deal), at=now)
        elif roll < 0.8:
            take(tower, theirs(f"e{number}", id_, rng.choice(ids), when), at=now)
        else:
            decide(tower, rng, standing, id_, ids, now, merging=roll < 0.92)
    part(tower, standing)


# ---- who may say it


def pair(asked: str, **rest: Any) -> Likeness:
    weights = (Weighed(comparison="name, whole", outcome="1", bits=7.0, group="name"),
               Weighed(comparison="domain", outcome="same", bits=2.0))  # fmt: skip
    return Likeness(**{"request": asked, "a": "A1", "b": "A2", "bits": 9.0, "weights": weights} | rest)


def propose(tower: Tower, *pairs: Any) -> dict[str, int]:
    with tower._write() as conn:
        asked = merging.ask_pairs(conn, tower._engine, "account", tower.clock())
        given = [one(asked.request) for one in pairs]
        return dict(merging.take_pairs(conn, tower._engine, asked.request, given, tower.clock()))


def test_a_pair_waits_for_a_person_where_no_rule_names_it_and_a_rejected_one_is_not_proposed_again(
    tower: Tower,
) -> None:
    two_accounts(tower)
    take(tower, said("e9", "account/A1", START, domain="acme.test"))
    assert propose(tower, pair) == {"review": 1, "refused": 0}
    [waiting] = tower.pairs()
    assert (waiting.record, waiting.survivor) == ("A2", "A1") and "domain differs" in waiting.because
    assert waiting.compared["domain"] == ["acme.example", "acme.test"]
    assert state(tower, "account/A2") is not None
    assert propose(tower, pair) == {"refused": 1}, "a person is looking at it already"
    tower.decide_pair(waiting.id, "reject", actor="anna", note="a franchise")
    assert propose(tower, pair) == {"refused": 1}
    take(tower, said("e10", "account/A2", START + HOUR, name="Acme Robotics Intl"))
    assert propose(tower, pair) == {"review": 1, "refused": 0}
    [waiting] = tower.pairs()
    tower.decide_pair(waiting.id, "accept", actor="anna", into="A2")
    assert state(tower, "account/A1") is None and tower.merged()[0].survivor == "A2"
    sound(tower)


def test_a_named_rule_merges_what_it_finds_the_same_itself(tower: Tower) -> None:
    two_accounts(tower)
    assert propose(tower, pair)["accepted"] == 1
    [done] = tower.merged()
    assert (done.record, done.survivor, done.by) == ("A2", "A1", "rule:merging.account.same_domain")
    sound(tower)
    tower.unmerge(done.id, actor="anna")
    sound(tower)


HOSTILE = [
    ({"bits": 30.0}, "its weights come to 9.0 bits, not to 30.0"),
    ({"b": "A9"}, "is not there"),
    ({"b": "A1"}, "is not there"),
    ({"weights": (Weighed(comparison="x", outcome="", bits=-3.0),), "bits": -3.0}, "probability"),
    ({"bits": float("nan")}, ""),
    ({"request": "rq_none"}, ""),
    ({"a": 7}, ""),
    ({"weights": ({"bits": 3},)}, ""),
]


def test_what_a_hostile_worker_says_of_pairs_is_refused_with_the_reason(tower: Tower) -> None:
    two_accounts(tower)
    before = [rows(tower, table) for table in TABLES]
    for change, why in HOSTILE:
        given = lambda request, change=change: pair(request, **change)  # noqa: E731
        assert propose(tower, given) == {"refused": 1}, change
        told = [row["because"] for row in rows(tower, "merge_proposal") if row["status"] == "refused"]
        assert not why or any(why in because for because in told), (change, told)
    assert [rows(tower, table) for table in TABLES] == before and tower.merged() == []
    sound(tower)


def test_circles_chains_and_ended_records_are_refused_with_what_to_do(tower: Tower) -> None:
    two_accounts(tower)
    take(tower, said("e8", "account/A3", START, segment="smb"), said("e9", "account/A4", START, segment="smb"))
    take(tower, said("e10", "account/A4", START + HOUR, kind="record.deleted"))
    tower.merge("account/A2", "A1", actor="anna")
    with pytest.raises(InputError, match="are one already"):
        tower.merge("account/A1", "A2", actor="anna")
    with pytest.raises(InputError, match="account/A2: is account/A1 since it was merged"):
        tower.merge("account/A2", "A3", actor="anna")
    with pytest.raises(InputError, match="has ended"):
        tower.merge("account/A4", "A1", actor="anna")
    tower.merge("account/A3", "A2", actor="anna")
    assert {row.record: row.survivor for row in tower.merged()} == {"A2": "A1", "A3": "A1"}, "into is resolved first"


def test_documents_of_what_was_merged_are_read_for_the_survivor(tower: Tower) -> None:
    two_accounts(tower)
    document = {"document": "d1", "text": "Acme makes bolts."}
    for record in ("A1", "A2"):
        take(tower, Event(id=f"d{record}", source="crm", type="document.added", subject=f"account/{record}",
                          time=START, data=document))  # fmt: skip
    tower.merge("account/A2", "A1", actor="anna")
    [asked] = tower.requests(only=frozenset({"account/A1"}), write=False)
    assert sorted(doc.id for doc in asked.documents) == ["A2/d1", "d1"]


def test_the_matcher_finds_a_pair_in_the_store_and_it_waits(tower: Tower) -> None:
    take(
        tower,
        said("e1", "account/A1", START, name="Meyer Hydraulik GmbH", country="DE"),
        said("e2", "account/A2", START, name="Meyer Hydraulik", country="DE"),
        said("e3", "account/A3", START, name="Bakery Rossi", country="IT"),
    )
    counts = tower.find_pairs("account")
    assert counts["review"] == 1 and counts["records"] == 3
    [waiting] = tower.pairs()
    assert {waiting.record, waiting.survivor} == {"A1", "A2"} and waiting.weights
    sound(tower)
