"""Offline evals: workers and detectors against labelled cases, with intervals, and comparisons that hold."""

from evals.acceptance import render_acceptance, run_acceptance
from evals.adapters import load_cases
from evals.bless import bless
from evals.cases import Case, read_cases
from evals.compare import Comparison, compare
from evals.compare_render import render_comparison
from evals.completions import Completions
from evals.cost import Prices
from evals.decision import Accept, Decision, VerbatimAndConfident
from evals.detectors import DetectorScores, render_detectors, run_detectors
from evals.journeys import render_journeys, run_journeys
from evals.normalisation import render_normalisation, run_normalisation
from evals.report import render_terminal
from evals.rules import RuleScores, Scenario, render_rules, run_rules
from evals.run import compare_page, run_enrichment, score_run
from evals.score import Scores

__all__ = [
    "Accept",
    "Case",
    "Comparison",
    "Completions",
    "Decision",
    "DetectorScores",
    "Prices",
    "RuleScores",
    "Scenario",
    "Scores",
    "VerbatimAndConfident",
    "bless",
    "compare",
    "compare_page",
    "load_cases",
    "read_cases",
    "render_acceptance",
    "render_comparison",
    "render_detectors",
    "render_journeys",
    "render_normalisation",
    "render_rules",
    "render_terminal",
    "run_acceptance",
    "run_detectors",
    "run_enrichment",
    "run_journeys",
    "run_normalisation",
    "run_rules",
    "score_run",
]
