"""What is kept of a run for comparing: flags per case and field. No text, no gold: fit to be a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from evals.cases import Case, Must, content_hash
from evals.jsonl import read_lines
from evals.score import Outcome
from watchtower.errors import InputError

FILE = "outcomes.jsonl"


class FieldFlags(msgspec.Struct, frozen=True, kw_only=True):
    """As in `score.Outcome`."""

    known: bool
    stated: bool
    filled: bool
    right: bool
    harmed: bool


class CaseFlags(msgspec.Struct, frozen=True, kw_only=True):
    """One case. `content` is its hash: flags of another text or label are not comparable."""

    case: str
    content: str
    cluster: str
    must_pass: Must
    fields: dict[str, FieldFlags]

    @property
    def passes(self) -> bool:
        """Whether the case came out as it must; one that need not passes."""
        if self.must_pass == "right":
            return all(flags.right for flags in self.fields.values())
        return not self.must_pass or not any(flags.harmed for flags in self.fields.values())


def flag_lines(cases: Sequence[Case], rows: Sequence[Outcome]) -> bytes:
    """JSONL, a case a line, in the order of the cases."""
    by_case: dict[str, dict[str, FieldFlags]] = {case.id: {} for case in cases}
    for row in rows:
        by_case[row.case][row.field] = FieldFlags(
            known=row.known, stated=row.stated, filled=row.filled, right=row.right, harmed=row.harmed
        )
    lines = (
        CaseFlags(
            case=case.id,
            content=content_hash(case),
            cluster=case.cluster,
            must_pass=case.must_pass,
            fields=by_case[case.id],
        )
        for case in cases
    )
    return b"".join(msgspec.json.encode(line, order="sorted") + b"\n" for line in lines)


def read_flags(folder: Path) -> dict[str, CaseFlags]:
    """The flags of a run's folder, by case. InputError names the file and line that is wrong."""
    path = folder / FILE
    if not path.exists():
        raise InputError(f"{path}: no such file", remedy="Name a folder that an eval run wrote (--out).")
    return {one.case: one for _, one in read_lines(path, CaseFlags)}
