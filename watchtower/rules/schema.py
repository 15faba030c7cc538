"""What a rule on an object may read: columns by name, with their types, and where each comes from."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from watchtower.rulebook import Rulebook
from watchtower.rulebook.duties import HANDOFF_FIELDS, HANDOFF_STATUS
from watchtower.rulebook.model import SIGNAL_FIELDS
from watchtower.rules.tree import Col

TEXT_LIKE = frozenset({"text", "enum", "ref", "domain", "email", "phone", "country", "url"})
NUMERIC = frozenset({"integer", "number", "money"})


@dataclass(frozen=True)
class Column:
    """A column of an object's rows. `ref` and `target` say through which reference it is read, if any."""

    name: str
    type: str
    values: tuple[str, ...] = ()
    ref: str = ""
    target: str = ""
    """The column's name on the object the reference leads to."""
    field: str = ""
    """The field it stands for: `stage` of `changed_at(stage)`, `account.segment` of itself."""
    from_ai: bool = False
    """A signal, or a field that enrichment may fill."""
    gathered: bool = False
    """A rollup over records: not a column of the object's own rows, but computed from theirs."""
    verified: bool = False
    """`verified(x)`: the value of a field that enrichment may fill, as if AI had never filled it."""

    @property
    def path(self) -> str:
        """The field as the rulebook declares it: `account.segment` of `account.verified(segment)`."""
        return self.field.replace("verified(", "").removesuffix(")") if self.verified else self.field

    @property
    def col(self) -> Col:
        return Col(self.name, self.type)


class UnknownName(ValueError):
    """A name that the object does not have; the message says what is near."""


def resolve(book: Rulebook, object_name: str, path: tuple[str, ...]) -> Column:
    """The column of `stage`, `account.segment` or `stuck.p_value` as read by a rule on an object."""
    fields = book.objects[object_name].fields
    name = path[0]
    if len(path) == 1:
        if name in fields:
            field = fields[name]
            return Column(
                name, field.type, tuple(field.values), field=name, from_ai=field.fill == "enrichment",
                gathered=field.rollup is not None and bool(field.rollup.over),
            )  # fmt: skip
        if name in _signals(book, object_name):
            raise UnknownName(f"{name} is a signal; read one of {', '.join(f'{name}.{f}' for f in SIGNAL_FIELDS)}")
        if name in _handoffs(book, object_name):
            raise UnknownName(f"{name} is a handoff; read one of {', '.join(f'{name}.{f}' for f in HANDOFF_FIELDS)}")
        raise UnknownName(f"{object_name} has no field {name!r}{_near(name, book, object_name)}")
    if len(path) > 2:
        raise UnknownName(f"{'.'.join(path)} goes more than one step; a rule looks one reference up")
    if name in _signals(book, object_name):
        if path[1] not in SIGNAL_FIELDS:
            raise UnknownName(f"a signal has {', '.join(SIGNAL_FIELDS)}, not {path[1]!r}")
        full = f"{name}.{path[1]}"
        return Column(full, SIGNAL_FIELDS[path[1]], field=full, from_ai=True)
    if name in _handoffs(book, object_name):
        if path[1] not in HANDOFF_FIELDS:
            raise UnknownName(f"a handoff has {', '.join(HANDOFF_FIELDS)}, not {path[1]!r}")
        full, kind = f"{name}.{path[1]}", HANDOFF_FIELDS[path[1]]
        return Column(full, kind, HANDOFF_STATUS if kind == "enum" else (), field=full)
    if name not in fields:
        raise UnknownName(f"{object_name} has no reference {name!r}{_near(name, book, object_name)}")
    if fields[name].type != "ref":
        raise UnknownName(f"{object_name}.{name} is {fields[name].type}, not a reference; it has no {path[1]!r}")
    target = fields[name].to
    inner = resolve(book, target, path[1:])
    full = ".".join(path)
    # Whoever fills the reference chooses the record that is read.
    from_ai = inner.from_ai or fields[name].fill == "enrichment"
    return Column(full, inner.type, inner.values, name, inner.name, full, from_ai, inner.gathered)


def _signals(book: Rulebook, object_name: str) -> list[str]:
    return [name for name, signal in book.signals.items() if signal.object == object_name]


def _handoffs(book: Rulebook, object_name: str) -> list[str]:
    return [name for name, handoff in book.handoffs.items() if handoff.object == object_name]


def _near(name: str, book: Rulebook, object_name: str) -> str:
    known = [*book.objects[object_name].fields, *_signals(book, object_name), *_handoffs(book, object_name)]
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; it has {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}"
