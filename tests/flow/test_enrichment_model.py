"""The embedded model, end to end: the small model's file, a server in a child process, LangChain over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from enrichment import Endpoint, ModelError, WeightsError, build_worker, local_endpoint, weights
from enrichment.grounding import intact
from watchtower.contract import Document, FieldRequest, FieldSpec, RecordSnapshot

ROOT = Path(__file__).resolve().parents[2]
TEXT = (
    "Acme Cheese Group makes hard cheese and sells it to shops in Japan and Brazil. "
    "Its people work out of Parma, Italy. The first wheel left the dairy when the company started out in 1950."
)
FIELDS = (
    FieldSpec(name="city", type="text"),
    FieldSpec(name="country", type="country"),
    FieldSpec(name="founded_year", type="integer", minimum=1600, maximum=2030),
)


@pytest.fixture(scope="module")
def gguf() -> Path:
    try:
        return weights.pull(weights.SMALL)
    except WeightsError as fault:
        pytest.skip(f"the small model cannot be had here: {fault.message}")


@pytest.fixture(scope="module")
def endpoint(gguf: Path) -> Iterator[Endpoint]:
    with local_endpoint(gguf) as running:
        yield running


@pytest.mark.model
@pytest.mark.timeout(900)
def test_the_embedded_model_proposes_only_what_the_document_says(endpoint: Endpoint) -> None:
    document = Document(id="d1", kind="description", text=TEXT)
    record = RecordSnapshot(object="account", id="A-1", fields={})
    worker = build_worker(endpoint=endpoint, seconds=600)
    said = list(worker.propose([FieldRequest(id="r1", record=record, fields=FIELDS, documents=(document,))]))
    assert worker.counts["call.answered"] == 1, worker.counts
    assert said, f"no pattern fits this text, so the model must have answered something: {worker.counts}"
    right = {"city": "Parma", "country": "IT", "founded_year": 1950}
    for proposal in said:
        assert proposal.method == "model"
        assert intact(proposal.evidence[0], document)
        assert proposal.prompt.startswith("extract.v1@")
    assert {p.field: p.value for p in said}.items() <= right.items()


@pytest.mark.model
def test_the_embedded_server_answers_nobody_without_its_key(endpoint: Endpoint) -> None:
    stranger = Endpoint(endpoint.base_url, "wrong", endpoint.model)
    worker = build_worker(endpoint=stranger, seconds=30)
    record = RecordSnapshot(object="account", id="A-1", fields={})
    document = Document(id="d1", kind="description", text=TEXT)
    assert list(worker.propose([FieldRequest(id="r", record=record, fields=FIELDS[:1], documents=(document,))])) == []
    assert worker.fault is not None and "HTTP 401" in worker.fault.message


@pytest.mark.model
def test_the_server_dies_with_its_parent_even_when_that_is_killed(gguf: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from enrichment import local_endpoint\n"
        "with local_endpoint(Path(sys.argv[1])) as e:\n"
        "    print(e.base_url, flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(gguf)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert parent.stdout is not None
    address = parent.stdout.readline().strip()
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    assert address.startswith("http://127.0.0.1:") and len(children) == 1
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and _running(int(children[0])):
        time.sleep(0.2)
    assert not _running(int(children[0]))


def _running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_file_that_is_no_model_is_told_with_the_remedy(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF but not really")
    with pytest.raises(ModelError, match="did not start") as caught:
        with local_endpoint(broken, seconds=60):
            raise AssertionError("a broken file must not be served")
    assert "watchtower models pull" in caught.value.remedy
    with pytest.raises(ModelError, match="no such model file"):
        with local_endpoint(tmp_path / "absent.gguf"):
            raise AssertionError("an absent file must not be served")
