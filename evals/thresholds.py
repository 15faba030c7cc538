"""From a recorded run and a rulebook to the thresholds that the rulebook's promises need, and the change of text."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from evals.calibrate import Answer, Calibrated, Held, calibrate_field, split_in_two
from evals.production import without_thresholds
from evals.recording import write_whole
from evals.report import pretty
from evals.score import judge
from evals.stored import StoredRun, read_run
from watchtower.errors import InputError
from watchtower.rulebook import Rulebook

FILE = "calibration.json"


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it, by field; how the cases were split, and which fields of the run promise nothing."""

    rulebook: str
    suite_hash: str
    risk: float
    seed: int
    split: Literal["test and held-out", "two random halves"]
    fields: dict[str, Calibrated]
    unpromised: tuple[str, ...]

    @property
    def changes(self) -> dict[tuple[str | int, ...], float]:
        """The numbers to be written, by their path in the rulebook. None where a promise was broken."""
        return {
            ("acceptance", key, "accept_at"): one.threshold
            for key, one in self.fields.items()
            if one.threshold is not None and one.threshold != one.before and one.promise != "broken"
        }

    @property
    def exit_code(self) -> int:
        """1 where the check split refutes a promise."""
        return 1 if any(one.promise == "broken" for one in self.fields.values()) else 0


def acceptable(run: StoredRun, book: Rulebook) -> dict[str, list[Answer]]:
    """By object.field, the surest answer to each case that acceptance would let through at some threshold."""
    accept = without_thresholds(book)
    found: dict[str, list[Answer]] = {}
    for case, repeats in zip(run.cases, run.recorded, strict=True):
        for recorded in repeats:
            for name, some in judge(case, recorded.proposals, accept).items():
                top = next((one for one in some if one.decision.outcome == "accept"), None)
                if top is not None:
                    answer = Answer(cluster=case.cluster, confidence=top.proposal.confidence, right=top.right)
                    found.setdefault(f"{case.object}.{name}", []).append(answer)
    return found


def _halves(run: StoredRun, seed: int) -> tuple[frozenset[str], frozenset[str], bool]:
    by_split = {split: {case.cluster for case in run.cases if case.split == split} for split in ("test", "heldout")}
    if by_split["test"] and by_split["heldout"]:
        return frozenset(by_split["test"] - by_split["heldout"]), frozenset(by_split["heldout"]), True
    return *split_in_two((case.cluster for case in run.cases), seed), False


def calibrate(folder: Path, book: Rulebook, *, risk: float = 0.05, seed: int = 0) -> Calibration:
    """Calibrates every field of the run for which the rulebook names a precision; writes calibration.json.

    A run that holds both is calibrated on its `test` cases and checked on its `heldout` ones, else on two random
    halves. InputError where cases of the tuning split are among them, or no field promises anything.
    """
    run = read_run(folder)
    if any(case.split == "tune" for case in run.cases):
        raise InputError(
            f"{folder}: holds cases of the tuning split; what was learnt from says nothing about thresholds",
            remedy="Run `eval enrichment` on the test and held-out splits.",
        )
    found = acceptable(run, book)
    asked = sorted({f"{case.object}.{name}" for case in run.cases for name in case.expected})
    rules = {key: book.acceptance[key] for key in asked if key in book.acceptance}
    promised = {key: rule for key, rule in rules.items() if rule.precision is not None}
    if not promised:
        raise InputError(
            f"rulebook {book.version}: names no precision for any field of the run ({', '.join(asked)})",
            remedy=f"write acceptance: {{{asked[0]}: {{precision: 0.95}}}}",
        )
    first, second, named = _halves(run, seed)
    fields = {}
    for key, rule in promised.items():
        assert rule.precision is not None
        fields[key] = calibrate_field(
            key,
            [one for one in found.get(key, ()) if one.cluster in first],
            [one for one in found.get(key, ()) if one.cluster in second],
            target=rule.precision,
            before=rule.accept_at,
            lowest=rule.review_at,
            risk=risk,
            seed=seed,
        )
    made = Calibration(
        rulebook=book.version,
        suite_hash=run.facts.suite_hash,
        risk=risk,
        seed=seed,
        split="test and held-out" if named else "two random halves",
        fields=fields,
        unpromised=tuple(key for key in asked if key not in promised),
    )
    write_whole(folder / FILE, pretty(made))
    return made


def _held(held: Held) -> str:
    if held.precision is None:
        return f"0 of {held.of}"
    return f"{held.precision:.3f}\n{held.right}/{held.accepted} of {held.of}"


_STYLES = {"kept": "green", "not refuted": "yellow", "broken": "bold red", "unproven": "yellow"}


def render_calibration(made: Calibration) -> Group:
    """The table and the reasons, for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    for name in (
        "field",
        "needed",
        "before",
        "now",
        "calibration",
        "check",
        "",
    ):
        table.add_column(name, justify="left" if name in ("field", "") else "right")
    for key, one in made.fields.items():
        now = "-" if one.threshold is None else f"{one.threshold:g}"
        style = _STYLES[one.promise]
        cells = (f"{one.target:g}", f"{one.before:g}", now, _held(one.calibration), _held(one.check))
        table.add_row(key, *cells, Text(one.promise, style=style))
    notes: list[Text | Table] = [table]
    notes += [
        Text(f"{key}: {one.because}", style="yellow") for key, one in made.fields.items() if one.threshold is None
    ]
    if made.unpromised:
        notes.append(Text(f"no precision is asked for: {', '.join(made.unpromised)}", style="dim"))
    said = f"split: {made.split}, seed {made.seed}. Shown with {1 - made.risk:.0%} confidence a field, exactly; "
    said += "calibration, check: precision (higher is better) at `now`, right/accepted of answers."
    notes.append(Text(said, style="dim"))
    return Group(*notes)


def summary(made: Calibration, run: str) -> str:
    """A paragraph for whoever reviews the change."""
    lines = [f"Acceptance thresholds from run {run} (suite {made.suite_hash[:12]}):"]
    for key, one in made.fields.items():
        if one.threshold is not None and one.threshold != one.before:
            moved = f"accept_at {one.before:g} to {one.threshold:g}"
            lines.append(f"- {key}: {moved}; {one.because}; {one.promise} on the check split")
    return "\n".join(lines)
