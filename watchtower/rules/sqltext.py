"""Reading SQL text with sqlglot, so that nothing is said by an argument we do not look at.

sqlglot marks some negations on the node (`x IS NOT NULL` is `Is(..., negate=True)`) and keeps options of
many kinds beside the operands. Here a negation becomes a NOT above the node, and any other option that is not
named in `_OPTIONS` is refused: a part of a condition must never be dropped silently.
"""

from __future__ import annotations

from sqlglot import exp, parse

_OPERANDS = frozenset({"this", "expression", "expressions", "low", "high", "ifs", "true", "default", "unit", "to"})
_OPTIONS: dict[type[exp.Expr], frozenset[str]] = {
    exp.Greatest: frozenset({"ignore_nulls"}), exp.Least: frozenset({"ignore_nulls"}),
    exp.DPipe: frozenset({"safe"}), exp.Div: frozenset({"typed"}),
    exp.Literal: frozenset({"is_string"}), exp.Identifier: frozenset({"quoted"}),
    exp.Column: frozenset({"table", "db", "catalog"}), exp.Coalesce: frozenset({"is_nvl", "is_null"}),
    exp.In: frozenset({"query", "unnest", "field"}), exp.Between: frozenset({"symmetric"}),
    exp.Trim: frozenset({"position"}), exp.DataType: frozenset({"nested"}),
    exp.Interval: frozenset({"fraction_in_string"}),
}  # fmt: skip


class OptionError(ValueError):
    """A part of the text that is not understood, and the node it stands on."""

    def __init__(self, node: exp.Expr, option: str) -> None:
        super().__init__(f"{option.replace('_', ' ')!r} is not accepted here")
        self.node = node


def read_condition(text: str) -> exp.Expr | None:
    """The one expression of a text, or None where there are none or several. SqlglotError, OptionError."""
    found = parse(text, read="postgres")
    if len(found) != 1 or found[0] is None:
        return None
    root = exp.Paren(this=found[0])
    for node in list(root.walk()):
        if node.args.get("negate"):
            node.set("negate", None)
            outer, key, index = node.parent, node.arg_key, node.index
            wrapped = exp.Not(this=node)
            assert outer is not None and key is not None
            outer.set(key, wrapped, index)
            wrapped.set("this", node)
        for option, value in node.args.items():
            if value and option not in _OPERANDS and option not in _OPTIONS.get(type(node), ()):
                raise OptionError(node, option)
    inner = root.this
    assert isinstance(inner, exp.Expr)
    return inner
