"""The cases of tests/conformance, on each engine: one text has one meaning."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from watchtower.contract import format_time, parse_event, parse_time
from watchtower.flow.backtest import Engine, duckdb_engine, held_between, states_at
from watchtower.flow.history import History, fold_history
from watchtower.flow.spark import spark_engine, spark_session
from watchtower.rulebook import load
from watchtower.rules.compile import Program, compile_rulebook
from watchtower.store.bulk import scratch_engine
from watchtower.store.database import Database

CASES = Path(__file__).parents[1] / "conformance"
FROM, TO = parse_time("2026-01-01T00:00:00Z"), parse_time("2026-12-31T00:00:00Z")


def _cases(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    content = yaml.load((CASES / name).read_text(), Loader=yaml.BaseLoader)  # times stay text
    cases = content.pop("cases")
    return content, cases


def _event(number: int, record: str, time: str, said: dict[str, Any]) -> dict[str, Any]:
    plain = not {"type", "source", "fields"} & set(said)
    fields = said if plain else said.get("fields", {})
    data = {"fields": {k: _plain(v) for k, v in fields.items()}} if fields else said.get("data", {})
    return {
        "id": str(number), "source": "crm" if plain else said.get("source", "crm"), "time": time,
        "type": "record.updated" if plain else said.get("type", "record.updated"),
        "subject": record if "/" in record else f"lead/{record}",
        "data": {k: _plain(v) for k, v in data.items()},
    }  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, str) and (value in ("null", "true", "false") or value.lstrip("-").isdigit()):
        return json.loads(value)
    return value


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """One Spark for all cases: it takes seconds to start."""
    pytest.importorskip("pyspark", reason="pyspark is not installed (extra: spark)")
    if shutil.which("java") is None:
        pytest.skip("there is no Java on this machine")
    with spark_session("local[2]") as session:
        yield session


@contextmanager
def opened(engine: str, history: History, database: Database, request: pytest.FixtureRequest) -> Iterator[Engine]:
    tables = {name: table.arrow() for name, table in history.versions.items()}
    if engine == "duckdb":
        with duckdb_engine(history.versions) as duck:
            yield duck
    elif engine == "live":
        with scratch_engine(database, tables) as scratch:
            yield scratch
    else:
        with spark_engine(request.getfixturevalue("spark"), tables) as spark:
            yield spark


@pytest.mark.parametrize("engine_name", ["duckdb", "live", "spark"])
@pytest.mark.parametrize("file", ["time.yaml", "records.yaml", "language.yaml"])
def test_each_case_is_answered_as_the_definition_says(
    file: str, engine_name: str, database: Database, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    book, cases = _cases(file)
    rules = [
        {"id": f"c{n:02}", "object": "lead", "when": case["when"]} | ({"for": case["for"]} if "for" in case else {})
        for n, case in enumerate(cases)
    ]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(book | {"rules": rules}, default_style=None))
    whole = compile_rulebook(load(tmp_path / "rules.yaml"))
    wrong = []
    for n, case in enumerate(cases):
        program = Program(whole.book, (whole.rules[n],), whole.gathered)
        events = [parse_event(_event(i, *event)) for i, event in enumerate(case["events"])]
        at = parse_time(case["at"]) if "at" in case else None
        history = fold_history(program, events, until=at if "results" in case else None)
        assert not history.problems, (case["name"], history.problems)
        found: Any
        with opened(engine_name, history, database, request) as engine:
            if "results" in case:
                assert at is not None
                found = [_state(s.to_json()) for s in states_at(engine, program, at) if s.rule == f"c{n:02}"]
                wanted: Any = [_state(result) for result in case["results"]]
            else:
                held = held_between(engine, program, FROM, TO)
                found = [
                    [h.record[5:], format_time(h.since), format_time(h.until)] for h in held if h.rule == f"c{n:02}"
                ]
                wanted = [[record, _time(since), _time(until)] for record, since, until in case["intervals"]]
        if found != wanted:
            wrong.append(f"{case['name']}\n  found  {found}\n  wanted {wanted}")
    assert not wrong, "\n".join(wrong)


def _time(text: str) -> str:
    return format_time(parse_time(text))


def _state(result: dict[str, Any]) -> dict[str, Any]:
    times = {key: _time(result[key]) if result.get(key) else None for key in ("since", "until", "due", "opens")}
    record = result["record"].removeprefix("lead/")
    return {"record": record, "state": result["state"], **times, "unknown": sorted(result.get("unknown", []))}
