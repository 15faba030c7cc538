"""What this process counts of itself, for Prometheus.

Every label is from a fixed set, or a name that the rulebook or the settings give; whatever else comes is `other`. So
nobody who sends events, and nothing that a worker says, can make a series: how many there are would tell of it, and
would fill the memory of whoever reads them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # the time at which a series began would double their number

OTHER = "other"
VERDICTS = ("accepted", "duplicate", "conflict", "quarantined", "refused")
LAGS = (0.1, 0.5, 1, 5, 30, 60, 300, 1800, 3600, 6 * 3600, 86400, 7 * 86400)
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

EVENTS = Counter("watchtower_events_taken", "Events that came to the door, by what became of them.",
                 ["source", "verdict"])  # fmt: skip
INGEST_LAG = Histogram("watchtower_ingest_lag_seconds", "From an event's own time until it was taken.", ["source"],
                       buckets=LAGS)  # fmt: skip
LAST_EVENT = Gauge("watchtower_last_event_timestamp_seconds", "When an event of this source was last taken.",
                   ["source"])  # fmt: skip
TICKS = Histogram("watchtower_tick_seconds", "How long a tick of the clock took.", buckets=SECONDS)
DECIDED = Counter("watchtower_alert_decisions", "What ticks decided: alerts opened, resolved, corrected.", ["what"])
PROPOSED = Counter("watchtower_proposals_decided", "Proposals of workers, by what acceptance made of them.",
                   ["verdict"])  # fmt: skip
ANSWERS = Counter("watchtower_worker_answers", "Answers of workers that were taken up.", ["outcome"])
DETECTED = Counter("watchtower_detector_runs", "Runs of detectors that were taken up.", ["signal", "outcome"])
RAISED = Counter("watchtower_signals_raised", "Signals raised; held: over the weekly budget of their family.",
                 ["signal", "admitted"])  # fmt: skip
DELIVERED = Counter("watchtower_deliveries", "Attempts to deliver a notification.",
                    ["receiver", "ai_informed", "outcome"])  # fmt: skip
HTTP = Histogram("watchtower_http_request_seconds", "Requests answered, by the template of their route.",
                 ["method", "route", "status"], buckets=SECONDS)  # fmt: skip
BEAT = Gauge("watchtower_part_last_beat_timestamp_seconds", "When a part of this process last did its round.",
             ["part"])  # fmt: skip


def known(name: str, names: Collection[str]) -> str:
    """The name where it is one of these; else `other`."""
    return name if name in names else OTHER


_beats: dict[str, float] = {}


def beat(part: str) -> None:
    """A part of this process (clock, workers, outbox, retention) has done a round."""
    _beats[part] = time.monotonic()
    BEAT.labels(part).set_to_current_time()


def silent(part: str) -> float | None:
    """Seconds since the last round of a part; None where it does not run in this process."""
    last = _beats.get(part)
    return None if last is None else time.monotonic() - last


def forget(part: str) -> None:
    """The part has ended, as it should."""
    _beats.pop(part, None)


@contextmanager
def timed(histogram: Histogram, clock: Callable[[], float] = time.perf_counter) -> Iterator[None]:
    """Observe how long the block takes, however it ends."""
    begun = clock()
    try:
        yield
    finally:
        histogram.observe(clock() - begun)
