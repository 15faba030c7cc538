"""What a trained classifier's figures mean, and the shelf where its versions stand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_enrichment_classify import rows

from enrichment.errors import EnrichmentError
from enrichment.learning import Learnt, study
from enrichment.quality import coverage_at, precision_at, quality
from enrichment.shelf import Shelf, Stored


@pytest.fixture(scope="module")
def learnt() -> Learnt:
    found = study(*rows(90, seed=1))
    assert found is not None
    return found


def put(shelf: Shelf, learnt: Learnt, at: str = "2026-03-02T09:00:00Z") -> Stored:
    told = quality(learnt.classifier.labels, learnt.unseen, learnt.target)
    return shelf.put("sector", learnt.classifier, told, left_out={}, learnt_from="a test", trained_at=at)


@given(st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.7, 0.9]), st.booleans()), min_size=1, max_size=40))
def test_coverage_at_a_precision_is_the_most_that_a_threshold_can_give(answers: list[tuple[float, bool]]) -> None:
    sure, right = np.array([s for s, _ in answers]), np.array([r for _, r in answers])
    told = coverage_at(sure, right, 0.75)
    # The oracle: each threshold by itself.
    reached = [(sure >= t).mean() for t in set(sure.tolist()) if right[sure >= t].mean() >= 0.75]
    assert told.coverage == (max(reached) if reached else 0.0)
    if told.threshold is not None:
        assert (sure >= told.threshold).mean() == told.coverage


def test_precision_at_a_coverage_counts_the_surest_answers() -> None:
    assert precision_at(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, False]), 0.5) == 1.0


def test_reliability_and_labels_add_up_to_the_rows() -> None:
    unseen = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.7, 0.3]])
    told = quality(("a", "b"), unseen, np.array([0, 0, 1, 1]))
    assert told.accuracy == 0.75 and told.majority == 0.5
    assert sum(b.rows for b in told.reliability) == 4 == sum(label.rows for label in told.labels)
    assert [label.found for label in told.labels] == [1.0, 0.5]
    assert told.few == ("a", "b")


def test_a_kept_version_is_found_with_its_hash_and_training_the_same_again_adds_none(
    tmp_path: Path, learnt: Learnt
) -> None:
    shelf = Shelf(tmp_path / "classifiers")
    assert shelf.versions() == [] and shelf.stamp() == ""
    first = put(shelf, learnt)
    assert put(shelf, learnt, at="2026-04-02T09:00:00Z") == first
    assert first.version == 1 and first.name == f"sector.v1@{learnt.classifier.digest}" == shelf.stamp()
    assert shelf.classifiers()["sector"].digest == learnt.classifier.digest


def test_other_rows_give_the_next_version_and_the_newest_counts(tmp_path: Path, learnt: Learnt) -> None:
    shelf, other = Shelf(tmp_path), study(*rows(60, seed=9))
    assert other is not None
    put(shelf, learnt)
    assert put(shelf, other).version == 2
    assert shelf.classifiers()["sector"].digest == other.classifier.digest
    assert [one.version for one in shelf.versions()] == [1, 2]


def test_a_file_that_was_changed_is_refused_and_the_message_names_the_remedy(tmp_path: Path, learnt: Learnt) -> None:
    shelf = Shelf(tmp_path)
    put(shelf, learnt)
    path = tmp_path / "sector.v1.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(EnrichmentError, match=r"has SHA-256 .*\n.*watchtower enrich train sector"):
        shelf.classifiers()


def test_a_version_that_was_half_written_does_not_count(tmp_path: Path, learnt: Learnt) -> None:
    shelf = Shelf(tmp_path)
    put(shelf, learnt)
    (tmp_path / "sector.v2.npz").write_bytes(b"half")
    assert shelf.stamp() == f"sector.v1@{learnt.classifier.digest}"
    other = study(*rows(60, seed=9))
    assert other is not None and put(shelf, other).version == 3
