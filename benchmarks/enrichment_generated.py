"""What the model-free reader gets right on generated companies, whose truth is known.

    python -m benchmarks.enrichment_generated [--seeds 100-105] [--accounts 200] [--accept 0.9] [--wrong]

Reads the descriptions (`document.added`) of generated years. Seeds 100 to 130 are for tuning; 7 to 12 are for
the last look. The descriptions come from a small set of sentence patterns, so the figures show whether the
reader tells a seat from a plant, a customer, an owner or the past; they do not show how well it reads at large
(benchmarks.enrichment_accuracy does).

precision: right answers among those given. coverage: answers given among companies whose description states
the fact. Each with its 95 percent Wilson interval. `accepted`: only answers of at least --accept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from benchmarks.figures import arguments, figure
from enrichment import build_worker
from enrichment.atlas import atlas, plain
from evals.statistics import wilson
from watchtower.contract import Document, FieldRequest, FieldSpec, RecordSnapshot
from watchtower.flow.company import Firmographics, generate

FIELDS = (
    FieldSpec(name="country", type="country"),
    FieldSpec(name="city", type="text"),
    FieldSpec(name="founded_year", type="integer", minimum=1600, maximum=2030),
)
YEAR = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))


@dataclass(frozen=True)
class Company:
    """One generated company: its descriptions in order of arrival, and what is true of it."""

    id: str
    texts: tuple[str, ...]
    facts: Firmographics


@dataclass(frozen=True)
class Answer:
    """One proposal. `stated`: whether the description says the fact at all."""

    field: str
    value: Any
    quote: str
    confidence: float
    method: str
    right: bool
    stated: bool


def companies(seed: int, accounts: int) -> list[Company]:
    """The companies of one seed that have a description."""
    year = generate(seed, accounts=accounts, start=YEAR[0], end=YEAR[1])
    texts: dict[str, dict[str, str]] = {}
    for event in year.events:
        if event.type == "document.added":
            # A doubled event brings the same document again.
            texts.setdefault(event.subject, {})[str(event.data["document"])] = str(event.data["text"])
    facts = year.truth.firmographics
    return [
        Company(f"{seed}:{subject}", tuple(told.values()), facts[subject])
        for subject, told in sorted(texts.items())
        if subject in facts
    ]


def answers(known: Iterable[Company]) -> list[Answer]:
    """What the reader proposes for them, without a model or a classifier."""
    by_id = {company.id: company for company in known}
    requests = [
        FieldRequest(
            id=company.id,
            record=RecordSnapshot(object="account", id=company.id, fields={}),
            fields=FIELDS,
            documents=tuple(
                Document(id=f"d{i}", kind="description", text=text) for i, text in enumerate(company.texts)
            ),
        )
        for company in by_id.values()
    ]
    said = []
    for proposal in build_worker().propose(requests):
        facts = by_id[proposal.request].facts
        truth = getattr(facts, proposal.field)
        value = proposal.value
        right = plain(value) == plain(truth) if proposal.field == "city" else value == truth
        quote, stated = proposal.evidence[0].quote, proposal.field in facts.stated
        said.append(Answer(proposal.field, value, quote, proposal.confidence, proposal.method, right, stated))
    return said


def share(part: int, whole: int) -> str:
    """`.978 [.955, .990] (310/317)`; `-` of nothing."""
    if not whole:
        return "-"
    bounds = wilson(part, whole)
    return f"{part / whole:.3f} [{bounds.low:.3f}, {bounds.high:.3f}] ({part}/{whole})"


def report(known: list[Company], said: list[Answer], accept: float) -> None:
    """Two lines per field: all answers, and those sure enough to be accepted."""
    for spec in FIELDS:
        telling = sum(spec.name in company.facts.stated for company in known)
        for title, floor in (("all", 0.0), ("accepted", accept)):
            given = [a for a in said if a.field == spec.name and a.confidence >= floor]
            right = share(sum(a.right for a in given), len(given))
            covered = share(sum(a.stated for a in given), telling)
            beside = sum(not a.stated for a in given)
            if title == "accepted" and given:
                figure(f"generated companies, {spec.name}: precision", sum(a.right for a in given) / len(given))
                figure(f"generated companies, {spec.name}: coverage", sum(a.stated for a in given) / max(telling, 1))
            print(f"  {spec.name:13} {title:9} precision {right}  coverage {covered}  not stated {beside}")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seeds", default="100-105", help="FIRST-LAST")
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--accept", type=float, default=0.9)
    parser.add_argument("--wrong", action="store_true", help="show the wrong answers with their quotes")
    given = parser.parse_args()
    first, _, last = given.seeds.partition("-")
    known = [
        company for seed in range(int(first), int(last or first) + 1) for company in companies(seed, given.accounts)
    ]
    atlas()
    said = answers(known)
    print(f"seeds {given.seeds}: {len(known)} companies with a description")
    report(known, said, given.accept)
    for answer in said if given.wrong else ():
        if not answer.right:
            print(f"  wrong {answer.field} {answer.value!r} at {answer.confidence}: {answer.quote!r}")


if __name__ == "__main__":
    main()
