"""One offline run of an enrichment worker over labelled cases, on the way that production takes.

For each case the request that production would send, the worker's proposals, the acceptance decision; then
figures, and a report for people. What the worker says is recorded case by case, so that a run can be broken
off, taken up again, and scored anew under another acceptance rule without asking again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from evals import report, report_html
from evals.adapters import chosen, load_cases, masked
from evals.cases import Case, suite_hash
from evals.compare import Comparison
from evals.completions import Meter, NoMeter
from evals.cost import Prices, cost_of
from evals.decision import Accept, VerbatimAndConfident, name_of
from evals.flags import flag_lines
from evals.identity import identity_of
from evals.recording import Recorded, Recording, recording_key, write_whole
from evals.score import RunFacts, Scores, judge, outcomes, score
from evals.stored import RECORDING, StoredRun, answers, read_manifest, read_run, write_cases
from watchtower.contract import EnrichmentWorker, Proposal, format_time
from watchtower.errors import InputError, Missing

Progress = Callable[[int, int, str], None]
"""Called with (answers done, answers in all, id of the case just done)."""

BATCH = 32
"""Cases handed to the worker at a time: room for its own parallelism, little to lose in a failure."""

Asked = tuple[str, Case]
"""The key under which an answer is recorded, and the case it answers."""


def silent(done: int, total: int, case: str) -> None:
    """Says nothing."""


def _answers(
    worker: EnrichmentWorker,
    batch: Sequence[Asked],
    stopwatch: Callable[[], float],
    meter: Meter,
) -> Iterator[Recorded]:
    """One recording per case of the batch, in order, as soon as the worker is past it."""
    place = {case.id: index for index, (_, case) in enumerate(batch)}
    current, said, began, before = 0, list[Proposal](), stopwatch(), meter.spent()

    def closed() -> Recorded:
        nonlocal current, said, began, before
        key, case = batch[current]
        now, used = stopwatch(), meter.spent()
        done = Recorded(
            key=key,
            case=case.id,
            proposals=tuple(said),
            seconds=round(now - began, 6),
            calls=used.calls - before.calls,
            read=used.read - before.read,
            written=used.written - before.written,
        )
        current, said, began, before = current + 1, [], now, used
        return done

    for proposal in worker.propose([case.request() for _, case in batch]):
        while current < place.get(proposal.request, current):
            yield closed()
        said.append(proposal)
    while current < len(batch):
        yield closed()


def _batches(pending: Sequence[Sequence[Asked]], parallel: int) -> Iterator[tuple[int, Sequence[Asked]]]:
    """(repeat, cases): no batch mixes repeats, and none is so large that a thread stands idle."""
    for repeat, some in enumerate(pending):
        size = max(1, min(BATCH, -(-len(some) // parallel)))
        for start in range(0, len(some), size):
            yield repeat, some[start : start + size]


def _record(
    pending: Sequence[Sequence[Asked]],
    recording: Recording,
    worker: EnrichmentWorker,
    told: Callable[[str], None],
    *,
    parallel: int,
    stopwatch: Callable[[], float],
    meter: Meter,
) -> None:
    """Asks for what is pending (by repeat), `parallel` batches at a time, and records each answer as it comes.

    The first fault stops the run: batches that are under way are finished, none is begun.
    """
    batches = list(_batches(pending, parallel))
    lock, stopped = threading.Lock(), threading.Event()

    def answered(repeat: int, batch: Sequence[Asked]) -> None:
        if stopped.is_set():
            return
        meter.begin(repeat)
        try:
            for one in _answers(worker, batch, stopwatch, meter):
                with lock:
                    recording.append(one)
                    told(one.case)
        except BaseException:
            stopped.set()
            raise

    if parallel == 1:
        for repeat, batch in batches:
            answered(repeat, batch)
        return
    with ThreadPoolExecutor(parallel, thread_name_prefix="eval") as pool:
        for done in [pool.submit(answered, repeat, batch) for repeat, batch in batches]:
            done.result()


def _said(recorded: Sequence[Sequence[Recorded]], part: str) -> tuple[str, ...]:
    return tuple(sorted({getattr(p, part) for some in recorded for one in some for p in one.proposals} - {""}))


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
    repeats: int = 1,
    parallel: int = 1,
    progress: Progress = silent,
    accept: Accept | None = None,
    identity: Mapping[str, str] | None = None,
    stopwatch: Callable[[], float] = time.perf_counter,
    meter: Meter | None = None,
    prices: Prices | None = None,
) -> Scores:
    """Runs the worker over a seeded sample of the cases and writes the run's folder (see evals.stored).

    `repeats`: how often each case is asked, for a model that varies. `parallel`: batches asked at a time, for a
    worker that waits for the network. With `worker=None` the recorded answers are scored anew. `now` goes into
    the manifest only: all else is the same byte for byte when the recording is. `identity` adds what tells this
    worker from another and cannot be seen on it (the rows its classifiers learnt from). `meter` counts calls to a
    model. Raises InputError for bad cases and Missing for answers that are neither
    recorded nor to be had. What a worker raises goes through; the cases answered before it stay recorded.
    """
    cases = chosen(load_cases(cases_path), limit=limit, seed=seed, splits=splits)
    if mask:
        cases = [masked(case) for case in cases]
    out.mkdir(parents=True, exist_ok=True)
    who = read_manifest(out).run.worker if worker is None else identity_of(worker, identity or {})
    facts = RunFacts(
        cases_file=cases_path.name,
        suite_hash=suite_hash(cases),
        cases=len(cases),
        limit=limit,
        seed=seed,
        splits=splits,
        masked=mask,
        worker=who,
        methods=(),
        models=(),
        prompts=(),
        accept="",
        repeats=repeats,
    )
    asked = [[(recording_key(case, who, repeat), case) for case in cases] for repeat in range(repeats)]
    with Recording(out / RECORDING) as recording:
        pending = [[(key, case) for key, case in some if recording.get(key) is None] for some in asked]
        left = sum(map(len, pending))
        done = len(cases) * repeats - left

        def told(case: str) -> None:
            nonlocal done
            done += 1
            progress(done, len(cases) * repeats, case)

        if left and worker is None:
            raise Missing(
                f"{recording.path}: {max(map(len, pending))} of {len(cases)} cases are not recorded",
                remedy="Run with a worker first, with the same cases, seed, limit and mask.",
            )
        if left and worker is not None:
            _record(pending, recording, worker, told, parallel=parallel, stopwatch=stopwatch, meter=meter or NoMeter())
        recorded = answers(recording, cases, facts)
    return _scored(out, StoredRun(facts=facts, cases=tuple(cases), recorded=tuple(recorded)), accept, now, prices)


def score_run(
    out: Path,
    *,
    now: datetime,
    accept: Accept | None = None,
    labels: Path | None = None,
    prices: Prices | None = None,
) -> Scores:
    """Scores a run's folder anew, from what it holds itself: under another acceptance rule, or with other labels."""
    return _scored(out, read_run(out, labels=labels), accept, now, prices)


