"""What is kept of a run for comparing: flags per case and field. No text, no gold: fit to be a baseline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


class CaseFlags(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One case, asked once. `content` is its hash: flags of another text or label are not comparable."""

    case: str
    content: str
    cluster: str
    must_pass: Must
    fields: dict[str, FieldFlags]
    repeat: int = 0

    @property
    def passes(self) -> bool:
        """Whether the case came out as it must; one that need not passes."""
        if self.must_pass == "right":
            return all(flags.right for flags in self.fields.values())
        return not self.must_pass or not any(flags.harmed for flags in self.fields.values())


Asked = tuple[CaseFlags, ...]
"""One case, as often as it was asked."""


def flag_lines(cases: Sequence[Case], rows: Iterable[Outcome]) -> bytes:
    """JSONL, a case and repeat a line, in the order of the cases."""
    by_case: dict[str, dict[int, dict[str, FieldFlags]]] = {case.id: {} for case in cases}
    for row in rows:
        by_case[row.case].setdefault(row.repeat, {})[row.field] = FieldFlags(
            known=row.known, stated=row.stated, filled=row.filled, right=row.right, harmed=row.harmed
        )
    encoder = msgspec.json.Encoder(order="sorted")
    lines = []
    for case in cases:
        content = content_hash(case)
        for repeat, fields in sorted(by_case[case.id].items()):
            one = CaseFlags(
                case=case.id,
                content=content,
                cluster=case.cluster,
                must_pass=case.must_pass,
                fields=fields,
                repeat=repeat,
            )
            lines.append(encoder.encode(one) + b"\n")
    return b"".join(lines)


def read_flags(folder: Path) -> dict[str, Asked]:
    """The flags of a run's folder, by case. InputError names the file and line that is wrong."""
    path = folder / FILE
    if not path.exists():
        raise InputError(f"{path}: no such file", remedy="Name a folder that an eval run wrote (--out).")
    found: dict[str, list[CaseFlags]] = {}
    for _, one in read_lines(path, CaseFlags):
        found.setdefault(one.case, []).append(one)
    return {name: tuple(some) for name, some in found.items()}
