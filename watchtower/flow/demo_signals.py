"""What the detectors said of a generated year, beside what was planted in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from watchtower.flow.company import Year

Living = Mapping[str, Mapping[str, Any]]
"""The present fields of living records, by `object/id`."""


@dataclass(frozen=True)
class Warned:
    """One declared signal. `invented`: raised where nothing was planted; a detector may err as often as it promises."""

    signal: str
    detector: str
    planted: int
    found: int
    missed: tuple[str, ...]
    invented: tuple[str, ...]
    held: int
    """Raised and held back by the weekly budget of its family: neither found nor invented."""
    because: str = ""
    """Where the detector would not judge: why."""


def warned(
    year: Year,
    signal: str,
    detector: str,
    raised: Collection[str],
    held: Collection[str],
    living: Living,
    abstained: Mapping[str, str],
) -> Warned:
    """`raised`: the records on which the signal stands; `held`: those on which it was held back."""
    planted = {one.subject for one in year.truth.planted if one.signal == signal}
    shown = {record: _shows(record, planted, living) for record in raised}
    found = {subject for subject in shown.values() if subject is not None}
    return Warned(
        signal=signal,
        detector=detector,
        planted=len(planted),
        found=len(found),
        missed=tuple(sorted(subject or "all of them" for subject in planted - found)),
        invented=tuple(sorted(record for record, subject in shown.items() if subject is None)),
        held=len(held),
        because="; ".join(f"{cohort}: {reason}" for cohort, reason in abstained.items()) if not raised else "",
    )


def _shows(record: str, planted: Collection[str], living: Living) -> str | None:
    """What was planted that a signal on this record is about."""
    if record in planted:
        return record
    for subject in planted:
        field, _, value = subject.partition("=")
        if not subject or (value and living.get(record, {}).get(field) == value):
            return subject
    return None
