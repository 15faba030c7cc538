"""Records that may be one: asked, proposed, decided, taken apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Literal

from watchtower.bootstrap.core import Core
from watchtower.contract import Likeness, MergeRequest, RecordSnapshot
from watchtower.errors import Missing
from watchtower.flow import merging
from watchtower.store import audit, merges
from watchtower.store.merges import MergeProposal, MergeRow
from watchtower.workers import compare_records

AT_ONCE = 500
"""Pairs that one transaction decides on."""


class Joining(Core):
    """Records that may be one: asked, proposed, decided, taken apart."""

    def find_pairs(
        self,
        name: str,
        *,
        most: int = 1000,
        workers: int = 1,
        told: Callable[[str, int, int], None] = lambda stage, done, total: None,
        compare: Callable[..., list[Likeness]] = compare_records,
    ) -> Counter[str]:
        """Ask which records of an object are one, let the matcher say, decide on each pair: how many were accepted by a
        merging rule, are in review, were refused. InputError."""
        with self._write() as conn:
            asked = merging.ask_pairs(conn, self._engine, name, self.clock())
            rule = self._engine.program.book.merging.get(name)
        request = MergeRequest(
            id=asked.request, object=name,
            records=tuple(RecordSnapshot(object=name, id=id_, fields=fields) for id_, fields in asked.rows),
        )  # fmt: skip
        floor = rule.review_at if rule is not None else 0.5
        like = rule.like if rule is not None and rule.like else name
        pairs = compare(request, like=like, floor=floor, most=most, workers=workers, told=told)
        counts: Counter[str] = Counter(records=len(asked.rows))
        for begin in range(0, max(len(pairs), 1), AT_ONCE):
            part = pairs[begin : begin + AT_ONCE]
            with self._write() as conn:
                last = begin + AT_ONCE >= len(pairs)
                counts += merging.take_pairs(conn, self._engine, asked.request, part, self.clock(), last=last)
        return counts

    def pairs(
        self, *, status: tuple[str, ...] = ("review",), name: str | None = None, limit: int = 100
    ) -> list[MergeProposal]:
        """Pairs that were proposed, the oldest first."""
        with self.database.read() as conn:
            return merges.proposals(conn, status=status, object_name=name, limit=limit)

    def pair(self, pair_id: str) -> MergeProposal:
        """One of them. Missing."""
        with self.database.read() as conn:
            found = merges.proposal(conn, pair_id)
        if found is None:
            raise Missing(f"pair {pair_id!r:.80} does not exist")
        return found

    def decide_pair(
        self, pair_id: str, verdict: Literal["accept", "reject"], *, actor: str, note: str = "", into: str | None = None
    ) -> None:
        """A person says that two records are one, or are two. `into`: which one stays. Missing, InputError."""
        with self._write() as conn:
            now = self.clock()
            merging.person_decides(conn, self._engine, pair_id, verdict, actor=actor, note=note, now=now, into=into)
            audit.note(conn, actor=actor, what=f"pair.{verdict}", about=pair_id, now=now, data={"note": note})

    def merge(self, subject: str, into: str, *, actor: str, note: str = "") -> str:
        """A person makes two records of one object one (`account/A2`, `A1`); the merge's id. Missing, InputError."""
        name, _, record = subject.partition("/")
        with self._write() as conn:
            now = self.clock()
            done = merging.person_merges(conn, self._engine, name, record, into, actor=actor, note=note, now=now)
            audit.note(conn, actor=actor, what="record.merge", about=subject, now=now, data={"into": into})
        return done

    def unmerge(self, merge_id: str, *, actor: str, note: str = "") -> None:
        """A person takes two records apart again: each is then what it would be without the merge. Missing,
        InputError."""
        with self._write() as conn:
            now = self.clock()
            merging.person_unmerges(conn, self._engine, merge_id, actor=actor, note=note, now=now)
            audit.note(conn, actor=actor, what="record.unmerge", about=merge_id, now=now, data={"note": note})

    def merged(self, *, name: str | None = None, undone: bool = False, limit: int = 100) -> list[MergeRow]:
        """What was merged, the latest first."""
        with self.database.read() as conn:
            return merges.merged(conn, object_name=name, undone=undone, limit=limit)
