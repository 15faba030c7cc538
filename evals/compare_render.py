"""A comparison for people: in a terminal, and in Markdown for a pull request."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from evals.compare import QUESTIONS, Comparison, Question

_STYLES = {"regression": "bold red", "improvement": "green", "no clear change": "dim"}
LISTED = 20
"""Names of cases in a list, at most."""


def must_pass_line(found: Comparison) -> str:
    """How the must-pass cases fare; empty where there are none."""
    if not found.must_pass:
        return ""
    failed = found.must_pass_failed
    said = f"must-pass: {found.must_pass - len(failed)} of {found.must_pass} right"
    said += f"; not right: {', '.join(failed)}" if failed else ""
    return said + (f"; right in the baseline: {', '.join(found.newly_failed)}" if found.newly_failed else "")


def compared_line(found: Comparison) -> str:
    """What was compared, and how."""
    said = f"{found.compared} cases compared; {len(found.changed)} changed since the baseline, "
    said += f"{found.only_baseline} only in the baseline, {found.only_run} only in the run: not compared. "
    said += "No harm: nothing wrong filled in. p: that the run is no worse, exact and paired, after Holm; "
    return said + f"a regression has p <= {found.alpha:g} and loses {found.minimum_effect:.0%} or more."


def verdict_line(found: Comparison) -> str:
    """The outcome in a sentence."""
    worse = sorted({q.field for q in found.regressions})
    if worse:
        return f"Regression: {', '.join(worse)}."
    return "A must-pass case fails." if found.must_pass_failed else "No regression."


def _cells(q: Question) -> tuple[str, ...]:
    return (
        q.field,
        QUESTIONS[q.about],
        f"{q.baseline:.3f}",
        f"{q.run:.3f}",
        f"{q.difference:+.3f}",
        f"{q.interval.low:+.2f}{q.interval.high:+.2f}",
        str(q.lost),
        str(q.gained),
        f"{q.adjusted:.3g}",
    )


def render_comparison(found: Comparison) -> Group:
    """The comparison for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    for name in ("field", "share", "before", "now", "change", "95%", "lost", "won", "p", ""):
        table.add_column(name, justify="left" if name in ("field", "share", "") else "right")
    for q in found.questions:
        shown = "" if q.verdict == "no clear change" else q.verdict
        table.add_row(*_cells(q), Text(shown, style=_STYLES[q.verdict]))
    notes: list[Text | Table] = [table]
    if must := must_pass_line(found):
        notes.append(Text(must, style="bold red" if found.must_pass_failed else "green"))
    notes.append(Text(verdict_line(found), style="bold red" if found.exit_code else "green"))
    notes.append(Text(compared_line(found), style="dim"))
    return Group(*notes)


def render_gap(found: Comparison) -> Group:
    """What hiding names costs, per field, for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("field", "share", "with names", "masked", "gap", "95%"):
        table.add_column(name, justify="left" if name in ("field", "share") else "right")
    for q in found.questions:
        near = f"{q.interval.low:+.3f} to {q.interval.high:+.3f}"
        table.add_row(q.field, QUESTIONS[q.about], f"{q.baseline:.3f}", f"{q.run:.3f}", f"{q.difference:+.3f}", near)
    said = f"{found.compared} companies; masked minus with names, paired: below 0 is what memory gave."
    return Group(table, Text(said, style="dim"))


def _listed(title: str, names: tuple[str, ...]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ["", f"{title} ({len(names)}): {', '.join(f'`{name}`' for name in names[:LISTED])}{more}"]


def comparison_markdown(found: Comparison) -> str:
    """The comparison to put into a pull request: the verdict, the table, the cases that changed."""
    lines = [f"### Eval: {verdict_line(found)}", ""]
    if must := must_pass_line(found):
        lines += [f"**{must[0].upper()}{must[1:]}.**", ""]
    lines.append("| field | share | before | now | change | 95% | lost | won | p | |")
    lines.append("|---|---|---:|---:|---:|---:|---:|---:|---:|---|")
    for q in found.questions:
        shown = "" if q.verdict == "no clear change" else f"**{q.verdict}**"
        cells = list(_cells(q))
        cells[5] = f"{q.interval.low:+.3f} to {q.interval.high:+.3f}"
        lines.append(f"| {' | '.join(cells)} | {shown} |")
    lines += _listed("Worse", found.worse) + _listed("Better", found.improved)
    return "\n".join([*lines, "", compared_line(found), ""])
