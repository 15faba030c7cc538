"""The demo: a generated company's year goes in; what comes out is held against what is known to be true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from watchtower.contract import format_time
from watchtower.flow.company import Breach, Year

FIELDS = ("country", "city", "founded_year", "sector")


@dataclass
class Tally:
    """Right, wrong, and left empty, of what was to be filled."""

    right: int = 0
    wrong: int = 0
    empty: int = 0


@dataclass
class Check:
    """What the tower found, beside what was planted."""

    planted: int = 0
    found: int = 0
    invented: list[tuple[str, str, str]] = field(default_factory=list)
    missed: list[tuple[str, str, str]] = field(default_factory=list)
    filled: dict[str, Tally] = field(default_factory=dict)


def check(
    year: Year,
    now: datetime,
    alerts: Iterable[tuple[str, str, datetime]],
    accounts: Mapping[str, Mapping[str, Any]],
    told_at: Callable[[Breach], datetime],
) -> Check:
    """`alerts`: (rule, record, since) of deterministic rules' alerts that were not withdrawn. `accounts`: the present
    fields of each account. `told_at`: when a breach is told; a rule may wait for
    it to last.
    """
    truth = year.truth
    told = {(rule, record, format_time(since)) for rule, record, since in alerts}
    known = {(b.rule, b.record, format_time(b.since)) for b in truth.breaches if told_at(b) <= now}
    latent = {(b.rule, b.record) for b in truth.latent}
    made = Check(planted=len(known), found=len(known & told))
    # What came to hold after the year's end was told because a fact was filled: that is enrichment's account.
    made.invented = sorted(k for k in told - known if k[:2] not in latent and k[2] <= format_time(now))
    made.missed = sorted(known - told)
    for key in FIELDS:
        made.filled[key] = _filled(year, key, accounts)
    return made


def _filled(year: Year, key: str, accounts: Mapping[str, Mapping[str, Any]]) -> Tally:
    tally = Counter[str]()
    for subject, unset in year.truth.unset.items():
        if key not in unset:
            continue
        value = accounts.get(subject, {}).get(key)
        truth = getattr(year.truth.firmographics[subject], key)
        tally["empty" if value is None else "right" if value == truth else "wrong"] += 1
    return Tally(tally["right"], tally["wrong"], tally["empty"])
