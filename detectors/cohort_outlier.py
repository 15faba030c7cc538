"""Records whose numbers do not belong to the cohort: pyod's score, a conformal p-value, Benjamini-Hochberg.

What stood `recent_days` before the request is the reference: one part trains the model, the other
calibrates it. What is tested is what came or changed since. Two reasons: a p-value is valid only for a
record that had no part in the reference, and a reference that holds the same oddities in the same share as
the tested records makes every test powerless (the strangest of n is never strange among those n). Run at
least every `recent_days`, each state of each record is tested once, when it is new.

A reference that holds oddities itself keeps the promise and loses power. Leaving out its highest scores unseen
would break the promise; leaving out those that a person confirmed as odd does not. So the fit names the records
that are worth a verdict, and `confirmed` is the field that holds it.

Sources: Bates, Candes, Lei, Romano, Sesia, "Testing for outliers with conformal p-values", Annals of Statistics 51
(2023); Bashari, Sesia, Romano, "Robust conformal outlier detection under contaminated reference data", ICML (2025),
for labelling the highest calibration scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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
TO_LABEL = 50
"""Calibration records that a verdict is asked on."""
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
    to_label: tuple[str, ...]
    """The strangest calibration records without a verdict, strangest first: one on these gives back the most power."""
    median: Floats
    spread: Floats
    low: Floats
    high: Floats
    """The 5% and 95% quantiles of the reference, by feature."""
    records: int
    tested: int
    """The records that are judged at the time of the fit."""
    abstentions: Mapping[str, str]
    """What the detector is silent on, and why."""
    at: int


class CohortOutlier:
    """One signal for each rejected record; strength is the farthest feature's robust deviation.

    Parameters: `features`, numeric fields parted by commas; `model`, one of knn (default), iforest, hbos;
    `recent_days`, how far back the reference lies (default 7); `confirmed`, a boolean field in which a person says
    whether a record is odd: one that is, is no example of the cohort. A record that lacks a feature is not judged.
    """

    name = "cohort_outlier"
    version = "2"
    in_parts = True

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
        order = np.argsort(ids, kind="stable")
        ids, reference = ids[order], values[complete][order]
        # the same split at each run: a record is not tried by one drawing after another; confirmed ones leave it
        # only afterwards, so that a verdict moves no other record to the other side
        seed = seed_of(f"{request.signal} {request.object}")
        shuffled = np.random.default_rng(seed).permutation(len(ids))
        verdicts = _verdicts(snapshot, request)
        usual = ~np.isin(ids, [record for record, odd in verdicts.items() if odd])
        train, calibration = (part[usual[part]] for part in np.split(shuffled, [min(len(ids) // 2, TRAINED_ON)]))
        count = train.size + calibration.size
        if reason := _too_few(count, calibration.size, recent, request.budget):
            abstentions["cohort"] = reason
            none = np.empty(0)
            return FittedOutlier(
                features, None, none, (), none, none, none, none, count, 0, abstentions, micros(request.at)
            )
        median, spread = _centre(reference[train])
        model = _model(model_name, seed)
        model.fit(_scaled(reference[train], median, spread))
        scores = _scores(model, _scaled(reference[calibration], median, spread))
        low, high = np.quantile(reference[usual], (0.05, 0.95), axis=0)
        strangest = ids[calibration[np.argsort(-scores, kind="stable")[:TO_LABEL]]]
        to_label = tuple(str(record) for record in strangest if record not in verdicts)
        if to_label and (field := request.parameters.get("confirmed")):
            named = ", ".join(to_label[:5]) + (f" and {len(to_label) - 5} more" if len(to_label) > 5 else "")
            abstentions[named] = f"the strangest of the reference; say in {field} whether they are odd, to find more"
        return FittedOutlier(
            features=features,
            model=model,
            scores=scores,
            to_label=to_label,
            median=median,
            spread=spread,
            low=low,
            high=high,
            records=count,
            tested=_new(snapshot, features, request, recent)[1].size,
            abstentions=abstentions,
            at=micros(request.at),
        )

    def raise_signals(self, snapshot: Any, fitted: FittedOutlier, request: DetectionRequest) -> Sequence[Signal]:
        """Signals, strangest first, then by subject: of these, a share `budget` is expected to be false."""
        return self._raised(snapshot, fitted, request, benjamini_hochberg)

    def judge(self, snapshot: Any, fitted: FittedOutlier, request: DetectionRequest) -> Sequence[Signal]:
        """All with p <= budget, of a part of the snapshot: what is raised is decided over all parts together."""
        return self._raised(snapshot, fitted, request, lambda p_values, budget: p_values <= budget)

    def _raised(
        self,
        snapshot: Any,
        fitted: FittedOutlier,
        request: DetectionRequest,
        chosen: Callable[[Floats, float], NDArray[np.bool_]],
    ) -> Sequence[Signal]:
        features, _, recent = _parameters(request)
        if features != fitted.features:
            raise ValueError(f"features: {','.join(features)} asked, but {','.join(fitted.features)} fitted")
        if fitted.at > micros(request.at):
            known = time_of(fitted.at).isoformat()
            raise ValueError(f"at: {request.at.isoformat()} is before {known}, up to which the fit has read")
        if fitted.model is None:
            return []
        versions, rows, values, began = _new(snapshot, features, request, recent)
        if rows.size == 0:
            return []
        scores = _scores(fitted.model, _scaled(values, fitted.median, fitted.spread))
        p_values = conformal(fitted.scores, scores)
        rejected = np.flatnonzero(chosen(p_values, request.budget))
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
    check_request(request, CohortOutlier.name, ("features", "model", "recent_days", "confirmed"))
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


def _too_few(count: int, calibration: int, recent: timedelta, budget: float) -> str:
    """Why nothing can be judged; empty where something can."""
    if count < MINIMUM:
        return f"{count} complete records stood {recent.days} days before; at least {MINIMUM} are needed"
    least = 1.0 / (calibration + 1.0)
    if least > budget:
        return (
            f"{calibration} records to compare with: no p-value is below {least:.3g}, so none is strange at a budget "
            f"of {budget:g}"
        )
    return ""


def _verdicts(snapshot: Any, request: DetectionRequest) -> dict[str, bool]:
    """The records on which a person has said, by the time of the request, whether they are odd."""
    field = str(request.parameters.get("confirmed", ""))
    if not field:
        return {}
    versions = read_versions(snapshot, request.at)
    said = versions.column(field)
    if not (pa.types.is_boolean(said.type) or pa.types.is_null(said.type)):
        raise ValueError(f"parameters.confirmed: {field!r} is a {said.type}; accepted is a boolean")
    rows = np.flatnonzero(pc.is_valid(said).to_numpy() & (versions.end == OPEN))
    ids = versions.ids.take(pa.array(versions.record[rows])).to_pylist()
    return dict(zip(ids, said.take(pa.array(rows)).to_pylist(), strict=True))


def _new(
    snapshot: Any, features: tuple[str, ...], request: DetectionRequest, recent: timedelta
) -> tuple[Versions, Longs, Floats, Longs]:
    """What is tested: complete records whose features are as they are since less than `recent`."""
    versions = read_versions(snapshot, request.at)
    rows, values = _latest(versions, features)
    began = _began(versions, features)[rows]
    new = ~np.isnan(values).any(axis=1) & (began > micros(request.at - recent))
    return versions, rows[new], values[new], began[new]


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
