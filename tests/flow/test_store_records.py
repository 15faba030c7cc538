"""Records and their versions, as the database keeps them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from watchtower.contract import format_time
from watchtower.store import records
from watchtower.store.database import Database
from watchtower.store.records import Bounds, NewLink, NewRecord, NewVersion

T = datetime(2026, 3, 2, 9, tzinfo=UTC)


def record(id: str, **state: Any) -> NewRecord:
    at = format_time(T)
    who = {key: {"source": "crm", "id": "e1", "at": at, "by": "crm"} for key in state}
    return NewRecord(
        object="lead", id=id, state=state, provenance=who, created_at=at, changed_at=at, deleted_at=None
    )  # fmt: skip


ODD: list[Any] = [
    1, -0.0, 1.10, 1e-7, 12345678901234567, 0.1 + 0.2, True, None, "", "1", "\\", "\n\t\"", "Società \U0001f600",
    "\u2028", [], ["a", "b"], {"deep": [{"er": 1.0}]},
]  # fmt: skip


@pytest.mark.parametrize("piece", [1 << 25, 900])
def test_a_record_is_kept_to_the_letter_in_one_piece_or_in_many(
    database: Database, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(records, "_PIECE", piece)
    given = [record(f"L{n}", odd=value, n=n) for n, value in enumerate(ODD)]
    for _ in range(2):
        with database.begin() as conn:
            records.save(conn, given, [])
    with database.read() as conn:
        kept = records.load(conn, "lead", [one.id for one in given])
    assert {id: (one.state, one.provenance) for id, one in kept.items()} == {
        one.id: (one.state, one.provenance) for one in given
    }


@pytest.mark.parametrize(("piece", "few"), [(1 << 25, 1000), (900, 1000), (1 << 25, 0)])
def test_what_a_fold_makes_is_kept_to_the_letter_in_one_statement_or_by_copy(
    database: Database, monkeypatch: pytest.MonkeyPatch, piece: int, few: int
) -> None:
    monkeypatch.setattr(records, "_PIECE", piece)
    monkeypatch.setattr(records, "_FEW", few)
    times = [T.replace(hour=hour) for hour in (9, 10, 11)]
    for n, at in enumerate(times):
        begun = format_time(at)
        closes = format_time(times[n - 1]) if n else None
        made = [record(f"L{k}", odd=value, n=n) for k, value in enumerate(ODD)]
        bounds = [Bounds(object="lead", id=one.id, begun=begun, closes=closes, rebuilt=False) for one in made]
        versions = (
            NewVersion(object="lead", id=one.id, valid_from=begun, valid_to=None, state=one.state) for one in made
        )
        links = [NewLink(target_object="account", target="A", object="lead", ref="of", record="L0")]
        with database.begin() as conn:
            records.write(conn, bounds, versions, lambda: (made, links), many=len(made))  # noqa: B023
    with database.read() as conn:
        kept = records.history(conn, "lead", times[-1])
        due = {
            (f"L{k}", at): (until, {"odd": value, "n": n})
            for k, value in enumerate(ODD)
            for n, (at, until) in enumerate(zip(times, [*times[1:], None], strict=True))
        }
        assert {(id, since): (until, state) for id, since, until, state in kept} == due
        found, merged = records.stored(conn, {"lead": {"L0", "L1", "no"}, "account": ["A"]})
        assert ({name: sorted(ids) for name, ids in found.items()}, merged) == (
            {"lead": ["L0", "L1"], "account": []}, False,
        )  # fmt: skip
        assert found["lead"]["L1"] == records.load(conn, "lead", ["L1"])["L1"]
        assert records.looking_through(conn, "account", ["A"]) == [("A", "lead", "L0")]
