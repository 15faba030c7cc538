"""How long it takes to score recorded cases, and whether scoring them again gives the same bytes.

    python -m benchmarks.eval_scoring [--cases 10000]

Invented cases of the size of real ones (a text of about a thousand characters, four fields, three or four
proposals, 5% of the cases of the same company as another) are written with their recorded answers; then the whole
of `eval score` runs over the folder twice: acceptance by the default rulebook, every figure with its interval, flags,
Markdown and HTML. The peer is reading the same two files alone, with json of the standard library.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

import evals
from benchmarks.figures import arguments, figure
from evals.adapters import load_cases
from evals.cases import suite_hash
from evals.production import rule_layer
from evals.recording import Recorded, recording_key
from evals.report import pretty
from evals.score import RunFacts
from evals.stored import write_cases
from watchtower.contract import Evidence, Proposal
from watchtower.rulebook import DEFAULT, load

NOW = datetime(2026, 3, 2, tzinfo=UTC)
SAME = ("scores.json", "outcomes.jsonl", "report.md", "report.html")
CITIES = (("Turin", "Italy", "IT"), ("Lyon", "France", "FR"), ("Bergen", "Norway", "NO"), ("Porto", "Portugal", "PT"))
WORDS = [
    "valves",
    "pumps",
    "ledgers",
    "boats",
    "filters",
    "paper",
    "glass",
    "seeds",
    "looms",
    "drones",
    "clocks",
    "bread",
    "cables",
    "tiles",
    "ferries",
]


def write_run(folder: Path, count: int, seed: int = 0) -> None:
    """A recorded run of `count` cases, as `eval enrichment` would leave it."""
    draw = random.Random(seed)
    lines, answers = [], []
    for number in range(count):
        city, country, code = draw.choice(CITIES)
        year, staff = draw.randint(1850, 2024), draw.randint(5, 5000)
        filler = " ".join(draw.choices(WORDS, k=120))
        text = f"Firm {number} makes {filler}. It is headquartered in {city}, {country}, was founded in {year} and "
        text += f"has {staff} employees. It also sells {' '.join(draw.choices(WORDS, k=30))}."
        lines.append({
            "id": f"c{number}", "suite": "scoring", "provenance": "invented", "split": "test",
            "tags": [draw.choice(["plain", "stale", "language"])], "group": f"g{number - number % 20 // 19}",
            "input": {"record": {"name": f"Firm {number}"}, "documents": [{"text": text}]},
            "expected": {"city": city, "country": code, "founded_year": year, "employees": staff},
        })  # fmt: skip
        said = []
        for field, value, words in (
            ("city", city, city), ("country", code, country), ("founded_year", year, f"in {year}"),
            ("employees", staff, f"{staff} employees"),
        ):  # fmt: skip
            if draw.random() < 0.1:
                continue
            wrong = draw.random() < 0.07
            start = text.index(words)
            quote = Evidence(document=f"c{number}:0", quote=words, start=start, end=start + len(words))
            said.append(
                Proposal(
                    request=f"c{number}",
                    field=field,
                    value=("Oslo" if field == "city" else "ES" if field == "country" else 1900) if wrong else value,
                    confidence=round(draw.betavariate(8, 1), 4),
                    evidence=(quote,),
                    method="model",
                )
            )
        answers.append(tuple(said))
    path = folder / "given.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    cases = load_cases(path)
    write_cases(folder, cases)
    with (folder / "run.jsonl").open("wb") as file:
        for case, said_of in zip(cases, answers, strict=True):
            one = Recorded(key=recording_key(case, {"class": "invented"}), case=case.id, proposals=said_of, seconds=0.5)
            file.write(msgspec.json.encode(one) + b"\n")
    facts = RunFacts(
        cases_file="given.jsonl", suite_hash=suite_hash(cases), cases=count, limit=None, seed=0, splits=(),
        masked=False, worker={"class": "invented"}, methods=(), models=(), prompts=(), accept="",
    )  # fmt: skip
    (folder / "manifest.json").write_bytes(pretty({"run": facts, "at": "2026-03-02T00:00:00Z"}))


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    given = parser.parse_args()
    accept = rule_layer(load(DEFAULT).rulebook)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_run(folder, given.cases)
        began = time.perf_counter()
        for file in ("cases.jsonl", "run.jsonl"):
            for line in (folder / file).read_text().splitlines():
                json.loads(line)
        reading = time.perf_counter() - began
        took, bytes_ = [], []
        for _ in range(2):
            began, cpu = time.perf_counter(), time.process_time()
            scores = evals.score_run(folder, now=NOW, accept=accept)
            took.append((time.perf_counter() - began, time.process_time() - cpu))
            bytes_.append([(folder / file).read_bytes() for file in SAME])
    whole, busy = took[0]
    figure(
        f"{scores.run.cases:,} recorded cases scored", whole, "s", better="lower",
        aim=30, peer="reading the files", of_peer=whole / reading, bound=True,
    )  # fmt: skip
    print(f"{scores.run.cases} recorded cases scored in {whole:.1f} s ({busy:.1f} s of processor), "
          f"{whole / reading:.0f} times reading them ({reading:.2f} s)")  # fmt: skip
    print(f"again in {took[1][0]:.1f} s: {'the same bytes' if bytes_[0] == bytes_[1] else 'OTHER BYTES'}")


if __name__ == "__main__":
    main()
