"""The declared detectors look at snapshots, and what they raise is admitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from watchtower.bootstrap.core import Core, Progress
from watchtower.contract import Calibration, DetectionRequest, format_time
from watchtower.contract.batch import DETECTION
from watchtower.errors import InputError
from watchtower.flow import work
from watchtower.flow.declared import declared_parameters
from watchtower.flow.jobs import own_queue
from watchtower.flow.snapshot import parts_for, write_snapshot
from watchtower.flow.snapshot_usage import reads_usage, write_usage
from watchtower.rules.discoveries import week_of
from watchtower.store.signals import HeldSignal, held_since
from watchtower.workers import Bench, calibrate, detector_names, no_worker, run_until_empty


@dataclass(frozen=True)
class Detected:
    """What one detector run did. `abstained`: cohorts it would not judge, with the reason. `held`: of those raised,
    how many the weekly budget of their family holds back."""

    signal: str
    detector: str
    raised: int
    abstained: Mapping[str, str]
    held: int = 0


class Detecting(Core):
    """The declared detectors look at snapshots, and what they raise is admitted."""

    def detect(self, *, only: frozenset[str] | None = None, parts: int = 1) -> list[Detected]:
        """Run the declared detectors over a snapshot of now, each in so many parts; admit what they raise."""
        asked = {request.id: request for request in self._detections(only)}
        if not asked:
            self.beat("detection")
            return []
        queue = own_queue(DETECTION)
        batches = self._ask_detections(asked.values(), queue, parts=parts)
        try:
            run_until_empty(Bench(self.desk.database, no_worker), self.jobs_url, queue)
            tally = self.desk.collect(batches)
        finally:
            self.desk.abandon(batches)
        for id_, fault in tally.faults.items():
            raise InputError(f"signal {asked[id_].signal}: {fault}", remedy="correct it in the rulebook's signals")
        self.beat("detection")
        return [
            Detected(asked[id_].signal, asked[id_].detector, found.raised, found.abstained, found.held)
            for id_, found in tally.signals.items()
        ]

    def held(self) -> list[HeldSignal]:
        """What the weekly budgets of families hold back this week, the strangest first."""
        with self.database.read() as conn:
            return held_since(conn, week_of(self.clock(), self.rulebook.zone))

    def _detections(self, only: frozenset[str] | None) -> list[DetectionRequest]:
        at, known, found = self.clock(), detector_names(), []
        for name, model in self.rulebook.signals.items():
            if only is not None and name not in only and model.detector not in only:
                continue
            if model.detector not in known:
                raise InputError(
                    f"signal {name}: unknown detector {model.detector!r}", remedy=f"detectors: {', '.join(known)}"
                )
            found.append(
                DetectionRequest(
                    id=f"dq_{name}.{work.digest(name, self.rulebook.version, format_time(at))}",
                    signal=name, detector=model.detector, object=model.object, field=model.field,
                    budget=model.budget, at=at, parameters=declared_parameters(self.rulebook, name, model),
                )
            )  # fmt: skip
        return found

    def _ask_detections(self, requests: Iterable[DetectionRequest], queue: str, *, parts: int | None) -> list[str]:
        """Hand them down, each with the snapshot that it reads, all of the same time."""
        written: dict[str, Path] = {}
        batches = []
        for request in requests:
            path = self._snapshot(request, written)
            several = 1 if reads_usage(request) else parts_for(path) if parts is None else parts
            batches += self.desk.ask_detection(request, path.read_bytes(), queue, parts=several)
        return batches

    def _snapshot(self, request: DetectionRequest, written: dict[str, Path]) -> Path:
        """What a request reads: weekly usage, or an object's versions, which are written once for all."""
        folder = self.settings.data / "snapshots"
        looked_at = str(request.parameters.get("of", request.object))
        if not reads_usage(request) and looked_at in written:
            return written[looked_at]
        with self.database.read() as conn:
            if reads_usage(request):
                return write_usage(conn, self.rulebook, request, folder)
            written[looked_at] = write_snapshot(conn, self.rulebook, looked_at, request.at, folder)
        return written[looked_at]

    def calibrate(
        self, *, only: frozenset[str] | None, runs: int, progress: Progress = lambda done, of: None
    ) -> list[tuple[DetectionRequest, list[Calibration] | None]]:
        """What the declared detectors' promises come to on simulated data. Nothing is raised, nothing journalled.

        None for a detector that promises no rate which can be shown so.
        """
        asked, written, found = self._detections(only), dict[str, Path](), []
        steps = iter(range(1, runs * len(asked) + 1))
        for request in asked:
            snapshot = self._snapshot(request, written)
            try:
                counts = calibrate(
                    request, snapshot, runs=runs, progress=lambda: progress(next(steps), runs * len(asked))
                )
            except ValueError as error:
                because = f"signal {request.signal}: {error}"
                raise InputError(because, remedy="correct it in the rulebook's signals") from error
            found.append((request, counts))
        return found
