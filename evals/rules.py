"""Rules against scenarios: events in, and every interval or alert that must follow, to the microsecond.

A rule is a statement about time, so there is no partial credit: a scenario is right or it is not. What is
missing and what is too much is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Group
from rich.text import Text

from evals import statistics
from evals.cases import content_hash
from evals.jsonl import read_lines
from evals.recording import write_whole
from evals.report import pretty
from evals.statistics import Interval
from watchtower.contract import format_time, parse_event, parse_time
from watchtower.errors import InputError, WatchtowerError

TIMES = ("since", "until", "opened", "resolved", "due", "at")
"""Keys of an expected entry that are times, compared as instants."""

_NAMES = {"start": "from", "end": "to"}
"""Keys of the file that are words of Python's."""

Entry = dict[str, Any]


class Scenario(msgspec.Struct, frozen=True, kw_only=True, rename=_NAMES, forbid_unknown_fields=True):
    """Events under a rulebook, and what must follow from them within [from, to)."""

    id: str
    provenance: str
    rulebook: str
    """The rulebook itself, as YAML."""
    events: tuple[dict[str, Any], ...]
    """CloudEvents JSON, in order of arrival."""
    start: str
    end: str
    expected: dict[str, tuple[Entry, ...]]
    """By kind: `intervals` (rule, record, since, until) as `rules backtest --json` gives them, or another
    kind that the evaluating function knows, such as `alerts`. Kinds that are not named are not compared."""
    must_pass: bool = True


Evaluate = Callable[[Scenario], Mapping[str, Sequence[Mapping[str, Any]]]]
"""What follows from a scenario, by kind. The caller binds an engine to it."""


class ScenarioResult(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario: what was expected and did not come, and what came unexpected."""

    id: str
    right: bool
    must_pass: bool
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    failed: str = ""
    """The message of an error that the evaluation ended with."""


class RuleScores(msgspec.Struct, frozen=True, kw_only=True):
    """All scenarios of one run."""

    suite_hash: str
    right: int
    of: int
    share: float
    """Of the scenarios, those right in every entry. In [0, 1]; higher is better."""
    interval: Interval
    results: tuple[ScenarioResult, ...]
    schema: int = 1

    @property
    def exit_code(self) -> int:
        """1 where a scenario that must pass does not."""
        return 1 if any(one.must_pass and not one.right for one in self.results) else 0


def read_scenarios(path: Path) -> list[Scenario]:
    """The scenarios of a JSONL file or folder. InputError names the file, the line and the key."""
    scenarios: dict[str, Scenario] = {}
    for place, one in read_lines(path, Scenario):
        if one.id in scenarios:
            raise InputError(f"{place}: id: {one.id!r} stands there already")
        try:
            parse_time(one.start), parse_time(one.end)
            for event in one.events:
                parse_event(event)
            for entries in one.expected.values():
                for entry in entries:
                    _key(entry)
        except ValueError as error:
            raise InputError(f"{place}: scenario {one.id}: {error}") from None
        scenarios[one.id] = one
    if not scenarios:
        raise InputError(f"{path}: holds no scenarios", remedy="Give a JSONL file with a scenario a line.")
    return list(scenarios.values())


def _key(entry: Mapping[str, Any]) -> str:
    """An entry as text in which equal instants are equal: `rule=...; since=...`."""
    parts = []
    for name in sorted(entry):
        value = entry[name]
        if name in TIMES and isinstance(value, str):
            value = format_time(parse_time(value))
        elif name in TIMES and isinstance(value, datetime):
            value = format_time(value)
        parts.append(f"{name}={value}")
    return "; ".join(parts)


def _judged(scenario: Scenario, given: Mapping[str, Sequence[Mapping[str, Any]]]) -> ScenarioResult:
    missing: list[str] = []
    unexpected: list[str] = []
    for kind, entries in sorted(scenario.expected.items()):
        wanted = [_key(entry) for entry in entries]
        # Only what an expected entry can say is compared; an engine may tell more.
        told = {name for entry in entries for name in entry} or None
        came = [
            _key({name: value for name, value in entry.items() if told is None or name in told})
            for entry in given.get(kind, ())
        ]
        for entry in came:
            if entry in wanted:
                wanted.remove(entry)
            else:
                unexpected.append(f"{kind}: {entry}")
        missing += [f"{kind}: {entry}" for entry in wanted]
    return ScenarioResult(
        id=scenario.id,
        right=not missing and not unexpected,
        must_pass=scenario.must_pass,
        missing=tuple(missing),
        unexpected=tuple(unexpected),
    )


def score_rules(scenarios: Sequence[Scenario], evaluate: Evaluate) -> RuleScores:
    """Evaluates each scenario. One that the rule layer refuses (any WatchtowerError) is not right."""
    results = []
    for scenario in scenarios:
        try:
            results.append(_judged(scenario, evaluate(scenario)))
        except WatchtowerError as error:
            wanted = [f"{kind}: {_key(e)}" for kind, some in sorted(scenario.expected.items()) for e in some]
            refused = ScenarioResult(
                id=scenario.id,
                right=False,
                must_pass=scenario.must_pass,
                missing=tuple(wanted),
                unexpected=(),
                failed=error.message,
            )
            results.append(refused)
    right = sum(one.right for one in results)
    return RuleScores(
        suite_hash=content_hash([content_hash(one) for one in scenarios]),
        right=right,
        of=len(results),
        share=right / len(results) if results else 0.0,
        interval=statistics.wilson(right, len(results)),
        results=tuple(results),
    )


def run_rules(cases_path: Path, out: Path, *, evaluate: Evaluate, now: datetime) -> RuleScores:
    """Scores the scenarios; writes scores.json and manifest.json to `out`. `now` goes into the manifest."""
    scores = score_rules(read_scenarios(cases_path), evaluate)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "scores.json", pretty(scores))
    manifest = {"at": format_time(now), "cases_file": cases_path.name, "suite_hash": scores.suite_hash}
    write_whole(out / "manifest.json", pretty(manifest))
    return scores


def render_rules(scores: RuleScores) -> Group:
    """The result for a terminal: each scenario that is not right, and why."""
    lines = []
    for one in scores.results:
        if not one.right:
            lines.append(Text(f"{one.id}: not right", style="bold red"))
            lines += [Text(f"  missing     {entry}") for entry in one.missing]
            lines += [Text(f"  unexpected  {entry}") for entry in one.unexpected]
            if one.failed:
                lines.append(Text(f"  failed      {one.failed}"))
    share = f"{scores.right} of {scores.of} scenarios right"
    share += f" ({scores.share:.3f}, 95% {scores.interval.low:.3f} to {scores.interval.high:.3f})"
    lines.append(Text(share, style="green" if scores.right == scores.of else "bold"))
    return Group(*lines)
