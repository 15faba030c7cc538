"""The dwell p-values on real cases: BPI Challenge 2012, split as in benchmarks/dwell.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

JUDGED = {
    "A_": ["A_SUBMITTED", "A_PARTLYSUBMITTED", "A_PREACCEPTED", "A_ACCEPTED", "A_FINALIZED"],
    "O_": ["O_SELECTED", "O_CREATED", "O_SENT", "O_SENT_BACK"],
}
SILENT = {"A_": ["A_APPROVED"], "O_": ["O_CANCELLED"]}
"""States in which a third and more of the cases end: no stay is strange there, and the detector says so."""


@pytest.fixture
def benchmark(project: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_dwell", project / "benchmarks" / "dwell.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("prefix", ["A_", "O_"])
def test_five_in_a_hundred_real_stays_have_a_p_value_of_five_percent(
    prefix: str, benchmark: ModuleType, shared_data: Path
) -> None:
    """Every state with 200 completed stays, out of sample, mean of 10 random halvings in both roles."""
    log = shared_data / "process" / "bpic2012_loan.parquet"
    if not log.exists():
        pytest.skip(f"{log.name} is not in the folder of real data")
    rows = list(benchmark.calibration(benchmark.spells_of(benchmark.case_versions(log, prefix)), splits=10))
    assert sorted(row.state for row in rows if row.judged) == sorted(JUDGED[prefix])
    assert [row.state for row in rows if not row.judged] == SILENT[prefix]
    assert {row.state: row.share for row in rows if row.judged and not 0.04 <= row.share <= 0.06} == {}
