"""Histories that outgrow memory: events are laid out on disk by record, and folded part by part, on every core.

Three passes. The first writes each event to one of many files, chosen by its record, and its key (a hash of source and
id) to another. The second sorts the keys, and so finds what came twice. The third folds each file by itself: all events
of a record stand in one, in order of arrival; those of records that were merged are put by, and folded together at the
end. What comes of it are Parquet files of versions, which DuckDB reads.
"""

from __future__ import annotations

import os
import signal
import struct
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path
from threading import Thread
from time import sleep
from zlib import crc32

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from watchtower.contract import Event
from watchtower.errors import EventError
from watchtower.flow.history import (
    Problem,
    Versions,
    conflict,
    empty_versions,
    fold_record,
    join,
    merges_by,
    refused,
    same_body,
    unfit,
)
from watchtower.rules.compile import Program
from watchtower.rules.fold import build_folds
from watchtower.rules.merging import Merges, Numbered, decides, led_by

PARTS = 256
"""Files of events: each must fit into memory, decoded, once per core."""
KEY_PARTS = 16
BUFFER = 256 * 1024
"""Bytes that a file's events may take in memory before they are written."""
_KEY = np.dtype([("high", ">u8"), ("low", ">u8"), ("number", ">u8")])
_LENGTH = struct.Struct("<QI")
"""Before each event: its number in order of arrival, and its length."""


@dataclass(frozen=True)
class VersionFiles:
    """The versions of one object's records, as Parquet files."""

    types: Mapping[str, str]
    files: Sequence[Path]

    def arrow(self) -> pa.Table:
        """All of them in memory, for engines that read nothing else."""
        if not self.files:
            return empty_versions(self.types).arrow()
        found: pa.Table = ds.dataset([str(path) for path in self.files]).to_table()
        return found


@dataclass(frozen=True)
class Folded:
    """What one file of events came to."""

    files: Mapping[str, Path]
    families: Path | None
    """Events of records that were merged, put by."""
    problems: Sequence[tuple[int, Problem]]
    """With the number of the event."""
    ignored: int


class Spill:
    """Events on disk, in a folder that goes with this object."""

    def __init__(self, program: Program, *, parts: int = PARTS, buffer: int = BUFFER) -> None:
        self.events = 0
        self._program, self._parts, self._buffer = program, parts, buffer
        self._folder = tempfile.TemporaryDirectory(prefix="watchtower-history-")
        self.folder = Path(self._folder.name)
        self._waiting = [bytearray() for _ in range(parts)]
        self._keys = [bytearray() for _ in range(KEY_PARTS)]
        self._encoder = msgspec.msgpack.Encoder()
        self._merging: list[Event] = []

    def add(self, event: Event) -> None:
        """The next event, in order of arrival. EventError where it cannot be written down."""
        number = self.events
        self.events += 1
        try:
            body = self._encoder.encode(event)
            key = blake2b(f"{event.source}\0{event.id}".encode(), digest_size=16).digest()
            part = crc32(event.subject.encode()) % self._parts
        except (UnicodeEncodeError, ValueError, OverflowError, TypeError) as error:
            name = ascii((event.source, event.id))
            raise EventError(f"event {name}: cannot be written down ({error})") from None
        if decides(event) or led_by(event) is not None:
            self._merging.append(event)
        self._put(self._waiting, part, "events", _LENGTH.pack(number, len(body)) + body)
        self._put(self._keys, key[-1] % KEY_PARTS, "keys", key + number.to_bytes(8, "big"))

    def _put(self, buffers: list[bytearray], part: int, kind: str, data: bytes) -> None:
        buffers[part] += data
        if len(buffers[part]) >= self._buffer:
            self._flush(buffers, part, kind)

    def _flush(self, buffers: list[bytearray], part: int, kind: str) -> None:
        with (self.folder / f"{kind}-{part}").open("ab") as file:
            file.write(buffers[part])
        buffers[part].clear()

    def fold(self, until: datetime | None, *, workers: int | None = None) -> tuple[dict[str, VersionFiles], Folded]:
        """The versions by object, and all that could not be read, in order of arrival."""
        for buffers, kind in ((self._waiting, "events"), (self._keys, "keys")):
            for part in range(len(buffers)):
                self._flush(buffers, part, kind)
        repeats = _repeats([self.folder / f"keys-{part}" for part in range(KEY_PARTS)])
        np.save(self.folder / "repeats.npy", repeats)
        merges = merges_by(self._merging, until)
        done = list(self._fold_parts(until, merges, workers or os.cpu_count() or 1))
        if merges:
            done.append(_fold_families(self._program, self.folder, merges, [one.families for one in done]))
        versions = {}
        for name in self._program.book.objects:
            types = {column.name: column.type for column in self._program.columns_of[name].values()}
            versions[name] = VersionFiles(types, [one.files[name] for one in done if name in one.files])
        problems = sorted((item for one in done for item in one.problems), key=lambda item: item[0])
        return versions, Folded({}, None, problems, sum(one.ignored for one in done))

    def _fold_parts(self, until: datetime | None, merges: Merges, workers: int) -> Iterator[Folded]:
        asked = [(self.folder, part, until, merges) for part in range(self._parts)]
        if workers == 1:
            for one in asked:
                yield _fold_part(self._program, *one)
            return
        # Spawned: a forked process would take the threads of Arrow and DuckDB for its own.
        pool = ProcessPoolExecutor(
            workers, get_context("spawn"), initializer=_begin, initargs=(self._program, os.getpid())
        )
        try:
            yield from pool.map(_fold_asked, asked)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        """Remove the files."""
        self._folder.cleanup()


