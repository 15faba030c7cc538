"""Models that warn early. They read snapshots and raise signals; they open no alert and write no field.

detector = ROSTER[request.detector]
signals = detector.raise_signals(table, detector.fit(table, request), request)
"""

from collections.abc import Mapping
from types import MappingProxyType

from detectors.activity_gap import ActivityGap
from detectors.churn_risk import ChurnRisk
from detectors.close_push import ClosePush
from detectors.cohort_outlier import CohortOutlier
from detectors.conformance import Conformance
from detectors.facts import CHAMPION_LEFT, PAYMENT_FAILED
from detectors.mix_drift import MixDrift
from detectors.process_anomaly import ProcessAnomaly
from detectors.process_drift import ProcessDrift
from detectors.segment_rate import SegmentRate
from detectors.shift import SENTIMENT_SHIFT, TICKET_SHIFT
from detectors.stage_dwell import StageDwell
from detectors.usage_decline import UsageDecline
from watchtower.contract import Detector

ROSTER: Mapping[str, Detector] = MappingProxyType(
    {
        detector.name: detector
        for detector in (
            StageDwell(),
            CohortOutlier(),
            ChurnRisk(),
            ChurnRisk("lead_score"),
            PAYMENT_FAILED,
            CHAMPION_LEFT,
            TICKET_SHIFT,
            SENTIMENT_SHIFT,
            Conformance(),
            SegmentRate(),
            ProcessAnomaly(),
            ProcessDrift(),
            MixDrift(),
            ClosePush(),
            UsageDecline(),
            ActivityGap(),
        )
    }
)
"""A detector is one file and one entry here."""

__all__ = ["ROSTER"]
