"""Opening files: what is wrong with a file as a whole is said before its first row is read."""

from __future__ import annotations

from pathlib import Path

from watchtower.connectors.mapping import Mapping
from watchtower.errors import InputError


def check_file(path: Path) -> int:
    """The file's size in bytes. InputError where it is missing, a directory, empty or not readable."""
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory", remedy="name one file in it")
        with path.open("rb") as file:
            begins = file.read(1)
        size = path.stat().st_size
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file", remedy="check the path") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if not begins:
        raise InputError(f"{path}: is empty", remedy="export it again, or name another file")
    return size


def need_columns(path: Path, mapping: Mapping, there: list[str], hint: str = "") -> None:
    """InputError where the mapping reads columns that the file lacks: names them, and lists what is there."""
    missing = [name for name in mapping.columns if name not in there]
    if missing:
        listed = ", ".join(there[:40]) + (", ..." if len(there) > 40 else "")
        raise InputError(
            f"{path}: has no column {', '.join(missing)}, which the mapping reads; it has: {listed}",
            remedy=hint or "correct the names in the mapping, or export the file with these columns",
        )
