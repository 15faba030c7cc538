"""The journeys that ship end as they must, and one that does not is told apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr

from evals.journeys import read_journeys, run_journeys
from watchtower.bootstrap import Tower, build
from watchtower.errors import InputError
from watchtower.settings import Settings

OWN = Path(__file__).resolve().parents[2] / "evals" / "cases" / "journeys"
NOW = datetime(2026, 4, 1, tzinfo=UTC)


def test_the_journeys_that_ship_end_as_they_must_and_a_changed_one_does_not(database_url: str, tmp_path: Path) -> None:
    @contextmanager
    def open_tower(book: str, clock: object) -> Iterator[Tower]:
        (tmp_path / "rules.yaml").write_text(book)
        settings = Settings(data=tmp_path, database_url=SecretStr(database_url))
        with build(settings, rulebook=tmp_path / "rules.yaml", clock=clock) as tower:  # type: ignore[arg-type]
            yield tower

    journeys = read_journeys(OWN)
    first = next(one for one in journeys if one.id == "an-accepted-value-raises-a-rule")
    wrong = msgspec.structs.replace(first, fields={"account/J1": {"employees": 7}}, alerts=())
    others = [one for one in journeys if one.id != first.id]
    path = tmp_path / "journeys.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in (wrong, *others)))
    scores = run_journeys(path, tmp_path / "out", open_tower=open_tower, now=NOW)
    by_name = {one.id: one.faults for one in scores.results}
    assert by_name.pop(wrong.id) == (
        "account/J1.employees: 6, not 7",
        "unexpected alert: too_small lead/J1 open",
    )
    assert by_name == dict.fromkeys(by_name, ())
    assert (scores.right, scores.of, scores.exit_code) == (len(journeys) - 1, len(journeys), 1)


def test_journeys_that_would_meet_are_refused(tmp_path: Path) -> None:
    first = read_journeys(OWN)[0]
    path = tmp_path / "journeys.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(msgspec.structs.replace(first, id=i)) + b"\n" for i in ("a", "b")))
    with pytest.raises(InputError, match="is in a too, under the same rulebook"):
        read_journeys(path)
