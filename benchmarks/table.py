"""The benchmarks: each is a line here. `python -m benchmarks.run` runs them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared/data"


@dataclass(frozen=True)
class Benchmark:
    """A module of this package, what its figures are, what they are held against, and its arguments."""

    name: str
    figures: str
    peer: str
    full: str = ""
    small: str = ""
    data: str = ""
    """What it reads of the data beside the project; it is left out where that is absent."""
    issue: int = 0

    @property
    def absent(self) -> bool:
        return bool(self.data) and not (DATA / self.data).exists()


FIRMS = f"{DATA}/firmographics"
FIRMS_FILE = f"{FIRMS}/firmographics_1500.jsonl"

BENCHMARKS = (
    Benchmark("bpic2012", "a real funnel in, and its backtest; aim 5,000 a second and 10 s", "a pandas oracle",
              "", "--events 20000", data="process", issue=2),
    Benchmark("full_evaluation", "every rule on every record; aim 1.5 of hand-written, 100 of cel, 20 of zen",
              "queries by hand, cel-python, zen-engine", "--runs 3", "--records 20000 --runs 1 --sample 200", issue=3),
    Benchmark("live", "evaluation of 100 events, aim 10 ms; an idle tick, aim 5 ms", "the aim",
              "--batches 40 --records 1000000", "--batches 8 --records 20000", issue=3),
    Benchmark("backtest_scale", "a year of backtest, linear in events, memory bounded", "DuckDB reading the lines",
              "--events 1000000,10000000", "--events 20000", issue=3),
    Benchmark("ingest", "events in beside COPY; aim .7 for the journal, .5 with fold and rules",
              "COPY with ON CONFLICT", "", "--events 5000 --batches 100,1000", data="process", issue=4),
    Benchmark("posting", "single events from many callers", "a transaction for each", "", "--events 200", issue=4),
    Benchmark("import_scale", "events imported, memory bounded", "DuckDB reading the lines",
              "--events 1000000,10000000", "--events 10000", issue=4),
    Benchmark("enrichment_accuracy", "categories of 500 held-out companies", "TF-IDF, gazetteer, majority",
              FIRMS, f"{FIRMS} --rows 60 --learn 150", data="firmographics", issue=5),
    Benchmark("enrichment_baselines", "the language model alone, and grounded", "TF-IDF, gazetteer, majority",
              f"{FIRMS} --rows 100", f"{FIRMS} --rows 2", data="firmographics", issue=5),
    Benchmark("enrichment_generated", "precision and coverage, method by method", "the truth of the generator",
              "--seeds 7-12", "--seeds 100-100 --accounts 60", issue=5),
    Benchmark("enrichment_throughput", "share of the ideal at 200 ms and 32 slots; aim .95",
              "the ideal, LangChain and openai alone", "--records 3200", "--records 200", issue=5),
    Benchmark("enrichment_languages", "seat and year on pages in six languages", "the truth of the generator",
              "--pages 60", "--pages 6", issue=5),
    Benchmark("normalisers", "values a second of each kind; aim 10,000", "NFKC and casefold", "", "--count 1000",
              issue=5),
    Benchmark("titles", "functions of job titles", "the commonest function", data="titles", issue=5),
    Benchmark("name_matching", "company names; aim F1 .93 and AUC .90", "Jaro-Winkler and others", data="names",
              issue=5),
    Benchmark("duplicates", "a million companies deduplicated", "the same name", "--records 1000000 --workers 2",
              "--records 20000 --workers 2", issue=5),
    Benchmark("usage_decline", "power at 1% false alarms; aim .33, .83, .52; a million accounts in 60 s",
              "an oracle, CUSUM, ratios", "--accounts 30000", "--only power,scale --accounts 2000 --scale 20000",
              issue=6),
    Benchmark("segment_rate", "power at 2x; aim .52", "an oracle, CUSUM, PSI", "", "--segments 1000 --fitted-on 50",
              issue=6),
    Benchmark("mix_drift", "drift of the mix of new records", "an oracle, PSI", "", "--series 60 --fitted 10", issue=6),
    Benchmark("close_push", "deals that are put off; a company's share of them", "an oracle, pushes a week, z-test", "",
              "--companies 2 --deals 300", issue=6),
    Benchmark("conformance", "precision and recall 1.0, 1 ms per 1,000 cases", "a slow oracle", "", "--rounds 3",
              data="process", issue=6),
    Benchmark("process_anomaly", "mean case F1 on labelled logs; aim .80", "rare transitions", data="process",
              issue=6),
    Benchmark("process_drift", "drift of simulated processes", "windows of directly-follows counts", "",
              "--logs 1 --quiet-logs 4 --traces 1000", issue=6),
    Benchmark("dwell", "P(p <= .05) of stays within .04 to .06", "the promise", "", "--splits 4", data="process",
              issue=6),
    Benchmark("activity_gap", "P(p <= .01) of gaps", "the promise", "", "--records 5000", issue=6),
    Benchmark("cohort_outliers", "realised false-discovery rate within the budget on 10 sets", "pyod's thresholds",
              "", "--splits 1", issue=6),
    Benchmark("churn_risk", "AUC, Brier and calibration", "logistic regression, boosting", "", "--splits 1",
              data="churn", issue=6),
    Benchmark("detector_parts", "detectors in parts, with equal signals", "one piece", "--spark", "--records 20000",
              issue=6),
    Benchmark("eval_scoring", "10,000 cases scored; aim 30 s, the same bytes", "reading the files", "", "--cases 1000",
              issue=7),
    Benchmark("eval_gate", "null runs that fail, aim 5%; drops that are seen, aim 80%", "without correction", "",
              "--pairs 40 --drops 20", issue=7),
    Benchmark("calibrated_thresholds", "splits in which a promise is kept; aim 95%", "a threshold without a bound",
              FIRMS_FILE, f"{FIRMS_FILE} --splits 10", data="firmographics", issue=7),
    Benchmark("worker_processes", "2 and 4 worker processes; aim 1.7 and 2.5 times of one", "one process", "--rounds 3",
              "--seconds 2 --processes 1,2", issue=9),
    Benchmark("api", "lists and pages under load; aim p99 100 ms, .4 and .3 of a bare one", "bare Starlette",
              "--writes 2", "--records 10000 --alerts 1000 --seconds 3", issue=8),
    Benchmark("scrape", "what a scrape of /metrics costs", "counting the tables", "--records 1000000",
              "--records 20000 --standing 500 --scrapes 5", issue=9),
)  # fmt: skip
"""In the order of the page. A new benchmark is a module that says its figures (figures.py) and a line here."""
