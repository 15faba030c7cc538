"""One look, parted into jobs for several workers: the signals are those of one job, and come when all parts have."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from tower_scene import Clock

from watchtower.bootstrap import Tower, build
from watchtower.contract import format_time
from watchtower.contract.batch import DETECTION, DetectionBatch
from watchtower.settings import Settings
from watchtower.store import jobs
from watchtower.workers import Bench, no_worker, run_until_empty

NOW = datetime(2026, 6, 1, 9, tzinfo=UTC)
BOOK = """
name: parts
objects:
  account:
    fields:
      size: {type: number}
      stage: {type: enum, values: [trial, live]}
signals:
  odd: {object: account, detector: cohort_outlier, budget: 0.2, parameters: {features: size}}
  stuck: {object: account, detector: stage_dwell, field: stage, budget: 0.1}
rules:
  - {id: is_odd, object: account, when: odd.p_value <= 0.05}
"""


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def tower(database_url: str, tmp_path: Path, clock: Clock) -> Iterator[Tower]:
    (tmp_path / "book.yaml").write_text(BOOK)
    with build(
        Settings(data=tmp_path, database_url=SecretStr(database_url)), rulebook=tmp_path / "book.yaml", clock=clock
    ) as built:
        events = []
        for n in range(150):
            came = NOW - timedelta(days=2 if n >= 130 else 80)
            size = 1e6 + n if n >= 142 else 100.0 + n % 37
            events.append(_event(f"a{n}", n, came, size=size, stage="trial"))
            if n % 50:
                events.append(_event(f"b{n}", n, came + timedelta(hours=1 + n % 30), stage="live"))
        built.take(events)
        yield built
        assert list(map(str, built.replay().differences)) == []


def _event(id_: str, n: int, at: datetime, **fields: Any) -> dict[str, Any]:
    return {
        "id": id_, "source": "crm", "type": "record.updated", "subject": f"account/A{n:03}", "time": format_time(at),
        "data": {"fields": fields},
    }  # fmt: skip


def rows(tower: Tower, sql: str) -> list[tuple[Any, ...]]:
    with tower.database.read() as conn:
        return [tuple(row) for row in conn.execute(text(sql))]


def said(tower: Tower, request: str) -> list[tuple[Any, ...]]:
    """What a look said of which record."""
    return rows(
        tower,
        "select record, name, data ->> 'p_value', data ->> 'explanation' from signal "
        f"where data ->> 'request' = '{request}' order by record",
    )


def last(tower: Tower, name: str) -> str:
    found = rows(tower, f"select id from request where fields[1] = '{name}' order by asked_at desc limit 1")
    return str(found[0][0])


def work(tower: Tower, queue: str = DETECTION) -> None:
    run_until_empty(Bench(tower.desk.database, no_worker), tower.jobs_url, queue)


def test_two_workers_at_parts_of_a_look_raise_what_one_job_raises(tower: Tower, clock: Clock) -> None:
    whole = {found.signal: found.raised for found in tower.detect()}
    assert whole["odd"] >= 8
    assert whole["stuck"] > 0
    expected = {name: said(tower, last(tower, name)) for name in whole}
    clock.now += timedelta(seconds=1)
    assert tower.hand_down(fields=False, parts=3) == 2
    with tower.desk.database.begin() as conn:
        assert conn.execute(text("select count(*) from batch")).scalar_one() == 6
    assert tower.hand_down(fields=False, parts=3) == 0, "one look for a signal at a time, however many parts"
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work, tower) for _ in range(2)]:
            done.result()
    tally = tower.take_up()
    assert {request.split(".")[0]: found.raised for request, found in tally.signals.items()} == {
        f"dq_{name}": count for name, count in whole.items()
    }
    for name, found in expected.items():
        assert [row[:3] for row in said(tower, last(tower, name))] == [row[:3] for row in found]


def test_nothing_is_decided_before_the_last_part_has_come(tower: Tower) -> None:
    tower.hand_down(fields=False, parts=2)
    with tower.desk.database.begin() as conn:
        batches = [row[0] for row in conn.execute(text("select id from batch order by id"))]
    bench = Bench(tower.desk.database, no_worker)
    for batch in batches[:-1]:
        bench.detection(batch, lambda: False)
    early = tower.take_up()
    assert early.answers == 1, "of the two looks one has all its parts"
    bench.detection(batches[-1], lambda: False)
    assert tower.take_up().answers == 1
    assert tower.take_up().answers == 0
    with tower.desk.database.begin() as conn:
        assert conn.execute(text("select count(*) from asked")).scalar_one() == 0


def test_a_look_that_lost_a_part_is_no_look(tower: Tower) -> None:
    """Decided on without it, standing signals of that part's records would lapse."""
    tower.detect(only=frozenset(["odd"]))
    standing = rows(tower, "select count(*) from record where state ? 'odd.raised_at'")
    tower.clock.now += timedelta(seconds=1)  # type: ignore[attr-defined]
    tower.hand_down(fields=False, parts=3)
    with tower.desk.database.begin() as conn:
        ids = conn.execute(text("select id from batch")).scalars().all()
        bodies = {id_: msgspec.json.decode(jobs.batch(conn, id_)[0], type=DetectionBatch) for id_ in ids}
        [lost] = [id_ for id_, body in bodies.items() if body.request.signal == "odd" and body.part == 1]
        jobs.forget(conn, [lost])
    work(tower)
    tally = tower.take_up()
    assert [because for request, because in tally.faults.items() if request.startswith("dq_odd")] == [
        "2 of its 3 parts were answered"
    ]
    assert rows(tower, "select count(*) from record where state ? 'odd.raised_at'") == standing