def compare_page(out: Path, *, accept: Accept | None = None, found: Comparison) -> str:
    """The report of a run's folder as a page that holds it against a baseline. The texts are the run's own."""
    run = read_run(out)
    decide = accept or VerbatimAndConfident()
    scores = msgspec.json.decode((out / "scores.json").read_bytes(), type=Scores)
    if scores.run.accept != name_of(decide):
        raise InputError(
            f"{out}: was scored under another acceptance ({scores.run.accept}) than {name_of(decide)}",
            remedy="name its --rulebook, or run `eval score` first",
        )
    shown = [
        report.shown_repeat(case, [judge(case, one.proposals, decide) for one in some])
        for case, some in zip(run.cases, run.recorded, strict=True)
    ]
    return report_html.html(scores, run.cases, shown, run.recorded, cost_of(run.recorded), against=found)


def _scored(out: Path, run: StoredRun, accept: Accept | None, now: datetime, prices: Prices | None) -> Scores:
    decide = accept or VerbatimAndConfident()
    facts = replace(
        run.facts,
        suite_hash=suite_hash(run.cases),
        methods=_said(run.recorded, "method"),
        models=_said(run.recorded, "model"),
        prompts=_said(run.recorded, "prompt"),
        accept=name_of(decide),
    )
    judged = [
        [judge(case, one.proposals, decide) for one in some] for case, some in zip(run.cases, run.recorded, strict=True)
    ]
    rows = [
        row
        for case, some in zip(run.cases, judged, strict=True)
        for repeat, by_field in enumerate(some)
        for row in outcomes(case, by_field, repeat)
    ]
    spoken = sum(len(one.proposals) for some in run.recorded for one in some)
    heard = sum(len(one) for some in judged for by_field in some for one in by_field.values())
    scores = score(facts, run.cases, rows, spoken - heard, seed=facts.seed)
    cost = cost_of(run.recorded, prices)
    manifest = {"run": scores.run, "at": format_time(now), "cost": cost}
    write_cases(out, run.cases)
    write_whole(out / "manifest.json", report.pretty(manifest))
    write_whole(out / "scores.json", report.pretty(scores))
    write_whole(out / "outcomes.jsonl", flag_lines(run.cases, rows))
    shown = [report.shown_repeat(case, some) for case, some in zip(run.cases, judged, strict=True)]
    write_whole(out / "report.md", report.markdown(scores, run.cases, shown, cost).encode())
    write_whole(out / "report.html", report_html.html(scores, run.cases, shown, run.recorded, cost).encode())
    return scores
