"""Who is likely to come to an outcome soon: customers to leave, leads or contacts to move on.

Learnt from those who did.

An additive logistic model, cross-fitted on the records as they stood a horizon ago: each fold's model scores the
records that it has not seen. From these scores follow three things: the probability (Platt's calibration), the p-value
(the share of those to whom the outcome did not come that scored at least as high), and whether the fields tell anything
at all. Where labels are few, or the fields tell nothing, the detector is silent and says so.

Sources: Platt, "Probabilistic outputs for support vector machines" (1999); Vovk, "Cross-conformal predictors", Annals
of Mathematics and Artificial Intelligence 74 (2015); Hanley, McNeil, "The meaning and use of the area under a ROC
curve", Radiology 143 (1982), for its standard error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from detectors.features import Basis, Column, column_of, matrix
from detectors.horizon import Bools, Examples, area, examples, is_outcome, leaks, standing
from detectors.pvalues import Floats, seed_of
from detectors.snapshot import FRAME, Longs, Versions, check_request, micros, names_in, read_versions, time_of
from detectors.wording import figure, plural
from watchtower.contract import Contributor, DetectionRequest, Signal

MINIMUM = 50
"""Records with the outcome, and records without it, under which nothing is learnt."""
TRAINED_ON = 50_000
"""Records that are learnt from at most."""
FOLDS = 5
HORIZON_DAYS = 90
STRENGTH = 1.0
"""The inverse of the penalty on the weights."""
TOLD = 8
"""Contributors of a signal at most; the sentence names three."""


@dataclass(frozen=True)
class Fold:
    """One model, and the scores of those it has not seen to whom the outcome did not come, ascending."""

    bases: tuple[Basis, ...]
    weights: Floats
    intercept: float
    others: Floats

    def parts(self, columns: Sequence[Column]) -> Floats:
        """(n, fields) what each field adds to the log odds, against the average record."""
        values, owner = matrix(self.bases, columns)
        parts = np.zeros((len(values), len(self.bases)))
        # one column after the other: a product of matrices rounds by their size, and a record's risk must not depend
        # on which others are scored with it
        for column, field in enumerate(owner.tolist()):
            parts[:, field] += values[:, column] * self.weights[column]
        return parts


@dataclass(frozen=True)
class FittedRisk:
    """`folds` is empty where nothing is judged."""

    fields: tuple[str, ...]
    folds: tuple[Fold, ...]
    slope: float
    offset: float
    """Platt's calibration of the mean score."""
    records: int
    came: int
    area: float
    """Out of fold, in [0, 1]; .5 tells nothing."""
    tested: int
    abstentions: Mapping[str, str]
    at: int


@dataclass(frozen=True)
class Scored:
    """Columns of equal length, ordered by id."""

    ids: list[str]
    rows: Longs
    risk: Floats
    """The calibrated probability of the outcome within the horizon, in (0, 1)."""
    p_values: Floats
    """In (0, 1]; the chance of at least this score where the outcome does not come."""
    parts: Floats
    """(n, fields) what each field adds to the log odds."""
    columns: tuple[Column, ...]


