"""What enrichment gets right on companies it was not tuned on.

    python -m benchmarks.enrichment_accuracy DATA [--model GGUF] [--rows 100] [--model-rows 25]

DATA is the folder that holds firmographics_1500.jsonl. Rules, patterns, prompt and confidences were tuned on
rows 0 to 499 in file order; the last 500 rows are held out and only read here: the first `--rows` of them for
country, city and year, all of them for the sector, whose classifier is trained on the first 1,000. Everything
is scored twice: as it is, and with the company's name masked, to tell reading from memory.

precision: right answers among those given. coverage: answers given among rows whose key has the field.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np

from enrichment import build_worker, local_endpoint
from enrichment.atlas import atlas, plain
from enrichment.text import sentences
from enrichment.worker import Worker
from watchtower.contract import Document, FieldRequest, FieldSpec, RecordSnapshot

Row = dict[str, Any]
FIELDS = (
    FieldSpec(name="city", type="text"),
    FieldSpec(name="country", type="country"),
    FieldSpec(name="founded_year", type="integer", minimum=1600, maximum=2030),
)
TELLING = re.compile(r"headquarter|\bbased in\b|founded in|incorporated in|established in")


def masked(row: Row) -> str:
    """The summary without the company's names."""
    text = str(row["summary"])
    for name in sorted(filter(None, (row["long_name"], row["short_name"])), key=len, reverse=True):
        text = re.sub(re.escape(name), "The company", text, flags=re.I)
    return text


def untold(row: Row) -> str:
    """The summary without the sentences that state seat and year: whatever is then said of them is invented."""
    text = str(row["summary"])
    return " ".join(text[a:b] for a, b in sentences(text) if not TELLING.search(text[a:b]))


def key(row: Row) -> dict[str, Any]:
    return {
        "city": row["city"] and re.sub(r"[ -](?:city|si)$", "", plain(row["city"])),
        "country": row["country"] and atlas().country(row["country"]),
        "founded_year": row["founded_year"],
    }


def score(worker: Worker, rows: list[Row], text_of: Any, title: str) -> None:
    """One line per field: precision and coverage, and the methods that answered."""
    record = RecordSnapshot(object="account", id="A", fields={})
    requests = [
        FieldRequest(
            id=str(i),
            record=record,
            fields=FIELDS,
            documents=(Document(id="d", kind="description", text=text_of(row)),),
        )
        for i, row in enumerate(rows)
    ]
    before = dict(worker.counts)
    began = time.perf_counter()
    said = list(worker.propose(requests))
    spent = (time.perf_counter() - began) / len(rows)
    print(f"\n{title}: {len(rows)} rows, {1000 * spent:.1f} ms a row")
    for spec in FIELDS:
        keyed = [i for i, row in enumerate(rows) if key(row)[spec.name]]
        given = {int(p.request): p for p in said if p.field == spec.name and int(p.request) in keyed}
        right = 0
        for i, proposal in given.items():
            value = proposal.value
            if spec.name == "city":
                value = re.sub(r"[ -](?:city|si)$", "", plain(value))
            right += value == key(rows[i])[spec.name]
        methods = {m: sum(p.method == m for p in given.values()) for m in ("pattern", "gazetteer", "model")}
        share = f"{right / len(given):.3f}" if given else "-"
        print(
            f"  {spec.name:13} precision {share} ({right}/{len(given)})  coverage {len(given) / len(keyed):.3f} "
            f"({len(given)}/{len(keyed)})  {methods}"
        )
    print(
        " ",
        {name: n - before.get(name, 0) for name, n in sorted(worker.counts.items()) if n != before.get(name)},
    )


def sector(rows: list[Row]) -> None:
    """Accuracy and calibration of the sector classifier on the last 500 rows."""
    from enrichment.learning import fit

    train, test = rows[:1000], rows[-500:]
    began = time.perf_counter()
    fitted = fit([str(row["summary"]) for row in train], [row["sector"] for row in train])
    assert fitted is not None
    print(
        f"\nsector: trained on {fitted.rows} rows in {time.perf_counter() - began:.1f} s, {len(fitted.labels)} labels"
    )
    for title, text_of in (("as is", lambda row: row["summary"]), ("name masked", masked)):
        began = time.perf_counter()
        said = [fitted.predict(text_of(row)) for row in test]
        spent = (time.perf_counter() - began) / len(test)
        right = np.array([v is not None and v.label == row["sector"] for v, row in zip(said, test, strict=True)])
        sure = np.array([v.probability if v else 0.0 for v in said])
        bins = np.clip((sure * 10).astype(int), 0, 9)
        gap = sum(abs(right[bins == b].mean() - sure[bins == b].mean()) * (bins == b).mean() for b in set(bins))
        print(
            f"  {title:12} accuracy {right.mean():.3f}  mean probability {sure.mean():.3f}  calibration error {gap:.3f}"
            f"  at p >= .9: {right[sure >= 0.9].mean():.3f} of {(sure >= 0.9).sum()}  {1000 * spent:.1f} ms a row"
        )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--model", type=Path, default=None)
    arguments.add_argument("--rows", type=int, default=100)
    arguments.add_argument("--model-rows", type=int, default=25)
    given = arguments.parse_args()
    lines = (given.data / "firmographics_1500.jsonl").read_text("utf-8").splitlines()
    rows: list[Row] = [json.loads(line) for line in lines]
    held_out = rows[-500:]
    plainly = build_worker()
    atlas()
    for title, text_of in (
        ("as is", lambda row: row["summary"]),
        ("name masked", masked),
        ("seat and year untold", untold),
    ):
        score(plainly, held_out[: given.rows], text_of, f"without a model, {title}")
    sector(rows)
    if given.model is None:
        return
    with local_endpoint(given.model) as endpoint:
        worker = build_worker(endpoint=endpoint, seconds=180)
        some = held_out[: given.model_rows]
        score(worker, some, lambda row: row["summary"], f"waterfall with {endpoint.model}, as is")
        score(worker, some, untold, f"waterfall with {endpoint.model}, seat and year untold")


if __name__ == "__main__":
    main()
