"""A rollup's `where`: a small SQL condition over the keys of an event's data, as a Python function.

Three-valued like SQL: True, False, or None where a key is absent or the types differ. The fold runs it per event.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError

from watchtower.rules.sqltext import OptionError, read_condition

Data = dict[str, Any]
Evaluate = Callable[[Data], Any]

_COMPARE: dict[type[exp.Expr], Callable[[Any, Any], bool]] = {
    exp.EQ: operator.eq, exp.NEQ: operator.ne, exp.LT: operator.lt,
    exp.LTE: operator.le, exp.GT: operator.gt, exp.GTE: operator.ge,
}  # fmt: skip
_ACCEPTED = "accepted: = <> < <= > >= in like is null and or not over keys of the event's data"


def compile_filter(text: str) -> Evaluate:
    """ValueError names what is not accepted."""
    if len(text) > 4000:
        raise ValueError(f"where: is {len(text)} characters long; at most 4000")
    try:
        node = read_condition(text)
        if node is None:
            raise ValueError(f"where: {text!r:.80} is not one condition; {_ACCEPTED}")
        return _build(node)
    except (SqlglotError, OptionError, RecursionError) as error:
        raise ValueError(f"where: {text!r:.80} is not a condition ({str(error).splitlines()[0]:.80})") from None


def _build(node: exp.Expr) -> Evaluate:
    if isinstance(node, exp.Paren):
        return _build(node.this)
    if isinstance(node, exp.Column) and len(node.parts) == 1:
        key = node.name
        return lambda data: data.get(key)
    if isinstance(node, exp.Literal):
        value: Any = node.name if node.is_string else float(node.name)
        return lambda data: value
    if isinstance(node, exp.Boolean):
        truth = bool(node.this)
        return lambda data: truth
    if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal) and not node.this.is_string:
        negative = -float(node.this.name)
        return lambda data: negative
    if isinstance(node, exp.Not):
        inner = _build(node.this)
        return lambda data: None if (x := inner(data)) is None else not x
    if isinstance(node, (exp.And, exp.Or)):
        return _connect(isinstance(node, exp.And), [_build(item) for item in node.flatten()])
    if type(node) in _COMPARE:
        return _compare(_COMPARE[type(node)], _build(node.this), _build(node.expression))
    if isinstance(node, exp.In) and node.expressions:
        tests = [_compare(operator.eq, _build(node.this), _build(item)) for item in node.expressions]
        return _connect(False, tests)
    if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
        tested = _build(node.this)
        return lambda data: tested(data) is None
    if isinstance(node, exp.Like) and isinstance(node.expression, exp.Literal):
        return _like(_build(node.this), node.expression.name)
    raise ValueError(f"where: {node.sql('postgres')!r:.60} is not accepted; {_ACCEPTED}")


def _compare(op: Callable[[Any, Any], bool], left: Evaluate, right: Evaluate) -> Evaluate:
    def compare(data: Data) -> bool | None:
        a, b = left(data), right(data)
        numbers = isinstance(a, (int, float)) and isinstance(b, (int, float))
        if a is None or b is None or not (numbers or type(a) is type(b)):
            return None
        return op(a, b)

    return compare


def _connect(both: bool, items: list[Evaluate]) -> Evaluate:
    def connect(data: Data) -> bool | None:
        unknown = False
        for item in items:
            value = item(data)
            if value is None:
                unknown = True
            elif bool(value) is not both:
                return not both
        return None if unknown else both

    return connect


def _like(value: Evaluate, pattern: str) -> Evaluate:
    parts = re.findall(r"\\.|%|_|[^\\%_]", pattern, re.DOTALL)

    def like(data: Data) -> bool | None:
        text = value(data)
        return _matches(text, parts) if isinstance(text, str) else None

    return like


def _matches(text: str, parts: list[str]) -> bool:
    """Wildcards in at most len(text) x len(parts) steps: on a mismatch only the last % is tried further on."""
    at = part = 0
    star = mark = -1
    while at < len(text):
        wanted = parts[part] if part < len(parts) else None
        if wanted == "%":
            star, mark = part, at
            part += 1
        elif wanted is not None and (wanted == "_" or wanted[-1] == text[at]):
            at, part = at + 1, part + 1
        elif star >= 0:
            mark += 1
            at, part = mark, star + 1
        else:
            return False
    return all(rest == "%" for rest in parts[part:])
