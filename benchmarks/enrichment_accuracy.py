"""What enrichment gets right on companies it was not tuned on, beside its baselines.

    python -m benchmarks.enrichment_accuracy DATA [--model GGUF] [--rows 500] [--model-rows 10]

DATA is the folder that holds firmographics_1500.jsonl (1,500 listed companies) and wikipedia_companies_third.csv.
Patterns, prompt, weights and confidences were tuned on rows 0 to 999 in file order; the last 500 are only read here.
Everything is scored as it is and with the company's name masked, to tell reading from memory; places and years also
with the sentences that state them taken out: whatever is then filled is invented.

precision: right among the answers given. coverage: answers given among the rows whose key has the field. accepted:
answers sure enough for the default acceptance rules (.9). Intervals are Wilson's, 95 percent.

There are no labels for the business model in these data: it is not measured.
"""

from __future__ import annotations

import csv
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from benchmarks import enrichment_baselines as baselines
from benchmarks.figures import arguments, figure
from benchmarks.firmographics import FIELDS, TUNED, Row, as_is, companies, key, line, masked, settled, share, untold
from enrichment import build_worker, local_endpoint
from enrichment.atlas import atlas
from enrichment.grounding import follows, intact
from enrichment.learning import from_descriptions, study
from enrichment.quality import coverage_at, precision_at
from enrichment.worker import Worker
from watchtower.contract import Document, FieldRequest, FieldSpec, Proposal, RecordSnapshot

EMPLOYEES = FieldSpec(name="employees", type="integer", minimum=1)
ACCEPT = 0.9


def proposed(worker: Worker, texts: Sequence[str], fields: Sequence[FieldSpec]) -> list[dict[str, Proposal]]:
    """Per text, the surest proposal of each field. Fails where one of those to accept is not truly quoted."""
    documents = [Document(id="d", kind="description", text=text) for text in texts]
    record = RecordSnapshot(object="account", id="A", fields={})
    requests = [
        FieldRequest(id=str(i), record=record, fields=tuple(fields), documents=(d,)) for i, d in enumerate(documents)
    ]
    found: list[dict[str, Proposal]] = [{} for _ in texts]
    for one in worker.propose(requests):
        spec = next(spec for spec in fields if spec.name == one.field)
        document = documents[int(one.request)]
        if one.confidence >= ACCEPT and not all(
            intact(e, document) and follows(spec, one.value, e.quote) for e in one.evidence
        ):
            raise AssertionError(f"row {one.request}: {one.field} {one.value!r} is not in its quote {one.evidence}")
        held = found[int(one.request)].get(one.field)
        if held is None or held.confidence < one.confidence:
            found[int(one.request)][one.field] = one
    return found


def places_and_years(tuned: list[Row], rows: list[Row]) -> None:
    """Country, city and founding year, as they are, masked, and untold; the baselines beside them."""
    worker = build_worker()
    for title, text_of in (("as is", as_is), ("name masked", masked), ("seat and year untold", untold)):
        texts = [text_of(row) for row in rows]
        began = time.perf_counter()
        found = proposed(worker, texts, FIELDS)
        print(f"\n{title}: {len(rows)} companies, {1000 * (time.perf_counter() - began) / len(rows):.1f} ms each")
        for spec in FIELDS:
            field, right = spec.name, [key(row, spec.name) for row in rows]
            print(f"  {field}")
            said = [one.get(field) for one in found]
            if text_of is untold:
                sure = sum(p is not None and p.confidence >= ACCEPT for p in said)
                print(f"    filled although taken out: accepted {share(sure, len(rows))}, "
                      f"proposed to a person {share(sum(p is not None for p in said) - sure, len(rows))}")  # fmt: skip
                continue
            line("accepted", [settled(field, p.value) if p and p.confidence >= ACCEPT else None for p in said], right)
            line("all proposals", [settled(field, p.value) if p else None for p in said], right)
            line("the commonest value", baselines.majority([key(r, field) for r in tuned], texts), right)
            if field == "country":
                line("gazetteer: first country named", baselines.first_country(texts), right)
                line("gazetteer: last country named", baselines.last_country(texts), right)
            elif field == "city":
                line("gazetteer: last city named", [settled(field, c) for c in baselines.last_city(texts)], right)
            else:
                line("earliest number like a year", baselines.first_year(texts), right)
    print("\naccepted values without a true quote: 0 (the run ends at the first)")


