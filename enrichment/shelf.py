"""Where trained classifiers stand: a folder of versions per field. What stands there is never changed.

    sector.v1.npz, sector.v1.json, sector.v2.npz, ...

The .json is written last: a version without it is half written, and does not count. It names the SHA-256 of the
.npz, which is looked at whenever a classifier is read.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import msgspec

from enrichment.classify import Classifier, loaded
from enrichment.errors import EnrichmentError
from enrichment.quality import Quality

NAME = re.compile(r"(?P<field>[A-Za-z_][A-Za-z0-9_]*)\.v(?P<version>[1-9]\d*)\.json")


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One version. `digest` names what was learnt, and travels with each proposal; `sha256` is the file's."""

    field: str
    version: int
    digest: str
    sha256: str
    trained_at: str
    learnt_from: str
    """Whose labels: the tower's records, or a file's name."""
    quality: Quality
    left_out: dict[str, int] = {}
    """Labels with too few rows to be learnt, and how many they had."""

    @property
    def name(self) -> str:
        return f"{self.field}.v{self.version}@{self.digest}"


class Shelf:
    """The classifiers in a folder, which need not exist yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(
        self,
        field: str,
        classifier: Classifier,
        quality: Quality,
        *,
        left_out: dict[str, int],
        learnt_from: str,
        trained_at: str,
    ) -> Stored:
        """Keep a classifier as the field's next version; the newest one, where it is the same to the byte."""
        newest = self.newest(field)
        if newest is not None and newest.digest == classifier.digest:
            return newest
        self.folder.mkdir(parents=True, exist_ok=True)
        version = 1 if newest is None else newest.version + 1
        while (target := self._path(field, version, "npz")).exists():
            version += 1  # half written, or being written by another
        fresh = target.with_name(f".{target.name}.{os.getpid()}")
        classifier.kept(fresh)
        stored = Stored(
            field=field, version=version, digest=classifier.digest, trained_at=trained_at, learnt_from=learnt_from,
            sha256=hashlib.sha256(fresh.read_bytes()).hexdigest(), quality=quality, left_out=left_out,
        )  # fmt: skip
        os.replace(fresh, target)
        told = self._path(field, version, "json")
        half = told.with_name(f".{told.name}.{os.getpid()}")
        half.write_bytes(msgspec.json.format(msgspec.json.encode(stored), indent=2))
        os.replace(half, told)
        return stored

    def versions(self) -> list[Stored]:
        """Every version, by field, the oldest first."""
        found = []
        for path in sorted(self.folder.glob("*.json")) if self.folder.is_dir() else ():
            if NAME.fullmatch(path.name) is None:
                continue
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Stored))
            except (msgspec.MsgspecError, OSError) as fault:
                remedy = "Remove it, and train anew."
                raise EnrichmentError(f"{path}: cannot be read ({fault})", remedy=remedy) from None
        return sorted(found, key=lambda one: (one.field, one.version))

    def newest(self, field: str) -> Stored | None:
        return next((one for one in reversed(self.versions()) if one.field == field), None)

    def stamp(self) -> str:
        """What tells these classifiers from others: the newest of each field; empty where there are none."""
        return " ".join({one.field: one.name for one in self.versions()}.values())

    def classifiers(self) -> dict[str, Classifier]:
        """The newest classifier of each field. EnrichmentError where a file is not what it was."""
        return {field: self._read(one) for field, one in {one.field: one for one in self.versions()}.items()}

    def _read(self, stored: Stored) -> Classifier:
        path = self._path(stored.field, stored.version, "npz")
        remedy = f"Remove {path.name} and its .json, and run `watchtower enrich train {stored.field}` again."
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
            if found != stored.sha256:
                raise EnrichmentError(f"{path}: has SHA-256 {found}, expected {stored.sha256}", remedy=remedy)
            return loaded(path)
        except (OSError, ValueError) as fault:
            raise EnrichmentError(f"{path}: cannot be read ({fault})", remedy=remedy) from fault

    def _path(self, field: str, version: int, kind: str) -> Path:
        return self.folder / f"{field}.v{version}.{kind}"
