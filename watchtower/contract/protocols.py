"""The shapes of the workers. They take frozen values and return values; they hold no handle to the tower."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from watchtower.contract.calibration import Calibration
from watchtower.contract.proposal import Proposal
from watchtower.contract.request import DetectionRequest, FieldRequest
from watchtower.contract.signal import Signal


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a language model is at hand, which one, and what to do where it is not."""

    ready: bool
    name: str
    detail: str


class EnrichmentWorker(Protocol):
    """Answers requests with proposals; abstains by answering nothing for a field."""

    def propose(self, requests: Iterable[FieldRequest]) -> Iterator[Proposal]:
        """Proposals as they become known, grouped by request, in the order of the requests."""
        ...


class Detector(Protocol):
    """Reads a snapshot (a pyarrow Table) and raises signals. Deterministic for a given seed."""

    name: str
    version: str

    def fit(self, snapshot: Any, request: DetectionRequest) -> Any:
        """What is usual, learnt from the snapshot: frozen, passed to `raise_signals`.

        It may have `abstentions` (cohort: reason) and `tested` (how many records will be judged): both are told.
        """
        ...

    def raise_signals(self, snapshot: Any, fitted: Any, request: DetectionRequest) -> Sequence[Signal]:
        """Signals at most at the promised rate of false alarms; none where data are too few."""
        ...


@runtime_checkable
class Calibrated(Protocol):
    """A detector that can show what its promise comes to. Optional: one that promises no rate has nothing to show."""

    def calibrate(self, snapshot: Any, request: DetectionRequest, *, seed: int = 0) -> Sequence[Calibration]:
        """False alarms by cohort on data simulated from what is fitted to the snapshot, nothing being wrong in them."""
        ...
