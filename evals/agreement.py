"""Whether two people would have decided alike: a sample for a second review, and Cohen's kappa.

A label that another person would have given otherwise is no ground to stand on. So a part of the verdicts is
decided again by somebody who does not see the first verdict, on a sheet with an empty column.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from evals.labels import Verdict
from evals.statistics import Interval
from watchtower.errors import InputError

COLUMNS = ("about", "record", "what", "value", "quotes", "verdict", "by")
ANSWERS = {
    "proposal": ("accept", "reject"),
    "alert": ("right", "false alarm"),
}
RESAMPLES = 1000


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """Of what was decided twice. `kappa` in [-1, 1]: 1 is full agreement, 0 what chance gives; higher is better."""

    both: int
    alike: int
    kappa: float | None
    """None where both only ever gave one verdict: chance would agree as well."""
    interval: Interval | None
    """95%, bootstrap over records."""
    apart: tuple[str, ...]
    """What the two decided differently on."""
    undecided: int
    """Rows of the sheet without a second verdict."""


def sample(verdicts: Sequence[Verdict], share: float, seed: int) -> list[Verdict]:
    """A random part, at least one, in the order given; drawn by the seed."""
    if not 0 < share <= 1:
        raise InputError(f"share: {share:g} does not lie in (0, 1]")
    count = min(len(verdicts), max(1, round(share * len(verdicts))))
    chosen = np.random.default_rng(seed).permutation(len(verdicts))[:count]
    return [verdicts[index] for index in sorted(chosen)]


FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"
"""With which a formula begins, also in full width, as spreadsheets set to Japanese or Chinese take it."""


def inert(text: str) -> str:
    """A cell that no spreadsheet takes for a formula: what stands here was written by others.

    What a spreadsheet may pass over before the formula (blanks, tabs, ends of lines, NUL) is passed over here, too.
    """
    begins = text.lstrip("\0\t\n\v\f\r \u00a0\ufeff")[:1]
    return f"'{text}" if text[:1] in ("\0", "\t", "\n", "\r") or (begins and begins in FORMULA) else text


def sheet(verdicts: Sequence[Verdict]) -> str:
    """CSV to be filled in: what was decided on, without how and by whom."""
    out = io.StringIO()
    # All in quotes: the writer leaves a carriage return bare, and what follows it would begin a row of its own.
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    for one in verdicts:
        value = "" if one.value is None else str(one.value)
        cells = (one.about, one.record, one.what, value, " | ".join(one.quotes))
        writer.writerow([*map(inert, cells), "", ""])
    return out.getvalue()


def read_sheet(path: Path, verdicts: Sequence[Verdict]) -> dict[str, str]:
    """The second verdicts by what they are about, "" where there is none. InputError names the row that is wrong."""
    known = {one.about: one for one in verdicts}
    found: dict[str, str] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        lacking = [name for name in ("about", "verdict") if name not in (reader.fieldnames or ())]
        if lacking:
            raise InputError(f"{path}: has no column {lacking[0]!r}", remedy=f"its columns are {', '.join(COLUMNS)}")
        for number, row in enumerate(reader, start=2):
            about, said = (row["about"] or "").strip().removeprefix("'"), (row["verdict"] or "").strip().casefold()
            if about not in known:
                raise InputError(f"{path}:{number}: about: {about!r} is not among the verdicts")
            first, accepted = known[about], ANSWERS[known[about].kind]
            if said and said not in accepted:
                remedy = f"accepted: {', '.join(accepted)}, or none"
                raise InputError(f"{path}:{number}: verdict: {said!r}", remedy=remedy)
            by = (row.get("by") or "").strip()
            if said and by and by == first.by:
                remedy = "a second review is another person's"
                raise InputError(f"{path}:{number}: by: {by} gave the first verdict too", remedy=remedy)
            found[about] = said
    return found


def kappa(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Agreement beyond chance. In [-1, 1], higher is better; None where chance alone would agree fully.

    Source: Cohen (1960), Educational and Psychological Measurement 20:37-46.
    """
    if not first:
        return None
    names = sorted({*first, *second})
    table = np.zeros((len(names), len(names)))
    for a, b in zip(first, second, strict=True):
        table[names.index(a), names.index(b)] += 1
    share = table / table.sum()
    chance = float(share.sum(axis=1) @ share.sum(axis=0))
    return None if chance >= 1 else (float(np.trace(share)) - chance) / (1 - chance)


def agreement(verdicts: Sequence[Verdict], second: dict[str, str], *, seed: int = 0) -> Agreement:
    """How far the second verdicts bear out the first."""
    twice = [one for one in verdicts if second.get(one.about)]
    first, again = [one.verdict for one in twice], [second[one.about] for one in twice]
    return Agreement(
        both=len(twice),
        alike=sum(a == b for a, b in zip(first, again, strict=True)),
        kappa=kappa(first, again),
        interval=_interval(twice, second, seed),
        apart=tuple(one.about for one in twice if one.verdict != second[one.about]),
        undecided=sum(not said for said in second.values()),
    )


def _interval(twice: Sequence[Verdict], second: dict[str, str], seed: int) -> Interval | None:
    by_record: dict[str, list[Verdict]] = {}
    for one in twice:
        by_record.setdefault(one.record, []).append(one)
    groups = list(by_record.values())
    generator = np.random.default_rng(seed)
    draws = []
    for _ in range(RESAMPLES if len(groups) > 1 else 0):
        drawn = [one for index in generator.integers(0, len(groups), size=len(groups)) for one in groups[index]]
        found = kappa([one.verdict for one in drawn], [second[one.about] for one in drawn])
        if found is not None:
            draws.append(found)
    if not draws:
        return None
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(float(low), float(high))
