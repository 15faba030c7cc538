"""Names that point at nothing, and names that would mean two things."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from watchtower.errors import Fault
from watchtower.rulebook.families import family_faults
from watchtower.rulebook.merging import merging_faults
from watchtower.rulebook.system_faults import system_faults

if TYPE_CHECKING:
    from watchtower.rulebook.load import Loaded


def hint(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'stage'?` where a known word is near."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def references(loaded: Loaded) -> list[Fault]:
    """Every name that points at nothing, or would mean two things, with its place."""
    parts = (
        *(_objects, _lifecycles, _named_facts, _signals, family_faults),
        *(_acceptance, _asking, _rules, _receivers, _metrics, system_faults, merging_faults),
    )
    return [fault for part in parts for fault in part(loaded)]


def _objects(loaded: Loaded) -> Iterator[Fault]:
    objects = loaded.rulebook.objects
    for name, model in objects.items():
        for field, spec in model.fields.items():
            if spec.to and spec.to not in objects:
                place = loaded.place("objects", name, "fields", field, "to")
                yield place.fault(f"{name}.{field} refers to the unknown object {spec.to!r}{hint(spec.to, objects)}")
        if model.label and model.label not in model.fields:
            place = loaded.place("objects", name, "label")
            yield place.fault(f"{name}: the label {model.label!r} is not one of its fields")
        worth = model.fields.get(model.value)
        if model.value and (worth is None or worth.type not in ("integer", "number", "money")):
            place = loaded.place("objects", name, "value")
            yield place.fault(
                f"{name}: the value {model.value!r} is not one of its numbers{hint(model.value, model.fields)}"
            )


def _lifecycles(loaded: Loaded) -> Iterator[Fault]:
    book = loaded.rulebook
    for name, cycle in book.lifecycles.items():
        if cycle.object not in book.objects:
            continue
        fields = book.objects[cycle.object].fields
        place = loaded.place("lifecycles", name, "field" if "field" in cycle.model_fields_set else "object")
        if cycle.field not in fields:
            yield place.fault(
                f"lifecycle {name}: {cycle.object} has no field {cycle.field!r}{hint(cycle.field, fields)}"
            )
            continue
        values = fields[cycle.field].values
        if not values:
            yield place.fault(f"lifecycle {name}: {cycle.object}.{cycle.field} is {fields[cycle.field].type}, no enum")
            continue
        for state in cycle.states:
            if state not in values:
                yield loaded.place("lifecycles", name, "states", state).fault(
                    f"lifecycle {name}: {state!r} is not a value of {cycle.object}.{cycle.field}{hint(state, values)}",
                    f"values: {', '.join(values)}",
                )
        if forgotten := [value for value in values if value not in cycle.states]:
            yield loaded.place("lifecycles", name, "states").fault(
                f"lifecycle {name}: {cycle.object}.{cycle.field} may be {forgotten[0]!r}, which is none of its states",
                "add the state, or take the value out of the field",
            )


def _named_facts(loaded: Loaded) -> Iterator[Fault]:
    """Signals and handoffs are read by name like fields: `stuck.p_value`, `sales_to_delivery.status`."""
    book = loaded.rulebook
    for kind, named in (("signal", book.signals), ("handoff", book.handoffs)):
        for name, model in named.items():
            if model.object in book.objects and name in book.objects[model.object].fields:
                yield loaded.place(f"{kind}s", name).fault(
                    f"{kind} {name}: {model.object} has a field of the same name", f"rename the {kind}"
                )
            if kind == "handoff" and name in book.signals and book.signals[name].object == model.object:
                yield loaded.place("handoffs", name).fault(
                    f"handoff {name}: {model.object} has a signal of the same name", "rename one of them"
                )


def _signals(loaded: Loaded) -> Iterator[Fault]:
    objects = loaded.rulebook.objects
    for name, signal in loaded.rulebook.signals.items():
        place = loaded.place("signals", name)
        if signal.object not in objects:
            yield place.fault(f"signal {name}: unknown object {signal.object!r}{hint(signal.object, objects)}")
            continue
        about = str(signal.parameters.get("of", signal.object))
        cycle = str(signal.parameters.get("lifecycle", ""))
        if about not in objects:
            yield place.fault(f"signal {name}: parameters.of: unknown object {about!r}{hint(about, objects)}")
        elif signal.field and signal.field not in (fields := objects[about].fields):
            yield place.fault(f"signal {name}: {about} has no field {signal.field!r}{hint(signal.field, fields)}")
        elif cycle and cycle not in (cycles := loaded.rulebook.lifecycles):
            yield place.fault(f"signal {name}: parameters.lifecycle: unknown lifecycle {cycle!r}{hint(cycle, cycles)}")


def _asking(loaded: Loaded) -> Iterator[Fault]:
    objects, asking = loaded.rulebook.objects, loaded.rulebook.enrichment
    for part, named in (("leaving", asking.leaving), ("web", asking.web)):
        for name in named:
            if name not in objects:
                place = loaded.place("enrichment", part, name)
                yield place.fault(f"enrichment.{part}: the unknown object {name!r}{hint(name, objects)}")
    for name, leaving in asking.leaving.items():
        fields = objects[name].fields if name in objects else None
        for field in leaving.fields or ():
            if fields is not None and field not in fields:
                place = loaded.place("enrichment", "leaving", name, "fields")
                yield place.fault(f"enrichment.leaving: {name} has no field {field!r}{hint(field, fields)}")
    for name, web in asking.web.items():
        spec = objects[name].fields.get(web.domain) if name in objects else None
        if name in objects and (spec is None or spec.type != "domain" or spec.personal):
            place = loaded.place("enrichment", "web", name, "domain")
            yield place.fault(f"enrichment.web: {name}.{web.domain} is not one of its domains")


def _acceptance(loaded: Loaded) -> Iterator[Fault]:
    objects = loaded.rulebook.objects
    for key in loaded.rulebook.acceptance:
        name, _, field = key.partition(".")
        place = loaded.place("acceptance", key)
        if name not in objects or field not in objects[name].fields:
            yield place.fault(f"acceptance: {key!r} is not a field (object.field)")
        elif objects[name].fields[field].fill != "enrichment":
            yield place.fault(f"acceptance: {key} is not declared with fill: enrichment")


def _rules(loaded: Loaded) -> Iterator[Fault]:
    book = loaded.rulebook
    seen: dict[str, int] = {}
    for index, rule in enumerate(book.rules):
        if rule.id in seen:
            first = book.rules[seen[rule.id]].origin
            also = f"; {first} makes one, too" if first else ""
            yield loaded.place("rules", index, "id").fault(
                f"the rule id {rule.id!r} stands twice{also}", "ids are unique"
            )
        seen.setdefault(rule.id, index)
        if rule.object not in book.objects:
            place = loaded.place("rules", index, "object")
            yield place.fault(f"rule {rule.id}: unknown object {rule.object!r}{hint(rule.object, book.objects)}")
    for index, rule in enumerate(book.rules):
        for other in rule.inhibits:
            if other not in seen:
                place = loaded.place("rules", index, "inhibits")
                yield place.fault(f"rule {rule.id} inhibits the unknown rule {other!r}{hint(other, seen)}")


def _receivers(loaded: Loaded) -> Iterator[Fault]:
    """A receiver that names a queue or an owner of no rule would never be told anything."""
    book = loaded.rulebook
    queues = {*book.queues, *(rule.queue for rule in book.rules)}
    owners = {*book.roles, *(rule.owner for rule in book.rules if rule.owner)}
    owners |= {rung.to for queue in book.queues.values() for rung in queue.ladder}
    for name, receiver in book.receivers.items():
        for part, given, known in (("queues", receiver.queues, queues), ("owners", receiver.owners, owners)):
            for word in given:
                if word not in known:
                    yield loaded.place("receivers", name, part).fault(
                        f"receiver {name}: {word!r} is none of the {part} that rules name{hint(word, known)}"
                    )


def _metrics(loaded: Loaded) -> Iterator[Fault]:
    book = loaded.rulebook
    ids = {rule.id for rule in book.rules}
    for name, metric in book.metrics.items():
        place = loaded.place("metrics", name)
        if metric.object is not None and metric.object not in book.objects:
            yield place.fault(f"metric {name}: unknown object {metric.object!r}{hint(metric.object, book.objects)}")
        elif metric.object is not None:
            fields = book.objects[metric.object].fields
            for field in metric.fields:
                if field not in fields:
                    yield place.fault(f"metric {name}: {metric.object} has no field {field!r}{hint(field, fields)}")
        if metric.lifecycle is not None and metric.lifecycle not in book.lifecycles:
            near = hint(metric.lifecycle, book.lifecycles)
            yield place.fault(f"metric {name}: unknown lifecycle {metric.lifecycle!r}{near}")
        for rule in metric.rules:
            if rule not in ids:
                yield place.fault(f"metric {name}: unknown rule {rule!r}{hint(rule, ids)}")
    for role, card in book.scorecards.items():
        place = loaded.place("scorecards", role)
        if book.roles and role not in book.roles:
            yield place.fault(f"scorecard {role!r} is not among roles{hint(role, book.roles)}")
        for measure in card.measures:
            if measure not in book.metrics:
                place = loaded.place("scorecards", role, "measures", measure)
                yield place.fault(f"scorecard {role}: unknown metric {measure!r}{hint(measure, book.metrics)}")
