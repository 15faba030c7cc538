"""Texts mean the same on every engine: each function and comparison, over the whole Basic Multilingual Plane."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from watchtower.rules import letters
from watchtower.rules.sql import DUCKDB, POSTGRES, Writer
from watchtower.rules.tree import Call, Col, Lit, Scalar
from watchtower.store.bulk import scratch_engine
from watchtower.store.database import Database

PLANE = [chr(code) for code in range(1, 0x10000) if not 0xD800 <= code < 0xE000]
BEYOND = [chr(code) for code in range(0x10000, 0x1F700) if chr(code).lower() != chr(code).upper()] + [
    "👍",
    "\U0010ffff",
]
POINTS = PLANE + BEYOND
OTHERS = random.Random(1).sample(POINTS, len(POINTS))
TEXTS = [f" {point}\t" for point in POINTS]

A, B, T = Col("a", "text"), Col("b", "text"), Col("t", "text")


def _call(op: str, *args: Scalar) -> Call:
    return Call(op, args, "text")


def _text(text: str) -> Lit:
    return Lit(text, "text")


CASES: dict[str, tuple[Call, Callable[[str, str, str], Any]]] = {
    "lower": (_call("lower", A), lambda a, b, t: letters.lower(a)),
    "upper": (_call("upper", A), lambda a, b, t: letters.upper(a)),
    "lower among others": (_call("lower", _call("||", T, _text("Σ"))), lambda a, b, t: letters.lower(t) + "σ"),
    "trim": (_call("trim", _call("||", T, _text(" "))), lambda a, b, t: t.strip(" ")),
    "length": (_call("length", T), lambda a, b, t: 3),
    "like takes one letter": (_call("like", A, _text("_")), lambda a, b, t: True),
    "like takes a letter as itself": (_call("like", T, _text(" ß%")), lambda a, b, t: a == "ß"),
    "ilike": (_call("ilike", T, _text("_Èß\\%_")), lambda a, b, t: False),
    "ilike heeds no case": (_call("ilike", A, _text("É")), lambda a, b, t: a in "éÉ"),
    "starts_with": (_call("starts_with", T, _call("||", _text(" "), A)), lambda a, b, t: True),
    "=": (_call("=", A, B), lambda a, b, t: a == b),
    "<": (_call("<", A, B), lambda a, b, t: a < b),
    ">=": (_call(">=", T, B), lambda a, b, t: t >= b),
    "greatest": (_call("greatest", A, B), lambda a, b, t: max(a, b)),
    "least": (_call("least", A, B), lambda a, b, t: min(a, b)),
}  # fmt: skip


@pytest.mark.parametrize("engine_name", ["duckdb", "live"])
def test_texts_mean_the_same_on_every_engine_whatever_the_letter(engine_name: str, database: Database) -> None:
    time = pa.array([0] * len(POINTS), pa.timestamp("us", "UTC"))
    table = pa.table({"n": range(len(POINTS)), "vto": time, "a": POINTS, "b": OTHERS, "t": TEXTS})
    writer = Writer(DUCKDB if engine_name == "duckdb" else POSTGRES, "UTC")
    sql = f"SELECT {', '.join(writer.scalar(call) for call, _ in CASES.values())} FROM v_x ORDER BY n"
    if engine_name == "duckdb":
        connection = duckdb.connect()
        connection.register("v_x", table)
        rows = connection.execute(sql).fetchall()
    else:
        with scratch_engine(database, {"x": table}) as engine:
            rows = list(engine.query(sql))
    assert len(rows) == len(POINTS) > 63_000
    wrong = []
    for row, a, b, t in zip(rows, POINTS, OTHERS, TEXTS, strict=True):
        for found, (case, (_, expected)) in zip(row, CASES.items(), strict=True):
            if found != expected(a, b, t):
                wrong.append(
                    f"{case} of U+{ord(a):04X} {a!r}, U+{ord(b):04X}: {found!r}, expected {expected(a, b, t)!r}"
                )
    assert not wrong, "\n".join([f"{len(wrong)} differ", *wrong[:20]])


def test_case_is_that_of_single_letters_in_no_language() -> None:
    assert letters.upper("straße ǆ ŉ ı ÿ ﬀ ᾳ") == "STRAẞE Ǆ ŉ I Ÿ ﬀ ᾼ"
    assert letters.lower("İI ΟΔΟΣ ẞ Ǆ K") == "ii οδοσ ß ǆ k"