class ChurnRisk:
    """A signal for each record with p <= budget; strength is the probability of the outcome in percent.

    So at most a share `budget` of those to whom the outcome will not come is raised. Parameters: `label`, the field
    that tells the outcome; `is`, its values that are the outcome, parted by commas (default true); `features`, fields
    parted by commas (default all that can be); `horizon_days` (default 90).
    """

    version = "1"
    in_parts = True

    def __init__(self, name: str = "churn_risk") -> None:
        self.name = name

    def fit(self, snapshot: Any, request: DetectionRequest) -> FittedRisk:
        """Learnt from `horizon_days` before the request until then. ValueError names what is wrong."""
        label, values, asked, horizon = self._parameters(request)
        versions = read_versions(snapshot, request.at)
        outcome = is_outcome(versions, label, values)
        then = micros(request.at - horizon)
        found = _sample(examples(versions, outcome, then), seed_of(f"{request.signal} {request.object}"))
        abstentions: dict[str, str] = {}
        fields, columns = _features(versions, asked, label, found.rows, then, abstentions)
        came, count = int(found.came.sum()), found.rows.size
        tested = int(standing(versions, outcome).size)
        nothing = FittedRisk((), (), 1.0, 0.0, count, came, 0.5, 0, abstentions, micros(request.at))
        what = f"{label}={'/'.join(values)}"
        if min(came, count - came) < MINIMUM:
            abstentions["labels"] = (
                f"{came} of {count} {plural(request.object)} came to {what} in {horizon.days} days; at least "
                f"{MINIMUM} with and {MINIMUM} without are needed"
            )
            return nothing
        for name, reason in leaks(fields, columns, found, versions).items():
            abstentions[name] = reason
        kept = [n for n, name in enumerate(fields) if name not in abstentions]
        folds, scores, kept = _cross_fit([columns[n] for n in kept], kept, found.came)
        fields = tuple(fields[n] for n in kept)
        told = area(scores, found.came) if folds else 0.5
        if told - 2 * _area_error(told, came, count - came) <= 0.5:
            abstentions["fields"] = f"they tell nothing of {what} (area under the curve {told:.2f})"
            return nothing
        slope, offset = _platt(scores, found.came)
        return FittedRisk(fields, folds, slope, offset, count, came, told, tested, abstentions, micros(request.at))

    def raise_signals(self, snapshot: Any, fitted: FittedRisk, request: DetectionRequest) -> Sequence[Signal]:
        """Signals, strangest first, then by subject. ValueError where `fitted` knows a later time."""
        label, values, _, horizon = self._parameters(request)
        if fitted.at > micros(request.at):
            known = time_of(fitted.at).isoformat()
            raise ValueError(f"at: {request.at.isoformat()} is before {known}, up to which the fit has read")
        if not fitted.folds:
            return []
        versions = read_versions(snapshot, request.at)
        scored = score(versions, is_outcome(versions, label, values), fitted)
        what = f"{label}={'/'.join(values)}"
        signals = [
            self._signal(row, scored, int(versions.start[scored.rows[row]]), fitted, request, what, horizon)
            for row in np.flatnonzero(scored.p_values <= request.budget).tolist()
        ]
        return sorted(signals, key=lambda signal: (signal.p_value, -signal.strength, signal.subject))

    def _signal(
        self,
        row: int,
        scored: Scored,
        began: int,
        fitted: FittedRisk,
        request: DetectionRequest,
        what: str,
        horizon: timedelta,
    ) -> Signal:
        parts = scored.parts[row]
        order = np.argsort(-np.abs(parts), kind="stable")[:TOLD]
        total = float(np.abs(parts).sum()) or 1.0
        names = [_value(name, column[row]) for name, column in zip(fitted.fields, scored.columns, strict=True)]
        upward = [n for n in np.argsort(-parts, kind="stable")[:3] if parts[n] > 0]
        drivers = ", ".join(f"{names[n]} ({_odds(float(parts[n]))})" for n in upward)
        usual = fitted.came / fitted.records
        return Signal(
            request=request.id,
            signal=request.signal,
            subject=f"{request.object}/{scored.ids[row]}",
            detector=self.name,
            version=self.version,
            p_value=float(scored.p_values[row]),
            strength=float(scored.risk[row]) * 100,
            unit="percent",
            direction="up",
            explanation=(
                f"{scored.risk[row]:.0%} likely to come to {what} within {horizon.days} days ({usual:.0%} is usual): "
                f"{drivers or 'all fields together'}."
            ),
            began_at=time_of(began),
            window_from=request.at - horizon,
            window_to=request.at,
            cohort=f"{fitted.records} {plural(request.object)}, {fitted.came} of which came to it",
            contributors=tuple(
                Contributor(name=names[n], value=float(parts[n]), weight=float(abs(parts[n])) / total) for n in order
            ),
        )

    def _parameters(self, request: DetectionRequest) -> tuple[str, tuple[str, ...], tuple[str, ...], timedelta]:
        check_request(request, self.name, ("label", "is", "features", "horizon_days"))
        label = str(request.parameters.get("label", ""))
        if not label:
            raise ValueError("parameters.label: missing; name the field that tells the outcome, such as 'churned'")
        values = names_in(str(request.parameters.get("is", "true")).lower())
        if not values:
            raise ValueError("parameters.is: names no value of the label")
        features = names_in(request.parameters.get("features", ""))
        if label in features:
            raise ValueError(f"parameters.features: {label!r} is the label itself")
        days = request.parameters.get("horizon_days", HORIZON_DAYS)
        if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= 3_660:
            raise ValueError(f"parameters.horizon_days: {days!r} is not a whole number from 1 to 3660")
        return label, values, features, timedelta(days=days)


