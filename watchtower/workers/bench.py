"""What is done with a job: a batch is read, each request answered and committed at once; answers that come at the same
time share a transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import msgspec
import structlog
from opentelemetry import context

from watchtower.contract import Detector, EnrichmentWorker, FieldRequest
from watchtower.contract.batch import Answer, Batch, DetectionBatch, FieldBatch, written
from watchtower.errors import ModelError, StoreError
from watchtower.store import jobs
from watchtower.store.database import Database
from watchtower.store.group import Group
from watchtower.store.ledger import Spent
from watchtower.tracing import attached, span

log = structlog.get_logger(__name__)

WorkerFor = Callable[[str | None, Callable[[str], bytes]], EnrichmentWorker]
"""(id of the labelled texts, how to read them) -> the worker that has learnt from them."""


def no_worker(blob: str | None, read: Callable[[str], bytes]) -> EnrichmentWorker:
    """For a bench that only sees batches of detection."""
    raise ModelError("no enrichment worker stands here")


def detector_names() -> tuple[str, ...]:
    """The detectors there are."""
    from detectors import ROSTER

    return tuple(ROSTER)


@dataclass
class Bench:
    """Where jobs are done: the jobs database, and who answers. One job at a time."""

    database: Database
    worker_for: WorkerFor
    after: Callable[[], None] = lambda: None
    """Called after each answer, in the thread that works."""
    enough: Callable[[], bool] = lambda: False
    """Asked before each request: whether to leave the rest."""
    slots: int = 1
    """Requests answered at once, over all jobs at hand: calls to a model elsewhere wait for the network."""
    faults: list[BaseException] = field(default_factory=list)
    """What stopped a job, other than a request's own fault."""

    def __post_init__(self) -> None:
        self._room = threading.BoundedSemaphore(self.slots)
        self._turn = threading.Lock()
        self._answers: Group[jobs.Given, bool] = Group(self._commit)

    def fields(self, batch_id: str, leave: Callable[[], bool]) -> None:
        """Answer the requests of a batch that wait for an answer, each by itself or with others of the moment."""
        read = self._read(batch_id)
        if read is None:
            return
        batch, blob, left = read
        assert isinstance(batch, FieldBatch)
        worker = self.worker_for(blob, self._blob)
        with span("job.fields", parent=batch.trace, requests=len(left)):
            self._fields(batch_id, batch, worker, left, leave)

    def _fields(
        self, batch_id: str, batch: FieldBatch, worker: EnrichmentWorker, left: Collection[str],
        leave: Callable[[], bool],
    ) -> None:  # fmt: skip
        current = context.get_current()
        waiting = iter([request for request in batch.requests if request.id in left])
        stopped: list[BaseException | None] = []

        def work() -> None:
            while not stopped:
                with self._turn:
                    request = next(waiting, None)
                if request is None:
                    return
                with self._room:
                    if stopped:
                        return
                    if leave() or self.enough():
                        stopped.append(None)
                        return
                    try:
                        self._answer(batch_id, worker, request)
                    except Spent:
                        log.warning("stopped", batch=batch_id, because="the calls to models of today are spent")
                        stopped.append(None)
                    except BaseException as error:  # noqa: BLE001  (raised again by the job's own thread)
                        stopped.append(error)

        def work_traced() -> None:
            with attached(current):
                work()

        _at_once(min(self.slots, len(left)), work_traced)
        for error in stopped:
            if error is not None:
                raise error

    def _answer(self, batch_id: str, worker: EnrichmentWorker, request: FieldRequest) -> None:
        """Ask the worker and commit what it says. Raises what is not the request's own fault."""
        try:
            entries, unreadable = written(list(worker.propose([request])))
            said = Answer(proposals=tuple(entries), unreadable=unreadable, postponed=_postponed(worker, request.id))
        except (Spent, StoreError):
            raise
        except Exception as error:  # noqa: BLE001  (one request that a worker cannot stand must not cost the others)
            said = _fault(request.id, error)
        self._say(batch_id, request.id, _bodies(said))
        with self._turn:
            self.after()

    def detection(self, batch_id: str, leave: Callable[[], bool]) -> None:
        """Run one detector over one snapshot."""
        import pyarrow.parquet as pq

        from detectors import ROSTER

        read = self._read(batch_id)
        if read is None or not read[2] or leave():
            return
        batch, blob, _ = read
        assert isinstance(batch, DetectionBatch) and blob is not None
        request = batch.request
        try:
            detector = ROSTER[request.detector]
            table = pq.read_table(BytesIO(self._blob(blob)))
            with span("job.detection", detector=request.detector, signal=request.signal, records=table.num_rows):
                said = _detected(detector, table, batch)
        except ValueError as error:
            said = Answer(fault=str(error))
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  (as above)
            said = _fault(request.id, error)
        self._say(batch_id, request.id, _bodies(said))
        self.after()

    def _read(self, batch_id: str) -> tuple[Batch, str | None, frozenset[str]] | None:
        with self.database.begin() as conn:
            found = jobs.batch(conn, batch_id)
            left = frozenset(jobs.unanswered(conn, batch_id))
        return None if found is None else (msgspec.json.decode(found[0], type=Batch), found[1], left)

    def _blob(self, blob: str) -> bytes:
        with self.database.begin() as conn:
            return jobs.blob(conn, blob)

    def _say(self, batch_id: str, request: str, bodies: Sequence[str]) -> None:
        [said] = self._answers.put([jobs.Given(batch_id, request, bodies)])
        if not said:
            log.info("not needed any more", request=request, because="answered, or forgotten")

    def _commit(self, given: Sequence[jobs.Given]) -> list[bool]:
        with self.database.begin() as conn:
            return jobs.answer_all(conn, given)