def _repeats(files: Iterable[Path]) -> npt.NDArray[np.uint64]:
    """(number, number of the first) of each event whose source and id came before, by number. Shape (n, 2)."""
    found = []
    for file in files:
        keys = np.fromfile(file, dtype=_KEY)
        order = np.lexsort((keys["number"], keys["low"], keys["high"]))
        keys = keys[order]
        same = np.zeros(len(keys), dtype=bool)
        same[1:] = (keys["high"][1:] == keys["high"][:-1]) & (keys["low"][1:] == keys["low"][:-1])
        first = np.maximum.accumulate(np.where(same, 0, np.arange(len(keys))))
        numbers = keys["number"].astype(np.uint64)
        found.append(np.stack([numbers[same], numbers[first[same]]], axis=1))
    every = np.concatenate(found) if found else np.empty((0, 2), dtype=np.uint64)
    return every[np.argsort(every[:, 0], kind="stable")]


_PROGRAM: Program | None = None


def _begin(program: Program, parent: int) -> None:
    """Of a process: the program, once, with what a question adds to its rules. It leaves Ctrl-C to its parent, and ends
    with it however that ends."""
    global _PROGRAM
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _PROGRAM = program

    def watch() -> None:
        while os.getppid() == parent:
            sleep(1)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _fold_asked(asked: tuple[Path, int, datetime | None, Merges]) -> Folded:
    assert _PROGRAM is not None
    return _fold_part(_PROGRAM, *asked)


def _read(path: Path) -> Iterator[tuple[int, Event]]:
    decoder = msgspec.msgpack.Decoder(Event)
    data = memoryview(path.read_bytes())
    at = 0
    while at < len(data):
        number, length = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        yield number, decoder.decode(data[at : at + length])
        at += length


def _fold_part(program: Program, folder: Path, part: int, until: datetime | None, merges: Merges) -> Folded:
    repeats = np.load(folder / "repeats.npy", mmap_mode="r")
    path = folder / f"events-{part}"
    events = list(_read(path))
    path.unlink()
    firsts = _firsts(repeats, [number for number, _ in events])
    here = dict(events) if firsts else {}
    holders: dict[int, Event] = {}
    vacant: set[int] = set()
    """By the number of the first under a key: who holds it instead, and whether nothing was taken under it so far."""
    folds = build_folds(program)
    problems: list[tuple[int, Problem]] = []
    by_record: dict[str, list[Event]] = {}
    joined: dict[str, list[Numbered]] = {}
    put_by: list[Numbered] = []
    ignored = 0
    for number, event in events:
        first = firsts.get(number)
        if first is not None:
            head = here.get(first)  # None: it stands in another part, and so on another subject
            if not (first in vacant and head is not None and head.subject == event.subject):
                held = holders.get(first, head)
                if held is None or not same_body(held, event):
                    problems.append((number, conflict(event)))
                continue
        fold = folds.get(event.object)
        if fold is None:
            ignored += 1
            continue
        if because := unfit(fold, event):
            problems.append((number, refused(event, because)))
            vacant.add(number if first is None else first)
            continue
        if first is not None:
            vacant.remove(first)
            holders[first] = event
        if decides(event):
            continue
        if until is None or event.time <= until:
            if merges.concerns(event.object, event.record_id):
                put_by.append((number, event))
            elif merges and fold.refs:
                joined.setdefault(event.subject, []).append((number, event))
            else:
                by_record.setdefault(event.subject, []).append(event)
    families = None
    if put_by:
        families = folder / f"families-{part}"
        families.write_bytes(msgspec.msgpack.encode(put_by))
    by_record |= join(folds, joined, merges)
    return Folded(_write(program, by_record, folder, str(part)), families, problems, ignored)


def _fold_families(program: Program, folder: Path, merges: Merges, files: Sequence[Path | None]) -> Folded:
    """The records that were merged, out of all parts, each from what was said of its whole family."""
    decoder = msgspec.msgpack.Decoder(list[tuple[int, Event]])
    said: dict[str, list[Numbered]] = {}
    for path in files:
        for number, event in decoder.decode(path.read_bytes()) if path is not None else ():
            said.setdefault(event.subject, []).append((number, event))
    return Folded(_write(program, join(build_folds(program), said, merges), folder, "families"), None, [], 0)


def _write(program: Program, by_record: Mapping[str, list[Event]], folder: Path, part: str) -> dict[str, Path]:
    """The versions of these records, a file for each object."""
    folds = build_folds(program)
    made: dict[str, Versions] = {}
    for subject, found in by_record.items():
        name, _, record = subject.partition("/")
        if name not in made:
            made[name] = empty_versions({c.name: c.type for c in program.columns_of[name].values()})
        fold_record(folds[name], record, found, made[name])
    files = {}
    for name, versions in made.items():
        files[name] = folder / f"{name}-{part}.parquet"
        pq.write_table(versions.arrow(), files[name])
    return files


def _firsts(repeats: npt.NDArray[np.uint64], numbers: Sequence[int]) -> dict[int, int]:
    """Of these events, those that came before under the same key: by number, the number of the first."""
    if not len(repeats) or not numbers:
        return {}
    mine = np.asarray(numbers, dtype=np.uint64)
    at = np.minimum(np.searchsorted(repeats[:, 0], mine), len(repeats) - 1)
    hit = repeats[at, 0] == mine
    return dict(zip(mine[hit].tolist(), repeats[at[hit], 1].tolist(), strict=True))
