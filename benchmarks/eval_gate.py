"""How often the gate of `eval compare` cries wolf, and how often it sees a true drop.

    python -m benchmarks.eval_gate [--pairs 1000] [--drops 300] [--cases 500]

Each pair is two simulated runs over the same cases and five fields. Every case has a difficulty, drawn anew for
each pair, which its fields share in part: a field of a case is right with a probability of its own, 0.85 on
average. How far these probabilities lie from 0 and 1 is how much the system varies from run to run: `steady`
differs in about 4% of its answers when it is asked twice, `varying` in about 15%. A wrong answer is a wrong value
in half of the cases, else an empty field.

null: both runs draw from the same probabilities; the share of pairs that fail the gate (at most 5% is promised).
broad: each field of the second run is right 5 points less often. one field: only one of the five is.
The peer is a gate without correction: any of the questions with p <= 0.05, the same minimum effect.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import arguments, figure
from evals.compare import MINIMUM_EFFECT, Comparison, compare_flags
from evals.flags import Asked, CaseFlags, FieldFlags
from evals.statistics import wilson

FIELDS = ("country", "city", "employees", "founded_year", "sector")
RIGHT, DROP = 0.85, 0.05
SPREAD = {"steady": 0.2, "varying": 1.4}
"""Concentration of the Beta distribution of probabilities: the smaller, the nearer they are to 0 and 1."""


def probabilities(generator: np.random.Generator, cases: int, spread: float) -> NDArray[np.float64]:
    """(cases x fields): half of the fields of a case share its difficulty, the others have their own."""
    shape = (spread * RIGHT, spread * (1 - RIGHT))
    shared = generator.beta(*shape, size=(cases, 1))
    own = generator.beta(*shape, size=(cases, len(FIELDS)))
    return np.where(generator.random((cases, len(FIELDS))) < 0.5, shared, own)


def drawn(generator: np.random.Generator, chance: NDArray[np.float64], repeats: int) -> dict[str, Asked]:
    """One run's flags."""
    right = generator.random((repeats, *chance.shape)) < chance
    filled = right | (generator.random((repeats, *chance.shape)) < 0.5)
    flags = {
        (r, f): FieldFlags(known=True, stated=True, filled=f, right=r, harmed=f and not r)
        for r in (False, True)
        for f in (False, True)
    }
    return {
        f"c{case}": tuple(
            CaseFlags(
                case=f"c{case}",
                content="",
                cluster=f"c{case}",
                must_pass="",
                repeat=repeat,
                fields={
                    name: flags[bool(right[repeat, case, k]), bool(filled[repeat, case, k])]
                    for k, name in enumerate(FIELDS)
                },
            )
            for repeat in range(repeats)
        )
        for case in range(len(chance))
    }


def uncorrected(found: Comparison) -> bool:
    return any(q.p_value <= found.alpha and -q.difference >= MINIMUM_EFFECT for q in found.questions)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--drops", type=int, default=300, help="Pairs with a true drop, per line.")
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    drops = {"null": (0.0,) * 5, "broad": (DROP,) * 5, "one field": (DROP, 0.0, 0.0, 0.0, 0.0)}
    print(f"{given.pairs} null pairs of runs, {given.drops} with a drop; {given.cases} cases, {len(FIELDS)} fields\n")
    print(f"{'system':9} {'runs a case':12} {'change':10} {'fails the gate':28} without correction")
    for system, spread in SPREAD.items():
        for repeats in (1, 3) if system == "varying" else (1,):
            for name, drop in drops.items():
                generator = np.random.default_rng([given.seed, len(system), repeats, len(name)])
                failed = bare = 0
                pairs = given.pairs if name == "null" else given.drops
                for _ in range(pairs):
                    chance = probabilities(generator, given.cases, spread)
                    lowered = chance * (1 - np.array(drop) / RIGHT)
                    before = drawn(generator, chance, repeats)
                    found = compare_flags(before, drawn(generator, lowered, repeats), resamples=2)
                    failed += found.exit_code
                    bare += uncorrected(found)
                near = wilson(failed, pairs)
                if name == "null":
                    figure(
                        f"the gate fails a run of the same {system} system, {repeats} a case", failed / pairs,
                        better="lower", aim=0.05, peer="without correction", of_peer=failed / bare if bare else None,
                    )  # fmt: skip
                else:
                    figure(f"the gate sees a drop in {name}, {system}, {repeats} a case", failed / pairs, aim=0.8)
                share = f"{failed / pairs:6.1%} [{near.low:.3f} {near.high:.3f}]"
                print(f"{system:9} {repeats:<12} {name:10} {share:28} {bare / pairs:6.1%}", flush=True)


if __name__ == "__main__":
    main()
