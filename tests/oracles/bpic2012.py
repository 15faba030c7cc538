"""What the rules of examples/bpic2012 must say, reckoned with pandas from the rows of the log alone.

Shares no code with the product: no events, no fold, no compiler. A rule is given here as the events whose
latest decides (`of`), what that event must be (`state`), the events whose time counts (`since`), and a delay.

    python tests/oracles/bpic2012.py LOG.parquet
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

ZONE = "UTC"
MOMENTS = tuple(pd.Timestamp(text) for text in ("2011-12-01T12:00Z", "2012-01-15T12:00Z", "2012-03-01T12:00Z"))


@dataclass(frozen=True)
class Rule:
    """`of`, `state` and `since` give a boolean for each row of the log."""

    of: Callable[[pd.DataFrame], pd.Series]
    state: Callable[[pd.DataFrame], pd.Series]
    since: Callable[[pd.DataFrame], pd.Series]
    days: int = 0
    hours: int = 0


def _begins(text: str) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda log: log.activity.str.startswith(text)


def _is(*names: str) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda log: log.activity.isin(names)


_LEADS = _is("W_Afhandelen leads")

RULES = {
    "accepted_stalled": Rule(_begins("A_"), _is("A_ACCEPTED", "A_FINALIZED"), _begins("A_"), days=14),
    "lead_untouched": Rule(_LEADS, lambda log: log.lifecycle == "SCHEDULE", _LEADS, hours=4),
    "offer_unanswered": Rule(_begins("O_"), _is("O_SENT"), _begins("O_"), days=21),
    "preaccepted_silent": Rule(_begins("A_"), _is("A_PREACCEPTED"), lambda log: log.activity.notna(), days=7),
}


def read(path: Path) -> pd.DataFrame:
    """The log in order of case, then time, then row of the file."""
    log = pd.read_parquet(path, columns=["case_id", "activity", "timestamp", "lifecycle"])
    log = log.astype({"case_id": str, "activity": str, "lifecycle": str})
    return log.sort_values(["case_id", "timestamp"], kind="stable", ignore_index=True)


def later(times: pd.Series, days: int, hours: int, zone: str) -> pd.Series:
    """Each time plus days on the clock of `zone`, plus hours as they pass.

    A clock time that comes twice is the second one, and one that is skipped is read on the clock before the
    change: so PostgreSQL has it.
    """
    if days:
        local = times.dt.tz_convert(zone).dt.tz_localize(None) + pd.Timedelta(days=days)
        second = pd.Series(False, index=local.index).to_numpy()
        times = local.dt.tz_localize(zone, ambiguous=second, nonexistent=pd.Timedelta(hours=1)).dt.tz_convert("UTC")
    return times + pd.Timedelta(hours=hours)


def intervals(log: pd.DataFrame, rule: Rule, zone: str = ZONE) -> pd.DataFrame:
    """case, since, until (NaT: open): every time in which the rule holds, in order.

    At each time of a case only the state after the last row of that time counts. That state lasts until the
    next time at which the case has a row; while it matches, the rule holds from the counting time + delay on.
    Pieces that adjoin are joined.
    """
    log = log.assign(decides=rule.of(log), match=rule.state(log) & rule.of(log), counts=rule.since(log))
    by_case = log.groupby("case_id", sort=False)
    # After each row: is the latest deciding row a matching one, and when was the latest counting row?
    log["state"] = log["match"].where(log["decides"]).astype("boolean")
    log["state"] = log.groupby("case_id", sort=False)["state"].ffill().fillna(False).astype(bool)
    log["from"] = log["timestamp"].where(log["counts"])
    log["from"] = log.groupby("case_id", sort=False)["from"].ffill()
    log["next"] = by_case["timestamp"].shift(-1)
    pieces = log[log["state"] & (log["timestamp"] != log["next"])].copy()
    pieces["due"] = later(pieces["from"], rule.days, rule.hours, zone)
    pieces["since"] = pieces[["due", "timestamp"]].max(axis=1)
    pieces = pieces[pieces["next"].isna() | (pieces["since"] < pieces["next"])]
    joins = (pieces["case_id"] == pieces["case_id"].shift()) & (pieces["since"] == pieces["next"].shift())
    run = (~joins).cumsum()
    found = pieces.groupby(run).agg(case=("case_id", "first"), since=("since", "first"))
    found["until"] = pieces.groupby(run)["next"].nth(-1).to_numpy() if len(pieces) else pd.NaT
    found["until"] = pd.to_datetime(found["until"], utc=True)
    return found.reset_index(drop=True)


def backtest(log: pd.DataFrame, begin: pd.Timestamp, end: pd.Timestamp, zone: str = ZONE) -> set[tuple[str, ...]]:
    """(rule, record, since, until) of every interval, cut to [begin, end)."""
    said = set()
    for name, rule in RULES.items():
        found = intervals(log, rule, zone)
        found["since"] = found["since"].clip(lower=begin)
        found["until"] = found["until"].fillna(end).clip(upper=end)
        for row in found[found["since"] < found["until"]].itertuples():
            said.add((name, f"application/{row.case}", write(row.since), write(row.until)))
    return said


def at(log: pd.DataFrame, moment: pd.Timestamp, zone: str = ZONE) -> set[tuple[str, ...]]:
    """(rule, record, state, since or due) of what holds then, or will hold if nothing more happens."""
    known = log[log["timestamp"] <= moment].reset_index(drop=True)
    said = set()
    for name, rule in RULES.items():
        found = intervals(known, rule, zone)
        for row in found[found["until"].isna()].itertuples():
            state = "holds" if row.since <= moment else "pending"
            said.add((name, f"application/{row.case}", state, write(row.since)))
    return said


def write(time: pd.Timestamp) -> str:
    """A time as the product writes it."""
    return time.tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def main(path: str) -> None:
    """Counts, for people."""
    log = read(Path(path))
    for moment in MOMENTS:
        answers = pd.DataFrame(sorted(at(log, moment)), columns=["rule", "record", "state", "time"])
        print(write(moment), answers.groupby(["rule", "state"]).size().to_dict())
    for zone in (ZONE, "Europe/Amsterdam"):
        cut = backtest(log, pd.Timestamp("2011-10-01T00:00Z"), pd.Timestamp("2012-04-01T00:00Z"), zone)
        print(zone, len(cut), pd.Series([one[0] for one in cut]).value_counts().sort_index().to_dict())


if __name__ == "__main__":
    main(sys.argv[1])