def categories(tuned: list[Row], rows: list[Row]) -> None:
    """Sector and industry: the committee with and without the finer field, descriptions alone, and baselines."""
    learning: list[tuple[str, str, Callable[[Row], str | None]]] = [
        ("sector, with industry as finer field", "sector", lambda row: row["industry"]),
        ("sector", "sector", lambda row: None),
        ("industry", "industry", lambda row: None),
    ]
    for title, field, finer in learning:
        began = time.perf_counter()
        learnt = study([as_is(r) for r in tuned], [r[field] for r in tuned], [finer(r) for r in tuned])
        assert learnt is not None
        fitted = learnt.classifier
        print(f"\n{title}: learnt from {fitted.rows} rows in {time.perf_counter() - began:.1f} s, "
              f"{len(fitted.labels)} labels, cross-validated accuracy {fitted.accuracy:.3f}")  # fmt: skip
        for how, text_of in (("as is", as_is), ("name masked", masked)):
            shares = fitted.probabilities([text_of(row) for row in rows])
            judged(how, [fitted.labels[i] for i in shares.argmax(axis=1)], shares.max(axis=1), rows, field)
        texts = [as_is(row) for row in rows]
        if title == "sector":
            known = from_descriptions(fitted.labels)
            assert known is not None
            shares = known.probabilities(texts)
            judged("no labels: descriptions", [known.labels[i] for i in shares.argmax(axis=1)], shares.max(axis=1),
                   rows, field)  # fmt: skip
        if title != "sector, with industry as finer field":
            said, margins = baselines.tfidf([as_is(r) for r in tuned], [r[field] for r in tuned], texts)
            judged("TF-IDF, one machine", said, margins, rows, field)
            most = baselines.majority([r[field] for r in tuned], texts)
            right = sum(m == r[field] for m, r in zip(most, rows, strict=True))
            print(f"    {'the commonest label':26} accuracy {share(right, len(rows))}")


def judged(how: str, said: Sequence[str], sure: Any, rows: list[Row], field: str) -> None:
    """Accuracy at full coverage, precision at coverage .6, coverage at precision .9, and calibration."""
    right = np.array([label == row[field] for label, row in zip(said, rows, strict=True)])
    gap = ""
    if sure.max() <= 1 and sure.min() > 0:
        bins = np.clip((sure * 10).astype(int), 0, 9)
        off = sum(
            abs(right[bins == b].mean() - sure[bins == b].mean()) * (bins == b).mean() for b in set(bins.tolist())
        )
        gap = f"  calibration error {off:.3f}"
    at_60, at_90 = precision_at(sure, right, 0.6), coverage_at(sure, right, 0.9).coverage
    figure(f"{field} of held-out companies, {how}: accuracy", float(right.mean()))
    print(
        f"    {how:26} accuracy {share(int(right.sum()), len(right))}  precision at coverage .6 {at_60:.3f}"
        f"  coverage at precision .9 {at_90:.3f}{gap}"
    )


def employees(path: Path) -> None:
    """Headcount on the second half of the Wikipedia descriptions (the first was for tuning); labels partly wrong."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = [row for row in csv.DictReader(file) if row["employees"].isdigit() and int(row["employees"]) > 0]
    tuned, lines = lines[: len(lines) // 2], lines[len(lines) // 2 :]
    found = proposed(build_worker(), [row["description"] for row in lines], (EMPLOYEES,))
    pairs = [(int(p["employees"].value), int(row["employees"])) for p, row in zip(found, lines, strict=True) if p]
    near = sum(abs(said - gold) <= 0.1 * gold for said, gold in pairs)
    exact = sum(said == gold for said, gold in pairs)
    print(f"\nemployees: {len(lines)} descriptions, read in {len(pairs)} (coverage {len(pairs) / len(lines):.3f})")
    print(f"    the key's number {share(exact, len(pairs))}, within a tenth of it {share(near, len(pairs))}")
    banded = sum(band(said) == band(gold) for said, gold in pairs)
    print(f"    the key's size class {share(banded, len(pairs))}")
    commonest = Counter(band(int(row["employees"])) for row in tuned).most_common(1)[0][0]
    alike = sum(band(int(row["employees"])) == commonest for row in lines)
    print(f"    the commonest size class, always {share(alike, len(lines))}")
    texts, said = [row["description"] for row in tuned], [str(band(int(row["employees"]))) for row in tuned]
    told, sure = baselines.tfidf(texts, said, [row["description"] for row in lines])
    right = np.array([one == str(band(int(row["employees"]))) for one, row in zip(told, lines, strict=True)])
    print(
        f"    TF-IDF, one machine: size class {share(int(right.sum()), len(lines))}, at coverage .16 precision "
        f"{precision_at(sure, right, 0.16):.3f}"
    )


CLASSES = (11, 51, 201, 501, 1001, 5001, 10001, 50001, 100001)
"""Where the next size class begins."""


def band(number: int) -> int:
    """The size class of a headcount."""
    return sum(number >= least for least in CLASSES)


def with_model(gguf: Path, rows: list[Row]) -> None:
    """The language model alone, and the waterfall with it, on a few rows."""
    with local_endpoint(gguf) as endpoint:
        baselines.ask(endpoint, rows)
        found = proposed(build_worker(endpoint=endpoint, seconds=300), [untold(row) for row in rows], FIELDS)
        filled = sum(p.confidence >= ACCEPT for one in found for p in one.values())
        print(f"    waterfall, seat and year untold: {filled} of {len(FIELDS) * len(rows)} fields accepted")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path, default=None, help="a GGUF file: measure the language model, too")
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--learn", type=int, default=TUNED, help="rows that categories are learnt from")
    parser.add_argument("--model-rows", type=int, default=10)
    given = parser.parse_args()
    rows = companies(given.data)
    tuned, held_out = rows[: given.learn], rows[-500:][: given.rows]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    atlas()
    places_and_years(tuned, held_out)
    employees(given.data / "wikipedia_companies_third.csv")
    categories(tuned, held_out)
    if given.model is not None:
        with_model(given.model, held_out[: given.model_rows])


if __name__ == "__main__":
    main()