def _postponed(worker: EnrichmentWorker, request: str) -> bool:
    """Whether the worker could not ask something, at no cost; it keeps such requests in `postponed`, if it does."""
    postponed = getattr(worker, "postponed", None)
    if postponed is None or request not in postponed:
        return False
    postponed.discard(request)
    return True


def _at_once(threads: int, work: Callable[[], None]) -> None:
    """Run `work` in so many threads, this one among them, until each returns. They die with the process: a model
    that thinks must not keep it from ending."""
    others = [threading.Thread(target=work, name="request", daemon=True) for _ in range(threads - 1)]
    for thread in others:
        thread.start()
    work()
    for thread in others:
        thread.join()


def _detected(detector: Detector, table: Any, batch: DetectionBatch) -> Answer:
    """What a detector raises in a batch's part; one that does not work in parts says all in the first."""
    from detectors.partitions import judge, part_of

    request, joint = batch.request, None
    fitted = detector.fit(table, request)
    if batch.parts == 1:
        signals = detector.raise_signals(table, fitted, request)
    elif getattr(detector, "in_parts", False):
        signals = judge(detector, part_of(table, batch.part, batch.parts), fitted, request)
        joint = request.budget if hasattr(detector, "judge") else None
    else:
        signals = detector.raise_signals(table, fitted, request) if batch.part == 0 else []
    entries, unreadable = written(list(signals))
    return Answer(
        signals=tuple(entries), unreadable=unreadable, abstained=dict(getattr(fitted, "abstentions", {})),
        tested=getattr(fitted, "tested", None), parts=batch.parts, joint=joint,
    )  # fmt: skip


def _fault(request: str, error: Exception) -> Answer:
    log.error("failed", request=request, because=f"{type(error).__name__}: {error}")
    return Answer(fault=f"{type(error).__name__}: {str(error)[:500]}")


def _bodies(said: Answer) -> list[str]:
    """An answer as JSON, in parts of at most MAX_PART bytes; one that needs too many is a fault."""
    parts: list[list[msgspec.Raw]] = [[]]
    room, size = jobs.MAX_PART - 4096, 0
    for entry in said.signals or said.proposals:
        length = len(memoryview(entry)) + 1
        if size + length > room and parts[-1]:
            parts.append([])
            size = 0
        parts[-1].append(entry)
        size += length
    several = [Answer(signals=tuple(part)) if said.signals else Answer(proposals=tuple(part)) for part in parts]
    first = msgspec.structs.replace(said, proposals=several[0].proposals, signals=several[0].signals)
    bodies = [msgspec.json.encode(part) for part in (first, *several[1:])]
    most = jobs.MAX_PARTS if said.signals else 1
    if len(bodies) > most or any(len(body) > jobs.MAX_PART for body in bodies):
        fault = Answer(fault=f"an answer of {sum(map(len, bodies))} bytes is larger than a worker may give")
        bodies = [msgspec.json.encode(fault)]
    return [body.decode() for body in bodies]
