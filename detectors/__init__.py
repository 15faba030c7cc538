"""Models that warn early. They read snapshots and raise signals; they open no alert and write no field.

detector = ROSTER[request.detector]
signals = detector.raise_signals(table, detector.fit(table, request), request)
"""

from collections.abc import Mapping
from types import MappingProxyType

from detectors.activity_gap import ActivityGap
from detectors.cohort_outlier import CohortOutlier
from detectors.stage_dwell import StageDwell
from detectors.usage_decline import UsageDecline
from watchtower.contract import Detector

ROSTER: Mapping[str, Detector] = MappingProxyType(
    {detector.name: detector for detector in (StageDwell(), CohortOutlier(), UsageDecline(), ActivityGap())}
)
"""A detector is one file and one entry here."""

__all__ = ["ROSTER"]
