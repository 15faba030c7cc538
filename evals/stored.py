"""A run's folder, read again: its cases as they were asked, and what the worker said to each.

    cases.jsonl      the cases of the run, as the worker saw them
    run.jsonl        what was said, a line a case and repeat
    manifest.json    what was run, when, how long it took
    scores.json, outcomes.jsonl, report.md, report.html

So a run can be scored anew, calibrated on and compared anywhere, without the files it was made from.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from evals.adapters import load_cases
from evals.cases import Case, checked
from evals.jsonl import read_lines
from evals.recording import Recorded, Recording, recording_key, write_whole
from evals.score import RunFacts
from watchtower.errors import InputError, Missing

CASES = "cases.jsonl"
RECORDING = "run.jsonl"
MANIFEST = "manifest.json"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What was run, and when. Further keys of the file are for people."""

    run: RunFacts
    at: str


class StoredRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as its folder holds it. `recorded` has, for each case, one entry a repeat."""

    facts: RunFacts
    cases: tuple[Case, ...]
    recorded: tuple[tuple[Recorded, ...], ...]


def write_cases(out: Path, cases: Sequence[Case]) -> None:
    """The run's cases, in their order."""
    write_whole(out / CASES, b"".join(msgspec.json.encode(case) + b"\n" for case in cases))


def read_manifest(folder: Path) -> Manifest:
    """Missing where the folder holds no run; InputError where its manifest cannot be read."""
    try:
        raw = (folder / MANIFEST).read_bytes()
    except OSError:
        raise Missing(f"{folder}: holds no run to score anew", remedy="Run with a worker first.") from None
    try:
        return msgspec.json.decode(raw, type=Manifest)
    except msgspec.DecodeError as error:
        raise InputError(
            f"{folder / MANIFEST}: {error}", remedy="give the folder of a run of `eval enrichment`"
        ) from None


def answers(recording: Recording, cases: Sequence[Case], facts: RunFacts) -> list[tuple[Recorded, ...]]:
    """For each case what was said to it, one entry a repeat. Missing where something was not recorded."""
    found = [
        tuple(
            one
            for repeat in range(facts.repeats)
            if (one := recording.get(recording_key(case, facts.worker, repeat))) is not None
        )
        for case in cases
    ]
    lacking = sum(len(some) < facts.repeats for some in found)
    if lacking:
        raise Missing(
            f"{recording.path}: {lacking} of {len(cases)} cases are not recorded",
            remedy="Run with a worker first, with the same cases, seed, limit and mask.",
        )
    return found


def read_run(folder: Path, *, labels: Path | None = None) -> StoredRun:
    """The run of a folder. `labels`: a file of cases whose labels replace those of the run, case by case.

    Missing where there is none; InputError where a line cannot be read, or a case has another text there.
    """
    facts = read_manifest(folder).run
    if not (folder / CASES).exists():
        raise Missing(f"{folder / CASES}: no such file", remedy="Run `eval enrichment --out` here again.")
    cases = [checked(case, place) for place, case in read_lines(folder / CASES, Case)]
    if labels is not None:
        cases = _relabelled(cases, labels)
    with Recording(folder / RECORDING) as recording:
        recorded = answers(recording, cases, facts)
    return StoredRun(facts=facts, cases=tuple(cases), recorded=tuple(recorded))


def _relabelled(cases: Sequence[Case], labels: Path) -> list[Case]:
    new = {case.id: case for case in load_cases(labels)}
    lost = [case.id for case in cases if case.id not in new]
    if lost:
        raise InputError(f"{labels}: lacks {len(lost)} cases of the run, {lost[0]!r} first", remedy="Run anew.")
    other = [case.id for case in cases if new[case.id].request() != case.request()]
    if other:
        raise InputError(
            f"{labels}: {len(other)} cases ask for something else than in the run, {other[0]!r} first",
            remedy="Run anew: what was recorded answers another question.",
        )
    return [new[case.id] for case in cases]
