"""What a language model answered, kept by content: the same question of the same document is paid for once.

It stands where the worker's model stands, so that all around it (patterns, grounding, acceptance) is the code of
production and can change while the answers stay. A line of the file is one completion; a call that failed is not
kept, and is made again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import msgspec

from evals.cases import content_hash
from evals.jsonl import read_lines
from watchtower.errors import Missing


class Spent(msgspec.Struct, frozen=True):
    """Calls to a model so far, and the characters it read and wrote. Recorded completions count as they did once."""

    calls: int = 0
    read: int = 0
    written: int = 0


class Meter(Protocol):
    """The account of this thread. `begin` says which repeat of a case is being asked for, from 0."""

    def begin(self, repeat: int) -> None: ...

    def spent(self) -> Spent: ...


class NoMeter:
    """For a worker whose calls nobody counts."""

    def begin(self, repeat: int) -> None:
        """Nothing to note."""

    def spent(self) -> Spent:
        return Spent()


class Model(Protocol):
    """As enrichment.model.ExtractionModel."""

    name: str

    def answer(self, instructions: str, question: str, document: str, schema: Mapping[str, Any]) -> dict[str, Any]: ...


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. `key` is the hash of the model's name, all that it was shown, and the repeat."""

    key: str
    model: str
    said: dict[str, Any]


class Completions:
    """A model over a file of completions; with `model=None` the file is all there is. Used by several threads.

    Raises Missing for a question without an answer where there is no model: a run over recordings that asks
    something new must not pass for one that was answered with nothing.
    """

    def __init__(self, path: Path, model: Model | None) -> None:
        self.path, self._model = path, model
        self._known: dict[str, Completion] = {}
        if path.exists():
            whole = path.read_bytes()
            if whole and not whole.endswith(b"\n"):  # what a crash left half-written
                os.truncate(path, whole.rfind(b"\n") + 1)
            self._known = {one.key: one for _, one in read_lines(path, Completion)}
        names = sorted({one.model for one in self._known.values()})
        if model is None and len(names) != 1:
            found = f"answers of {len(names)} models ({', '.join(names)})" if names else "no completions"
            raise Missing(f"{path}: holds {found}; offline it takes those of one", remedy="Record them with a model.")
        self.name = model.name if model is not None else names[0]
        self._lock = threading.Lock()
        self._thread = threading.local()
        self._file = path.open("ab") if model is not None else None

    def answer(self, instructions: str, question: str, document: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        texts = (instructions, question, document)
        shown = {"model": self.name, "schema": schema, "texts": texts}
        repeat = getattr(self._thread, "repeat", 0)
        key = content_hash(shown | ({"repeat": repeat} if repeat else {}))
        found = self._known.get(key)
        if found is None:
            if self._model is None:
                raise Missing(
                    f"{self.path}: has no answer of {self.name} to this question about {document!r:.60}",
                    remedy="Record it first: the same command without --offline.",
                )
            found = Completion(key=key, model=self.name, said=self._model.answer(*texts, schema))
            with self._lock:
                self._append(found)
        before = self.spent()
        self._thread.spent = Spent(
            before.calls + 1,
            before.read + sum(len(text) for text in texts),
            before.written + len(msgspec.json.encode(found.said)),
        )
        return dict(found.said)

    def _append(self, one: Completion) -> None:
        assert self._file is not None
        self._file.write(msgspec.json.encode(one) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._known[one.key] = one

    def begin(self, repeat: int) -> None:
        self._thread.repeat = repeat

    def spent(self) -> Spent:
        found: Spent = getattr(self._thread, "spent", Spent())
        return found

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Completions:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
