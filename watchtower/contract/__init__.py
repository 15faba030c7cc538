"""What others may say to the rule layer: events, records, evidence, proposals, signals, requests.

Workers (enrichment, detectors) import this package and nothing else of the tower. It imports nothing of
ours, so that a worker can be run, tested and replaced on its own.
"""

from watchtower.contract.calibration import Calibration
from watchtower.contract.event import CORE_SOURCE, Event, event_json, format_time, parse_event, parse_time
from watchtower.contract.likeness import Likeness, MergeRequest, Weighed
from watchtower.contract.proposal import Evidence, Proposal
from watchtower.contract.protocols import Calibrated, Detector, EnrichmentWorker, ModelStatus
from watchtower.contract.record import Document, FieldSpec, RecordSnapshot
from watchtower.contract.request import DetectionRequest, FieldRequest, MayLeave
from watchtower.contract.signal import Contributor, Picture, Point, Signal

__all__ = [
    "CORE_SOURCE",
    "Calibrated",
    "Calibration",
    "Contributor",
    "DetectionRequest",
    "Detector",
    "Document",
    "EnrichmentWorker",
    "Event",
    "Evidence",
    "FieldRequest",
    "FieldSpec",
    "Likeness",
    "MayLeave",
    "MergeRequest",
    "ModelStatus",
    "Picture",
    "Point",
    "Proposal",
    "RecordSnapshot",
    "Signal",
    "Weighed",
    "event_json",
    "format_time",
    "parse_event",
    "parse_time",
]
