"""Every benchmark, one after the other, each in a process of its own; then docs/benchmarks.md with its pictures.

    python -m benchmarks.run --list                 what there is
    python -m benchmarks.run --quick                small sizes, a few minutes: that each runs, not what it is good for
    python -m benchmarks.run                        full sizes: hours
    python -m benchmarks.run --only live,ingest     these alone
    python -m benchmarks.run --page                 the page alone, from the results that are there

Each result is a file in --results, kept with the project, so what is there is not measured again; --again does. The
page takes of each benchmark the result at full size, else the small one, and says which. Exit 1 if one failed.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.page import write_page
from benchmarks.table import BENCHMARKS, ROOT, Benchmark
from watchtower.bootstrap import system_clock

RESULTS = ROOT / "benchmarks/results"
PATIENCE = {"small": 300.0, "full": 4 * 3600.0}
"""Seconds until a benchmark is ended."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="Print the table, and stop.")
    parser.add_argument("--only", metavar="NAME,NAME", help="These alone.")
    parser.add_argument("--quick", action="store_true", help="Small sizes.")
    parser.add_argument("--again", action="store_true", help="Measure what was measured, too.")
    parser.add_argument("--page", action="store_true", help="Measure nothing; write the page.")
    parser.add_argument("--results", type=Path, default=RESULTS, help="The folder of the results.")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="Where benchmarks.md and its pictures go.")
    given = parser.parse_args()
    chosen = chosen_of(given.only, parser)
    if given.list:
        for one in chosen:
            print(f"{one.name:<24} {one.figures}")
            print(f"{'':<24} beside {one.peer}{' (data absent)' if one.absent else ''}")
        return
    failed = []
    size = "small" if given.quick else "full"
    for one in [] if given.page else chosen:
        if one.absent:
            print(f"{one.name:<24} left out: ../shared/data/{one.data} is not here")
            continue
        path = given.results / size / f"{one.name}.json"
        if path.exists() and not given.again and known(path, one, size):
            print(f"{one.name:<24} measured before ({path}); --again measures anew")
            continue
        result = measure(one, size)
        if "fault" in result:
            failed.append(one.name)
            print(f"{one.name:<24} FAILED after {result['seconds']:.0f} s: {result['fault']}", flush=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(f"{one.name:<24} {len(result['figures'])} figures in {result['seconds']:.0f} s", flush=True)
    print(f"written: {write_page(given.docs, given.results)}")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def chosen_of(only: str | None, parser: argparse.ArgumentParser) -> list[Benchmark]:
    """The benchmarks that are asked for. An unknown name ends the program, with those that are known."""
    names = [name.strip() for name in only.split(",")] if only else [one.name for one in BENCHMARKS]
    known_names = {one.name: one for one in BENCHMARKS}
    if unknown := [name for name in names if name not in known_names]:
        parser.error(f"--only: {unknown[0]!r} is not known; accepted are {', '.join(known_names)}")
    return [known_names[name] for name in names]


def known(path: Path, one: Benchmark, size: str) -> bool:
    """Whether the file is the result of these arguments."""
    return bool(json.loads(path.read_text(encoding="utf-8"))["arguments"] == arguments_of(one, size))


def arguments_of(one: Benchmark, size: str) -> str:
    """The arguments at this size, with paths as seen from the project."""
    return (one.small or one.full if size == "small" else one.full).replace(f"{ROOT.parent}/", "../")


def measure(one: Benchmark, size: str) -> dict[str, Any]:
    """Run it in a process of its own; what it said, or `fault` with its last words."""
    arguments = arguments_of(one, size)
    command = [sys.executable, "-m", f"benchmarks.{one.name}", *shlex.split(arguments), "--json"]
    load, began = os.getloadavg()[0], time.monotonic()
    try:
        ended = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE[size], check=False,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"fault": f"no end within {PATIENCE[size]:.0f} s", "seconds": time.monotonic() - began}
    seconds = time.monotonic() - began
    if ended.returncode:
        words = (ended.stderr.strip() or ended.stdout.strip()).splitlines()[-1:] or [""]
        return {"fault": f"exit code {ended.returncode}: {words[0]}", "seconds": seconds}
    figures = json.loads(ended.stdout.strip().splitlines()[-1])["figures"]
    if not figures:
        return {"fault": "it said no figure", "seconds": seconds}
    return {
        "name": one.name, "size": size, "arguments": arguments, "figures": figures, "seconds": round(seconds, 1),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)], "date": f"{system_clock():%Y-%m-%d}",
        "machine": machine(),
    }  # fmt: skip


def machine() -> str:
    """What it ran on, in a few words. No name of a host."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{os.cpu_count()} cores ({os.uname().machine}), {memory:.0f} GB, Python {version}"


if __name__ == "__main__":
    main()
