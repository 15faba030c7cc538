"""What joins an eval to the production path: the rule layer's own acceptance, and the rules' own backtest."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.adapters import load_cases
from evals.cases import Case
from evals.decision import Accept, Decision
from evals.rules import Scenario
from watchtower.contract import Detector, Proposal, parse_event, parse_time
from watchtower.flow.backtest import duckdb_engine, held_between
from watchtower.flow.history import fold_history
from watchtower.rulebook import Rulebook, load
from watchtower.rules.acceptance import decide
from watchtower.rules.compile import compile_rulebook
from watchtower.rules.origin import Origin

_OUTCOMES: Mapping[str, Any] = {"accepted": "accept", "review": "review", "refused": "refuse"}


class RuleLayer:
    """Decides on a proposal as production does, by the rulebook's acceptance rule for the field."""

    def __init__(self, book: Rulebook) -> None:
        self.book = book
        self.name = f"acceptance of rulebook {book.version}"

    def __call__(self, proposal: Proposal, case: Case) -> Decision:
        model = self.book.objects.get(case.object)
        key = f"{case.object}.{proposal.field}"
        made = decide(
            proposal,
            key=key,
            field=model.fields.get(proposal.field) if model else None,
            acceptance=self.book.acceptance.get(key),
            asked=frozenset(spec.name for spec in case.fields()),
            documents={document.id: document.text for document in case.documents()},
            origins={document.id: Origin("the case", own=True) for document in case.documents()},
            held=case.input.record.get(proposal.field),
            held_by="the case",
        )
        return Decision(_OUTCOMES[made.status], made.because)


def roster() -> Mapping[str, Detector]:
    """The detectors of production, by name."""
    from detectors import ROSTER

    return ROSTER


def rule_layer(book: Rulebook) -> Accept:
    """The acceptance step of a rulebook."""
    return RuleLayer(book)


def without_thresholds(book: Rulebook) -> Accept:
    """The acceptance step in which every confidence is enough: all that it asks for beside."""
    free = {key: rule.model_copy(update={"accept_at": 0.0, "review_at": 0.0}) for key, rule in book.acceptance.items()}
    return RuleLayer(book.model_copy(update={"acceptance": free}))


def classifier_rows(path: Path) -> dict[str, list[tuple[str, str]]]:
    """For each category, (text, label) of the cases that may be learnt from: the tuning split, and no other."""
    rows: dict[str, list[tuple[str, str]]] = {}
    for case in load_cases(path):
        if case.split != "tune":
            continue
        text = "\n\n".join(document.text for document in case.documents())
        for spec in case.fields():
            label = case.expected[spec.name]
            if spec.type == "enum" and label is not None:
                rows.setdefault(spec.name, []).append((text, str(label)))
    return rows


def backtest_scenario(scenario: Scenario) -> dict[str, Sequence[Mapping[str, Any]]]:
    """The intervals that the rules give for a scenario's events."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{scenario.id}.yaml"
        file.write_text(scenario.rulebook, encoding="utf-8")
        program = compile_rulebook(load(file))
    history = fold_history(program, [parse_event(event) for event in scenario.events])
    with duckdb_engine(history.versions) as engine:
        held = held_between(engine, program, parse_time(scenario.start), parse_time(scenario.end))
    return {"intervals": [one.to_json() for one in held]}