def score(versions: Versions, outcome: Bools, fitted: FittedRisk) -> Scored:
    """Every record that stands without the outcome at the versions' time."""
    rows = standing(versions, outcome)
    columns = []
    for name in fitted.fields:
        column = column_of(versions, name, rows, versions.at, most=None)
        # a field that the fit knew and that is empty now
        columns.append(np.full(rows.size, None, dtype=object) if isinstance(column, str) else column)
    total, parts = np.zeros(rows.size), np.zeros((rows.size, len(fitted.fields)))
    above, others = np.zeros(rows.size), 0
    for fold in fitted.folds:
        own = fold.parts(columns)
        scores = np.full(rows.size, fold.intercept)
        for field in range(own.shape[1]):
            scores += own[:, field]
        total += scores / len(fitted.folds)
        parts += own / len(fitted.folds)
        above += fold.others.size - np.searchsorted(fold.others, scores, side="left")
        others += fold.others.size
    ids = versions.ids.take(pa.array(versions.record[rows])).to_pylist()
    risk = 1.0 / (1.0 + np.exp(-(fitted.slope * total + fitted.offset)))
    return Scored(ids, rows, risk, (1.0 + above) / (1.0 + others), parts, tuple(columns))


def _features(
    versions: Versions, asked: Sequence[str], label: str, rows: Longs, then: int, abstentions: dict[str, str]
) -> tuple[tuple[str, ...], list[Column]]:
    """The fields that can be features, with their columns; why the others are none goes into `abstentions`."""
    names = asked or sorted(name for name in versions.table.column_names if name not in FRAME and name != label)
    fields, columns = [], []
    for name in names:
        column = column_of(versions, name, rows, then)
        if isinstance(column, str):
            abstentions[name] = f"left out: it {column}"
        else:
            fields.append(name)
            columns.append(column)
    return tuple(fields), columns


def _sample(found: Examples, seed: int) -> Examples:
    if found.rows.size <= TRAINED_ON:
        return found
    chosen = np.sort(np.random.default_rng(seed).permutation(found.rows.size)[:TRAINED_ON])
    return Examples(found.rows[chosen], found.came[chosen], found.before, found.after)


def _cross_fit(
    columns: Sequence[Column], kept: Sequence[int], came: Bools
) -> tuple[tuple[Fold, ...], Floats, list[int]]:
    """A model for each fold, the out-of-fold scores, and which of the fields say anything."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    whole = [Basis.fit(column) for column in columns]
    useful = [n for n, basis in enumerate(whole) if basis is not None]
    columns, kept = [columns[n] for n in useful], [kept[n] for n in useful]
    bases = tuple(basis for basis in whole if basis is not None)
    scores = np.zeros(came.size)
    folds = []
    if not bases:
        return (), scores, []
    # the knots are those of all records: they know nothing of the outcome
    values, _ = matrix(bases, columns)
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(values, came):
        model = LogisticRegression(C=STRENGTH, solver="newton-cholesky").fit(values[train], came[train])
        scores[test] = model.decision_function(values[test])
        others = np.sort(scores[test][~came[test]])
        folds.append(Fold(bases, model.coef_[0].copy(), float(model.intercept_[0]), others))
    return tuple(folds), scores, kept


def _platt(scores: Floats, came: Bools) -> tuple[float, float]:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e6, solver="newton-cholesky").fit(scores[:, None], came)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def _area_error(told: float, positives: int, negatives: int) -> float:
    """The standard error of an area under the curve."""
    one, two = told / (2 - told), 2 * told**2 / (1 + told)
    variance = told * (1 - told) + (positives - 1) * (one - told**2) + (negatives - 1) * (two - told**2)
    return float(np.sqrt(max(variance, 0.0) / (positives * negatives)))


def _value(name: str, value: Any) -> str:
    """`contract 'monthly'`, `seats 12`, `region missing`."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return f"{name} missing"
    return f"{name} {figure(float(value))}" if isinstance(value, float) else f"{name} {value!r}"


def _odds(part: float) -> str:
    return f"odds x{np.exp(part):.1f}"


__all__ = ["ChurnRisk", "FittedRisk", "Scored", "score"]
