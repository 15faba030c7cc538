"""Baselines: runs that later ones are held against. One becomes a baseline when a person says so, and why.

A baseline is a folder: what comparing needs of the run (outcomes.jsonl, scores.json; no texts), and
blessings.jsonl, where each blessing adds a line and none is ever removed.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from evals import flags
from evals.jsonl import read_lines
from evals.recording import write_whole
from evals.stored import read_manifest
from watchtower.contract import format_time
from watchtower.errors import InputError

FILE = "blessings.jsonl"


class Blessing(msgspec.Struct, frozen=True, kw_only=True):
    """Who made which run the baseline, when and why."""

    at: str
    by: str
    because: str
    suite_hash: str
    cases: int
    repeats: int
    worker: dict[str, str]
    accept: str
    failing: tuple[str, ...] = ()
    """Must-pass cases that do not pass in it: blessed all the same, by name."""


def blessings(baseline: Path) -> list[Blessing]:
    """All of a baseline, the oldest first; none where there is no baseline yet."""
    path = baseline / FILE
    return [one for _, one in read_lines(path, Blessing)] if path.exists() else []


def bless(run: Path, baseline: Path, *, by: str, because: str, now: datetime, failing: bool = False) -> Blessing:
    """Makes the run of a folder the baseline, and writes down who says so, when and why.

    InputError without a reason, for the same folder, or where must-pass cases fail and `failing` is not set.
    """
    if len(because.split()) < 2:
        raise InputError(
            f"because: {because!r} gives no reason", remedy='say why, such as --because "prompt v2 reads tables"'
        )
    if not by.strip():
        raise InputError("by: nobody says so", remedy="name the person: --by NAME")
    if run.resolve() == baseline.resolve():
        raise InputError(f"{run}: is itself the baseline", remedy="name the folder of another run")
    facts = read_manifest(run).run
    read = flags.read_flags(run)
    failed = tuple(name for name, asked in read.items() if not all(one.passes for one in asked))
    if failed and not failing:
        raise InputError(
            f"{run}: {len(failed)} must-pass cases fail: {', '.join(failed[:10])}",
            remedy="mend them, or bless the run with --failing, which names them in the record",
        )
    made = Blessing(
        at=format_time(now),
        by=by.strip(),
        because=because.strip(),
        suite_hash=facts.suite_hash,
        cases=facts.cases,
        repeats=facts.repeats,
        worker=facts.worker,
        accept=facts.accept,
        failing=failed,
    )
    baseline.mkdir(parents=True, exist_ok=True)
    for name in (flags.FILE, "scores.json"):
        write_whole(baseline / name, (run / name).read_bytes())
    lines = [*blessings(baseline), made]
    write_whole(baseline / FILE, b"".join(msgspec.json.encode(line, order="sorted") + b"\n" for line in lines))
    return made
