"""The references of what stands in the code's tables: detectors, normalisers, metrics, event types."""

from __future__ import annotations

import inspect

import msgspec

from detectors import ROSTER
from enrichment.normalise import KINDS
from enrichment.normalise.examples import examples
from manual.text import MADE, cell, code, plain, prose, table
from watchtower.contract import Event
from watchtower.rulebook import DEFAULT, load
from watchtower.rulebook.model import Metric

SHOWN = 4
"""Examples of each normaliser."""


def detectors() -> str:
    """Every detector of the roster, in the words of its module and class."""
    parts = [
        "# Detectors\n",
        MADE + "\n",
        "A signal is declared in the rulebook (`signals: {name: {object: ..., detector: ..., budget: 0.01}}`) and read "
        "by rules. How to choose them: [Signals of detectors](../signals.md), [of processes](../process-signals.md). "
        "How often each errs: [Measured figures](../figures.md).\n",
    ]
    for name, detector in ROSTER.items():
        module = inspect.getmodule(type(detector))
        parts.append(f"## {name}\n\nVersion {code(detector.version)}.\n")
        parts.append(prose(type(detector).__doc__))
        if module is not None and module.__doc__:
            parts.append(prose(module.__doc__))
    return "\n".join(parts)


def normalisers() -> str:
    """Every kind of value, with what becomes of some texts."""
    parts = [
        "# Normalisers\n",
        MADE + "\n",
        "`watchtower normalise KIND VALUE` says what becomes of a text, or why nothing does. No normaliser looks "
        "anything up online, and each canonical value is its own.\n",
    ]
    for name, kind in KINDS.items():
        module = inspect.getmodule(kind.normalise)
        shown = examples(name)
        parts.append(f"## {name}\n")
        parts.append(prose(module.__doc__ if module else ""))
        rows = [(code(raw), code(value)) for value, raws in list(shown.accepted.items())[:SHOWN] for raw in raws[:1]]
        parts.append(table(("text", "becomes"), [(cell(raw), cell(value)) for raw, value in rows]))
    return "\n".join(parts)


def metrics() -> str:
    """The kinds of metric, and those of the default rulebook."""
    book = load(DEFAULT).rulebook
    rows = [
        (code(name), code(metric.kind), metric.owner, _target(metric), plain(metric.description))
        for name, metric in book.metrics.items()
    ]
    parts = [
        "# Metrics\n",
        MADE + "\n",
        "`watchtower metrics RULEBOOK EVENTS --from T --to T` computes them; the metrics page of the service shows "
        "them. The kinds:\n",
        prose(Metric.__doc__),
        "## Of the default rulebook\n",
        table(("metric", "kind", "owner", "target", ""), rows),
        "## Scorecards\n",
    ]
    for role, card in book.scorecards.items():
        parts.append(f"**{role}**. {plain(card.description)} It holds {', '.join(code(m) for m in card.measures)}.\n")
    return "\n".join(parts)


def _target(metric: Metric) -> str:
    if metric.target is None:
        return ""
    return f"{'at least' if metric.better == 'higher' else 'at most'} {metric.target:g} {metric.unit}".strip()


TYPES = {
    "record.updated": "`data.fields` patches the record; an explicit null clears. The first one creates it. "
    "Of a reference, the value is the other record's id",
    "record.deleted": "The record ends. A later event begins it anew",
    "record.merged": "The record ends, and `data.into` names the one that it is",
    "activity.logged": "`data.kind`: call, email, meeting, note, ...",
    "usage.recorded": "`data.metric` and `data.value`",
    "handoff.offered": "`data.handoff` and `data.fields`; refused where the contract's fields are missing",
    "handoff.accepted": "`data.handoff`, `data.fields`",
    "handoff.rejected": "`data.handoff`, `data.fields`",
    "document.added": "A text about the record, for enrichment to read",
}
"""What sources say. Any other type may be sent; rollups read it by its name."""


def _default(value: object) -> str:
    return value if isinstance(value, str) else ""


def events() -> str:
    """The form of an event, and the types that mean something by themselves."""
    words = {
        "id": "With `source` the key: the same again is a duplicate, with another body an error",
        "source": "Who says so. A key of the role `source` speaks under its own name only",
        "type": "What kind of thing happened (below)",
        "subject": "`object/id`: which record",
        "time": "When it happened: ISO 8601 with an offset. Late events are taken where they belong in time",
        "data": "What happened",
        "specversion": "CloudEvents 1.0",
    }
    fields = msgspec.structs.fields(Event)
    rows = [
        (code(field.name), "required" if field.required else code(_default(field.default)), words[field.name])
        for field in fields
    ]
    example = (
        '{"specversion":"1.0","id":"e1","source":"crm","type":"record.updated","subject":"lead/L-17",\n'
        ' "time":"2026-03-02T09:00:00Z","data":{"fields":{"stage":"mql","mql_at":"2026-03-02T09:00:00Z"}}}'
    )
    return "\n".join([
        "# Events\n",
        MADE + "\n",
        "[CloudEvents 1.0](https://cloudevents.io) as JSON: by `POST /events` (structured, binary or batch), or one a "
        "line in a file for `watchtower import`.\n",
        f"```json\n{example}\n```\n",
        table(("attribute", "default", ""), rows),
        "## Types\n",
        table(("type", "means"), [(code(name), text) for name, text in TYPES.items()]),
        "Any other type is kept, and read by rollups that name it: `{latest: time, of: ticket.opened}`.\n",
    ])  # fmt: skip
