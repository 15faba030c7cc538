"""Spark's SQL. A time is a BIGINT there, in microseconds since 1970: comparisons are exact and cannot overflow.

Calendar units move on the wall clock of the rulebook's zone. Spark reads a wall-clock time that exists twice with the
earlier offset and PostgreSQL with the smaller one, so the way back to UTC is written out. Expects a session in UTC
with ANSI mode and double-quoted identifiers.
"""

from __future__ import annotations

from watchtower.contract import parse_time
from watchtower.rules.spans import LAST, micros
from watchtower.rules.sql import TYPES, Dialect, Writer
from watchtower.rules.tree import HOUR, Span

ALWAYS = 2**62
"""After every instant, far enough from the end of a BIGINT that a length of time can be added."""

SPARK = Dialect(
    "spark", "", "array_contains({list}, {item})",
    f"(CASE WHEN {{x}} > -{ALWAYS} AND {{x}} < {LAST} THEN {{x}} END)",
    "(CASE WHEN octet_length({x}) = char_length({x}) THEN {case}({x}) ELSE TRANSLATE({x}, {pairs}) END)",
    types=TYPES | {"number": "DOUBLE", "money": "DOUBLE", "timestamp": "BIGINT"},
    materialized="", always=f"{ALWAYS}L", never=f"(-{ALWAYS}L)",
    words={
        "like": "({0} LIKE {1})", "starts_with": "STARTSWITH({0}, {1})",
        "length": "CAST(CHAR_LENGTH({0}) AS BIGINT)",
    },
)  # fmt: skip


class SparkWriter(Writer):
    """As `Writer`, in Spark's words."""

    def __init__(self, timezone: str) -> None:
        super().__init__(SPARK, timezone)

    def text(self, value: str) -> str:
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def time(self, value: str) -> str:
        return f"{micros(parse_time(value))}L"

    def midnight(self, date: str) -> str:
        return self._to_utc(f"unix_micros(CAST({date} AS TIMESTAMP))")

    def shift(self, text: str, span: Span) -> str:
        for count, unit in ((span.months, "MONTH"), (span.days, "DAY")):
            if count:
                wall = f"timestamp_micros(t + {self._offset('t')})"
                text = _let("t", text, self._to_utc(f"unix_micros(timestampadd({unit}, {count}, {wall}))"))
        return f"({text} + {span.micros}L)" if span.micros else text

    def pattern(self, value: str) -> str:
        # Spark refuses a backslash before anything but %, _ and itself; elsewhere it stands for the next character.
        kept: list[str] = []
        escaped = False
        for char in value:
            if escaped and char not in "%_\\":
                kept.pop()
            kept.append(char)
            escaped = char == "\\" and not escaped
        return self.text("".join(kept))

    def _offset(self, at: str) -> str:
        return f"(unix_micros(from_utc_timestamp(timestamp_micros({at}), {self.zone})) - {at})"

    def _to_utc(self, wall: str) -> str:
        """The instant of a wall-clock time: with the smaller offset where there are two, or none.

        The offsets a day before and a day after are the candidates; they differ only where the clock changes between.
        """
        a_fits, b_fits = f"a + {self._offset('a')} = w", f"b + {self._offset('b')} = w"
        picked = (
            f"CASE WHEN a = b THEN a WHEN {a_fits} AND NOT ({b_fits}) THEN a "
            f"WHEN {b_fits} AND NOT ({a_fits}) THEN b ELSE GREATEST(a, b) END"
        )
        b = _let("b", f"w - {self._offset(f'(w + {_DAY})')}", picked)
        return _let("w", wall, _let("a", f"w - {self._offset(f'(w - {_DAY})')}", b))


_DAY = f"{24 * HOUR}L"


def _let(variable: str, value: str, body: str) -> str:
    """`body`, with a name for a value that it uses more than once: written out, the text would grow without bound."""
    return f"transform(array({value}), {variable} -> {body})[0]"
