"""The page: it escapes what it shows, marks the right words, and stands alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.cases import Case, CaseDocument, CaseInput
from evals.compare import compare_flags
from evals.decision import VerbatimAndConfident
from evals.flags import CaseFlags, FieldFlags
from evals.report import markdown, pretty
from evals.report_drawing import bar
from evals.report_html import html, pieces
from evals.score import Metric, RunFacts, Scores, judge, outcomes, score
from watchtower.contract import Evidence, Proposal

NOW = datetime(2026, 3, 2, tzinfo=UTC)
HOSTILE = '<script>alert(1)</script> Vellaro sits in Modena. <img src=x onerror="alert(2)">'


def case(text: str = HOSTILE) -> Case:
    return Case(
        id="c<1>",
        suite="s",
        provenance="this test",
        split="test",
        input=CaseInput(record={"name": "Vell<b>aro"}, documents=(CaseDocument(text=text),)),
        expected={"city": "Modena"},
        tags=("ta|g",),
    )


def scored(one: Case, value: str = "Modena") -> tuple[Scores, str, str]:
    text = one.input.documents[0].text
    start = text.index("Modena")
    quote = Evidence(document=one.documents()[0].id, quote="Modena", start=start, end=start + 6)
    proposal = Proposal(
        request=one.id, field="city", value=value, confidence=0.9, evidence=(quote,), method="<i>pattern"
    )
    judged = [judge(one, [proposal], VerbatimAndConfident())]
    facts = RunFacts(
        cases_file="cases.jsonl",
        suite_hash="0" * 64,
        cases=1,
        limit=None,
        seed=0,
        splits=(),
        masked=False,
        worker={},
        methods=("pattern",),
        models=(),
        prompts=(),
        accept="verbatim",
    )
    scores = score(facts, [one], outcomes(one, judged[0]), 0, seed=0)
    return scores, html(scores, [one], judged), markdown(scores, [one], judged)


def test_hostile_text_is_shown_and_not_run() -> None:
    _, page, _ = scored(case(), value="<svg onload=alert(3)>")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not re.search(r"<(img|svg)[^>]*\son\w+=", page)
    assert "&lt;svg onload" in page


def test_the_page_asks_nobody_for_anything() -> None:
    _, page, _ = scored(case("Modena."))
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", page)
    assert "http://" not in page and "https://" not in page
    assert "prefers-color-scheme: dark" in page and "width=device-width" in page


def test_the_evidence_is_marked_with_its_field() -> None:
    _, page, _ = scored(case())
    assert "<mark>Modena<small>city</small></mark>" in page


def test_a_wrong_value_stands_in_the_markdown_and_a_right_one_does_not() -> None:
    _, _, wrong = scored(case(), value="Pisa")
    assert "| c<1> | city | Modena | Pisa | accept: verbatim, confidence 0.90 >= 0.8 |" in wrong
    _, _, right = scored(case())
    assert "Not right: 0 of 1" in right


spans = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 10), st.sampled_from("abc")).map(
        lambda raw: (raw[0], min(raw[0] + raw[1], 30), raw[2])
    ),
    max_size=6,
)


@given(st.text(min_size=30, max_size=30), spans)
def test_pieces_put_together_are_the_text_and_each_span_is_covered(
    text: str, given_spans: list[tuple[int, int, str]]
) -> None:
    found = pieces(text, given_spans)
    assert "".join(piece.text for piece in found) == text
    place = 0
    for piece in found:
        for offset in range(place, place + len(piece.text)):
            assert set(piece.fields) == {f for s, e, f in given_spans if s <= offset < e}
        place += len(piece.text)


@pytest.mark.parametrize(("low", "value", "high"), [(0.0, 0.0, 0.0), (0.2, 0.5, 0.9), (1.0, 1.0, 1.0)])
def test_a_bar_stays_within_its_drawing(low: float, value: float, high: float) -> None:
    metric = Metric(value=value, low=low, high=high, hits=1, of=1, better="higher", interval="wilson")
    drawn = [float(x) for x in re.findall(r'x="([\d.]+)"', bar(metric))]
    assert all(0 <= x <= 100 for x in drawn)


def test_json_has_the_same_bytes_whatever_the_last_bits_of_a_float() -> None:
    assert pretty({"b": 0.1 + 0.2, "a": 1}) == pretty({"a": 1, "b": 0.3})


def test_the_template_is_beside_the_code() -> None:
    assert (Path(__file__).resolve().parents[2] / "evals" / "templates" / "report.html.j2").exists()


def test_a_page_against_a_baseline_shows_the_cases_that_changed_and_what_they_were(tmp_path: Path) -> None:
    one = case("Vellaro sits in Modena, not in Pisa.")
    scores, _, _ = scored(one, value="Pisa")
    text = one.input.documents[0].text
    start = text.index("Pisa")
    quote = Evidence(document=one.documents()[0].id, quote="Pisa", start=start, end=start + 4)
    said = Proposal(request=one.id, field="city", value="Pisa", confidence=0.9, evidence=(quote,), method="m")
    judged = judge(one, [said], VerbatimAndConfident())
    flags = FieldFlags(known=True, stated=True, filled=True, right=True, harmed=False)
    before = CaseFlags(case=one.id, content="", cluster=one.id, must_pass="", fields={"city": flags})
    after = msgspec.structs.replace(before, fields={"city": msgspec.structs.replace(flags, right=False, harmed=True)})
    found = compare_flags({one.id: (before,)}, {one.id: (after,)})
    page = html(scores, [one], [judged], against=found)
    assert "Cases that changed: 1 worse, 0 better" in page and "worse than before" in page
    assert "<mark>Pisa<small>city</small></mark>" in page
    same = html(scores, [one], [judged], against=compare_flags({one.id: (before,)}, {one.id: (before,)}))
    assert "Cases that changed: 0 worse, 0 better" in same and "<mark>" not in same
