"""Records whose numbers do not belong to the cohort: pyod's score, a conformal p-value, Benjamini-Hochberg.

What stood `recent_days` before the request is the reference: one part trains the model, the other
calibrates it. What is tested is what came or changed since. Two reasons: a p-value is valid only for a
record that had no part in the reference, and a reference that holds the same oddities in the same share as
the tested records makes every test powerless (the strangest of n is never strange among those n). Run at
least every `recent_days`, each state of each record is tested once, when it is new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors.pvalues import Floats, benjamini_hochberg, conformal, seed_of
from detectors.snapshot import OPEN, Longs, Versions, check_request, micros, names_in, read_versions, time_of
from detectors.wording import figure, plural
from watchtower.contract import Contributor, DetectionRequest, Signal

MINIMUM = 50
"""Records in the reference under which nothing is judged."""
TRAINED_ON = 2_000
"""Records that train the model at most; the others calibrate, which is where more of them help."""
RECENT_DAYS = 7
MODELS = ("knn", "iforest", "hbos")
"""The first is the default. An isolation forest or histogram cannot tell far from farther: beyond the
outermost training record all scores are one, and with them the p-values of gross errors and of the edge."""
FAR = 3.0
"""Robust deviations from the median beyond which one feature explains a signal by itself."""


@dataclass(frozen=True)
class FittedOutlier:
    """The cohort as it stood. `model` is None where there were too few records to learn from."""

    features: tuple[str, ...]
    model: Any
    scores: Floats
    """Of the calibration records; larger is stranger."""
    median: Floats
    spread: Floats
    low: Floats
    high: Floats
    """The 5% and 95% quantiles of the reference, by feature."""
    records: int
    abstentions: Mapping[str, str]
    """What the detector is silent on, and why."""
    at: int


class CohortOutlier:
    """One signal for each rejected record; strength is the farthest feature's robust deviation.

    Parameters: `features`, numeric fields parted by commas; `model`, one of knn (default), iforest, hbos;
    `recent_days`, how far back the reference lies (default 7). A record that lacks a feature is not judged.
    """

    name = "cohort_outlier"
    version = "1"

    def fit(self, snapshot: Any, request: DetectionRequest) -> FittedOutlier:
        """The reference, as it stood `recent_days` before `request.at`. ValueError names what is wrong."""
        features, model_name, recent = _parameters(request)
        versions = read_versions(snapshot, request.at - recent)
        rows, values = _latest(versions, features)
        complete = ~np.isnan(values).any(axis=1)
        abstentions: dict[str, str] = {}
        if not complete.all():
            abstentions["reference"] = f"{int((~complete).sum())} of {rows.size} records lack a feature"
        # in order of id, so that the split does not depend on the order of the snapshot
        ids = np.array(versions.ids.take(pa.array(versions.record[rows[complete]])).to_pylist(), dtype=object)
        reference = values[complete][np.argsort(ids, kind="stable")]
        count = len(reference)
        if count < MINIMUM:
            abstentions["cohort"] = (
                f"{count} complete records stood {recent.days} days before; at least {MINIMUM} are needed"
            )
            none = np.empty(0)
            return FittedOutlier(features, None, none, none, none, none, none, count, abstentions, micros(request.at))
        # the same split at each run: a record is not tried by one drawing after another
        seed = seed_of(f"{request.signal} {request.object}")
        shuffled = reference[np.random.default_rng(seed).permutation(count)]
        train, calibration = np.split(shuffled, [min(count // 2, TRAINED_ON)])
        median, spread = _centre(train)
        model = _model(model_name, seed)
        model.fit(_scaled(train, median, spread))
        low, high = np.quantile(reference, (0.05, 0.95), axis=0)
        return FittedOutlier(
            features=features,
            model=model,
            scores=_scores(model, _scaled(calibration, median, spread)),
            median=median,
            spread=spread,
            low=low,
            high=high,
            records=count,
            abstentions=abstentions,
            at=micros(request.at),
        )

    def raise_signals(self, snapshot: Any, fitted: FittedOutlier, request: DetectionRequest) -> Sequence[Signal]:
        """Signals, strangest first, then by subject: of these, a share `budget` is expected to be false."""
        features, _, recent = _parameters(request)
        if features != fitted.features:
            raise ValueError(f"features: {','.join(features)} asked, but {','.join(fitted.features)} fitted")
        if fitted.at > micros(request.at):
            known = time_of(fitted.at).isoformat()
            raise ValueError(f"at: {request.at.isoformat()} is before {known}, up to which the fit has read")
        if fitted.model is None:
            return []
        versions = read_versions(snapshot, request.at)
        rows, values = _latest(versions, features)
        began = _began(versions, features)[rows]
        new = ~np.isnan(values).any(axis=1) & (began > micros(request.at - recent))
        rows, values, began = rows[new], values[new], began[new]
        if rows.size == 0:
            return []
        scores = _scores(fitted.model, _scaled(values, fitted.median, fitted.spread))
        p_values = conformal(fitted.scores, scores)
        rejected = np.flatnonzero(benjamini_hochberg(p_values, request.budget))
        ids = versions.ids.take(pa.array(versions.record[rows[rejected]])).to_pylist()
        signals = [
            self._signal(record, float(p_values[row]), values[row], int(began[row]), fitted, request)
            for row, record in zip(rejected, ids, strict=True)
        ]
        return sorted(signals, key=lambda signal: (signal.p_value, -signal.strength, signal.subject))

    def _signal(
        self,
        record: str,
        p_value: float,
        values: Floats,
        began: int,
        fitted: FittedOutlier,
        request: DetectionRequest,
    ) -> Signal:
        deviations = (values - fitted.median) / fitted.spread
        order = np.argsort(-np.abs(deviations), kind="stable")
        total = float(np.abs(deviations).sum()) or 1.0
        top = int(order[0])
        return Signal(
            request=request.id,
            signal=request.signal,
            subject=f"{request.object}/{record}",
            detector=self.name,
            version=self.version,
            p_value=p_value,
            strength=abs(float(deviations[top])),
            unit="robust deviations",
            direction="up" if deviations[top] >= 0 else "down",
            explanation=_explanation(values, deviations, order, fitted, request),
            began_at=time_of(began),
            window_from=time_of(began),
            window_to=request.at,
            cohort=f"{fitted.records} {plural(request.object)}",
            contributors=tuple(
                Contributor(
                    name=fitted.features[i],
                    value=float(values[i]),
                    weight=abs(float(deviations[i])) / total,
                )
                for i in order
            ),
        )


def _parameters(request: DetectionRequest) -> tuple[tuple[str, ...], str, timedelta]:
    check_request(request, CohortOutlier.name, ("features", "model", "recent_days"))
    features = names_in(request.parameters.get("features", ""))
    if not features:
        raise ValueError("parameters.features: missing; name numeric fields, such as 'employees,arr'")
    if len(set(features)) < len(features):
        raise ValueError(f"parameters.features: {','.join(features)} names a field twice")
    model = request.parameters.get("model", MODELS[0])
    if model not in MODELS:
        raise ValueError(f"parameters.model: {model!r} is not known; accepted are {', '.join(MODELS)}")
    days = request.parameters.get("recent_days", RECENT_DAYS)
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= 3_660:
        raise ValueError(f"parameters.recent_days: {days!r} is not a whole number from 1 to 3660")
    return features, str(model), timedelta(days=days)


def _latest(versions: Versions, features: tuple[str, ...]) -> tuple[Longs, Floats]:
    """The rows in force at the versions' time, and (rows, features) their values."""
    matrix = np.column_stack([versions.numbers(name) for name in features])
    matrix[~np.isfinite(matrix)] = np.nan
    rows = np.flatnonzero(versions.end == OPEN)
    return rows, matrix[rows]


