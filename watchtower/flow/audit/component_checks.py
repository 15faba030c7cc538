"""Whether a rulebook has each component: pure checks, each answer with what it was read from.

The first test of each check says whether the component is there at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from watchtower.flow.audit.facts import asked_empty, compared, limits, owner_field
from watchtower.flow.audit.finding import counted, listed, percent
from watchtower.rulebook.duties import Lifecycle
from watchtower.rules.compile import Program
from watchtower.rules.readers import readers

DESCRIBED = 0.8
"""The share of fields that rules read of which the meaning must be written down."""


@dataclass(frozen=True)
class Test:
    """One question. `gap`, `why` and `do` are said where the answer is no; `grave`: what is built on it suffers."""

    says: str
    met: bool
    evidence: str
    gap: str = ""
    why: str = "It works; what is left open is settled case by case."
    do: str = ""
    grave: bool = False


def _all(
    says: str, lacking: Sequence[str], of: int, nouns: str, do: str, *, why: str = Test.why, grave: bool = False
) -> Test:
    """`says` goes on from `nouns`: (`states`) `have an owner`. Met where nothing lacks it; of none at all, not met."""
    met = of > 0 and not lacking
    evidence = f"{of - len(lacking)} of {of} {nouns}" + (f"; not {listed(lacking)}" if lacking else "")
    gap = f"{len(lacking)} of {of} {nouns} {'does' if len(lacking) == 1 else 'do'} not {says}"
    return Test(f"all {nouns} {says}", met, evidence, gap if of else f"there are no {nouns}", why, do, grave)


def _some(says: str, found: Sequence[str], nothing: str, do: str = "", *, grave: bool = False) -> Test:
    """Met where something is found; `nothing` is said otherwise."""
    return Test(says, bool(found), listed(found, 8) if found else nothing, nothing, Test.why, do, grave)


def definitions(program: Program) -> list[Test]:
    book = program.book
    objects = [name for name, model in book.objects.items() if model.fields]
    read = readers(program)
    wanted, silent = 0, []
    for name, model in book.objects.items():
        for key, spec in model.fields.items():
            # What refers, is computed, or names the record or its owner says itself what it is.
            plain = spec.type != "ref" and spec.rollup is None and key not in (model.label, owner_field(book, name))
            if plain and read.get((name, key)):
                wanted += 1
                if not spec.description:
                    silent.append(f"{name}.{key}")
    share = 1 - len(silent) / wanted if wanted else 1.0
    kinds: dict[str, dict[tuple[str, str], list[str]]] = {}
    for name, model in book.objects.items():
        for key, spec in model.fields.items():
            kinds.setdefault(key, {}).setdefault((spec.type, spec.unit), []).append(name)
    torn = [
        f"{key} ({'; '.join(f'{kind} {unit}'.strip() + ' on ' + ', '.join(on) for (kind, unit), on in ways.items())})"
        for key, ways in kinds.items()
        if len(ways) > 1
    ]
    return [
        _some("objects with typed fields", objects, "no object has a field", "Name the objects and their fields."),
        Test(
            f"{percent(DESCRIBED)} of the fields that something reads say what they mean", share >= DESCRIBED,
            f"{wanted - len(silent)} of {wanted} do ({percent(share)})" + (f"; not {listed(silent)}" if silent else ""),
            f"{counted(len(silent), 'field')} that something reads do not say what they mean",
            why="Two people may enter different things under one name.",
            do="Give each a description: one sentence that two people read alike.", grave=share < DESCRIBED / 2,
        ),
        Test(
            "a term has one type and unit wherever it stands", not torn, listed(torn) if torn else "no term has two",
            f"{counted(len(torn), 'term')} of more than one type or unit",
            why="The same word is read in two ways.", do="Rename one of them.",
        ),
    ]  # fmt: skip


def ownership(program: Program) -> list[Test]:
    book = program.book
    unowned = [rule.id for rule in book.rules if not rule.owner]
    queues = [key for key, queue in book.queues.items() if not queue.owner]
    cycles = {cycle.object for cycle in book.lifecycles.values()}
    nameless = [name for name in book.objects if name in cycles and not owner_field(book, name)]
    return [
        _some("roles are declared", list(book.roles), "no role is declared", "Declare the roles that answer."),
        _all("have an owner", unowned, len(book.rules), "rules", "Name the role that answers for it.",
             why="An alert of it is nobody's.", grave=True),
        _all("have an owner", queues, len(book.queues), "queues", "Name who empties it.",
             why="Alerts collect there, and nobody empties it."),
        _all("say who works on a record", nameless, len(cycles), "objects with a lifecycle",
             "Give it a field that names its owner, and declare it: owner.", grave=True),
    ]  # fmt: skip


def qualification(program: Program) -> list[Test]:
    book = program.book
    entered = [f"{k}.{s}" for k, cycle in book.lifecycles.items() for s, m in cycle.states.items() if m.enter]
    whom = [
        compiled.rule.id
        for cycle in book.lifecycles.values()
        for compiled in program.of_object(cycle.object)
        if compared(compiled, cycle.field) and any(column.ref for column in compiled.columns)
    ]  # fmt: skip
    met = bool(entered or whom)
    return [
        Test("something says what qualified means", met,
             listed(entered + whom, 8) if met else "no state has a criterion of entry, and no rule on a state reads "
             "what the record refers to", do="Give the states criteria of entry: enter."),
        _some("states have criteria of entry", entered, "no state has a criterion of entry",
              "Write under enter what must be so.", grave=True),
        _some("whom we sell to is read from who they are", whom,
              "no rule on a state reads facts of the company behind a record",
              "Write rules that read them: account.country not in (...).", grave=True),
    ]  # fmt: skip


def _named_states(found: Iterable[tuple[str, Lifecycle, str]]) -> list[str]:
    return [f"{key}.{state}" for key, _, state in found]


def lifecycle(program: Program) -> list[Test]:
    cycles = program.book.lifecycles
    states = [(key, cycle, state) for key, cycle in cycles.items() for state in cycle.states]
    stuck = [(k, c, s) for k, c, s in states if not c.states[s].final and not c.states[s].next]
    unowned = [(k, c, s) for k, c, s in states if not (c.states[s].owner or c.owner)]
    silent = [(k, c, s) for k, c, s in states if not c.states[s].meaning]
    later = [(k, c, s) for k, c, s in states if s not in (c.starts or list(c.states)[:1])]
    loose = [(k, c, s) for k, c, s in later if not _asks(program, c, s)]
    return [
        _some("there is a lifecycle", list(cycles), "no lifecycle is declared", "Declare the few states: lifecycles."),
        _all("lead on or end", _named_states(stuck), len(states), "states", "Say what comes next, or that it ends.",
             grave=True),
        _all("have an owner", _named_states(unowned), len(states), "states", "Name the role that answers for it.",
             grave=True),
        _all("say what they mean", _named_states(silent), len(states), "states", "One sentence under meaning.",
             why="Two people may mean two things by it."),
        _all("ask something of what enters them", _named_states(loose), len(later), "later states",
             "Write under enter or requires what must be so.", why="Each may enter what they like, at any time."),
    ]  # fmt: skip


def _asks(program: Program, cycle: Lifecycle, state: str) -> bool:
    """Whether the state has criteria, or a rule asks there for something that is empty."""
    model = cycle.states[state]
    if model.enter or model.requires:
        return True
    return any(
        asked_empty(compiled) - {f"previous({cycle.field})", cycle.field} and state in compared(compiled, cycle.field)
        for compiled in program.of_object(cycle.object)
    )


def handoffs(program: Program) -> list[Test]:
    contracts = program.book.handoffs
    sides = [key for key, handoff in contracts.items() if not (handoff.from_ and handoff.to)]
    unasked = [key for key, handoff in contracts.items() if not (handoff.requires or handoff.criteria)]
    endless = [key for key, handoff in contracts.items() if handoff.answer is None]
    return [
        _some("there is a contract", list(contracts), "no handoff is declared", "Write the first: handoffs."),
        _all("say who gives and who takes", sides, len(contracts), "handoffs", "from and to.", grave=True),
        _all("say what must be there", unasked, len(contracts), "handoffs", "requires or criteria.", grave=True),
        _all("have a time to answer", endless, len(contracts), "handoffs", "answer: 24 hours.", grave=True),
    ]  # fmt: skip


def slas(program: Program) -> list[Test]:
    open_ = [
        (key, cycle, state)
        for key, cycle in program.book.lifecycles.items()
        for state, model in cycle.states.items()
        if not model.final
    ]
    timed = [f"{key}.{state}" for key, cycle, state in open_ if limits(program, cycle, state)]
    endless = [f"{key}.{state}" for key, cycle, state in open_ if not limits(program, cycle, state)]
    return [
        _some("a state has a limit", timed, "no rule on a state compares with now()", "Give states at_most."),
        _all("have a limit of time", endless, len(open_), "open states", "Give it at_most, or a rule with a deadline.",
             why="A record may lie there for ever, and nobody is told."),
    ]  # fmt: skip


def routing(program: Program) -> list[Test]:
    book = program.book
    noticed: dict[str, list[str]] = {}
    for compiled in program.rules:
        owner = owner_field(book, compiled.rule.object)
        if owner and owner in asked_empty(compiled):
            noticed.setdefault(compiled.rule.object, []).append(compiled.rule.id)
    cycles = {cycle.object for cycle in book.lifecycles.values() if owner_field(book, cycle.object)}
    unseen = [name for name in book.objects if name in cycles and name not in noticed]
    return [
        _some("a rule notices what nobody owns", [rule for rules in noticed.values() for rule in rules],
              "no rule asks whether an owner is missing", "Write one: owner is null."),
        _all("have a rule that notices a missing owner", unseen, len(cycles), "objects with a lifecycle",
             "Write a rule: owner is null.", why="A record of it without an owner waits unseen."),
    ]  # fmt: skip


def approvals(program: Program) -> list[Test]:
    budgets = program.book.budgets
    unowned = [key for key, b in budgets.items() if any(not (tier.owner or b.owner) for tier in b.tiers)]
    return [
        _some("there is a limit with approvers", list(budgets), "no budget is declared",
              "Say how far a price may go down, and who may let it: budgets."),
        _all("have an owner on each tier", unowned, len(budgets), "limits", "Name who is told.",
             why="Who goes beyond it, goes unseen."),
    ]  # fmt: skip


def _named(book_names: Iterable[str], *words: str) -> list[str]:
    return [name for name in book_names if any(word in name for word in words)]


def forecast(program: Program) -> list[Test]:
    book = program.book
    names = [f"{name}.{key}" for name, model in book.objects.items() for key in model.fields]
    told = _named([*book.objects, *names], "forecast")
    worth = [name for name in (c.object for c in book.lifecycles.values()) if book.objects[name].value]
    held = [c.rule.id for c in program.rules if any("forecast" in x for x in (c.rule.object, c.rule.id))]
    reviewed = [key for key, cadence in book.cadences.items() if "forecast" in cadence.object]
    return [
        _some("something is forecast", told, "no object or field is called forecast",
              "Say for each open deal whether it is expected, and in which month."),
        _some("what moves through a lifecycle has a value", sorted(set(worth)),
              "no object with a lifecycle declares its value", "Declare it: value names the amount."),
        _some("rules hold it to what comes", held, "no rule is about the forecast",
              "Write a rule for a month that is over and was not reconciled."),
        _some("it is gone through again and again", reviewed, "no cadence is on the forecast",
              "Declare a weekly review: cadences."),
    ]  # fmt: skip


def retention(program: Program) -> list[Test]:
    book = program.book
    kept = [key for key, metric in book.metrics.items() if metric.kind == "retention"]
    fields = [f"{name}.{key}" for name, model in book.objects.items() for key in model.fields]
    renewals = _named(fields, "renew")
    rules = [c.rule.id for c in program.rules if any("renew" in column.name for column in c.columns)]
    return [
        Test("what follows the sale is kept track of", bool(kept or renewals or rules),
             listed(kept + renewals, 8) if kept or renewals else "no retention metric, no field about renewal",
             do="Declare a metric of kind retention, and the day of renewal."),
        _some("retention is measured", kept, "no metric is of kind retention",
              "Declare it: {kind: retention, object: account, value: arr}."),
        _some("a renewal is not forgotten", rules, "no rule reads the day of renewal",
              "Write a rule for a renewal that is near and has no plan."),
    ]  # fmt: skip


def facts(program: Program) -> list[Test]:
    book = program.book
    open_ = [f"{n}.{k}" for n, model in book.objects.items() for k, spec in model.fields.items() if spec.fill]
    undecided = [key for key in open_ if key not in book.acceptance]
    asked = [c.rule.id for c in program.rules if asked_empty(c)]
    return [
        _some("missing facts are noticed", asked, "no rule asks whether a field is empty",
              "Write rules for what later decisions need."),
        Test("what enrichment may fill has a rule of acceptance", not undecided,
             f"{len(open_) - len(undecided)} of {counted(len(open_), 'field')}", f"nothing decides on "
             f"{listed(undecided)}", do="Say from which confidence on: acceptance.", grave=bool(undecided)),
    ]  # fmt: skip


def proof(program: Program) -> list[Test]:
    rules = program.book.rules
    tried = [rule.id for rule in rules if rule.examples]
    bare = [
        rule.id for rule in rules
        if not (any(e.hit is not None for e in rule.examples) and any(e.miss is not None for e in rule.examples))
    ]  # fmt: skip
    mute = [rule.id for rule in rules if not rule.because]
    return [
        _some("rules have examples", tried, "no rule has an example", "Give each a record that hits and one that "
              "misses."),
        _all("have an example that hits and one that misses", bare, len(rules), "rules",
             "Write them beside the rule; rules test runs them.", why="Nobody has shown that it does what it says."),
        _all("say why they exist", mute, len(rules), "rules", "One sentence under because.",
             why="Who gets the alert is not told what for."),
    ]  # fmt: skip


def metrics(program: Program) -> list[Test]:
    found = program.book.metrics
    unowned = [key for key, metric in found.items() if not metric.owner]
    flows = {metric.lifecycle for metric in found.values() if metric.kind in ("conversion", "velocity")}
    unseen = [key for key in program.book.lifecycles if key not in flows]
    return [
        _some("metrics are declared", list(found), "no metric is declared", "Declare the numbers you steer by."),
        _all("have an owner", unowned, len(found), "metrics", "Name who answers for the number.", grave=True),
        _all("have their conversion or velocity measured", unseen, len(program.book.lifecycles),
             "lifecycles", "Declare {kind: conversion, lifecycle: ...}.",
             why="How fast it moves and where it leaks is nobody's number."),
    ]  # fmt: skip


def scorecards(program: Program) -> list[Test]:
    book = program.book
    without = [role for role in book.roles if role not in book.scorecards]
    aimless = [
        key for key in dict.fromkeys(m for card in book.scorecards.values() for m in card.measures)
        if book.metrics[key].target is None and all(c.measures.get(key) is None for c in book.scorecards.values())
    ]  # fmt: skip
    measured = len({metric for card in book.scorecards.values() for metric in card.measures})
    return [
        _some("roles have scorecards", list(book.scorecards), "no scorecard is declared",
              "Say for each role which metrics it answers for."),
        _all("have a scorecard", without, len(book.roles), "roles", "Give it the numbers it can move.",
             why="What the role answers for is not told in numbers."),
        _all("have a target", aimless, measured, "metrics on scorecards", "Say what is good enough: target.",
             why="Nobody can say whether the number is good."),
    ]  # fmt: skip


def cadences(program: Program) -> list[Test]:
    found = program.book.cadences
    blind = [key for key, cadence in found.items() if not any(item in program.book.metrics for item in cadence.agenda)]
    unowned = [key for key, cadence in found.items() if not cadence.owner]
    return [
        _some("something is gone through again and again", list(found), "no cadence is declared",
              "Declare who looks at what, how often: cadences."),
        _all("have an owner", unowned, len(found), "cadences", "Name who calls it.", why="Nobody calls it."),
        _all("look at a metric", blind, len(found), "cadences", "Put the metrics on its agenda.",
             why="It is held, and looks at no number."),
    ]  # fmt: skip


def feedback(program: Program) -> list[Test]:
    reasons: list[str] = []
    mute: list[str] = []
    ends = 0
    for key, cycle in program.book.lifecycles.items():
        for state, model in cycle.states.items():
            if not model.final:
                continue
            ends += 1
            asked = [
                compiled.rule.id
                for compiled in program.of_object(cycle.object)
                if compared(compiled, cycle.field) == {state}
                and asked_empty(compiled) - {cycle.field, f"previous({cycle.field})"}
            ]
            reasons += asked
            if not asked and not model.enter:
                mute.append(f"{key}.{state}")
    contracts = program.book.handoffs
    dropped = [key for key, handoff in contracts.items() if handoff.reoffer is None]
    tests = [
        _some("an ending says why", reasons, "no rule on a final state asks for anything",
              "Ask for the reason where something is lost."),
        _all("ask what was learned", mute, ends, "final states", "Require the reason, or what comes after.",
             why="What ends there teaches nothing."),
    ]  # fmt: skip
    if contracts:
        tests.append(
            _all("come back after a rejection", dropped, len(contracts), "handoffs", "reoffer: 48 hours.",
                 why="What is rejected may stay where it is.")
        )  # fmt: skip
    return tests


def warning(program: Program) -> list[Test]:
    signals = program.book.signals
    read = {column.name.partition(".")[0] for compiled in program.rules for column in compiled.columns}
    deaf = [key for key in signals if key not in read]
    return [
        _some("signals are declared", list(signals), "no signal is declared",
              "Declare a detector on what gets stuck: signals."),
        _all("have a rule that reads them", deaf, len(signals), "signals", "Write the rule that listens to it.",
             why="It is raised, and nobody hears it."),
    ]  # fmt: skip
