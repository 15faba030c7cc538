"""What the weekly budget of a family needs to know, and what it holds back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

DECIDED = "decided"
"""The key under which a signal of a family keeps what was decided on it: state, family, owner, because."""
TOLD, HELD, CONTINUED = "told", "held", "continued"


class StoredClaim(NamedTuple):
    """What the looks since a time have said for one signal on one record."""

    name: str
    subject: str
    p_value: float
    """The least."""
    strength: float
    owner: str
    told: bool


class HeldSignal(NamedTuple):
    """A signal that was raised and is read by no rule, with the reason."""

    name: str
    subject: str
    family: str
    p_value: float
    because: str
    raised_at: datetime


_CLAIMS = text(
    """
    select name, object || '/' || record as subject, min((data ->> 'p_value')::float8) as p_value,
      max((data ->> 'strength')::float8) as strength,
      coalesce(max(data -> 'decided' ->> 'owner') filter (where data -> 'decided' ->> 'state' = 'told'),
        max(data -> 'decided' ->> 'owner')) as owner,
      bool_or(data -> 'decided' ->> 'state' = 'told') as told
    from signal
    where raised_at >= :since and data -> 'decided' ->> 'family' = :family
    group by name, object, record
    having bool_or(data -> 'decided' ->> 'state' <> 'continued')
    order by name, object, record
    """
)
_TESTED = text(
    """
    select distinct on (record) record as name, (data ->> 'tested')::float8 as tested
    from journal where object = 'signal' and record = any(:names) and type = 'signal.answered'
      and jsonb_typeof(data -> 'tested') = 'number'
    order by record, time desc, seq desc
    """
).bindparams(bindparam("names", type_=ARRAY(Text)))
_LIVING = text("select count(*) from record where object = :object and deleted_at is null")
_HELD = text(
    """
    select name, object || '/' || record as subject, data -> 'decided' ->> 'family' as family,
      (data ->> 'p_value')::float8 as p_value, data -> 'decided' ->> 'because' as because, raised_at
    from (
      select distinct on (name, object, record) name, object, record, raised_at, data from signal
      where raised_at >= :since and jsonb_exists(data, 'decided')
      order by name, object, record, raised_at desc, id) as last
    where data -> 'decided' ->> 'state' = 'held'
    order by p_value, name, object, record
    """
)


def claims_since(conn: Connection, family: str, since: datetime) -> list[StoredClaim]:
    """The claims of a family that were new since this time, those that were held back among them."""
    return [StoredClaim(*row) for row in conn.execute(_CLAIMS, {"family": family, "since": since})]


def last_tested(conn: Connection, names: Sequence[str]) -> dict[str, int]:
    """How many records the last look for each signal that said so judged, by the detector's word."""
    return {row.name: max(0, int(row.tested)) for row in conn.execute(_TESTED, {"names": list(names)})}


def living(conn: Connection, object_name: str) -> int:
    """How many records of an object there are."""
    return int(conn.execute(_LIVING, {"object": object_name}).scalar_one())


def held_since(conn: Connection, since: datetime) -> list[HeldSignal]:
    """The signals whose last word since this time is that they are held back, the strangest first."""
    return [HeldSignal(*row) for row in conn.execute(_HELD, {"since": since})]
