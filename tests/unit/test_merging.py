"""Merged records: from what each is folded, against a slow oracle that walks through time, a bag of events per id."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchtower.contract import CORE_SOURCE, Event
from watchtower.errors import RulebookError
from watchtower.flow.history import fold_history, join
from watchtower.flow.spill import Spill
from watchtower.rulebook import load
from watchtower.rules.compile import Program, compile_rulebook
from watchtower.rules.fold import ObjectFold, Record, build_folds
from watchtower.rules.merging import Merge, Merges, in_force

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
BOOK = """
objects:
  account:
    fields:
      segment: {type: text}
      region: {type: text}
      calls: {type: integer, rollup: {count: "*", of: activity.logged}}
      worth: {type: integer, rollup: {sum: amount, over: deal}}
      parent: {type: ref, to: account}
  deal:
    fields:
      account: {type: ref, to: account}
      amount: {type: integer}
rules:
  - {id: called, object: account, when: "calls > 1 and segment = 'smb' and region is null"}
  - {id: rich, object: account, when: "worth > 3"}
  - {id: below, object: account, when: "parent.segment = 'smb'"}
  - {id: small_deal, object: deal, when: "account.segment = 'smb' and changed_at(account) <= now() - interval '1 hour'"}
"""
IDS = ("A1", "A2", "A3", "A4")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    path = tmp_path_factory.mktemp("merging") / "rules.yaml"
    path.write_text(BOOK)
    return compile_rulebook(load(path))


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def event(number: int, subject: str, minutes: int, kind: str = "record.updated", **fields: Any) -> Event:
    data = {"fields": fields} if kind == "record.updated" else {}
    return Event(id=f"e{number}", source="crm", type=kind, subject=subject, time=at(minutes), data=data)


def merged(number: int, record: str, into: str, minutes: int) -> Event:
    subject = f"account/{record}"
    return Event(id=f"m{number}", source=CORE_SOURCE, type="record.merged", subject=subject, time=at(minutes),
                 data={"into": into})  # fmt: skip


def undone(number: int, minutes: int) -> Event:
    return Event(id=f"u{number}", source=CORE_SOURCE, type="record.unmerged", subject="account/A", time=at(minutes),
                 data={"merge": f"m{number}"})  # fmt: skip


# ---- the oracle: a walk through time


def bags_at(events: list[Event], merges: list[Merge], now: datetime) -> dict[str, list[tuple[int, Event]]]:
    """By living id, the events that make of an empty record what it is: a walk through all that happened till then."""
    bags: dict[str, list[tuple[int, Event]]] = {name: [] for name in IDS}
    root = {name: name for name in IDS}
    steps: list[tuple[datetime, int, int, Any]] = [(e.time, 0, n, e) for n, e in enumerate(events)]
    steps += [(merge.at, 1, n, merge) for n, merge in enumerate(merges)]
    for time, kind, number, step in sorted(steps, key=lambda one: one[:3]):
        if time > now:
            break
        if kind == 0:
            mine, ended = root[step.record_id], step.type == "record.deleted"
            if ended and mine != step.record_id:
                continue
            bags[mine] = [] if ended else [*bags[mine], (number, step)]
            continue
        one, other = bags[step.into], bags[step.record]
        said: dict[str, set[str]] = {}
        bag = []
        for number_, said_event in sorted([*one, *other], key=lambda pair: (pair[1].time, pair[0])):
            side = "one" if (number_, said_event) in one else "other"
            fields = dict(said_event.data.get("fields", {}))
            for key, value in list(fields.items()):
                if value is not None:
                    said[key] = {side}
                elif said.get(key, {side}) != {side}:
                    del fields[key]
            bag.append((number_, Event(
                id=said_event.id, source=said_event.source, type=said_event.type, subject=said_event.subject,
                time=said_event.time, data={"fields": fields} if "fields" in said_event.data else said_event.data,
            )))  # fmt: skip
        bags[step.into], bags[step.record] = bag, []
        for name in IDS:
            if root[name] == step.record:
                root[name] = step.into
    return bags


def values(record: Record) -> Any:
    return (record.alive, {k: v for k, v in record.state.items() if k in ("segment", "region", "calls")})


def at_end(fold: ObjectFold, events: list[Event], now: datetime) -> Record:
    record = Record()
    for one in events:
        if one.time <= now:
            fold.apply(record, one)
    return record


KINDS = st.sampled_from(["record.updated"] * 5 + ["activity.logged"] * 2 + ["record.deleted"])
VALUES = st.dictionaries(st.sampled_from(["segment", "region"]), st.sampled_from(["smb", "mid", None]), min_size=1)
EVENTS = st.lists(st.tuples(st.sampled_from(IDS), st.integers(0, 30), KINDS, VALUES), min_size=1, max_size=14)
MERGES = st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(IDS), st.integers(0, 30)), max_size=4)


@settings(max_examples=300, deadline=None)
@given(EVENTS, MERGES)
def test_a_merged_record_is_at_each_instant_what_a_walk_through_time_makes_of_it(
    program: Program, drawn: list[Any], wanted: list[Any]
) -> None:
    events = [event(n, f"account/{id_}", when, kind, **fields) for n, (id_, when, kind, fields) in enumerate(drawn)]
    decisions, root = [], {name: name for name in IDS}
    for number, (record, into, when) in enumerate(sorted(wanted, key=lambda one: one[2])):
        if root[record] == record and root[into] != record:
            decisions.append(merged(number, record, root[into], when))
            root = {name: root[into] if now == record else now for name, now in root.items()}
    merges = in_force(decisions)
    fold = build_folds(program)["account"]
    said: dict[str, list[tuple[int, Event]]] = {f"account/{id_}": [] for id_ in IDS}
    for number, one in enumerate(events):
        said[one.subject].append((number, one))
    streams = join({"account": fold}, said, Merges(merges))
    for minutes in range(-1, 32):
        bags = bags_at(events, merges, at(minutes))
        for id_ in IDS:
            found = at_end(fold, streams[f"account/{id_}"], at(minutes))
            assert values(found) == values(at_end(fold, [one for _, one in bags[id_]], at(minutes))), (id_, minutes)


# ---- by example


def history(program: Program, events: list[Event]) -> dict[str, Any]:
    found = fold_history(program, events)
    assert found.problems == []
    return {name: table.arrow().to_pylist() for name, table in found.versions.items()}


DUPLICATES = [
    event(1, "account/A1", 0, segment="smb", region="north"),
    event(2, "account/A2", 5, segment="mid"),
    event(3, "deal/D1", 6, account="A2", amount=3),
    event(4, "account/A2", 7, kind="activity.logged"),
    event(5, "account/A1", 8, kind="activity.logged"),
]


def of(rows: list[dict[str, Any]], record: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["record"] == record]


def test_from_the_merge_on_the_survivor_is_both_and_the_other_has_ended(program: Program) -> None:
    found = history(program, [*DUPLICATES, merged(1, "A2", "A1", 10)])["account"]
    before, after = of(found, "A1")[-2:]
    assert (before["segment"], before["calls"]) == ("smb", 1)
    assert (after["vfrom"], after["segment"], after["region"], after["calls"]) == (at(10), "mid", "north", 2)
    assert of(found, "A2")[-1]["vto"] == at(10)


def test_who_referred_to_the_one_refers_to_the_other_and_that_is_no_change_of_the_reference(program: Program) -> None:
    later = event(9, "deal/D1", 20, account="A2", amount=4)
    deals = history(program, [*DUPLICATES, merged(1, "A2", "A1", 10), later])["deal"]
    assert [(row["vfrom"], row["account"], row["changed_at(account)"]) for row in deals] == [
        (at(6), "A2", at(6)), (at(10), "A1", at(6)), (at(20), "A1", at(6)),
    ]  # fmt: skip


def test_what_is_said_of_the_ended_id_later_is_the_survivors_and_its_end_ends_nothing(program: Program) -> None:
    later = [event(9, "account/A2", 12, region="south"), event(10, "account/A2", 14, kind="record.deleted")]
    found = history(program, [*DUPLICATES, merged(1, "A2", "A1", 10), *later])["account"]
    assert of(found, "A1")[-1]["region"] == "south" and of(found, "A1")[-1]["vto"] is None
    assert of(found, "A2")[-1]["vto"] == at(10)


def test_a_null_of_the_one_takes_nothing_from_what_the_other_knew_until_they_are_one(program: Program) -> None:
    empty = event(6, "account/A2", 9, region=None)
    found = history(program, [*DUPLICATES, empty, merged(1, "A2", "A1", 10)])["account"]
    assert of(found, "A1")[-1]["region"] == "north"
    cleared = [*DUPLICATES, merged(1, "A2", "A1", 10), event(6, "account/A2", 11, region=None)]
    assert of(history(program, cleared)["account"], "A1")[-1]["region"] is None


def test_a_merge_that_was_undone_was_never_made(program: Program) -> None:
    later = event(9, "account/A2", 12, region="south")
    with_it = [*DUPLICATES, merged(1, "A2", "A1", 10), later, undone(1, 30)]
    assert history(program, with_it) == history(program, [*DUPLICATES, later])


def theirs(number: int, record: str, into: str, minutes: int) -> Event:
    return Event(id=f"t{number}", source="crm", type="record.merged", subject=f"account/{record}", time=at(minutes),
                 data={"into": into})  # fmt: skip


@pytest.mark.parametrize("into", ["A1", "account/A1"])
def test_a_source_that_merges_its_own_records_ends_one_and_leads_who_referred_to_it_to_the_other(
    program: Program, into: str
) -> None:
    found = history(program, [*DUPLICATES, theirs(1, "A2", into, 10), event(9, "deal/D2", 20, account="A2", amount=1)])
    account, deal = found["account"], found["deal"]
    assert of(account, "A1")[-1]["segment"] == "smb" and of(account, "A2")[-1]["vto"] == at(10)
    without = history(program, DUPLICATES)["account"]
    facts = [{k: v for k, v in row.items() if k != "worth"} for row in of(account, "A1")]
    assert facts == [{k: v for k, v in row.items() if k != "worth"} for row in of(without, "A1")], "no fact goes over"
    assert [row["account"] for row in of(deal, "D1")] == ["A2", "A1"] and of(deal, "D1")[1]["vfrom"] == at(10)
    assert [row["account"] for row in of(deal, "D2")] == ["A1"]


def led_to(said: list[tuple[int, str]], words: list[tuple[str, str, int]], now: int) -> str | None:
    """The oracle: a walk through the minutes, one reference in hand."""
    edges: dict[str, tuple[str, int]] = {}
    for _, (record, into, when) in sorted(enumerate(words), key=lambda one: (one[1][2], f"crm/t{one[0]}")):
        reach = into
        while reach in edges:
            reach = edges[reach][0]
        if record not in edges and reach != record:
            edges[record] = into, when
    held = None
    for minute in range(now + 1):
        for when, named in said:
            held = named if when == minute else held
        while held in edges and edges[held][1] <= minute:
            held = edges[held][0]
    return held


@settings(max_examples=300, deadline=None)
@given(
    said=st.lists(st.tuples(st.integers(0, 30), st.sampled_from(IDS)), min_size=1, max_size=4),
    words=st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(IDS), st.integers(0, 30)), max_size=6),
    rng=st.randoms(use_true_random=False),
)
def test_a_reference_is_at_each_minute_where_a_walk_through_time_leads_it_however_the_words_arrive(
    program: Program, said: list[tuple[int, str]], words: list[tuple[str, str, int]], rng: Any
) -> None:
    deals = [event(n, "deal/D1", when, account=named) for n, (when, named) in enumerate(said)]
    merges = [theirs(n, *word) for n, word in enumerate(words)]
    rng.shuffle(merges)
    place = rng.randint(0, len(merges))
    found = of(history(program, [*merges[:place], *deals, *merges[place:]])["deal"], "D1")
    for now in range(32):
        [holds] = [
            row["account"] for row in found if row["vfrom"] <= at(now) and (row["vto"] is None or at(now) < row["vto"])
        ] or [None]
        assert holds == led_to(said, words, now), now


def test_a_history_on_disk_joins_records_like_one_in_memory(program: Program) -> None:
    events = [
        *DUPLICATES, event(6, "account/A3", 9, segment="big", parent="A2"), merged(1, "A2", "A1", 10),
        event(7, "account/A2", 11, region="south"), merged(2, "A1", "A3", 15), event(8, "deal/D2", 20, account="A2"),
        event(11, "account/A1", 16, segment="late"),
    ]  # fmt: skip
    spill = Spill(program, parts=8)
    for one in events:
        spill.add(one)
    files, _ = spill.fold(None, workers=1)

    def rows(table: Any) -> list[Any]:
        return sorted(table.arrow().to_pylist(), key=lambda row: (row["record"], row["vfrom"]))

    memory = fold_history(program, events).versions
    assert {name: rows(table) for name, table in files.items()} == {name: rows(memory[name]) for name in memory}
    spill.close()


def test_a_merging_rule_that_rests_on_what_ai_may_fill_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "objects: {account: {fields: {domain: {type: domain}, industry: {type: text, fill: enrichment}}}}\n"
        "merging:\n  account:\n    rules:\n      close: {same: [industry, domian]}\n"
    )
    with pytest.raises(RulebookError) as told:
        load(path)
    assert "rests on account.industry, which enrichment may fill" in str(told.value)
    assert "no field 'domian'; did you mean 'domain'?" in str(told.value)
