"""What people decided in review, as labels: the verdicts themselves, and cases made of them.

    verdicts.jsonl     each verdict on a proposal or an alert: who, when, what, why
    enrichment.jsonl   a case for each value that a person accepted, and for each rejected one whose right value a
                       person or a system has set since
    acceptance.jsonl   each proposal as a case of the acceptance suite: accept, or refuse

A verdict on a proposal about a text that is gone (erased, sealed) makes no case, nor one about a field that evals
do not ask for. Cases of one record stay in one split, whatever else is labelled later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from evals.acceptance import GateCase, Quote
from evals.cases import Case, CaseDocument, CaseInput, Split
from evals.fields import FIELDS, canonical
from watchtower.contract import format_time
from watchtower.store.alerts import CALLED_WRONG
from watchtower.store.rows import ActionRow, AlertRow, DocumentRow, ProposalRow, RecordRow

PERSON = "person:"
KEPT = ("name", "legal_name", "domain", "website")
"""Fields of the record that a case shows: what says which company it is."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One decision of a person. `about` is the id of the proposal or alert."""

    about: str
    kind: Literal["proposal", "alert"]
    record: str
    what: str
    """The field, or the rule."""
    value: Any = None
    verdict: Literal["accept", "reject", "right", "false alarm"]
    by: str
    at: str
    because: str
    confidence: float | None = None
    quotes: tuple[str, ...] = ()
    informed_by_ai: bool = False


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an export holds, and what it left out: how many, by reason."""

    verdicts: tuple[Verdict, ...]
    cases: tuple[Case, ...]
    gate: tuple[GateCase, ...]
    left_out: dict[str, int]


def split_of(record: str) -> Split:
    """The split of all cases of a record: two fifths to tune, the rest in halves to test and hold out."""
    part = int(hashlib.sha256(record.encode()).hexdigest(), 16) % 10
    return "tune" if part < 4 else "test" if part < 7 else "heldout"


def verdict_on_proposal(row: ProposalRow) -> Verdict | None:
    """None where no person decided."""
    if row.status not in ("accepted", "rejected") or not row.decided_by.startswith(PERSON):
        return None
    return Verdict(
        about=row.id,
        kind="proposal",
        record=row.subject,
        what=row.field,
        value=row.value,
        verdict="accept" if row.status == "accepted" else "reject",
        by=row.decided_by.removeprefix(PERSON),
        at=format_time(row.decided_at),
        because=row.because,
        confidence=row.confidence,
        quotes=tuple(str(one["quote"]) for one in row.evidence),
    )


def verdict_on_alert(row: AlertRow, acts: Sequence[ActionRow]) -> Verdict | None:
    """None where no person resolved it, or somebody took that back."""
    ends = [one for one in acts if one.verb in ("resolve", "resolved", "reopen")]
    if row.status != "resolved" or not ends or ends[-1].verb != "resolve":
        return None
    last = ends[-1]
    said = (row.resolution or last.note).strip()
    wrong = said.casefold().startswith(CALLED_WRONG)
    return Verdict(
        about=row.id,
        kind="alert",
        record=row.subject,
        what=row.rule,
        verdict="false alarm" if wrong else "right",
        by=last.actor,
        at=format_time(last.at),
        because=said,
        informed_by_ai=row.ai_informed,
    )


class _Reviewed(msgspec.Struct, frozen=True):
    row: ProposalRow
    verdict: Verdict
    documents: tuple[CaseDocument, ...]
    shown: dict[str, Any]


def _places(documents: Sequence[CaseDocument], row: ProposalRow) -> bool:
    texts = {document.id: document.text for document in documents}
    return bool(row.evidence) and all(
        texts.get(one["document"], "")[one["start"] : one["end"]] == one["quote"] for one in row.evidence
    )


def _expected(one: _Reviewed, record: RecordRow | None) -> Any:
    """The right value as far as it is known, else None."""
    if one.verdict.verdict == "accept":
        return one.row.value
    held = record.state.get(one.row.field) if record is not None else None
    by = record.provenance.get(one.row.field, {}).get("by", "") if record is not None else ""
    spec = FIELDS[one.row.field]
    known = held is not None and by != "ai" and canonical(spec, held) != canonical(spec, one.row.value)
    return held if known else None


def labels_from(
    proposals: Sequence[ProposalRow],
    documents: Mapping[tuple[str, str], Sequence[DocumentRow]],
    records: Mapping[tuple[str, str], RecordRow],
    alerts: Sequence[tuple[AlertRow, Sequence[ActionRow]]],
) -> Labels:
    """Verdicts and cases; `documents` and `records` by (object, record)."""
    left_out: dict[str, int] = {}
    verdicts, cases, gate = [], [], []
    for row in proposals:
        verdict = verdict_on_proposal(row)
        if verdict is None:
            continue
        verdicts.append(verdict)
        key = (row.object, row.record)
        record = records.get(key)
        texts = tuple(
            CaseDocument(id=one.id, text=one.text, kind=one.kind)  # type: ignore[arg-type]
            for one in sorted(documents.get(key, ()), key=lambda one: (one.added_at, one.id))
        )
        fault = "" if row.field in FIELDS else f"{row.object}.{row.field} is no field that evals ask for"
        if not fault and not _places(texts, row):
            fault = "the text it was read from is gone"
        if fault:
            left_out[fault] = left_out.get(fault, 0) + 1
            continue
        shown = {name: record.state[name] for name in KEPT if record is not None and record.state.get(name)}
        one = _Reviewed(row, verdict, texts, shown)
        gate.append(_gate_case(one))
        value = _expected(one, record)
        if value is None or canonical(FIELDS[row.field], value) is None:
            left_out["rejected, and the right value is not known"] = (
                left_out.get("rejected, and the right value is not known", 0) + 1
            )
            continue
        cases.append(_case(one, value))
    for alert, acts in alerts:
        said = verdict_on_alert(alert, acts)
        if said is not None:
            verdicts.append(said)
    return Labels(
        verdicts=tuple(verdicts), cases=tuple(cases), gate=tuple(gate), left_out=dict(sorted(left_out.items()))
    )


def _case(one: _Reviewed, value: Any) -> Case:
    accepted = one.verdict.verdict == "accept"
    return Case(
        id=f"review-{one.row.id}",
        suite="review",
        provenance=f"review by {one.verdict.by}, {one.verdict.at}",
        split=split_of(one.row.subject),
        input=CaseInput(record=one.shown, documents=one.documents),
        expected={one.row.field: value},
        quotes={one.row.field: one.verdict.quotes[0]} if accepted else {},
        inferred=(one.row.field,) if accepted else (),
        tags=("review", one.verdict.verdict),
        group=one.row.subject,
        object=one.row.object,
    )


def _gate_case(one: _Reviewed) -> GateCase:
    return GateCase(
        id=f"review-{one.row.id}",
        provenance=f"review by {one.verdict.by}, {one.verdict.at}",
        input=CaseInput(record=one.shown, documents=one.documents),
        asked=(one.row.field,),
        field=one.row.field,
        value=one.row.value,
        confidence=one.row.confidence,
        evidence=tuple(
            Quote(quote=e["quote"], document=str(e["document"]), start=int(e["start"])) for e in one.row.evidence
        ),
        expected="accept" if one.verdict.verdict == "accept" else "refuse",
        tags=("review",),
        must_pass=False,
    )
