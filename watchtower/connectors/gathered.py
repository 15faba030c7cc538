"""A large history, gathered by record: runs that are sorted on disk, and merged (an external merge sort).

Events in order of time touch as many records as there are events: each batch reads and writes another five thousand
records, their last versions, and all over the indices. Record by record, a record is read and written once, with all
of its history, and the indices grow at one end. What comes of it is the same, for a fold puts events where they belong
in time; only the order of the journal is another one.

Within a record, events stay in the order of the file: of two with one key the first still counts.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterable, Iterator
from heapq import merge
from operator import itemgetter
from pathlib import Path

import msgspec

from watchtower.connectors.source import Batch
from watchtower.contract import Event

RUN = 50_000
"""Events that are sorted in memory, as bytes (about 25 MB). A file of no more is taken in its own order."""
AT_ONCE = 512
"""Runs that are merged at once: each holds a file open."""
READ = 1 << 16
_LENGTHS = struct.Struct("<II")
_SUBJECT = itemgetter(0)

Entry = tuple[str, bytes]
"""An event's subject, and the event as MessagePack."""


def gathered(batches: Iterable[Batch], *, size: int = 5000, run: int = RUN, at_once: int = AT_ONCE) -> Iterator[Batch]:
    """The same events; of a history of more than `run` of them, all of one record together, records in order of name.

    Batches then hold about `size` events, and end with a record's last one (a record of more than four times `size`
    is divided). What was refused comes as it is read, with no event; so does an event that cannot be laid down.
    Memory holds one run; the disk, the file once more, in the folder for temporary files.
    """
    encode = msgspec.msgpack.Encoder().encode
    waiting: list[Entry] = []
    ends: list[tuple[int, Batch]] = []
    with tempfile.TemporaryDirectory(prefix="watchtower-import-") as folder:
        runs: list[Path] = []
        for batch in batches:
            apart: list[Event] = []
            for event in batch.events:
                try:
                    waiting.append((event.subject, encode(event)))
                except (UnicodeEncodeError, ValueError, OverflowError, TypeError, RecursionError):
                    apart.append(event)
            if runs or len(waiting) > run:
                for _, kept in ends:
                    yield Batch([], kept.refused, 0.0)
                ends.clear()
                yield Batch(apart, batch.refused, batch.done / 3)
            else:
                ends.append((len(waiting), Batch(apart, batch.refused, batch.done)))
            if len(waiting) > run:
                runs.append(_laid_down(Path(folder) / f"{len(runs)}", sorted(waiting, key=_SUBJECT)))
                waiting.clear()
        if not runs:
            yield from _in_order(waiting, ends)
            return
        runs.append(_laid_down(Path(folder) / f"{len(runs)}", sorted(waiting, key=_SUBJECT)))
        waiting.clear()
        whole = sum(path.stat().st_size for path in runs)
        yield from _by_record(_merged(runs, Path(folder), at_once), size, whole)


def _in_order(entries: list[Entry], ends: list[tuple[int, Batch]]) -> Iterator[Batch]:
    """The batches as they came."""
    decode = msgspec.msgpack.Decoder(Event).decode
    begun = 0
    for end, batch in ends:
        events = [decode(body) for _, body in entries[begun:end]]
        yield Batch(events + batch.events, batch.refused, batch.done)
        begun = end


def _laid_down(path: Path, entries: Iterable[Entry]) -> Path:
    with path.open("wb", buffering=READ) as file:
        for subject, body in entries:
            name = subject.encode()
            file.write(_LENGTHS.pack(len(name), len(body)) + name + body)
    return path


def _read(path: Path) -> Iterator[Entry]:
    with path.open("rb", buffering=READ) as file:
        while head := file.read(_LENGTHS.size):
            name, body = _LENGTHS.unpack(head)
            yield file.read(name).decode(), file.read(body)
    path.unlink()


def _merged(runs: list[Path], folder: Path, at_once: int) -> Iterator[Entry]:
    """All entries by subject; of one subject, those of an earlier run first."""
    passes = 0
    while len(runs) > at_once:
        parts = [runs[n : n + at_once] for n in range(0, len(runs), at_once)]
        passes += 1
        runs = [_laid_down(folder / f"m{passes}.{n}", merge(*map(_read, part), key=_SUBJECT))
                for n, part in enumerate(parts)]  # fmt: skip
    return merge(*map(_read, runs), key=_SUBJECT)


def _by_record(entries: Iterable[Entry], size: int, whole: int) -> Iterator[Batch]:
    decode = msgspec.msgpack.Decoder(Event).decode
    events: list[Event] = []
    last, read = "", 0
    for subject, body in entries:
        if (len(events) >= size and subject != last) or len(events) >= 4 * size:
            yield Batch(events, [], (1 + 2 * min(read / whole, 1.0)) / 3)
            events = []
        last = subject
        read += _LENGTHS.size + len(body) + len(subject)
        events.append(decode(body))
    yield Batch(events, [], 1.0)
