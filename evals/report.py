"""Figures for people in a terminal and in Markdown, and for programs in JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from evals.cases import Case
from evals.cost import Cost, cost_line
from evals.score import CALIBRATION, CALIBRATION_SAYS, METRICS, Judged, Metric, Scores, Slice

COLUMNS = (*METRICS, CALIBRATION)
LOWER = frozenset({name for name, share in METRICS.items() if share.better == "lower"} | {CALIBRATION})
"""The columns in which less is better."""
SAYS = {**{name: share.says for name, share in METRICS.items()}, CALIBRATION: CALIBRATION_SAYS}


def pretty(value: Any) -> bytes:
    """JSON with sorted keys and floats of nine digits: the same figures give the same bytes anywhere."""
    plain = msgspec.to_builtins(value, order="sorted")
    return msgspec.json.format(msgspec.json.encode(_rounded(plain)), indent=2) + b"\n"


def _rounded(value: Any) -> Any:
    # The last bits of a matrix product depend on the machine's BLAS; nine digits do not.
    if isinstance(value, float):
        return round(value, 9)
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return value


def figure(metric: Metric) -> str:
    """`.91 [.84 .95] 91/100`, or a dash where there was nothing to count."""
    if metric.value is None:
        return "-"
    count = f" n={metric.of}" if metric.interval == "jeffreys" else f" {metric.hits:g}/{metric.of}"
    return f"{metric.value:.3f} [{metric.low:.2f} {metric.high:.2f}]{count}"


def rows_of(scores: Scores) -> Iterator[tuple[str, bool, Slice]]:
    """(name, whether it is a part of the row above, figures): all fields, each field, each tag."""
    yield "all fields", False, scores.overall
    for name, some in scores.fields.items():
        yield name, False, some
        if name in scores.stated:
            yield "where stated", True, scores.stated[name]
    for tag, some in scores.tags.items():
        yield f"#{tag}", False, some


def facts_line(scores: Scores) -> str:
    run = scores.run
    parts = [
        f"{run.cases} cases of {run.cases_file}",
        "company names masked" if run.masked else "",
        f"each asked {run.repeats} times" if run.repeats > 1 else "",
        f"seed {run.seed}",
        f"methods {', '.join(run.methods) or 'none'}",
        f"models {', '.join(run.models)}" if run.models else "",
        f"acceptance: {run.accept}",
        f"suite {run.suite_hash[:12]}",
    ]
    return "; ".join(part for part in parts if part)


def must_line(scores: Scores) -> str:
    must = scores.must_pass
    if not must.of:
        return "no must-pass cases"
    if not must.failed:
        return f"all {must.of} must-pass cases pass"
    return f"{len(must.failed)} of {must.of} must-pass cases FAILED: {', '.join(must.failed)}"


def _short(metric: Metric) -> Text:
    if metric.value is None:
        return Text("-", style="dim", justify="right")
    text = Text(f"{metric.value:.2f}", style="bold", justify="right")
    return text.append(f"\n{_brief(metric.low)}-{_brief(metric.high)}", style="dim not bold")


def _brief(value: float) -> str:
    """`.41`, `1`: eighty columns are few."""
    return f"{value:.2f}".replace("0.", ".").replace("1.00", "1").replace(".00", "0")


def render_terminal(scores: Scores) -> Group:
    """The table per field, with 95% intervals, for a terminal of 80 columns or more."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column("field", overflow="fold", min_width=12)
    table.add_column("cases", justify="right")
    for name in COLUMNS:
        head = "ECE" if name == CALIBRATION else name
        table.add_column(f"{head}\n{'↓' if name in LOWER else '↑'}", justify="right")
    for name, part, some in rows_of(scores):
        label = Text(f" {name}", style="dim") if part else Text(name, style="bold")
        table.add_row(label, str(some.cases), *(_short(some.metrics[column]) for column in COLUMNS))
    failed = bool(scores.must_pass.failed)
    notes: list[Text | Table] = [
        Text(facts_line(scores), style="dim"),
        table,
        Text(must_line(scores), style="bold red" if failed else "green"),
    ]
    if scores.unasked:
        notes.append(Text(f"{scores.unasked} proposals answered nothing that was asked", style="yellow"))
    legend = "↑ higher is better, ↓ lower is better; ECE: calibration error; below each figure its 95% interval"
    notes.append(Text(legend, style="dim"))
    return Group(*notes)


def verdict(known: bool, some: Sequence[Judged], right: bool, filled: bool) -> str:
    """One word for what happened to a field."""
    if right:
        return "right" if filled else "rightly empty"
    if filled:
        return "wrong" if known else "invented"
    return "missed" if not some else "not accepted"


