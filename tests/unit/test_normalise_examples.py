"""The examples of each normaliser, read backwards: every raw form leads to its canonical value, and that to itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from enrichment.normalise import KINDS, normalise
from enrichment.normalise.examples import Examples, examples


def _each() -> Iterator[tuple[str, str, str, list[str]]]:
    """(kind, region, canonical value, raw forms)"""
    for kind in KINDS:
        shown = examples(kind)
        for region, values in {"": shown.accepted, **shown.regional}.items():
            for value, raws in values.items():
                yield kind, region, value, raws


@pytest.mark.parametrize(("kind", "region", "value", "raws"), list(_each()))
def test_raw_forms_lead_to_their_canonical_value_and_it_to_itself(
    kind: str, region: str, value: str, raws: list[str]
) -> None:
    for raw in [*raws, value]:
        found = normalise(kind, raw, region)
        assert found is not None and found.value == value, found
        assert found.raw == raw and found.because == ""


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_read_is_refused_with_the_text_and_the_reason(kind: str) -> None:
    for raw in examples(kind).refused:
        found = normalise(kind, raw)
        assert found is not None and found.value is None, found
        assert found.because.startswith(repr(raw)[:20]) and len(found.because) > len(repr(raw)) + 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_says_nothing_is_no_value_and_no_fault(kind: str) -> None:
    for raw in examples(kind).nothing:
        assert normalise(kind, raw) is None


@pytest.mark.parametrize(("raw", "parts"), list(examples("title").parts.items()))
def test_seniority_and_function_are_read_off_a_title(raw: str, parts: dict[str, str]) -> None:
    found = normalise("title", raw)
    assert found is not None and dict(found.parts) == parts


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_examples_of_all_sorts(kind: str) -> None:
    shown: Examples = examples(kind)
    assert len(shown.accepted) >= 4 and len(shown.refused) >= 3 and shown.nothing
    raws = [raw for values in shown.accepted.values() for raw in values]
    assert len(raws) == len(set(raws)), "a raw form stands under two values"
