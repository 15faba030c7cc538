"""A real funnel in: import, fold and evaluation of 262,200 events, and a backtest of four rules over all of them.

    python -m benchmarks.bpic2012 [PATH OF bpic2012_loan.parquet]

Prints events per second and peak memory of the importing process on a fresh embedded database, the wall time of
`rules backtest`, and beside it the pandas oracle of the tests (the same intervals, reckoned for these rules alone)
in the same run.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.figures import arguments, figure

ROOT = Path(__file__).resolve().parents[1]
LOG = ROOT.parent / "shared/data/process/bpic2012_loan.parquet"
EXAMPLE = ROOT / "examples/bpic2012"
WATCHTOWER = (sys.executable, "-m", "watchtower.cli.main")
FROM, TO = "2011-09-01T00:00:00Z", "2012-06-01T00:00:00Z"


def run(*arguments: str) -> tuple[str, float, float]:
    """Standard output, wall seconds, and the largest resident memory of any child so far in MB."""
    began = time.perf_counter()
    done = subprocess.run([*WATCHTOWER, *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - began
    return done.stdout, seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("log", type=Path, nargs="?", default=LOG)
    parser.add_argument("--events", type=int, help="The first so many of the log.")
    given = parser.parse_args()
    log: Path = given.log
    if not log.exists():
        sys.exit(f"{log} is not there; name the log as the first argument")
    with tempfile.TemporaryDirectory() as folder:
        if given.events:
            part = Path(folder) / log.name
            pq.write_table(pq.read_table(log).slice(0, given.events), part)
            log = part
        measure(log)


def measure(log: Path) -> None:
    mapping = ("--mapping", str(EXAMPLE / "mapping.yaml"))
    with tempfile.TemporaryDirectory() as folder:
        said, seconds, peak = run("import", str(log), *mapping, "--data", folder, "--json")
    events = json.loads(said)["accepted"]
    figure("a real funnel in, folded and evaluated", events / seconds, "events a second", aim=5000)
    print(f"import: {events} events in {seconds:.1f} s, {events / seconds:,.0f} a second, peak {peak:.0f} MB")

    rulebook = str(EXAMPLE / "rulebook")
    said, backtest, peak = run("rules", "backtest", rulebook, str(log), *mapping, "--from", FROM, "--to", TO, "--json")
    found = len(json.loads(said)["intervals"])
    print(f"rules backtest (duckdb): {found} intervals in {backtest:.1f} s, peak of both {peak:.0f} MB")

    began = time.perf_counter()
    oracle = ROOT / "tests/oracles/bpic2012.py"
    subprocess.run([sys.executable, str(oracle), str(log)], check=True, stdout=subprocess.DEVNULL)
    pandas = time.perf_counter() - began
    figure(
        "backtest of its four rules", backtest, "s", better="lower", aim=10, peer="the pandas oracle",
        of_peer=backtest / pandas,
    )  # fmt: skip
    print(f"the pandas oracle, these four rules alone: {pandas:.1f} s (backtest / oracle = {backtest / pandas:.2f})")


if __name__ == "__main__":
    main()
