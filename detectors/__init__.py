"""Models that warn early. They read snapshots and raise signals; they open no alert and write no field.

detector = ROSTER[request.detector]
signals = detector.raise_signals(table, detector.fit(table, request), request)
"""

from collections.abc import Mapping
from types import MappingProxyType

from detectors.close_push import ClosePush
from detectors.cohort_outlier import CohortOutlier
from detectors.conformance import Conformance
from detectors.mix_drift import MixDrift
from detectors.process_anomaly import ProcessAnomaly
from detectors.process_drift import ProcessDrift
from detectors.segment_rate import SegmentRate
from detectors.stage_dwell import StageDwell
from watchtower.contract import Detector

ROSTER: Mapping[str, Detector] = MappingProxyType(
    {
        detector.name: detector
        for detector in (
            StageDwell(),
            CohortOutlier(),
            Conformance(),
            SegmentRate(),
            ProcessAnomaly(),
            ProcessDrift(),
            MixDrift(),
            ClosePush(),
        )
    }
)
"""A detector is one file and one entry here."""

__all__ = ["ROSTER"]
