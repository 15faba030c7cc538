"""Drift of the process behind traces: F1 of change points on simulated logs, beside window tests.

    python -m benchmarks.process_drift [--traces 2500] [--logs 2] [--seed 1]

The published drift logs (Maaradji et al., 2015) are not in ../shared/data; these logs follow their recipe: a loan-like
process with choice, parallelism, an optional step and a loop; one of 12 simple changes to it; in a log, ten parts of
equal length come by turns from the process and the changed process, so that there are 9 drifts. Noise, where said: in
a tenth of the traces a step is dropped, doubled or put elsewhere. A change point is right within a fifth of a part of a
true one, each used once; F1 is pooled over the logs of a change; lag: mean distance of the right ones, in traces.
`no drift`: the share of logs of the unchanged process in which anything is found (promised: 1%).

  this detector     ordering and presence features, windows of many lengths, permutations (detectors.segmentation)
  chi-square, runs  counts of variants in two adjoining windows of 100 traces, p <= .01 over at least 20 positions: the
                    form of ProDrift
  PSI > 0.2         of variants, the same windows
  directly-follows  largest z of a directly-follows pair between the same windows, Bonferroni at 1%
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import process_time

import numpy as np
from scipy.stats import chi2, norm

from benchmarks.figures import arguments, figure
from detectors.pvalues import seed_of
from detectors.segmentation import segment
from detectors.trace_features import features_of

Tree = str | tuple[object, ...]
Trace = tuple[str, ...]
WINDOW = 100
ALPHA = 0.01

CHECK: Tree = ("seq", "check history", "assess risk")
APPRAISE: Tree = ("seq", "appraise", "set value")
OFFER: Tree = ("xor", (0.7, ("seq", "prepare", "send")), (0.3, "send by post"))
BASE: Tree = (
    "seq", "receive", ("loop", 0.2, "complete form"), ("par", CHECK, APPRAISE), "decide",
    ("xor", (0.65, ("seq", OFFER, ("opt", 0.4, "insure"), "sign", "pay out")), (0.35, ("seq", "reject", "notify"))),
    "archive",
)  # fmt: skip


def _base(**parts: Tree) -> Tree:
    """The process, with parts of it replaced."""
    approve = parts.get(
        "approve", ("seq", parts.get("offer", OFFER), parts.get("insure", ("opt", 0.4, "insure")), "sign", "pay out")
    )
    share = 0.65
    return (
        "seq", "receive", parts.get("form", ("loop", 0.2, "complete form")),
        parts.get("middle", ("par", CHECK, APPRAISE)), "decide",
        parts.get("outcome", ("xor", (share, approve), (1 - share, ("seq", "reject", "notify")))),
        parts.get("end", "archive"),
    )  # fmt: skip


CHANGES: dict[str, Tree] = {
    "add a step": _base(end=("seq", "review", "archive")),
    "remove a step": _base(middle=("par", "check history", APPRAISE)),
    "skip a step": _base(middle=("par", ("seq", "check history", ("opt", 0.7, "assess risk")), APPRAISE)),
    "substitute a step": _base(end="destroy"),
    "swap two steps": _base(middle=("par", ("seq", "assess risk", "check history"), APPRAISE)),
    "parallel to sequence": _base(middle=("seq", CHECK, APPRAISE)),
    "sequence to parallel": _base(approve=("seq", OFFER, ("opt", 0.4, "insure"), ("par", "sign", "pay out"))),
    "synchronise": _base(middle=("seq", ("par", "check history", "appraise"), ("par", "assess risk", "set value"))),
    "loop a part": _base(middle=("par", CHECK, ("loop", 0.3, APPRAISE))),
    "move into the choice": _base(
        outcome=("xor", (0.65, ("seq", OFFER, ("opt", 0.4, "insure"), "sign", "pay out", "notify")), (0.35, "reject"))
    ),
    "duplicate a step": _base(approve=("seq", OFFER, ("opt", 0.4, "insure"), "sign", "check history", "pay out")),
    "change frequencies": _base(
        offer=("xor", (0.35, ("seq", "prepare", "send")), (0.65, "send by post")), insure=("opt", 0.75, "insure")
    ),
}


def play(tree: Tree, random: np.random.Generator) -> list[str]:
    """One run of a process tree: a step, or seq, par, xor with shares, opt with a chance, loop with a chance."""
    if isinstance(tree, str):
        return [tree]
    kind, *parts = tree
    if kind == "seq":
        return [step for part in parts for step in play(part, random)]  # type: ignore[arg-type]
    if kind == "par":
        lanes = [play(part, random) for part in parts]  # type: ignore[arg-type]
        lane = random.permutation([number for number, steps in enumerate(lanes) for _ in steps])
        return [lanes[number].pop(0) for number in lane]
    if kind == "xor":
        shares = [part[0] for part in parts]  # type: ignore[index]
        return play(parts[int(random.choice(len(parts), p=shares))][1], random)  # type: ignore[index]
    chance, part = parts
    if kind == "opt":
        return play(part, random) if random.random() < chance else []  # type: ignore[arg-type,operator]
    steps = play(part, random)  # type: ignore[arg-type]
    while random.random() < chance:  # type: ignore[operator]
        steps += play(part, random)  # type: ignore[arg-type]
    return steps


def noisy(trace: list[str], random: np.random.Generator) -> list[str]:
    """One step dropped, doubled or put elsewhere."""
    place, way = int(random.integers(len(trace))), int(random.integers(3))
    if way == 0:
        return trace[:place] + trace[place + 1 :]
    if way == 1:
        return trace[:place] + trace[place : place + 1] + trace[place:]
    rest = trace[:place] + trace[place + 1 :]
    target = int(random.integers(len(rest) + 1))
    return [*rest[:target], trace[place], *rest[target:]]


def make_log(changed: Tree | None, traces: int, noise: float, random: np.random.Generator) -> list[Trace]:
    """Ten parts by turns; None: no change anywhere."""
    part = traces // 10
    log = []
    for number in range(10 * part):
        tree = BASE if changed is None or number // part % 2 == 0 else changed
        trace = play(tree, random)
        log.append(tuple(noisy(trace, random) if random.random() < noise else trace))
    return log


def this_detector(log: Sequence[Trace]) -> list[int]:
    stages = sorted({step for trace in log for step in trace})
    code = {name: number for number, name in enumerate(stages)}
    index = np.array([number for number, trace in enumerate(log) for _ in trace])
    stage = np.array([code[step] for trace in log for step in trace])
    seed = seed_of(repr(log[:50]))
    return [split.at for split in segment(features_of(index, stage, stages).values, ALPHA, seed)]


def _windows(columns: np.ndarray, strange: Callable[[np.ndarray, np.ndarray], float]) -> list[int]:
    """Positions of the peaks of a comparison of two adjoining windows that lasts for 20 positions; 0 is the bound."""
    total = np.vstack((np.zeros(columns.shape[1]), np.cumsum(columns, axis=0)))
    scores = np.array([
        strange(total[at] - total[at - WINDOW], total[at + WINDOW] - total[at])
        for at in range(WINDOW, len(columns) - WINDOW + 1)
    ])  # fmt: skip
    found, above = [], np.flatnonzero(scores > 0)
    for run in np.split(above, np.flatnonzero(np.diff(above) > 1) + 1):
        if run.size >= 20:
            found.append(WINDOW + int(run[np.argmax(scores[run])]))
    return found


def _variants(log: Sequence[Trace]) -> np.ndarray:
    """(traces, variants) one-hot; variants of fewer than 10 traces are one."""
    names = {trace: number for number, trace in enumerate(dict.fromkeys(log))}
    codes = np.array([names[trace] for trace in log])
    rare = np.bincount(codes)[codes] < 10
    _, codes = np.unique(np.where(rare, -1, codes), return_inverse=True)
    return np.eye(int(codes.max()) + 1)[codes]


def chi_square(log: Sequence[Trace]) -> list[int]:
    def strange(left: np.ndarray, right: np.ndarray) -> float:
        both = left + right
        seen = both > 0
        statistic = float((((left - right) ** 2)[seen] / both[seen]).sum())
        return ALPHA - float(chi2.sf(statistic, int(seen.sum()) - 1))

    return _windows(_variants(log), strange)


def psi(log: Sequence[Trace]) -> list[int]:
    def strange(left: np.ndarray, right: np.ndarray) -> float:
        p, q = (left + 0.5) / (left + 0.5).sum(), (right + 0.5) / (right + 0.5).sum()
        return float(((p - q) * np.log(p / q)).sum()) - 0.2

    return _windows(_variants(log), strange)


def directly_follows(log: Sequence[Trace]) -> list[int]:
    pairs = sorted({pair for trace in log for pair in zip(trace, trace[1:], strict=False)})
    code = {pair: number for number, pair in enumerate(pairs)}
    columns = np.zeros((len(log), len(pairs)))
    for number, trace in enumerate(log):
        columns[number, [code[pair] for pair in zip(trace, trace[1:], strict=False)]] = 1
    bound = float(norm.isf(ALPHA / 2 / len(pairs)))

    def strange(left: np.ndarray, right: np.ndarray) -> float:
        mean = (left + right) / (2 * WINDOW)
        deviation = np.sqrt(np.maximum(mean * (1 - mean), 1e-9) * 2 / WINDOW)
        return float((np.abs(left - right) / WINDOW / deviation).max()) - bound

    return _windows(columns, strange)


METHODS: dict[str, Callable[[Sequence[Trace]], list[int]]] = {
    "this detector": this_detector,
    "chi-square, runs": chi_square,
    "PSI > 0.2": psi,
    "directly-follows": directly_follows,
}


def matched(found: Sequence[int], truth: Sequence[int], tolerance: int) -> list[int]:
    """Distances of the found points that are right, each true one used once, nearest first."""
    pairs = sorted((abs(one - true), one, true) for one in found for true in truth if abs(one - true) <= tolerance)
    used: set[int] = set()
    taken: set[int] = set()
    distances = []
    for distance, one, true in pairs:
        if one not in taken and true not in used:
            taken.add(one)
            used.add(true)
            distances.append(distance)
    return distances


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--traces", type=int, default=2_500)
    parser.add_argument("--logs", type=int, default=2)
    parser.add_argument("--quiet-logs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    part = options.traces // 10
    truth = [part * number for number in range(1, 10)]
    for noise in (0.0, 0.1):
        random = np.random.default_rng(options.seed)
        print(f"{f'noise {noise:.0%}, F1':<24}" + "".join(f"{name:>18}" for name in METHODS))
        sums = {name: np.zeros(4) for name in METHODS}
        for title, changed in CHANGES.items():
            logs = [make_log(changed, options.traces, noise, random) for _ in range(options.logs)]
            figures = []
            for name, method in METHODS.items():
                begun = process_time()
                found = [method(log) for log in logs]
                distances = [one for points in found for one in matched(points, truth, part // 5)]
                total = sum(map(len, found))
                figures.append(2 * len(distances) / (total + len(truth) * len(logs)))
                sums[name] += [figures[-1], sum(distances), len(distances), process_time() - begun]
            print(f"{title:<24}" + "".join(f"{one:>18.3f}" for one in figures), flush=True)
        every = [sums[name] for name in METHODS]
        rows = {
            "mean F1": [one[0] / len(CHANGES) for one in every],
            "lag": [one[1] / max(one[2], 1) for one in every],
            "CPU seconds a log": [one[3] / len(CHANGES) / options.logs for one in every],
        }
        ours, *others = rows["mean F1"]
        figure(f"drift of a process, noise {noise:.0%}: mean F1", ours, peer=list(METHODS)[1], of_peer=ours / others[0])
        for label, figures in rows.items():
            print(f"{label:<24}" + "".join(f"{one:>18.3f}" for one in figures))
    random = np.random.default_rng(options.seed + 1)
    quiet = [make_log(None, options.traces, 0.1, random) for _ in range(options.quiet_logs)]
    shares = [float(np.mean([bool(method(log)) for log in quiet])) for method in METHODS.values()]
    figure("drift of a process, quiet logs flagged", shares[0], better="lower")
    print(f"{'no drift, found':<24}" + "".join(f"{share:>18.3f}" for share in shares))


if __name__ == "__main__":
    main()
