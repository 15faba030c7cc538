"""What the worker said, case by case, on disk: append-only, flushed per case, found again by content.

A key is the hash of all that the answer depends on: the record, the texts, the fields asked and the worker's
own identity (versions, prompt, model). So a run that was broken off goes on where it stopped, a changed case
is run anew, and the rest is not paid for twice.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import msgspec

from evals.cases import Case, content_hash
from watchtower.contract import Proposal
from watchtower.errors import InputError


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """The worker's answer to one case. No score depends on what it took."""

    key: str
    case: str
    proposals: tuple[Proposal, ...]
    seconds: float = 0.0
    calls: int = 0
    """Of a language model; those answered from recorded completions count too."""
    read: int = 0
    """Characters that the model was shown."""
    written: int = 0
    """Characters that it answered."""


def recording_key(case: Case, identity: Mapping[str, str], repeat: int = 0) -> str:
    """SHA-256 over what the worker is shown and who it is. No labels: re-labelling re-runs nothing.

    `repeat` tells runs of the same case apart, from 0.
    """
    content = {"request": msgspec.to_builtins(case.request()), "worker": dict(identity)}
    return content_hash(content | ({"repeat": repeat} if repeat else {}))


def _finite(proposal: Proposal) -> Proposal:
    """A confidence that is no number is none: JSON has no form for it."""
    if math.isfinite(proposal.confidence):
        return proposal
    return msgspec.structs.replace(proposal, confidence=0.0)


class Recording:
    """The file `run.jsonl`. Opened for appending; what a crash left half-written is cut off first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, Recorded] = {}
        self._read()
        self._file = path.open("ab")

    def _read(self) -> None:
        if not self.path.exists():
            return
        raw = self.path.read_bytes()
        whole = raw.rfind(b"\n") + 1
        if whole < len(raw):
            os.truncate(self.path, whole)
        decoder = msgspec.json.Decoder(Recorded)
        for number, line in enumerate(raw[:whole].splitlines(), start=1):
            try:
                one = decoder.decode(line)
            except msgspec.DecodeError as error:
                raise InputError(
                    f"{self.path.name}:{number}: {error}", remedy="Delete the line, or choose another folder."
                ) from None
            self._known.setdefault(one.key, one)

    def get(self, key: str) -> Recorded | None:
        return self._known.get(key)

    def append(self, one: Recorded) -> None:
        """Written and on disk when this returns.

        Kept as it reads back, so that a run scored at once and one scored from disk see the same values.
        """
        line = msgspec.json.encode(msgspec.structs.replace(one, proposals=tuple(map(_finite, one.proposals))))
        again = msgspec.json.decode(line, type=Recorded)
        self._file.write(line + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._known[one.key] = again

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write_whole(path: Path, content: bytes) -> None:
    """The file has the old content or the new one, never half of it."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
