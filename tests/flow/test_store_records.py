"""Records and their versions, as the database keeps them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from watchtower.contract import format_time
from watchtower.store import records
from watchtower.store.database import Database
from watchtower.store.records import NewRecord

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
