"""One offline run of an enrichment worker over labelled cases, on the way that production takes.

For each case the request that production would send, the worker's proposals, the acceptance decision; then
figures, and a report for people. What the worker says is recorded case by case, so that a run can be broken
off, taken up again, and scored anew under another acceptance rule without asking again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from evals import report, report_html
from evals.adapters import chosen, load_cases, masked
from evals.cases import Case, suite_hash
from evals.decision import Accept, VerbatimAndConfident, name_of
from evals.flags import flag_lines
from evals.identity import identity_of
from evals.recording import Recorded, Recording, recording_key, write_whole
from evals.score import Judged, Outcome, RunFacts, Scores, judge, outcomes, score
from evals.stored import read_manifest, write_cases
from watchtower.contract import EnrichmentWorker, Proposal, format_time
from watchtower.errors import Missing

Progress = Callable[[int, int, str], None]
"""Called with (cases done, cases in all, id of the case just done)."""

BATCH = 32
"""Cases handed to the worker at a time: room for its own parallelism, little to lose in a failure."""


def silent(done: int, total: int, case: str) -> None:
    """Says nothing."""


def _batches(pending: Sequence[tuple[str, Case]]) -> Iterator[Sequence[tuple[str, Case]]]:
    for start in range(0, len(pending), BATCH):
        yield pending[start : start + BATCH]


def _answers(
    worker: EnrichmentWorker, batch: Sequence[tuple[str, Case]], stopwatch: Callable[[], float]
) -> Iterator[Recorded]:
    """One recording per case of the batch, in order, as soon as the worker is past it."""
    place = {case.id: index for index, (_, case) in enumerate(batch)}
    current, said, began = 0, list[Proposal](), stopwatch()

    def closed() -> Recorded:
        nonlocal current, said, began
        key, case = batch[current]
        now = stopwatch()
        done = Recorded(key=key, case=case.id, proposals=tuple(said), seconds=round(now - began, 6))
        current, said, began = current + 1, [], now
        return done

    for proposal in worker.propose([case.request() for _, case in batch]):
        while current < place.get(proposal.request, current):
            yield closed()
        said.append(proposal)
    while current < len(batch):
        yield closed()


def _record(
    cases: Sequence[Case],
    keys: Sequence[str],
    recording: Recording,
    worker: EnrichmentWorker | None,
    progress: Progress,
    stopwatch: Callable[[], float],
) -> None:
    pending = [(key, case) for key, case in zip(keys, cases, strict=True) if recording.get(key) is None]
    done = len(cases) - len(pending)
    if pending and worker is None:
        raise Missing(
            f"{recording.path}: {len(pending)} of {len(cases)} cases are not recorded",
            remedy="Run with a worker first, with the same cases, seed, limit and mask.",
        )
    if pending and worker is not None:
        for batch in _batches(pending):
            for one in _answers(worker, batch, stopwatch):
                recording.append(one)
                done += 1
                progress(done, len(cases), one.case)


def _said(recorded: Sequence[Recorded], part: str) -> tuple[str, ...]:
    return tuple(sorted({getattr(p, part) for one in recorded for p in one.proposals} - {""}))


def run_enrichment(
    cases_path: Path,
    out: Path,
    *,
    worker: EnrichmentWorker | None,
    now: datetime,
    limit: int | None = None,
    seed: int = 0,
    mask: bool = False,
    splits: tuple[str, ...] = (),
    progress: Progress = silent,
    accept: Accept | None = None,
    identity: Mapping[str, str] | None = None,
    stopwatch: Callable[[], float] = time.perf_counter,
) -> Scores:
    """Runs the worker over a seeded sample of the cases and writes the run's folder.

    `out` gets run.jsonl (what was said), manifest.json (what was run, and when), scores.json, outcomes.jsonl,
    report.md and report.html. With `worker=None` the recorded answers are scored anew. `now` goes into the
    manifest only; scores.json of the same recording is the same byte for byte. `identity` adds what tells this
    worker from another and cannot be seen on it (the rows its classifiers learnt from). Raises InputError for bad
    cases and Missing for answers that are neither recorded nor to be had. What a worker raises goes through;
    the cases answered before it stay recorded.
    """
    decide = accept or VerbatimAndConfident()
    cases = chosen(load_cases(cases_path), limit=limit, seed=seed, splits=splits)
    if mask:
        cases = [masked(case) for case in cases]
    out.mkdir(parents=True, exist_ok=True)
    who = read_manifest(out).run.worker if worker is None else identity_of(worker, identity or {})
    keys = [recording_key(case, who) for case in cases]
    with Recording(out / "run.jsonl") as recording:
        _record(cases, keys, recording, worker, progress, stopwatch)
        recorded = [one for key in keys if (one := recording.get(key)) is not None]
    facts = RunFacts(
        cases_file=cases_path.name,
        suite_hash=suite_hash(cases),
        cases=len(cases),
        limit=limit,
        seed=seed,
        splits=splits,
        masked=mask,
        worker=who,
        methods=_said(recorded, "method"),
        models=_said(recorded, "model"),
        prompts=_said(recorded, "prompt"),
        accept=name_of(decide),
    )
    judged = [judge(case, one.proposals, decide) for case, one in zip(cases, recorded, strict=True)]
    rows = [row for case, some in zip(cases, judged, strict=True) for row in outcomes(case, some)]
    spoken = sum(len(one.proposals) for one in recorded)
    heard = sum(len(some) for by_field in judged for some in by_field.values())
    scores = score(facts, cases, rows, spoken - heard, seed=seed)
    _write(out, scores, cases, judged, rows, recorded, now)
    return scores


def _write(
    out: Path,
    scores: Scores,
    cases: Sequence[Case],
    judged: Sequence[Mapping[str, Sequence[Judged]]],
    rows: Sequence[Outcome],
    recorded: Sequence[Recorded],
    now: datetime,
) -> None:
    write_cases(out, cases)
    seconds = sorted(one.seconds for one in recorded)
    manifest = {
        "run": scores.run,
        "at": format_time(now),
        "seconds": {
            "total": round(sum(seconds), 3),
            "median": seconds[len(seconds) // 2],
            "largest": seconds[-1],
        },
    }
    write_whole(out / "manifest.json", report.pretty(manifest))
    write_whole(out / "scores.json", report.pretty(scores))
    write_whole(out / "outcomes.jsonl", flag_lines(cases, rows))
    write_whole(out / "report.md", report.markdown(scores, cases, judged).encode())
    write_whole(out / "report.html", report_html.html(scores, cases, judged).encode())
