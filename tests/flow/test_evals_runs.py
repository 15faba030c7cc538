"""Runs that repeat, run side by side, keep completions, are scored again from their folder, and become baselines."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import llm_stub
import msgspec
import pytest
from command_line import inside

import evals
from enrichment import CallFailed, build_worker
from evals.bless import blessings
from evals.completions import Completions
from watchtower.contract import Evidence, FieldRequest, Proposal
from watchtower.errors import InputError, Missing

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LATER = datetime(2026, 4, 2, 9, 0, tzinfo=UTC)
SAME = ("scores.json", "outcomes.jsonl", "report.md", "report.html", "cases.jsonl")


def written(folder: Path, count: int = 40, **more: Any) -> Path:
    """Cases whose answer stands after `sits in`."""
    lines = [
        {
            "id": f"c{i}",
            "suite": "s",
            "provenance": "this test",
            "split": "test" if i % 2 else "heldout",
            "input": {"record": {"name": f"Firm {i}"}, "documents": [{"text": f"Firm {i} sits in Turin."}]},
            "expected": {"city": "Turin"},
        }
        | more
        for i in range(count)
    ]
    path = folder / "cases.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


class Fickle:
    """Right or silent by a coin of its own, thrown anew each time it is asked."""

    def __init__(self, chance: float, seed: int = 0) -> None:
        self.chance, self.coin, self.lock = chance, random.Random(seed), threading.Lock()
        self.asked = 0

    @property
    def identity(self) -> dict[str, str]:
        return {"chance": str(self.chance)}

    def propose(self, requests: Iterable[FieldRequest]) -> Iterator[Proposal]:
        for request in requests:
            with self.lock:
                self.asked += 1
                said = self.coin.random() < self.chance
            text = request.documents[0].text
            at = text.index("Turin")
            if said:
                quote = Evidence(document=request.documents[0].id, quote="Turin", start=at, end=at + 5)
                yield Proposal(
                    request=request.id, field="city", value="Turin", confidence=0.9, evidence=(quote,), method="m"
                )


def test_a_case_is_asked_as_often_as_told_and_a_wavering_worker_shows(tmp_path: Path) -> None:
    cases = written(tmp_path)
    worker = Fickle(0.5)
    scores = evals.run_enrichment(cases, tmp_path / "run", worker=worker, now=NOW, repeats=5)
    assert worker.asked == 200 and scores.run.repeats == 5
    assert scores.overall.metrics["accuracy"].of == 200
    assert scores.stable is not None and (scores.stable.value or 0) < 0.3
    steady = evals.run_enrichment(cases, tmp_path / "steady", worker=Fickle(1.0), now=NOW, repeats=3)
    assert steady.stable is not None and steady.stable.value == 1.0


def test_repeats_narrow_what_a_comparison_can_see(tmp_path: Path) -> None:
    cases = written(tmp_path, 120)
    for name, chance, seed in (("a", 0.9, 1), ("b", 0.78, 2), ("again", 0.9, 3)):
        evals.run_enrichment(cases, tmp_path / name, worker=Fickle(chance, seed), now=NOW, repeats=5)
    found = evals.compare(tmp_path / "a", tmp_path / "b")
    assert found.exit_code == 1 and {q.field for q in found.regressions} == {"city"}
    assert found.questions[0].pairs == 120
    assert evals.compare(tmp_path / "a", tmp_path / "again").exit_code == 0


def test_side_by_side_the_same_comes_out_as_one_after_the_other(tmp_path: Path) -> None:
    cases = written(tmp_path, 150)
    told: list[int] = []
    evals.run_enrichment(cases, tmp_path / "one", worker=Fickle(1.0), now=NOW)
    evals.run_enrichment(
        cases, tmp_path / "four", worker=Fickle(1.0), now=LATER, parallel=4, progress=lambda n, _, __: told.append(n)
    )
    assert told == list(range(1, 151))
    for name in ("scores.json", "outcomes.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "four" / name).read_bytes()


def test_a_fault_in_one_of_several_batches_stops_the_run_and_keeps_what_was_answered(tmp_path: Path) -> None:
    class Failing(Fickle):
        def propose(self, requests: Iterable[FieldRequest]) -> Iterator[Proposal]:
            for proposal in super().propose(requests):
                if proposal.request == "c70":
                    raise ConnectionError("the model went away")
                yield proposal

    cases = written(tmp_path, 400)
    with pytest.raises(ConnectionError):
        evals.run_enrichment(cases, tmp_path / "run", worker=Failing(1.0), now=NOW, parallel=2)
    kept = (tmp_path / "run/run.jsonl").read_bytes().count(b"\n")
    whole = Fickle(1.0)
    assert 1 <= kept < 400
    other = evals.run_enrichment(cases, tmp_path / "run", worker=whole, now=NOW, parallel=2)
    assert other.run.cases == 400 and other.overall.metrics["accuracy"].value == 1.0


def test_a_run_is_scored_again_from_its_folder_alone_and_byte_for_byte(tmp_path: Path) -> None:
    cases = written(tmp_path)
    run = tmp_path / "run"
    evals.run_enrichment(cases, run, worker=Fickle(0.8), now=NOW, repeats=2)
    before = {name: (run / name).read_bytes() for name in SAME}
    cases.unlink()
    evals.score_run(run, now=LATER)
    assert {name: (run / name).read_bytes() for name in SAME} == before


def test_corrected_labels_replace_the_runs_own_and_other_texts_are_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    evals.run_enrichment(written(tmp_path), run, worker=Fickle(1.0), now=NOW)
    (tmp_path / "new").mkdir()
    labels = written(tmp_path / "new", expected={"city": "Torino"}, also={"city": ["Milan"]})
    assert evals.score_run(run, now=LATER, labels=labels).overall.metrics["accuracy"].value == 0.0
    texts = written(tmp_path / "new", input={"record": {}, "documents": [{"text": "Turin"}]})
    with pytest.raises(InputError, match="ask for something else than in the run"):
        evals.score_run(run, now=LATER, labels=texts)


class Chat:
    """A model that reads the first word after `in`; it counts its calls and can be made to fail."""

    name = "reader"

    def __init__(self, failing: int = 0) -> None:
        self.calls, self.failing = 0, failing

    def answer(self, instructions: str, question: str, document: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        self.calls += 1
        if self.calls <= self.failing:
            raise CallFailed("deadline", "too slow")
        word = document.split(" in ")[1].split()[0].strip(".")
        return {"city": word, "city_quote": document} | {
            key: None for key in schema["required"] if key not in ("city", "city_quote")
        }


def test_completions_are_paid_for_once_and_answer_offline(tmp_path: Path) -> None:
    cases = written(tmp_path, 6, input={"record": {}, "documents": [{"text": "We do our work in Zyzzogeton."}]})
    file = tmp_path / "completions.jsonl"
    chat = Chat(failing=1)
    with Completions(file, chat) as model:
        evals.run_enrichment(cases, tmp_path / "a", worker=build_worker(model=model), now=NOW, meter=model, repeats=2)
    # The same text six times: a call that failed, then one a repeat.
    assert chat.calls == 3 and len(file.read_text().splitlines()) == 2
    with file.open("ab") as broken:
        broken.write(b'{"key": "half a li')
    with Completions(file, None) as model:
        assert model.name == "reader"
        scores = evals.run_enrichment(
            cases, tmp_path / "b", worker=build_worker(model=model), now=NOW, meter=model, repeats=2
        )
    manifest = msgspec.json.decode((tmp_path / "b/manifest.json").read_bytes())
    assert manifest["cost"]["calls"] == 12 and manifest["cost"]["tokens_read"] > 100
    assert scores.run.models == ("reader",)
    other = written(tmp_path, 1, input={"record": {}, "documents": [{"text": "Unseen, it works in Qom."}]})
    with Completions(file, None) as model, pytest.raises(Missing, match="has no answer of reader to this question"):
        evals.run_enrichment(other, tmp_path / "c", worker=build_worker(model=model), now=NOW, meter=model)


def test_offline_without_completions_says_so(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="holds no completions"):
        Completions(tmp_path / "none.jsonl", None)


def test_a_baseline_is_blessed_with_a_name_and_a_reason_and_remembers_all(tmp_path: Path) -> None:
    baseline = tmp_path / "baseline"
    cases = written(tmp_path)
    evals.run_enrichment(cases, tmp_path / "first", worker=Fickle(0.7), now=NOW)
    evals.run_enrichment(cases, tmp_path / "second", worker=Fickle(1.0), now=NOW)
    with pytest.raises(InputError, match="gives no reason"):
        evals.bless(tmp_path / "first", baseline, by="ada", because=" ok ", now=NOW)
    with pytest.raises(InputError, match="nobody says so"):
        evals.bless(tmp_path / "first", baseline, by=" ", because="the first run", now=NOW)
    evals.bless(tmp_path / "first", baseline, by="ada", because="the first run", now=NOW)
    evals.bless(tmp_path / "second", baseline, by="bob", because="reads every text now", now=LATER)
    assert [(one.by, one.because) for one in blessings(baseline)] == [
        ("ada", "the first run"),
        ("bob", "reads every text now"),
    ]
    assert evals.compare(baseline, tmp_path / "second").exit_code == 0
    assert evals.compare(baseline, tmp_path / "first").exit_code == 1
    assert not (baseline / "cases.jsonl").exists(), "a baseline holds no texts"


def test_a_run_that_fails_a_must_pass_case_is_blessed_only_by_name(tmp_path: Path) -> None:
    cases = written(tmp_path, 3, must_pass="right")
    evals.run_enrichment(cases, tmp_path / "run", worker=Fickle(0.0), now=NOW)
    with pytest.raises(InputError, match="3 must-pass cases fail: c0, c1, c2"):
        evals.bless(tmp_path / "run", tmp_path / "b", by="ada", because="known to fail", now=NOW)
    made = evals.bless(tmp_path / "run", tmp_path / "b", by="ada", because="known to fail", now=NOW, failing=True)
    assert made.failing == ("c0", "c1", "c2")


def test_the_command_keeps_an_endpoints_answers_and_runs_again_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def reads(handler: Any, body: Mapping[str, Any]) -> None:
        handler.count("asked")
        said = {"business": "makes maps", "city": "Zyzzogeton", "city_quote": "our work in Zyzzogeton"}
        wanted = body["response_format"]["json_schema"]["schema"]["required"]
        handler.send(200, llm_stub.completion(json.dumps({name: said.get(name) for name in wanted})))

    text = "We make maps and do our work in Zyzzogeton. Nobody knows why we came here."
    cases = written(tmp_path, 4, input={"record": {}, "documents": [{"text": text}]}, expected={"city": "Zyzzogeton"})
    kept = tmp_path / "completions.jsonl"
    given = ("eval", "enrichment", "--cases", cases, "--completions", kept, "--json")
    with llm_stub.model(0, reads) as stub:
        monkeypatch.setenv("WATCHTOWER_LLM_BASE_URL", stub.url)
        code, first, _ = inside(capsys, *given, "--out", tmp_path / "a", "--price", "1,2")
        assert code == 0 and stub.calls["asked"] == 1, "four cases of one text, asked once"
    monkeypatch.delenv("WATCHTOWER_LLM_BASE_URL")
    code, again, _ = inside(capsys, *given, "--offline", "--out", tmp_path / "b")
    assert code == 0
    one, other = json.loads(first), json.loads(again)
    assert one["run"]["models"] == other["run"]["models"] != []
    assert one["fields"] == other["fields"] and one["fields"]["city"]["metrics"]["grounding"]["value"] == 1.0
    cost = json.loads((tmp_path / "a/manifest.json").read_text())["cost"]
    assert cost["calls"] == 4 and cost["money"] > 0
