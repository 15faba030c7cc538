"""Many traces, each run without workers and beside them; or the search for the trace that kills each mutant.

    python tests/subordination/campaign.py --count 1000
    python tests/subordination/campaign.py --mutants

A leak is shown with the fewest of the workers' steps that it needs. Exit code 1 where there is one, or where a mutant
survives.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from subordination.mutants import MUTANTS, Mutant
from subordination.runs import beside, leak, least, open_tower
from subordination.traces import Step, core_trace, worker_steps

from watchtower.bootstrap import Tower
from watchtower.store import embedded

LENGTH = 12
TRIES = 25
"""Traces within which a mutant must be killed."""


def trace(seed: int, length: int = LENGTH) -> tuple[list[Step], list[Step]]:
    rng = random.Random(seed)
    core = core_trace(rng, length)
    return core, worker_steps(rng, core)


def killed_by(mutant: Mutant, tower: Tower, seeds: Sequence[int]) -> int | None:
    """The first of these traces that tells the mutant from the core alone; None where none does."""
    for seed in seeds:
        with pytest.MonkeyPatch.context() as patch:
            mutant.plant(patch, tower)
            if leak(tower, *trace(seed)):
                return seed
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="traces")
    parser.add_argument("--seed", type=int, default=1000, help="the first trace's seed")
    parser.add_argument("--length", type=int, default=LENGTH, help="steps of the core in a trace")
    parser.add_argument("--mutants", nargs="*", help="search for what kills these, or all, instead")
    given = parser.parse_args()
    begun, bad, taken, steps = time.monotonic(), 0, 0, 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = embedded.start(Path(folder) / "data")
        try:
            with open_tower(server.url, Path(folder)) as tower:
                if given.mutants is not None:
                    for mutant in MUTANTS:
                        if not given.mutants or mutant.name in given.mutants:
                            seed = killed_by(mutant, tower, range(TRIES))
                            bad += seed is None
                            print(mutant.name, "survives" if seed is None else f"killed by trace {seed}", flush=True)
                    return 1 if bad else 0
                for seed in range(given.seed, given.seed + given.count):
                    core, workers = trace(seed, given.length)
                    run = beside(tower, core, workers)
                    taken, steps = taken + run.taken, steps + len(workers)
                    for fault in run.faults:
                        print(f"trace {seed}: a worker's run failed: {fault}", file=sys.stderr, flush=True)
                    if run.difference:
                        bad += 1
                        print(f"trace {seed}: {run.difference}", flush=True)
                        for step in least(tower, core, workers):
                            print(f"    needs {step.at} {step.kind} {step.data['seed']}", flush=True)
        finally:
            server.close()
    spent = time.monotonic() - begun
    print(f"{given.count} traces, {steps} steps of workers, {taken} results taken in, {bad} leaks, {spent:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