def worst_first(
    cases: Sequence[Case], judged: Sequence[Mapping[str, Sequence[Judged]]]
) -> list[tuple[Case, Mapping[str, Sequence[Judged]], bool, bool]]:
    """(case, its judged proposals, harmed, wrong), wrong fills first, then gaps, then the right ones."""
    ranked = []
    for place, (case, by_field) in enumerate(zip(cases, judged, strict=True)):
        harmed = wrong = False
        for name, some in by_field.items():
            value = accepted(some)
            harmed |= value is not None and not value.right
            wrong |= (value is None and bool(case.gold(name))) or (value is not None and not value.right)
        failed = (wrong and case.must_pass == "right") or (harmed and bool(case.must_pass))
        ranked.append(((not failed, not harmed, not wrong, place), case, by_field, harmed, wrong))
    ranked.sort(key=lambda row: row[0])
    return [row[1:] for row in ranked]


def accepted(some: Sequence[Judged]) -> Judged | None:
    return next((one for one in some if one.decision.outcome == "accept"), None)


def _cell(value: Any) -> str:
    text = "(empty)" if value is None else str(value)
    return text.replace("|", "\\|").replace("\n", " ").replace("`", "'")


def shown_repeat(case: Case, repeats: Sequence[Mapping[str, Sequence[Judged]]]) -> Mapping[str, Sequence[Judged]]:
    """Of the repeats of a case, the first of those that went worst: what a reader should see."""

    def faults(by_field: Mapping[str, Sequence[Judged]]) -> tuple[int, int]:
        filled = {name: accepted(some) for name, some in by_field.items()}
        harmed = sum(value is not None and not value.right for value in filled.values())
        return harmed, sum(value is None and bool(case.gold(name)) for name, value in filled.items())

    return max(repeats, key=faults)


def _surest_lines(scores: Scores) -> list[str]:
    """Precision when only the surest answers are taken, as a table."""
    some = {name: part.surest for name, part in scores.fields.items() if part.surest}
    if not some:
        return []
    taken = [f"surest {point.coverage:.0%}" for point in next(iter(some.values()))]
    lines = ["", "Precision of the surest answers (higher is better), whatever acceptance decides:", ""]
    lines += [f"| field | {' | '.join(taken)} |", "|---|" + "---:|" * len(taken)]
    for name, points in some.items():
        cells = " | ".join(f"{p.precision:.3f} [{p.low:.2f} {p.high:.2f}] of {p.answers}" for p in points)
        lines.append(f"| {name} | {cells} |")
    return lines


MARKDOWN_CASES = 50


def markdown(
    scores: Scores,
    cases: Sequence[Case],
    judged: Sequence[Mapping[str, Sequence[Judged]]],
    cost: Cost | None = None,
) -> str:
    """The figures, and the cases that went wrong, as a page to put beside a change."""
    lines = ["# Enrichment eval", "", facts_line(scores) + ".", "", f"**{must_line(scores)}**", ""]
    if cost is not None:
        lines += [f"{cost_line(cost)}.", ""]
    lines += ["| field | cases | " + " | ".join(COLUMNS) + " |", "|---|---:|" + "---:|" * len(COLUMNS)]
    for name, sub, part in rows_of(scores):
        cells = " | ".join(figure(part.metrics[column]) for column in COLUMNS)
        lines.append(f"| {'- ' if sub else ''}{name} | {part.cases} | {cells} |")
    lines += ["", "Each figure with its 95% interval and count.", ""]
    for name in COLUMNS:
        lines.append(f"- {name} ({'lower' if name in LOWER else 'higher'} is better): {SAYS[name]}.")
    if scores.stable is not None:
        lines.append(f"- right in every repeat or in none (higher is better): {figure(scores.stable)}.")
    lines += _surest_lines(scores)
    wrong = [(case, by_field) for case, by_field, _, bad in worst_first(cases, judged) if bad]
    lines += ["", f"## Not right: {len(wrong)} of {len(cases)} cases", ""]
    if wrong:
        lines += ["| case | field | expected | got | why |", "|---|---|---|---|---|"]
    for case, by_field in wrong[:MARKDOWN_CASES]:
        for name, some in by_field.items():
            value = accepted(some)
            if value.right if value else not case.gold(name):
                continue
            top = value or (some[0] if some else None)
            why = f"{top.decision.outcome}: {top.decision.because}" if top else "nothing was proposed"
            got = value.proposal.value if value else None
            lines.append(f"| {case.id} | {name} | {_cell(case.expected[name])} | {_cell(got)} | {_cell(why)} |")
    if len(wrong) > MARKDOWN_CASES:
        lines += ["", f"{len(wrong) - MARKDOWN_CASES} more in scores and report.html."]
    return "\n".join(lines) + "\n"
