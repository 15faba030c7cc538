"""A proposal from outside the workers: asked for by the same plan, decided on by the same acceptance rules.

It comes in under the workers' name, on the layer below the rules. Its request is one of its own, named after `MEANS`:
so it closes nothing that a worker was asked, and no worker's answer closes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from watchtower.contract import Document, Evidence, Proposal
from watchtower.errors import InputError
from watchtower.flow import work
from watchtower.flow.apply import Engine
from watchtower.flow.plan import Means, ask, plan
from watchtower.store import queries
from watchtower.store.database import Connection

MEANS = "mcp"
UNMEASURED = 0.7
"""How sure such a proposal is at most, whatever it says of itself: nobody has measured how often its sender is right.
An acceptance rule that asks for more sends it to a person."""
PER_FIELD = 4
"""Proposals for a field that one request takes, as many as of a worker's answer."""


@dataclass(frozen=True)
class Ruling:
    """What acceptance made of a proposal: accepted, review or refused, and why."""

    status: str
    because: str
    proposal: str = ""


def propose(
    conn: Connection,
    engine: Engine,
    subject: str,
    field: str,
    value: Any,
    *,
    document: str,
    quote: str,
    confidence: float,
    by: str,
    now: datetime,
) -> Ruling:
    """Journal a proposal and decide on it. InputError where nobody wants the field of that record."""
    made = plan(conn, engine, now, limit=1, only=frozenset([subject]), means=Means(MEANS, False), again=timedelta(0))
    request = next((one for one in made.requests if field in {spec.name for spec in one.fields}), None)
    if request is None:
        raise InputError(
            f"{subject}: {field!r:.60} is not wanted of it: no such record or field, it has a value, no document, or "
            "no acceptance rule that decides on it",
            remedy="list_gaps tells what is wanted",
        )
    kind, _, record = subject.partition("/")
    before = [one for one in queries.proposals(conn, subject=(kind, record), field=field, limit=500)
              if one.request == request.id]  # fmt: skip
    if len(before) >= PER_FIELD:
        return Ruling("refused", f"{len(before)} values were proposed for it; more are not looked at")
    ask(conn, made, now)
    # Its number makes it another: a quote that was wrong does not keep the value from coming with a right one.
    proposal = Proposal(
        request=request.id, field=field, value=value, confidence=min(confidence, UNMEASURED),
        evidence=(_evidence(request.documents, document, quote),), method="model", model=f"{by}/{len(before) + 1}",
    )  # fmt: skip
    work.take_proposals(conn, engine, [proposal], now, postponed=[request.id])
    known = {one.id for one in before}
    rows = queries.proposals(conn, subject=(kind, record), field=field, limit=500)
    found = next((one for one in rows if one.request == request.id and one.id not in known), None)
    if found is None:
        return Ruling("refused", "it is not of the form of a proposal")
    return Ruling(found.status, found.because, found.id)


def _evidence(documents: Sequence[Document], name: str, quote: str) -> Evidence:
    """The quote at its first place in the document; where it stands nowhere, a place that acceptance refuses."""
    text = next((doc.text for doc in documents if doc.id == name), "")
    start = max(text.find(quote), 0)
    return Evidence(document=name, quote=quote, start=start, end=start + len(quote))