def _began(versions: Versions, features: tuple[str, ...]) -> Longs:
    """For each row, since when its features have had the values they have, without a break."""
    fresh = ~versions.joined
    for name in features:
        value = versions.numbers(name)
        fresh[1:] |= (value[1:] != value[:-1]) & ~(np.isnan(value[1:]) & np.isnan(value[:-1]))
    firsts = np.flatnonzero(fresh)
    began: Longs = versions.start[firsts][np.cumsum(fresh) - 1]
    return began


def _centre(values: Floats) -> tuple[Floats, Floats]:
    """Median and spread by feature: the interquartile range as a deviation, else the deviation, else 1."""
    quarter, median, three_quarters = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
    spread = (three_quarters - quarter) / 1.349
    spread = np.where(spread > 0, spread, values.std(axis=0))
    return median, np.where(spread > 0, spread, 1.0)


def _scaled(values: Floats, median: Floats, spread: Floats) -> Floats:
    """Features made comparable; the long tails of sizes and amounts drawn in, their order kept."""
    scaled: Floats = np.arcsinh((values - median) / spread)
    return scaled


def _model(name: str, seed: int) -> Any:
    # pyod and scikit-learn take seconds to import: only for those who use them
    if name == "knn":
        from pyod.models.knn import KNN

        return KNN()
    if name == "hbos":
        from pyod.models.hbos import HBOS

        return HBOS()
    from pyod.models.iforest import IForest

    return IForest(random_state=seed)


def _scores(model: Any, values: Floats) -> Floats:
    scores: NDArray[np.float64] = np.asarray(model.decision_function(values), dtype=np.float64)
    return scores


def _explanation(
    values: Floats, deviations: Floats, order: Longs, fitted: FittedOutlier, request: DetectionRequest
) -> str:
    """`Unlike 600 accounts: employees 250,000 (usually 12 to 840).`"""
    far = [i for i in order if abs(deviations[i]) >= FAR]
    usual = [f"usually {figure(low)} to {figure(high)}" for low, high in zip(fitted.low, fitted.high, strict=True)]
    shown = ", ".join(f"{fitted.features[i]} {figure(values[i])} ({usual[i]})" for i in (far or order)[:3])
    cohort = f"{fitted.records} {plural(request.object)}"
    return f"Unlike {cohort}: {shown}." if far else f"An unusual combination among {cohort}: {shown}."
