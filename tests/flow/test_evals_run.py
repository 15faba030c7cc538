"""A run from end to end, with a plain worker that is real: patterns over the text."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

import evals
from evals.cases import read_cases
from evals.compare_render import render_comparison
from evals.decision import VerbatimAndConfident
from evals.identity import source_hash
from watchtower.contract import Document, Evidence, FieldRequest, Proposal
from watchtower.errors import Missing

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "evals" / "cases" / "enrichment"
FIRMOGRAPHICS = ROOT.parent / "shared" / "data" / "firmographics" / "firmographics_1500.jsonl"
OWN_CASES = sum(case.split != "tune" for case in read_cases(OWN))
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

needs_firmographics = pytest.mark.skipif(
    not FIRMOGRAPHICS.exists(), reason="the firmographics are not beside the project (../shared/data)"
)

SEAT = re.compile(r"(?:headquartered|based) in ([A-Z][\w .'-]+?), (?:the )?([A-Z][\w ']+?)(?=[.,;]| and )")
YEAR = re.compile(r"(?:founded|incorporated|established) in (\d{4})")


class Patterns:
    """Reads the last seat and the last founding year that the text states."""

    def __init__(self, confidence: float = 0.9, skip: frozenset[str] = frozenset()) -> None:
        self.confidence = confidence
        self.skip = skip
        self.asked: list[str] = []

    @property
    def identity(self) -> dict[str, str]:
        return {"version": "1", "skip": ",".join(sorted(self.skip))}

    def propose(self, requests: Iterable[FieldRequest]) -> Iterator[Proposal]:
        for request in requests:
            self.asked.append(request.id)
            for field in request.fields:
                for document in request.documents:
                    yield from self._read(request, field.name, document)

    def _read(self, request: FieldRequest, field: str, document: Document) -> Iterator[Proposal]:
        pattern, group = {"city": (SEAT, 1), "country": (SEAT, 2), "founded_year": (YEAR, 1)}.get(field, (None, 0))
        if pattern is None or request.id in self.skip:
            return
        found = list(pattern.finditer(document.text))
        if found:
            start, end = found[-1].span(group)
            quote = Evidence(document=document.id, quote=document.text[start:end], start=start, end=end)
            yield Proposal(
                request=request.id,
                field=field,
                value=int(quote.quote) if field == "founded_year" else quote.quote,
                confidence=self.confidence,
                evidence=(quote,),
                method="pattern",
            )


def run(out: Path, worker: Patterns | None, cases: Path = OWN, **more: object) -> evals.Scores:
    return evals.run_enrichment(cases, out, worker=worker, now=NOW, **more)  # type: ignore[arg-type]


def test_a_run_scores_each_field_and_writes_every_report(tmp_path: Path) -> None:
    scores = run(tmp_path, Patterns())
    country = scores.fields["country"].metrics
    assert country["precision"].value is not None and country["precision"].value > 0.7
    assert country["accuracy"].low < (country["accuracy"].value or 0) < country["accuracy"].high
    assert scores.run.methods == ("pattern",)
    for name in ("run.jsonl", "manifest.json", "scores.json", "outcomes.jsonl", "report.md", "report.html"):
        assert (tmp_path / name).stat().st_size > 0, name
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(evals.render_terminal(scores))
    assert "where stated" in console.export_text()


def test_the_figures_equal_a_count_by_hand(tmp_path: Path) -> None:
    cases = tmp_path / "cases.jsonl"
    rows = [
        ("right", "It is headquartered in Oslo, Norway.", "Oslo"),
        ("wrong", "It was headquartered in Bergen, Norway. It moved to Oslo.", "Oslo"),
        ("missed", "Our seat is Oslo.", "Oslo"),
        ("invented", "A rival is based in Oslo, Norway.", None),
        ("rightly empty", "We bake.", None),
    ]
    cases.write_text(
        "".join(
            json.dumps(
                {
                    "id": ident,
                    "suite": "s",
                    "provenance": "this test",
                    "split": "test",
                    "input": {"record": {"name": "N"}, "documents": [{"text": text}]},
                    "expected": {"city": city},
                }
            )
            + "\n"
            for ident, text, city in rows
        )
    )
    city = run(tmp_path / "out", Patterns(), cases).fields["city"].metrics
    counts = {name: (metric.hits, metric.of) for name, metric in city.items()}
    assert counts["accuracy"] == (2, 5)
    assert counts["coverage"] == (2, 3)
    assert counts["precision"] == (1, 3)
    assert counts["abstention"] == (1, 2)
    assert counts["grounding"] == (3, 3)
    assert city["calibration error"].value == pytest.approx(0.9 - 1 / 3)
    assert city["calibration error"].better == "lower"


def test_a_second_run_asks_nothing_and_writes_the_same_bytes(tmp_path: Path) -> None:
    run(tmp_path, Patterns())
    names = ("scores.json", "outcomes.jsonl", "report.md", "report.html", "run.jsonl")
    first = {name: (tmp_path / name).read_bytes() for name in names}
    again = Patterns()
    evals.run_enrichment(OWN, tmp_path, worker=again, now=NOW + timedelta(days=9))
    assert again.asked == []
    assert {name: (tmp_path / name).read_bytes() for name in names} == first


def test_two_runs_in_two_folders_score_the_same_bytes(tmp_path: Path) -> None:
    run(tmp_path / "a", Patterns())
    run(tmp_path / "b", Patterns())
    assert (tmp_path / "a/scores.json").read_bytes() == (tmp_path / "b/scores.json").read_bytes()


def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """kill -9 in the middle; then the same run elsewhere without a kill: the scores are the same bytes."""
    script = (
        "import sys, time; sys.path[:0] = sys.argv[1:3]\n"
        "from test_evals_run import *\n"
        "class Slow(Patterns):\n"
        "    def _read(self, *given):\n"
        "        time.sleep(0.01); yield from super()._read(*given)\n"
        "Slow.__module__, Slow.__qualname__ = Patterns.__module__, Patterns.__qualname__\n"
        "run(Path(sys.argv[3]), Slow())\n"
    )
    broken = tmp_path / "broken"
    child = subprocess.Popen([sys.executable, "-c", script, str(ROOT), str(Path(__file__).parent), str(broken)])
    path = broken / "run.jsonl"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (path.exists() and path.read_bytes().count(b"\n") >= 5):
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    kept = path.read_bytes().count(b"\n")
    with path.open("ab") as file:
        file.write(b'{"key":"half a li')  # what a power cut leaves
    resumed = Patterns()
    told: list[tuple[int, int]] = []
    run(broken, resumed, progress=lambda done, total, case: told.append((done, total)))
    run(tmp_path / "whole", Patterns())
    assert 5 <= kept < OWN_CASES
    assert len(resumed.asked) == OWN_CASES - kept == len(told)
    assert told[-1] == (OWN_CASES, OWN_CASES)
    assert (broken / "scores.json").read_bytes() == (tmp_path / "whole/scores.json").read_bytes()


def test_recorded_answers_are_scored_anew_under_another_rule(tmp_path: Path) -> None:
    before = run(tmp_path, Patterns(confidence=0.7))
    assert before.fields["country"].metrics["coverage"].value == 0.0
    after = run(tmp_path, None, accept=VerbatimAndConfident(accept_at=0.6))
    assert (after.fields["country"].metrics["coverage"].value or 0) > 0.4


def test_scoring_anew_what_was_never_run_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="Run with a worker first"):
        run(tmp_path, None)
    run(tmp_path, Patterns())
    with pytest.raises(Missing, match=f"{OWN_CASES} of {OWN_CASES} cases are not recorded"):
        run(tmp_path, None, mask=True)


def test_another_identity_of_the_worker_is_asked_anew(tmp_path: Path) -> None:
    run(tmp_path, Patterns())
    other = Patterns(skip=frozenset({"plain-vellaro"}))
    scores = run(tmp_path, other)
    assert len(other.asked) == OWN_CASES
    assert "plain-vellaro" in scores.must_pass.failed


def test_what_cannot_be_seen_on_a_worker_is_told_and_asks_anew(tmp_path: Path) -> None:
    run(tmp_path, Patterns(), identity={"labels": "a"})
    same, other = Patterns(), Patterns()
    run(tmp_path, same, identity={"labels": "a"})
    run(tmp_path, other, identity={"labels": "b"})
    assert (len(same.asked), len(other.asked)) == (0, OWN_CASES)


def test_a_change_of_the_workers_source_is_another_worker(tmp_path: Path) -> None:
    package = tmp_path / "some_worker_of_ours"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "reading.py").write_text("LIMIT = 1\n")
    sys.path.insert(0, str(tmp_path))
    try:
        __import__("some_worker_of_ours.reading")
        before = source_hash("some_worker_of_ours.reading")
        assert before == source_hash("some_worker_of_ours.reading")
        (package / "reading.py").write_text("LIMIT = 2\n")
        assert source_hash("some_worker_of_ours.reading") != before
    finally:
        sys.path.remove(str(tmp_path))


def test_a_worker_that_fails_keeps_what_was_answered_before(tmp_path: Path) -> None:
    class Failing(Patterns):
        def propose(self, requests: Iterable[FieldRequest]) -> Iterator[Proposal]:
            for number, proposal in enumerate(super().propose(requests)):
                if number == 10:
                    raise ConnectionError("the model went away")
                yield proposal

    with pytest.raises(ConnectionError):
        run(tmp_path, Failing())
    kept = (tmp_path / "run.jsonl").read_bytes().count(b"\n")
    assert 2 <= kept <= 10


def test_answers_to_what_was_not_asked_count_for_nothing(tmp_path: Path) -> None:
    class Talkative(Patterns):
        def propose(self, requests: Iterable[FieldRequest]) -> Iterator[Proposal]:
            for request in requests:
                yield from super().propose([request])
                blank = {"value": "x", "confidence": float("nan"), "evidence": (), "method": "model"}
                yield Proposal(request=request.id, field="credit_card", **blank)  # type: ignore[arg-type]
                yield Proposal(request="nobody asked", field="city", **blank)  # type: ignore[arg-type]

    quiet = run(tmp_path / "quiet", Patterns())
    loud = run(tmp_path / "loud", Talkative())
    assert loud.unasked == 2 * OWN_CASES
    assert loud.fields == quiet.fields


def test_an_ungrounded_quote_is_refused_and_lowers_the_grounding_rate(tmp_path: Path) -> None:
    class Inventing(Patterns):
        def _read(self, request: FieldRequest, field: str, document: Document) -> Iterator[Proposal]:
            for proposal in super()._read(request, field, document):
                one = proposal.evidence[0]
                shifted = Evidence(document=one.document, quote=one.quote, start=one.start + 1, end=one.end + 1)
                yield Proposal(
                    request=proposal.request,
                    field=proposal.field,
                    value=proposal.value,
                    confidence=1.0,
                    evidence=(shifted,),
                    method="model",
                )

    scores = run(tmp_path, Inventing())
    assert scores.overall.metrics["grounding"].value == 0.0
    assert scores.overall.metrics["coverage"].value == 0.0
    assert "not in the text" in (tmp_path / "report.html").read_text()


@needs_firmographics
def test_the_firmographics_are_sampled_from_the_rows_held_out(tmp_path: Path) -> None:
    worker = Patterns()
    scores = run(tmp_path, worker, FIRMOGRAPHICS, limit=100, seed=3)
    held_out = [json.loads(line)["company_id"] for line in FIRMOGRAPHICS.read_text().splitlines()[1000:]]
    assert scores.run.cases == 100 == len(set(worker.asked))
    assert set(worker.asked) <= set(held_out)
    assert scores.stated["city"].cases <= scores.fields["city"].cases
    assert (scores.stated["founded_year"].metrics["coverage"].value or 0) > 0.8


@needs_firmographics
def test_a_worker_that_knows_names_by_heart_falls_when_they_are_masked(tmp_path: Path) -> None:
    known = {row["long_name"]: row["city"] for row in map(json.loads, FIRMOGRAPHICS.read_text().splitlines())}

    class ByHeart(Patterns):
        def _read(self, request: FieldRequest, field: str, document: Document) -> Iterator[Proposal]:
            city = known.get(request.record.fields.get("name", ""))
            if field == "city" and city and city in document.text:
                start = document.text.index(city)
                quote = Evidence(document=document.id, quote=city, start=start, end=start + len(city))
                yield Proposal(
                    request=request.id, field=field, value=city, confidence=1.0, evidence=(quote,), method="m"
                )

    open_ = run(tmp_path / "open", ByHeart(), FIRMOGRAPHICS, limit=60)
    shut = run(tmp_path / "shut", ByHeart(), FIRMOGRAPHICS, limit=60, mask=True)
    assert (open_.fields["city"].metrics["accuracy"].value or 0) > 0.9
    assert shut.fields["city"].metrics["accuracy"].value == 0.0


def test_comparing_a_run_with_itself_finds_nothing_but_the_failed_must_pass_cases(tmp_path: Path) -> None:
    scores = run(tmp_path / "a", Patterns())
    comparison = evals.compare(tmp_path / "a", tmp_path / "a")
    assert comparison.regressions == ()
    assert comparison.must_pass_failed == scores.must_pass.failed
    assert comparison.newly_failed == ()
    assert comparison.exit_code == (1 if scores.must_pass.failed else 0)


@needs_firmographics
def test_a_worker_that_lost_a_fifth_of_its_answers_is_a_regression(tmp_path: Path) -> None:
    run(tmp_path / "before", Patterns(), FIRMOGRAPHICS, limit=150)
    asked = Patterns()
    run(tmp_path / "probe", asked, FIRMOGRAPHICS, limit=150)
    run(tmp_path / "after", Patterns(skip=frozenset(asked.asked[::5])), FIRMOGRAPHICS, limit=150)
    comparison = evals.compare(tmp_path / "before", tmp_path / "after")
    worse = {question.field for question in comparison.regressions}
    assert {"city", "founded_year"} <= worse
    assert comparison.exit_code == 1
    assert evals.compare(tmp_path / "before", tmp_path / "probe").exit_code == 0
    back = evals.compare(tmp_path / "after", tmp_path / "before")
    # The way back fills more, rightly and wrongly ("Texas" is no country): both are said.
    assert {(q.field, q.about) for q in back.regressions} <= {("country", "unharmed"), ("all fields", "unharmed")}
    assert {"city", "founded_year"} <= {q.field for q in back.questions if q.verdict == "improvement"}
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(render_comparison(comparison))
    assert "regression" in console.export_text()
