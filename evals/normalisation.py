"""Normalisers against raw values whose one form is known, and against values that are none.

A wrong form is worse than none: it joins what does not belong together. So what is given is counted apart from what
is right, as for enrichment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from evals import statistics
from evals.cases import content_hash
from evals.jsonl import read_lines
from evals.recording import write_whole
from evals.report import pretty
from evals.statistics import Interval
from watchtower.contract import format_time
from watchtower.errors import InputError

Normalise = Callable[[str, str, str], Any]
"""(kind, raw, region) -> the canonical value, None where there is none. InputError for an unknown kind."""


class RawCase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One raw value. `expected` is its canonical form; null: it is no value of this kind."""

    id: str
    provenance: str
    kind: str
    raw: str
    region: str = ""
    """ISO 3166 code of where it was written, as far as that is known."""
    expected: str | None
    tags: tuple[str, ...] = ()
    must_pass: bool = True
    """False for a fault that is known and open."""


class KindScore(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of value. Shares in [0, 1], higher is better; Wilson, 95%."""

    kind: str
    cases: int
    right: int
    accuracy: float
    accuracy_interval: Interval
    given: int
    precision: float | None
    """Of the values given, those that are right."""
    precision_interval: Interval


class RawResult(msgspec.Struct, frozen=True, kw_only=True):
    """One case that did not come out right."""

    id: str
    kind: str
    raw: str
    expected: str | None
    given: str | None
    must_pass: bool


class NormalisationScores(msgspec.Struct, frozen=True, kw_only=True):
    """All kinds of one run, and each case that is not right."""

    suite_hash: str
    kinds: tuple[KindScore, ...]
    wrong: tuple[RawResult, ...]
    schema: int = 1

    @property
    def exit_code(self) -> int:
        """1 where a case that must come out right does not."""
        return 1 if any(one.must_pass for one in self.wrong) else 0


def read_raw_cases(path: Path) -> list[RawCase]:
    """The cases of a JSONL file or folder. InputError names what is wrong, and where."""
    found: dict[str, RawCase] = {}
    for place, one in read_lines(path, RawCase):
        if one.id in found:
            raise InputError(f"{place}: id: {one.id!r} stands there already")
        found[one.id] = one
    if not found:
        raise InputError(f"{path}: holds no cases", remedy="Give a JSONL file with a case a line.")
    return list(found.values())


def score_normalisation(cases: Sequence[RawCase], normalise: Normalise) -> NormalisationScores:
    """Normalises each raw value. InputError for a kind that nobody normalises."""
    counts: dict[str, list[tuple[bool, bool]]] = {}
    wrong = []
    for case in cases:
        value = normalise(case.kind, case.raw, case.region)
        given = None if value is None else str(value)
        right = given == case.expected
        counts.setdefault(case.kind, []).append((right, given is not None))
        if not right:
            wrong.append(
                RawResult(
                    id=case.id,
                    kind=case.kind,
                    raw=case.raw,
                    expected=case.expected,
                    given=given,
                    must_pass=case.must_pass,
                )
            )
    return NormalisationScores(
        suite_hash=content_hash([content_hash(case) for case in cases]),
        kinds=tuple(_kind(name, rows) for name, rows in sorted(counts.items())),
        wrong=tuple(wrong),
    )


def _kind(name: str, rows: Sequence[tuple[bool, bool]]) -> KindScore:
    right, given = sum(good for good, _ in rows), sum(said for _, said in rows)
    precise = sum(good for good, said in rows if said)
    return KindScore(
        kind=name,
        cases=len(rows),
        right=right,
        accuracy=right / len(rows),
        accuracy_interval=statistics.wilson(right, len(rows)),
        given=given,
        precision=precise / given if given else None,
        precision_interval=statistics.wilson(precise, given),
    )


def run_normalisation(cases_path: Path, out: Path, *, normalise: Normalise, now: datetime) -> NormalisationScores:
    """Scores the cases; writes scores.json and manifest.json to `out`. `now` goes into the manifest only."""
    scores = score_normalisation(read_raw_cases(cases_path), normalise)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "scores.json", pretty(scores))
    manifest = {"at": format_time(now), "cases_file": cases_path.name, "suite_hash": scores.suite_hash}
    write_whole(out / "manifest.json", pretty(manifest))
    return scores


def render_normalisation(scores: NormalisationScores) -> Group:
    """The table, and each case that is not right, for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("kind", "cases", "accuracy ↑", "precision ↑"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    for one in scores.kinds:
        sure = "-"
        if one.precision is not None:
            sure = f"{one.precision:.3f} [{one.precision_interval.low:.2f} {one.precision_interval.high:.2f}]"
        near = f"{one.accuracy:.3f} [{one.accuracy_interval.low:.2f} {one.accuracy_interval.high:.2f}]"
        table.add_row(one.kind, str(one.cases), near, sure)
    lines: list[Text | Table] = [table]
    for case in scores.wrong:
        known = "" if case.must_pass else " (known and open)"
        said = f"{case.id}: {case.raw!r} became {case.given!r}, not {case.expected!r}{known}"
        lines.append(Text(said, style="bold red" if case.must_pass else "yellow"))
    return Group(*lines)
